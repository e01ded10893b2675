"""The databases of one PostgreSQL server.

Roles and their comments change in one transaction, under a lock of the role's own: a later holder waits for an earlier one, and
an earlier one that comes late finds the newer generation. A database cannot be made in a transaction; it is whose its owner is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agentd.core import Fence, Runtime
from agentd.platform.config import AirflowDatabaseConfig
from agentd.platform.databases import Databases, DatabaseSpec, DatabaseState, check_ours
from agentd.platform.postgresql import marks, statements
from agentd.platform.postgresql.connecting import Connections
from agentd.platform.postgresql.errors import CAUGHT, CallCode, classify, to_error
from agentd.platform.postgresql.passwords import SALT_BYTES, scram_verifier
from agentd.telemetry import Metrics

if TYPE_CHECKING:
    from asyncpg import Connection

_PORT = "databases"


class PostgresDatabases(Databases):
    """`config` is of an external server."""

    def __init__(self, config: AirflowDatabaseConfig, *, metrics: Metrics, runtime: Runtime) -> None:
        self._connections = Connections(config)
        self._timeout_s = config.call_timeout_s
        self._metrics = metrics
        self._runtime = runtime

    def role_object(self, role: str) -> str:
        return f"postgresql:role/{role}"

    def database_object(self, database: str) -> str:
        return f"postgresql:database/{database}"

    async def state(self, spec: DatabaseSpec, password: str | None = None) -> DatabaseState:
        obj = self.role_object(spec.role)
        async with self._call("DescribeRole", obj), self._connections.as_admin() as connection:
            return await self._state(connection, spec, password)

    async def ensure(self, spec: DatabaseSpec, password: str, *, fence: Fence) -> None:
        async with self._locked(spec) as connection:
            found = await self._checked(connection, spec, password, fence)
            if found.role is None or not found.logs_in or found.role.generation != fence.generation:
                await self._bring_role(connection, spec, password, found, fence)
            database = self.database_object(spec.database)
            if found.database_owner is None:
                create = await statements.quoted(connection, statements.CREATE, spec.database, spec.role)
                await self._write("CreateDatabase", database, fence, lambda: connection.execute(create))
            if not found.is_private:
                revoke = await statements.quoted(connection, statements.SHUT, spec.database)
                await self._write("RevokePublic", database, fence, lambda: connection.execute(revoke))

    async def delete(self, spec: DatabaseSpec, *, fence: Fence) -> None:
        async with self._locked(spec) as connection:
            found = await self._checked(connection, spec, None, fence)
            database, role = self.database_object(spec.database), self.role_object(spec.role)
            if found.database_owner is not None:
                drop = await statements.quoted(connection, statements.DROP, spec.database)
                await self._write("DropDatabase", database, fence, lambda: connection.execute(drop), destroys=True)
            if found.role is not None:
                drop_role = await statements.quoted(connection, statements.DROP_ROLE, spec.role)
                await self._write("DropRole", role, fence, lambda: connection.execute(drop_role), destroys=True)

    async def _checked(
        self, connection: "Connection", spec: DatabaseSpec, password: str | None, fence: Fence
    ) -> DatabaseState:
        """What there is, if the fence's holder may write to it."""
        async with self._call("DescribeRole", self.role_object(spec.role)):
            found = await self._state(connection, spec, password)
        check_ours(self, spec, found, fence)
        return found

    async def _bring_role(
        self, connection: "Connection", spec: DatabaseSpec, password: str, found: DatabaseState, fence: Fence
    ) -> None:
        """The role with its password, the agent's right to it, and whose it is."""
        keeps_password = found.role is not None and found.logs_in
        texts = [await statements.quoted(connection, statements.MARK, spec.role, marks.comment(fence))]
        if not keeps_password:
            how = statements.CREATE_ROLE if found.role is None else statements.ALTER_ROLE
            verifier = scram_verifier(password, self._runtime.random.randbytes(SALT_BYTES))
            texts.insert(0, await statements.quoted(connection, how, spec.role, verifier))

        async def change() -> None:
            async with connection.transaction():
                for text in texts:
                    await connection.execute(text)
                if not await connection.fetchval(statements.HAS_ROLE, spec.role):
                    await connection.execute(await statements.quoted(connection, statements.TAKE, spec.role))

        operation = "CreateRole" if found.role is None else "AlterRole"
        await self._write(operation, self.role_object(spec.role), fence, change, stamp=keeps_password)

    async def _state(self, connection: "Connection", spec: DatabaseSpec, password: str | None) -> DatabaseState:
        own = await connection.fetchrow(statements.ROLE, spec.role)
        role = None if own is None else marks.read(spec.role, own["comment"])
        there = await connection.fetchrow(statements.DATABASE, spec.database)
        if there is None:
            return DatabaseState(role, None)
        logs_in = False
        if role is not None and password is not None:
            logs_in = await self._connections.lets_in(spec.database, spec.role, password)
        return DatabaseState(role, there["owner"], is_private=there["is_private"], logs_in=logs_in)

    @asynccontextmanager
    async def _locked(self, spec: DatabaseSpec) -> "AsyncIterator[Connection]":
        """A connection that has the role's lock: the server takes it back with the connection, however that ends."""
        obj = self.role_object(spec.role)
        async with self._opened(obj) as connection:
            async with self._call("Lock", obj):
                await connection.fetchval(statements.LOCK, spec.role)
            yield connection

    @asynccontextmanager
    async def _opened(self, obj: str) -> "AsyncIterator[Connection]":
        try:
            async with self._connections.as_admin() as connection:
                yield connection
        except CAUGHT as error:
            raise to_error(error, operation="Connect", obj=obj) from error

    async def _write(
        self,
        operation: str,
        obj: str,
        fence: Fence,
        change: Callable[[], Awaitable[object]],
        *,
        stamp: bool = False,
        destroys: bool = False,
    ) -> None:
        allowed_s = await fence.before_write(obj, stamp=stamp, destroys=destroys)
        async with self._call(operation, obj), asyncio.timeout(min(allowed_s, self._timeout_s)):
            await change()

    @asynccontextmanager
    async def _call(self, operation: str, obj: str) -> AsyncIterator[None]:
        """What it takes goes to the metric, and what fails leaves as the agent's own error."""
        started, code = self._runtime.monotonic(), CallCode.CANCELLED
        try:
            yield
        except CAUGHT as error:
            code = classify(error)
            raise to_error(error, operation=operation, obj=obj) from error
        else:
            code = CallCode.OK
        finally:
            self._metrics.platform_call_duration.labels(_PORT, operation, code).observe(
                self._runtime.monotonic() - started
            )
