"""The three queues: reachable, and set up so that nothing is lost, hidden or moved too early."""

import asyncio
from collections.abc import Sequence

from agentd.bus import QueueFacts, QueueKind, kind_of, name_of
from agentd.bus.address import embedded_address
from agentd.cli.doctor import places
from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.cli.doctor.words import days, duration
from agentd.core import AgentError
from agentd.ledger.sqlite.inspection import Place, look_at_place
from agentd.settings import Settings

_COMMANDS = "queues.commands"
_DEAD_LETTERS = "queues.dead-letters"
_REPORTS = "queues.reports"

LOWEST_MAX_RECEIVES = 20
"""Of a redrive policy. The agent counts attempts in its ledger. A receive is no attempt: a message is received again after
every wait, full lane and restart, so a low limit would move events away that wait for nothing worse than their turn."""

_LONG_VISIBILITY_S = 3600.0
_WHY_HIGH = "the agent counts attempts itself, and a message is received again after every wait, full lane and restart"


async def _commands(site: Site) -> Sequence[Finding]:
    url = site.settings.commands.queue_url
    place = await _place(url)
    if place is not None and not place.exists:
        return _not_made(_COMMANDS, *_OF_COMMANDS)
    queue = await site.commands()
    return [
        _reachable(_COMMANDS, queue),
        order(queue),
        visibility(queue, site.settings),
        redrive(queue, site.settings),
        retention(queue, site.settings),
        encryption(_COMMANDS, queue),
        volume(queue, place),
    ]


async def _dead_letters(site: Site) -> Sequence[Finding]:
    place = await _place(site.settings.commands.dead_letter_queue_url or site.settings.commands.queue_url)
    if place is not None and not place.exists:
        return _not_made(_DEAD_LETTERS, *_OF_DEAD_LETTERS)
    letters = await site.dead_letters()
    found = [_reachable(_DEAD_LETTERS, letters), encryption(_DEAD_LETTERS, letters)]
    try:
        commands = await site.commands()
    except AgentError:
        why, mend = "there is no commands queue to compare it with", f"mend {_COMMANDS}.reachable first"
        return [*found, *(skipped(f"{_DEAD_LETTERS}.{what}", why, mend) for what in ("type", "retention"))]
    return [*found, same_type(commands, letters), dead_letter_retention(commands, letters, site.settings)]


async def _reports(site: Site) -> Sequence[Finding]:
    place = await _place(site.settings.reports_queue_url)
    if place is not None and not place.exists:
        return _not_made(_REPORTS, *_OF_REPORTS)
    queue = await site.reports()
    return [_reachable(_REPORTS, queue), encryption(_REPORTS, queue)]


async def _place(url: str) -> Place | None:
    """Where the file of an embedded queue is, or would be; None for other kinds."""
    if kind_of(url) is not QueueKind.EMBEDDED:
        return None
    return await asyncio.to_thread(look_at_place, embedded_address(url).path)


def _not_made(prefix: str, *whats: str) -> Sequence[Finding]:
    """An embedded queue before the daemon's first start."""
    why, mend = "no file yet", "look again after the first start"
    first = ok(f"{prefix}.reachable", "no file yet: the first start makes it")
    return [first, *(skipped(f"{prefix}.{what}", why, mend) for what in whats)]


def _reachable(prefix: str, queue: QueueFacts) -> Finding:
    return ok(f"{prefix}.reachable", f"{queue.arn or queue.url}: {_type(queue)}, about {queue.visible} messages")


def order(queue: QueueFacts) -> Finding:
    """Whether events of a subject come in order."""
    check = f"{_COMMANDS}.order"
    if queue.fifo:
        return ok(check, "FIFO: events of one subject come in order when MessageGroupId is their subject")
    return warned(
        check,
        f"a {_type(queue)}: events of one subject may come in any order. Generations keep desired state right; commands such "
        f"as build.cleanup have no order among each other{_FAIRNESS.get(queue.kind, '')}",
        f"{_IN_ORDER[queue.kind]}; or leave it if the order of commands does not matter",
    )


def visibility(queue: QueueFacts, settings: Settings) -> Finding:
    """How long a message is hidden: the agent says so itself with each receive."""
    check = f"{_COMMANDS}.visibility"
    found = (
        f"the agent asks for bus.visibility_s = {duration(settings.bus.visibility_s)} with each receive; the queue's own "
        f"{duration(queue.visibility_s)} is for others"
    )
    if queue.visibility_s <= _LONG_VISIBILITY_S:
        return ok(check, found)
    return warned(
        check,
        f"{found}: who looks at the queue by hand hides messages from the agent for so long",
        f"set the queue's VisibilityTimeout to about {duration(settings.bus.visibility_s)}",
    )


def redrive(queue: QueueFacts, settings: Settings) -> Finding:
    """Whether the queue's own redrive is there, as a backstop and no more."""
    check = f"{_COMMANDS}.redrive"
    if queue.kind is QueueKind.AZURE:
        return ok(check, "not applicable: an Azure Storage Queue moves nothing by itself, the agent does")
    url = settings.commands.dead_letter_queue_url
    if queue.dead_letters is None or queue.max_receive_count is None:
        wanted = f"give the queue a redrive policy to its dead-letter queue with maxReceiveCount 100: {_WHY_HIGH}"
        if url is None:
            return failed(
                check, "no redrive policy, and no commands.dead_letter_queue_url: `agentd run` refuses", wanted
            )
        return warned(check, "no redrive policy: a message that stops the agent at once comes back for ever", wanted)
    found = f"to {queue.dead_letters} after {queue.max_receive_count} receives"
    if queue.max_receive_count < LOWEST_MAX_RECEIVES:
        return failed(
            check,
            f"{found}: too few, events would be moved away while they wait",
            f"raise maxReceiveCount of the queue's redrive policy to 100, at least {LOWEST_MAX_RECEIVES}: {_WHY_HIGH}",
        )
    if url is not None and name_of(url) != queue.dead_letters:
        return warned(
            check,
            f"{found}, but commands.dead_letter_queue_url names {name_of(url)}: what the queue moves is not seen",
            "let both name the same queue, or leave commands.dead_letter_queue_url out",
        )
    return ok(check, found)


def retention(queue: QueueFacts, settings: Settings) -> Finding:
    """Whether messages outlive the time that events may wait."""
    check = f"{_COMMANDS}.retention"
    longest = settings.dispatch.default_expiry_s
    found = f"messages are kept for {days(queue.retention_s)}"
    if queue.kind is QueueKind.AZURE:
        found = f"{found} unless their sender says otherwise"
    if queue.retention_s < longest:
        return warned(
            check,
            f"{found}; an event without expirytime may wait for {days(longest)}, and would be put off no longer than that",
            f"{_KEEP_LONGER[queue.kind].format(days(longest))}, or lower dispatch.default_expiry_s",
        )
    return ok(check, found)


def dead_letter_retention(commands: QueueFacts, letters: QueueFacts, settings: Settings) -> Finding:
    """Whether dead letters are kept long enough to be mended, and their records for longer."""
    check = f"{_DEAD_LETTERS}.retention"
    found = f"dead letters are kept for {days(letters.retention_s)}"
    moved_late = letters.kind is not QueueKind.AZURE and not letters.fifo
    if letters.retention_s <= commands.retention_s and moved_late:
        return warned(
            check,
            f"{found}, not longer than commands ({days(commands.retention_s)}): what the queue moves by itself keeps the time "
            "at which it was first sent, so it may be gone before anybody has looked",
            "set the dead-letter queue's MessageRetentionPeriod to 14 days",
        )
    longest = commands.retention_s + letters.retention_s
    if settings.ledger.retention_s < longest:
        return warned(
            check,
            f"{found}; with the time on commands that is {days(longest)}, but the ledger forgets events after "
            f"{days(settings.ledger.retention_s)}: one that is redriven later would be taken for a new one",
            f"set ledger.retention_s to at least {longest:.0f}",
        )
    return ok(check, found)


def same_type(commands: QueueFacts, letters: QueueFacts) -> Finding:
    """SQS moves messages between queues of the same type only."""
    check = f"{_DEAD_LETTERS}.type"
    if commands.fifo == letters.fifo:
        return ok(check, f"{_type(letters)}, as commands")
    return failed(
        check,
        f"{_type(letters)}, but commands is a {_type(commands)}",
        f"use a {_type(commands)} for dead letters: SQS moves messages between queues of the same type only",
    )


def encryption(prefix: str, queue: QueueFacts) -> Finding:
    """Whether messages are encrypted at rest."""
    check = f"{prefix}.encryption"
    if queue.kms_key is not None:
        return ok(check, f"at rest with KMS key {queue.kms_key}")
    if queue.encrypted:
        return ok(check, f"at rest with a key of {_PROVIDER[queue.kind]}")
    if queue.kind is QueueKind.EMBEDDED:
        return skipped(
            check, "a file of this machine is encrypted if its disk is", "encrypt the volume, if it has to be"
        )
    return warned(
        check,
        "messages are not encrypted at rest",
        "set SqsManagedSseEnabled on the queue, or KmsMasterKeyId for a key of your own (then allow the agent and the "
        "control plane kms:Decrypt and kms:GenerateDataKey on it)",
    )


def volume(queue: QueueFacts, place: Place | None) -> Finding:
    """Whether what is on the queue lasts."""
    check = f"{_COMMANDS}.volume"
    mend = "keep the file on a volume of this host: commands.queue_url names it"
    if place is None:
        return ok(check, f"kept by {_PROVIDER[queue.kind]}")
    return places.of_sqlite(check, place, content="the messages on it", mend=mend)


def _type(queue: QueueFacts) -> str:
    type_ = "FIFO queue" if queue.fifo else "standard queue"
    match queue.kind:
        case QueueKind.SQS:
            return type_
        case QueueKind.AZURE:
            return str(queue.kind)
        case QueueKind.EMBEDDED:
            return f"embedded {type_}"


def _names(prefix: str, *whats: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{what}" for what in ("reachable", *whats))


_OF_COMMANDS = ("order", "visibility", "redrive", "retention", "encryption", "volume")
_OF_DEAD_LETTERS = ("encryption", "type", "retention")
_OF_REPORTS = ("encryption",)

_PROVIDER = {QueueKind.SQS: "SQS", QueueKind.AZURE: "Azure Storage", QueueKind.EMBEDDED: "this machine"}
_FAIRNESS = {QueueKind.SQS: ". MessageGroupId gives fairness here, and no order"}
_IN_ORDER = {
    QueueKind.SQS: (
        "use a FIFO queue (with a FIFO dead-letter queue), and have the sender set MessageGroupId to the event's subject"
    ),
    QueueKind.AZURE: "have the sender wait for an event's report before it sends what depends on it",
    QueueKind.EMBEDDED: "give the queue a name that ends in .fifo",
}
_KEEP_LONGER = {
    QueueKind.SQS: "raise the queue's MessageRetentionPeriod above {} (4 days is SQS' default, 14 days the most)",
    QueueKind.AZURE: "have the sender give messages a time to live above {}",
    QueueKind.EMBEDDED: "make the queue anew with a retention above {}",
}
_REACH = (
    "check the URL, its account and aws.region, the network to it, and that the agent may sqs:GetQueueAttributes on it (on "
    "Azure: that its identity has the role Storage Queue Data Contributor)"
)

CHECKS = (
    Check(_names(_COMMANDS, *_OF_COMMANDS), _commands, f"commands.queue_url: {_REACH}"),
    Check(
        _names(_DEAD_LETTERS, *_OF_DEAD_LETTERS),
        _dead_letters,
        f"give the commands queue a redrive policy, or set commands.dead_letter_queue_url; {_REACH}",
    ),
    Check(_names(_REPORTS, *_OF_REPORTS), _reports, f"reports_queue_url: {_REACH}"),
)
