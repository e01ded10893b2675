"""Copies of closed segments: of this replica's own, and of what replicas that are no more have left behind."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agentd.audit.config import AuditConfig
from agentd.audit.folders import ChainFolder, Segment, folders_with_work
from agentd.core import AuditStore, PermanentError, Runtime, TransientError
from agentd.telemetry import Health, Metrics, Pulse, get_logger

log = get_logger("audit")

LOOP = "audit-upload"
_LONGEST_PAUSE_S = 300.0
_LOOK_S = 60.0  # through the folders of very many starts


class Uploads:
    """Sends segments to the store, oldest first, and removes local ones that have been kept for long enough.

    `closed_before` says which of the own segments are closed: those with a smaller number.
    """

    def __init__(
        self,
        directory: Path,
        own: ChainFolder,
        store: AuditStore,
        config: AuditConfig,
        *,
        closed_before: Callable[[], int],
        runtime: Runtime,
        metrics: Metrics,
    ) -> None:
        self._directory = directory
        self._own = own
        self._store = store
        self._closed_before = closed_before
        self._config = config
        self._runtime = runtime
        self._metrics = metrics
        self._pulse: Pulse | None = None
        self._answers = True

    async def run(self, health: Health) -> None:
        """A round every now and then, for ever; less often while the store does not answer."""
        self._pulse = pulse = health.pulse(LOOP)
        usual_s = pause_s = min(self._config.upload_interval_s, _LONGEST_PAUSE_S)
        try:
            while True:
                pause_s = usual_s if await self.round() else min(2 * pause_s, _LONGEST_PAUSE_S)
                pulse.beat("sleeping", within_s=pause_s)
                await self._runtime.sleep(pause_s / 2 + self._runtime.full_jitter(pause_s / 2))
        finally:
            self._pulse = None
            health.stopped(pulse)

    async def round(self) -> bool:
        """Send what can be sent; whether nothing is left. Raises nothing but CancelledError."""
        self._answers = True
        self._beat("looking for closed files", within_s=_LOOK_S)
        try:
            unsent = list(await self._work_in(self._own, before=self._closed_before()))
            for path in await asyncio.to_thread(
                folders_with_work, self._directory, own=self._own.chain, old_before=self._old_before()
            ):
                unsent += await self._take_over(path)
            await self._tell_age(unsent)
        except OSError as error:
            log.warning("audit.unreadable", error=f"{error.filename}: {error.strerror}")
            return False
        if self._pulse is not None and not unsent:
            self._pulse.succeeded()
        return not unsent

    async def _take_over(self, path: Path) -> Sequence[Segment]:
        """Work in the folder of a replica that is no more, if it is one."""
        folder = await asyncio.to_thread(ChainFolder.take_over, path)
        if folder is None:
            return ()
        try:
            unsent = await self._work_in(folder, before=sys.maxsize)
            await asyncio.to_thread(folder.remove_if_empty)
        finally:
            folder.close()
        return unsent

    async def _work_in(self, folder: ChainFolder, *, before: int) -> Sequence[Segment]:
        """Send segments with a smaller number, and remove old ones. Those that are still to be sent."""
        closed = [segment for segment in await asyncio.to_thread(folder.waiting) if segment.number < before]
        unsent = [segment for segment in closed if not await self._send(folder, segment)]
        removed = await asyncio.to_thread(folder.remove_stored, before=self._old_before())
        if removed:
            log.info("audit.removed", chain=folder.chain, segments=removed)
        return unsent

    async def _send(self, folder: ChainFolder, segment: Segment) -> bool:
        """Whether its copy is safe. Once the store does not answer, the rest of the round is not tried."""
        if not self._answers:
            return False
        self._beat("sending a file", within_s=self._config.transfer_timeout_s)
        try:
            await self._store.put(segment.name, await asyncio.to_thread(segment.path.read_bytes))
        except TransientError as error:
            self._answers = False
            self._count("failed", segment, error.message)
            return False
        except PermanentError as error:
            self._count("refused", segment, error.message)
            return False
        except OSError as error:
            self._count("unreadable", segment, str(error))
            return False
        await asyncio.to_thread(folder.mark_stored, segment)
        self._count("ok", segment, None)
        return True

    def _old_before(self) -> float:
        return self._runtime.now() - self._config.keep_s

    def _beat(self, doing: str, *, within_s: float) -> None:
        if self._pulse is not None:  # else this is the last round
            self._pulse.beat(doing, within_s=within_s)

    def _count(self, result: str, segment: Segment, error: str | None) -> None:
        self._metrics.audit_uploads.labels(result).inc()
        if error is not None:
            log.warning("audit.upload_failed", segment=segment.name, result=result, error=error)

    async def _tell_age(self, unsent: Sequence[Segment]) -> None:
        """How long ago the oldest of them was last written to."""
        oldest = await asyncio.to_thread(lambda: min((each.path.stat().st_mtime for each in unsent), default=None))
        self._metrics.audit_upload_age.set(0.0 if oldest is None else max(0.0, self._runtime.now() - oldest))
