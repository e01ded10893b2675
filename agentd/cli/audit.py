"""`agentd audit`: the audit log, verified and read without the agent."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.markup import escape

from agentd.app.stopping import ExitCode
from agentd.audit.entries import Head
from agentd.audit.reading import Entry
from agentd.audit.report import ChainReport, Report, Verdict
from agentd.audit.showing import Wanted, look_for
from agentd.audit.signing import read_public_keys
from agentd.audit.verification import verify as verify_files
from agentd.cli.common import fail, load_settings
from agentd.cli.output import output_option, plain, print_json, print_table

_INCOMPLETE = 3
_MOST_SHOWN = 10_000
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class _HeadType(click.ParamType[Head]):
    name = "CHAIN:SEQ:HASH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        try:
            return Head.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _KeysType(click.ParamType[Sequence[Ed25519PublicKey]]):
    name = "FILE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sequence[Ed25519PublicKey]:
        try:
            return read_public_keys(Path(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _SinceType(click.ParamType[str]):
    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As entries have it, so that texts compare like times."""
        text = str(value)
        ago = _AGO.fullmatch(text)
        try:
            moment = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else _time(text)
        except ValueError:
            self.fail(f"{text!r} is neither a time (RFC 3339) nor an age such as 90m, 24h or 7d", param, ctx)
        return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


paths_argument = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))


@click.group()
def audit() -> None:
    """Verify the audit log offline, and read it."""


@audit.command()
@paths_argument
@click.option("--head", "heads", type=_HeadType(), multiple=True, help="An entry that has been there: a heartbeat's.")
@click.option(
    "--keys",
    type=_KeysType(),
    help="Key set, or public key (PEM), one of whose keys must have signed the end of every closed file.",
)
@output_option
@click.pass_context
def verify(
    context: click.Context,
    paths: Sequence[Path],
    heads: Sequence[Head],
    keys: Sequence[Ed25519PublicKey] | None,
    output: str,
) -> None:
    """Say whether the log in PATHS, files or folders, is as it was written; the agent's own folder when none is given.

    Neither agent nor network is needed. Exit codes: 0 intact, 1 tampered with, 3 incomplete or torn at its end.
    """
    report = verify_files(paths or _own_folder(context), heads=heads, keys=keys or ())
    if output == "json":
        print_json(_document(report))
    else:
        _show(report)
    if report.verdict is Verdict.TAMPERED:
        fail(ExitCode.FAILED)
    if report.verdict is Verdict.INCOMPLETE:
        context.exit(_INCOMPLETE)


@audit.command()
@paths_argument
@click.option("--event", help="Only entries of the event with this id.")
@click.option("--subject", help="Only entries of this subject, such as environment/6f0c...")
@click.option("--kind", help="Only entries of this kind; a pattern such as 'event.*'.")
@click.option("--since", type=_SinceType(), help="Only entries since then: RFC 3339, or an age such as 24h.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST_SHOWN), default=200, show_default=True, help="The newest so many."
)
@output_option
@click.pass_context
def show(
    context: click.Context,
    *,
    paths: Sequence[Path],
    event: str | None,
    subject: str | None,
    kind: str | None,
    since: str | None,
    limit: int,
    output: str,
) -> None:
    """Show entries of the log in PATHS; of the agent's own folder when none is given. They are not verified."""
    shown = look_for(paths or _own_folder(context), Wanted(event, subject, kind, since), limit=limit)
    if output == "json":
        print_json(shown.entries)
    else:
        print_table(("time", "replica", "entry", "kind", "facts"), [_row(entry) for entry in shown.entries])
    if shown.unreadable:
        click.echo(f"{shown.unreadable} lines could not be read: `agentd audit verify` says which", err=True)


def _own_folder(context: click.Context) -> Sequence[Path]:
    settings = load_settings(context).settings
    folder = settings.audit.folder(settings.ledger.path)
    if not folder.is_dir():
        raise click.ClickException(f"there is no audit log at {folder}")
    return (folder,)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _document(report: Report) -> Mapping[str, object]:
    return {
        "verdict": report.verdict,
        "entries": report.entries,
        "files": report.files,
        "bytes": report.bytes,
        "chains": plain(report.chains),
    }


def _show(report: Report) -> None:
    print_table(
        ("chain", "verdict", "end", "files", "signed", "entries", "from", "to"), [_of(each) for each in report.chains]
    )
    for chain in report.chains:
        for problem in chain.problems:
            click.echo(f"{problem.verdict}: {problem.where}: {problem.what}")
        if chain.more_problems:
            click.echo(f"{chain.verdict}: chain {chain.chain}: and {chain.more_problems} more")
        if chain.head is not None:
            click.echo(f"head {chain.head}")
    click.echo(f"{report.verdict}: {report.entries} entries in {report.files} files, {report.bytes} bytes")


def _of(chain: ChainReport) -> Sequence[object]:
    end = "closed" if chain.closed else "open"
    counts = (chain.segments, chain.signed, chain.entries)
    return (chain.chain, chain.verdict, end, *counts, chain.began, chain.ended)


def _row(entry: Entry) -> Sequence[str]:
    facts = " ".join(f"{name}={_printable(value)}" for name, value in entry.facts.items())
    return [escape(text) for text in (entry.time, entry.replica, str(entry.seq), entry.kind, facts)]


def _printable(value: object) -> str:
    """A fact for a terminal, which control characters would drive."""
    return value if isinstance(value, str) and value.isprintable() else json.dumps(value)
