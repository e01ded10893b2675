"""The handlers: installed, loadable, and one for every event."""

from collections.abc import Mapping, Sequence

from agentd.cli.doctor.findings import Finding, ok, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.core import Handler
from agentd.events import CATALOGUE


async def _handlers(site: Site) -> Sequence[Finding]:
    found = await site.handlers()
    return [ok("handlers.load", f"{len(found)} handlers"), events(found)]


def events(found: Mapping[str, Handler]) -> Finding:
    """Whether each event of the catalogue has a handler."""
    check = "handlers.events"
    without = sorted(CATALOGUE.keys() - found.keys())
    if not without:
        return ok(check, f"all {len(CATALOGUE)} events have one")
    return warned(
        check,
        f"none for {', '.join(without)}: such events are rejected as unknown_type",
        "install a package that offers them under the entry-point group agentd.handlers, or see that they are not sent",
    )


CHECKS = (
    Check(
        ("handlers.load", "handlers.events"),
        _handlers,
        "mend or remove the package that the message names; `agentd run` refuses to start with it",
    ),
)
