"""Key sets and private keys, as they are read."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from agentd.events import KeySet, new_signing_key, private_jwk, public_jwk, signing_key

KEY = new_signing_key("first")
JWK = dict(public_jwk(KEY))


def _set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def _pem(key: Any, *, password: bytes | None = None) -> bytes:
    lock = NoEncryption() if password is None else BestAvailableEncryption(password)
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    return text


def test_a_set_is_read_with_its_limits() -> None:
    other = public_jwk(new_signing_key("second"), nbf=10, exp=20, events=["conveyor.project.*"], sources=["https://*"])
    keys = KeySet.parse(_set(JWK, other)).keys
    assert keys["first"].key == KEY.key.public_key()
    assert (keys["first"].not_before, keys["first"].expires, keys["first"].events) == (None, None, None)
    assert (keys["second"].not_before, keys["second"].expires) == (10, 20)
    assert str(keys["second"].events) == "conveyor.project.*"
    assert str(keys["second"].sources) == "https://*"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "invalid JSON"),
        (b"[]", "object"),
        (_set(), "keys: found []; tuple should have at least 1 item"),
        (_set(JWK, JWK), "two keys have the id first"),
        (_set({**JWK, "kty": "RSA"}), "keys.0.kty: found 'RSA'"),
        (_set({**JWK, "crv": "Ed448"}), "keys.0.crv: found 'Ed448'"),
        (_set({**JWK, "alg": "HS256"}), "keys.0.alg: found 'HS256'"),
        (_set({**JWK, "use": "enc"}), "keys.0.use: found 'enc'"),
        (_set({**JWK, "key_ops": ["sign"]}), "keys.0.key_ops.0: found 'sign'"),
        (_set({**JWK, "x": "AA"}), "keys.0.x: found 'AA'"),
        (_set({**JWK, "kid": ""}), "keys.0.kid: found ''"),
        (_set({name: value for name, value in JWK.items() if name != "kid"}), "keys.0.kid: is missing"),
        (_set({**JWK, "event": ["conveyor.*"]}), "keys.0.event: found"),
        (_set({**JWK, "events": []}), "keys.0.events: found []"),
        (_set({**JWK, "nbf": 20, "exp": 20}), "exp must be after nbf"),
        (_set({**JWK, "exp": float("inf")}), "keys.0.exp: found"),
        (_set(*[{**JWK, "kid": str(number)} for number in range(101)]), "at most 100 items"),
    ],
)
def test_what_is_wrong_with_a_set_is_told(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        KeySet.parse(text)
    assert told in str(caught.value)


def test_a_private_key_in_a_set_is_refused_and_not_repeated() -> None:
    secret = private_jwk(KEY)["d"]
    with pytest.raises(ValueError, match="holds a private key") as caught:
        KeySet.parse(_set(private_jwk(KEY)))
    assert secret not in str(caught.value)


def test_a_signing_key_comes_as_json_or_pem() -> None:
    as_json = json.dumps(private_jwk(KEY)).encode()
    assert private_jwk(signing_key(as_json)) == private_jwk(KEY)
    assert private_jwk(signing_key(as_json, key_id="other")) == {**private_jwk(KEY), "kid": "other"}
    assert private_jwk(signing_key(_pem(KEY.key), key_id="first")) == private_jwk(KEY)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"{", "no JSON Web Key"),
        (json.dumps(JWK).encode(), "expected a private key of Ed25519"),
        (json.dumps({**private_jwk(KEY), "d": "AA"}).encode(), "no JSON Web Key"),
        (b"nonsense", "no private key in PEM"),
        (_pem(generate_private_key(SECP256R1())), "no private key in PEM"),
        (_pem(KEY.key, password=b"x"), "no private key in PEM"),
        (b"\xff", "no private key in PEM"),
    ],
)
def test_what_is_no_signing_key_is_refused_and_not_repeated(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        signing_key(text, key_id="first")
    assert private_jwk(KEY)["d"] not in str(caught.value)


def test_pem_needs_a_name() -> None:
    with pytest.raises(ValueError, match="no id of its own"):
        signing_key(_pem(KEY.key))
