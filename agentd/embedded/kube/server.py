"""The child process of the embedded API server. Started by `agentd.embedded.kube.cluster`, never by hand."""

import asyncio
import socket
import sys

from agentd.core import system_runtime
from agentd.embedded.child_side import prepare, serve_forever
from agentd.embedded.kube.controllers.manager import start
from agentd.embedded.kube.serving import Api
from agentd.embedded.kube.world import KubeSettings, World


async def _serve(listener: socket.socket, settings: KubeSettings) -> None:
    world = World(system_runtime(), settings)
    controllers = start(world)
    async with asyncio.TaskGroup() as group:
        group.create_task(controllers.run(), name="controllers")
        group.create_task(serve_forever(Api(world).application(), listener, end_with_client=True), name="server")


def main() -> None:
    """Serve on the loopback port given as the first argument (0: any); the second is how long pods take to start."""
    listener = prepare(int(sys.argv[1]))
    asyncio.run(_serve(listener, KubeSettings(pod_start_s=float(sys.argv[2]))))


if __name__ == "__main__":
    main()
