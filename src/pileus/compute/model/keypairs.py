"""Key pairs: public keys by user and name."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pileus.compute.faults import BadPublicKey, KeypairExists, KeypairNotFound
from pileus.compute.model.tables import keypairs
from pileus.kit import db
from pileus.kit.db import Connection

SSH, X509 = "ssh", "x509"
YEARS = timedelta(days=3650)
_PARSED = {"ssh-rsa", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}


class Keypair(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    name: str
    id: int
    type: str
    fingerprint: str
    public_key: str
    created_at: float


async def find(conn: Connection, user_id: str, name: str) -> Keypair | None:
    query = sa.select(keypairs).where(keypairs.c.user_id == user_id, keypairs.c.name == name)
    return await db.one(conn, query, Keypair)


async def get(conn: Connection, user_id: str, name: str) -> Keypair:
    found = await find(conn, user_id, name)
    if found is None:
        raise KeypairNotFound(name=name, user_id=user_id)
    return found


async def page(conn: Connection, user_id: str, *, limit: int | None = None, after: str = "") -> list[Keypair]:
    """In the order of their names."""
    query = sa.select(keypairs).where(keypairs.c.user_id == user_id, keypairs.c.name > after)
    return await db.many(conn, query.order_by(keypairs.c.name).limit(limit), Keypair)


async def count(conn: Connection, user_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(keypairs).where(keypairs.c.user_id == user_id)
    return await db.scalar(conn, query)


async def add(tx: Connection, keypair: Keypair) -> None:
    """Raises KeypairExists; a race for the same name ends in db.Taken."""
    if await find(tx, keypair.user_id, keypair.name):
        raise KeypairExists(name=keypair.name)
    await db.add(tx, keypairs, keypair)


async def remove(tx: Connection, user_id: str, name: str) -> None:
    if not await db.update(tx, keypairs.delete().where(keypairs.c.user_id == user_id, keypairs.c.name == name)):
        raise KeypairNotFound(name=name, user_id=user_id)


def fingerprint(kind: str, public_key: str) -> str:
    """MD5 of an SSH key, SHA-1 of a certificate, in the colon form. Raises BadPublicKey."""
    return _grouped(_certificate_digest(public_key) if kind == X509 else _ssh_digest(public_key))


def _grouped(digest: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in digest)


def _certificate_digest(text: str) -> bytes:
    try:
        return x509.load_pem_x509_certificate(text.encode()).fingerprint(hashes.SHA1())
    except ValueError as error:
        raise BadPublicKey(reason="failed to generate X509 fingerprint. Error message: not a certificate in PEM "
                                  "form") from error


def _ssh_digest(text: str) -> bytes:
    parts = text.split()
    if len(parts) < 2 or "\n" in text.strip():
        raise BadPublicKey(reason="failed to generate fingerprint")
    try:
        blob = base64.b64decode(parts[1], validate=True)
        kind, *rest = _ssh_strings(blob)
        if kind.decode() != parts[0] or not rest:
            raise ValueError(f"{parts[0]} announces something else")
        if parts[0] in _PARSED:
            serialization.load_ssh_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadPublicKey(reason="failed to generate fingerprint") from error
    return hashlib.md5(blob, usedforsecurity=False).digest()


def _ssh_strings(blob: bytes) -> list[bytes]:
    """The fields of an SSH key, each with its length before it. Raises ValueError."""
    found: list[bytes] = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise ValueError("the key is cut off")
        found.append(blob[4:4 + size])
        blob = blob[4 + size:]
    if not found:
        raise ValueError("the key is empty")
    return found


def generate(kind: str, user_id: str) -> tuple[str, str]:
    """A new pair: public and private part. Takes a good tenth of a second of CPU: not for the event loop."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == X509:
        public = _certificate(key, user_id)
        form = serialization.PrivateFormat.PKCS8
    else:
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        public += b" Generated-by-Pileus"
        form = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return public.decode(), private.decode()


def _certificate(key: rsa.RSAPrivateKey, user_id: str) -> bytes:
    """What Windows guests let a user in with over WinRM: a self-signed client certificate naming the user."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id)])
    upn = f"{user_id}@localhost".encode()
    other = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), bytes([0x0C, len(upn)]) + upn)
    now = datetime.now(UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + YEARS)
            .add_extension(x509.SubjectAlternativeName([other]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(key, hashes.SHA256()))
    return made.public_bytes(serialization.Encoding.PEM)
