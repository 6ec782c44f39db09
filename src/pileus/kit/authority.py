"""A certificate authority of one's own, and certificates by which hosts of a cloud know each other over TLS.

Files are named as QEMU's tls-creds-x509 wants them: ca-cert.pem, server-cert.pem, server-key.pem, and client- the same,
which is one pair, good for both.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE, LIFE, RENEWED = (datetime.timedelta(days=days) for days in (3650, 365, 60))
CA_CERT, CA_KEY = "ca-cert.pem", "ca-key.pem"
PARTS = ("server", "client")
SKEW = datetime.timedelta(hours=1)            # by which clocks of hosts may differ


def ensure_authority(folder: Path) -> None:
    """Made once. The key stays in `folder`, which is nobody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / CA_CERT).exists():
        return
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pileus hosts")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - SKEW)
            .not_valid_after(now + AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256()))
    _write(folder / CA_KEY, _pem(key))
    _write(folder / CA_CERT, made.public_bytes(serialization.Encoding.PEM))


def ensure_host(authority: Path, folder: Path, name: str, address: str) -> None:
    """A pair for the host that answers at `address`. One that is good for a while yet stays."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = x509.load_pem_x509_certificate((authority / CA_CERT).read_bytes())
    now = datetime.datetime.now(datetime.UTC)
    if _is_good(folder, signer, address, now):
        return
    signing = serialization.load_pem_private_key((authority / CA_KEY).read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = (x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).issuer_name(signer.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW).not_valid_after(now + LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                           critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
                           critical=False).sign(signing, hashes.SHA256()))
    for part in PARTS:
        _write(folder / f"{part}-key.pem", _pem(key))
    _write(folder / CA_CERT, signer.public_bytes(serialization.Encoding.PEM))
    for part in reversed(PARTS):                  # that of the server last: it is what is looked at
        _write(folder / f"{part}-cert.pem", made.public_bytes(serialization.Encoding.PEM))


def _is_good(folder: Path, signer: x509.Certificate, address: str, now: datetime.datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate((folder / "server-cert.pem").read_bytes())
    except FileNotFoundError:
        return False
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = (folder / CA_CERT).read_bytes() == signer.public_bytes(serialization.Encoding.PEM)
    return (known and ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)
            and found.not_valid_after_utc - now > RENEWED)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=True, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=signs, crl_sign=signs,
                         encipher_only=False, decipher_only=False)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
