"""Whether an event may be believed: the stage between decoding and everything that leaves a trace under the event's id.

A signature is a detached JWS (RFC 7515, appendix F; RFC 7797: the payload is not encoded) with EdDSA over Ed25519. Its
payload is the canonical JSON (RFC 8785) of what the CloudEvent says: the same bytes as its digest is taken over. So the
audience (tenantid, clusterid), the time of signing (time) and the end (expirytime) are signed without being said twice.
Events and reports differ in the header's `typ`: neither passes for the other.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NoReturn

from jwt import PyJWTError
from jwt.api_jws import PyJWS

from agentd.core import Reason
from agentd.events.codec import Event, Malformed, canonical, encode, parse
from agentd.events.config import SignaturesConfig
from agentd.events.keys import ALGORITHM, KeySet, PublicKey, SigningKey
from agentd.events.problems import found

# Returns the id of the key that vouches for the event; None when it is unsigned, or nobody looks.
# Raises Malformed(bad_signature or stale) for an event that must not be believed; it is then ended under the message's own id.
Verify = Callable[[Event], str | None]

# Takes a report's text and returns it with a signature, or as it is.
Sign = Callable[[str], str]

_jws = PyJWS(algorithms=[ALGORITHM])


class SignatureType(StrEnum):
    """What is signed: the header's `typ`, which must be just this (RFC 8725, section 3.11)."""

    EVENT = "conveyor-event+jws"
    REPORT = "conveyor-report+jws"


def accept_unsigned(_event: Event) -> None:
    """Believe every event: the policy of an installation without keys, where the queue's own permissions are the guard."""


def sign(text: str, key: SigningKey, typ: SignatureType = SignatureType.EVENT) -> str:
    """A structured-mode CloudEvent with its signature, in place of any that it had. Raises Malformed."""
    document = parse(text)
    headers = {"kid": key.id, "typ": typ.value}
    signature = _jws.encode(canonical(document), key.key, ALGORITHM, headers, is_payload_detached=True)
    return encode({**document, "signature": signature}, None)


def verify_report(text: str, keys: KeySet) -> str:
    """The id of the key that vouches for a report, for those who receive it. Raises Malformed(bad_signature).

    The key's validity is not looked at: a receiver that keeps old reports keeps old keys.
    """
    document = parse(text)
    signature = document.get("signature")
    if not isinstance(signature, str):
        _refuse("is missing")
    return _vouching(signature, canonical(document), keys, SignatureType.REPORT).id


def leave_unsigned(text: str) -> str:
    """The text as it is: the way of an installation without a key to sign with."""
    return text


class Verifier:
    """Believes what a key of the set vouches for. `keys` and `now` are asked each time, so that keys may change."""

    def __init__(self, config: SignaturesConfig, keys: Callable[[], KeySet], now: Callable[[], float]) -> None:
        self._required = config.required
        self._max_age_s = config.max_age_s
        self._skew_s = config.clock_skew_s
        self._keys = keys
        self._now = now

    def __call__(self, event: Event) -> str | None:
        """See Verify. An unsigned event is believed only when signatures are not required."""
        envelope = event.envelope
        if envelope.signature is None:
            if self._required:
                _refuse("is missing; this agent takes signed events alone")
            return None
        key = _vouching(envelope.signature, event.canonical, self._keys(), SignatureType.EVENT)
        self._check_scope(key, event)
        self._check_times(key, envelope.time.timestamp(), self._now())
        return key.id

    def _check_scope(self, key: PublicKey, event: Event) -> None:
        for scope, what, value in (
            (key.events, "events of type", event.envelope.type),
            (key.sources, "events of source", event.envelope.source),
        ):
            if scope is not None and not scope.match(value):
                _refuse(f"key {key.id} may not vouch for {what} {found(value)}")

    def _check_times(self, key: PublicKey, signed_at: float, now: float) -> None:
        if signed_at > now + self._skew_s:
            _refuse(
                f"time is {signed_at - now:.0f} s ahead of this agent's clock; at most {self._skew_s:g} s are taken"
            )
        if now > (key.expires if key.expires is not None else math.inf):
            _refuse(f"key {key.id} has expired at {_moment(key.expires or 0.0)}")
        if signed_at + self._skew_s < (key.not_before or 0.0):
            _refuse(f"key {key.id} is not valid before {_moment(key.not_before or 0.0)}")
        if signed_at < now - self._max_age_s:
            # The ledger may have forgotten the event by now: it cannot be told from one that is sent a second time.
            message = f"time: signed {now - signed_at:.0f} s ago; at most {self._max_age_s:g} s are taken"
            raise Malformed(message, reason=Reason.STALE)


def _vouching(signature: str, payload: bytes, keys: KeySet, typ: SignatureType) -> PublicKey:
    """The key whose signature it is. Everything that decides is pinned here: the header chooses among known keys, no more."""
    try:
        header = _jws.get_unverified_header(signature)
        key = keys.keys.get(header.get("kid", ""))
        if key is None:
            _refuse(f"key {found(header.get('kid'))} is not in the key set")
        if header.get("typ") != typ.value:
            _refuse(f"typ: found {found(header.get('typ'))}; expected {typ.value!r}")
        _jws.decode_complete(signature, key.key, algorithms=[ALGORITHM], detached_payload=payload)
    except PyJWTError as error:
        raise _bad(f"{error}") from error
    return key


def _refuse(problem: str) -> NoReturn:
    raise _bad(problem)


def _bad(problem: str) -> Malformed:
    return Malformed(f"signature: {problem}", reason=Reason.BAD_SIGNATURE)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
