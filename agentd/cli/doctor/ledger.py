"""The ledger: a place that lasts, a file that is whole, and work that does not pile up in it."""

import asyncio
from collections.abc import Sequence
from functools import partial

from agentd.cli.doctor import places
from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.doctor.words import duration
from agentd.cli.ledger import opened_ledger
from agentd.ledger import LedgerConfig, LedgerStats
from agentd.ledger.config import LedgerKind
from agentd.ledger.sqlite.inspection import KNOWN_VERSION, Condition, Place, look_at_place, look_inside
from agentd.settings import Settings

_SHARE = 0.6  # of the deadline, for reading the whole file: the counts come after it
_PLACE = ("ledger.folder", "ledger.volume", "ledger.space")
_WORK = ("ledger.events", "ledger.outbox")
_CONTENT = ("ledger.integrity", *_WORK)


async def _place(site: Site) -> Sequence[Finding]:
    config = site.settings.ledger
    if config.kind is not LedgerKind.SQLITE:
        return [ok(check, f"the ledger is {config.place}: it takes no place here") for check in _PLACE]
    place = await asyncio.to_thread(look_at_place, config.path)
    return [folder(place, config), volume(place), space(place)]


async def _inside(site: Site) -> Sequence[Finding]:
    config = site.settings.ledger
    if config.kind is not LedgerKind.SQLITE:
        return await _in_cloud(site)
    place = await asyncio.to_thread(look_at_place, config.path)
    if not place.exists:
        first = ok("ledger.schema", "no ledger yet: the first start makes it")
        return [first, *_unread(_CONTENT, "no ledger yet", "look again after the first start")]
    condition = await asyncio.to_thread(partial(look_inside, config, within_s=site.deadline_s * _SHARE))
    found = [schema(condition), integrity(condition)]
    if condition.damages or condition.version != KNOWN_VERSION:
        return [
            *found,
            *_unread(_WORK, "cannot be read by this program as it is", "see ledger.schema, ledger.integrity"),
        ]
    return [*found, *await _work(site)]


async def _in_cloud(site: Site) -> Sequence[Finding]:
    """Who opens a ledger in a cloud's table sees that the table is there, and how it is laid out."""
    work = await _work(site)
    return [
        ok("ledger.schema", f"{site.settings.ledger.place}, laid out as this program knows it"),
        ok("ledger.integrity", "the cloud keeps it whole"),
        *work,
    ]


async def _work(site: Site) -> Sequence[Finding]:
    async with opened_ledger(site.settings, read_only=True) as ledger:
        stats = await ledger.stats()
    return [events(stats, site.settings, now=site.runtime.now()), outbox(stats, site.settings)]


def _unread(checks: Sequence[str], why: str, mend: str) -> list[Finding]:
    return [skipped(check, why, mend) for check in checks]


def folder(place: Place, config: LedgerConfig) -> Finding:
    """Whether the daemon can make and change the file. It is asked of the system, not tried."""
    check = "ledger.folder"
    if place.writable:
        made = "" if place.folder == config.path.parent else f"; {config.path.parent} will be made"
        return ok(check, f"{place.folder} can be written to{made}")
    return failed(
        check,
        f"{config.path if place.exists else place.folder} cannot be written to by this user",
        f"give {config.path.parent} to the user that runs the agent (uid 10001 in the image), mount it writable, or set "
        "ledger.path; run the doctor as that user",
    )


def volume(place: Place) -> Finding:
    """Whether what is written there lasts, and belongs to this host alone."""
    check = "ledger.volume"
    mend = "mount a volume of this host at the ledger's folder, or set ledger.path to a folder on one"
    return places.of_sqlite(check, place, content="the record of what has been done", mend=mend)


def space(place: Place) -> Finding:
    """Whether the file can grow."""
    return places.space("ledger.space", place, mend="free or add space: a ledger that cannot write stops all intake")


def schema(condition: Condition) -> Finding:
    """Whether this program knows the file's version."""
    check = "ledger.schema"
    if condition.version > KNOWN_VERSION:
        return failed(
            check,
            f"version {condition.version}; this program knows versions up to {KNOWN_VERSION}",
            "run the version of the agent that wrote it, or a newer one",
        )
    if condition.version < KNOWN_VERSION:
        return warned(
            check,
            f"version {condition.version}; the next start migrates it to {KNOWN_VERSION}",
            "nothing to do, but there is no way back: keep a copy of the file if you may want the older agent again",
        )
    return ok(check, f"version {condition.version}")


def integrity(condition: Condition) -> Finding:
    """What SQLite's own check says."""
    check = "ledger.integrity"
    if not condition.damages:
        return ok(check, "SQLite's quick check finds no damage")
    return failed(
        check,
        f"damaged: {'; '.join(condition.damages)}",
        "stop the agent, keep a copy of the file, restore it from a backup of the volume, and look at the disk",
    )


def events(stats: LedgerStats, settings: Settings, *, now: float) -> Finding:
    """Whether events end."""
    check = "ledger.events"
    if stats.oldest_open_at is None:
        return ok(check, f"none open, {stats.finished_events} finished")
    age_s = max(0.0, now - stats.oldest_open_at)
    found = f"{stats.open_events} open, the oldest for {duration(age_s)}"
    if age_s <= settings.dispatch.default_expiry_s:
        return ok(check, found)
    waiting = ", ".join(f"{number} {why}" for why, number in sorted(stats.waiting.items())) or "nothing that it names"
    return warned(
        check,
        f"{found}; they wait for: {waiting}",
        "see that the agent runs (`agentd status`), then ask `agentd explain EVENT` what the oldest wait for",
    )


def outbox(stats: LedgerStats, settings: Settings) -> Finding:
    """Whether reports go out."""
    check = "ledger.outbox"
    limit = settings.reports.outbox_limit
    found = f"{stats.outbox} reports wait to be sent; intake pauses at {limit}"
    mend = "see that the agent runs and that the reports queue takes messages; what waits goes out by itself then"
    if stats.outbox >= limit:
        return failed(check, found, mend)
    return warned(check, found, mend) if stats.outbox * 2 >= limit else ok(check, found)


_USABLE = "ledger.path: name a file in a folder that the agent's user may write to, on a volume of this host"

CHECKS = (
    Check(_PLACE, _place, _USABLE),
    Check(
        ("ledger.schema", *_CONTENT),
        _inside,
        "see that the agent may read the ledger where ledger.kind says that it is, and that nothing but the agent has written "
        "to it; if a file is damaged, restore it from a backup of the volume",
    ),
)
