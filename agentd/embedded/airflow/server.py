"""The child process of the embedded Airflow. Started by `agentd.embedded.airflow`, never by hand."""

import asyncio
import sys

from agentd.core import system_runtime
from agentd.embedded.airflow.serving import AirflowServer
from agentd.embedded.child_side import prepare, serve_forever


def main() -> None:
    """Serve on the loopback port given as the only argument (0: any)."""
    listener = prepare(int(sys.argv[1]))
    asyncio.run(serve_forever(AirflowServer(system_runtime()).application(), listener, end_with_client=True))


if __name__ == "__main__":
    main()
