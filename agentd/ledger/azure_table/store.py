"""A store of documents in one partition of an Azure Table. Facts about the service are those of its REST documentation."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.data.tables.aio import TableClient

from agentd.core import AzureConfig, PermanentError, Reason, side_by_side
from agentd.ledger.azure_table import wire
from agentd.ledger.azure_table.credentials import credential
from agentd.ledger.azure_table.errors import call_error, is_conflict, is_entity_missing, is_table_missing
from agentd.ledger.config import AzureTableConfig
from agentd.ledger.documents import Change, Conflicted, Delete, Expected, Place, Stored, StoreLimits

T = TypeVar("T")

LIMITS = StoreLimits(changes=100, body_bytes=60_000, shards=1)
"""Of a batch, of a binary property (64 KiB), and over how many partitions a list is spread: there is but one."""

_PAGE = 1000
_RETRIES = 2
_BACKOFF_S = 0.1
_REPEATED = frozenset({"GET", "POST"})


class AzureTableStore:
    """See `agentd.ledger.documents.DocumentStore`. The SDK repeats calls whose answer was lost or that were throttled."""

    def __init__(self, config: AzureTableConfig, azure: AzureConfig) -> None:
        self._config = config
        self._azure = azure
        self._table = config.table
        self._room = asyncio.Semaphore(config.connections)
        self._stack = AsyncExitStack()
        self._client_or_none: TableClient | None = None

    @property
    def limits(self) -> StoreLimits:
        """See the port."""
        return LIMITS

    async def open(self, *, create: bool) -> None:
        """Connect, and see that the table is there; make it if it may be made. PermanentError: it is not."""
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
        """See the port. There is no call for several entities by their keys: they are asked for side by side."""
        found = await side_by_side(places, self._get_one, name="ledger-get", at_once=self._config.connections)
        return {stored.place: stored for stored in found if stored is not None}

    async def range(
        self, partition: str, *, first: str = "", before: str | None = None, limit: int | None = None
    ) -> Sequence[Stored]:
        """See the port."""
        row, end = wire.rows_of(partition, first, before)
        entities = self._client.query_entities(
            "PartitionKey eq @partition and RowKey ge @first and RowKey lt @end",
            parameters={"partition": self._config.partition, "first": row, "end": end},
            results_per_page=min(_PAGE, limit or _PAGE),
        )
        pages = entities.by_page()
        found: list[Stored] = []
        while limit is None or len(found) < limit:
            page = await self._call("QueryEntities", partial(anext, pages, None))
            if page is None:
                break
            found += [wire.stored(entity) async for entity in page]
        return found[:limit]

    async def write(self, changes: Sequence[Change], write_id: str) -> None:
        """See the port. A batch fails when it removes what is not there: that is then left out of it."""
        left = list(changes)
        while left:
            operations = [wire.operation(self._config.partition, change, write_id) for change in left]
            try:
                await self._call(
                    "Batch", partial(self._client.submit_transaction, operations, retry_on_methods=_REPEATED)
                )
            except PermanentError as error:
                if not is_entity_missing(error.__cause__):
                    raise
                left = await self._without_gone(left)
            else:
                return

    @property
    def _client(self) -> TableClient:
        if self._client_or_none is None:
            raise RuntimeError(f"table {self._table} is not open")
        return self._client_or_none

    async def _connect(self) -> TableClient:
        account_url = self._config.account_url
        if account_url is None:
            raise PermanentError(Reason.INVALID_REQUEST, "ledger.azure_table.account_url is not set")
        client = TableClient(
            account_url,
            self._table,
            credential=await credential(self._azure, account_url, self._stack),
            retry_total=_RETRIES,
            retry_backoff_factor=_BACKOFF_S,
            connection_timeout=self._config.call_timeout_s,
            read_timeout=self._config.call_timeout_s,
            # Left to itself the transport looks for a proxy at every call, in threads: that is half of a call's cost.
            use_env_settings=False,
            proxies=await asyncio.to_thread(_proxies, account_url),
        )
        return await self._stack.enter_async_context(client)

    async def _find(self, *, create: bool) -> None:
        try:
            await self._get_one(Place("layout", "layout"))
        except PermanentError as error:
            if not create or not is_table_missing(error.__cause__):
                raise
            await self._call("CreateTable", self._made)

    async def _made(self) -> None:
        try:
            await self._client.create_table()
        except ResourceExistsError:
            return  # another replica was faster

    async def _get_one(self, place: Place) -> Stored | None:
        try:
            row = wire.row_of(place)
            return wire.stored(
                await self._call("GetEntity", partial(self._client.get_entity, self._config.partition, row))
            )
        except PermanentError as error:
            if is_entity_missing(error.__cause__):
                return None
            raise

    async def _without_gone(self, changes: Sequence[Change]) -> list[Change]:
        """The changes without those that remove, on no condition, what is not there. Conflicted: there are none such."""
        blind = [
            change.place for change in changes if isinstance(change, Delete) and change.expected is Expected.ANYTHING
        ]
        gone = set(blind) - (await self.get(blind)).keys()
        if not gone:
            raise Conflicted
        return [change for change in changes if change.place not in gone]

    async def _call(self, operation: str, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._room:
                return await call()
        except (AzureError, OSError) as error:  # TimeoutError is an OSError
            if is_conflict(error):
                raise Conflicted from error
            raise call_error(error, operation=operation, table=self._table) from error


def _proxies(url: str) -> dict[str, str]:
    """The proxy that the environment names for the account, by scheme."""
    parts = urlsplit(url)
    return {} if proxy_bypass(parts.hostname or "") else {k: v for k, v in getproxies().items() if k == parts.scheme}
