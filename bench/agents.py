"""The agent as it is measured: `agentd run`, unchanged, in an installation whose handlers do nothing."""

from collections.abc import Mapping
from pathlib import Path

from agentd import __version__
from agentd.cli.stack import CLUSTER_ID, TENANT_ID, free_port
from bench.processes import Program, python
from bench.server import REGION, Queues, Server

_ROOT = Path(__file__).parent.parent


def agent(server: Server, queues: Queues, folder: Path, name: str, **settings: str) -> Program:
    """An agent with every default but what a benchmark sets. `settings` are further variables of its environment."""
    return Program(python("agentd", "run"), environment(server, queues, folder, **settings), folder / f"{name}.log")


def environment(server: Server, queues: Queues, folder: Path, **settings: str) -> Mapping[str, str]:
    """The environment of an agent that works on these queues, with a ledger in this folder."""
    return {
        **server.environment,
        "PYTHONPATH": f"{_installation(folder)}:{_ROOT}",
        "AGENTD_TENANT_ID": TENANT_ID,
        "AGENTD_CLUSTER_ID": CLUSTER_ID,
        "AGENTD_AWS__REGION": REGION,
        "AGENTD_AWS__ENDPOINT_URL": server.endpoint_url,
        "AGENTD_CLUSTER__ACCESS": "none",
        "AGENTD_COMMANDS__QUEUE_URL": queues.commands.url,
        "AGENTD_COMMANDS__DEAD_LETTER_QUEUE_URL": queues.dead_letters.url,
        "AGENTD_REPORTS_QUEUE_URL": queues.reports.url,
        "AGENTD_LEDGER__PATH": str(folder / "ledger.db"),
        "AGENTD_PROXY__LISTEN_PORT": str(free_port()),
        "AGENTD_TELEMETRY__HTTP_PORT": str(free_port()),
        **settings,
    }


def _installation(folder: Path) -> Path:
    """Metadata that stand before those of the installed package: the same distribution, with other entry points."""
    metadata = folder / "installation" / f"agentd-{__version__}.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: agentd\nVersion: {__version__}\n")
    (metadata / "entry_points.txt").write_text("[agentd.handlers]\nnoop = bench.contenders.noop:HANDLERS\n")
    return metadata.parent
