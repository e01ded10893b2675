"""What is desired of which subject, and how that came about: the lists that are gone through page by page."""

from collections.abc import Sequence
from itertools import pairwise

from agentd.core import OutcomeKind
from agentd.ledger import Ledger, Record
from tests.conformance.ledger.rig import NOW, SUCCEEDED, Event, claimed, done, project


async def inventory(ledger: Ledger, limit: int) -> list[str]:
    """All pages."""
    found: list[str] = []
    while page := await ledger.wanted(after=found[-1] if found else "", limit=limit):
        assert len(page) <= limit
        found += page
    return found


async def story(ledger: Ledger, event: Event, limit: int) -> list[str]:
    """The keys of a subject's events, all pages."""
    found: list[Record] = []
    while page := await ledger.events_of(event.subject, before=found[-1] if found else None, limit=limit):
        assert len(page) <= limit
        found += page
    return [record.key for record in found]


async def test_every_subject_of_which_something_is_desired_is_on_one_page(ledger: Ledger, other: Ledger) -> None:
    assert await ledger.wanted(after="", limit=10) == []
    subjects = [project(number) for number in range(1, 8)]
    for number, subject in enumerate(subjects, start=1):
        await claimed(ledger, Event(number, subject=subject, creates=True, desired={"name": number}))
    everything = sorted(map(str, subjects))
    for limit in (1, 3, 7, 100):
        assert await inventory(other, limit) == everything


async def test_what_is_deleted_is_on_no_page_and_what_comes_back_is(ledger: Ledger) -> None:
    create = Event(1, generation=1, creates=True, desired={"name": "alpha"})
    await done(ledger, create, SUCCEEDED)
    delete = Event(2, generation=2, deletes=True)
    held = await claimed(ledger, delete)
    assert await inventory(ledger, 10) == [str(create.subject)], "it is not gone before the delete has succeeded"
    await ledger.finish(delete.ending(SUCCEEDED, claim=held.claim))
    assert await inventory(ledger, 10) == []
    await done(ledger, Event(3, generation=3, creates=True, desired={"name": "alpha"}), SUCCEEDED)
    assert await inventory(ledger, 10) == [str(create.subject)]


async def test_a_subject_that_was_only_asked_for_is_on_no_page(ledger: Ledger) -> None:
    await ledger.admit(Event(1).admission())
    await ledger.next_sequence(project(2))
    assert await inventory(ledger, 10) == []


async def test_the_events_of_a_subject_are_told_newest_first_page_by_page(ledger: Ledger, other: Ledger) -> None:
    events = [Event(number, generation=number) for number in range(1, 61)]
    for number, event in enumerate(events):
        await ledger.admit(event.admission(now=NOW + number // 3))  # some came at the same moment
    await ledger.admit(Event(99, subject=project(9)).admission())

    def order(event: Event) -> tuple[int, str]:
        return -((event.number - 1) // 3), event.key

    wanted = [event.key for event in sorted(events, key=order)]
    for limit in (1, 7, 60, 100):
        assert await story(other, events[0], limit) == wanted


async def test_a_page_of_events_has_their_current_epochs(ledger: Ledger) -> None:
    event = Event(1, desired={"name": "alpha"})
    await done(ledger, event, SUCCEEDED)
    (record,) = await ledger.events_of(event.subject, before=None, limit=5)
    assert record == await ledger.lookup(event.key)
    assert record.outcome is not None
    assert record.outcome.kind is OutcomeKind.SUCCEEDED


async def test_numbers_of_a_subjects_counter_are_taken_once(ledger: Ledger, other: Ledger) -> None:
    event = Event(1, creates=True)
    numbers = [await ledger.next_sequence(event.subject), await other.next_sequence(event.subject)]
    held = await claimed(ledger, event)
    numbers += [held.sequence, await ledger.next_sequence(event.subject)]
    record = await ledger.finish(event.ending(SUCCEEDED, claim=held.claim))
    numbers.append(record.sequence or 0)
    assert rising(numbers)
    assert await other.next_sequence(project(2)) == 1


def rising(numbers: Sequence[int]) -> bool:
    """Each is above the one before."""
    return all(one < other for one, other in pairwise(numbers))
