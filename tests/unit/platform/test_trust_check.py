"""Who a trust policy lets in: what AWS would say, as far as that can be told from the policy."""

from typing import Any

import pytest

from agentd.platform.aws.iam_trust import trust_policy
from agentd.platform.aws.trust_check import Verdict, judged
from agentd.platform.config import OidcProvider

ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/1234"
PROVIDER = OidcProvider(ISSUER, f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}")
DEV = ("dev", "shop")
SUBJECT = "system:serviceaccount:dev:shop"
AUD, SUB = f"{ISSUER}:aud", f"{ISSUER}:sub"


def web(condition: Any, **changes: Any) -> dict[str, Any]:
    """A statement for tokens of the cluster's issuer."""
    return {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER.arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
        **changes,
    }


def pods(**changes: Any) -> dict[str, Any]:
    """A statement for EKS Pod Identity."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        **changes,
    }


def verdict(*statements: Any, account: tuple[str, str] = DEV) -> Verdict:
    """Of one account."""
    return judged({"Version": "2012-10-17", "Statement": list(statements)}, PROVIDER, [account])[account]


EXACT = {"StringEquals": {AUD: "sts.amazonaws.com", SUB: SUBJECT}}
PATTERN = {"StringEquals": {AUD: "sts.amazonaws.com"}, "StringLike": {SUB: "system:serviceaccount:dev:*"}}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param([web(EXACT)], Verdict.YES, id="exact"),
        pytest.param([web(PATTERN)], Verdict.YES, id="pattern"),
        pytest.param([web({})], Verdict.YES, id="anybody of the issuer"),
        pytest.param(
            [web(EXACT, Principal={"Federated": ["other", PROVIDER.arn]})], Verdict.YES, id="one of providers"
        ),
        pytest.param([web(EXACT, Action=["sts:*"])], Verdict.YES, id="pattern of actions"),
        pytest.param([web({"StringEquals": {SUB: ["x", SUBJECT]}})], Verdict.YES, id="one of subjects"),
        pytest.param([web({"ForAnyValue:StringLike": {SUB: "*:dev:sh?p"}})], Verdict.YES, id="one letter"),
        pytest.param([web({"StringEqualsIfExists": {SUB: SUBJECT}})], Verdict.YES, id="if it is there"),
        pytest.param([web({"StringNotLike": {SUB: "*:prod:*"}})], Verdict.YES, id="all but others"),
        pytest.param(
            [web({"StringEquals": {SUB: "system:serviceaccount:dev:*"}})], Verdict.NO, id="a pattern for equals"
        ),
        pytest.param(
            [web({"StringEquals": {SUB: "system:serviceaccount:prod:shop"}})], Verdict.NO, id="other namespace"
        ),
        pytest.param([web({"StringEquals": {AUD: "elsewhere", SUB: SUBJECT}})], Verdict.NO, id="other audience"),
        pytest.param([web({"StringLike": {SUB: "system:serviceaccount:dev.:*"}})], Verdict.NO, id="a dot is a dot"),
        pytest.param([web(EXACT, Principal={"Federated": "other"})], Verdict.NO, id="other issuer"),
        pytest.param([web(EXACT, Action="sts:AssumeRole")], Verdict.NO, id="other call"),
        pytest.param([web(EXACT), web(EXACT, Effect="Deny")], Verdict.NO, id="denied"),
        pytest.param([web({**EXACT, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], Verdict.UNKNOWN, id="by address"),
        pytest.param(
            [web({"StringLike": {SUB: "*"}, "Bool": {"x": "true"}}), web(EXACT)], Verdict.YES, id="another lets in"
        ),
        pytest.param([web(EXACT), web({"Bool": {"x": "true"}}, Effect="Deny")], Verdict.UNKNOWN, id="perhaps denied"),
        pytest.param([{**web(EXACT), "NotPrincipal": {"AWS": "x"}}], Verdict.UNKNOWN, id="all but"),
        pytest.param([pods()], Verdict.YES, id="pod identity"),
        pytest.param([pods(Action="sts:AssumeRole")], Verdict.NO, id="pod identity without tags"),
        pytest.param(
            [pods(Action="sts:AssumeRole"), pods(Action="sts:TagSession")], Verdict.YES, id="in two statements"
        ),
        pytest.param(
            [pods(Condition={"StringEquals": {"aws:RequestTag/kubernetes-namespace": "prod"}})],
            Verdict.NO,
            id="other pods",
        ),
        pytest.param(
            [pods(Condition={"StringEquals": {"aws:SourceAccount": "111122223333"}})], Verdict.UNKNOWN, id="by account"
        ),
        pytest.param([], Verdict.NO, id="nothing"),
    ],
)
def test_what_a_policy_says_of_an_account(statements: list[Any], expected: Verdict) -> None:
    assert verdict(*statements) is expected


def test_what_the_agent_would_write_lets_in_whom_it_names_and_nobody_else() -> None:
    document = trust_policy(PROVIDER, [DEV, ("dev", "etl-*")])
    found = judged(document, PROVIDER, [DEV, ("dev", "etl-1"), ("dev", "other"), ("prod", "shop")])
    assert [found[account] for account in found] == [Verdict.YES, Verdict.YES, Verdict.NO, Verdict.NO]


def test_what_is_no_policy_lets_nobody_in() -> None:
    for document in (None, "text", {"Statement": "text"}, {"Statement": [None]}):
        assert judged(document, PROVIDER, [DEV]) == {DEV: Verdict.NO}
