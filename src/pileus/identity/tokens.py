"""What a token says: packed tight, encrypted and signed by the token keys; or, with keys for JWS, signed only."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

import msgspec

from pileus.identity.jws import JwsKeys
from pileus.identity.keys import BadSignature, KeyRepository
from pileus.kit.faults import Unauthorized

# The place of a name in this list is in tokens: only ever append.
METHODS = ("password", "token", "application_credential", "totp", "external", "mapped", "oauth1", "oauth2_credential",
           "ec2credential")
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
    thumbprint: str = ""                 # of the certificate that must come with it
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
    thumbprint: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Packed)


def new_audit_id() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def encode(keys: KeyRepository, token: Token) -> str:
    if isinstance(keys, JwsKeys):
        return keys.sign(_claims(token))
    packed: list[Any] = [
        _LAYOUT, _shorter(token.user_id), sum(1 << METHODS.index(m) for m in token.methods), token.issued_at,
        token.expires_at, [base64.urlsafe_b64decode(a + "==") for a in token.audit_ids], token.scope,
        _shorter(token.scope_id), _shorter(token.app_credential_id), _shorter(token.trust_id),
        [_shorter(part) for part in token.federated], _shorter(token.oauth_id), token.thumbprint]
    while packed[-1] in ("", UNSCOPED, []):
        packed.pop()
    return keys.encrypt(_encoder.encode(packed))


def decode(keys: KeyRepository, text: str) -> Token:
    """What a token says, expired or not. Raises Unauthorized for one that we did not make."""
    if not text or len(text) > LONGEST or not text.isascii():
        raise Unauthorized()
    if isinstance(keys, JwsKeys):
        return _of_claims(keys, text)
    try:
        packed = _decoder.decode(keys.decrypt(text))
    except (BadSignature, msgspec.DecodeError) as error:
        raise Unauthorized() from error
    if packed.layout != _LAYOUT:
        raise Unauthorized()
    return Token(
        user_id=_longer(packed.user_id), methods=tuple(m for i, m in enumerate(METHODS) if packed.methods >> i & 1),
        issued_at=packed.issued_at, expires_at=packed.expires_at, scope=packed.scope,
        scope_id=_longer(packed.scope_id), app_credential_id=_longer(packed.app_credential_id),
        trust_id=_longer(packed.trust_id), federated=tuple(_longer(part) for part in packed.federated),
        oauth_id=_longer(packed.oauth_id), thumbprint=packed.thumbprint,
        audit_ids=tuple(base64.urlsafe_b64encode(a).decode().rstrip("=") for a in packed.audit_ids))


class _Claims(msgspec.Struct, kw_only=True):
    """A token as everybody may read it, by the names that other clouds give its facts."""

    sub: str
    iat: float
    exp: float
    openstack_methods: tuple[str, ...]
    openstack_audit_ids: tuple[str, ...]
    openstack_system: str | None = None
    openstack_domain_id: str | None = None
    openstack_project_id: str | None = None
    openstack_app_cred_id: str = ""
    openstack_trust_id: str = ""
    openstack_access_token_id: str = ""
    openstack_federated: tuple[str, ...] = ()
    openstack_thumbprint: str = ""


def _claims(token: Token) -> dict[str, Any]:
    found = msgspec.to_builtins(_Claims(
        sub=token.user_id, iat=token.issued_at, exp=token.expires_at, openstack_methods=token.methods,
        openstack_audit_ids=token.audit_ids, openstack_system="all" if token.scope == SYSTEM else None,
        openstack_domain_id=token.domain_id, openstack_project_id=token.project_id,
        openstack_app_cred_id=token.app_credential_id, openstack_trust_id=token.trust_id,
        openstack_access_token_id=token.oauth_id, openstack_federated=token.federated,
        openstack_thumbprint=token.thumbprint))
    return {name: value for name, value in found.items() if value}


def _of_claims(keys: JwsKeys, text: str) -> Token:
    try:
        said = msgspec.convert(keys.verify(text), _Claims)
    except (BadSignature, msgspec.ValidationError) as error:
        raise Unauthorized() from error
    scope, scope_id = UNSCOPED, ""
    if said.openstack_project_id:
        scope, scope_id = PROJECT, said.openstack_project_id
    elif said.openstack_domain_id:
        scope, scope_id = DOMAIN, said.openstack_domain_id
    elif said.openstack_system:
        scope = SYSTEM
    return Token(
        user_id=said.sub, methods=said.openstack_methods, issued_at=said.iat, expires_at=said.exp, scope=scope,
        scope_id=scope_id, audit_ids=said.openstack_audit_ids, app_credential_id=said.openstack_app_cred_id,
        trust_id=said.openstack_trust_id, oauth_id=said.openstack_access_token_id, federated=said.openstack_federated,
        thumbprint=said.openstack_thumbprint)


def _shorter(text: str) -> bytes | str:
    return bytes.fromhex(text) if _HEX.fullmatch(text) else text


def _longer(packed: Any) -> str:
    return packed.hex() if isinstance(packed, bytes) else str(packed)
