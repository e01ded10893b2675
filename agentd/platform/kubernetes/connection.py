"""The connection to the API server: opened on first use, and opened anew when its credentials are refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agentd.core import PermanentError, Runtime, TransientError
from agentd.platform.kubernetes.access import Access
from agentd.platform.kubernetes.library import ApiClient

# An identity that is refused whatever it does must not run its plugin, or ask STS, for every call.
_BETWEEN_RENEWALS_S = 10.0


@dataclass(slots=True, eq=False)
class Session:
    """One client, with the credentials that it was opened with. `users` are the calls in flight."""

    api: ApiClient
    users: int = 0
    retired: bool = False


class Connection:
    """An async context manager; nothing is read or dialled before the first call. Calls are made through `session`."""

    def __init__(self, access: Access, runtime: Runtime) -> None:
        self._access = access
        self._runtime = runtime
        self._lock = asyncio.Lock()
        self._current: Session | None = None
        self._open: set[Session] = set()
        self._renewed_at: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._current = None
        while self._open:
            await self._open.pop().api.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """The current session, which stays open for the block. Raises what the access raises."""
        async with self._lock:
            if self._current is None:
                self._current = await self._new()
            session = self._current
        session.users += 1
        try:
            yield session
        finally:
            session.users -= 1
            await self._close_if_done(session)

    async def renew(self, stale: Session) -> bool:
        """Read the credentials anew, as the server refused those of this session. False when that was done just now.

        Raises TransientError when they cannot be had, whatever the reason: what is being replaced may be half written.
        """
        async with self._lock:
            if self._current is not stale:
                return True
            now = self._runtime.monotonic()
            if self._renewed_at is not None and now - self._renewed_at < _BETWEEN_RENEWALS_S:
                return False
            self._renewed_at = now
            try:
                self._current = await self._new()
            except PermanentError as error:
                raise TransientError(error.reason, error.message) from error
        stale.retired = True
        await self._close_if_done(stale)
        return True

    async def _new(self) -> Session:
        api = ApiClient(await self._access.configuration())
        api.user_agent = "conveyor-agent"
        session = Session(api)
        self._open.add(session)
        return session

    async def _close_if_done(self, session: Session) -> None:
        if session.retired and not session.users and session in self._open:
            self._open.discard(session)
            await session.api.close()
