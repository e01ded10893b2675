"""`agentd send`: validate an event and put it on the commands queue."""

import hashlib
import json
from pathlib import Path
from typing import IO, Any

import click

from agentd.app.platform import artifact_store
from agentd.bus import Done, Outgoing, QueueLimits, queue_for
from agentd.cli.common import Unusable, asynchronous, load_settings
from agentd.cli.output import output_option, print_json
from agentd.core import PermanentError, Reason, Runtime, system_runtime
from agentd.events import Event, Malformed, Sign, decode, encode, leave_unsigned, sign, signing_key
from agentd.platform.aws.session import AwsSession
from agentd.settings import Settings
from agentd.telemetry import Metrics

Json = dict[str, Any]  # a CloudEvent as it travels


@click.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--dry-run", is_flag=True, help="Validate only; send nothing.")
@click.option(
    "--sign-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign with the private key in this file, as `agentd keys new` writes it, or PEM.",
)
@click.option("--kid", help="Id by which verifiers know the key, when the file does not say.")
@output_option
@click.pass_context
@asynchronous
async def send(
    context: click.Context, *, file: IO[str], dry_run: bool, sign_key: Path | None, kid: str | None, output: str
) -> None:
    """Validate the CloudEvent in FILE (- for standard input), sign it if a key is given, and send it.

    Data that is too large for the queue is put into the artifact store, and travels by claim check.
    """
    text = file.read()
    seal = leave_unsigned if sign_key is None else _seal(sign_key, kid)
    try:
        event = decode(seal(text))
    except Malformed as error:
        raise Unusable(f"{file.name}: {error.message}") from error
    if not dry_run:
        await _send(load_settings(context).settings, event, seal, system_runtime())
    if output == "json":
        print_json({"id": event.envelope.id, "digest": event.digest, "sent": not dry_run})
    else:
        click.echo(
            f"{event.envelope.id} {'is valid' if dry_run else 'sent'}: {event.envelope.type} {event.envelope.subject}"
        )


def _seal(path: Path, key_id: str | None) -> Sign:
    try:
        key = signing_key(path.read_bytes(), key_id=key_id)
    except ValueError as error:
        raise Unusable(f"{path}: {error}") from error
    return lambda text: sign(text, key)


async def _send(settings: Settings, event: Event, seal: Sign, runtime: Runtime) -> None:
    url = settings.commands.queue_url
    queue = queue_for(url, name="commands", aws=settings.aws, azure=settings.azure, runtime=runtime)
    await queue.open()
    try:
        body = await _fit(settings, event, queue.limits, seal, runtime)
        outgoing = Outgoing(body=body, group=event.envelope.subject, dedupe_id=event.envelope.id)
        (answer,) = await queue.send([outgoing])
    finally:
        await queue.close()
    if not isinstance(answer, Done):
        raise PermanentError(Reason.INVALID_REQUEST, f"the commands queue did not take the event: {answer.message}")


async def _fit(settings: Settings, event: Event, limits: QueueLimits, seal: Sign, runtime: Runtime) -> str:
    """The event's text; with its data behind a claim check when it is larger than the queue takes."""
    whole = Outgoing(body=event.text)
    if limits.fits(whole):
        return event.text
    if event.envelope.signature is not None and seal is leave_unsigned:
        raise PermanentError(
            Reason.INVALID_REQUEST,
            "the event is too large for the queue, and with its data behind a claim check its signature would not hold: "
            "give the key with --sign-key",
        )
    document: Json = json.loads(event.text)
    data = json.dumps(document.pop("data", None)).encode()
    async with AwsSession(settings.aws) as session:
        store = await artifact_store(settings, session, Metrics(), runtime)
        if store is None:
            raise PermanentError(
                Reason.INVALID_REQUEST,
                f"the event has {limits.size_of(whole)} bytes, the queue takes {limits.max_message_bytes}: "
                "set artifacts.bucket or artifacts.directory, so that its data can travel by claim check",
            )
        uri = await store.store(f"events/{event.envelope.id}.json", data)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return seal(encode({**document, "dataref": uri, "datadigest": digest, "datasize": len(data)}, None))
