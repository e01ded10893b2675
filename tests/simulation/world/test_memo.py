"""What is remembered of a server's work: questions that differ in what is opaque alone have one answer."""

from typing import Any

from agentd.embedded.kube.encoding import dump
from agentd.platform import keys
from tests.simulation.world.memo import Memo, Question

UIDS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")


def question(*, uid: str = UIDS[0], version: str = "7", now: str = "2026-01-01T00:00:03Z", **change: Any) -> Question:
    """A patch of an object that two have written."""
    entries = [{"manager": name, "time": f"2026-01-01T00:00:0{second}Z"} for name, second in (("a", 1), ("b", 2))]
    live = {"metadata": {"uid": uid, "resourceVersion": version, "managedFields": entries}}
    encoded = (
        f'{{"uid":"{uid}","resourceVersion":"{version}","one":"{entries[0]["time"]}","two":"{entries[1]["time"]}"}}'
    )
    document = f'{{"metadata":{{"resourceVersion":"{version}"}}}}'.encode()
    told = {"meant": "a patch", "document": document, "now": now, "uid": uid}
    return Question(**{**told, "live": live, "encoded": encoded.encode(), **change})


def test_ids_and_versions_are_put_back() -> None:
    memo = Memo(8)
    answers = [
        memo.answer(
            question(uid=UIDS[0], version="7"), lambda: b'{"uid":"%s","resourceVersion":"7"}' % UIDS[0].encode()
        ),
        memo.answer(question(uid=UIDS[1], version="19"), _nobody),
    ]
    assert answers[1] == b'{"uid":"%s","resourceVersion":"19"}' % UIDS[1].encode()


def _nobody() -> bytes:
    raise AssertionError("it is remembered")


def test_the_order_of_times_is_part_of_the_question() -> None:
    early, late, again = [
        one.key(one.names()) for one in (question(now=f"2026-01-01T00:00:0{second}Z") for second in (0, 5, 6))
    ]
    assert early != late
    assert late == again


def test_a_time_that_is_there_already_is_another_question() -> None:
    same, other = [question(now=f"2026-01-01T00:00:0{second}Z") for second in (2, 3)]
    assert same.key(same.names()) != other.key(other.names())


def test_how_it_is_meant_is_part_of_the_question() -> None:
    one, other = question(), question(meant="an apply")
    assert one.key(one.names()) != other.key(other.names())


def test_a_label_that_is_to_go_is_no_id() -> None:
    said = {"metadata": {"labels": {"trace-id": None, "event-id": UIDS[1]}}}
    assert UIDS[1].encode() in question(said=said).names()


def test_a_generation_is_as_good_as_another_and_its_own_equal() -> None:
    def labelled(live: str, said: str) -> Question:
        held, asked = ({"metadata": {"labels": {keys.GENERATION: generation}}} for generation in (live, said))
        return question(live=held, encoded=dump(held), said=asked, document=dump(asked))

    memo = Memo(8)
    assert memo.answer(labelled("1", "2"), lambda: labelled("1", "2").document) == labelled("1", "2").document
    assert memo.answer(labelled("3", "7"), _nobody) == labelled("3", "7").document
    assert memo.answer(labelled("3", "3"), lambda: b"the same") == b"the same"


def test_it_begins_anew_when_it_is_full() -> None:
    memo = Memo(2)
    for number in (1, 2, 3, 1):
        worked: list[int] = []

        def work(number: int = number, worked: list[int] = worked) -> bytes:
            worked.append(number)
            return b"%d" % number

        assert memo.answer(question(meant=f"patch {number}"), work) == b"%d" % number
        assert worked == [number]
