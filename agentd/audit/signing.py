"""Signatures over the ends of segments: JSON Web Signatures with Ed25519. Keys are JSON Web Keys or PEM."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt import PyJWK, PyJWS
from jwt.exceptions import PyJWTError

from agentd.core import PermanentError, Reason

_ALGORITHM = "EdDSA"
_JWS = PyJWS([_ALGORITHM])


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """What a signature is over: the whole segment, by the hash of the entry before its last."""

    chain: str
    segment: int
    entries: int
    final: bool
    seq: int
    prev: str

    def payload(self) -> bytes:
        """Its bytes."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


class Signer:
    """Signs with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file. PermanentError names the setting and what is wrong, and nothing of the key."""
        try:
            text = path.read_bytes()
            key = _jwk(json.loads(text)) if _is_json(text) else load_pem_private_key(text, password=None)
        except OSError as error:
            raise _unusable(path, error.strerror or "cannot be read") from error
        except (ValueError, TypeError, PyJWTError) as error:
            raise _unusable(path, "holds no private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(path, "holds no Ed25519 private key")
        return cls(key)

    def sign(self, end: SegmentEnd) -> str:
        """A compact JWS."""
        return _JWS.encode(end.payload(), self._key, algorithm=_ALGORITHM)


def read_public_keys(path: Path) -> Sequence[Ed25519PublicKey]:
    """From a file: a key set, a single key, or PEM. ValueError says what is wrong."""
    try:
        text = path.read_bytes()
        found = _jwks(json.loads(text)) if _is_json(text) else [load_pem_public_key(text)]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, PyJWTError) as error:
        raise ValueError(f"{path} holds no public key") from error
    keys = [key for key in found if isinstance(key, Ed25519PublicKey)]
    if not keys or len(keys) < len(found):
        raise ValueError(f"{path} holds something else than Ed25519 public keys")
    return keys


def is_signed(end: SegmentEnd, signature: str, keys: Sequence[Ed25519PublicKey]) -> bool:
    """Whether one of the keys has signed this end."""
    return any(_signed(signature, key) == end.payload() for key in keys)


def _signed(signature: str, key: Ed25519PublicKey) -> bytes | None:
    """What the key has signed; None when the signature is not its own."""
    try:
        payload: bytes = _JWS.decode(signature, key, algorithms=[_ALGORITHM])
    except PyJWTError:
        return None
    return payload


def _is_json(text: bytes) -> bool:
    return text.lstrip().startswith(b"{")


def _jwks(document: dict[str, object]) -> Sequence[object]:
    several = document.get("keys", [document])
    return [_jwk(each) for each in several] if isinstance(several, list) else []


def _jwk(document: dict[str, object]) -> object:
    return PyJWK(document, _ALGORITHM).key


def _unusable(path: Path, why: str) -> PermanentError:
    return PermanentError(Reason.INVALID_REQUEST, f"audit.signing_key_file {path}: {why}")
