"""Runs and their tasks, as a scheduler with one slot for each run would carry them on. Time is an argument; nothing waits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentd.embedded.airflow.setup import DagSpec, Task

FINISHED = ("success", "failed")
_FAILED = ("failed", "upstream_failed")


@dataclass
class Instance:
    """A task of a run."""

    number: int
    task: Task
    state: str | None = None
    try_number: int = 0
    max_tries: int = 0
    started: float | None = None
    ended: float | None = None

    @property
    def fails(self) -> bool:
        """Whether the present try does."""
        return self.try_number <= self.task.failures

    def end(self, state: str, at: float) -> None:
        """It is done."""
        self.state, self.ended = state, at


@dataclass
class Run:
    """A run of a DAG."""

    dag_id: str
    run_id: str
    user: str
    conf: dict[str, Any]
    note: str | None
    queued: float
    instances: list[Instance]
    state: str = "queued"
    started: float | None = None
    ended: float | None = None
    free_at: float = field(init=False)
    """From when on its next task may start."""

    def __post_init__(self) -> None:
        self.free_at = self.queued

    def advance(self, now: float, startable_since: float | None) -> None:
        """What has happened by now. Tasks start only while the DAG is not paused: `startable_since` when it was unpaused."""
        while self.state not in FINISHED:
            running = next((found for found in self.instances if found.state == "running"), None)
            if running is not None:
                if not self._finish(running, now):
                    return
            elif any(found.state in _FAILED for found in self.instances):
                self._end("failed")
            elif not self._start_next(startable_since):
                return

    def set_state(self, state: str, now: float) -> None:
        """As somebody wants it. Ending a run ends its tasks: those that run like the run, others are passed over."""
        if state == "queued":
            self.state, self.free_at = state, now
            return
        for found in self.instances:
            if found.state == "running":
                found.end(state, now)
            elif found.state is None:
                found.state = "skipped" if state == "failed" else state
        self.free_at = now
        self._end(state)

    def selected(self, task_ids: Sequence[str] | None, *, failed: bool, up: bool, down: bool) -> list[Instance]:
        """The tasks that a clearing means."""
        named = [i for i, found in enumerate(self.instances) if task_ids is None or found.task.task_id in task_ids]
        if not named:
            return []
        first, last = (0 if up else min(named)), (len(self.instances) - 1 if down else max(named))
        return [
            found
            for i, found in enumerate(self.instances)
            if (i in named or (up and first <= i <= max(named)) or (down and min(named) <= i <= last))
            and (not failed or found.state in _FAILED)
        ]

    def clear(self, chosen: Sequence[Instance], now: float) -> None:
        """Have these done again."""
        for found in chosen:
            found.state = None
            found.max_tries = max(found.max_tries, found.try_number)
        self.set_state("queued", now)

    def _finish(self, running: Instance, now: float) -> bool:
        ends = (running.started or 0.0) + running.task.seconds
        if ends > now:
            return False
        running.end("failed" if running.fails else "success", ends)
        self.free_at = ends
        if running.fails:
            for later in self._after(running):
                later.state = "upstream_failed"
        return True

    def _start_next(self, startable_since: float | None) -> bool:
        waiting = next((found for found in self.instances if found.state is None), None)
        if waiting is None:
            self._end("success")
            return True
        if startable_since is None:
            return False
        at = max(self.free_at, startable_since)
        waiting.state, waiting.started, waiting.ended = "running", at, None
        waiting.try_number += 1
        self.state = "running"
        self.started = at if self.started is None else self.started
        return True

    def _after(self, instance: Instance) -> Iterator[Instance]:
        return iter(self.instances[self.instances.index(instance) + 1 :])

    def _end(self, state: str) -> None:
        self.state, self.ended = state, self.free_at


def new_instances(spec: DagSpec, first_number: int) -> list[Instance]:
    """Of a new run."""
    return [Instance(first_number + i, task) for i, task in enumerate(spec.tasks)]


def log_of(run: Run, instance: Instance, try_number: int) -> list[dict[str, Any]]:
    """A try's log, as Airflow gives it: where it is from, and what it says."""
    place = f"dag_id={run.dag_id}/run_id={run.run_id}/task_id={instance.task.task_id}/attempt={try_number}.log"
    events: list[dict[str, Any]] = [
        {"timestamp": None, "event": "::group::Log message source details"},
        {"timestamp": None, "event": place},
        {"timestamp": None, "event": "::endgroup::"},
    ]
    events += [{"event": line, "level": "info", "logger": "task.stdout"} for line in instance.task.lines]
    still_runs = instance.state == "running" and try_number == instance.try_number
    if try_number <= instance.task.failures and not still_runs:
        raised = {"exc_type": "RuntimeError", "exc_value": "it fails as it was told", "frames": []}
        failed = {"event": "Task failed with exception", "level": "error", "logger": "task", "error_detail": [raised]}
        events.append(failed)
    return events
