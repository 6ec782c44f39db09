"""What a token says: packed tight, encrypted and signed by the token keys."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

import msgspec

from pileus.identity.keys import BadSignature, KeyRepository
from pileus.kit.faults import Unauthorized

METHODS = ("password", "token", "application_credential", "totp", "external", "mapped", "oauth1", "oauth2_credential")
UNSCOPED, PROJECT, DOMAIN, SYSTEM = 0, 1, 2, 3
LONGEST = 8192                        # characters; only tokens of people with many federated groups come near
_HEX = re.compile(r"[0-9a-f]{32}")
_LAYOUT = 1


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token's facts. `audit_ids` are its own and, if it was got with another token, that of the first one."""

    user_id: str
    methods: tuple[str, ...]
    issued_at: float
    expires_at: float
    audit_ids: tuple[str, ...]
    scope: int = UNSCOPED
    scope_id: str = ""
    app_credential_id: str = ""
    trust_id: str = ""
    oauth_id: str = ""                   # of an access token of OAuth 1.0a
    federated: tuple[str, ...] = ()      # identity provider, protocol, and groups held by their word

    @property
    def project_id(self) -> str | None:
        return self.scope_id if self.scope == PROJECT else None

    @property
    def domain_id(self) -> str | None:
        return self.scope_id if self.scope == DOMAIN else None


class _Packed(msgspec.Struct, array_like=True):
    """Ids are bytes where they are 32 hex digits, else text."""

    layout: int
    user_id: Any
    methods: int
    issued_at: float
    expires_at: float
    audit_ids: list[bytes]
    scope: int = UNSCOPED
    scope_id: Any = ""
    app_credential_id: Any = ""
    trust_id: Any = ""
    federated: list[Any] = []
    oauth_id: Any = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packed)


def new_audit_id() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def encode(keys: KeyRepository, token: Token) -> str:
    packed: list[Any] = [
        _LAYOUT, _shorter(token.user_id), sum(1 << METHODS.index(m) for m in token.methods), token.issued_at,
        token.expires_at, [base64.urlsafe_b64decode(a + "==") for a in token.audit_ids], token.scope,
        _shorter(token.scope_id), _shorter(token.app_credential_id), _shorter(token.trust_id),
        [_shorter(part) for part in token.federated], _shorter(token.oauth_id)]
    while packed[-1] in ("", UNSCOPED, []):
        packed.pop()
    return keys.encrypt(_encoder.encode(packed))


def decode(keys: KeyRepository, text: str) -> Token:
    """What a token says, expired or not. Raises Unauthorized for one that we did not make."""
    if not text or len(text) > LONGEST or not text.isascii():
        raise Unauthorized()
    try:
        packed = _decoder.decode(keys.decrypt(text))
    except (BadSignature, msgspec.DecodeError) as error:
        raise Unauthorized() from error
    return Token(
        user_id=_longer(packed.user_id), methods=tuple(m for i, m in enumerate(METHODS) if packed.methods >> i & 1),
        issued_at=packed.issued_at, expires_at=packed.expires_at, scope=packed.scope,
        scope_id=_longer(packed.scope_id), app_credential_id=_longer(packed.app_credential_id),
        trust_id=_longer(packed.trust_id), federated=tuple(_longer(part) for part in packed.federated),
        oauth_id=_longer(packed.oauth_id),
        audit_ids=tuple(base64.urlsafe_b64encode(a).decode().rstrip("=") for a in packed.audit_ids))


def _shorter(text: str) -> bytes | str:
    return bytes.fromhex(text) if _HEX.fullmatch(text) else text


def _longer(packed: Any) -> str:
    return packed.hex() if isinstance(packed, bytes) else str(packed)
