"""AWS' policy documents read back in the terms in which they are wanted; what says anything else stays a text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.platform import LifecyclePolicy, RepositoryAccess
from agentd.platform.aws.ecr_policies import access_text, lifecycle_text, read_access, read_lifecycle, spelled
from agentd.platform.aws.iam_trust import read_trust, trust_policy
from agentd.platform.config import OidcProvider

ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/nodes"
PROVIDER = OidcProvider("oidc.example.com/id/1", f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.example.com/id/1")

_PRINCIPALS = st.lists(st.sampled_from((ACCOUNT, ROLE, "444455556666")), max_size=3, unique=True).map(tuple)
_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,5}\*?", fullmatch=True)


@given(st.builds(LifecyclePolicy, untagged_days=st.integers(1, 3650), keep_images=st.integers(1, 100_000)))
def test_a_lifecycle_policy_is_read_as_it_was_written(policy: LifecyclePolicy) -> None:
    assert read_lifecycle(lifecycle_text(policy)) == policy


@given(st.builds(RepositoryAccess, pull=_PRINCIPALS, push=_PRINCIPALS))
def test_access_is_read_as_it_was_written(access: RepositoryAccess) -> None:
    text = access_text(access)
    assert text is None or read_access(text) == spelled(access)


@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,5}", fullmatch=True), _NAMES), min_size=1, max_size=4))
def test_trust_is_read_as_it_was_written(accounts: list[tuple[str, str]]) -> None:
    found = read_trust(PROVIDER, trust_policy(PROVIDER, accounts))
    assert found == tuple(f"{namespace}/{name}" for namespace, name in sorted(set(accounts)))


def test_an_account_is_read_by_its_number_however_it_is_spelt() -> None:
    text = access_text(RepositoryAccess(pull=(ROOT, ROLE)))
    assert text is not None
    assert read_access(text) == RepositoryAccess(pull=(ACCOUNT, ROLE)) == spelled(RepositoryAccess(pull=(ROLE, ROOT)))


def changed(text: str | None, change: Any) -> str:
    """A document that somebody has changed a little."""
    assert text is not None
    document = json.loads(text)
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        changed(lifecycle_text(LifecyclePolicy()), lambda found: found["rules"].pop(1)),
        changed(lifecycle_text(LifecyclePolicy()), lambda found: found["rules"][1]["selection"].update(countNumber=3)),
        changed(lifecycle_text(LifecyclePolicy()), lambda found: found["rules"][0].update(description="theirs")),
    ],
)
def test_another_lifecycle_policy_stays_a_text(text: str) -> None:
    assert read_lifecycle(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        '{"Statement": "none"}',
        changed(access_text(RepositoryAccess(pull=(ROLE,))), lambda found: found["Statement"][0]["Action"].pop()),
        changed(access_text(RepositoryAccess(pull=(ROLE,))), lambda found: found["Statement"][0].update(Principal="*")),
        changed(access_text(RepositoryAccess(pull=(ROLE,))), lambda found: found["Statement"].append({"Sid": "More"})),
    ],
)
def test_another_access_stays_a_text(text: str) -> None:
    assert read_access(text) == text


def test_another_trust_stays_a_text() -> None:
    document = trust_policy(PROVIDER, [("dev", "airflow")])
    another = trust_policy(OidcProvider("another", "arn:aws:iam::1:oidc-provider/another"), [("dev", "airflow")])
    wider = {**document, "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    for found in (another, wider, None):
        text = read_trust(PROVIDER, found)
        assert isinstance(text, str)
    assert read_trust(PROVIDER, another) == read_trust(PROVIDER, json.loads(json.dumps(another)))
