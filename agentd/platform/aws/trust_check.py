"""Whether a role's trust policy lets a service account become it, and the statement that is missing. Pure.

What a policy says of claims that only AWS knows is not guessed at: the answer is then that it cannot be told.

Source: the IAM reference of policy evaluation and condition operators, and the EKS user guide on roles for service accounts
and on Pod Identity.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from agentd.platform.aws.iam_trust import AUDIENCE
from agentd.platform.aws.policies import Json
from agentd.platform.config import OidcProvider

POD_IDENTITY = "pods.eks.amazonaws.com"
_WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
_POD_ACTIONS = ("sts:AssumeRole", "sts:TagSession")


class Verdict(Enum):
    """Whether something is let in."""

    YES = auto()
    NO = auto()
    UNKNOWN = auto()
    """It rests on what only AWS knows."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to become a role: who asks, with which calls, and what is known of the request."""

    principal: tuple[str, str]
    actions: tuple[str, ...]
    claims: Mapping[str, str]


def web_identity(provider: OidcProvider, namespace: str, name: str) -> Way:
    """By a token of the cluster's issuer (IAM roles for service accounts)."""
    subject = f"system:serviceaccount:{namespace}:{name}"
    claims = {f"{provider.issuer}:sub": subject, f"{provider.issuer}:aud": AUDIENCE}
    return Way(("Federated", provider.arn), (_WEB_IDENTITY,), claims)


def pod_identity(namespace: str, name: str) -> Way:
    """By EKS Pod Identity, which takes an association of the account with the role beside the trust."""
    tags = {"kubernetes-namespace": namespace, "kubernetes-service-account": name}
    claims = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return Way(("Service", POD_IDENTITY), _POD_ACTIONS, claims)


def lets_in(document: Json, way: Way) -> Verdict:
    """Whether the policy allows every call of the way: a Deny counts more than any Allow."""
    statements = [one for one in _listed(_part(document, "Statement")) if isinstance(one, dict)]
    return _all(_allows(statements, action, way) for action in way.actions)


def judged(
    document: Json, provider: OidcProvider, accounts: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Verdict]:
    """For each (namespace, name): whether it may become the role, whichever way."""
    return {
        (namespace, name): _any(
            lets_in(document, way) for way in (web_identity(provider, namespace, name), pod_identity(namespace, name))
        )
        for namespace, name in accounts
    }


def _allows(statements: Sequence[Mapping[str, Json]], action: str, way: Way) -> Verdict:
    denied = _any(_applies(one, action, way) for one in statements if one.get("Effect") == "Deny")
    allowed = _any(_applies(one, action, way) for one in statements if one.get("Effect") == "Allow")
    if denied is Verdict.YES or allowed is Verdict.NO:
        return Verdict.NO
    return Verdict.UNKNOWN if Verdict.UNKNOWN in (denied, allowed) else Verdict.YES


def _applies(statement: Mapping[str, Json], action: str, way: Way) -> Verdict:
    if "NotPrincipal" in statement or "NotAction" in statement:
        return Verdict.UNKNOWN
    if not _names(statement.get("Principal"), way.principal) or not any(
        _like(action.lower(), str(pattern).lower()) for pattern in _listed(statement.get("Action"))
    ):
        return Verdict.NO
    condition = statement.get("Condition")
    return _all(
        _holds(operator, key, _listed(values), way.claims)
        for operator, wanted in (condition.items() if isinstance(condition, dict) else ())
        for key, values in (wanted.items() if isinstance(wanted, dict) else ())
    )


def _names(principal: Json, wanted: tuple[str, str]) -> bool:
    kind, name = wanted
    return principal == "*" or name in _listed(_part(principal, kind)) or "*" in _listed(_part(principal, kind))


def _holds(operator: str, key: str, values: Sequence[Json], claims: Mapping[str, str]) -> Verdict:
    known = {name.lower(): value for name, value in claims.items()}
    if key.lower() not in known:
        return Verdict.UNKNOWN
    compare = _OPERATORS.get(operator.removeprefix("ForAnyValue:").removesuffix("IfExists"))
    if compare is None:
        return Verdict.UNKNOWN
    negated, matches = compare
    found = any(matches(known[key.lower()], str(value)) for value in values)
    return Verdict.YES if found is not negated else Verdict.NO


def _equal(found: str, wanted: str) -> bool:
    return found == wanted


def _same_letters(found: str, wanted: str) -> bool:
    return found.lower() == wanted.lower()


def _like(found: str, pattern: str) -> bool:
    """IAM's wildcards: `*` for any text, `?` for one character, and nothing else."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, found, re.DOTALL) is not None


_OPERATORS = {
    "StringEquals": (False, _equal),
    "StringNotEquals": (True, _equal),
    "StringEqualsIgnoreCase": (False, _same_letters),
    "StringNotEqualsIgnoreCase": (True, _same_letters),
    "StringLike": (False, _like),
    "StringNotLike": (True, _like),
}


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.YES, Verdict.UNKNOWN) if verdict in found), Verdict.NO)


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.NO, Verdict.UNKNOWN) if verdict in found), Verdict.YES)


def _part(document: Json, key: str) -> Json:
    return document.get(key) if isinstance(document, dict) else None


def _listed(value: Json) -> Sequence[Json]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)
