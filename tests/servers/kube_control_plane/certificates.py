"""A certificate authority of a test's own, as short-lived as the control plane that trusts it."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=7)
_CLOCK_SKEW = timedelta(hours=1)
_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where a certificate (or, for tokens, a public key) is, and the private key that goes with it."""

    public: Path
    private: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates and keeps them, with their keys, as PEM files in one folder that its owner alone can read."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, folder: Path) -> Self:
        """An authority in a folder that is made for it."""
        folder.mkdir(mode=0o700, parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("the tests' own authority")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        authority = cls(folder, certificate, key)
        authority.public.write_bytes(_pem(certificate))
        return authority

    @property
    def public(self) -> Path:
        """The authority's own certificate, which both sides trust."""
        return self.folder / "ca.crt"

    def server(self, name: str) -> KeyPair:
        """For a server on loopback."""
        hosts: list[x509.GeneralName] = [x509.DNSName(host) for host in _SERVER_NAMES]
        hosts.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return self._signed(name, (), ExtendedKeyUsageOID.SERVER_AUTH, x509.SubjectAlternativeName(hosts))

    def client(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """For a user whom the API server takes at the certificate's word: the common name, and the organisations."""
        return self._signed(user, groups, ExtendedKeyUsageOID.CLIENT_AUTH)

    def tokens(self) -> KeyPair:
        """What service account tokens are signed with and checked against: bare keys, without a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return self._kept("tokens", public, key)

    def _signed(
        self, name: str, groups: Sequence[str], purpose: x509.ObjectIdentifier, *extensions: x509.ExtensionType
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        # Python 3.13 and newer refuse a certificate that does not say whose key signed it.
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = _builder(_name(name, groups), self.certificate.subject, key)
        for extension in (x509.ExtendedKeyUsage([purpose]), signer, *extensions):
            builder = builder.add_extension(extension, critical=False)
        return self._kept(name.replace(":", "-"), _pem(builder.sign(self.key, hashes.SHA256())), key)

    def _kept(self, stem: str, public: bytes, key: ec.EllipticCurvePrivateKey) -> KeyPair:
        pair = KeyPair(self.folder / f"{stem}.crt", self.folder / f"{stem}.key")
        pair.public.write_bytes(public)
        pair.private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )


def _name(common: str, organisations: Sequence[str] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation) for organisation in organisations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
