"""The Azure Storage Queue adapter. Facts about the service are those of its REST documentation."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from agentd.bus import azure_wire as wire
from agentd.bus.address import azure_address, azure_dead_letters_url
from agentd.bus.azure_credentials import credential
from agentd.bus.azure_errors import call_error, entry_error, entry_of
from agentd.bus.facts import QueueFacts, QueueKind
from agentd.bus.polling import Polling
from agentd.bus.protocol import (
    Done,
    EntryRefused,
    EntryResult,
    Outgoing,
    QueueDepth,
    QueueLimits,
    ReceiptLost,
    Received,
)
from agentd.bus.rules import check_size, fault
from agentd.core import AgentError, AzureConfig, PermanentError, Runtime

T = TypeVar("T")

_DAY_S = 86_400.0
_MAX_VISIBILITY_S = 7 * _DAY_S
_MAX_WAIT_S = 20.0
_LEAST_PAUSE_S = 0.1
_DEFAULT_TTL_S = 7 * _DAY_S
_DEFAULT_VISIBILITY_S = 30.0
_CALLS_AT_ONCE = 32


class AzureQueue:
    """One Azure Storage Queue. Keeps every sentence of `agentd.bus.protocol.Queue`.

    It has no batches (each entry is a call of its own, several at a time), no long poll (it is looked into again and again), no
    order, and no dead-letter queue of its own: nothing is moved by itself. A receipt is good until the next change of
    visibility, whose answer has a new one; when that answer is lost, so is the message until its visibility ends.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        azure: AzureConfig,
        runtime: Runtime,
        create: bool = False,
        call_timeout_s: float = 10.0,
    ) -> None:
        self._url = url
        self._name = name
        self._azure = azure
        self._runtime = runtime
        self._create = create
        self._call_timeout_s = call_timeout_s
        self._polling = Polling(runtime, least_s=_LEAST_PAUSE_S, most_s=azure.poll_max_s)
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._stack = AsyncExitStack()
        self._client_or_none: QueueClient | None = None
        self._limits: QueueLimits | None = None

    @property
    def name(self) -> str:
        """A short name for logs and metrics."""
        return self._name

    @property
    def url(self) -> str:
        """As settings name it."""
        return self._url

    @property
    def limits(self) -> QueueLimits:
        """Known once `open` has returned."""
        if self._limits is None:
            raise RuntimeError(f"queue {self._name} is not open")
        return self._limits

    @property
    def dead_letters_url(self) -> str | None:
        """The queue of the same account and name, with `-dead-letters` behind it."""
        return azure_dead_letters_url(self._url)

    async def open(self) -> None:
        """Connect, and see that the queue is there; make it if it may be made."""
        try:
            self._client_or_none = await self._connect()
            await self._find()
        except BaseException:
            await self.close()
            raise
        self._limits = QueueLimits(
            max_message_bytes=wire.MAX_BYTES,
            max_batch=wire.MAX_BATCH,
            max_wait_s=_MAX_WAIT_S,
            max_visibility_s=_MAX_VISIBILITY_S,
            max_delay_s=_MAX_VISIBILITY_S,
            fifo=False,
            retention_s=self._azure.message_ttl_s,
            visibility_s=_DEFAULT_VISIBILITY_S,
            max_receive_count=None,
            tells_hidden=False,
            size_of=wire.size_of,
        )

    async def close(self) -> None:
        """Let go of connections."""
        self._client_or_none = None
        await self._stack.aclose()

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        """Up to `limit` messages, looked for at once and then after pauses, until `wait_s` is over.

        A cancellation in a pause loses nothing; one in a call hides what the call brings until its visibility ends.
        """
        check_size(limit, wire.MAX_BATCH)
        look = partial(self._page, limit, math.ceil(visibility_s))
        return await self._polling.until_found(look, wait_s=min(wait_s, _MAX_WAIT_S))

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        """Take messages off the queue."""
        check_size(len(receipts), wire.MAX_BATCH)
        return await self._each([partial(self._delete, receipt) for receipt in receipts])

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        """Hide each (receipt, seconds from now); 0 shows it again at once."""
        check_size(len(changes), wire.MAX_BATCH)
        return await self._each([partial(self._show, receipt, seconds) for receipt, seconds in changes])

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        """Put messages on the queue, one call for each."""
        check_size(len(messages), wire.MAX_BATCH)
        return await self._each([partial(self._send, message) for message in messages])

    async def depth(self) -> QueueDepth:
        """How much is on the queue, roughly: the service counts hidden messages as well, and does not tell them apart."""
        properties = await self._call("GetQueueMetadata", self._client.get_queue_properties)
        return QueueDepth(visible=properties.approximate_message_count or 0, in_flight=0, delayed=0)

    async def facts(self) -> QueueFacts:
        """How the queue is set up: every one is the same. How long a message is kept its sender says."""
        return QueueFacts(
            kind=QueueKind.AZURE,
            url=self._url,
            fifo=False,
            visibility_s=_DEFAULT_VISIBILITY_S,
            retention_s=_DEFAULT_TTL_S if self._name == "commands" else self._azure.message_ttl_s,
            dead_letters=None,
            max_receive_count=None,
            visible=(await self.depth()).visible,
            encrypted=True,
        )

    @property
    def _client(self) -> QueueClient:
        if self._client_or_none is None:
            raise RuntimeError(f"queue {self._name} is not open")
        return self._client_or_none

    async def _connect(self) -> QueueClient:
        address = azure_address(self._url)
        client = QueueClient(
            address.account_url,
            address.queue,
            credential=await credential(self._azure, address, self._stack),
            retry_total=0,
            connection_timeout=self._call_timeout_s,
            read_timeout=_MAX_WAIT_S + self._call_timeout_s,
        )
        return await self._stack.enter_async_context(client)

    async def _find(self) -> None:
        try:
            await self.depth()
        except PermanentError as error:
            if not self._create or not isinstance(error.__cause__, ResourceNotFoundError):
                raise
            await self._call("CreateQueue", self._made)

    async def _made(self) -> None:
        try:
            await self._client.create_queue()
        except ResourceExistsError:
            return  # another replica was faster

    async def _page(self, limit: int, seconds: int, within_s: float) -> Sequence[Received]:
        return await self._call("GetMessages", partial(self._first_page, limit, seconds), within_s=within_s)

    async def _first_page(self, limit: int, seconds: int) -> Sequence[Received]:
        """One page is one call; to ask for the next one would be another."""
        messages = self._client.receive_messages(
            messages_per_page=limit, max_messages=limit, visibility_timeout=seconds
        )
        page = await anext(messages.by_page(), None)
        return [] if page is None else [wire.received(message) async for message in page]

    async def _delete(self, receipt: str) -> EntryResult:
        held = wire.receipt_parts(receipt)
        if held is None:
            return ReceiptLost(f"{receipt!r} is no receipt of this queue")
        return await self._entry("DeleteMessage", partial(self._client.delete_message, *held), lambda _: Done())

    async def _show(self, receipt: str, seconds: float) -> EntryResult:
        held = wire.receipt_parts(receipt)
        if held is None:
            return ReceiptLost(f"{receipt!r} is no receipt of this queue")
        call = partial(self._client.update_message, *held, visibility_timeout=math.ceil(seconds))
        return await self._entry(
            "UpdateMessage", call, lambda now: Done(wire.receipt_of(held[0], now.pop_receipt or ""))
        )

    async def _send(self, message: Outgoing) -> EntryResult:
        if why := fault(message, self.limits):
            return EntryRefused(why)
        call = partial(
            self._client.send_message,
            wire.text_of(message),
            visibility_timeout=math.ceil(message.delay_s),
            # What is not shown before it ends would be refused.
            time_to_live=math.ceil(self._azure.message_ttl_s + message.delay_s),
        )
        return await self._entry("PutMessage", call, lambda _: Done())

    async def _entry(self, operation: str, call: Callable[[], Awaitable[T]], done: Callable[[T], Done]) -> EntryResult:
        """The result of one message's call. Raises what is about the queue, and not about the message."""
        try:
            return done(await self._call(operation, call))
        except AgentError as error:
            result = entry_error(error.__cause__) if isinstance(error.__cause__, HttpResponseError) else None
            if result is None:
                raise
            return result

    async def _each(self, entries: Sequence[Callable[[], Awaitable[EntryResult]]]) -> Sequence[EntryResult]:
        """All of them, several at a time, in order. When the queue itself refused every one, that is the call's own error."""
        async with asyncio.TaskGroup() as group:
            tasks = [self._runtime.spawn(group, self._one(entry), f"{self._name}-entry") for entry in entries]
        results = [task.result() for task in tasks]
        errors = [result for result in results if isinstance(result, AgentError)]
        if len(errors) == len(results):
            raise errors[0]
        return [entry_of(result) if isinstance(result, AgentError) else result for result in results]

    async def _one(self, entry: Callable[[], Awaitable[EntryResult]]) -> EntryResult | AgentError:
        try:
            return await entry()
        except AgentError as error:
            return error

    async def _call(self, operation: str, call: Callable[[], Awaitable[T]], *, within_s: float | None = None) -> T:
        """Waiting for others' calls to end counts as the call's own time."""
        try:
            async with asyncio.timeout(within_s or self._call_timeout_s), self._calls:
                return await call()
        except (AzureError, OSError) as error:  # TimeoutError is an OSError
            raise call_error(error, operation=operation, queue=self._name) from error
