"""Whether a token is taken, and what its bearer may do: as Airflow's API server and its simple auth manager judge."""

from typing import Any

import jwt
from jwt.types import Options

from agentd.embedded.airflow.problems import Crashed, Refused

_LEEWAY_S = 10
_ROLES = ("viewer", "user", "op", "admin")
_READ = "GET"
# Times are looked at here, by the world's own clock.
_TIMELESS: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "require": ["sub", "exp", "iat", "nbf", "aud"],
}


def check(authorization: str | None, cookie: str | None, secret: str, now: float, method: str) -> str:
    """The caller's name. Raises Refused, or Crashed as Airflow does for a role that it does not know."""
    kind, _, bearer = (authorization or "").partition(" ")
    token = bearer if kind.lower() == "bearer" else cookie
    if not token:
        raise Refused(401, "Not authenticated")
    claims = _decode(token, secret)
    if now > claims["exp"] + _LEEWAY_S:
        raise Refused(401, "Token Expired")
    if max(claims["nbf"], claims["iat"]) > now + _LEEWAY_S or "role" not in claims:
        raise Refused(403, "Invalid JWT token")
    if claims["role"] not in _ROLES:
        raise Crashed(f"role {claims['role']}")
    if claims["role"] == "viewer" and method != _READ:
        raise Refused(403, "Forbidden")
    return str(claims["sub"])


def _decode(token: str, secret: str) -> dict[str, Any]:
    try:
        return jwt.decode(token, secret, ["HS512"], _TIMELESS, audience="apache-airflow")
    except jwt.PyJWTError as error:
        raise Refused(403, "Invalid JWT token") from error
