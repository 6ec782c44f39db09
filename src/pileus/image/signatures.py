"""Signed images: who names a signature, its key and its hash has the content verified while it comes in.

Certificates are looked up in a folder of the operator's, for there is no key manager to ask.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa, utils

from pileus.image import faults
from pileus.image.stores.base import Piece
from pileus.kit.ids import is_uuid

SIGNATURE, METHOD, KIND, CERTIFICATE = NAMES = (
    "img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid")
METHODS: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA-224": hashes.SHA224, "SHA-256": hashes.SHA256, "SHA-384": hashes.SHA384, "SHA-512": hashes.SHA512}
RSA_PSS, DSA = "RSA-PSS", "DSA"
CURVES = {f"ECC_{name.upper()}": name for name in (
    "sect571k1", "sect409k1", "sect571r1", "sect409r1", "secp521r1", "secp384r1")}


class BadSignature(faults.BadRequest):
    message = "Signature verification for the image failed: {reason}"


class Expected:
    """The signature a content must have; given the content piece by piece."""

    def __init__(self, properties: Mapping[str, str], certificates: str, now: float):
        method = METHODS.get(properties[METHOD])
        if method is None:
            raise BadSignature(reason=f"there is no hash method {properties[METHOD]:.40}")
        self.method, self.kind = method(), properties[KIND]
        try:
            self.signature = base64.b64decode(properties[SIGNATURE], validate=True)
        except binascii.Error:
            raise BadSignature(reason="the signature is not in base64") from None
        self.key: Any = _key(properties[CERTIFICATE], certificates, now)
        if not self._fits():
            raise BadSignature(reason=f"the certificate's key is none of type {self.kind:.40}")
        self._hash = hashlib.new(self.method.name)

    def _fits(self) -> bool:
        if self.kind == RSA_PSS:
            return isinstance(self.key, rsa.RSAPublicKey)
        if self.kind == DSA:
            return isinstance(self.key, dsa.DSAPublicKey)
        return isinstance(self.key, ec.EllipticCurvePublicKey) and self.key.curve.name == CURVES.get(self.kind)

    def update(self, parts: Iterable[Piece]) -> None:
        for part in parts:
            self._hash.update(part)

    def verify(self) -> None:
        """Raises BadSignature."""
        digest, hashed = self._hash.digest(), utils.Prehashed(self.method)
        try:
            if self.kind == RSA_PSS:
                pss = padding.PSS(padding.MGF1(self.method), padding.PSS.AUTO)
                self.key.verify(self.signature, digest, pss, hashed)
            elif self.kind == DSA:
                self.key.verify(self.signature, digest, hashed)
            else:
                self.key.verify(self.signature, digest, ec.ECDSA(hashed))
        except InvalidSignature:
            raise BadSignature(reason="it is not that of the content") from None


def expected(properties: Mapping[str, str], certificates: str, now: float) -> Expected | None:
    """None: the image is not signed, which it is by all four properties. Raises BadSignature."""
    return Expected(properties, certificates, now) if all(properties.get(name) for name in NAMES) else None


def _key(name: str, certificates: str, now: float) -> Any:
    """Of the certificate <name>.pem, while it is valid."""
    if not certificates or not is_uuid(name):
        raise BadSignature(reason=f"there is no certificate {name:.40}")
    try:
        found = x509.load_pem_x509_certificate((Path(certificates) / f"{name}.pem").read_bytes())
    except (OSError, ValueError) as error:
        raise BadSignature(reason=f"there is no certificate {name:.40}") from error
    today = datetime.datetime.fromtimestamp(now, datetime.UTC)
    if not found.not_valid_before_utc <= today <= found.not_valid_after_utc:
        raise BadSignature(reason=f"the certificate {name} is not valid now")
    return found.public_key()
