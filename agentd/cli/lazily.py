"""Commands that are imported when they are asked for: `--help` and a wrong setting are answered without the daemon's parts.

The way is the one that click's documentation describes for large command lines.
"""

from collections.abc import Mapping
from importlib import import_module

import click

HELP: Mapping[str, str] = {
    "run": "Run the daemon until it is told to stop.",
    "dev": "Run the daemon with everything that it needs embedded, and print commands to try.",
    "demo": "Run the main job on this machine and show it.",
    "send": "Validate an event and put it on the commands queue.",
    "plan": "Say what an event would change.",
    "drift": "Say what differs from what is desired, and who has made it so.",
    "history": "Say what has been desired of a subject, and when.",
    "explain": "Say why an event is done, or is not.",
    "status": "Show what the daemon is doing.",
    "doctor": "Say whether this installation can do its job, and how to mend what is in the way.",
    "dlq": "Look at dead letters, and send them back once their cause is mended.",
    "policy": "Try a policy, look at it, and approve what waits for a second person.",
    "budget": "See how much may still be destroyed, and let it go on once you have looked.",
    "intake": "Stop taking events in, on all replicas, and begin again.",
    "keys": "Make keys for signatures, and look at key sets.",
    "audit": "Verify the audit log offline, and read it.",
    "schema": "Print the contract.",
    "config": "Show the settings in force, and where each came from.",
}
"""Every command with its short help, in the order of use. A test holds the words to the commands' own."""


class Lazily(click.Group):
    """A group whose commands live in `agentd.cli.<name>`, each under its own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in HELP:
            return None
        command: click.Command = getattr(import_module(f"agentd.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(HELP.items()))
