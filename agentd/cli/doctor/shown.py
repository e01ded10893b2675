"""Findings for people: a table for each area, the worst told in the end."""

from collections import Counter
from collections.abc import Iterable, Sequence

import click
from rich.markup import escape

from agentd.cli.doctor.findings import Finding, Status
from agentd.cli.output import print_table

_STYLES = {Status.OK: "green", Status.SKIPPED: "dim", Status.WARNING: "yellow", Status.FAILED: "bold red"}
_NAMES = {Status.OK: "ok", Status.SKIPPED: "skipped", Status.WARNING: "warnings", Status.FAILED: "failed"}


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many there are of each status, the ones that do not occur included."""
    found = Counter(finding.status for finding in findings)
    return {status.value: found[status] for status in Status}


def show(findings: Sequence[Finding]) -> None:
    """A table for each area. What is ok below something that is told already is left out: JSON has it."""
    areas = dict.fromkeys(finding.area for finding in findings)
    checks = {finding.check for finding in findings}
    for area in areas:
        shown = [finding for finding in findings if finding.area is area and not _is_detail(finding, checks)]
        print_table(
            ("check", "status", "found, and how to mend it"), [_row(finding) for finding in shown], title=area.value
        )
        click.echo()
    told = counts(findings)
    click.echo(", ".join(f"{told[status.value]} {name}" for status, name in _NAMES.items()))


def _is_detail(finding: Finding, checks: set[str]) -> bool:
    return finding.status is Status.OK and any(finding.check.startswith(f"{check}.") for check in checks)


def _row(finding: Finding) -> tuple[str, ...]:
    style = _STYLES[finding.status]
    return (
        escape(finding.check),
        f"[{style}]{finding.status.value}[/]",
        escape(f"{finding.found}\n-> {finding.mend}" if finding.mend else finding.found),
    )
