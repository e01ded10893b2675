"""The composition root: which parts the daemon is made of, how they start, and in which order they stop."""

from agentd.app.daemon import Daemon
from agentd.app.platform import artifact_store
from agentd.app.queues import dead_letters_url
from agentd.app.stopping import ExitCode, Misconfigured, Stop

__all__ = [
    "Daemon",
    "ExitCode",
    "Misconfigured",
    "Stop",
    "artifact_store",
    "dead_letters_url",
]
