"""`agentd run`: the daemon."""

import sys

import click

from agentd.app.stopping import ExitCode, Stop
from agentd.cli.common import fail, leaves, load_settings
from agentd.cli.common import run as run_work
from agentd.core import system_runtime
from agentd.settings import Settings
from agentd.telemetry import configure_logs, get_logger


@click.command()
@click.pass_context
def run(context: click.Context) -> None:
    """Run the daemon until it is told to stop.

    SIGTERM or SIGINT drains: nothing more is received, running events finish within the grace period, the rest is
    given back. A second one aborts.
    """
    settings = load_settings(context).settings
    configure_logs(settings.telemetry, sys.stderr)
    fail(run_work(_run(settings)))


async def _run(settings: Settings) -> ExitCode:
    from agentd.app.daemon import Daemon  # everything there is: not before the settings are known to be good

    stop = Stop()
    with stop.on_signals():
        try:
            return await Daemon(settings, system_runtime(), stop).run()
        except ExceptionGroup as errors:
            for error in leaves(errors):
                get_logger("app").error("agent.failed", error=f"{type(error).__name__}: {error}", exc_info=error)
            return ExitCode.FAILED
