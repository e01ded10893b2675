"""The audit log, as the settings choose it."""

from contextlib import AsyncExitStack

from agentd import __version__
from agentd.app.parts import Replica
from agentd.audit import FileAuditLog, OpenAudit, open_audit
from agentd.bus.sqs_calls import new_session
from agentd.core import AuditKind, AuditStore, PermanentError, TransientError
from agentd.platform.aws.audit import S3AuditStore
from agentd.platform.aws.session import AwsSession
from agentd.platform.local.audit import FolderAuditStore
from agentd.telemetry import get_logger

log = get_logger("app")


async def open_log(stack: AsyncExitStack, replica: Replica) -> OpenAudit | None:
    """This replica's log, until the stack closes; None when the settings want none. Raises PermanentError."""
    settings = replica.settings
    if not settings.audit.enabled:
        return None
    try:
        audit = await stack.enter_async_context(
            open_audit(
                settings.audit,
                settings.audit.folder(settings.ledger.path),
                replica=replica.name,
                store=await _store(stack, replica),
                runtime=replica.runtime,
                metrics=replica.metrics,
                health=replica.health,
            )
        )
    except TransientError as error:
        raise PermanentError(error.reason, error.message) from error
    audit.log.append(
        AuditKind.AGENT_STARTED,
        version=__version__,
        tenant_id=settings.tenant_id,
        cluster_id=settings.cluster_id,
        owner_id=settings.owner_id,
        handlers=sorted(replica.handlers),
    )
    stack.callback(_stopped, audit.log, replica)
    return audit


def _stopped(audit: FileAuditLog, replica: Replica) -> None:
    try:
        audit.append(AuditKind.AGENT_STOPPED, asked=replica.stop.drain.is_set(), aborted=replica.stop.abort.is_set())
    except TransientError as error:
        log.warning("audit.end_not_told", error=error.message)


async def _store(stack: AsyncExitStack, replica: Replica) -> AuditStore | None:
    """Where copies go, if anywhere. A session of its own: the last ones are sent when all else has been closed."""
    settings, config = replica.settings, replica.settings.audit
    place = f"{settings.tenant_id}/{settings.cluster_id}"
    if config.bucket is not None:
        session = await stack.enter_async_context(AwsSession(settings.aws, new_session(settings.aws.profile)))
        return S3AuditStore(
            await session.s3(),
            bucket=config.bucket,
            prefix=f"{config.prefix}/{place}",
            timeout_s=config.transfer_timeout_s,
            metrics=replica.metrics,
            runtime=replica.runtime,
        )
    if config.copy_directory is not None:
        return FolderAuditStore(config.copy_directory / place, timeout_s=config.transfer_timeout_s)
    return None
