"""One run: everything put on stage, the plan played, the end awaited; invariants are checked all the while."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from agentd.bus import DeadLetters, Outgoing, Received
from agentd.core import Runtime, TransientError
from agentd.embedded.kube.status import ApiError
from agentd.ledger import Claimed, LedgerConfig
from agentd.ledger.sqlite.connection import open_for_reading
from agentd.settings import Settings
from tests.simulation.artifacts import SimArtifacts
from tests.simulation.book import Book
from tests.simulation.disk import Disk, DiskFault
from tests.simulation.draw import replica_name
from tests.simulation.echo import echoes
from tests.simulation.invariants import CHECKERS
from tests.simulation.loop import OWNER, START, Owner, Stalled, new_loop
from tests.simulation.plan import Act, Intent, Mishap, MishapKind, Moment, Plan, Redrive, Send
from tests.simulation.process import Process, Surroundings, WallClock, handlers_with, ledger_path
from tests.simulation.queues import Message, QueueFault, QueueFaults, QueueServer, QueueSettings, SimQueue
from tests.simulation.queues.server import Listener
from tests.simulation.scene import COMMANDS, DEAD_LETTERS, HOOKS, REPORTS, Scene, Violation, listeners
from tests.simulation.story import audience
from tests.simulation.trace import Trace
from tests.simulation.world import Fault, Faults, Pace, World, WorldSettings, Write

OWNER_ID = "sim-owner"
REST_WITHIN_S = 1800.0
"""Virtual seconds from the last trouble by which everything must have come to rest."""
MOST_STEPS = 400_000

_SECOND_SIGNAL_S = 1.0
_BLINK_S = 0.1
_START_S = 40.0
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Result:
    """How a run went. `digest` is the same whenever the same happened."""

    plan: Plan
    violation: Violation | None
    trace: Trace
    digest: str
    steps: int
    virtual_s: float
    counts: Counter[str]


def simulate(plan: Plan, folder: Path) -> Result:
    """Play a plan. `folder` holds a migrated ledger, and is the run's own."""
    simulation = _Simulation(plan, folder)
    _KEPT.append(simulation)
    return simulation.run()


def tell_on_stage(what: str) -> None:
    """Add to the trace of the run that is being played, in the name of the process that takes a step."""
    if _KEPT:
        _KEPT[-1].tell(what)


# What a run leaves behind must not be collected: tasks of dead processes would run their `finally` blocks.
_KEPT: "list[_Simulation]" = []


class _Simulation(Listener):
    """The stage, and its manager."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._setup = plan.setup
        self._folder = folder
        self._trace = Trace()
        self._loop = new_loop(self._dice("schedule"), stickiness=plan.setup.stickiness)
        self._disk = Disk(self._loop, self._dice("disk"), self._faults_of_disk(), self._committed)
        self._loop.run_job = self._disk.run
        self._loop.after_step = self._after_step
        self._processes: dict[Owner, Process] = {}
        self._current: list[Process | None] = [None] * self._setup.replicas
        self._lives = [0] * self._setup.replicas
        self._sleepers: dict[Process, float] = {}
        self._skews = list(self._setup.skew_s)
        self._mishaps: list[list[Mishap]] = [[] for _ in range(self._setup.replicas)]
        self._counts: list[Counter[Moment]] = [Counter() for _ in range(self._setup.replicas)]
        self._happened: Counter[str] = Counter()
        self._scene: Scene | None = None
        self._done = False
        self._hooks: dict[str, list[Callable[..., None]]] = {hook: [] for hook in HOOKS}
        self._on_step: list[Callable[[Process], None]] = []

    def tell(self, what: str) -> None:
        """See `tell_on_stage`."""
        owner = OWNER.get(None)
        if self._scene is not None and owner is not None:
            self._scene.tell(owner.name, f"   {what}")

    def run(self) -> Result:
        """See `simulate`."""
        loop = self._loop
        task = loop.server_context.run(loop.create_task, self._play(), name="play")
        with contextlib.suppress(Stalled):
            loop.run_while(lambda: not self._stopped(task))
        if task.done() and (error := task.exception()) is not None:
            raise error
        violation = self._scene.violations[0] if self._scene and self._scene.violations else None
        if violation is None and not self._done:
            violation = Violation("I1", f"no rest after {loop.steps} steps, at {loop.time():.0f} s")
        return Result(self._plan, violation, self._trace, self._digest(), loop.steps, loop.time(), self._happened)

    def _stopped(self, task: "asyncio.Task[None]") -> bool:
        return task.done() or bool(self._scene and self._scene.violations) or self._loop.steps > MOST_STEPS

    def _digest(self) -> str:
        return f"{self._trace.digest()}-{self._loop.steps}"

    def _dice(self, name: str) -> Random:
        return Random(f"{self._plan.seed} {name}")

    # -- the stage -----------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        plan = self._plan
        faults = Faults(tuple(plan.of(Fault)), plan.healthy_from_s)
        settings = WorldSettings(
            owner_id=OWNER_ID,
            tenant_id=audience().tenant_id,
            pace=Pace(namespace_end_s=(0.1, self._setup.namespace_end_s)),
        )
        world = World(plan.seed, faults, settings)
        await world.__aenter__()
        self._open(world)
        world.people.plant()
        for slot in range(self._setup.replicas):
            self._start(slot)
        self._schedule()
        await asyncio.sleep(plan.healthy_from_s - self._loop.time())
        await self._quiet_end()
        self._done = True

    def _open(self, world: World) -> None:
        setup, loop = self._setup, self._loop
        random = self._dice("queues")
        faults = QueueFaults(self._plan.of(QueueFault), random)
        aside = QueueSettings(fifo=setup.commands.fifo)
        letters = QueueServer(DEAD_LETTERS, aside, loop, random, faults, self)
        commands = QueueServer(COMMANDS, setup.commands, loop, random, faults, self, letters)
        reports = QueueServer(REPORTS, QueueSettings(fifo=False), loop, random, faults, self)
        reader = open_for_reading(self._ledger_config())
        intents: dict[str, list[Intent]] = {}
        for intent in self._plan.intents:
            intents.setdefault(intent.event_id, []).append(intent)
        scene = Scene(self._plan, loop, self._trace, world, commands, letters, reports, reader, Book(intents), OWNER_ID)
        checkers = [checker(scene) for checker in CHECKERS]
        self._hooks = {hook: listeners(checkers, hook) for hook in HOOKS}
        self._on_step = self._hooks["on_step"]
        world.listen(self._written)
        self._scene = scene
        handlers = handlers_with(max_attempts=setup.max_attempts, cap_s=setup.retry_cap_s)
        kept = {intent.event_id: intent.kept for intent in self._plan.intents if intent.kept is not None}
        failing_until_s = self._plan.healthy_from_s if self._plan.of_world() else 0.0
        artifacts = SimArtifacts(kept, loop, self._dice("artifacts"), failing_until_s=failing_until_s)
        self._around = Surroundings(
            loop=loop,
            settings=self._settings(),
            ports=self._ports,
            queue=self._queue,
            artifacts=artifacts,
            handlers=handlers,
            intended=partial(self._tell, "on_intended"),
        )

    @property
    def scene(self) -> Scene:
        """The scene, once it is open."""
        if self._scene is None:
            raise RuntimeError("the scene is not open yet")
        return self._scene

    def _settings(self) -> Settings:
        setup, meant_for = self._setup, audience()
        document: dict[str, Any] = {
            "tenant_id": meant_for.tenant_id,
            "cluster_id": meant_for.cluster_id,
            "owner_id": OWNER_ID,
            "reports_queue_url": "https://queues.example/reports",
            "commands": {"queue_url": "https://queues.example/commands"},
            "bus": dict(setup.bus),
            "dispatch": dict(setup.dispatch),
            "reports": dict(setup.reports),
            "ledger": self._ledger_config(),
            "proxy": {"listen_port": None},
            "drift": {
                "enabled": False
            },  # it never comes round within a simulation, and each renewal would be a step of it
            # Watchers write nothing but what they have told; their own tests are cheaper.
            "state": {"enabled": False},
            "drain": {"grace_s": setup.grace_s, "flush_s": 2.0, "hard_exit_s": setup.grace_s + 60.0},
        }
        return Settings(**document)

    def _ledger_config(self) -> LedgerConfig:
        return LedgerConfig(path=ledger_path(self._folder))

    def _ports(self, replica: str, metrics: Any, runtime: Runtime) -> dict[type, object]:
        return dict(self.scene.world.ports(replica, metrics=metrics, runtime=runtime))

    def _queue(self, process: Process, name: str) -> SimQueue:
        server = {COMMANDS: self.scene.commands, DEAD_LETTERS: self.scene.dead_letters, REPORTS: self.scene.reports}[
            name
        ]
        return SimQueue(
            server,
            self._loop,
            self._dice(f"{process.name} {name}"),
            by=process.name,
            replica=process.slot,
            asked=partial(self._asked, process),
            delivered=partial(self._delivered, process, server),
        )

    def _faults_of_disk(self) -> Sequence[Any]:
        return self._plan.of(DiskFault)

    # -- processes -----------------------------------------------------------------------------------------------------

    def _start(self, slot: int) -> None:
        if self._current[slot] is not None:
            return
        self._lives[slot] += 1
        owner = self._loop.process(f"{replica_name(slot)}.{self._lives[slot]}")
        self._disk.belongs(owner, slot)
        process = Process(
            slot=slot,
            life=self._lives[slot],
            owner=owner,
            clock=WallClock(self._loop, self._skews[slot]),
            around=self._around,
            random=self._dice(owner.name),
            ended=self._ended,
        )
        self._processes[owner] = process
        self._current[slot] = process
        self.scene.processes.append(process)
        self.scene.tell(process.name, "starts")
        process.start()
        self._tell("on_started", process)
        self._at(self._loop.time() + _LOOK_EVERY_S, partial(self._look, process))

    def _look(self, process: Process) -> None:
        if process.alive:
            self._tell("on_look", process)
            self._at(self._loop.time() + _LOOK_EVERY_S, partial(self._look, process))

    def _ended(self, process: Process) -> None:
        how = process.exit.name if process.exit is not None else f"{process.failure!r}"
        self.scene.tell(process.name, f"has ended: {how}")
        self._tell("on_ended", process)
        self._leave(process)
        if process.back_after_s is not None:
            self._restart_after(process.slot, process.back_after_s)

    def _kill(self, process: Process, why: str) -> None:
        self.scene.tell(process.name, why)
        self._tell("on_killed", process)
        self._leave(process)

    def _leave(self, process: Process) -> None:
        self._loop.kill(process.owner)
        self._current[process.slot] = None

    # -- the plan ------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        loop, plan = self._loop, self._plan
        for send in plan.of(Send):
            self._at(send.at_s, partial(self._send, send))
        for act in plan.of(Act):
            self._at(act.at_s, partial(self._act, act))
        for redrive in plan.of(Redrive):
            self._at(redrive.at_s, partial(self._redrive_soon, redrive.share))
        for mishap in plan.of(Mishap):
            if mishap.moment is Moment.SECONDS:
                loop.call_at(mishap.count, self._come_over, mishap, context=loop.server_context)
            else:
                self._mishaps[mishap.replica].append(mishap)

    def _at(self, at_s: float, work: Callable[[], object]) -> None:
        self._loop.call_at(at_s, work, context=self._loop.server_context)

    def _send(self, send: Send) -> None:
        intent = send.intent
        self.scene.tell("control", f"sends {intent}")
        self.scene.commands.send(Outgoing(intent.text, group=str(intent.subject), dedupe_id=send.dedupe), by="control")

    def _act(self, act: Act) -> None:
        """What needs something that is not there yet is tried again until the troubles end."""
        arguments = dict(act.arguments)
        try:
            self._is_there(arguments.get("environment_name"), arguments.get("environment_id"))
            getattr(self.scene.world.people, act.what)(**arguments)
        except (KeyError, ApiError):
            if self._loop.time() < self._plan.healthy_from_s:
                self._at(self._loop.time() + 2.0, partial(self._act, act))
            return
        self.scene.done[act.what, str(arguments.get("environment_name"))] = self._loop.time()
        if "build_id" in arguments:
            self.scene.pushed[arguments["build_id"]] = self._loop.time()
        self.scene.tell("people", str(act).partition(": ")[2])

    def _is_there(self, name: str | None, environment_id: str | None) -> None:
        """KeyError when a namespace is not an environment's."""
        if name is None or environment_id is None:
            return
        seen = self.scene.world.objects()[f"kubernetes:namespace/{name}"]
        if seen.marks.subject != f"environment/{environment_id}":
            raise KeyError(name)

    def _redrive_soon(self, share: float) -> None:
        self._loop.create_task(self._redrive(share), name="redrive", context=Context())

    async def _redrive(self, share: float) -> int:
        """The operator's command, on a network of his own."""
        random = self._dice(f"redrive {self._loop.time()}")
        runtime = Runtime(wall=lambda: START + self._loop.time(), random=random)
        ends = [
            SimQueue(
                server, self._loop, random, by="operator", replica=None, asked=lambda *_: None, delivered=lambda _: None
            )
            for server in (self.scene.dead_letters, self.scene.commands)
        ]
        letters = DeadLetters(ends[0], ends[1], runtime)
        try:
            result = await letters.redrive(lambda _: random.random() < share, rate_per_s=20.0, limit=100)
        except TransientError as error:
            self.scene.tell("operator", f"cannot redrive: {error.message}")
            return 0
        self.scene.tell("operator", f"redrives {len(result.redriven)} of {result.looked_at}")
        for entry in result.redriven:
            if entry.message_id in self.scene.dead_letters.messages and not self.scene.shows_twice(DEAD_LETTERS):
                self.scene.violated("epochs", f"{entry.message_id} was redriven, and is still a dead letter")
        return len(result.redriven)

    def _come_over(self, mishap: Mishap) -> None:
        process = self._current[mishap.replica]
        if process is None or self.scene.is_quiet:
            return
        self._happened[mishap.kind] += 1
        match mishap.kind:
            case MishapKind.CRASH:
                self._kill(process, f"is killed (back after {mishap.lasts_s:.1f} s)")
                self._restart_after(process.slot, mishap.lasts_s)
            case MishapKind.PAUSE:
                self._pause(process, mishap)
            case MishapKind.TERM | MishapKind.ABORT:
                self._stop(process, mishap)
            case MishapKind.SKEW:
                self._skews[mishap.replica] = process.clock.ahead_s = mishap.skew_s
                self.scene.tell(process.name, f"has its clock set {mishap.skew_s:+.1f} s from the truth")

    def _pause(self, process: Process, mishap: Mishap) -> None:
        seconds = mishap.lasts_s
        if not process.alive:
            return
        if mishap.wakes_after_s is not None:
            self._sleepers[process] = mishap.wakes_after_s
        self.scene.tell(process.name, f"stands still for {seconds:.1f} s")
        process.owner.held = process.was_paused = True
        process.paused_until = self._loop.time() + seconds
        self._at(min(self._loop.time() + seconds, self._plan.healthy_from_s), partial(self._resume, process))

    def _resume(self, process: Process) -> None:
        if process.alive and process.owner.held:
            self._sleepers.pop(process, None)
            process.owner.held = False
            process.paused_until = self._loop.time()
            self.scene.tell(process.name, "goes on")

    def _stop(self, process: Process, mishap: Mishap) -> None:
        self.scene.tell(process.name, "is told to stop" + (" twice" if mishap.kind is MishapKind.ABORT else ""))
        process.aborts = process.aborts or process.told_to_stop_at is not None
        process.tell_to_stop()
        self._tell("on_told_to_stop", process)
        process.back_after_s = mishap.lasts_s
        if mishap.kind is MishapKind.ABORT:
            process.aborts = True
            after_s = max(_SECOND_SIGNAL_S, self._setup.grace_s) if mishap.at_last else _SECOND_SIGNAL_S
            self._at(self._loop.time() + after_s, process.tell_to_stop)
            if mishap.at_last:
                short = replace(mishap, lasts_s=2 * _BLINK_S)
                self._at(self._loop.time() + after_s - _BLINK_S, partial(self._pause, process, short))

    def _restart_after(self, slot: int, seconds: float) -> None:
        self._at(self._loop.time() + seconds, partial(self._start, slot))

    # -- the end -------------------------------------------------------------------------------------------------------

    async def _quiet_end(self) -> None:
        scene = self.scene
        scene.tell("-", "the troubles are over")
        for slot in range(self._setup.replicas):
            self._start(slot)
        if not await self._rested():
            return
        if self._setup.ends_with_redrive:
            await self._redrive(1.0)
            if not await self._rested():
                return
        self._tell("on_rest")
        if self._setup.ends_with_echo and not scene.violations:
            await self._echo()
        if self._setup.ends_with_restart and not scene.violations:
            await self._start_again()

    async def _echo(self) -> None:
        """Newer generations that ask for what is there already."""
        for intent in echoes(self.scene):
            self.scene.book.add(intent)
            self._send(Send(self._loop.time(), intent, intent.event_id))
        if await self._rested():
            self._tell("on_rest")

    async def _start_again(self) -> None:
        """Every replica stops, and starts with everything as it was."""
        while living := self.scene.living():
            for process in living:
                if process.told_to_stop_at is None:
                    self.scene.tell(process.name, "is told to stop")
                    process.tell_to_stop()
                    self._tell("on_told_to_stop", process)
            await asyncio.sleep(1.0)
        writes, grants = len(self.scene.world.writes), len(self.scene.book.grants)
        for slot in range(self._setup.replicas):
            self._start(slot)
        await asyncio.sleep(_START_S)
        if len(self.scene.world.writes) != writes or len(self.scene.book.grants) != grants:
            self.scene.violated("I10", "a start with nothing to do has claimed or written something")

    async def _rested(self) -> bool:
        """Whether everything has come to rest in time, as it must."""
        until = self._loop.time() + REST_WITHIN_S
        while self._loop.time() < until:
            if self._is_at_rest():
                await asyncio.sleep(self._setup.reports["progress_interval_s"] + 1.0)
                if self._is_at_rest():
                    return True
            await asyncio.sleep(1.0)
        self._not_at_rest()
        return False

    def _is_at_rest(self) -> bool:
        scene = self.scene
        untagged = any("agentd-key" not in message.attributes for message in scene.dead_letters.messages.values())
        last_s = max((send.at_s for send in self._plan.of(Send)), default=0.0)
        if scene.commands.messages or untagged or scene.world.pending or self._loop.time() <= last_s:
            return False
        return all(self._is_idle(process) for process in scene.living()) and not self._outbox()

    def _outbox(self) -> int:
        return self.scene.stats().outbox

    def _is_idle(self, process: Process) -> bool:
        parts = process.parts
        return parts is not None and len(parts.consumer.table) == 0 and not parts.reports._pending

    def _not_at_rest(self) -> None:
        scene = self.scene
        waiting = [message.id for message in scene.commands.messages.values()]
        busy = {process.name: len(process.parts.consumer.table) for process in scene.living() if process.parts}
        scene.violated(
            "I1",
            f"no rest {REST_WITHIN_S:.0f} s after the last trouble: on the queue {waiting}, held {busy}, "
            f"{self._outbox()} reports wait",
        )

    # -- what happens --------------------------------------------------------------------------------------------------

    def _tell(self, hook: str, *arguments: object) -> None:
        for listener in self._hooks[hook]:
            listener(*arguments)

    def _after_step(self, owner: Owner) -> None:
        process = self._processes.get(owner)
        if self._loop.exceptions:
            self.scene.violated("alive", f"{owner.name}: {self._loop.exceptions[0]}")
        if process is None:
            return
        if process.killed and process.alive:
            self._kill(process, "exits hard: its drain has not come to its end")
            return
        for listener in self._on_step:
            listener(process)
        if self._mishaps[process.slot]:
            self._count(process.slot, Moment.STEPS)

    def _count(self, slot: int, moment: Moment) -> None:
        counts = self._counts[slot]
        counts[moment] += 1
        waiting = self._mishaps[slot]
        for mishap in waiting:
            if mishap.moment is moment and counts[moment] >= mishap.count:
                waiting.remove(mishap)
                # Not in the middle of the step that is being taken.
                self._at(self._loop.time(), partial(self._come_over, mishap))
                return

    def _committed(self, owner: Owner, result: object) -> None:
        process = self._processes.get(owner)
        if process is None or not isinstance(result, list):
            return
        for one in result:
            self._tell("on_commit", process, one)
            if isinstance(one, Claimed):
                self._wake_who_had(str(one.claim.subject))
        self._count(process.slot, Moment.COMMITS)

    def _wake_who_had(self, subject: str) -> None:
        """Whoever stands still, and has just lost a subject, may go on in the middle of the other's work."""
        for process, after_s in list(self._sleepers.items()):
            held = process.parts.dispatcher._leases._held if process.parts is not None else ()
            if any(str(lease.claim.subject) == subject for lease in held):
                del self._sleepers[process]
                self._at(self._loop.time() + after_s, partial(self._resume, process))

    def _asked(self, process: Process, queue: str, operation: str) -> None:
        self._tell("on_asked", process, queue, operation)

    def _delivered(self, process: Process, queue: QueueServer, received: Sequence[Received]) -> None:
        self._tell("on_delivered", process, queue, received)

    def _written(self, write: Write) -> None:
        how = write.refusal or ("stamps" if write.stamp else "changes" if write.changed else "leaves")
        late = ", late" if write.late else ""
        self.scene.tell(write.caller.replica, f"{write.service} {write.operation} {how} {write.obj}{late}")
        self._tell("on_write", write)
        if write.changed:
            self._count(int(write.caller.replica[1:]), Moment.WRITES)

    def on_sent(self, queue: QueueServer, message: Message, by: str) -> None:
        if queue.name != REPORTS or "conveyor.report" in message.body:
            self.scene.tell(by, f"sends {message.id} to {queue.name}")
        self._tell("on_sent", queue, message, by)
        self._count_of(by, Moment.SENDS)

    def on_received(self, queue: QueueServer, messages: Sequence[Message], by: str) -> None:
        told = ", ".join(f"{message.id} ({message.receive_count})" for message in messages)
        self.scene.tell(by, f"is handed {told}")
        for message in messages:
            event = self.scene.book.event(message.body)
            if queue.name == COMMANDS and event is not None:
                epoch = int(message.attributes.get("agentd-epoch", "0")) + 1
                self.scene.book.received.setdefault((event.key, epoch), self._loop.time())
        self._tell("on_received", queue, messages, by)
        self._count_of(by, Moment.RECEIVES)

    def on_delete(self, queue: QueueServer, message: Message, by: str) -> None:
        self.scene.tell(by, f"deletes {message.id}")
        self._tell("on_delete", queue, message, by)
        self._count_of(by, Moment.DELETES)

    def on_left(self, queue: QueueServer, message: Message, by: str) -> None:
        self.scene.tell(by, f"deletes {message.id} by an older receipt")
        self._tell("on_left", queue, message, by)

    def on_visibility(self, queue: QueueServer, message: Message, seconds: float, by: str) -> None:
        process = self.scene.process(by)
        row = (
            process.parts.consumer.table.get(message.id) if process is not None and process.parts is not None else None
        )
        extends = row is not None and (row.leased or row.extension is not None) and queue.name == COMMANDS
        message.put_off = message.put_off or not extends
        self.scene.tell(by, f"{'extends' if extends else 'hides'} {message.id} for {seconds:.0f} s")
        self._tell("on_visibility", queue, message, seconds, by)

    def on_lost(self, queue: QueueServer, message_id: str, by: str) -> None:
        self._tell("on_lost", queue, message_id, by)

    def on_moved(self, queue: QueueServer, message: Message) -> None:
        self.scene.tell(queue.name, f"gives {message.id} up")
        self._tell("on_moved", queue, message)

    def _count_of(self, by: str, moment: Moment) -> None:
        process = self.scene.process(by)
        if process is not None:
            self._count(process.slot, moment)
