"""What a server does that runs in a child process: it listens on loopback, says so, and ends with its parent."""

import asyncio
import os
import resource
import socket
import sys
import threading

from aiohttp import web

_OPEN_FILES = 8192
_BACKLOG = 1024


def prepare(port: int) -> socket.socket:
    """A loopback socket (0: any free port), open files enough for many clients, and an end when standard input ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _allow_many_connections()
    return listen(port)


def listen(port: int) -> socket.socket:
    """A bound loopback socket; 0 is any free port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


async def serve_forever(
    application: web.Application, listener: socket.socket, *, end_with_client: bool = False
) -> None:
    """Serve, and say the port on standard output, which is what the parent waits for. Does not return.

    With `end_with_client` a request that nobody waits for any more is cancelled where it waits.
    """
    runner = web.AppRunner(application, access_log=None, handler_cancellation=end_with_client)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=_BACKLOG).start()
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - what the parent waits for
    await asyncio.Event().wait()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)  # nothing is kept, so nothing needs an orderly end


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
