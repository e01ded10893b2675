"""Dead letters for people: look at them, and send them back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentd.bus.letters import (
    AT,
    EPOCH,
    KEY,
    MESSAGE,
    MESSAGE_ID,
    OUTCOME,
    REASON,
    REDRIVE,
    epoch_of,
    group_of,
    own_attributes,
)
from agentd.bus.peek import peeking
from agentd.bus.protocol import Done, Outgoing, Queue, Received
from agentd.core import Runtime

_VISIBILITY_S = 30.0
_SCAN_LIMIT = 10_000
_LONGEST_VISIBILITY_S = 43_200.0


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """One dead letter. What follows `attributes` is None for a message that the queue moved by itself."""

    message_id: str
    body: str
    sent_at: float | None
    receive_count: int
    group: str | None
    attributes: dict[str, str]
    key: str | None
    epoch: int | None
    outcome: str | None
    reason: str | None
    message: str | None
    dead_lettered_at: str | None
    original_message_id: str | None

    def named(self, name: str) -> bool:
        """Whether `name` is its message id, its id on the commands queue, its key, or its event's id."""
        known = (self.message_id, self.original_message_id, self.key, (self.key or "").partition("/")[2])
        return bool(name) and name in known


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """What a redrive did. `failed` has (message id, why)."""

    looked_at: int
    redriven: tuple[DeadLetterEntry, ...]
    failed: tuple[tuple[str, str], ...]


class DeadLetters:
    """Looks through, and redrives by copying: the queue's own move has no filter and is missing on many servers.

    Both queues are open. Of what a FIFO queue has moved by itself only the first few of each group are seen, until a sweep has
    told of them.
    """

    def __init__(self, dead_letters: Queue, commands: Queue, runtime: Runtime) -> None:
        self._dead_letters = dead_letters
        self._commands = commands
        self._runtime = runtime

    async def list(self, limit: int) -> Sequence[DeadLetterEntry]:
        """Up to `limit` of them, in no particular order. Each is hidden for a moment, and its receive count grows."""
        found: list[DeadLetterEntry] = []
        async with peeking(self._dead_letters, visibility_s=_VISIBILITY_S, limit=limit) as peek:
            while page := await peek.page():
                found += map(_entry, page)
        return found

    async def show(self, name: str) -> DeadLetterEntry | None:
        """The first one that is `named` so; None if there is none among the first ten thousand."""
        async with peeking(self._dead_letters, visibility_s=_VISIBILITY_S, limit=_SCAN_LIMIT) as peek:
            while page := await peek.page():
                for entry in map(_entry, page):
                    if entry.named(name):
                        return entry
        return None

    async def redrive(
        self, select: Callable[[DeadLetterEntry], bool], *, rate_per_s: float, limit: int
    ) -> RedriveResult:
        """Send up to `limit` selected ones back to the commands queue, then delete them here.

        The copy keeps `agentd-epoch`: that is how the dispatcher knows that the next epoch is asked for. A crash in between
        leaves both; the dispatcher then sees the same epoch asked for twice, and opens it once. What fails again at once is
        not taken a second time.
        """
        redriven: list[DeadLetterEntry] = []
        failed: list[tuple[str, str]] = []
        looked_at = 0
        run = self._runtime.new_id()
        visibility_s = min(_VISIBILITY_S + 2 * self._dead_letters.limits.max_batch / rate_per_s, _LONGEST_VISIBILITY_S)
        async with peeking(self._dead_letters, visibility_s=visibility_s, limit=_SCAN_LIMIT) as peek:
            while len(redriven) < limit and (page := await peek.page()):
                looked_at += len(page)
                for message in page:
                    entry = _entry(message)
                    again = message.attributes.get(REDRIVE) == run
                    if len(redriven) >= limit or again or not select(entry):
                        continue
                    if fault := await self._send_back(message, run):
                        failed.append((entry.message_id, fault))
                    else:
                        peek.taken(message)
                        redriven.append(entry)
                    await self._runtime.sleep(1 / rate_per_s)
        return RedriveResult(looked_at=looked_at, redriven=tuple(redriven), failed=tuple(failed))

    async def _send_back(self, message: Received, run: str) -> str | None:
        """Copy, then delete; why it could not be done, or None."""
        kept = {name: value for name, value in message.attributes.items() if name in (EPOCH, MESSAGE_ID)}
        copy = Outgoing(
            body=message.body,
            attributes=own_attributes(message.attributes) | kept | {REDRIVE: run},
            group=group_of(message) or message.attributes.get(KEY, message.message_id),
            dedupe_id=self._runtime.new_id(),
        )
        (sent,) = await self._commands.send([copy])
        if not isinstance(sent, Done):
            return sent.message
        (deleted,) = await self._dead_letters.delete([message.receipt])
        if not isinstance(deleted, Done):
            return f"sent back, but it is still in the dead-letter queue: {deleted.message}"
        return None


def _entry(message: Received) -> DeadLetterEntry:
    tags = message.attributes
    return DeadLetterEntry(
        message_id=message.message_id,
        body=message.body,
        sent_at=message.sent_at,
        receive_count=message.receive_count,
        group=group_of(message),
        attributes=own_attributes(tags),
        key=tags.get(KEY),
        epoch=epoch_of(tags),
        outcome=tags.get(OUTCOME),
        reason=tags.get(REASON),
        message=tags.get(MESSAGE),
        dead_lettered_at=tags.get(AT),
        original_message_id=tags.get(MESSAGE_ID),
    )
