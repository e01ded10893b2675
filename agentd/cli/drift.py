"""`agentd drift`: what differs from what is desired."""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import click

from agentd.app.drift import comparer_of
from agentd.app.platform import open_platform
from agentd.app.stopping import ExitCode
from agentd.cli.common import Unusable, asynchronous, fail, load_settings
from agentd.cli.ledger import opened_ledger
from agentd.cli.output import output_option, print_json
from agentd.cli.plans import change_lines
from agentd.core import (
    AgentError,
    Author,
    DriftState,
    Picture,
    PlannedChange,
    Subject,
    TransientError,
    change_json,
    side_by_side,
    system_runtime,
)
from agentd.dispatch import Comparer, load_handlers
from agentd.ledger import Ledger
from agentd.settings import Settings
from agentd.telemetry import Metrics

Json = Any  # a picture as it is printed

_PAGE = 500
_DIFFERS = 2  # as other tools of the field have it
_AT_ONCE = 4


@click.command()
@click.argument("subjects", metavar="[SUBJECT]...", nargs=-1)
@output_option
@click.pass_context
@asynchronous
async def drift(context: click.Context, *, subjects: tuple[str, ...], output: str) -> None:
    """Say what differs from what is desired of each SUBJECT (such as environment/6f0c...), or of all, and who has made it so.

    The ledger says what is desired, the world is asked what is there; nothing is written. What is being worked on is left out.

    Exit code 2 when anything differs, 1 when a subject could not be compared, 0 when all is as is desired.
    """
    wanted = [_subject(text) for text in subjects]
    async with _opened(load_settings(context).settings) as (ledger, comparer):
        chosen = wanted or await _inventory(ledger)
        found = await side_by_side(chosen, lambda subject: _compared(comparer, subject), at_once=_AT_ONCE)
    differing = [each for each in found if isinstance(each, Picture) and each.state is not DriftState.IN_SYNC]
    failed = {str(subject): each for subject, each in zip(chosen, found, strict=True) if isinstance(each, AgentError)}
    if output == "json":
        print_json({"subjects": [_json(each) for each in differing], "failed": _messages(failed), "of": len(chosen)})
    else:
        _show(differing, _messages(failed), of=len(chosen))
    if differing:
        sys.exit(_DIFFERS)
    fail(ExitCode.FAILED if failed else ExitCode.DRAINED)


def _subject(text: str) -> Subject:
    try:
        return Subject.parse(text)
    except ValueError as error:
        raise Unusable(f"{text}: {error}") from error


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Ledger, Comparer]]:
    runtime = system_runtime()
    async with AsyncExitStack() as stack:
        platform = await open_platform(stack, settings, runtime, Metrics())
        ledger = await stack.enter_async_context(opened_ledger(settings, read_only=True))
        yield ledger, comparer_of(settings, load_handlers(), platform, ledger, runtime)


async def _inventory(ledger: Ledger) -> list[Subject]:
    found: list[str] = []
    while page := await ledger.wanted(after=found[-1] if found else "", limit=_PAGE):
        found += page
    return [Subject.parse(text) for text in found]


async def _compared(comparer: Comparer, subject: Subject) -> Picture | TransientError | None:
    """One that cannot be compared at this moment keeps nobody from being told of the others."""
    try:
        return await comparer.compare(subject)
    except TransientError as error:
        return error


def _messages(failed: Mapping[str, AgentError]) -> Mapping[str, str]:
    return {subject: error.message for subject, error in failed.items()}


def _json(picture: Picture) -> Json:
    return {
        "subject": str(picture.subject),
        "generation": picture.generation,
        "state": picture.state,
        "reason": picture.reason,
        "problem": picture.problem,
        "planhash": picture.planhash,
        "changes": [{**change_json(change), "made_by": change.authors} for change in picture.changes],
    }


def _show(differing: Sequence[Picture], failed: Mapping[str, str], *, of: int) -> None:
    for picture in differing:
        click.echo(f"{picture.subject}: {picture.state.value}{f': {picture.problem}' if picture.problem else ''}")
        for change in picture.changes:
            for line in _change(change):
                click.echo(f"  {line}")
        click.echo("")
    for subject, problem in failed.items():
        click.echo(f"{subject}: could not be compared: {problem}\n", err=True)
    click.echo(f"{len(differing)} of {of} differ from what is desired" if of else "nothing is desired of anything")


def _change(change: PlannedChange) -> list[str]:
    return [*change_lines(change_json(change)), *(f"    made by {_author(author)}" for author in change.authors)]


def _author(author: Author) -> str:
    fields = f": {', '.join(author.fields)}" if author.fields else ", the last to write to it"
    return f"{author.manager} at {author.at}{fields}"
