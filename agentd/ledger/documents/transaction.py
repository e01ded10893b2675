"""Optimistic transactions: read, decide, and write on condition that what was read is still so; else begin again."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agentd.core import AgentError, Reason, Runtime, TransientError, side_by_side
from agentd.ledger.documents.bodies import (
    INLINE_BYTES,
    Parts,
    decoded,
    encoded,
    parts_body,
    pieces,
    read_body,
    whole_body,
)
from agentd.ledger.documents.places import Places
from agentd.ledger.documents.shapes import Shape
from agentd.ledger.documents.store import Change, Conflicted, Delete, DocumentStore, Expected, Place, Put, Stored
from agentd.ledger.protocol import Json

T = TypeVar("T")
S = TypeVar("S", bound=Shape)
Observe = Callable[[str, str, float], None]

_MOST_TRIES = 30
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.5
_PARTED_AT_ONCE = 8
_ID_BITS = 96


@dataclass(slots=True, eq=False)
class _Document:
    """A document in a transaction: as it was read, and what it is to be."""

    version: str | None = None
    written_by: str | None = None
    parts: Parts | None = None
    content: Json = None


class Transaction:
    """What one operation reads, each document once, and what it is about to write. `id` is its own and no other's."""

    def __init__(self, store: DocumentStore, places: Places, identifier: str) -> None:
        self.id = identifier
        self.places = places
        self.left_over: Sequence[Parts] = ()
        """Once it has ended: parts that no document refers to."""
        self._store = store
        self._documents: dict[Place, _Document] = {}
        self._changes: dict[Place, str | Expected] = {}

    # -- reading ------------------------------------------------------------------------------------------------------------

    async def read(self, places: Iterable[Place]) -> None:
        """Read what has not been read yet, together. Each is as it was at some moment, not all at the same one."""
        wanted = [place for place in dict.fromkeys(places) if place not in self._documents]
        if wanted:
            found = await self._store.get(wanted)
            self._documents |= {place: _Document() for place in wanted}
            await self._take_in(found.values())

    async def list(
        self, partition: str, *, first: str = "", before: str | None = None, limit: int | None = None
    ) -> Sequence[Place]:
        """Read the documents of a partition, in order; where they are."""
        found = await self._store.range(partition, first=first, before=before, limit=limit)
        await self._take_in(stored for stored in found if stored.place not in self._documents)
        return [stored.place for stored in found]

    async def list_all(self, partitions: Iterable[str]) -> Sequence[Place]:
        """The same of several partitions, at once."""
        wanted = list(partitions)
        found = await side_by_side(wanted, self.list, name="ledger-list", at_once=len(wanted))
        return [place for places in found for place in places]

    def find(self, shape: type[S], place: Place) -> S | None:
        """A document that has been read, as this transaction would leave it; None when it is not there."""
        content = self._documents[place].content
        return None if content is None else shape.of(content)

    def written_by(self, place: Place) -> str | None:
        """The write that a document which has been read is from."""
        return self._documents[place].written_by

    # -- writing ------------------------------------------------------------------------------------------------------------

    def put(self, place: Place, content: Shape) -> None:
        """Make or replace a document that has been read, if it is still as it was."""
        document = self._documents[place]
        self._changes[place] = Expected.ABSENT if document.version is None else document.version
        document.content = content.json()

    def put_unread(self, place: Place, content: Shape) -> None:
        """Make or replace a document that nobody else writes as long as this transaction's other conditions hold."""
        self._changes[place] = Expected.ANYTHING
        self._documents.setdefault(place, _Document()).content = content.json()

    def delete(self, place: Place) -> None:
        """Remove a document that has been read, if it is still as it was."""
        document = self._documents[place]
        document.content = None
        if document.version is None:
            self._changes.pop(place, None)
        else:
            self._changes[place] = document.version

    def delete_unread(self, place: Place) -> None:
        """Remove a document, there or not, that nobody else writes as long as this transaction's other conditions hold."""
        self._changes[place] = Expected.ANYTHING
        self._documents.setdefault(place, _Document()).content = None

    async def commit(self) -> None:
        """Write. Raises Conflicted when anything was not as expected, and ValueError or TypeError when a content is no JSON.

        Nothing has been written then.
        """
        if not self._changes:
            return
        contents = {place: self._content(place) for place in self._changes}
        parts = await self._write_parts({place: body for place, body in contents.items() if len(body) > INLINE_BYTES})
        changes = [self._change(place, contents[place], parts.get(place)) for place in self._changes]
        try:
            await self._store.write(changes, self.id)
        except Conflicted:
            if not await self._is_written():
                self.left_over = list(parts.values())
                raise
        self.left_over = [old for place in self._changes if (old := self._documents[place].parts) is not None]

    # -- within -------------------------------------------------------------------------------------------------------------

    async def _take_in(self, found: Iterable[Stored]) -> None:
        """Raises Conflicted when a document's parts have gone: it has just been replaced."""
        parted: dict[Place, Parts] = {}
        for stored in found:
            body = read_body(stored.body)
            document = _Document(stored.version, stored.written_by)
            if isinstance(body, Parts):
                parted[stored.place] = document.parts = body
            else:
                document.content = decoded(body)
            self._documents[stored.place] = document
        if parted:
            contents = await side_by_side(parted.values(), self._joined, name="ledger-parts", at_once=_PARTED_AT_ONCE)
            for place, content in zip(parted, contents, strict=True):
                self._documents[place].content = decoded(content)

    async def _joined(self, parts: Parts) -> bytes:
        found = await self._store.range(self.places.parts(parts.id))
        if len(found) != parts.count:
            raise Conflicted
        return b"".join(part.body for part in found)

    def _content(self, place: Place) -> bytes:
        content = self._documents[place].content
        return b"" if content is None else encoded(content)

    def _change(self, place: Place, content: bytes, parts: Parts | None) -> Change:
        expected = self._changes[place]
        if not content:
            return Delete(place, expected)
        return Put(place, whole_body(content) if parts is None else parts_body(parts), expected)

    async def _write_parts(self, contents: dict[Place, bytes]) -> dict[Place, Parts]:
        """Large contents go first, where nobody looks before the documents say so. After a crash they stay, and harm nobody."""
        parts: dict[Place, Parts] = {}
        puts: list[Put] = []
        for number, (place, content) in enumerate(contents.items()):
            cut = list(pieces(content, self._store.limits.body_bytes))
            parts[place] = Parts(f"{self.id}-{number}", len(cut))
            puts += [
                Put(self.places.part(parts[place].id, order), piece, Expected.ANYTHING)
                for order, piece in enumerate(cut)
            ]
        if puts:
            await side_by_side(
                puts, lambda put: self._store.write([put], self.id), name="ledger-parts", at_once=_PARTED_AT_ONCE
            )
        return parts

    async def _is_written(self) -> bool:
        """Whether this very write has been carried out, and only its answer was lost."""
        put = next((place for place in self._changes if self._documents[place].content is not None), None)
        found = {} if put is None else await self._store.get([put])
        return any(stored.written_by == self.id for stored in found.values())


class Transactions:
    """Runs operations as transactions of one store."""

    def __init__(self, store: DocumentStore, runtime: Runtime, observe: Observe) -> None:
        self.places = Places(store.limits.shards)
        self._store = store
        self._runtime = runtime
        self._observe = observe

    def new_id(self) -> str:
        """An id that nobody else has."""
        return f"{self._runtime.random.getrandbits(_ID_BITS):024x}"

    async def run(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What the work answers, once what it wrote is durable. It is begun anew when others came first.

        TransientError: others came first again and again.
        """
        for tries in range(_MOST_TRIES):
            transaction = Transaction(self._store, self.places, self.new_id())
            try:
                answer = await work(transaction)
                await transaction.commit()
            except Conflicted:
                await self._drop(transaction.left_over)
                ceiling_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**tries)
                await self._runtime.sleep(self._runtime.full_jitter(ceiling_s))
            else:
                await self._drop(transaction.left_over)
                return answer
        raise TransientError(Reason.UNAVAILABLE, f"ledger: others were faster {_MOST_TRIES} times")

    async def _drop(self, left_over: Sequence[Parts]) -> None:
        """Remove parts that no document refers to any more. If that fails they stay, and harm nobody."""
        for parts in left_over:
            begun = self._runtime.monotonic()
            try:
                for number in range(parts.count):
                    await self._store.write([Delete(self.places.part(parts.id, number), Expected.ANYTHING)], "")
            except AgentError:
                self._observe("drop_parts", "error", self._runtime.monotonic() - begun)
