"""Keys that sign tokens which everybody can read: ES256, with the public halves to check them.

Kept and rotated as other token keys are; the key that signs is named in each token.
"""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from pileus.identity.keys import BadSignature, KeyRepository

ALGORITHM = "ES256"


class JwsKeys(KeyRepository):
    _read_keys: tuple[int, list[ECKey]] | None = None

    def new_key(self) -> bytes:
        return ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def sign(self, claims: dict[str, Any]) -> str:
        key = self._signers()[0]
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT", "kid": key.kid}, claims, key, algorithms=[ALGORITHM])

    def encrypt(self, plain: bytes) -> str:
        """Signed, and not hidden from whoever has it: for what holds no secrets."""
        return self.sign({"sealed": base64.b64encode(plain).decode()})

    def decrypt(self, token: str) -> bytes:
        sealed = self.verify(token).get("sealed")
        if not isinstance(sealed, str):
            raise BadSignature
        return base64.b64decode(sealed)

    def verify(self, text: str) -> dict[str, Any]:
        """Raises BadSignature."""
        try:
            return jwt.decode(text, KeySet(list(self._signers())), algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise BadSignature from error

    def _signers(self) -> list[ECKey]:
        """The primary key first."""
        changed = self.folder.stat().st_mtime_ns
        if self._read_keys is None or self._read_keys[0] != changed:
            keys = [ECKey.import_key(pem) for pem in self._read()]
            for key in keys:
                key.ensure_kid()
            self._read_keys = (changed, keys)
        return self._read_keys[1]
