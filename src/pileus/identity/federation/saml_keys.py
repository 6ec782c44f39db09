"""The key by which identity signs SAML, made when it is first needed, with a certificate that others are given."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pileus.kit.faults import Unavailable
from pileus.sandbox.checks import program

DAYS = 3650
BITS = 2048


class SamlKeys:
    """Key and certificate are in one file, so that no process sees one without the other."""

    def __init__(self, folder: Path):
        self.file = folder / "saml.pem"

    def prepare(self) -> str:
        """The file's name."""
        if not self.file.exists():
            half = self.file.with_name(f".saml.{os.getpid()}")
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(_new())
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):       # another process was first, and its key counts
                os.link(half, self.file)
            half.unlink()
        return str(self.file)

    def certificate(self) -> str:
        """Its base64, as metadata and signatures carry it."""
        text = Path(self.prepare()).read_text().partition("-----BEGIN CERTIFICATE-----")[2]
        return "".join(text.partition("-----END CERTIFICATE-----")[0].split())


def _new() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pileus identity")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        subject_name=name, issuer_name=name, public_key=key.public_key(), serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1), not_valid_after=now + timedelta(days=DAYS)).sign(key, hashes.SHA256())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)


def xmlsec() -> str:
    found = program("xmlsec1")
    if found is None:
        raise Unavailable(reason="SAML needs xmlsec1, which is not installed. Cure: apt-get install xmlsec1")
    return found
