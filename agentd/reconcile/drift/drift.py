"""Drift: every subject is compared with what is desired of it, slowly and evenly, one at a time in each shard.

What differs is reported once, and again when it has changed or after a long time; the whole of it each time, so that a report
that was lost is made up for. What the customer lets the agent repair is asked for as an event like any other. The ledger
remembers what was told and done of a subject from when it drifts until it is well; of all others nothing is written.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentd.core import AgentError, DriftState, Picture, Reason, Runtime, Subject, TransientError
from agentd.ledger import Ledger, Variable
from agentd.reconcile.drift import memory
from agentd.reconcile.drift.config import DriftConfig
from agentd.reconcile.drift.memory import Memory, Repair
from agentd.reconcile.shards import shard_of
from agentd.telemetry import Health, Metrics, Pulse, get_logger

log = get_logger("reconcile")

Json = Any  # a document for `/status`

_PAGE = 500
_CHECK_S = 900.0  # above the deadline of any plan
_CALL_S = 60.0
_BUSY_S = 5.0
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """What is reported of a subject. `since` is None of one that is well, `event_id` the event that brings it back."""

    picture: Picture
    repair: Repair
    event_id: str | None
    repairs: int
    since: float | None
    checked_at: float


@dataclass(frozen=True, slots=True)
class Ports:
    """What drift is given.

    `compare` makes a picture, None when there is nothing to compare. `tell` returns once a finding is on its way for sure.
    `ask` asks for the event that does what the picture says and nothing else, and returns its id. `busy` says whether events
    need all that this replica has. All may raise AgentError.
    """

    compare: Callable[[Subject], Awaitable[Picture | None]]
    tell: Callable[[Finding], Awaitable[None]]
    ask: Callable[[Picture], Awaitable[str]]
    busy: Callable[[], bool]


class Drift:
    """The work of one replica: `work` is called for each shard that it holds."""

    def __init__(
        self,
        ports: Ports,
        *,
        ledger: Ledger,
        runtime: Runtime,
        metrics: Metrics,
        health: Health,
        config: DriftConfig,
    ) -> None:
        self._ports = ports
        self._ledger = ledger
        self._runtime = runtime
        self._metrics = metrics
        self._health = health
        self._config = config
        self._drifted: dict[int, dict[Subject, Finding]] = {}
        self._kinds: set[str] = set()

    def status(self) -> Json:
        """What is known to differ in the shards of this replica."""
        found = [finding for shard in self._drifted.values() for finding in shard.values()]
        return {
            "shards": sorted(self._drifted),
            "drifted": len(found),
            "subjects": [_shown(finding) for finding in found[:_SHOWN]],
        }

    async def work(self, shard: int) -> None:
        """Go through the shard's subjects for ever."""
        pulse = self._health.pulse(f"drift-{shard}")
        self._drifted[shard] = {}
        turn = self._runtime.full_jitter(1.0)
        try:
            while True:
                await self._go_round(shard, turn, pulse)
        finally:
            self._health.stopped(pulse)
            del self._drifted[shard]
            self._count()

    async def _go_round(self, shard: int, turn: float, pulse: Pulse) -> None:
        """Each subject once, evenly over the interval. `turn` is the part of a pause before the first: shards take turns."""
        try:
            subjects = await self._subjects(shard, pulse)
        except AgentError as error:
            log.warning("drift.not_listed", error=error.message)
            await self._sleep_until(self._runtime.monotonic() + min(_CALL_S, self._config.interval_s), pulse)
            return
        pause_s = self._config.interval_s / max(1, len(subjects))
        begun = self._runtime.monotonic()
        for number, subject in enumerate(subjects):
            await self._sleep_until(begun + (number + turn) * pause_s, pulse)
            await self._wait_for_room(pulse)
            pulse.beat(f"comparing {subject}", within_s=_CHECK_S + _CALL_S)
            if await self._look_at(shard, subject):
                pulse.succeeded()
        self._forget(shard, subjects)
        await self._sleep_until(begun + self._config.interval_s, pulse)

    async def _subjects(self, shard: int, pulse: Pulse) -> Sequence[Subject]:
        found: list[Subject] = []
        after = ""
        while True:
            pulse.beat("listing what is desired", within_s=_CALL_S)
            page = await self._ledger.wanted(after=after, limit=_PAGE)
            subjects = map(Subject.parse, page)
            found += [subject for subject in subjects if shard_of(subject, self._config.shards) == shard]
            if len(page) < _PAGE:
                return found
            after = page[-1]

    async def _sleep_until(self, then: float, pulse: Pulse) -> None:
        pause_s = max(0.0, then - self._runtime.monotonic())
        pulse.beat("sleeping", within_s=pause_s)
        await self._runtime.sleep(pause_s)

    async def _wait_for_room(self, pulse: Pulse) -> None:
        """Events go first."""
        while self._ports.busy():
            pulse.beat("waiting while events need all places", within_s=_BUSY_S)
            await self._runtime.sleep(_BUSY_S)

    # -- one subject ---------------------------------------------------------------------------------------------------

    async def _look_at(self, shard: int, subject: Subject) -> bool:
        """Whether it was compared, and all that follows from that was done."""
        try:
            async with asyncio.timeout(_CHECK_S):
                picture = await self._ports.compare(subject)
                if picture is not None:
                    self._note(shard, await self._deal_with(picture))
        except (AgentError, TimeoutError) as error:
            self._metrics.drift_comparisons.labels(subject.kind, "failed").inc()
            log.warning("drift.not_compared", subject=str(subject), error=str(error) or "it takes too long")
            return False
        result = "skipped" if picture is None else picture.state.value
        self._metrics.drift_comparisons.labels(subject.kind, result).inc()
        return True

    async def _deal_with(self, picture: Picture) -> Finding:
        """Repair what may be, and tell what is new. A repair is remembered before it is told, so that none goes uncounted."""
        name, now = f"drift/{picture.subject}", self._runtime.now()
        found = await self._ledger.variable(name)
        before = memory.calmed(Memory.of(None if found is None else found.value), self._config, now=now)
        repair = memory.repair_of(picture, before, self._config, now=now)
        known, event_id = before, None
        if repair is Repair.ASKED:
            known = memory.repaired(before, now=now)
            found = await self._remember(name, known, found)
            event_id = await self._ports.ask(picture)
            self._metrics.drift_repairs.labels(picture.subject.kind).inc()
        finding = Finding(picture, repair, event_id, known.repairs, _since(picture, known, now), now)
        if memory.to_tell(picture, known, repair, self._config, now=now):
            await self._ports.tell(finding)
            log.info("drift.told", subject=str(picture.subject), state=picture.state.value, repair=repair.value)
            known = memory.told(picture, known, repair, now=now)
        await self._remember(name, known, found)
        return finding

    async def _remember(self, name: str, known: Memory, found: Variable | None) -> Variable | None:
        """The variable as it then is. TransientError: another replica has changed it meanwhile."""
        value = known.json()
        if value == (None if found is None else found.value):
            return found
        if not await self._ledger.set_variable(name, value, version=None if found is None else found.version):
            raise TransientError(Reason.UNAVAILABLE, "another replica is at the same subject")
        return await self._ledger.variable(name)

    # -- what is known -------------------------------------------------------------------------------------------------

    def _note(self, shard: int, finding: Finding) -> None:
        if finding.picture.state is DriftState.IN_SYNC:
            self._drifted[shard].pop(finding.picture.subject, None)
        else:
            # Without what the fields were: a status needs none of it.
            changes = tuple(replace(change, fields=()) for change in finding.picture.changes)
            self._drifted[shard][finding.picture.subject] = replace(
                finding, picture=replace(finding.picture, changes=changes)
            )
        self._count()

    def _forget(self, shard: int, subjects: Sequence[Subject]) -> None:
        """What is desired no more does not differ."""
        for subject in self._drifted[shard].keys() - set(subjects):
            del self._drifted[shard][subject]
        self._count()

    def _count(self) -> None:
        objects: Counter[str] = Counter()
        for shard in self._drifted.values():
            for subject, finding in shard.items():
                objects[subject.kind] += max(1, len(finding.picture.changes))
        self._kinds |= objects.keys()
        for kind in self._kinds:
            self._metrics.drift_objects.labels(kind).set(objects[kind])


def _since(picture: Picture, known: Memory, now: float) -> float | None:
    return None if picture.state is DriftState.IN_SYNC else known.since or now


def _shown(finding: Finding) -> Mapping[str, Json]:
    picture = finding.picture
    return {
        "subject": str(picture.subject),
        "state": picture.state.value,
        "objects": [change.obj for change in picture.changes[:_SHOWN]],
        "problem": picture.problem,
        "repair": finding.repair.value,
        "repairs": finding.repairs,
        "since": finding.since,
    }
