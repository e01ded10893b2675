"""Many seeds on several processes, and what is said of them."""

import hashlib
import multiprocessing
import os
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Any, TextIO

from tests.simulation.draw import draw
from tests.simulation.stage import Stage, in_a_process, stage

SEEDS_A_PROCESS = 80
"""Played by one process before it ends: what runs leave behind is not collected."""

Case = tuple[int, str | None]
"""A seed, and a profile if not its own."""

_WARM_UP: Sequence[Case] = (
    (105, "calm"),
    (120, "world"),
    (108, "stuck"),
    *((seed, "deploys") for seed in range(12)),  # most of what the server has to work out
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    profile: str
    invariant: str | None
    what: str | None
    digest: str
    steps: int
    virtual_s: float
    cpu_s: float
    happened: dict[str, int]


@dataclass(frozen=True, slots=True)
class Broken:
    """The simulation itself has failed."""

    why: str


@dataclass(slots=True)
class Summary:
    """What became of all."""

    seeds: int = 0
    failures: list[Outcome] = field(default_factory=list)
    steps: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    profiles: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.seeds += 1
        self.steps += outcome.steps
        self.virtual_s += outcome.virtual_s
        self.cpu_s += outcome.cpu_s
        self.profiles[outcome.profile] += 1
        self.happened.update(outcome.happened)
        self.digests[f"{outcome.seed} {outcome.profile}"] = outcome.digest
        if outcome.invariant is not None:
            self.failures.append(outcome)

    @property
    def digest(self) -> str:
        """Of everything that has happened."""
        return hashlib.sha256(repr(sorted(self.digests.items())).encode()).hexdigest()[:16]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        plain = {name: getattr(self, name) for name in ("seeds", "steps", "virtual_s", "cpu_s", "wall_s", "digest")}
        failures = [asdict(failure) for failure in self.failures]
        return {**plain, "failures": failures, "profiles": dict(self.profiles), "happened": dict(self.happened)}


def play(cases: Sequence[Case], made: Stage) -> list[Outcome]:
    """Play cases one after the other."""
    return [play_one(case, made) for case in cases]


def play_one(case: Case, made: Stage) -> Outcome:
    """Play one."""
    began = time.process_time()
    result = made.play(draw(*case))
    violation = result.violation
    return Outcome(
        seed=case[0],
        profile=result.plan.profile,
        invariant=violation.invariant if violation else None,
        what=violation.what if violation else None,
        digest=result.digest,
        steps=result.steps,
        virtual_s=result.virtual_s,
        cpu_s=time.process_time() - began,
        happened=dict(result.counts),
    )


def run(
    cases: Iterator[Case], *, workers: int, most_s: float | None, stop_at: int | None, progress: TextIO | None
) -> Summary:
    """Play cases until there are no more, the time is over, or so many have failed.

    The processes that play are forked from one that has played before: what is worked out once need not be again.
    """

    def work(made: Stage) -> Summary:
        for case in _WARM_UP:
            made.play(draw(*case))
        return _Crew(cases, most_s, stop_at, progress).run(workers)

    return in_a_process(work)


class _Crew:
    def __init__(
        self, cases: Iterator[Case], most_s: float | None, stop_at: int | None, progress: TextIO | None
    ) -> None:
        self._cases = cases
        self._began = time.monotonic()
        self._most_s = most_s
        self._stop_at = stop_at
        self._progress = progress
        self._summary = Summary()
        self._told_at = 0.0

    def run(self, workers: int) -> Summary:
        context = multiprocessing.get_context("fork")
        at_work: dict[Connection, multiprocessing.process.BaseProcess] = {}
        while True:
            while len(at_work) < workers and (cases := self._next()):
                here, there = context.Pipe(duplex=False)
                child = context.Process(target=_work, args=(cases, there), daemon=True)
                child.start()
                there.close()
                at_work[here] = child
            if not at_work:
                break
            for ready in wait(list(at_work)):
                if isinstance(ready, Connection) and not self._hear(ready):
                    at_work.pop(ready).join()
        self._tell(last=True)
        self._summary.wall_s = time.monotonic() - self._began
        return self._summary

    def _next(self) -> list[Case]:
        enough = self._stop_at is not None and len(self._summary.failures) >= self._stop_at
        late = self._most_s is not None and time.monotonic() - self._began > self._most_s
        if enough or late:
            return []
        return list(islice(self._cases, SEEDS_A_PROCESS))

    def _hear(self, answers: Connection) -> bool:
        """Take an answer in; False when there will be no more."""
        try:
            answer = answers.recv()
        except EOFError:
            return False
        if isinstance(answer, Broken):
            raise RuntimeError(answer.why)  # noqa: TRY004 - a worker has broken: no wrong type of anybody's
        self._summary.add(answer)
        self._tell()
        return True

    def _tell(self, *, last: bool = False) -> None:
        if self._progress is None:
            return
        now, summary = time.monotonic(), self._summary
        if now - self._told_at < 1.0 and not last:
            return
        self._told_at = now
        rate = summary.seeds / max(now - self._began, 0.001)
        line = f"{summary.seeds} seeds, {len(summary.failures)} failed, {rate:.1f} a second"
        self._progress.write(f"\r{line:<60}" if self._progress.isatty() else (f"{line}\n" if last else ""))
        if last and self._progress.isatty():
            self._progress.write("\n")
        self._progress.flush()


def _work(cases: Sequence[Case], answers: Connection) -> None:
    try:
        with stage() as made:
            for case in cases:
                answers.send(play_one(case, made))
    except BaseException as error:
        answers.send(Broken(f"seed {case[0]}: {error!r}\n{traceback.format_exc()}"))
    answers.close()
    os._exit(0)
