"""What callers are told of errors."""

from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpclib.const import Status

from agentd.core import (
    AgentError,
    LeaseLost,
    NotReady,
    PermanentError,
    PolicyRefused,
    Preempted,
    Reason,
    TransientError,
)
from proxy.errors import CallError, Refusal, Violation, as_call_error, details, text
from proxy.generated.v1 import agent_pb2 as agent
from tests.unit.proxy.rig import channel_to, failure, serving, unary


@pytest.mark.parametrize(
    ("error", "status", "retry_after_s"),
    [
        (TransientError(Reason.UNAVAILABLE, "x"), Status.UNAVAILABLE, 1.0),
        (TransientError(Reason.THROTTLED, "x", retry_after=7), Status.UNAVAILABLE, 7),
        (NotReady("x", retry_after=3), Status.UNAVAILABLE, 3),
        (LeaseLost("x"), Status.ABORTED, None),
        (Preempted("x"), Status.ABORTED, None),
        (PolicyRefused("no-deletes", "x"), Status.PERMISSION_DENIED, None),
        (PermanentError(Reason.ACCESS_DENIED, "x"), Status.FAILED_PRECONDITION, None),
        (PermanentError(Reason.IMAGE_MISSING, "x"), Status.NOT_FOUND, None),
        (PermanentError(Reason.NAME_TAKEN, "x"), Status.ALREADY_EXISTS, None),
        (PermanentError(Reason.QUOTA_EXCEEDED, "x"), Status.RESOURCE_EXHAUSTED, None),
        (PermanentError(Reason.UNSUPPORTED, "x"), Status.UNIMPLEMENTED, None),
        (PermanentError(Reason.MALFORMED, "x"), Status.INVALID_ARGUMENT, None),
        (PermanentError(Reason.CONFLICT, "x"), Status.ABORTED, None),
        (PermanentError(Reason.INTERNAL_ERROR, "x"), Status.INTERNAL, None),
    ],
)
def test_every_kind_of_error_has_its_status(error: AgentError, status: Status, retry_after_s: float | None) -> None:
    found = as_call_error(error)
    assert found is not None
    assert (found.status, found.reason, found.retry_after_s) == (status, error.reason.value.upper(), retry_after_s)


def test_every_reason_has_a_status_that_is_an_error() -> None:
    for reason in Reason:
        found = as_call_error(PermanentError(reason, "x"))
        assert found is not None
        assert found.status is not Status.OK


def test_every_reason_of_the_proxys_own_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "proxy.md").read_text()
    assert [refusal.value for refusal in Refusal if f"`{refusal.value}`" not in page] == []


def test_the_rule_of_a_policy_is_told() -> None:
    found = as_call_error(PolicyRefused("no-deletes", "x"))
    assert found is not None
    (info, _) = details(found, "r")
    assert isinstance(info, ErrorInfo)
    assert dict(info.metadata) == {"rule": "no-deletes"}


def test_of_errors_side_by_side_the_first_counts() -> None:
    inner = TransientError(Reason.UNAVAILABLE, "first")
    found = as_call_error(ExceptionGroup("", [ExceptionGroup("", [inner]), KeyError("other")]))
    assert found is not None
    assert found.message == "first"
    assert as_call_error(ExceptionGroup("", [KeyError("unforeseen")])) is None


@pytest.mark.parametrize("character", ["x", "ü", "漢", "\N{PILE OF POO}", "\n"])
async def test_the_longest_error_reaches_its_caller(character: str) -> None:
    """Clients drop a call whose trailers are larger than 8 KiB."""
    async with serving() as rig, channel_to(rig) as channel:
        rig.agent.error = PermanentError(Reason.IN_USE, character * 10_000)
        found = await failure(
            unary(channel, "/conveyor.proxy.v1.Agent/GetStatus", agent.GetStatusResponse)(agent.GetStatusRequest())
        )
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "IN_USE")
    assert found.message.startswith(character * 100)
    assert found.message.endswith("...")


def test_the_longest_details_are_bounded() -> None:
    violations = [Violation(f"event_ids[{number}]", "漢" * 500) for number in range(100)]
    error = CallError(Status.INVALID_ARGUMENT, "INVALID_ARGUMENT", "漢" * 5000, violations=violations)
    found = details(error, "r" * 128)
    size = (
        3 * len(text(error.message).encode())
        + (sum(one.ByteSize() for one in found) + len(text(error.message))) * 4 / 3
    )
    assert size < 12_000
    (bad,) = [one for one in found if isinstance(one, BadRequest)]
    assert len(bad.field_violations) == 10
