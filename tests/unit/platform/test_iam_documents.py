"""Names of roles and their trust policies."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.platform.aws.iam_names import role_arn, role_name
from agentd.platform.aws.iam_trust import trust_policy
from agentd.platform.config import OidcProvider

ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/1234"
PROVIDER = OidcProvider(ISSUER, f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}")
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=120)


@given(prefix=st.text("abc-", max_size=32), name=NAMES, other=NAMES)
def test_roles_have_names_that_iam_takes_each_its_own(prefix: str, name: str, other: str) -> None:
    role = role_name(prefix, name)
    assert re.fullmatch(r"[\w+=,.@-]{1,64}", role)
    assert role.startswith(prefix)
    assert role_name(prefix, role.removeprefix(prefix)) == role
    assert (role == role_name(prefix, other)) == (name == other)


def test_a_name_that_fits_is_not_touched() -> None:
    assert role_name("conveyor-", "a" * 55) == "conveyor-" + "a" * 55
    assert role_name("conveyor-", "a" * 56) == f"conveyor-{'a' * 46}-{role_name('conveyor-', 'a' * 56)[-8:]}"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_a_bare_name_is_of_the_providers_account_and_partition(partition: str) -> None:
    beside = f"arn:{partition}:iam::444455556666:oidc-provider/{ISSUER}"
    assert role_arn("etl", beside=beside) == f"arn:{partition}:iam::444455556666:role/etl"
    assert role_arn("/team/etl", beside=beside) == f"arn:{partition}:iam::444455556666:role/team/etl"
    elsewhere = "arn:aws:iam::777788889999:role/etl"
    assert role_arn(elsewhere, beside=beside) == elsewhere


def test_exact_names_stay_exact_beside_a_pattern() -> None:
    policy = trust_policy(PROVIDER, [("dev", "b"), ("dev", "a"), ("dev", "a"), ("dev", "etl-*")])
    audience = {f"{ISSUER}:aud": "sts.amazonaws.com"}
    who = "system:serviceaccount:dev:"
    assert policy["Version"] == "2012-10-17"
    assert [found["Condition"] for found in json.loads(json.dumps(policy))["Statement"]] == [
        {"StringEquals": {**audience, f"{ISSUER}:sub": [f"{who}a", f"{who}b"]}},
        {"StringEquals": audience, "StringLike": {f"{ISSUER}:sub": f"{who}etl-*"}},
    ]


@given(st.lists(st.tuples(NAMES, st.text("ab*-", min_size=1, max_size=9)), min_size=1))
def test_nobody_is_let_in_without_audience_and_subject(accounts: list[tuple[str, str]]) -> None:
    policy = json.loads(json.dumps(trust_policy(PROVIDER, accounts)))
    named: set[str] = set()
    for statement in policy["Statement"]:
        assert statement["Principal"] == {"Federated": PROVIDER.arn}
        assert statement["Condition"]["StringEquals"][f"{ISSUER}:aud"] == "sts.amazonaws.com"
        claims = [conditions.get(f"{ISSUER}:sub") for conditions in statement["Condition"].values()]
        (subjects,) = [claim for claim in claims if claim is not None]
        named |= {subjects} if isinstance(subjects, str) else set(subjects)
    assert named == {f"system:serviceaccount:{namespace}:{name}" for namespace, name in accounts}
