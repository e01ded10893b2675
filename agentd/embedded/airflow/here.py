"""The embedded Airflow within the process that uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from agentd.core import Runtime
from agentd.embedded.airflow.serving import AirflowServer
from agentd.embedded.child_side import listen

_LAST_WORDS_S = 0.1


@asynccontextmanager
async def serve_here(runtime: Runtime) -> AsyncIterator[str]:
    """Serve Airflows, none yet, until the block ends; yields the URL."""
    application = AirflowServer(runtime).application()
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=_LAST_WORDS_S)
    await runner.setup()
    listener = listen(0)
    try:
        await web.SockSite(runner, listener).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()
