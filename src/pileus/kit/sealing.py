"""Secrets that are kept where others may look: sealed with one that is not there."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken


class BrokenSeal(Exception):
    """It was sealed with another secret, or is not what was sealed."""


class Box:
    """Seals texts; `secret` is anything that nobody else knows."""

    def __init__(self, secret: bytes):
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret).digest()))

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises BrokenSeal."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise BrokenSeal("It was sealed with another secret.") from error
