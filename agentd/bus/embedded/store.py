"""One queue in the file: what its calls do there, each in one transaction. Called from one thread; times are given."""

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from agentd.bus.address import EmbeddedAddress
from agentd.bus.embedded.attributes import Attributes
from agentd.bus.embedded.file import transaction
from agentd.bus.protocol import Done, EntryRefused, EntryResult, Outgoing, QueueDepth, ReceiptLost, Received
from agentd.core import PermanentError, Reason

MAX_VISIBILITY_S = 43_200.0
"""From a receive on, over all changes, as on SQS."""
_DEDUPE_S = 300.0
_PURGE_S = 60.0
_SEPARATOR = ":"

_ADD_QUEUE = """
    INSERT INTO queues (name, max_message_bytes, retention_s, visibility_s, dead_letters, max_receive_count)
    VALUES (:name, :max_message_bytes, :retention_s, :visibility_s, :dead_letters, :max_receive_count)
    ON CONFLICT DO NOTHING
"""
_SHOWN = """
    SELECT * FROM messages WHERE queue = :queue AND visible_at <= :now AND sent_at > :oldest
    ORDER BY visible_at, place LIMIT :limit
"""
# While a message of a group is hidden, none of the group is handed out: the next one waits for what becomes of it.
_SHOWN_IN_ORDER = """
    SELECT * FROM messages WHERE queue = :queue AND visible_at <= :now AND sent_at > :oldest
    AND message_group NOT IN (SELECT message_group FROM messages WHERE queue = :queue AND visible_at > :now)
    ORDER BY place LIMIT :limit
"""
_HAND_OUT = """
    UPDATE messages SET visible_at = :visible_at, received_at = :now, receives = receives + 1, receipt = :receipt
    WHERE place = :place
"""
# As on SQS: on a standard queue the retention goes on from when the message was first sent, on a FIFO queue it starts again.
_MOVE = """
    UPDATE messages SET queue = :dead_letters, visible_at = :now, receives = 0, receipt = NULL,
        sent_at = CASE WHEN :fifo THEN :now ELSE sent_at END
    WHERE place = :place
"""
_ADD_MESSAGE = """
    INSERT INTO messages (queue, id, body, attributes, message_group, sent_at, visible_at)
    VALUES (:queue, :id, :body, :attributes, :message_group, :now, :visible_at)
"""
_ADD_DEDUPE = """
    INSERT INTO dedupes (queue, id, until) VALUES (:queue, :id, :until)
    ON CONFLICT DO UPDATE SET until = excluded.until WHERE until <= :now
"""
_DEPTH = """
    SELECT count(*) FILTER (WHERE visible_at <= :now) AS visible,
        count(*) FILTER (WHERE visible_at > :now AND receives > 0) AS in_flight,
        count(*) FILTER (WHERE visible_at > :now AND receives = 0) AS delayed
    FROM messages WHERE queue = :queue AND sent_at > :oldest
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One look for up to `limit` messages; `new_token` makes a receipt of each."""

    now: float
    limit: int
    visibility_s: float
    new_token: Callable[[], str]


class Store:
    """The queue's rows. Raises sqlite3.Error, and PermanentError when the queue is not there."""

    def __init__(self, connection: sqlite3.Connection, address: EmbeddedAddress) -> None:
        self._connection = connection
        self._queue = address.queue
        self._fifo = address.fifo
        self._quiet_until = -math.inf
        self._seen_version = -1
        self._purged_at = -math.inf

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def make(self, attributes: Attributes, *others: tuple[str, Attributes]) -> None:
        """Make the queue, and others, unless they are there; one that is there keeps its attributes."""
        with transaction(self._connection):
            for name, wanted in ((self._queue, attributes), *others):
                self._connection.execute(_ADD_QUEUE, {"name": name, **asdict(wanted)})

    def attributes(self) -> Attributes:
        """How the queue is set up."""
        row = self._connection.execute("SELECT * FROM queues WHERE name = ?", (self._queue,)).fetchone()
        if row is None:
            raise PermanentError(Reason.INVALID_REQUEST, f"there is no queue {self._queue} in the file")
        return Attributes(
            max_message_bytes=row["max_message_bytes"],
            retention_s=row["retention_s"],
            visibility_s=row["visibility_s"],
            dead_letters=row["dead_letters"],
            max_receive_count=row["max_receive_count"],
        )

    def look(self, ask: Ask) -> list[Received]:
        """Hand out what shows. While nothing has changed and nothing has come due, that is known without a look."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._seen_version and ask.now < self._quiet_until:
            return []
        with transaction(self._connection):
            attributes = self.attributes()
            self._purge(ask.now, attributes)
            found = list(self._hand_out(ask, attributes))
            self._seen_version = version
            self._quiet_until = -math.inf if found else self._next_due_at(ask.now)
        return found

    def add(self, messages: Sequence[tuple[str, Outgoing]], *, now: float) -> None:
        """Put messages, each with its id, on the queue; on a FIFO queue not those that were put there minutes ago."""
        self._quiet_until = -math.inf
        with transaction(self._connection):
            self.attributes()
            for message_id, message in messages:
                if not self._fifo or self._is_new(message, now):
                    self._add(message_id, message, now)

    def delete(self, receipts: Sequence[str], *, now: float) -> list[EntryResult]:
        """Take messages off the queue; on a FIFO queue only while they are hidden."""
        self._quiet_until = -math.inf
        with transaction(self._connection):
            self.attributes()
            return [self._delete(receipt, now) for receipt in receipts]

    def change_visibility(self, changes: Sequence[tuple[str, float]], *, now: float) -> list[EntryResult]:
        """Hide each that is hidden for so many seconds from now."""
        self._quiet_until = -math.inf
        with transaction(self._connection):
            self.attributes()
            return [self._show(receipt, seconds, now) for receipt, seconds in changes]

    def depth(self, *, now: float) -> QueueDepth:
        """How much is on the queue."""
        oldest = now - self.attributes().retention_s
        row = self._connection.execute(_DEPTH, {"queue": self._queue, "now": now, "oldest": oldest}).fetchone()
        return QueueDepth(visible=row["visible"], in_flight=row["in_flight"], delayed=row["delayed"])

    def _hand_out(self, ask: Ask, attributes: Attributes) -> Iterator[Received]:
        left = ask.limit
        while left and (rows := self._shown(left, ask.now, attributes)):
            for row in rows:
                if attributes.max_receive_count is not None and row["receives"] >= attributes.max_receive_count:
                    self._move(row["place"], attributes, ask.now)
                else:
                    left -= 1
                    yield self._received(row, ask)

    def _shown(self, limit: int, now: float, attributes: Attributes) -> list[sqlite3.Row]:
        oldest = now - attributes.retention_s
        return self._connection.execute(
            _SHOWN_IN_ORDER if self._fifo else _SHOWN,
            {"queue": self._queue, "now": now, "oldest": oldest, "limit": limit},
        ).fetchall()

    def _received(self, row: sqlite3.Row, ask: Ask) -> Received:
        token = ask.new_token()
        self._connection.execute(
            _HAND_OUT,
            {"place": row["place"], "now": ask.now, "visible_at": ask.now + ask.visibility_s, "receipt": token},
        )
        return Received(
            message_id=row["id"],
            receipt=f"{row['place']}{_SEPARATOR}{token}",
            body=row["body"],
            receive_count=row["receives"] + 1,
            sent_at=row["sent_at"],
            group=row["message_group"],
            attributes=json.loads(row["attributes"]),
        )

    def _move(self, place: int, attributes: Attributes, now: float) -> None:
        self._connection.execute(
            _MOVE, {"place": place, "now": now, "fifo": self._fifo, "dead_letters": attributes.dead_letters}
        )

    def _next_due_at(self, now: float) -> float:
        """When a hidden message shows; never, when none is hidden."""
        row = self._connection.execute(
            "SELECT min(visible_at) FROM messages WHERE queue = ? AND visible_at > ?", (self._queue, now)
        ).fetchone()
        return math.inf if row[0] is None else float(row[0])

    def _purge(self, now: float, attributes: Attributes) -> None:
        """Now and then, forget what is past its time; a look leaves it out anyway."""
        if now < self._purged_at + _PURGE_S:
            return
        self._purged_at = now
        self._connection.execute(
            "DELETE FROM messages WHERE queue = ? AND sent_at <= ?", (self._queue, now - attributes.retention_s)
        )
        self._connection.execute("DELETE FROM dedupes WHERE queue = ? AND until <= ?", (self._queue, now))

    def _is_new(self, message: Outgoing, now: float) -> bool:
        """Whether no message with its dedupe id was sent within five minutes; from now on one was."""
        added = self._connection.execute(
            _ADD_DEDUPE, {"queue": self._queue, "id": message.dedupe_id, "now": now, "until": now + _DEDUPE_S}
        )
        return added.rowcount > 0

    def _add(self, message_id: str, message: Outgoing, now: float) -> None:
        self._connection.execute(
            _ADD_MESSAGE,
            {
                "queue": self._queue,
                "id": message_id,
                "body": message.body,
                "attributes": json.dumps(message.attributes),
                "message_group": message.group if self._fifo else None,
                "now": now,
                "visible_at": now + message.delay_s,
            },
        )

    def _delete(self, receipt: str, now: float) -> EntryResult:
        held = self._held(receipt)
        if held is None or (self._fifo and held["visible_at"] <= now):
            return ReceiptLost("the message is not held with this receipt")
        self._connection.execute("DELETE FROM messages WHERE place = ?", (held["place"],))
        return Done()

    def _show(self, receipt: str, seconds: float, now: float) -> EntryResult:
        held = self._held(receipt)
        if held is None or held["visible_at"] <= now:
            return ReceiptLost("the message is not held with this receipt")
        if now + seconds > held["received_at"] + MAX_VISIBILITY_S:
            return EntryRefused(f"a message is hidden for at most {MAX_VISIBILITY_S:g} s from its receive on")
        self._connection.execute("UPDATE messages SET visible_at = ? WHERE place = ?", (now + seconds, held["place"]))
        return Done()

    def _held(self, receipt: str) -> sqlite3.Row | None:
        """The message that was handed out with the receipt, unless it was handed out again or is gone."""
        place, _, token = receipt.partition(_SEPARATOR)
        if not place.isascii() or not place.isdecimal():
            return None
        row: sqlite3.Row | None = self._connection.execute(
            "SELECT place, visible_at, received_at FROM messages WHERE place = ? AND queue = ? AND receipt = ?",
            (int(place), self._queue, token),
        ).fetchone()
        return row
