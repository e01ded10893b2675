"""Health is progress."""

import pytest

from agentd.telemetry import Health, Pulse
from tests.unit.telemetry.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """The process's."""
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    """Of one process."""
    return Health(clock.runtime())


def test_a_loop_has_one_pulse_until_it_stops(health: Health) -> None:
    pulse = health.pulse("outbox")
    with pytest.raises(ValueError, match="outbox"):
        health.pulse("outbox")
    health.stopped(pulse)
    health.stopped(pulse)
    assert health.pulses() == ()
    assert health.pulse("outbox") is not pulse


def test_a_beat_is_progress_and_no_success(health: Health, clock: Clock) -> None:
    pulse = health.pulse("receivers", late_after_s=0.5)
    clock.seconds += 1
    assert len(health.ailments()) == 1
    pulse.beat()
    assert health.ailments() == ()
    assert (pulse.progress_age_s, pulse.success_age_s) == (0, 1)
    pulse.succeeded()
    assert pulse.success_age_s == 0


def test_a_loop_is_as_late_as_it_says_it_may_be(health: Health, clock: Clock) -> None:
    pulse = health.pulse("sweep", late_after_s=10)
    pulse.beat("sleeping", within_s=300)
    clock.seconds += 310
    assert health.ailments() == ()
    clock.seconds += 1
    assert health.ailments() == ("loop sweep has not iterated for 311.0 s (allowed: 310 s), since it began sleeping",)
    pulse.succeeded()
    clock.seconds += 309
    assert not pulse.late, "a success takes nothing back of what the loop has said"
    pulse.beat()
    clock.seconds += 11
    assert health.ailments() == ("loop sweep has not iterated for 11.0 s (allowed: 10 s)",)


def test_by_default_a_late_loop_is_named_within_fifteen_seconds(health: Health, clock: Clock) -> None:
    health.pulse("leases").beat()
    while not health.look().ailments:
        clock.seconds += 1
    assert clock.seconds <= 13
    assert "leases" in health.checkup.ailments[0]


def test_what_one_look_finds_and_the_next_does_not_is_no_ailment(health: Health) -> None:
    books: list[str | None] = [None, "3 rows and 2 tasks", None, "3 rows, 2 tasks", "4 rows, 2 tasks", None]
    health.invariant("books", lambda: books.pop(0))
    found = [health.look().ailments for _ in list(books)]
    assert found == [(), (), (), (), ("books: 4 rows, 2 tasks",), ()]


def test_after_a_pause_of_everything_each_loop_has_its_turn_first(health: Health, clock: Clock) -> None:
    pulses: list[Pulse] = [health.pulse(loop) for loop in ("leases", "outbox", "hung")]
    health.look()
    clock.seconds += 60  # as if the event loop had been blocked, or the process stopped
    assert health.look().ailments == ()
    for pulse in pulses[:2]:
        pulse.beat()
    clock.seconds += 1
    (ailment,) = health.look().ailments
    assert ailment.startswith("loop hung")


def test_a_look_takes_ages(health: Health, clock: Clock) -> None:
    pulse = health.pulse("outbox")
    oldest: list[float | None] = [7.0]
    health.oldest_work("held", lambda: oldest[0])
    clock.seconds += 4
    pulse.beat()
    clock.seconds += 2
    (loop,) = health.look().loops
    assert (loop.loop, loop.progress_s, loop.success_s) == ("outbox", 2, 6)
    assert health.checkup.work == {"held": 7.0}
    oldest[0] = None
    assert health.look().work == {"held": 0.0}


def test_readiness_is_told_per_component(health: Health) -> None:
    health.readiness("ledger", lambda: None)
    health.readiness("queue", lambda: "access denied")
    assert health.unready() == {"ledger": None, "queue": "access denied"}
