"""Connections to the server, each for one call of the port: environments change seldom."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from agentd.core import PermanentError, Reason
from agentd.platform.config import AirflowDatabaseConfig

if TYPE_CHECKING:
    from asyncpg import Connection

_NO_ENTRY = (asyncpg.InvalidAuthorizationSpecificationError,)  # and its kind with a wrong password
_CLOSE_S = 2.0
_LOCK_TIMEOUT = "4s"  # a wait of five would have to give its slot back


class Connections:
    """Opens them, over TLS alone."""

    def __init__(self, config: AirflowDatabaseConfig) -> None:
        self._config = config
        self._tls = _tls(config)

    @asynccontextmanager
    async def as_admin(self) -> "AsyncIterator[Connection]":
        """As the role that makes the others."""
        file = self._config.admin_password_file
        if file is None:
            raise PermanentError(Reason.INVALID_REQUEST, "airflow.database.admin_password_file is not set")
        try:
            password = (await asyncio.to_thread(file.read_text, encoding="utf-8")).rstrip("\n")
        except OSError as error:
            raise PermanentError(Reason.ACCESS_DENIED, f"airflow.database.admin_password_file: {error}") from error
        connection = await self._open(self._config.admin_database, self._config.admin, password)
        async with _closing(connection):
            yield connection

    async def lets_in(self, database: str, role: str, password: str) -> bool:
        """Whether the role gets into the database with this password."""
        try:
            connection = await self._open(database, role, password)
        except _NO_ENTRY:
            return False
        async with _closing(connection):
            return True

    async def _open(self, database: str, role: str, password: str) -> "Connection":
        return await asyncpg.connect(
            host=self._config.host,
            port=self._config.port,
            database=database,
            user=role,
            password=password,
            ssl=self._tls,
            timeout=self._config.call_timeout_s,
            command_timeout=self._config.call_timeout_s,
            # What a pooler in front of the server has prepared, another connection may not have.
            statement_cache_size=0,
            server_settings={"application_name": "conveyor-agent", "lock_timeout": _LOCK_TIMEOUT},
        )


@asynccontextmanager
async def _closing(connection: "Connection") -> AsyncIterator[None]:
    try:
        yield
        await connection.close(timeout=_CLOSE_S)
    finally:
        connection.terminate()


def _tls(config: AirflowDatabaseConfig) -> ssl.SSLContext:
    """As libpq's sslmode has it. Source: libpq, "SSL Support"."""
    context = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
    context.check_hostname = config.sslmode == "verify-full"
    if config.sslmode == "require" and config.ca_file is None:
        context.verify_mode = ssl.CERT_NONE
    return context
