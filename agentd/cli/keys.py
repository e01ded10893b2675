"""`agentd keys`: make keys for signatures, and look at a key set."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from agentd.cli.common import Unusable
from agentd.cli.output import moment, output_option, print_json, print_table
from agentd.core import system_runtime
from agentd.core.globs import Globs
from agentd.events import KeySet, new_signing_key, private_jwk, public_jwk


@click.group()
def keys() -> None:
    """Make keys for signatures, and look at key sets."""


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kid", help="Name of the key; today's date and some letters when not given.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days after which it vouches for nothing any more.")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="PATTERN",
    help="Types that it may vouch for, such as conveyor.project.*.",
)
@click.option("--source", "sources", multiple=True, metavar="PATTERN", help="Sources that it may vouch for.")
def new(file: Path, *, kid: str | None, days: int | None, events: tuple[str, ...], sources: tuple[str, ...]) -> None:
    """Write a new private key to FILE, which must not be there yet, and print the key set for those who verify.

    Keep FILE with the signer. To rotate, add the printed key to the key set that is in force, sign with the new one once every
    verifier has it, and take the old key out when nothing signed with it is on its way any more.
    """
    runtime = system_runtime()
    now = datetime.fromtimestamp(runtime.now(), UTC)
    key = new_signing_key(kid or f"{now:%Y-%m-%d}-{runtime.new_id()[:8]}")
    _write_secret(file, json.dumps(private_jwk(key)))
    expires = None if days is None else int((now + timedelta(days=days)).timestamp())
    print_json({"keys": [public_jwk(key, exp=expires, events=list(events) or None, sources=list(sources) or None)]})


@keys.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@output_option
def show(file: Path, output: str) -> None:
    """Show the keys of a key set, and whether the agent can use it."""
    try:
        found = KeySet.parse(file.read_bytes())
    except ValueError as error:
        raise Unusable(f"{file}: {error}") from error
    columns = ("key", "not before", "expires", "events", "sources")
    rows = [
        (key.id, moment(key.not_before), moment(key.expires), _scope(key.events), _scope(key.sources))
        for key in found.keys.values()
    ]
    if output == "json":
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)


def _write_secret(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _scope(globs: Globs | None) -> str:
    return "all" if globs is None else str(globs)
