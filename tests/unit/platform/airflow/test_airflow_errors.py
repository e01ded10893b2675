"""What answers mean. The texts are those of an Airflow of version 3.3, and of a Kubernetes API server of version 1.36."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from agentd.core import NotReady, PermanentError, Reason, TransientError
from agentd.platform.airflow_rest.errors import CallCode, Failure, TooLarge, of_answer, of_exception
from agentd.platform.airflow_rest.shapes import VERSION

ABOUT = "trigger on airflow:dev"
PROBLEM = {"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": {}}
UNIQUE = {"reason": "Unique constraint violation", "statement": "hidden", "message": "Serious error"}


def answered(status: int, said: Any, **headers: str) -> Failure:
    kind = "text/plain; charset=utf-8" if isinstance(said, str) else "application/json"
    body = said if isinstance(said, str) else json.dumps(said)
    return of_answer(status, {"Content-Type": kind, **headers}, body.encode(), about=ABOUT)


def cluster(code: int, reason: str, message: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message, **more}


@dataclass(frozen=True)
class Case:
    """An answer, and what it means."""

    status: int
    said: Any
    code: CallCode
    text: str


CREDENTIALS = CallCode.CREDENTIALS
CASES = [
    Case(401, {"detail": "Not authenticated"}, CREDENTIALS, "token is not accepted"),
    Case(401, {"detail": "Token Expired"}, CREDENTIALS, "Token Expired"),
    Case(403, {"detail": "Invalid JWT token"}, CREDENTIALS, "another secret, or a clock that is wrong"),
    Case(401, cluster(401, "Unauthorized", "Unauthorized"), CREDENTIALS, "kubernetes: Unauthorized"),
    Case(403, {"detail": "Forbidden"}, CallCode.DENIED, "lacks a right: 403: Forbidden"),
    Case(403, cluster(403, "Forbidden", "cannot get services/proxy"), CallCode.DENIED, "kubernetes: Forbidden: cannot"),
    Case(404, {"detail": "Dag with dag_id: 'x' not found"}, CallCode.NOT_FOUND, "'x' not found"),
    Case(404, {"error": "API route not found"}, CallCode.UNSUPPORTED, "does not know the call"),
    Case(405, {"detail": "Method Not Allowed"}, CallCode.UNSUPPORTED, "Method Not Allowed"),
    Case(409, {"detail": UNIQUE}, CallCode.CONFLICT, "Unique constraint violation: Serious error"),
    Case(422, {"detail": [PROBLEM]}, CallCode.INVALID, "422: body.logical_date: Field required"),
    Case(400, {"detail": "The run_id provided 'a b'"}, CallCode.INVALID, "400: The run_id"),
    Case(429, {"detail": "slow down"}, CallCode.THROTTLED, "429: slow down"),
    Case(500, "Internal Server Error", CallCode.UNAVAILABLE, "500: Internal Server Error"),
    Case(502, ["no", "object"], CallCode.UNAVAILABLE, "502: the answer has no text"),
    Case(307, "moved", CallCode.UNAVAILABLE, "307: moved"),
    Case(503, cluster(503, "ServiceUnavailable", "no endpoints available"), CallCode.NOT_THERE, "no endpoints"),
    Case(404, cluster(404, "NotFound", 'services "airflow" not found'), CallCode.NOT_THERE, "not found"),
]
ERRORS = {
    CallCode.CREDENTIALS: (TransientError, Reason.UNAVAILABLE),
    CallCode.DENIED: (PermanentError, Reason.ACCESS_DENIED),
    CallCode.NOT_FOUND: (PermanentError, Reason.INVALID_REQUEST),
    CallCode.UNSUPPORTED: (PermanentError, Reason.UNSUPPORTED),
    CallCode.CONFLICT: (PermanentError, Reason.INVALID_REQUEST),
    CallCode.INVALID: (PermanentError, Reason.INVALID_REQUEST),
    CallCode.THROTTLED: (TransientError, Reason.THROTTLED),
    CallCode.UNAVAILABLE: (TransientError, Reason.UNAVAILABLE),
    CallCode.NOT_THERE: (NotReady, Reason.WAITING),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.status} {case.text}")
def test_each_answer_has_its_meaning(case: Case) -> None:
    failure = answered(case.status, case.said)
    error = failure.error()
    assert failure.code is case.code
    assert (type(error), error.reason) == ERRORS[case.code]
    assert error.message.startswith(f"{ABOUT}: ")
    assert case.text in error.message


def test_the_seconds_to_wait_are_the_servers() -> None:
    assert answered(429, {"detail": "x"}, **{"Retry-After": "7"}).error().retry_after == 7.0  # type: ignore[attr-defined]
    assert answered(429, {"detail": "x"}, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}).retry_after is None
    assert answered(503, cluster(503, "x", "y", details={"retryAfterSeconds": 3})).retry_after == 3.0


def test_a_long_text_is_cut() -> None:
    assert len(answered(500, "x" * 100_000).error().message) < 600


def test_exceptions_have_their_meaning() -> None:
    key = ConnectionKey("airflow.dev.svc", 8080, False, True, None, None, None)
    refused = aiohttp.ClientConnectorError(key, ConnectionRefusedError(111, "Connection refused"))
    assert isinstance(of_exception(refused, about=ABOUT).error(), NotReady)
    assert "no answer in time" in of_exception(TimeoutError(), about=ABOUT).error().message
    assert isinstance(of_exception(aiohttp.ServerDisconnectedError(), about=ABOUT).error(), TransientError)
    assert of_exception(TooLarge("much"), about=ABOUT).code is CallCode.TOO_LARGE


def test_an_answer_of_another_shape_is_named_by_its_first_problem_and_not_shown() -> None:
    with pytest.raises(ValueError, match="version") as raised:
        VERSION.validate_json('{"version": ["a secret"]}')
    message = of_exception(raised.value, about=ABOUT).error().message
    assert message == f"{ABOUT}: the answer is not as Airflow gives it: version: Input should be a valid string"
