"""What an event would change: the words of a plan."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from agentd.core.errors import PermanentError
from agentd.core.reasons import Reason
from agentd.core.subject import Subject

Json = Any  # a value as the object's own API has it


class Action(StrEnum):
    """What becomes of an object."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field. `path` as people write it, `spec.replicas` or `metadata.labels["a.b/c"]`; `before` or `after` None: absent.

    What is secret is never in here: its place says that it changes.
    """

    path: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody beside the agent who has written fields that differ, as the API server has it: a field manager.

    `at` is when that one last wrote, as RFC 3339. Without `fields` it was only the last to write to the object.
    """

    manager: str
    at: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One object, named as intents, reports and the audit log name it. Of what is deleted no fields are told.

    `authors` are those who have made the state that was found, where an API tells. A plan and its hash do not hold them.
    """

    obj: str
    action: Action
    fields: tuple[FieldChange, ...] = ()
    authors: tuple[Author, ...] = ()


class Plan:
    """The changes of one event, in the order in which they would be made; one for each object, however often it is written.

    Ports that plan record here what they would write. Stamps are no changes: the newest generation goes on every object.
    """

    def __init__(self) -> None:
        self._changes: dict[str, PlannedChange] = {}

    def record(self, change: PlannedChange) -> None:
        """One write. A later one to the same object goes on from an earlier one."""
        before = self._changes.get(change.obj)
        merged = change if before is None else _merged(before, change)
        if merged is None:
            del self._changes[change.obj]
        else:
            self._changes[change.obj] = merged

    def __iter__(self) -> Iterator[PlannedChange]:
        return iter(self._changes.values())

    def __len__(self) -> int:
        return len(self._changes)

    def json(self) -> Mapping[str, Json]:
        """As reports carry it: `{"hash", "changes": [{"object", "action", "fields": [{"path", "before", "after"}]}]}`."""
        changes = [change_json(change) for change in self]
        return {"hash": hash_of(changes), "changes": changes}


@dataclass(frozen=True, slots=True)
class PlanFence:
    """The fence of an event that is planned: it says on whose behalf, and lets nothing be written."""

    subject: Subject
    generation: int
    event_id: str
    owner_id: str

    async def before_write(self, obj: str, *, stamp: bool = False, destroys: bool = False) -> NoReturn:
        """Ports that plan never come here; one that does not plan is stopped."""
        raise PermanentError(Reason.INTERNAL_ERROR, f"a plan writes nothing: {obj} was about to be written")


def change_json(change: PlannedChange) -> Mapping[str, Json]:
    """As reports carry it, without authors."""
    return {
        "object": change.obj,
        "action": change.action.value,
        "fields": [
            {"path": found.path, "before": found.before, "after": found.after}
            for found in sorted(change.fields, key=lambda found: found.path)
        ],
    }


def hash_of(changes: Sequence[Mapping[str, Json]]) -> str:
    """Names what would be done, in whatever order: equal as long as the same would be changed from the same state."""
    text = json.dumps(
        sorted(changes, key=lambda change: change["object"]), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _merged(before: PlannedChange, after: PlannedChange) -> PlannedChange | None:
    """Two writes as one; None when the second undoes the first."""
    if after.action is Action.DELETE:
        return None if before.action is Action.CREATE else after
    if before.action is Action.DELETE:
        return PlannedChange(after.obj, Action.CHANGE, after.fields, before.authors)
    first = {found.path: found.before for found in before.fields}
    known = {found.path: found for found in before.fields}
    for found in after.fields:
        known[found.path] = FieldChange(found.path, first.get(found.path, found.before), found.after)
    fields = tuple(found for found in known.values() if found.before != found.after)
    if before.action is Action.CHANGE and not fields:
        return None
    return PlannedChange(after.obj, before.action, fields, before.authors)
