"""Which fault a call meets, and how often."""

import pytest
from pydantic import ValidationError

from agentd.embedded import Fault, FaultKind
from agentd.embedded.faults import FaultBook

CREATE = ("ecr", "CreateRepository", '{"repositoryName": "team/app"}')


def test_a_fault_meets_the_calls_it_names_and_no_others() -> None:
    book = FaultBook()
    fault = Fault(kind=FaultKind.ERROR, service="ecr", operation="CreateRepository", contains="team/app", times=None)
    book.add(fault)
    assert book.take(*CREATE) == fault
    assert book.take("sqs", "CreateRepository", CREATE[2]) is None
    assert book.take("ecr", "DeleteRepository", CREATE[2]) is None
    assert book.take("ecr", "CreateRepository", '{"repositoryName": "team/other"}') is None


def test_a_fault_is_used_up_and_the_next_one_takes_over() -> None:
    book = FaultBook()
    twice = book.add(Fault(kind=FaultKind.ERROR, times=2))
    once = book.add(Fault(kind=FaultKind.DROP_AFTER))
    met = [book.take(*CREATE) for _ in range(4)]
    assert [fault.kind if fault else None for fault in met] == ["error", "error", "drop_after", None]
    assert book.hits() == {twice: 2, once: 1}


def test_clearing_lifts_one_or_all() -> None:
    book = FaultBook()
    first, second = (book.add(Fault(kind=FaultKind.ERROR, times=None, code=code)) for code in ("First", "Second"))
    book.clear([first, "unknown"])
    found = book.take(*CREATE)
    assert found is not None
    assert found.code == "Second"
    assert list(book.hits()) == [second]
    book.clear()
    assert book.take(*CREATE) is None


def test_a_fault_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="delay_s"):
        Fault(kind=FaultKind.DELAY)
    with pytest.raises(ValidationError, match="times"):
        Fault(kind=FaultKind.ERROR, times=0)
