"""Until when certificates are good, read from PEM files."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509


class BadCertificate(Exception):
    """What was read is no certificate."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when, both in seconds since the epoch."""

    begins_at: float
    ends_at: float


def validities(path: Path) -> tuple[Validity, ...]:
    """Of every certificate in a PEM file, in order. Raises OSError, and BadCertificate when there is none."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise BadCertificate(f"{path} holds no certificate in PEM that can be read: {error}") from error
    return tuple(
        Validity(found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp())
        for found in certificates
    )
