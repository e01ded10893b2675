"""The API server within the process that uses it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from agentd.core import Runtime
from agentd.embedded.child_side import listen
from agentd.embedded.kube.controllers.manager import start
from agentd.embedded.kube.serving import Api
from agentd.embedded.kube.world import KubeSettings, World

_LAST_WORDS_S = 0.1  # watches have no end of their own


@asynccontextmanager
async def serve_here(runtime: Runtime, settings: KubeSettings) -> AsyncIterator[str]:
    """Serve a new cluster until the block ends; yields its URL. A controller that fails ends the block with its error."""
    world = World(runtime, settings)
    controllers = start(world)
    runner = web.AppRunner(
        Api(world).application(), access_log=None, handler_cancellation=True, shutdown_timeout=_LAST_WORDS_S
    )
    await runner.setup()
    listener = listen(0)
    try:
        await web.SockSite(runner, listener).start()
        async with asyncio.TaskGroup() as group:
            acting = group.create_task(controllers.run(), name="controllers")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            acting.cancel()
    finally:
        await runner.cleanup()
