"""Secrets stay out of logs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.telemetry import redact
from agentd.telemetry.redact import MOST_CHARACTERS, REDACTED, harmless, names_secret, redact_text, redact_value

_JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLWJ5dGVz"
# The example credentials of AWS's own documentation.
_AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - an example
_AWS_SESSION = "IQoJb3JpZ2luX2VjEHoaCXVzLWVhc3QtMSJHMEUCIQDexample"


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_passwd",
        "secret",
        "clientSecret",
        "token",
        "authorizationToken",
        "Authorization",
        "credentials",
        "private_key",
        "session_token",
        "aws_secret_access_key",
        "SecretAccessKey",
        "X-Api-Key",
        "Set-Cookie",
    ],
)
def test_values_of_secret_keys_are_hidden(key: str) -> None:
    assert redact_value(key, "hunter2") == REDACTED
    assert redact_value("outer", {key: {"deep": "hunter2"}}) == {key: REDACTED}


@pytest.mark.parametrize("key", ["event_id", "subject", "access_key_id", "key", "keys", "queue", "author", "path"])
def test_other_keys_show_their_values(key: str) -> None:
    assert not names_secret(key)
    assert redact_value(key, "6f0c1d2e-0000-4000-8000-000000000001") == "6f0c1d2e-0000-4000-8000-000000000001"


def test_a_fencing_token_is_a_number_and_no_secret() -> None:
    assert redact_value("token", 17) == 17
    assert redact_value("password", 1234) == REDACTED


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"signed with {_AWS_SECRET} today", _AWS_SECRET),
        (f"session {_AWS_SESSION}", _AWS_SESSION),
        (f"Authorization: Bearer {_JWT}", _JWT),
        (f"found {_JWT}.", _JWT),
        ("authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
        ("bearer abcdef0123456789", "abcdef0123456789"),
        ("https://user:hunter2@example.com/path", "hunter2"),
        ("amqp://:hunter2@example.com", "hunter2"),
        ("connect(password='hunter2', port=1)", "hunter2"),
        ("{'SecretAccessKey': 'hunter2', 'a': 1}", "hunter2"),
        ('{"session_token": "hunter2"}', "hunter2"),
        ("GET /o?X-Amz-Signature=hunter2&x=1", "hunter2"),
        ("X-Amz-Security-Token=hunter2", "hunter2"),
        ("AccountName=shop;AccountKey=hunter2==;EndpointSuffix=core.windows.net", "hunter2"),
        ("https://shop.queue.core.windows.net/commands?sv=2025&sig=hunter2%3D", "hunter2"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----", "hunter2"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2", "hunter2"),
    ],
)
def test_secrets_within_texts_are_hidden(text: str, secret: str) -> None:
    shown = redact_text(text)
    assert secret not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:sqs:eu-west-1:123456789012:conveyor-commands",
        "sha256:" + "0a" * 32,
        "0a1b2c3d4e" * 4,
        "https://sqs.eu-west-1.amazonaws.com/123456789012/conveyor-commands",
        "6f0c1d2e-0000-4000-8000-000000000001",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ecr:repository/conveyor/data-plane/project/team-orders",
        "AccessDenied: not allowed to perform ecr:CreateRepository (request id 0f3a)",
    ],
)
def test_what_people_need_stays(text: str) -> None:
    assert redact_text(text) == text


def test_texts_are_bounded_and_say_how_long_they_were() -> None:
    shown = redact_text("a b" * 10_000)
    assert len(shown) < MOST_CHARACTERS + 50
    assert shown.endswith("[30000 characters]")


def test_a_secret_across_the_cut_is_hidden_too() -> None:
    text = "x" * (MOST_CHARACTERS - 20) + f" {_AWS_SECRET} end"
    assert _AWS_SECRET[:10] not in redact_text(text)


def test_structures_become_bounded_json() -> None:
    deep: object = "end"
    for _ in range(50):
        deep = {"inner": deep}
    shown = redact_value(
        "x", {"deep": deep, "many": list(range(1000)), "bytes": b"\xff", "nan": float("nan"), 1: {2, 1}}
    )
    assert isinstance(shown, dict)
    assert len(shown["many"]) == 50
    assert shown["bytes"] == "b'\\xff'"
    assert shown["nan"] == "nan"
    assert shown["1"] == [1, 2]
    assert str(shown).count("inner") < 60


@pytest.mark.parametrize(
    "text",
    [
        piece * (1_000_000 // len(piece))
        for piece in (
            "a",
            "aB1",
            "token",
            "token ",
            "token=",
            "token-",
            "://",
            "://:",
            "-----BEGIN ",
            "eyJ",
            "eyJ.",
            "bearer ",
        )
    ],
)
def test_hostile_texts_cost_little(text: str) -> None:
    began = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - began < 1


@given(st.from_regex(r"(?:sha256:)?[a-z0-9._/-]{0,200}", fullmatch=True))
def test_plain_text_is_what_no_pattern_finds_anything_in(text: str) -> None:
    assert all(pattern.search(text) is None for pattern, _ in redact._TEXTS)
    assert redact_text(text) == text


_ODD = st.sampled_from(("password", "token=x", "://u:p@h", _JWT, _AWS_SECRET, "\ud800", "é", "a b", "x" * 5000))
_VALUES = st.one_of(st.text("az09._/-"), _ODD, st.integers(), st.floats(), st.booleans(), st.none(), st.lists(_ODD))


@given(st.dictionaries(st.one_of(st.sampled_from(("token", "subject")), st.text("abc_", min_size=1)), _VALUES))
def test_what_is_harmless_is_shown_as_it_is(values: dict[str, object]) -> None:
    if harmless(values):
        assert {key: redact_value(key, value) for key, value in values.items()} == values


def test_what_most_lines_say_is_harmless() -> None:
    uuid = "6f0c1d2e-0000-4000-8000-000000000001"
    assert harmless({"event_id": uuid, "subject": f"project/{uuid}", "attempts": 1, "step": None, "seconds": 0.25})
    assert not harmless({"detail": "password=hunter2"})
