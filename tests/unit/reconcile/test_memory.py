"""What follows from a picture and from what is remembered, decided without anything around it."""

from dataclasses import replace

from agentd.core import Action, DriftState, Picture, PlannedChange, Reason, Subject
from agentd.reconcile.drift import DriftConfig, Repair
from agentd.reconcile.drift import memory as decisions
from agentd.reconcile.drift.memory import Memory

SUBJECT = Subject("environment", "6f0c1a2b-0000-4000-8000-000000000001")
CONFIG = DriftConfig(
    repair=("environment/change", "project"), repair_pause_s=100, repair_attempts=3, calm_s=10_000, repeat_s=5_000
)
NOW = 1_000_000.0


def picture(*actions: Action, state: DriftState = DriftState.DRIFTED) -> Picture:
    """A picture that takes these."""
    changes = tuple(PlannedChange(f"object-{number}", action) for number, action in enumerate(actions))
    return Picture(SUBJECT, 3, state, changes)


CHANGED = picture(Action.CHANGE)
NEW = Memory()
WELL = picture(state=DriftState.IN_SYNC)


def repair(found: Picture, memory: Memory = NEW, *, after_s: float = 0.0, config: DriftConfig = CONFIG) -> Repair:
    return decisions.repair_of(found, memory, config, now=NOW + after_s)


def test_only_what_is_allowed_as_a_whole_is_repaired() -> None:
    assert repair(CHANGED) is Repair.ASKED
    assert repair(picture(Action.CHANGE, Action.DELETE)) is Repair.NOT_ALLOWED
    assert repair(replace(CHANGED, subject=SUBJECT._replace(kind="package"))) is Repair.NOT_ALLOWED
    assert repair(replace(picture(Action.DELETE), subject=SUBJECT._replace(kind="project"))) is Repair.ASKED
    assert repair(CHANGED, config=DriftConfig()) is Repair.NOT_ALLOWED
    for state in (DriftState.IN_SYNC, DriftState.UNFINISHED, DriftState.BLOCKED):
        assert repair(replace(CHANGED, state=state)) is Repair.NONE


def test_repairs_come_less_and_less_often_and_end() -> None:
    memory, asked = Memory(), []
    for second in range(0, 2000, 10):
        now = NOW + second
        if decisions.repair_of(CHANGED, memory, CONFIG, now=now) is Repair.ASKED:
            memory = decisions.repaired(memory, now=now)
            asked.append(second)
    assert asked == [0, 100, 300]
    assert repair(CHANGED, replace(memory, repairs=2), after_s=310) is Repair.PAUSED
    assert repair(CHANGED, memory, after_s=9_000) is Repair.GIVEN_UP
    assert decisions.calmed(memory, CONFIG, now=NOW + 9_000) == memory
    assert repair(CHANGED, decisions.calmed(memory, CONFIG, now=NOW + 10_300)) is Repair.ASKED


def test_the_same_is_told_once_and_again_after_a_long_time() -> None:
    def news(found: Picture, memory: Memory, *, after_s: float, done: Repair = Repair.NOT_ALLOWED) -> bool:
        return decisions.to_tell(found, memory, done, CONFIG, now=NOW + after_s)

    assert not news(WELL, Memory(), after_s=0)
    assert news(CHANGED, Memory(), after_s=0)
    memory = decisions.told(CHANGED, Memory(), Repair.NOT_ALLOWED, now=NOW)
    assert memory.since == NOW
    assert not news(CHANGED, memory, after_s=4_999)
    assert news(CHANGED, memory, after_s=5_000)
    assert news(picture(Action.CHANGE, Action.CHANGE), memory, after_s=1), "it has changed"
    assert news(CHANGED, memory, after_s=1, done=Repair.GIVEN_UP)
    assert not news(CHANGED, memory, after_s=1, done=Repair.PAUSED)
    assert news(CHANGED, memory, after_s=1, done=Repair.ASKED), "which event brings it back"
    again = decisions.told(CHANGED, memory, Repair.NOT_ALLOWED, now=NOW + 5_000)
    assert (again.since, again.told_at) == (NOW, NOW + 5_000)
    assert news(WELL, again, after_s=6_000)
    assert decisions.told(WELL, again, Repair.NONE, now=NOW).json() is None, "nothing is left to remember"


def test_words_of_a_problem_are_no_news_and_its_reason_is() -> None:
    locked = replace(WELL, state=DriftState.BLOCKED, reason=Reason.WAITING, problem="locked until 12:00")
    assert replace(locked, problem="locked until 12:05").digest == locked.digest
    assert replace(locked, reason=Reason.IN_USE).digest != locked.digest
    assert locked.digest != WELL.digest


def test_a_memory_is_the_same_once_it_has_been_in_the_ledger() -> None:
    memory = Memory(told="x", told_at=1.0, since=2.0, repairs=3, repaired_at=4.0)
    assert Memory.of(memory.json()) == memory
    assert Memory.of(None) == Memory()
    assert Memory().json() is None
    assert Memory(repairs=1).json() is not None, "repairs are remembered while all is well"
