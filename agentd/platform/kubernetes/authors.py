"""Who has made what differs, as the API server remembers it. Pure."""

import json
from collections.abc import Sequence

from agentd.core import Author
from agentd.platform.cluster import Manifest
from agentd.platform.kubernetes import managed_fields
from agentd.platform.kubernetes.managed_fields import Entry, Path

_ROOT_OF_STATUS = "f:status"


def authors_of(live: Manifest, wanted: Manifest | None) -> tuple[Author, ...]:
    """Those beside the agent who own fields of the object that are to be different, in the order of their names.

    What somebody has only taken away is owned by nobody: then whoever wrote last is told, without fields; and so it is of an
    object that should not be there.
    """
    compared = managed_fields.by_others(live, live if wanted is None else wanted)
    others = [(entry, fields) for entry, fields in compared if _writes_content(entry)]
    owners = [(entry, fields) for entry, fields in others if fields]
    if owners:
        return tuple(sorted((_author(entry, fields) for entry, fields in owners), key=lambda author: author.manager))
    last = max((entry for entry, _ in others), key=lambda entry: str(entry.get("time", "")), default=None)
    return () if last is None else (_author(last, ()),)


def _writes_content(entry: Entry) -> bool:
    """Controllers that only tell what became of the object have not made it differ."""
    return set(entry.get("fieldsV1") or {}) - {_ROOT_OF_STATUS} != set()


def _author(entry: Entry, fields: Sequence[Path]) -> Author:
    return Author(str(entry.get("manager", "")), str(entry.get("time", "")), tuple(sorted(map(_shown, fields))))


def _shown(path: Path) -> str:
    """As people write it: `spec.replicas`, `metadata.labels["a.b/c"]`, `spec.containers[name=main].image`."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: str) -> str:
    kind, _, name = step.partition(":")
    match kind:
        case "f":
            return f".{name}" if name.replace("_", "").replace("-", "").isalnum() else f'["{name}"]'
        case "k":
            return f"[{','.join(f'{key}={value}' for key, value in json.loads(name).items())}]"
        case _:
            return f"[{name}]"
