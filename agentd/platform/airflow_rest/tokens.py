"""Tokens that the agent mints for an environment's Airflow. Source: what an API server of version 3.3 takes and refuses."""

from collections import OrderedDict
from dataclasses import dataclass

import jwt

from agentd.core import PermanentError, Reason, Runtime
from agentd.platform.airflow import AirflowAddress, Caller

LIFETIME_S = 300
_ALGORITHM = "HS512"
_AUDIENCE = "apache-airflow"
_SECRET_BYTES = 64
# Airflow refuses a token from the future by more than ten seconds: this much further ahead may the agent's clock be.
_BACKDATED_S = 30
# A token is used for so long only: for this much and what is left of it then may the agent's clock be behind.
_USED_S = 120
_MOST_KEPT = 1024


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str
    at: float


class Tokens:
    """Mints a token for a caller, or gives the one that it has."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._kept: OrderedDict[tuple[str, Caller], _Minted] = OrderedDict()

    def get(self, address: AirflowAddress, caller: Caller) -> str:
        """A token that is good for minutes. PermanentError when the environment's secret is too short to sign with."""
        key = (address.jwt_secret, caller)
        now = self._runtime.now()
        minted = self._kept.get(key)
        # A clock that has jumped back makes a token older than nothing: it is not used either.
        if minted is None or not 0 <= now - minted.at < _USED_S:
            minted = self._kept[key] = _Minted(_mint(address, caller, now), now)
        self._kept.move_to_end(key)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return minted.token

    def forget(self, address: AirflowAddress, caller: Caller) -> None:
        """Airflow has refused the token: the next one is minted anew."""
        self._kept.pop((address.jwt_secret, caller), None)


def _mint(address: AirflowAddress, caller: Caller, now: float) -> str:
    if len(address.jwt_secret.encode()) < _SECRET_BYTES:
        message = f"{address}: its JWT secret is shorter than {_SECRET_BYTES} bytes, as {_ALGORITHM} needs it"
        raise PermanentError(Reason.INVALID_REQUEST, message)
    issued = int(now) - _BACKDATED_S
    claims = {
        "sub": caller.name,
        "role": caller.role.value,
        "aud": _AUDIENCE,
        "iat": issued,
        "nbf": issued,
        "exp": issued + LIFETIME_S,
    }
    return jwt.encode(claims, address.jwt_secret, _ALGORITHM)
