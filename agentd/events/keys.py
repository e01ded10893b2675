"""Keys of signatures: a set of public ones to verify with, a private one to sign with, and how both are made.

JSON Web Keys of Ed25519 (RFC 7517, RFC 8037). A key of a set may carry beside them `nbf` and `exp`, the seconds since the
epoch between which it vouches for anything, and `events` and `sources`, patterns of what it may vouch for. To rotate, put
the next key beside the present one, sign with it, and take the old one out when nothing signed with it is on its way.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt import PyJWK, PyJWTError
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from agentd.core.globs import Globs
from agentd.events.problems import explain

Jwk: TypeAlias = Mapping[str, Any]  # a JSON Web Key, whose members are its type's own

ALGORITHM = "EdDSA"

_MOST_KEYS = 100
_MOST_PATTERNS = 100

KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@/+=-]+$", min_length=1, max_length=128)]
_Point = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
_Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_Patterns = Annotated[tuple[_Pattern, ...], Field(min_length=1, max_length=_MOST_PATTERNS)]
_Moment = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a set. `not_before` and `expires` in seconds since the epoch; a scope that is None is unlimited."""

    id: str
    key: Ed25519PublicKey
    not_before: float | None = None
    expires: float | None = None
    events: Globs | None = None
    sources: Globs | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the id that verifiers know it by."""

    id: str
    key: Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """Who may vouch for events: public keys by their id."""

    keys: Mapping[str, PublicKey]

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read a JSON Web Key Set. ValueError names the key's place, what was found and what is allowed.

        Stricter than RFC 7517: an unknown member is an error, because a misspelt limit would be none; so are a private
        key and a key of another kind.
        """
        try:
            document = _JwkSet.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(explain(error)) from error
        return cls({jwk.kid: jwk.public_key() for jwk in document.keys})


class _Jwk(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    kid: KeyId
    x: _Point
    use: Literal["sig"] | None = None
    alg: Literal["EdDSA"] | None = None
    key_ops: tuple[Literal["verify"], ...] | None = None
    nbf: _Moment | None = None
    exp: _Moment | None = None
    events: _Patterns | None = None
    sources: _Patterns | None = None

    @model_validator(mode="before")
    @classmethod
    def _public(cls, jwk: object) -> object:
        if isinstance(jwk, Mapping) and "d" in jwk:
            raise ValueError(
                "holds a private key: a key set is what verifiers get; keep the private key with the signer"
            )
        return jwk

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.nbf is not None and self.exp is not None and self.exp <= self.nbf:
            raise ValueError("exp must be after nbf")
        return self

    def public_key(self) -> PublicKey:
        """The key, ready for use."""
        return PublicKey(
            id=self.kid,
            key=Ed25519PublicKey.from_public_bytes(base64url_decode(self.x)),
            not_before=self.nbf,
            expires=self.exp,
            events=None if self.events is None else Globs.of(self.events),
            sources=None if self.sources is None else Globs.of(self.sources),
        )


class _JwkSet(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: Annotated[tuple[_Jwk, ...], Field(min_length=1, max_length=_MOST_KEYS)]

    @model_validator(mode="after")
    def _each_id_once(self) -> Self:
        ids = [jwk.kid for jwk in self.keys]
        for kid in ids:
            if ids.count(kid) > 1:
                raise ValueError(f"two keys have the id {kid}")
        return self


def signing_key(text: bytes, *, key_id: str | None = None) -> SigningKey:
    """Read a private key: a JSON Web Key, or PEM (PKCS 8). ValueError says what is wrong, and nothing of the key.

    `key_id` goes before the key's own; PEM has none.
    """
    given_id, key = _private_jwk(text) if text.lstrip().startswith(b"{") else (None, _private_pem(text))
    chosen = key_id or given_id
    if not chosen:
        raise ValueError("the key has no id of its own (kid): say by which one verifiers know it")
    match key:
        case Ed25519PrivateKey():
            return SigningKey(chosen, key)
        case _:
            raise ValueError("expected a private key of Ed25519")


def new_signing_key(key_id: str) -> SigningKey:
    """A fresh key."""
    return SigningKey(key_id, Ed25519PrivateKey.generate())


def private_jwk(key: SigningKey) -> Jwk:
    """The key as JSON: keep it secret."""
    return {**OKPAlgorithm.to_jwk(key.key, as_dict=True), "kid": key.id, "alg": ALGORITHM, "use": "sig"}


def public_jwk(key: SigningKey, **limits: Any) -> Jwk:  # noqa: ANN401 - members of a JSON Web Key
    """What verifiers put into their key set. `limits` are nbf, exp, events and sources; None leaves one out."""
    jwk = OKPAlgorithm.to_jwk(key.key.public_key(), as_dict=True)
    given = {name: value for name, value in limits.items() if value is not None}
    return {**jwk, "kid": key.id, "alg": ALGORITHM, "use": "sig", **given}


def _private_jwk(text: bytes) -> tuple[str | None, object]:
    try:
        jwk = json.loads(text)
        key_id = jwk.get("kid")
        return (key_id if isinstance(key_id, str) else None), PyJWK(jwk, ALGORITHM).key
    except (ValueError, PyJWTError):
        # Neither the text nor the library's own words are repeated: they may hold the key.
        raise ValueError("no JSON Web Key of Ed25519 with a private part") from None


def _private_pem(text: bytes) -> object:
    try:
        return OKPAlgorithm().prepare_key(text)
    except (ValueError, TypeError, PyJWTError, UnsupportedAlgorithm):
        raise ValueError("no private key in PEM (PKCS 8, not encrypted)") from None
