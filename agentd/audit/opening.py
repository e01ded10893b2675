"""The log of one replica, from its start to its end."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agentd.audit.config import AuditConfig
from agentd.audit.entries import chain_name
from agentd.audit.folders import ChainFolder, heads_left_behind
from agentd.audit.log import FileAuditLog
from agentd.audit.segments import SegmentFiles
from agentd.audit.signing import Signer
from agentd.audit.uploads import Uploads
from agentd.core import AuditStore, Runtime, TransientError
from agentd.telemetry import Health, Metrics, get_logger

log = get_logger("audit")

COMPONENT = "audit"
"""Its name in readiness, and its loop's in liveness."""

_TICK_S = 1.0
_LAST_WORDS_S = 2.0  # the process has little time left then, and the next start sends what is left


@dataclass(frozen=True, slots=True)
class OpenAudit:
    """A log that is open. `uploads` is None without a place for copies."""

    log: FileAuditLog
    uploads: Uploads | None
    runtime: Runtime
    health: Health

    async def run(self) -> None:
        """Write what nobody waits for, close files whose time has come and send them, for ever."""
        async with asyncio.TaskGroup() as group:
            self.runtime.spawn(group, self._tend(), "audit-tend")
            if self.uploads is not None:
                self.runtime.spawn(group, self.uploads.run(self.health), "audit-upload")

    async def _tend(self) -> None:
        pulse = self.health.pulse(COMPONENT)
        try:
            while True:
                self.log.tend()
                if self.log.trouble is None:
                    pulse.succeeded()
                pulse.beat("sleeping", within_s=_TICK_S)
                await self.runtime.sleep(_TICK_S)
        finally:
            self.health.stopped(pulse)


@asynccontextmanager
async def open_audit(
    config: AuditConfig,
    directory: Path,
    *,
    replica: str,
    store: AuditStore | None,
    runtime: Runtime,
    metrics: Metrics,
    health: Health,
) -> AsyncIterator[OpenAudit]:
    """A new chain of the log, until the block ends. `replica` is a name that no other start has, `store` takes copies.

    PermanentError: there can be none in this folder. TransientError: the disk does not take the first entry.
    """
    signer = None if config.signing_key_file is None else Signer.read(config.signing_key_file)
    async with AsyncExitStack() as stack:
        folder = await asyncio.to_thread(ChainFolder.make, directory, chain_name(replica))
        stack.callback(folder.close)
        found = await asyncio.to_thread(heads_left_behind, directory, folder.chain)
        files = SegmentFiles(folder)
        thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        stack.callback(thread.shutdown, wait=False)
        stack.push_async_callback(_let_go, files, thread)
        audit = FileAuditLog(
            replica, files, thread, config, signer=signer, found=found, runtime=runtime, metrics=metrics
        )
        await audit.flush()
        health.readiness(COMPONENT, lambda: audit.trouble)
        uploads = None
        if store is not None:
            uploads = Uploads(
                directory,
                folder,
                store,
                config,
                closed_before=lambda: audit.first_open_segment,
                runtime=runtime,
                metrics=metrics,
            )
            stack.push_async_callback(_send_the_last, uploads)
        stack.push_async_callback(_close, audit)
        yield OpenAudit(audit, uploads, runtime, health)


async def _close(audit: FileAuditLog) -> None:
    try:
        async with asyncio.timeout(_LAST_WORDS_S):
            await audit.close()
    except (TransientError, TimeoutError) as error:
        log.warning("audit.not_closed", error=repr(error))


async def _send_the_last(uploads: Uploads) -> None:
    try:
        async with asyncio.timeout(_LAST_WORDS_S):
            await uploads.round()
    except TimeoutError:
        log.warning("audit.copies_left_behind", within_s=_LAST_WORDS_S)


async def _let_go(files: SegmentFiles, thread: ThreadPoolExecutor) -> None:
    try:
        async with asyncio.timeout(_LAST_WORDS_S):
            await asyncio.get_running_loop().run_in_executor(thread, files.close)
    except (OSError, TimeoutError) as error:
        log.warning("audit.left_torn", error=repr(error))
