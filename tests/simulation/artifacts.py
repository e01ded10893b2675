"""The data plane's own object store: where claim checks of the control plane are redeemed."""

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from agentd.core import ArtifactStore, PermanentError, Reason, TransientError
from tests.simulation.loop import SimLoop

PREFIX = "s3://artifacts.example/events/"

_LATENCY_S = (0.01, 0.4)
_FAILING = 0.3


def stored(data: Mapping[str, Any]) -> bytes:
    """An event's data as it is kept."""
    return json.dumps(data, sort_keys=True).encode()


def claim_check(event_id: str, kept: bytes) -> dict[str, Any]:
    """What an envelope says in place of the data."""
    digest = f"sha256:{sha256(kept).hexdigest()}"
    return {"dataref": f"{PREFIX}{event_id}", "datadigest": digest, "datasize": len(kept)}


class SimArtifacts(ArtifactStore):
    """The store as one process sees it. While it is `failing` some calls are not answered."""

    def __init__(self, kept: Mapping[str, bytes], loop: SimLoop, random: Random, *, failing_until_s: float) -> None:
        self._kept = kept
        self._loop = loop
        self._random = random
        self._failing_until_s = failing_until_s

    async def fetch(self, uri: str, *, limit_bytes: int) -> bytes:
        answer: asyncio.Future[bytes] = self._loop.create_future()
        delay_s = self._random.uniform(*_LATENCY_S)
        self._loop.call_later(delay_s, partial(self._answer, uri, answer), context=self._loop.server_context)
        return await answer

    async def store(self, key: str, data: bytes) -> str:
        raise PermanentError(Reason.UNSUPPORTED, f"{key}: nobody keeps anything here")

    def _answer(self, uri: str, answer: "asyncio.Future[bytes]") -> None:
        kept = self._kept.get(uri.removeprefix(PREFIX))
        if answer.done():
            return
        if self._loop.time() < self._failing_until_s and self._random.random() < _FAILING:
            answer.set_exception(TransientError(Reason.UNAVAILABLE, f"GetObject on {uri}: simulated: no answer"))
        elif kept is None:
            answer.set_exception(PermanentError(Reason.DATA_UNAVAILABLE, f"{uri} is not there"))
        else:
            answer.set_result(kept)
