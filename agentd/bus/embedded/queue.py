"""The embedded adapter: the file's calls in a thread, and waiting for messages without a long poll."""

import asyncio
import math
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from agentd.bus.address import EmbeddedAddress, embedded_address
from agentd.bus.embedded.attributes import Attributes, default_attributes
from agentd.bus.embedded.file import open_file, translated
from agentd.bus.embedded.store import MAX_VISIBILITY_S, Ask, Store
from agentd.bus.facts import QueueFacts, QueueKind
from agentd.bus.polling import Polling
from agentd.bus.protocol import Done, EntryRefused, EntryResult, Outgoing, QueueDepth, QueueLimits, Received
from agentd.bus.rules import check_size, fault
from agentd.core import PermanentError, Reason, Runtime, TransientError

T = TypeVar("T")

_MAX_BATCH = 32
_MAX_WAIT_S = 20.0
_MAX_DELAY_S = 900.0
# Between two looks. One at a file in which nothing has changed costs little more than the way to the thread and back: an
# idle queue takes less than a hundredth of a core.
_LEAST_PAUSE_S = 0.005
_MOST_PAUSE_S = 0.04
_BUSY_SHARE = 0.8  # of a call's time: SQLite gives up waiting for a busy file before the call is cut


class EmbeddedQueue:
    """One queue in a file that processes of one machine share. Keeps every sentence of `agentd.bus.protocol.Queue`.

    Standard and FIFO queues do what those of SQS do. A message sent by whatever process is seen within tens of milliseconds.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        runtime: Runtime,
        create: bool = False,
        attributes: Attributes | None = None,
        call_timeout_s: float = 10.0,
    ) -> None:
        self._address = embedded_address(url)
        self._name = name
        self._runtime = runtime
        self._create = create
        self._wanted = attributes or default_attributes(self._address, name)
        self._call_timeout_s = call_timeout_s
        self._polling = Polling(runtime, least_s=_LEAST_PAUSE_S, most_s=_MOST_PAUSE_S)
        self._thread: ThreadPoolExecutor | None = None
        self._store_or_none: Store | None = None
        self._limits: QueueLimits | None = None
        self._dead_letters_url: str | None = None

    @property
    def name(self) -> str:
        """A short name for logs and metrics."""
        return self._name

    @property
    def url(self) -> str:
        """As settings name it."""
        return self._address.url

    @property
    def limits(self) -> QueueLimits:
        """Known once `open` has returned."""
        if self._limits is None:
            raise RuntimeError(f"queue {self._name} is not open")
        return self._limits

    @property
    def dead_letters_url(self) -> str | None:
        """The queue of the same file that takes what was received too often."""
        return self._dead_letters_url

    async def open(self) -> None:
        """Open the file and read the limits. With `create`, file, queue and dead-letter queue are made as needed."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"queue-{self._name}")
        try:
            connection = await self._in_thread(
                "open",
                partial(open_file, self._address.path, create=self._create, busy_s=self._call_timeout_s * _BUSY_SHARE),
            )
            self._store_or_none = Store(connection, self._address)
            if self._create:
                await self._call("make", lambda store: store.make(self._wanted, *self._beside()))
            self._read(await self._call("open", Store.attributes))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the file."""
        store, self._store_or_none = self._store_or_none, None
        thread, self._thread = self._thread, None
        if thread is not None:
            if store is not None:
                await asyncio.get_running_loop().run_in_executor(thread, store.close)
            thread.shutdown(wait=False)

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        """Up to `limit` messages, looked for at once and then every few milliseconds, until `wait_s` is over.

        A cancellation in the middle of a look, a millisecond, hides what it brings until its visibility ends.
        """
        check_size(limit, _MAX_BATCH)

        async def look(within_s: float) -> Sequence[Received]:
            ask = Ask(self._runtime.now(), limit, math.ceil(visibility_s), self._runtime.new_id)
            return await self._call("receive", lambda store: store.look(ask), within_s=within_s)

        return await self._polling.until_found(look, wait_s=min(wait_s, _MAX_WAIT_S))

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        """Take messages off the queue."""
        check_size(len(receipts), _MAX_BATCH)
        now = self._runtime.now()
        return await self._call("delete", lambda store: store.delete(receipts, now=now))

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        """Hide each (receipt, seconds from now); 0 shows it again at once."""
        check_size(len(changes), _MAX_BATCH)
        now = self._runtime.now()
        whole = [(receipt, math.ceil(seconds)) for receipt, seconds in changes]
        return await self._call("change visibility", lambda store: store.change_visibility(whole, now=now))

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        """Put messages on the queue, in one transaction."""
        check_size(len(messages), _MAX_BATCH)
        results: list[EntryResult] = [
            EntryRefused(why) if (why := fault(message, self.limits)) else Done() for message in messages
        ]
        good = [
            (self._runtime.new_id(), message)
            for message, result in zip(messages, results, strict=True)
            if isinstance(result, Done)
        ]
        now = self._runtime.now()
        await self._call("send", lambda store: store.add(good, now=now))
        return results

    async def depth(self) -> QueueDepth:
        """How much is on the queue."""
        now = self._runtime.now()
        return await self._call("depth", lambda store: store.depth(now=now))

    async def facts(self) -> QueueFacts:
        """How the queue is set up, and what is on it."""
        attributes = await self._call("facts", Store.attributes)
        return QueueFacts(
            kind=QueueKind.EMBEDDED,
            url=self.url,
            fifo=self._address.fifo,
            visibility_s=attributes.visibility_s,
            retention_s=attributes.retention_s,
            dead_letters=attributes.dead_letters,
            max_receive_count=attributes.max_receive_count,
            visible=(await self.depth()).visible,
            encrypted=False,
        )

    def _beside(self) -> list[tuple[str, Attributes]]:
        """The dead-letter queue that goes with it."""
        if self._wanted.dead_letters is None:
            return []
        return [(self._wanted.dead_letters, default_attributes(self._address, "dead-letters"))]

    def _read(self, attributes: Attributes) -> None:
        self._limits = QueueLimits(
            max_message_bytes=attributes.max_message_bytes,
            max_batch=_MAX_BATCH,
            max_wait_s=_MAX_WAIT_S,
            max_visibility_s=MAX_VISIBILITY_S,
            max_delay_s=0.0 if self._address.fifo else _MAX_DELAY_S,
            fifo=self._address.fifo,
            retention_s=attributes.retention_s,
            visibility_s=attributes.visibility_s,
            max_receive_count=attributes.max_receive_count,
        )
        if attributes.dead_letters is not None:
            self._dead_letters_url = EmbeddedAddress(self._address.path, attributes.dead_letters).url

    async def _call(self, operation: str, work: Callable[[Store], T], *, within_s: float | None = None) -> T:
        if self._store_or_none is None:
            raise RuntimeError(f"queue {self._name} is not open")
        return await self._in_thread(operation, partial(work, self._store_or_none), within_s=within_s)

    async def _in_thread(self, operation: str, work: Callable[[], T], *, within_s: float | None = None) -> T:
        where = f"{operation} on queue {self._name}"
        try:
            async with asyncio.timeout(within_s or self._call_timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError as error:
            raise TransientError(Reason.UNAVAILABLE, f"{where}: no answer in time") from error
        except sqlite3.Error as error:
            found = translated(error, self._address.path)
            raise type(found)(found.reason, f"{where}: {found.message}") from error
        except PermanentError as error:
            raise PermanentError(error.reason, f"{where}: {error.message}") from error
