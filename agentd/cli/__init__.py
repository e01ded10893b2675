"""The command line: `agentd`."""

from pathlib import Path

import click

from agentd import __version__
from agentd.cli.lazily import Lazily


@click.group(
    cls=Lazily,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": None},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 aborted by a second signal. "
    'Shell completion: eval "$(_AGENTD_COMPLETE=bash_source agentd)" (or zsh_source, fish_source).',
)
@click.version_option(__version__, prog_name="agentd")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="AGENTD_CONFIG",
    help="Settings file (YAML or TOML). AGENTD_* variables override it.",
)
def main(config: Path | None) -> None:
    """Carry events of a Conveyor control plane out in your own cloud account.

    \b
    Try it on this machine:     agentd demo
    Keep the same stack up:     agentd dev
    Look before you start it:   agentd doctor
    Run the daemon:             agentd run
    See what became of one:     agentd explain EVENT
    """
