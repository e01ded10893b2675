"""Watches one kind of state and tells every change of it: the whole state, with a number that grows, at least once.

What has changed waits as the name of a place, once, however often it changes; so a flood costs no memory, and the latest
state wins. A state is told when it differs from what was told last, by whichever replica; and everything again from time to
time, so that a report that was lost on its way is made up for.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import cast

from agentd.core import AgentError, RetryPolicy, Runtime
from agentd.ledger import Ledger
from agentd.platform import Change, ChangeKind, ClusterReader
from agentd.reconcile.config import StateConfig
from agentd.reconcile.watchers.memory import Memory, digest_of
from agentd.reconcile.watchers.views import Json, Source, Store, View
from agentd.telemetry import Health, Metrics, Pulse, get_logger

log = get_logger("state")

_BACKOFF = RetryPolicy(base_s=1.0, cap_s=60.0)
# Numbers of one term are below the next one's; a term is as long as one replica watches.
_TERM = 2**32
_CALLS_S = 60.0  # that ledger and queue may take for a round
_IDLE_S = 30.0


@dataclass(frozen=True, slots=True)
class State:
    """What is told of a subject; without content it is gone. `sequence` grows with every state of the subject."""

    kind: str
    subject: str
    sequence: int
    content: Mapping[str, Json] | None


Tell = Callable[[Sequence[State]], Awaitable[Sequence[str | None]]]
"""Sends states to the control plane: per state None, or why it was not taken. Raises AgentError when none could be sent."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What watchers work with."""

    cluster: ClusterReader
    ledger: Ledger
    tell: Tell
    runtime: Runtime
    health: Health
    metrics: Metrics
    config: StateConfig


class Watcher:
    """Of one view. `run` is called while this replica alone watches it, and may be called again."""

    def __init__(self, view: View, tools: Tools) -> None:
        self._view = view
        self._tools = tools

    async def run(self) -> None:
        """For ever: what goes wrong is logged, and watching begins anew after a while."""
        pulse = self._tools.health.pulse(f"state-{self._view.name}")
        failures = 0
        try:
            while True:
                term = _Term(self._view, self._tools, pulse)
                try:
                    await term.run()
                except* AgentError as errors:
                    failures = 1 if term.told else failures + 1
                    told = "; ".join(sorted({str(error) for error in _leaves(errors)}))
                    log.warning("state.not_watched", kind=self._view.name, error=told)
                pause_s = self._tools.runtime.full_jitter(_BACKOFF.ceiling_s(failures))
                pulse.beat("pausing after a failure", within_s=pause_s)
                await self._tools.runtime.sleep(pause_s)
        finally:
            self._tools.health.stopped(pulse)
            self._tools.metrics.state_subjects.labels(self._view.name).set(0)


class _Term:
    """One replica's time at one view: from a listing on, until something fails or it is cancelled."""

    def __init__(self, view: View, tools: Tools, pulse: Pulse) -> None:
        self.told = False
        self._view = view
        self._tools = tools
        self._pulse = pulse
        self._store = Store()
        self._memory = Memory(tools.ledger, view.name)
        self._first = 0
        self._number = 0
        self._dirty: dict[str, None] = {}
        self._facts: dict[str, dict[str, Mapping[str, Json]]] = {}
        self._untold: dict[str, Mapping[str, Json] | None] = {}
        self._unsynced = {source.kind for source in view.sources}
        self._again = False
        self._again_at = self._save_at = 0.0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Raises a group of AgentError."""
        self._pulse.beat("reading what was told before", within_s=_CALLS_S)
        self._first = await self._memory.load() * _TERM
        spawn = self._tools.runtime.spawn
        try:
            async with asyncio.TaskGroup() as group:
                for source in self._view.sources:
                    spawn(group, self._follow(source), f"state-{self._view.name}-{source.kind.name.lower()}")
                spawn(group, self._tell_for_ever(), f"state-{self._view.name}")
        finally:
            await self._leave()

    async def _follow(self, source: Source) -> None:
        changes = cast("AsyncGenerator[Change]", self._tools.cluster.watch(source.kind, labels=source.labels))
        async with aclosing(changes):
            async for change in changes:
                place = self._store.take(source.kind, change)
                if place is not None:
                    self._dirty[place] = None
                elif change.kind is ChangeKind.SYNCED:
                    self._unsynced.discard(source.kind)
                self._news.set()

    async def _tell_for_ever(self) -> None:
        while self._unsynced:
            await self._wait()
        self._find_the_gone()
        now = self._tools.runtime.monotonic()
        self._save_at, self._again_at = now + self._tools.config.save_interval_s, now + self._tools.config.resync_s
        failures = 0
        while True:
            try:
                await self._round()
                failures = 0
            except AgentError as error:
                failures += 1
                log.warning("state.not_told", kind=self._view.name, waiting=len(self._untold), error=error.message)
            pause_s = self._tools.runtime.full_jitter(_BACKOFF.ceiling_s(failures)) if failures else 0.0
            self._pulse.beat("pausing after a failure", within_s=pause_s)
            await self._tools.runtime.sleep(pause_s)
            await self._wait()

    async def _round(self) -> None:
        """Tell some of what has changed, and now and then write down what was told. Raises AgentError."""
        now, config = self._tools.runtime.monotonic(), self._tools.config
        if now >= self._again_at:
            self._tell_all_again()
            self._again_at = now + config.resync_s
        self._read_dirty()
        await self._tell_some()
        if now >= self._save_at:
            await self._memory.save()
            self._save_at = now + config.save_interval_s
        self._pulse.succeeded()

    async def _wait(self) -> None:
        """Until there is something to tell, and no more often than the pace allows."""
        config = self._tools.config
        self._pulse.beat("gathering changes", within_s=config.interval_s)
        await self._tools.runtime.sleep(config.interval_s)
        if not self._untold:
            self._pulse.beat("waiting for changes", within_s=_IDLE_S)
            try:
                async with asyncio.timeout(min(_IDLE_S, config.save_interval_s)):
                    await self._news.wait()
            except TimeoutError:
                self._pulse.succeeded()
        self._news.clear()
        self._pulse.beat("telling", within_s=_CALLS_S)

    def _find_the_gone(self) -> None:
        """After the first listing: what a predecessor has told of, and what is not there any more."""
        self._read_dirty()
        there = {subject for facts in self._facts.values() for subject in facts}
        self._untold.update(dict.fromkeys(self._memory.subjects() - there))

    def _tell_all_again(self) -> None:
        for facts in self._facts.values():
            self._untold.update(facts)
        self._again = True

    def _read_dirty(self) -> None:
        """What is at the places that have changed becomes what is to be told."""
        for place in self._dirty:
            facts = {fact.subject: fact.content for fact in self._view.read(self._store.seen(place))}
            before = self._facts.pop(place, {})
            self._untold.update(dict.fromkeys(before.keys() - facts.keys()))
            self._untold.update({name: content for name, content in facts.items() if before.get(name) != content})
            if facts:
                self._facts[place] = facts
        self._dirty.clear()
        self._tools.metrics.state_subjects.labels(self._view.name).set(sum(map(len, self._facts.values())))

    async def _tell_some(self) -> None:
        """As many states as the pace allows; those that were not taken wait for the next round."""
        wanted = islice(self._untold.items(), self._tools.config.batch)
        chosen = {subject: (content, None if content is None else digest_of(content)) for subject, content in wanted}
        news = {name: told for name, told in chosen.items() if self._again or not self._memory.has(name, told[1])}
        answers = await self._tools.tell([self._state(subject, content) for subject, (content, _) in news.items()])
        refused = {subject for subject, why in zip(news, answers, strict=True) if why is not None}
        for subject, (content, digest) in chosen.items():
            del self._untold[subject]
            if subject in refused:
                self._untold[subject] = content  # behind the others
            elif subject in news:
                self._memory.note(subject, digest)
        if refused:
            why = next(why for why in answers if why is not None)
            log.warning("state.refused", kind=self._view.name, states=len(refused), error=why)
        self._again = self._again and bool(self._untold)
        self.told = True

    def _state(self, subject: str, content: Mapping[str, Json] | None) -> State:
        self._number += 1
        return State(self._view.name, subject, self._first + self._number, content)

    async def _leave(self) -> None:
        """What was told is written down at the end as well; what cannot be is told again by the next."""
        try:
            async with asyncio.timeout(self._tools.config.leave_s):
                await self._memory.save()
        except (AgentError, TimeoutError) as error:
            log.warning("state.not_saved", kind=self._view.name, error=str(error) or "the ledger does not answer")


def _leaves(errors: BaseExceptionGroup[AgentError]) -> Sequence[AgentError]:
    found: list[AgentError] = []
    for error in errors.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
