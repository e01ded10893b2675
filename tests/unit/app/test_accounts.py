"""What the proxy is told of a name: what the ledger knows, and what this replica holds at this moment."""

from typing import Any

from agentd.app.accounts import account_of
from agentd.app.names import Named
from agentd.core import Hold, Outcome, OutcomeKind, Presence, Reason
from agentd.dispatch import Answer, Explanation
from agentd.ledger import Held, Record, RecordState, StepRecord, SubjectState, Transition

NOW = 1_700_000_000.0
SUBJECT = "project/00000000-0000-4000-8000-00000000000a"


def record(event_id: str, **changes: Any) -> Record:
    """What the ledger has written down of an event."""
    given: dict[str, Any] = {
        "key": f"event/{event_id}",
        "event_id": event_id,
        "digest": "sha256:0",
        "type": "conveyor.project.create.v1",
        "subject": SUBJECT,
        "generation": 3,
        "event": "{}",
        "state": RecordState.OPEN,
        "epoch": 1,
        "attempts": 1,
        "changed": False,
        "admitted_at": NOW,
    }
    return Record(**{**given, **changes})


def explanation(event_id: str, **changes: Any) -> Explanation:
    """The ledger's answer about it."""
    return Explanation(
        verdict="waits",
        hold=Hold.LEASE,
        unblock=Hold.LEASE.help,
        record=record(event_id, **changes),
        transitions=[Transition(NOW, 1, "admitted", "conveyor.project.create.v1")],
        steps=[StepRecord(1, "create repository", None, NOW)],
    )


def work(event_id: str, **changes: object) -> dict[str, object]:
    """An entry of the dispatcher's status."""
    return {
        "event_id": event_id,
        "type": "conveyor.project.create.v1",
        "subject": SUBJECT,
        "generation": 4,
        "running_s": None,
        "step": None,
        **changes,
    }


def test_what_the_ledger_knows_and_what_the_replica_does_are_told_together() -> None:
    answer = Answer([], [], [explanation("e"), explanation("f")])
    works = [work("e", running_s=2.5, step="create repository"), work("g", subject="project/other")]
    found = account_of(Named(SUBJECT, answer), works, replica="a", now=NOW)
    here, elsewhere = found.events
    assert (here.event_id, here.hold, here.unblock) == ("e", "lease", Hold.LEASE.help)
    assert here.here == Presence("a", 2.5, "create repository", None, None)
    assert (here.steps, here.happenings[0].what) == (("create repository",), "admitted")
    assert (elsewhere.event_id, elsewhere.here) == ("f", None)


def test_an_event_that_is_not_written_down_yet_is_told_of_by_who_holds_it() -> None:
    works = [work("g", waits_for="lane", behind="e"), work("h", running_s=0.5)]
    for text in ("g", "event/g"):
        (found,) = account_of(Named(text, Answer([], [], [])), works, replica="a", now=NOW).events
        assert found.verdict == (
            "has been received by replica a and waits (lane) behind event e; it is written down when its turn comes"
        )
        assert (found.state, found.admitted_at, found.generation) == ("open", None, 4)
        assert (found.hold, found.unblock) == (Hold.LANE, Hold.LANE.help)
        assert found.here == Presence("a", None, None, "lane", "e")
    of_subject = account_of(Named(SUBJECT, Answer([], [], [explanation("e")])), works, replica="a", now=NOW)
    assert [event.event_id for event in of_subject.events] == ["g", "h", "e"], "the newest first"
    assert of_subject.events[1].verdict.startswith("has been received by replica a and is being worked on; ")


def test_an_end_has_its_reason_and_what_to_do_about_it() -> None:
    outcome = Outcome(OutcomeKind.FAILED, reason=Reason.IN_USE, message="an environment uses it", step="delete")
    answer = Answer([], [], [explanation("e", state=RecordState.FINISHED, outcome=outcome, finished_at=NOW + 1)])
    (found,) = account_of(Named("e", answer), [], replica="a", now=NOW).events
    assert (found.state, found.outcome, found.reason) == ("finished", "failed", "in_use")
    assert (found.reason_help, found.message, found.failing_step) == (Reason.IN_USE.help, outcome.message, "delete")
    assert found.finished_at == NOW + 1


def test_a_subject_is_held_while_the_lease_is_valid() -> None:
    def state(until: float) -> SubjectState:
        return SubjectState(
            subject=SUBJECT,
            token=2,
            facets={"spec": 3, "config": 2},
            desired={"spec": {"name": "shop"}, "config": None},
            tombstone=None,
            names=(("project", "shop"),),
            held_by=Held("event/e", "b", SUBJECT, until),
            events=("event/e",),
        )

    held, free = account_of(
        Named(SUBJECT, Answer([], [state(NOW + 1), state(NOW)], [])), [], replica="a", now=NOW
    ).subjects
    assert (held.held_by_key, held.held_by_replica, held.held_until) == ("event/e", "b", NOW + 1)
    assert (held.facets, held.desired, held.names) == ({"spec": 3, "config": 2}, ("spec",), (("project", "shop"),))
    assert (free.held_by_key, free.held_by_replica, free.held_until) == (None, None, None)
