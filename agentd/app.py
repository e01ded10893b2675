"""The composition root: which parts the daemon is made of, how they start, and in which order they stop."""

import asyncio
import os
import platform
import signal
import socket
import threading
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass
from enum import IntEnum

from agentd import __version__
from agentd.bus import Consumer, Done, Intake, Outgoing, Queue, SqsQueue
from agentd.core import AgentError, ArtifactStore, Handler, PermanentError, Reason, RetryPolicy, Runtime, TransientError
from agentd.dispatch import BadHandlers, Deps, Dispatcher, Ports, load_handlers
from agentd.events import Audience
from agentd.events.reports import Heartbeat, QueueState, WaitingWork, moment
from agentd.ledger import Ledger
from agentd.ledger.sqlite import SqliteLedger
from agentd.platform import ImageRegistry, RepositoryDefaults
from agentd.platform.aws.artifacts import S3Artifacts
from agentd.platform.aws.ecr import EcrRegistry
from agentd.platform.aws.session import AwsSession
from agentd.platform.local.artifacts import FileArtifacts
from agentd.reports import Identity, Message, Reports
from agentd.settings import Settings
from agentd.telemetry import Health, Metrics, TelemetryServer, Tracing, TracingUnavailable, get_logger, watch_lag

log = get_logger("app")

_OPEN_RETRY = RetryPolicy(base_s=1.0, cap_s=30.0)
_RECEIVERS = "commands-receiver-"
_SILENCE_S = 5.0  # beyond two polls: the queue's answer, or the time-out that cuts a hung poll


class ExitCode(IntEnum):
    """What the process ends with."""

    DRAINED = 0
    """Everything that was held has been finished or given back."""
    FAILED = 1
    """A part ended that must not end; the log names it."""
    MISCONFIGURED = 2
    """A setting, the ledger or a queue cannot be used as it is; one line says what to mend."""
    ABORTED = 3
    """A second signal, or a drain that did not come to its end: leases run out by themselves."""


class Stop:
    """The wish to stop: asked once it drains, asked twice it aborts."""

    def __init__(self) -> None:
        self.drain = asyncio.Event()
        self.abort = asyncio.Event()

    def ask(self) -> None:
        """Ask once for a drain, twice for an abort."""
        if self.drain.is_set():
            self.abort.set()
        self.drain.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask, until the block ends."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


class Misconfigured(Exception):
    """The daemon cannot work with what it was given; the message is one line that says what to mend."""


class _ReportsQueue:
    """The reports queue as the reports room needs it."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def send(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Per message: None when it was taken, else why not."""
        answers = await self._queue.send(
            [Outgoing(body=message.body, group=message.group, dedupe_id=message.id) for message in messages]
        )
        return [None if isinstance(answer, Done) else answer.message for answer in answers]


@dataclass(frozen=True, slots=True)
class _Queues:
    commands: SqsQueue
    dead_letters: SqsQueue
    reports: SqsQueue


@dataclass(frozen=True, slots=True)
class _Parts:
    ledger: Ledger
    consumer: Consumer
    dispatcher: Dispatcher
    reports: Reports


class Daemon:
    """One replica. `run` returns when it has drained; a part that fails takes the whole down."""

    def __init__(self, settings: Settings, runtime: Runtime, stop: Stop) -> None:
        self._settings = settings
        self._runtime = runtime
        self._stop = stop
        self._replica = f"{socket.gethostname()[:40]}-{runtime.new_id()[:8]}"
        self._started_at = runtime.now()
        self._metrics = Metrics()
        self._health = Health(runtime)
        self._intake = Intake(self._metrics)
        self._audience = Audience(settings.tenant_id, settings.cluster_id)
        self._handlers: Mapping[str, Handler] = {}
        self._parts: _Parts | None = None

    async def run(self) -> ExitCode:
        """Open everything, work until asked to stop, drain, and close. Raises Misconfigured."""
        try:
            async with AsyncExitStack() as stack:
                parts = await self._assemble(stack)
                return ExitCode.DRAINED if parts is None else await self._supervise(parts)
        except (PermanentError, BadHandlers, TracingUnavailable) as error:
            raise Misconfigured(str(error)) from error

    # -- putting together ----------------------------------------------------------------------------------------------

    async def _assemble(self, stack: AsyncExitStack) -> _Parts | None:
        """Everything, open; None when the wish to stop came first."""
        settings, runtime = self._settings, self._runtime
        self._handlers = load_handlers()
        self._health.readiness("agent", lambda: None if self._parts else "still starting")
        self._health.readiness("commands", self._not_receiving)
        telemetry = TelemetryServer(
            settings.telemetry, self._metrics, self._health, status=self._status, runtime=runtime
        )
        await self._listen(telemetry)
        stack.push_async_callback(telemetry.stop)
        tracing = Tracing(settings.telemetry, version=__version__, replica=self._replica)
        stack.callback(tracing.shutdown)
        ledger = await SqliteLedger.open(settings.ledger, observe=self._observe_ledger)
        stack.push_async_callback(ledger.close)
        queues = await self._open_queues(stack)
        if queues is None:
            return None
        ports, artifacts = await self._open_platform(stack)
        reports = self._reports(ledger, queues.reports)
        dispatcher = Dispatcher(
            Deps(
                audience=self._audience,
                owner_id=settings.owner_id,
                replica=self._replica,
                config=settings.dispatch,
                handlers=self._handlers,
                ports=ports,
                ledger=ledger,
                outlet=reports,
                artifacts=artifacts,
                runtime=runtime,
                metrics=self._metrics,
                tracing=tracing,
            ),
            self._health,
        )
        consumer = Consumer(
            queue=queues.commands,
            dead_letters=queues.dead_letters,
            handle=dispatcher.handle,
            sweep=dispatcher.sweep,
            intake=self._intake,
            runtime=runtime,
            metrics=self._metrics,
            health=self._health,
            config=settings.bus,
        )
        self._metrics.build_info.labels(__version__, platform.python_version()).set(1)
        log.info(
            "agent.started",
            version=__version__,
            replica=self._replica,
            handlers=sorted(self._handlers),
            http_port=telemetry.port,
        )
        self._parts = _Parts(ledger, consumer, dispatcher, reports)
        return self._parts

    async def _listen(self, telemetry: TelemetryServer) -> None:
        try:
            await telemetry.start()
        except OSError as error:
            where = f"{self._settings.telemetry.http_host}:{self._settings.telemetry.http_port}"
            raise Misconfigured(
                f"telemetry.http_host, telemetry.http_port: cannot listen on {where}: {os.strerror(error.errno or 0)}; "
                "choose an address of this machine and a free port"
            ) from error

    async def _open_queues(self, stack: AsyncExitStack) -> _Queues | None:
        settings = self._settings
        commands = await self._open_queue(stack, settings.commands.queue_url, "commands")
        if commands is None:
            return None
        dead_letters = await self._open_queue(stack, dead_letters_url(settings, commands), "dead-letters")
        reports = await self._open_queue(stack, settings.reports_queue_url, "reports")
        if dead_letters is None or reports is None:
            return None
        return _Queues(commands, dead_letters, reports)

    async def _open_queue(self, stack: AsyncExitStack, url: str, name: str) -> SqsQueue | None:
        """The queue, once it answers; None when the wish to stop came first."""
        queue = SqsQueue(url, name=name, aws=self._settings.aws, runtime=self._runtime)
        stack.push_async_callback(queue.close)
        failures = 0
        while not self._stop.drain.is_set():
            try:
                await queue.open()
            except TransientError as error:
                failures += 1
                log.warning("queue.unreachable", queue=name, error=error.message)
                await self._pause(self._runtime.full_jitter(_OPEN_RETRY.ceiling_s(failures)))
            else:
                return queue
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the wish to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.drain.wait()
        except TimeoutError:
            return

    async def _open_platform(self, stack: AsyncExitStack) -> tuple[Ports, ArtifactStore | None]:
        settings = self._settings
        session = await stack.enter_async_context(AwsSession(settings.aws))
        registry = EcrRegistry(
            reads=await session.ecr(retries=True),
            writes=await session.ecr(retries=False),
            config=settings.registry,
            owner_id=settings.owner_id,
            metrics=self._metrics,
            runtime=self._runtime,
        )
        artifacts = await artifact_store(settings, session, self._metrics, self._runtime)
        return Ports({ImageRegistry: registry, RepositoryDefaults: settings.registry.defaults()}), artifacts

    def _reports(self, ledger: Ledger, queue: Queue) -> Reports:
        settings = self._settings
        return Reports(
            identity=Identity(settings.source, self._audience, settings.owner_id, self._replica, __version__),
            ledger=ledger,
            outbound=_ReportsQueue(queue),
            heartbeat=self._heartbeat,
            on_full=self._on_outbox_full,
            runtime=self._runtime,
            metrics=self._metrics,
            health=self._health,
            config=settings.reports,
        )

    # -- running and stopping ------------------------------------------------------------------------------------------

    async def _supervise(self, parts: _Parts) -> ExitCode:
        """Run until drained. A part that ends by itself takes everything down."""
        spawn, telemetry = self._runtime.spawn, self._settings.telemetry
        async with asyncio.TaskGroup() as group:
            others = [
                spawn(group, _for_ever(parts.dispatcher.run(), "dispatcher"), "dispatcher"),
                spawn(group, _for_ever(parts.reports.run(), "reports"), "reports"),
                spawn(group, _for_ever(self._maintain(parts.ledger), "maintenance"), "maintenance"),
                spawn(
                    group,
                    _for_ever(watch_lag(self._runtime, self._metrics, self._health, telemetry), "loop-lag"),
                    "loop-lag",
                ),
                spawn(group, self._drain_when_asked(parts.consumer), "stop"),
            ]
            summary = await parts.consumer.run()
            log.info("agent.drained", finished=summary.finished, released=summary.released, cancelled=summary.cancelled)
            await self._flush(parts.reports)
            for task in others:
                task.cancel()
        if self._stop.abort.is_set():
            return ExitCode.ABORTED
        return ExitCode.DRAINED if self._stop.drain.is_set() else ExitCode.FAILED

    async def _drain_when_asked(self, consumer: Consumer) -> None:
        await self._stop.drain.wait()
        drain = self._settings.drain
        self._intake.pause("draining")
        _exit_hard_after(drain.hard_exit_s)
        log.info("agent.draining", grace_s=drain.grace_s)
        consumer.drain(drain.grace_s)
        await self._stop.abort.wait()
        log.warning("agent.aborting")
        consumer.abort()

    async def _flush(self, reports: Reports) -> None:
        try:
            async with asyncio.timeout(self._settings.drain.flush_s):
                await reports.flush()
        except TimeoutError:
            log.warning("reports.left_behind", flush_s=self._settings.drain.flush_s)

    async def _maintain(self, ledger: Ledger) -> None:
        """Forget what is older than any redelivery, and keep the ledger's counts fresh."""
        config = self._settings.ledger
        pulse = self._health.pulse("maintenance", late_after_s=60.0 + 2 * config.maintenance_interval_s)
        while True:
            pulse.beat()
            try:
                gone = await ledger.purge(finished_before=self._runtime.now() - config.retention_s)
                stats = await ledger.stats()
            except AgentError as error:
                log.warning("maintenance.failed", error=error.message)
            else:
                pulse.succeeded()
                if gone:
                    log.info("ledger.purged", records=gone)
                for kind in ("open_events", "finished_events", "leases", "subjects", "tombstones"):
                    self._metrics.ledger_records.labels(kind).set(getattr(stats, kind))
            await self._runtime.sleep(config.maintenance_interval_s)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _not_receiving(self) -> str | None:
        """Why nothing comes from the commands queue, although this replica asks for it."""
        if self._parts is None:
            return "still starting"
        if self._intake.reasons:
            return None
        ages = [pulse.success_age_s for pulse in self._health.pulses() if pulse.loop.startswith(_RECEIVERS)]
        limit_s = 2 * self._settings.bus.wait_s + _SILENCE_S
        if self._parts.consumer.table.free and ages and min(ages) > limit_s:
            return f"no receive has succeeded for {min(ages):.0f} s"
        return None

    def _on_outbox_full(self, full: bool) -> None:
        log.warning("outbox.full" if full else "outbox.has_room")
        if full:
            self._intake.pause("outbox_full")
        else:
            self._intake.resume("outbox_full")

    def _observe_ledger(self, operation: str, result: str, seconds: float) -> None:
        self._metrics.ledger_operation_duration.labels(operation, result).observe(seconds)

    async def _status(self) -> Mapping[str, object]:
        """The document behind `/status`."""
        parts = self._parts
        return {
            "version": __version__,
            "replica": self._replica,
            "tenant_id": self._audience.tenant_id,
            "cluster_id": self._audience.cluster_id,
            "owner_id": self._settings.owner_id,
            "uptime_s": round(self._runtime.now() - self._started_at, 3),
            "draining": self._stop.drain.is_set(),
            "intake_paused": sorted(self._intake.reasons),
            "event_types": sorted(self._handlers),
            "held": {str(phase): count for phase, count in parts.consumer.table.counts().items()} if parts else {},
            "work": parts.dispatcher.status() if parts else [],
            "ledger": asdict(await parts.ledger.stats()) if parts else {},
            "loops": [
                {
                    "loop": pulse.loop,
                    "progress_age_s": round(pulse.progress_age_s, 3),
                    "success_age_s": round(pulse.success_age_s, 3),
                    "late": pulse.late,
                }
                for pulse in self._health.pulses()
            ],
            "ailments": list(self._health.ailments()),
        }

    async def _heartbeat(self, number: int) -> Heartbeat:
        """What this replica is busy with. Raises AgentError when the ledger does not answer."""
        if self._parts is None:
            raise TransientError(Reason.UNAVAILABLE, "still starting")
        stats = await self._parts.ledger.stats()
        rows = self._parts.consumer.table.rows()
        now = self._runtime.now()
        sent = [row.delivery.sent_at for row in rows if row.delivery.sent_at is not None]
        return Heartbeat(
            replica=self._replica,
            agent_version=__version__,
            tenant_id=self._audience.tenant_id,
            cluster_id=self._audience.cluster_id,
            owner_id=self._settings.owner_id,
            number=number,
            started_at=moment(self._started_at),
            interval_s=self._settings.reports.heartbeat_interval_s,
            draining=self._stop.drain.is_set(),
            queues=(QueueState(queue="commands", oldest_received_age_s=max(0.0, now - min(sent)) if sent else None),),
            oldest_work_age_s=None if stats.oldest_open_at is None else max(0.0, now - stats.oldest_open_at),
            open_events=stats.open_events,
            outbox=stats.outbox,
            held={str(phase): count for phase, count in self._parts.consumer.table.counts().items()},
            waiting=tuple(WaitingWork(why=why, count=count) for why, count in sorted(stats.waiting.items())),
            paused=tuple(sorted(self._intake.reasons)),
            ailments=self._health.ailments(),
            event_types=tuple(sorted(self._handlers)),
        )


async def artifact_store(
    settings: Settings, session: AwsSession, metrics: Metrics, runtime: Runtime
) -> ArtifactStore | None:
    """The store for claim checks that the settings name, if any."""
    config = settings.artifacts
    if config.bucket is not None:
        return S3Artifacts(
            await session.s3(),
            bucket=config.bucket,
            prefix=config.prefix,
            timeout_s=config.transfer_timeout_s,
            metrics=metrics,
            runtime=runtime,
        )
    if config.directory is not None:
        return FileArtifacts(config.directory, timeout_s=config.transfer_timeout_s)
    return None


def dead_letters_url(settings: Settings, commands: SqsQueue) -> str:
    """The dead-letter queue: the one that is set, or the one that the commands queue's redrive policy names.

    `commands` is open. Raises Misconfigured when there is neither.
    """
    if settings.commands.dead_letter_queue_url is not None:
        return settings.commands.dead_letter_queue_url
    found = commands.dead_letter_queue()
    if found is None:
        raise Misconfigured(
            "commands.dead_letter_queue_url: is not set, and the commands queue has no redrive policy that names one"
        )
    return found.url


async def _for_ever(work: Awaitable[None], name: str) -> None:
    await work
    raise RuntimeError(f"{name} has ended, which it must not")


def _exit_hard_after(seconds: float) -> None:
    """The last resort against a drain that hangs: what is held becomes visible to others when its lease ends."""

    def leave() -> None:
        os.write(2, b"the drain did not come to its end: leaving\n")
        os._exit(ExitCode.ABORTED)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
