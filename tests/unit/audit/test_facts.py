"""What skips the search for secrets has none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.audit.facts import plain_text
from agentd.telemetry import redact_text

_PIECES = st.sampled_from(
    [
        *("password", "PassPhrase", "secret", "token", "cookie", "credential", "authorization", "x-amz-signature"),
        *(
            "private_key",
            "api-key",
            "accesskey",
            "session key",
            "bearer ",
            "Basic ",
            "digest ",
            "sha256:",
            "://",
            "eyJ",
        ),
        *(
            "=",
            ": ",
            '":"',
            "@",
            ".",
            "/",
            " ",
            "-",
            "_",
            "\u017f",
            "\u212a",
            "é",
            "\n",
            "IQoJ",
            "FwoG",
            "-----BEGIN PRIVATE KEY-----",
        ),
    ]
)
_WORDS = st.text(string.ascii_letters + string.digits + "+/=._-", max_size=45)


@given(st.lists(_PIECES | _WORDS | st.text(max_size=5), max_size=8).map("".join))
def test_a_plain_text_is_one_that_redaction_leaves_as_it_is(text: str) -> None:
    assert not plain_text(text) or redact_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6f0c1a2b-0000-4000-8000-000000000001",
        "environment/6f0c1a2b-0000-4000-8000-000000000001",
        "conveyor.environment.update.v1",
        "sha256:" + "0123456789abcdef" * 4,
        "StatefulSet airflow-6f0c/scheduler",
        "waits: nothing is known of its spec",
        "replica-7d9f-1a2b3c4d",
    ],
)
def test_what_entries_mostly_say_is_plain(text: str) -> None:
    assert plain_text(text)
