"""The control routes that every embedded server has beside its own: faults to show, and calls to count. Both halves."""

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import ValidationError

from agentd.embedded.child import EmbeddedServerError
from agentd.embedded.faults import Fault, FaultBook

# The answers of the control routes, each with a shape of its own.
Json = Any

_PREFIX = "/_embedded"
_MOST_COUNTED = 4096
_OTHER = ("other", "other")
_TIMEOUT_S = 10.0


class Control:
    """The server's half: the faults in force and the calls so far."""

    def __init__(self) -> None:
        self.faults = FaultBook()
        self._calls: Counter[tuple[str, str]] = Counter()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve the control routes, ahead of everything that is added later."""
        router.add_get(f"{_PREFIX}/ready", self._ready)
        router.add_post(f"{_PREFIX}/faults", self._inject)
        router.add_get(f"{_PREFIX}/faults", self._list_faults)
        router.add_delete(f"{_PREFIX}/faults", self._clear_faults)
        router.add_get(f"{_PREFIX}/calls", self._list_calls)
        router.add_delete(f"{_PREFIX}/calls", self._reset_calls)

    def count(self, service: str, operation: str) -> None:
        """One more call."""
        key = (service, operation)
        self._calls[key if key in self._calls or len(self._calls) < _MOST_COUNTED else _OTHER] += 1

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.json_response({"ready": True})

    async def _inject(self, request: web.Request) -> web.Response:
        try:
            fault = Fault.model_validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response({"id": self.faults.add(fault)})

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response(self.faults.hits())

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear(request.query.getall("id", None))
        return web.json_response({})

    async def _list_calls(self, _request: web.Request) -> web.Response:
        return web.json_response([[*call, number] for call, number in sorted(self._calls.items())])

    async def _reset_calls(self, _request: web.Request) -> web.Response:
        self._calls.clear()
        return web.json_response({})


class ControlClient:
    """The parent's half."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @staticmethod
    def session(url: str) -> aiohttp.ClientSession:
        """A session with the server at that URL, for this client."""
        return aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))

    async def inject(self, fault: Fault) -> str:
        """Put a fault in force, and return its id."""
        answer = await self.ask("POST", "faults", json=fault.model_dump(mode="json"))
        return str(answer["id"])

    async def clear(self, *fault_ids: str) -> None:
        """Lift these faults, or all."""
        await self.ask("DELETE", "faults", params=[("id", fault_id) for fault_id in fault_ids])

    async def hits(self, fault_id: str) -> int:
        """How many calls a fault has met; 0 once it is lifted."""
        return int((await self.ask("GET", "faults")).get(fault_id, 0))

    async def calls(self) -> Mapping[tuple[str, str], int]:
        """Calls by service and operation since the start or the last reset, refused ones included."""
        return {(service, operation): number for service, operation, number in await self.ask("GET", "calls")}

    async def reset_calls(self) -> None:
        """Count from nought again."""
        await self.ask("DELETE", "calls")

    async def ask(
        self, method: str, what: str, *, json: object = None, params: list[tuple[str, str]] | None = None
    ) -> Json:
        """The answer of a control route. EmbeddedServerError when it refuses."""
        async with self._session.request(method, f"{_PREFIX}/{what}", json=json, params=params) as response:
            if response.status != HTTPStatus.OK:
                raise EmbeddedServerError(f"{method} {what}: {response.status}: {await response.text()}")
            return await response.json()
