"""Which events are believed, and which reports receivers may believe."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import rfc8785
from jwt import api_jws
from jwt.api_jws import PyJWS
from pydantic import ValidationError

from agentd.core import Reason
from agentd.events import (
    Event,
    KeySet,
    Malformed,
    SignaturesConfig,
    SignatureType,
    SigningKey,
    Verifier,
    decode,
    new_signing_key,
    public_jwk,
    sign,
    verify_report,
)
from agentd.events.codec import canonical
from agentd.events.schema import example_event

NOW = 1_800_000_000.0
TYPE = "conveyor.project.create.v1"
SIGNER = new_signing_key("present")
NEXT = new_signing_key("next")
STRANGER = new_signing_key("present")

Json = dict[str, Any]  # an event as JSON


def _event(**changes: object) -> str:
    time = "2027-01-15T08:00:00+00:00"  # NOW
    document = {**example_event(TYPE), "time": time, **changes}
    return json.dumps({name: value for name, value in document.items() if value is not None})


def _keys(**limits: Any) -> KeySet:
    return KeySet.parse(json.dumps({"keys": [public_jwk(SIGNER, **limits), public_jwk(NEXT)]}).encode())


def _verifier(keys: KeySet | None = None, *, now: float = NOW, **config: Any) -> Callable[[Event], str | None]:
    settings = SignaturesConfig.model_validate({"keys_file": "/keys.json", **config})
    return Verifier(settings, lambda: keys or _keys(), lambda: now)


def _with_signature(text: str, signature: str) -> str:
    return json.dumps({**json.loads(text), "signature": signature})


def _jws(text: str, key: Any, algorithm: str, **headers: Any) -> str:
    """A signature of any making over the event's canonical bytes."""
    detached = headers.pop("detached", True)
    payload = canonical(json.loads(text))
    header = {"kid": "present", "typ": SignatureType.EVENT.value, **headers}
    return PyJWS().encode(payload, key, algorithm, header, is_payload_detached=detached)


def _refusal(text: str, verify: Callable[[Event], str | None] | None = None) -> Malformed:
    with pytest.raises(Malformed) as caught:
        (verify or _verifier())(decode(text))
    return caught.value


def test_what_is_signed_is_believed_and_says_by_whom() -> None:
    assert _verifier()(decode(sign(_event(), SIGNER))) == "present"
    assert _verifier()(decode(sign(_event(), NEXT))) == "next"


def test_a_signature_is_a_detached_jws_over_the_canonical_event() -> None:
    """Checked by hand, as RFC 7515 and RFC 7797 describe it."""
    text = sign(_event(), SIGNER)
    header, nothing, signature = json.loads(text)["signature"].split(".")
    assert nothing == ""
    assert json.loads(_decoded(header)) == {
        "alg": "EdDSA",
        "b64": False,
        "crit": ["b64"],
        "kid": "present",
        "typ": "conveyor-event+jws",
    }
    SIGNER.key.public_key().verify(_decoded(signature), header.encode() + b"." + decode(text).canonical)


def test_what_any_jose_library_signs_is_believed() -> None:
    """As the documentation shows it."""
    event = json.loads(_event())
    header = {"alg": "EdDSA", "b64": False, "crit": ["b64"], "kid": "present", "typ": "conveyor-event+jws"}
    event["signature"] = api_jws.encode(
        rfc8785.dumps(event), SIGNER.key, headers=header, algorithm="EdDSA", is_payload_detached=True
    )
    assert _verifier()(decode(json.dumps(event))) == "present"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_signing_again_changes_nothing_and_replaces_another_signature() -> None:
    text = sign(_event(), SIGNER)
    assert sign(text, SIGNER) == text
    assert decode(sign(text, NEXT)).digest == decode(text).digest
    assert _verifier()(decode(sign(text, NEXT))) == "next"


def test_spelling_and_trace_are_not_signed() -> None:
    document = json.loads(sign(_event(), SIGNER))
    respelt = dict(reversed(document.items())) | {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    assert _verifier()(decode(json.dumps(respelt, indent=3))) == "present"


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": 99},
        {"actor": "somebody else"},
        {"tenantid": "00000000-0000-4000-8000-000000000000"},
        {"expirytime": "2099-01-01T00:00:00+00:00"},
        {"time": "2027-01-15T08:00:01+00:00"},
        {"unknownattribute": "x"},
    ],
)
def test_every_attribute_is_signed(changes: Mapping[str, object]) -> None:
    text = json.dumps({**json.loads(sign(_event(), SIGNER)), **changes})
    error = _refusal(text)
    assert error.reason is Reason.BAD_SIGNATURE
    assert "Signature verification failed" in error.message


def test_the_signature_of_another_event_is_none() -> None:
    other = json.loads(sign(_event(generation=2), SIGNER))["signature"]
    assert _refusal(_with_signature(_event(), other)).reason is Reason.BAD_SIGNATURE


def test_who_is_not_in_the_set_is_not_believed() -> None:
    assert "Signature verification failed" in _refusal(sign(_event(), STRANGER)).message
    unknown = _refusal(sign(_event(), SigningKey("nobody", STRANGER.key)))
    assert unknown.message == "signature: key 'nobody' is not in the key set"
    confused = _refusal(sign(_event(), SigningKey("next", SIGNER.key)))
    assert "Signature verification failed" in confused.message


def _raw_public() -> bytes:
    return SIGNER.key.public_key().public_bytes_raw()


@pytest.mark.filterwarnings("ignore:The HMAC key")
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda text: _jws(text, "", "none"), "alg value is not allowed"),
        (lambda text: _jws(text, _raw_public(), "HS256"), "alg value is not allowed"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA", typ="conveyor-report+jws"), "typ: found 'conveyor-report+jws'"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA", typ=None), "typ: found null"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA", kid="nobody"), "'nobody' is not in the key set"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA", crit=["exp"], exp=1), "Unsupported critical extension: exp"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA", detached=False), '"b64" set to false'),
        (lambda text: _jws(text, SIGNER.key, "EdDSA").replace("..", "."), "Not enough segments"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA").replace("..", ".eA."), "Payload segment must be empty"),
        (lambda text: _jws(text, SIGNER.key, "EdDSA")[:-2], "Signature verification failed"),
        (lambda _text: "", "Not enough segments"),
        (lambda _text: "..", "Invalid header string"),
        (lambda _text: "bm8.." + "A" * 86, "Invalid header string"),
        (lambda _text: "e30.." + "A" * 86, "key null is not in the key set"),
    ],
)
def test_what_is_no_signature_of_ours_is_refused(make: Callable[[str], str], told: str) -> None:
    text = _event()
    error = _refusal(_with_signature(text, make(text)))
    assert error.reason is Reason.BAD_SIGNATURE
    assert told in error.message


def test_a_signature_without_a_key_id_is_refused() -> None:
    text = _event()
    payload = canonical(json.loads(text))
    nameless = PyJWS().encode(
        payload, SIGNER.key, "EdDSA", {"typ": SignatureType.EVENT.value}, is_payload_detached=True
    )
    assert "key null is not in the key set" in _refusal(_with_signature(text, nameless)).message


def test_unsigned_events_are_refused_unless_they_are_asked_for() -> None:
    assert "takes signed events alone" in _refusal(_event()).message
    lenient = _verifier(required=False)
    assert lenient(decode(_event())) is None
    assert _refusal(sign(_event(), STRANGER), lenient).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("limits", "now", "told"),
    [
        ({"exp": NOW - 1}, NOW, "key present has expired at 2027-01-15T07:59:59+00:00"),
        ({"nbf": NOW + 61}, NOW, "key present is not valid before"),
        ({"events": ["conveyor.environment.*"]}, NOW, f"may not vouch for events of type '{TYPE}'"),
        ({"sources": ["https://elsewhere.example/*"]}, NOW, "may not vouch for events of source"),
    ],
)
def test_a_key_vouches_within_its_limits_alone(limits: Mapping[str, Any], now: float, told: str) -> None:
    error = _refusal(sign(_event(), SIGNER), _verifier(_keys(**limits), now=now))
    assert error.reason is Reason.BAD_SIGNATURE
    assert told in error.message
    assert _verifier(_keys(**limits), now=now)(decode(sign(_event(), NEXT))) == "next"


def test_keys_overlap_and_are_exchanged_without_a_restart() -> None:
    in_force = [_keys(exp=NOW + 10)]
    verify = Verifier(SignaturesConfig.model_validate({"keys_file": "/k"}), lambda: in_force[0], lambda: NOW)
    old, new = decode(sign(_event(), SIGNER)), decode(sign(_event(), NEXT))
    assert (verify(old), verify(new)) == ("present", "next")
    in_force[0] = KeySet.parse(json.dumps({"keys": [public_jwk(NEXT)]}).encode())
    assert verify(new) == "next"
    with pytest.raises(Malformed, match="'present' is not in the key set"):
        verify(old)


def test_what_is_too_old_or_of_the_future_is_refused() -> None:
    event = sign(_event(), SIGNER)
    day_s = 86400.0
    assert _verifier(now=NOW + 21 * day_s)(decode(event)) == "present"
    stale = _refusal(event, _verifier(now=NOW + 21 * day_s + 1))
    assert stale.reason is Reason.STALE
    assert "at most 1.8144e+06 s" in stale.message
    assert _verifier(now=NOW - 60)(decode(event)) == "present"
    early = _refusal(event, _verifier(now=NOW - 61))
    assert early.reason is Reason.BAD_SIGNATURE
    assert "time is 61 s ahead" in early.message


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"required": True}, "required needs keys_file or keys_secret"),
        ({"keys_file": "/a", "keys_secret": "arn"}, "two places"),
        ({"keys_file": "/a", "max_age_s": 1}, "max_age_s"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        SignaturesConfig.model_validate(config)


@pytest.mark.parametrize(
    ("config", "required"),
    [
        ({}, False),
        ({"keys_file": "/a"}, True),
        ({"keys_secret": "arn"}, True),
        ({"keys_file": "/a", "required": False}, False),
    ],
)
def test_signatures_are_required_when_there_are_keys(config: Mapping[str, Any], *, required: bool) -> None:
    assert SignaturesConfig.model_validate(config).required is required


def test_reports_are_signed_for_their_receivers() -> None:
    report = sign('{"id":"1","data":{"outcome":"succeeded","age_s":0.1}}', SIGNER, SignatureType.REPORT)
    keys = _keys(exp=1)
    assert verify_report(report, keys) == "present"
    for forged in (
        report.replace("succeeded", "failed"),
        '{"id":"1"}',
        sign('{"id":"1"}', STRANGER, SignatureType.REPORT),
        sign('{"id":"1"}', SIGNER, SignatureType.EVENT),
        '{"id":"1","signature":7}',
    ):
        with pytest.raises(Malformed) as caught:
            verify_report(forged, keys)
        assert caught.value.reason is Reason.BAD_SIGNATURE
