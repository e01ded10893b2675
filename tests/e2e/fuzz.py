"""Seeded bad input: valid events with something wrong, and what never was an event."""

import json
import random
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agentd.cli.control_plane import event
from agentd.cli.stack import CLUSTER_ID, TENANT_ID
from agentd.events import BuildCleanup, EventData, PackageCreate, PackageDelete, ProjectCreate, ProjectDelete
from tests.e2e.harness import uuid_of

Json = Any  # a JSON value
Mutate = Callable[[random.Random, dict[str, Json]], str]

_VALID_SHARE = 0.03
_FULL_SHARE = 0.005
# What the agent must be able to add. With less room a message cannot become a dead letter, until the queue moves it itself.
_TAGS_BYTES = 320
_SUBJECTS = 40
# What SQS takes: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF
_TEXT = string.printable.replace("\x0b", "").replace("\x0c", "") + "äß€漢\u2028\ufffd😀"
_ODD: Sequence[Json] = (
    None, True, 0, -1, 2**53, 10**40, 1.5, 1e308, "", " ", "x" * 5000, [], {}, [[]], {"a": {}},
    "00000000-0000-0000-0000-000000000000", "../../etc/passwd", "'; DROP TABLE records; --", "\u0000", "\ud800", "\u202e",
    "conveyor.project.create.v2", "conveyor.agent.upgrade.v1", "event/x", "2026-02-30T00:00:00Z", "1970-01-01T00:00:00Z",
)  # fmt: skip


def messages(number: int, *, seed: int, most_bytes: int) -> Iterator[str]:
    """So many message bodies, the same for the same seed. Most are no valid event; every one fits the queue."""
    dice = random.Random(seed)
    for index in range(number):
        valid = _valid(dice, index)
        if dice.random() < _VALID_SHARE:
            yield json.dumps(valid)
            continue
        if dice.random() < _FULL_SHARE:
            yield _filled(valid, most_bytes - _TAGS_BYTES)
            continue
        body = dice.choice(_MUTATIONS)(dice, valid)
        fits = body and len(body.encode()) <= most_bytes
        yield body if fits else "[" * min(most_bytes, 100_000)


def _valid(dice: random.Random, index: int) -> dict[str, Json]:
    """A valid event with an id of its own."""
    number = dice.randrange(_SUBJECTS)
    project_id, package_id = uuid_of(f"fuzzed project {number}"), uuid_of(f"fuzzed package {number}")
    project, package = f"fuzzed-{number}", f"fuzzed_{number}"
    choices: Sequence[EventData] = (
        ProjectCreate(project_id=project_id, project_name=project),
        ProjectCreate(project_id=project_id, project_name=project),
        PackageCreate(package_id=package_id, package_name=package),
        ProjectDelete(project_id=project_id, project_name=project, force=True),
        PackageDelete(package_id=package_id, package_name=package),
        BuildCleanup(build_id=uuid_of(f"fuzzed build {index}"), project_id=project_id, project_name=project),
    )
    body = event(dice.choice(choices), dice.randrange(1, 30), event_id=uuid_of(f"fuzzed {index}"))
    document: dict[str, Json] = json.loads(body)
    return document


def _filled(document: dict[str, Json], size: int) -> str:
    """Hardly any room is left in it for what the agent adds on the way to the dead letters; no valid event."""
    text = json.dumps({**document, "generation": "1", "padding": ""})
    return text[:-2] + "x" * (size - len(text)) + '"}'


def _place(dice: random.Random, document: dict[str, Json]) -> tuple[dict[str, Json], str]:
    """A field, of the envelope or of the data."""
    where = document["data"] if dice.random() < 0.3 else document
    return where, dice.choice(sorted(where))


def _drop(dice: random.Random, document: dict[str, Json]) -> str:
    where, name = _place(dice, document)
    del where[name]
    return json.dumps(document)


def _rename(dice: random.Random, document: dict[str, Json]) -> str:
    where, name = _place(dice, document)
    where[dice.choice((name.upper(), name + "_", name[1:], ""))] = where.pop(name)
    return json.dumps(document)


def _replace(dice: random.Random, document: dict[str, Json]) -> str:
    where, name = _place(dice, document)
    where[name] = dice.choice(_ODD)
    return json.dumps(document)


def _duplicate(dice: random.Random, document: dict[str, Json]) -> str:
    _, name = _place(dice, {**document, "data": {"plan": False}})
    return json.dumps(document)[:-1] + f', "{name}": {json.dumps(dice.choice(_ODD))}}}'


def _flip(dice: random.Random, document: dict[str, Json]) -> str:
    characters = list(json.dumps(document))
    for _ in range(dice.randrange(1, 6)):
        place = dice.randrange(len(characters))
        flipped = chr(ord(characters[place]) ^ (1 << dice.randrange(7)))
        characters[place] = flipped if flipped in _TEXT else "?"
    return "".join(characters)


def _cut(dice: random.Random, document: dict[str, Json]) -> str:
    text = json.dumps(document)
    return text[: dice.randrange(1, len(text))]


def _deep(dice: random.Random, document: dict[str, Json]) -> str:
    depth = dice.choice((50, 150, 300, 5000))
    nested = "[" * depth + "]" * depth if dice.random() < 0.5 else '{"a":' * depth + "1" + "}" * depth
    where, name = _place(dice, document)
    where[name] = "@"
    return json.dumps(document).replace('"@"', nested, 1)


def _huge(dice: random.Random, document: dict[str, Json]) -> str:
    where, name = _place(dice, document)
    where[name] = dice.choice(_TEXT) * dice.choice((3_000, 30_000))
    return json.dumps(document, ensure_ascii=False)


def _wide(dice: random.Random, document: dict[str, Json]) -> str:
    document["data"] |= {f"field{number}": number for number in range(dice.choice((10, 2000)))}
    return json.dumps(document)


def _escapes(dice: random.Random, document: dict[str, Json]) -> str:
    escape = dice.choice((r"\ud800", r"\udc00\ud800", r"\u0000", r"\uZZZZ", r"\x41", r"\u12", r"\ud83d\ude00"))
    where, name = _place(dice, document)
    where[name] = "@"
    return json.dumps(document).replace('"@"', f'"{escape}"', 1)


def _numbers(dice: random.Random, document: dict[str, Json]) -> str:
    odd = dice.choice(("NaN", "Infinity", "-0", "01", "1e999", "9" * 5000, "1.0000000000000001", "0x10", "+1"))
    document["generation"] = "@"
    return json.dumps(document).replace('"@"', odd, 1)


def _elsewhere(dice: random.Random, document: dict[str, Json]) -> str:
    """Meant for somebody else, about somebody else, expired, or with its data somewhere else."""
    changes: Sequence[dict[str, Json]] = (
        {"tenantid": CLUSTER_ID},
        {"clusterid": TENANT_ID},
        {"subject": f"project/{uuid_of('nobody')}"},
        {"subject": f"environment/{uuid_of('nobody')}"},
        {"subject": uuid_of("nobody")},
        {"expirytime": "2020-01-01T00:00:00Z"},
        {"id": TENANT_ID.upper()},
        {"dataref": "s3://elsewhere/x", "datadigest": "sha256:" + "0" * 64, "datasize": 10},
        {"signature": "a..b", "planhash": "x"},
    )
    return json.dumps({**document, **dice.choice(changes)})


def _claim_check(_dice: random.Random, document: dict[str, Json]) -> str:
    del document["data"]
    return json.dumps({**document, "dataref": "file:///etc/passwd", "datadigest": "sha256:" + "0" * 64, "datasize": 10})


def _random_text(dice: random.Random, _document: dict[str, Json]) -> str:
    return "".join(dice.choices(_TEXT, k=dice.choice((1, 20, 300))))


def _other_json(dice: random.Random, document: dict[str, Json]) -> str:
    odd = (*_ODD, list(document.values()), [document], {"data": document}, json.dumps(document))
    return json.dumps(dice.choice(odd))


_MUTATIONS: Sequence[Mutate] = (
    _drop,
    _rename,
    _replace,
    _replace,
    _duplicate,
    _flip,
    _cut,
    _deep,
    _huge,
    _wide,
    _escapes,
    _numbers,
    _elsewhere,
    _claim_check,
    _random_text,
    _other_json,
)
