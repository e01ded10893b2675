"""The SQS adapter. Facts about the service are those of its own API model (2012-11-05)."""

import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from agentd.bus.facts import QueueFacts, sqs_facts
from agentd.bus.protocol import (
    Done,
    EntryFailed,
    EntryRefused,
    EntryResult,
    Outgoing,
    QueueDepth,
    QueueLimits,
    Received,
)
from agentd.bus.rules import check_size, fault
from agentd.bus.sqs_calls import SqsCalls, new_session, sqs_calls
from agentd.bus.sqs_errors import call_error
from agentd.bus.sqs_wire import MAX_BATCH, Json, outcomes, parts, received, send_entry
from agentd.core import AgentError, AwsConfig, PermanentError, Reason, Runtime

_MAX_WAIT_S = 20.0
_MAX_VISIBILITY_S = 43_200.0
_MAX_DELAY_S = 900.0
_READ_MARGIN_S = 4.0
_ATTEMPT_LIFE_S = 240.0  # SQS remembers a receive attempt for five minutes
_ATTEMPTS_KEPT = 16
_REGION_IN_URL = re.compile(r"^https?://(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A receive on a FIFO queue whose answer was lost: SQS repeats it to whoever asks with the same id and size."""

    id: str
    limit: int
    started_at: float


class SqsQueue:
    """One SQS queue, standard or FIFO. Keeps every sentence of `agentd.bus.protocol.Queue`.

    Visibility, waits and delays are rounded up to the whole seconds that SQS counts in. The SDK retries nothing: who
    calls knows better when and for how long. A send is split where the sum of its messages would exceed the queue's limit.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        aws: AwsConfig,
        runtime: Runtime,
        connections: int = 16,
        call_timeout_s: float = 10.0,
        session: AioSession | None = None,
    ) -> None:
        self._url = url
        self._name = name
        self._aws = aws
        self._runtime = runtime
        self._connections = connections
        self._call_timeout_s = call_timeout_s
        self._session = session
        self._stack = AsyncExitStack()
        self._calls_or_none: SqsCalls | None = None
        self._limits: QueueLimits | None = None
        self._dead_letter_arn: str | None = None
        self._unanswered: list[_Attempt] = []

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
        """The queue that the redrive policy names. It is in the same account and region."""
        if self._dead_letter_arn is None:
            return None
        return f"{self._url.rsplit('/', 1)[0]}/{self._dead_letter_arn.rsplit(':', 1)[1]}"

    async def open(self) -> None:
        """Connect and read the limits."""
        try:
            self._calls_or_none = await self._connect()
            self._read_limits(await self._attributes())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of connections."""
        self._calls_or_none = None
        await self._stack.aclose()

    async def receive(self, limit: int, *, wait_s: float, visibility_s: float) -> Sequence[Received]:
        """Up to `limit` messages. On FIFO queues a receive whose answer was lost is asked again by its attempt id."""
        check_size(limit, MAX_BATCH)
        attempt = self._attempt(limit) if self.limits.fifo else None
        wait = min(math.ceil(wait_s), int(_MAX_WAIT_S))
        request: Json = {
            "QueueUrl": self._url,
            "MaxNumberOfMessages": limit,
            "WaitTimeSeconds": wait,
            "VisibilityTimeout": math.ceil(visibility_s),
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"],
            "MessageAttributeNames": ["All"],
        }
        if attempt is not None:
            request |= {"MaxNumberOfMessages": attempt.limit, "ReceiveRequestAttemptId": attempt.id}
        try:
            answer = await self._call("ReceiveMessage", request, within_s=wait + _READ_MARGIN_S)
        except AgentError as error:
            if attempt is not None and not isinstance(error.__cause__, ClientError):
                self._unanswered = [*self._unanswered, attempt][-_ATTEMPTS_KEPT:]
            raise
        return [received(message) for message in answer.get("Messages") or ()]

    async def delete(self, receipts: Sequence[str]) -> Sequence[EntryResult]:
        """Take messages off the queue."""
        check_size(len(receipts), MAX_BATCH)
        entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(receipts)]
        return outcomes(len(receipts), await self._batch("DeleteMessageBatch", entries))

    async def change_visibility(self, changes: Sequence[tuple[str, float]]) -> Sequence[EntryResult]:
        """Hide each (receipt, seconds from now); 0 shows it again at once."""
        check_size(len(changes), MAX_BATCH)
        entries = [
            {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": math.ceil(seconds)}
            for n, (receipt, seconds) in enumerate(changes)
        ]
        return outcomes(len(changes), await self._batch("ChangeMessageVisibilityBatch", entries))

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[EntryResult]:
        """Put messages on the queue. What it would refuse anyway is refused here, so that it cannot spoil a batch."""
        check_size(len(messages), MAX_BATCH)
        results: dict[int, EntryResult] = {}
        fit: dict[int, int] = {}
        for n, message in enumerate(messages):
            if why := fault(message, self.limits):
                results[n] = EntryRefused(why)
            else:
                fit[n] = message.size_bytes
        for part in parts(fit, self.limits.max_message_bytes):
            try:
                results |= await self._send_part({n: messages[n] for n in part})
            except AgentError as error:
                if not any(isinstance(result, Done) for result in results.values()):
                    raise
                # An earlier part has been sent: only these entries are tried again.
                results |= dict.fromkeys(part, EntryFailed(error.message))
        return [results[n] for n in range(len(messages))]

    async def depth(self) -> QueueDepth:
        """How much is on the queue, roughly."""
        attributes = await self._attributes()
        return QueueDepth(
            visible=int(attributes.get("ApproximateNumberOfMessages", 0)),
            in_flight=int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
            delayed=int(attributes.get("ApproximateNumberOfMessagesDelayed", 0)),
        )

    async def facts(self) -> QueueFacts:
        """How the queue is set up, and roughly what is on it."""
        return sqs_facts(self._url, await self._attributes())

    async def _connect(self) -> SqsCalls:
        try:
            calls = sqs_calls(
                self._session or new_session(self._aws.profile),
                region=self._aws.region or region_of(self._url),
                endpoint_url=self._aws.endpoint_url,
                connect_timeout_s=self._call_timeout_s,
                read_timeout_s=_MAX_WAIT_S + _READ_MARGIN_S,
                connections=self._connections,
                runtime=self._runtime,
            )
            return await self._stack.enter_async_context(calls)
        except BotoCoreError as error:
            raise call_error(error, operation="connect", queue=self._name) from error
        except ValueError as error:  # botocore's word for an endpoint that is no URL
            raise PermanentError(Reason.INVALID_REQUEST, f"connect to queue {self._name}: {error}") from error

    async def _attributes(self) -> Mapping[str, str]:
        answer = await self._call("GetQueueAttributes", {"QueueUrl": self._url, "AttributeNames": ["All"]})
        return answer.get("Attributes") or {}

    def _read_limits(self, attributes: Mapping[str, str]) -> None:
        fifo = attributes.get("FifoQueue", "false") == "true" or self._url.endswith(".fifo")
        redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
        self._dead_letter_arn = redrive.get("deadLetterTargetArn")
        self._limits = QueueLimits(
            max_message_bytes=int(attributes.get("MaximumMessageSize", 262_144)),
            max_batch=MAX_BATCH,
            max_wait_s=_MAX_WAIT_S,
            max_visibility_s=_MAX_VISIBILITY_S,
            max_delay_s=0.0 if fifo else _MAX_DELAY_S,
            fifo=fifo,
            retention_s=float(attributes.get("MessageRetentionPeriod", 345_600)),
            visibility_s=float(attributes.get("VisibilityTimeout", 30)),
            max_receive_count=int(redrive["maxReceiveCount"]) if "maxReceiveCount" in redrive else None,
        )

    def _attempt(self, limit: int) -> _Attempt:
        now = self._runtime.monotonic()
        self._unanswered = [known for known in self._unanswered if now - known.started_at < _ATTEMPT_LIFE_S]
        for known in self._unanswered:
            if known.limit <= limit:
                self._unanswered.remove(known)
                return known
        return _Attempt(self._runtime.new_id(), limit, now)

    async def _send_part(self, messages: Mapping[int, Outgoing]) -> dict[int, EntryResult]:
        entries = [send_entry(str(place), message, self.limits) for place, message in enumerate(messages.values())]
        results = outcomes(len(messages), await self._batch("SendMessageBatch", entries))
        return dict(zip(messages, results, strict=True))

    async def _batch(self, operation: str, entries: Sequence[Mapping[str, object]]) -> Json:
        return await self._call(operation, {"QueueUrl": self._url, "Entries": entries})

    async def _call(self, operation: str, request: Json, *, within_s: float | None = None) -> Json:
        if self._calls_or_none is None:
            raise RuntimeError(f"queue {self._name} is not open")
        try:
            async with asyncio.timeout(within_s or self._call_timeout_s):
                return await self._calls_or_none.call(operation, request)
        except (ClientError, BotoCoreError, OSError) as error:  # TimeoutError is an OSError
            raise call_error(error, operation=operation, queue=self._name) from error


def region_of(url: str) -> str | None:
    """The region that the queue's own URL names, if it is one of AWS."""
    found = _REGION_IN_URL.match(url)
    return (found.group(1) or found.group(2)) if found else None
