"""Certificates' dates, compared with those that an independent library wrote."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agentd.cli.doctor.certificates import BadCertificate, Validity, validities
from agentd.cli.doctor.findings import Status
from agentd.cli.doctor.proxy import good_until

DAY = timedelta(days=1)
BEGIN = datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)


def certificate(begin: datetime, end: datetime) -> str:
    """A self-signed one, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    # A long name: lengths above 127 have another form.
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, "proxy"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "o" * 60)]
    name = x509.Name([*parts, x509.NameAttribute(NameOID.LOCALITY_NAME, "l" * 120)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "end",
    [BEGIN + DAY, datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)],
    ids=["soon", "last two-digit year", "first four-digit year"],
)
def test_dates_are_those_that_were_written(tmp_path: Path, end: datetime) -> None:
    file = tmp_path / "proxy.pem"
    file.write_text(certificate(BEGIN, end))
    assert validities(file) == (Validity(BEGIN.timestamp(), end.timestamp()),)


def test_every_certificate_of_a_chain_is_read_and_keys_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "chain.pem"
    key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    file.write_text(key + certificate(BEGIN, BEGIN + DAY) + "a comment\n" + certificate(BEGIN, BEGIN + 2 * DAY))
    assert [one.ends_at for one in validities(file)] == [(BEGIN + n * DAY).timestamp() for n in (1, 2)]


def _pem(content: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(content).decode()}\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        _pem(b"\x30"),
        _pem(b"\x30\x82\x10\x00\x30"),
        _pem(b"\x30\x04\x30\x02\x02\x00"),
        _pem(b"x" * 300),
    ],
    ids=["empty", "text", "one byte", "cut off", "too short", "noise"],
)
def test_what_is_no_certificate_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.pem"
    file.write_text(text)
    with pytest.raises(BadCertificate, match=r"bad\.pem"):
        validities(file)


@pytest.mark.parametrize(
    ("age", "left", "status", "words"),
    [
        (DAY, 15 * DAY, Status.OK, "15 days"),
        (DAY, 13 * DAY, Status.WARNING, "13 days"),
        (DAY, -DAY, Status.FAILED, "expired 1.0 days ago"),
        (-DAY, 15 * DAY, Status.FAILED, "on only"),
    ],
    ids=["good", "soon over", "expired", "not yet good"],
)
def test_days_left(age: timedelta, left: timedelta, status: Status, words: str) -> None:
    now = BEGIN.timestamp()
    one = Validity((BEGIN - age).timestamp(), (BEGIN + left).timestamp())
    for_ever = Validity(0.0, (BEGIN + 9999 * DAY).timestamp())
    found = good_until("proxy.certificate", "proxy.certificate_file", Path("proxy.pem"), [for_ever, one], now)
    assert found.status is status
    assert words in found.found
    assert "proxy.certificate_file" in found.mend or status is Status.OK
