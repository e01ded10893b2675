"""The command itself."""

import click

from agentd.app.stopping import ExitCode
from agentd.cli.common import asynchronous, fail, load_settings
from agentd.cli.doctor import (
    artifacts,
    audit,
    aws,
    aws_permissions,
    clock,
    cluster,
    handlers,
    identities,
    kube_permissions,
    ledger,
    proxy,
    queues,
    registry,
    settings,
)
from agentd.cli.doctor.findings import Area, Status
from agentd.cli.doctor.run import Check, examine
from agentd.cli.doctor.shown import counts, show
from agentd.cli.doctor.site import Site
from agentd.cli.output import output_option, print_json
from agentd.core import system_runtime

CHECKS: tuple[Check, ...] = (
    *settings.CHECKS,
    *handlers.CHECKS,
    *aws.CHECKS,
    *clock.CHECKS,
    *queues.CHECKS,
    *ledger.CHECKS,
    *registry.CHECKS,
    *artifacts.CHECKS,
    *audit.CHECKS,
    *aws_permissions.CHECKS,
    *kube_permissions.CHECKS,
    *cluster.CHECKS,
    *identities.CHECKS,
    *proxy.CHECKS,
)
"""In the order in which they are told."""


@click.command()
@click.option(
    "--only",
    "areas",
    type=click.Choice([area.value for area in Area]),
    multiple=True,
    metavar="AREA",
    help=f"Look at this area alone; may be given several times. Areas: {', '.join(Area)}.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(1, 600),
    default=15.0,
    show_default=True,
    help="Seconds after which one check is given up. All run side by side.",
)
@output_option
@click.pass_context
@asynchronous
async def doctor(context: click.Context, areas: tuple[str, ...], deadline: float, output: str) -> None:
    """Say whether this installation can do its job, and how to mend what it cannot.

    Run it where the agent will run, as the same user and with the same settings: before the first start, after a change
    of policies or network, and when something fails that should not. It only reads. What the agent may do is asked of
    IAM and of the API server, never tried; where they do not say, the finding is "skipped", with the reason.

    \b
      ok        as it should be
      warning   works, less well or less safely than it could
      failed    does not work; the last column says what to set, allow or run
      skipped   could not be looked at, or is not part of this installation

    \b
    Everything:                  agentd doctor
    After changing a policy:     agentd doctor --only permissions
    For a script:                agentd doctor -o json

    Exit codes: 0 nothing failed (there may be warnings), 1 something failed, 2 the settings cannot be read.
    """
    loaded = load_settings(context)
    chosen = [check for check in CHECKS if not areas or check.area.value in areas]
    async with Site.open(loaded, system_runtime(), deadline_s=deadline) as site:
        findings = await examine(site, chosen)
    if output == "json":
        print_json({"counts": counts(findings), "findings": findings})
    else:
        show(findings)
    if any(finding.status is Status.FAILED for finding in findings):
        fail(ExitCode.FAILED)
