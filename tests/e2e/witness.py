"""What the ledger's file and the wire taps say together: who held which subject when, and who wrote to it."""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from agentd.core import Hold, Reason
from tests.e2e.harness import Replica
from tests.e2e.tap import Seen

_CLAIMED = re.compile(r"^attempt (\d+) by replica (\S+), token (\d+)$")
_REPOSITORY = re.compile(r"conveyor/data-plane/(project|package)/([a-z0-9_-]+)")
_OF_IMAGES = ("BatchDeleteImage", "PutImage")
_MARK = re.compile(r"deployed-to\.([a-z0-9]+)")
_EVENT_ID_TAG = re.compile(r'"conveyor\.internal/event-id", ?"Value": ?"([0-9a-f-]{36})"')


@dataclass(frozen=True, slots=True)
class ClaimSeen:
    """One claim of the history. `ended_at` is None when the claim ended without a word.

    One that was pre-empted by a delete is let go before the history says so, so the history does not tell exactly when.
    `position` and `end_position` are places in the ledger's own order; `asked_at` is when the replica wanted the claim,
    `at` the earliest moment at which it can have been granted: not before the end of the one before.
    """

    subject: str
    key: str
    replica: str
    token: int
    asked_at: float
    at: float
    ended_at: float | None
    preempted: bool
    position: int
    end_position: int | None


@dataclass(frozen=True, slots=True)
class Write:
    """One mutating call that a replica made on a repository. `event_id` where the call itself names one."""

    subject: str
    replica: str
    operation: str
    event_id: str | None
    began_at: float
    ended_at: float


def read_rows(ledger: Path, sql: str) -> list[sqlite3.Row]:
    """Rows of a ledger that daemons may be writing."""
    connection = sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def claims(ledger: Path) -> Mapping[str, Sequence[ClaimSeen]]:
    """The claims of every subject, in the order in which they were granted."""
    history: dict[tuple[str, int], list[sqlite3.Row]] = defaultdict(list)
    for row in read_rows(
        ledger, "SELECT t.*, r.subject FROM transitions t JOIN events r USING (key) ORDER BY position"
    ):
        history[row["key"], row["epoch"]].append(row)
    found: dict[str, list[ClaimSeen]] = defaultdict(list)
    for rows in history.values():
        for index, row in enumerate(rows):
            if (match := _CLAIMED.match(row["detail"])) and row["what"] == "claimed":
                found[row["subject"]].append(_claim(row, match, rows[index + 1 :]))
    return {subject: _in_order(granted) for subject, granted in found.items()}


def _in_order(granted: Sequence[ClaimSeen]) -> list[ClaimSeen]:
    """As the ledger granted them; a replica may have waited for that longer than the one before took to its end."""
    ordered = sorted(granted, key=lambda claim: claim.position)
    for index, (earlier, later) in enumerate(pairwise(ordered), start=1):
        if earlier.ended_at is not None and not earlier.preempted and earlier.ended_at > later.at:
            ordered[index] = replace(later, at=earlier.ended_at)
    return ordered


def _claim(row: sqlite3.Row, match: re.Match[str], following: Sequence[sqlite3.Row]) -> ClaimSeen:
    next_words = (later for later in following if _says_end(later))
    end = next(next_words, None)
    silent = end is None or end["what"] == "claimed" or str(end["detail"]).endswith("ended without a word")
    return ClaimSeen(
        subject=row["subject"],
        key=row["key"],
        replica=match[2],
        token=int(match[3]),
        asked_at=row["at"],
        at=row["at"],
        ended_at=None if end is None or silent else float(end["at"]),
        position=row["position"],
        end_position=None if end is None or silent else int(end["position"]),
        preempted=_is_preempted(end, following),
    )


def _is_preempted(end: sqlite3.Row | None, following: Sequence[sqlite3.Row]) -> bool:
    """Whether a delete may have gone first. Another replica may be quicker to claim than the first one is to say so."""
    if end is None or end["what"] == "claimed":
        return any(_gives_way(row) for row in following)
    # A holder's own end is never that it is superseded: whoever saw the event again has said so.
    return _gives_way(end) or str(end["detail"]).startswith("superseded")


def _gives_way(row: sqlite3.Row) -> bool:
    return row["what"] == "waiting" and str(row["detail"]).startswith(Reason.PREEMPTED.value)


def _says_end(row: sqlite3.Row) -> bool:
    """A wait is noted by whoever sees the event again; only a pre-emption, and a stop, are the holder's own word."""
    if row["what"] == "waiting":
        return _gives_way(row) or str(row["detail"]).startswith(Hold.STOPPED.value)
    return row["what"] in ("claimed", "finished", "attempt_failed")


def overlaps(granted: Mapping[str, Sequence[ClaimSeen]], *, lease_s: float) -> list[str]:
    """Pairs of claims of one subject of which the second came while the first was valid, or with a token not above it.

    A claim that says its end is over from there on, in the ledger's order. One without is valid for at least a lease. Of a
    pre-empted one only the writes can tell (see `strays`).
    """
    return [
        f"{subject}: {earlier} and {later}"
        for subject, claimed in granted.items()
        for earlier, later in pairwise(claimed)
        if later.token <= earlier.token or not (earlier.preempted or _over(earlier, later, lease_s))
    ]


def _over(earlier: ClaimSeen, later: ClaimSeen, lease_s: float) -> bool:
    if earlier.end_position is not None:
        return earlier.end_position < later.position
    return later.asked_at >= earlier.asked_at + lease_s


def writes(replicas: Sequence[Replica], ledger: Path) -> list[Write]:
    """The replicas' writes to repositories. Single images are left out: they belong to builds. Their marks are environments'."""
    owners = {
        (kind, event["data"][f"{kind}_name"]): row["subject"]
        for row in read_rows(ledger, "SELECT subject, event FROM events WHERE generation IS NOT NULL")
        for event in [json.loads(row["event"])]
        for kind in [row["subject"].partition("/")[0]]
        if kind in ("project", "package", "environment")
    }
    found = [
        _write(replica.name, call, owners)
        for replica in replicas
        for call in replica.tap.calls
        if call.service == "ecr" and call.is_write and (call.operation not in _OF_IMAGES or _MARK.search(call.text))
    ]
    return sorted(found, key=lambda write: write.began_at)


def _write(replica: str, call: Seen, owners: Mapping[tuple[str, str], str]) -> Write:
    repository = _REPOSITORY.search(call.text)
    assert repository, f"a write to no repository of ours: {call}"
    named = re.search(r'"Key": ?' + _EVENT_ID_TAG.pattern, call.text)
    assert call.ended_at is not None, f"still open: {call}"
    mark = _MARK.search(call.text) if call.operation in _OF_IMAGES else None
    subject = owners[("environment", mark[1]) if mark else (repository[1], repository[2])]
    return Write(subject, replica, call.operation, named[1] if named else None, call.began_at, call.ended_at)


def strays(made: Sequence[Write], granted: Mapping[str, Sequence[ClaimSeen]]) -> list[str]:
    """Writes that were not made, from beginning to end, by the holder of the subject's newest claim, for its own event."""
    wrong = []
    for write in made:
        at_begin = _newest(granted[write.subject], write.began_at)
        at_end = _newest(granted[write.subject], write.ended_at)
        if at_begin is None or at_begin is not at_end or at_begin.replica != write.replica:
            wrong.append(f"{write}: claimed by {at_begin}, then by {at_end}")
        elif at_begin.ended_at is not None and at_begin.ended_at < write.began_at:
            wrong.append(f"{write}: after the end of {at_begin}")
        elif write.event_id is not None and at_begin.key != f"event/{write.event_id}":
            wrong.append(f"{write}: not of the event of {at_begin}")
    return wrong


def _newest(claimed: Sequence[ClaimSeen], moment: float) -> ClaimSeen | None:
    before = [claim for claim in claimed if claim.at <= moment]
    return before[-1] if before else None
