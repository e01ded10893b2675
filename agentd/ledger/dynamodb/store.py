"""A store of documents in a DynamoDB table. Facts about the service are those of its own API model (2012-08-10).

Reads are strongly consistent. A write of one document is a conditional put or delete, of several a transaction, with the write's
id as its token: repeated within ten minutes, it answers as it did before.
"""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from agentd.core import AwsConfig, PermanentError, Reason, Runtime, TransientError, side_by_side
from agentd.ledger.config import DynamoDbConfig
from agentd.ledger.documents import Change, Conflicted, Place, Put, Stored, StoreLimits
from agentd.ledger.dynamodb import wire
from agentd.ledger.dynamodb.errors import call_error, is_conflict, is_in_use, is_missing

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_dynamodb.type_defs import TransactWriteItemTypeDef

T = TypeVar("T")

LIMITS = StoreLimits(changes=100, body_bytes=380_000, shards=8)
"""Of a transaction, of an item (400 KB with its names), and over how many partitions a list is spread: each takes a thousand
writes a second."""

_READS = 100
_ATTEMPTS = 3
_CONNECT_S = 3.0
_AT_ONCE = 8
_FIRST_PAUSE_S = 0.05
_MOST_TRIES = 8
_LOOK_S = 1.0
_MADE_WITHIN_S = 120.0


class DynamoDbStore:
    """See `agentd.ledger.documents.DocumentStore`. The SDK repeats calls whose answer was lost or that were throttled."""

    def __init__(
        self, config: DynamoDbConfig, aws: AwsConfig, runtime: Runtime, session: AioSession | None = None
    ) -> None:
        self._config = config
        self._aws = aws
        self._runtime = runtime
        self._table = config.table
        # It holds the credentials and the parsed service model: several stores may share it.
        self._session = session or AioSession(profile=aws.profile)
        self._stack = AsyncExitStack()
        self._client_or_none: DynamoDBClient | None = None

    @property
    def limits(self) -> StoreLimits:
        """See the port."""
        return LIMITS

    async def open(self, *, create: bool) -> None:
        """Connect, and see that the table is there; make it if it may be made.

        PermanentError: it is not, or it is another kind of table.
        """
        try:
            self._client_or_none = await self._connect()
            await self._find(create=create)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of connections."""
        self._client_or_none = None
        await self._stack.aclose()

    async def get(self, places: Collection[Place]) -> Mapping[Place, Stored]:
        """See the port."""
        if len(places) == 1:
            return await self._get_one(*places)
        listed = list(places)
        pages = [listed[start : start + _READS] for start in range(0, len(listed), _READS)]
        found = await side_by_side(pages, self._get_some, name="ledger-get", at_once=_AT_ONCE)
        return {stored.place: stored for stored in chain.from_iterable(found)}

    async def range(
        self, partition: str, *, first: str = "", before: str | None = None, limit: int | None = None
    ) -> Sequence[Stored]:
        """See the port."""
        request = wire.query(self._table, partition, first, before)
        found: list[Stored] = []
        while limit is None or len(found) < limit:
            if limit is not None:
                request["Limit"] = limit - len(found)
            answer = await self._call("Query", self._client.query(**request))
            found += [stored for item in answer["Items"] if (stored := wire.stored(item)).place.name != before]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    async def write(self, changes: Sequence[Change], write_id: str) -> None:
        """See the port."""
        if len(changes) == 1:
            await self._write_one(changes[0], write_id)
            return
        items = [self._item(change, write_id) for change in changes]
        await self._call(
            "TransactWriteItems",
            self._client.transact_write_items(TransactItems=items, ClientRequestToken=write_id),
        )

    @property
    def _client(self) -> "DynamoDBClient":
        if self._client_or_none is None:
            raise RuntimeError(f"table {self._table} is not open")
        return self._client_or_none

    async def _connect(self) -> "DynamoDBClient":
        config = AioConfig(
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            connect_timeout=_CONNECT_S,
            read_timeout=self._config.call_timeout_s,
            max_pool_connections=self._config.connections,
            parameter_validation=False,
            user_agent_extra="conveyor-agent",
        )
        try:
            client: DynamoDBClient = await self._stack.enter_async_context(
                self._session.create_client(
                    "dynamodb",
                    region_name=self._aws.region,
                    endpoint_url=self._aws.endpoint_url,
                    config=config,
                )
            )
        except BotoCoreError as error:
            raise call_error(error, operation="connect", table=self._table) from error
        except ValueError as error:  # botocore's word for an endpoint that is no URL
            raise PermanentError(Reason.INVALID_REQUEST, f"connect to table {self._table}: {error}") from error
        return client

    async def _find(self, *, create: bool) -> None:
        try:
            await self._get_one(Place("layout", "layout"))
        except PermanentError as error:
            if not create or not is_missing(error.__cause__):
                raise
            await self._make()

    async def _make(self) -> None:
        try:
            await self._call("CreateTable", self._client.create_table(**wire.create_table(self._table)))
        except PermanentError as error:
            if not is_in_use(error.__cause__):
                raise  # else another replica was faster
        for _ in range(round(_MADE_WITHIN_S / _LOOK_S)):
            answer = await self._call("DescribeTable", self._client.describe_table(TableName=self._table))
            if answer["Table"].get("TableStatus") == "ACTIVE":
                return
            await self._runtime.sleep(_LOOK_S)
        message = f"CreateTable on table {self._table}: it is not ready after {_MADE_WITHIN_S:g} s"
        raise TransientError(Reason.UNAVAILABLE, message)

    async def _get_one(self, place: Place) -> Mapping[Place, Stored]:
        answer = await self._call(
            "GetItem",
            self._client.get_item(TableName=self._table, Key=wire.key_of(place), ConsistentRead=True),
        )
        return {place: wire.stored(answer["Item"])} if "Item" in answer else {}

    async def _get_some(self, places: Sequence[Place]) -> list[Stored]:
        """What is left unanswered of a batch is asked for again, less and less often."""
        found: list[Stored] = []
        keys = [wire.key_of(place) for place in places]
        for tries in range(_MOST_TRIES):
            call = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            answer = await self._call("BatchGetItem", call)
            found += [wire.stored(item) for item in answer["Responses"].get(self._table, [])]
            left = answer.get("UnprocessedKeys", {}).get(self._table)
            if left is None:
                return found
            keys = left["Keys"]
            await self._runtime.sleep(self._runtime.full_jitter(_FIRST_PAUSE_S * 2**tries))
        message = f"BatchGetItem on table {self._table}: part of it was left unanswered {_MOST_TRIES} times"
        raise TransientError(Reason.THROTTLED, message)

    async def _write_one(self, change: Change, write_id: str) -> None:
        if isinstance(change, Put):
            await self._call("PutItem", self._client.put_item(**wire.put(self._table, change, write_id)))
        else:
            await self._call("DeleteItem", self._client.delete_item(**wire.delete(self._table, change)))

    def _item(self, change: Change, write_id: str) -> "TransactWriteItemTypeDef":
        if isinstance(change, Put):
            return {"Put": wire.put(self._table, change, write_id)}
        return {"Delete": wire.delete(self._table, change)}

    async def _call(self, operation: str, call: Awaitable[T]) -> T:
        try:
            return await call
        except (ClientError, BotoCoreError, OSError) as error:  # TimeoutError is an OSError
            if is_conflict(error):
                raise Conflicted from error
            raise call_error(error, operation=operation, table=self._table) from error
