"""What answers of the API server mean. The texts are those of a server of version 1.36."""

import json
from typing import Any

import pytest

from agentd.core import NotReady, PermanentError, Reason, TransientError
from agentd.platform.kubernetes.errors import CallCode, Failure, of_answer, of_exception

ABOUT = "create on kubernetes:dev/configmap/x"


def answered(status: int, message: str = "", **said: Any) -> Failure:
    body = {"kind": "Status", "status": "Failure", "message": message, "code": status, **said}
    return of_answer(status, {"Audit-Id": "1234"}, json.dumps(body).encode(), about=ABOUT)


@pytest.mark.parametrize(
    ("status", "message", "said", "code", "reason"),
    [
        (401, "Unauthorized", {"reason": "Unauthorized"}, CallCode.CREDENTIALS, Reason.UNAVAILABLE),
        (403, 'configmaps is forbidden: User "x" cannot create resource "configmaps"', {}, CallCode.DENIED, Reason.ACCESS_DENIED),
        (403, 'configmaps "x" is forbidden: exceeded quota: limits, requested: ...', {}, CallCode.QUOTA, Reason.QUOTA_EXCEEDED),
        (403, 'pods "x" is forbidden: failed quota: limits: must specify cpu', {}, CallCode.INVALID, Reason.INVALID_REQUEST),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted": ...', {}, CallCode.INVALID, Reason.INVALID_REQUEST),
        (403, 'pods "x" is forbidden: maximum cpu usage per Container is 1', {}, CallCode.INVALID, Reason.INVALID_REQUEST),
        (403, 'pods "x" is forbidden: error looking up service account dev/y', {}, CallCode.WAITING, Reason.WAITING),
        (403, "", {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}, CallCode.WAITING, Reason.WAITING),
        (404, "not found", {"reason": "NotFound"}, CallCode.NOT_FOUND, Reason.UNAVAILABLE),
        (409, "already exists", {"reason": "AlreadyExists"}, CallCode.EXISTS, Reason.UNAVAILABLE),
        (409, "the object has been modified", {"reason": "Conflict"}, CallCode.CONFLICT, Reason.UNAVAILABLE),
        (410, "too old resource version", {"reason": "Expired"}, CallCode.EXPIRED, Reason.UNAVAILABLE),
        (400, 'strict decoding error: unknown field "dat"', {}, CallCode.INVALID, Reason.INVALID_REQUEST),
        (422, "is invalid", {"reason": "Invalid"}, CallCode.INVALID, Reason.INVALID_REQUEST),
        (500, "failed to create typed patch object (...): .dat: not declared", {}, CallCode.INVALID, Reason.INVALID_REQUEST),
        (429, "too many requests", {}, CallCode.THROTTLED, Reason.THROTTLED),
        (500, "etcdserver: request timed out", {}, CallCode.UNAVAILABLE, Reason.UNAVAILABLE),
        (504, "Timeout", {"reason": "Timeout"}, CallCode.UNAVAILABLE, Reason.UNAVAILABLE),
    ],
)  # fmt: skip
def test_each_answer_has_its_meaning(
    status: int, message: str, said: dict[str, Any], code: CallCode, reason: Reason
) -> None:
    failure = answered(status, message, **said)
    error = failure.error()
    assert (failure.code, error.reason) == (code, reason)
    assert ABOUT in error.message
    assert message in error.message
    assert "(request 1234)" in error.message


def test_codes_become_the_errors_that_the_dispatcher_knows() -> None:
    assert isinstance(answered(403).error(), PermanentError)
    assert isinstance(answered(503).error(), TransientError)
    assert isinstance(answered(403, "error looking up service account").error(), NotReady)


def test_the_seconds_to_wait_are_the_servers() -> None:
    answer = of_answer(429, {"Retry-After": "7"}, b"", about=ABOUT)
    assert answer.retry_after == 7.0
    assert answered(429, details={"retryAfterSeconds": 3}).retry_after == 3.0
    assert answered(429).retry_after is None


def test_causes_that_the_message_leaves_out_are_told() -> None:
    causes = [{"field": "spec.a", "message": "Required value"}, {"field": "spec.b", "message": "too long"}]
    failure = answered(422, "x is invalid: spec.a: Required value", details={"causes": causes})
    assert failure.detail == "x is invalid: spec.a: Required value; spec.b: too long"


@pytest.mark.parametrize(
    ("headers", "body", "detail"),
    [
        ({"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n", "404 page not found"),
        ({"Content-Type": "application/json"}, b'{"data": {"password": "hidden"}}', "the answer is no Status"),
        ({}, b"\xff\xfe", "the answer is no Status"),
    ],
)
def test_of_other_answers_nothing_but_text_is_shown(headers: dict[str, str], body: bytes, detail: str) -> None:
    assert of_answer(404, headers, body, about=ABOUT).detail == detail


def test_a_long_answer_is_cut() -> None:
    assert len(answered(500, "x" * 10_000).detail) == 500


def test_exceptions_are_passing_faults() -> None:
    error = of_exception(TimeoutError(), about=ABOUT).error()
    assert isinstance(error, TransientError)
    assert error.message == f"kubernetes {ABOUT}: TimeoutError: no answer in time"
