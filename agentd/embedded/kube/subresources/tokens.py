"""Tokens of service accounts: they look like the API's own, and nobody has signed them."""

import base64
import json

from agentd.embedded.kube.kinds import SERVICE_ACCOUNTS
from agentd.embedded.kube.objects import Json, Object, dig, timestamp, uid_of
from agentd.embedded.kube.status import invalid, not_found, wrong
from agentd.embedded.kube.world import World
from agentd.embedded.kube.writes import Call

ISSUER = "https://kubernetes.default.svc"
_HOUR_S = 3600
_LEAST_S = 600


def create_token(world: World, call: Call, raw: Json) -> Object:
    """The answer to a TokenRequest. ApiError."""
    account = world.store.get(SERVICE_ACCOUNTS, call.namespace, call.name)
    if account is None:
        raise not_found("", "serviceaccounts", call.name)
    spec = dict(dig(raw or {}, "spec") or {})
    seconds = spec.setdefault("expirationSeconds", _HOUR_S)
    if seconds < _LEAST_S:
        told = wrong("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        raise invalid("authentication.k8s.io", "TokenRequest", "", [told])
    if not spec.get("audiences"):
        spec["audiences"] = [ISSUER]
    spec.setdefault("boundObjectRef", None)
    now = int(world.runtime.now())
    claims = {
        "aud": spec["audiences"],
        "exp": now + seconds,
        "iat": now,
        "iss": ISSUER,
        "jti": world.runtime.new_id(),
        "kubernetes.io": {
            "namespace": call.namespace,
            "serviceaccount": {"name": call.name, "uid": uid_of(account)},
        },
        "nbf": now,
        "sub": f"system:serviceaccount:{call.namespace}:{call.name}",
    }
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": call.name, "namespace": call.namespace, "creationTimestamp": timestamp(now)},
        "spec": spec,
        "status": {"token": _encoded(claims), "expirationTimestamp": timestamp(now + seconds)},
    }


def subject_of(token: str) -> str | None:
    """Who a token of ours is of; None for any other."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    subject: str | None = claims.get("sub") if isinstance(claims, dict) else None
    return subject


def _encoded(claims: Object) -> str:
    header = {"alg": "none", "kid": "embedded"}
    return ".".join(_part(json.dumps(part).encode()) for part in (header, claims)) + "." + _part(b"embedded")


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
