"""Part of the agent that runs inside Airflow, before a deploy: parses every bundle as the DAG processor would, and tells what is wrong.

It has no database, no secrets and no network: a file that fails after it has asked for a connection, a variable or an address
may do well where there is one, and is only counted. What it finds is its pod's termination message, cut to what fits there.
"""  # noqa: E501 - the first line says what it is

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from airflow.secrets import BaseSecretsBackend

BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
STREAMING = "streaming.yaml"
# Exit code of a check that was made, and found something.
FOUND = 3
# Source: Kubernetes' documentation of termination messages.
MESSAGE_BYTES = 4096
# How much of it streaming applications may take.
STREAMING_BYTES = 3500
TERMINATION_LOG = "/dev/termination-log"
# From how much of each error is told to how little, in characters: a traceback's end says most.
_TEXT = (1500, 700, 300, 120)


class NoSecrets(BaseSecretsBackend):
    """Knows nothing. `asked`: whether this process has asked for anything that is not here."""

    asked = False

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        """None."""
        NoSecrets.asked = True
        return None

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        """None."""
        NoSecrets.asked = True
        return None


@dataclass
class Findings:
    """What was found in all bundles. `dags` has the files that each DAG is in."""

    files: int = 0
    undecided: int = 0
    dags: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)
    streaming: dict[str, Any] = field(default_factory=dict)

    @property
    def dags_of(self) -> Mapping[str, int]:
        """How many DAGs each bundle has."""
        return Counter(sorted(bundle for places in self.dags.values() for bundle in {bundle for bundle, _ in places}))

    @property
    def duplicates(self) -> list[dict[str, Any]]:
        """DAGs that are in more than one file."""
        return [
            {"dag": dag_id, "in": sorted(f"{bundle}/{file}" for bundle, file in places)}
            for dag_id, places in sorted(self.dags.items())
            if len(places) > 1
        ]

    def add(self, bundle: str, file: str, seen: Mapping[str, Any]) -> None:
        """Take in what one file has come to."""
        self.files += 1
        for dag_id in seen.get("dags", ()):
            self.dags.setdefault(dag_id, set()).add((bundle, file))
        errors = seen.get("errors", {})
        if errors and seen.get("asked"):
            self.undecided += 1
            return
        self.errors += [{"bundle": bundle, "file": name, "text": text} for name, text in sorted(errors.items())]


def main(log: str = TERMINATION_LOG) -> None:
    """Check, leave the message, and exit: with 0 when all is well, with FOUND when it is not."""
    found = checked()
    Path(log).write_text(message(found), encoding="utf-8")
    sys.exit(FOUND if found.errors or found.duplicates else 0)


def checked() -> Findings:
    """Everything that the bundles of this pod have in them."""
    found = Findings()
    for name, dags in bundles():
        for file in files(dags):
            found.add(name, str(file.relative_to(dags)), parsed(name, dags, file))
        _read_streaming(name, dags.parent / STREAMING, found)
    size = len(_json(found.streaming))
    if size > STREAMING_BYTES:
        text = f"the streaming applications take {size} bytes as JSON; {STREAMING_BYTES} are allowed"
        found.errors.append({"bundle": ", ".join(found.streaming), "file": STREAMING, "text": text})
    return found


def bundles() -> Iterator[tuple[str, Path]]:
    """The bundles by name, each with its folder of DAGs."""
    for bundle in json.loads(os.environ[BUNDLES]):
        yield bundle["name"], Path(bundle["kwargs"]["path"])


def files(dags: Path) -> list[Path]:
    """The files that Airflow would look at."""
    from airflow.utils.file import list_py_file_paths

    return sorted(Path(path) for path in list_py_file_paths(dags))


def parsed(bundle: str, dags: Path, file: Path) -> dict[str, Any]:
    """What a file comes to. It has a process of its own, as it has in the DAG processor, and as much time as there."""
    from airflow.configuration import conf

    limit_s = conf.getint("dag_processor", "dag_file_processor_timeout")
    context = get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_parse, args=(theirs, bundle, dags, file))
    process.start()
    theirs.close()
    try:
        if ours.poll(limit_s):
            seen: dict[str, Any] = ours.recv()
        else:
            seen = _failed(dags, file, f"it took longer than {limit_s} s to be read")
    except EOFError:
        process.join()
        seen = _failed(dags, file, f"its process ended with exit code {process.exitcode} while it was read")
    finally:
        process.kill()
        process.join()
    return seen


def message(found: Findings) -> str:
    """What was found, as JSON of no more bytes than are shown; what does not fit is counted."""
    for length in _TEXT:
        text = _told(found, length, len(found.errors), len(found.duplicates))
        if _fits(text):
            return text
    number = 10
    while not _fits(text := _told(found, _TEXT[-1], number, number)):
        number -= 1
    return text


def _watch(event: str, _args: Sequence[Any]) -> None:
    """Source: Python's table of audit events."""
    if event in ("socket.connect", "socket.getaddrinfo"):
        NoSecrets.asked = True


def _parse(to: Connection, bundle: str, dags: Path, file: Path) -> None:
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    sys.addaudithook(_watch)
    bag = BundleDagBag(dag_folder=file, bundle_path=dags, bundle_name=bundle, load_op_links=False)
    errors = dict(bag.import_errors)
    for dag in bag.dags.values():
        try:
            LazyDeserializedDAG.from_dag(dag)
        except Exception as error:
            errors[str(file.relative_to(dags))] = f"DAG {dag.dag_id} cannot be stored: {error}"
    to.send({"dags": sorted(bag.dags), "errors": errors, "asked": NoSecrets.asked})


def _failed(dags: Path, file: Path, text: str) -> dict[str, Any]:
    return {"errors": {str(file.relative_to(dags)): text}}


def _read_streaming(bundle: str, file: Path, found: Findings) -> None:
    import yaml

    if not file.is_file():
        return
    try:
        found.streaming[bundle] = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeError) as error:
        found.errors.append({"bundle": bundle, "file": STREAMING, "text": str(error)})


def _told(found: Findings, length: int, errors: int, duplicates: int) -> str:
    told: dict[str, Any] = {"files": found.files, "dags": found.dags_of, "undecided": found.undecided}
    if found.errors or found.duplicates:
        told["errors"] = [{**error, "text": error["text"].strip()[-length:]} for error in found.errors[:errors]]
        told["duplicates"] = [_short(one) for one in found.duplicates[:duplicates]]
        told["all_errors"], told["all_duplicates"] = len(found.errors), len(found.duplicates)
    else:
        told["streaming"] = found.streaming
    return _json(told)


def _json(value: Any) -> str:
    """YAML has dates; JSON has them as text."""
    return json.dumps(value, separators=(",", ":"), default=str)


def _short(duplicate: Mapping[str, Any]) -> dict[str, Any]:
    places: Sequence[str] = duplicate["in"]
    return {"dag": duplicate["dag"], "in": places[:3]}


def _fits(text: str) -> bool:
    return len(text.encode()) <= MESSAGE_BYTES
