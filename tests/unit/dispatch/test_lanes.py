"""Order and exclusion of events inside one replica."""

from contextlib import ExitStack
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agentd.core import Lock, LockMode, Subject, system_runtime
from agentd.dispatch.comebacks import Comebacks
from agentd.dispatch.lanes import Lanes, Ticket

A, B, C = (Subject("project", f"00000000-0000-4000-8000-00000000000{digit}") for digit in "abc")


def all_lanes(*, depth: int, flow_depth: int) -> Lanes:
    return Lanes(depth, flow_depth=flow_depth, comebacks=Comebacks(system_runtime(), least_s=1, most_s=300))


def take(
    lanes: Lanes, stack: ExitStack, subject: Subject, generation: int = 1, *locks: Lock, deletes: bool = False
) -> Ticket:
    ticket = stack.enter_context(lanes.ticket(subject, generation, deletes=deletes, locks=locks, flow=str(subject)))
    assert ticket is not None
    return ticket


def test_one_subject_runs_in_order_of_arrival_and_others_run_beside_it() -> None:
    lanes = all_lanes(depth=8, flow_depth=100)
    with ExitStack() as first, ExitStack() as others:
        one = take(lanes, first, A)
        two, other = take(lanes, others, A), take(lanes, others, B)
        assert (one.ready.is_set(), two.ready.is_set(), other.ready.is_set()) == (True, False, True)
        first.close()
        assert two.ready.is_set()
    assert len(lanes) == 0


def test_readers_share_a_subject_and_a_writer_waits_for_them_and_holds_up_later_readers() -> None:
    lanes = all_lanes(depth=8, flow_depth=100)
    read_a = Lock(A, LockMode.READ)
    with ExitStack() as readers, ExitStack() as writer, ExitStack() as late:
        first, second = take(lanes, readers, B, 1, read_a), take(lanes, readers, C, 1, read_a)
        change = take(lanes, writer, A)
        third = take(lanes, late, Subject("build", A.uuid), 1, read_a)
        assert first.ready.is_set()
        assert second.ready.is_set()
        assert not change.ready.is_set()
        assert not third.ready.is_set()
        readers.close()
        assert change.ready.is_set()
        assert not third.ready.is_set()
        writer.close()
        assert third.ready.is_set()


def test_a_full_lane_takes_nobody() -> None:
    lanes = all_lanes(depth=2, flow_depth=100)
    with ExitStack() as stack:
        take(lanes, stack, A)
        take(lanes, stack, A)
        assert stack.enter_context(lanes.ticket(A, 3, deletes=False, locks=(), flow=str(A))) is None
        take(lanes, stack, B)


def test_a_full_flow_takes_nobody_whatever_the_subject() -> None:
    lanes = all_lanes(depth=8, flow_depth=2)
    with ExitStack() as stack:
        for subject in (A, B):
            assert stack.enter_context(lanes.ticket(subject, 1, deletes=False, locks=(), flow="environment/1"))
        assert stack.enter_context(lanes.ticket(C, 1, deletes=False, locks=(), flow="environment/1")) is None
        assert stack.enter_context(lanes.ticket(C, 1, deletes=False, locks=(), flow="environment/2"))
    with lanes.ticket(C, 1, deletes=False, locks=(), flow="environment/1") as ticket:
        assert ticket is not None


def test_an_admitted_delete_preempts_older_events_of_its_own_subject() -> None:
    lanes = all_lanes(depth=8, flow_depth=100)
    with ExitStack() as stack:
        older, newer = take(lanes, stack, A, 1), take(lanes, stack, A, 3)
        reader = take(lanes, stack, B, 1, Lock(A, LockMode.READ))
        delete = take(lanes, stack, A, 2, deletes=True)
        assert not older.preempted, "not admitted yet: anybody could stop work with it"
        lanes.admit(newer)
        assert not older.preempted
        lanes.admit(delete)
        assert [ticket.preempted for ticket in (older, newer, reader, delete)] == [True, False, False, False]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, B, C]), st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(list(LockMode))))
        ),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_whoever_waits_has_its_turn_in_the_end_and_no_two_writers_share(
    wishes: list[tuple[Subject, list[tuple[Subject, LockMode]]]], random: Random
) -> None:
    lanes = all_lanes(depth=100, flow_depth=100)
    waiting: list[tuple[Ticket, ExitStack]] = []
    for subject, locks in wishes:
        stack = ExitStack()
        waiting.append((take(lanes, stack, subject, 1, *(Lock(locked, mode) for locked, mode in locks)), stack))
    while waiting:
        running = [(ticket, stack) for ticket, stack in waiting if ticket.ready.is_set()]
        assert running, "a circle of waits"
        for subject in (A, B, C):
            modes = [ticket.modes[subject] for ticket, _ in running if subject in ticket.modes]
            assert LockMode.WRITE not in modes or len(modes) == 1
        done = random.choice(running)
        done[1].close()
        waiting.remove(done)
    assert len(lanes) == 0
