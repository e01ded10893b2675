"""`agentd send`: validate an event and put it on the commands queue."""

import hashlib
import json
from typing import IO, Any

import click

from agentd.app.platform import artifact_store
from agentd.bus import Done, Outgoing
from agentd.bus.sqs import SqsQueue
from agentd.cli.common import Unusable, asynchronous, load_settings
from agentd.cli.output import output_option, print_json
from agentd.core import PermanentError, Reason, Runtime, system_runtime
from agentd.events import Event, Malformed, decode, encode
from agentd.platform.aws.session import AwsSession
from agentd.settings import Settings
from agentd.telemetry import Metrics

Json = dict[str, Any]  # a CloudEvent as it travels


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Validate only; send nothing.")
@output_option
@click.pass_context
@asynchronous
async def send(context: click.Context, file: IO[str], dry_run: bool, output: str) -> None:
    """Validate the CloudEvent in FILE (- for standard input) and send it.

    Data that is too large for the queue is put into the artifact store, and travels by claim check.
    """
    text = file.read()
    try:
        event = decode(text)
    except Malformed as error:
        raise Unusable(f"{file.name}: {error.message}") from error
    if not dry_run:
        await _send(load_settings(context).settings, event, system_runtime())
    if output == "json":
        print_json({"id": event.envelope.id, "digest": event.digest, "sent": not dry_run})
    else:
        click.echo(
            f"{event.envelope.id} {'is valid' if dry_run else 'sent'}: {event.envelope.type} {event.envelope.subject}"
        )


async def _send(settings: Settings, event: Event, runtime: Runtime) -> None:
    queue = SqsQueue(settings.commands.queue_url, name="commands", aws=settings.aws, runtime=runtime)
    await queue.open()
    try:
        body = await _fit(settings, event, queue.limits.max_message_bytes, runtime)
        outgoing = Outgoing(body=body, group=event.envelope.subject, dedupe_id=event.envelope.id)
        (answer,) = await queue.send([outgoing])
    finally:
        await queue.close()
    if not isinstance(answer, Done):
        raise PermanentError(Reason.INVALID_REQUEST, f"the commands queue did not take the event: {answer.message}")


async def _fit(settings: Settings, event: Event, limit_bytes: int, runtime: Runtime) -> str:
    """The event's text; with its data behind a claim check when it is larger than the queue takes."""
    if len(event.text.encode()) <= limit_bytes:
        return event.text
    document: Json = json.loads(event.text)
    data = json.dumps(document.pop("data", None)).encode()
    async with AwsSession(settings.aws) as session:
        store = await artifact_store(settings, session, Metrics(), runtime)
        if store is None:
            raise PermanentError(
                Reason.INVALID_REQUEST,
                f"the event has {len(event.text.encode())} bytes, the queue takes {limit_bytes}: "
                "set artifacts.bucket or artifacts.directory, so that its data can travel by claim check",
            )
        uri = await store.store(f"events/{event.envelope.id}.json", data)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return encode({**document, "dataref": uri, "datadigest": digest, "datasize": len(data)}, None)
