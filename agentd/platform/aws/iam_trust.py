"""Who may become a role: service accounts of one cluster, by the cluster's own OIDC issuer. Pure.

Source: the EKS user guide on roles for service accounts, and the IAM reference of condition operators.
"""

import re
from collections.abc import Iterable, Sequence

from agentd.platform.aws.policies import Json, canonical, normal, same_document
from agentd.platform.config import OidcProvider

AUDIENCE = "sts.amazonaws.com"
"""What the tokens that EKS gives to pods are meant for."""
_ACCOUNT = re.compile(r'"system:serviceaccount:([^:"]+):([^:"]+)"')


def trust_policy(provider: OidcProvider, service_accounts: Iterable[tuple[str, str]]) -> dict[str, Json]:
    """The trust policy that lets in these (namespace, name) pairs, of which a name may hold `*`, and nobody else."""
    subjects = sorted({f"system:serviceaccount:{namespace}:{name}" for namespace, name in service_accounts})
    # Apart, so that a pattern among them does not turn the exact names into patterns.
    exact = [subject for subject in subjects if "*" not in subject]
    patterns = [subject for subject in subjects if "*" in subject]
    audience: dict[str, Json] = {f"{provider.issuer}:aud": AUDIENCE}
    claim = f"{provider.issuer}:sub"
    statements: list[Json] = []
    if exact:
        statements.append(_statement(provider, {"StringEquals": {**audience, claim: _one_or_all(exact)}}))
    if patterns:
        condition: dict[str, Json] = {"StringEquals": audience, "StringLike": {claim: _one_or_all(patterns)}}
        statements.append(_statement(provider, condition))
    return {"Version": "2012-10-17", "Statement": statements}


def read_trust(provider: OidcProvider, document: Json) -> tuple[str, ...] | str:
    """The service accounts that a trust policy lets in, as `namespace/name`; the document as text when it says anything else."""
    accounts = sorted(set(_ACCOUNT.findall(canonical(document))))
    if accounts and same_document(document, trust_policy(provider, accounts)):
        return tuple(f"{namespace}/{name}" for namespace, name in accounts)
    return canonical(normal(document))


def _statement(provider: OidcProvider, condition: dict[str, Json]) -> dict[str, Json]:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider.arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition,
    }


def _one_or_all(values: Sequence[str]) -> Json:
    return values[0] if len(values) == 1 else list(values)
