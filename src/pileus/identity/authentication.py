"""From what a client shows (password, token, application credential) to a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pileus.identity import factors, oauth1, tokens
from pileus.identity.contexts import Context, Places
from pileus.identity.faults import InvalidBody, Refused, TokenNotFound
from pileus.identity.model import app_credentials, projects, trusts, users
from pileus.identity.model.oauth import AccessToken
from pileus.identity.model.projects import Project
from pileus.identity.model.users import User
from pileus.identity.oauth1 import Signed
from pileus.identity.tokens import Token
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity


class DomainRef(msgspec.Struct, kw_only=True):
    id: str | None = None
    name: str | None = None


class UserRef(msgspec.Struct, kw_only=True):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None
    password: str = ""
    passcode: str = ""


class PasswordPart(msgspec.Struct, kw_only=True):
    user: UserRef


class TotpPart(msgspec.Struct, kw_only=True):
    user: UserRef


class TokenPart(msgspec.Struct, kw_only=True):
    id: str


class AppCredentialPart(msgspec.Struct, kw_only=True):
    secret: str
    id: str | None = None
    name: str | None = None
    user: UserRef | None = None


class Oauth1Part(msgspec.Struct, kw_only=True):
    """Nothing is in it; what counts is the request's signature."""


class Proof(msgspec.Struct, kw_only=True):
    methods: list[str]
    oauth1: Oauth1Part | None = None
    password: PasswordPart | None = None
    token: TokenPart | None = None
    totp: TotpPart | None = None
    application_credential: AppCredentialPart | None = None


class ProjectRef(msgspec.Struct, kw_only=True):
    id: str | None = None
    name: str | None = None
    domain: DomainRef | None = None


class SystemRef(msgspec.Struct, kw_only=True):
    all: bool


class TrustRef(msgspec.Struct, kw_only=True):
    id: str


class ScopeRef(msgspec.Struct, kw_only=True):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: SystemRef | None = None
    unscoped: Any = msgspec.UNSET
    trust: TrustRef | None = msgspec.field(name="OS-TRUST:trust", default=None)


class AuthRequest(msgspec.Struct, kw_only=True):
    identity: Proof
    scope: ScopeRef | str | None = None


class Shown(msgspec.Struct, kw_only=True):
    """What was proven so far."""

    user: User | None = None
    methods: list[str] = []
    audit_id: str = ""                       # of the first token in a chain of them
    expires_at: float | None = None
    app_credential: app_credentials.AppCredential | None = None
    parent: Token | None = None
    signed: Signed | None = None             # the request, which may carry a signature of OAuth 1.0a
    access_token: AccessToken | None = None

    def is_user(self, user: User) -> None:
        if self.user is not None and self.user.id != user.id:
            raise Unauthorized()
        self.user = user

    def add_method(self, *names: str) -> None:
        self.methods += [name for name in names if name not in self.methods]


async def log_in(app: Identity, request: AuthRequest, receipt: str = "",
                 signed: Signed | None = None) -> tuple[str, Context]:
    """A new token and what it stands for. Raises Unauthorized, whatever of it is wrong; MoreFactorsNeeded when only
    more is wanted. `receipt` is for what was shown before."""
    if not request.identity.methods:
        raise InvalidBody(reason="Expecting to find at least one authentication method.")
    position = app.feed.position
    shown = Shown(signed=signed)
    for method in request.identity.methods:
        prove = _PROOFS.get(method)
        if prove is None:
            raise Unauthorized()
        await prove(app, request.identity, shown)
    if receipt:
        user, methods = await factors.shown_before(app, receipt)
        shown.is_user(user)
        shown.add_method(*methods)
    if shown.user is not None:
        await factors.must_suffice(app, shown.user, shown.methods)
        if {"password", "totp"} & set(request.identity.methods):
            await app.compliance.succeeded(app.db, shown.user)
    async with app.db.read() as reader:
        seen: Places = {}
        token = await _scoped(reader, app, request.scope, shown, seen)
        found = await _context(reader, app, token, shown, seen if request.scope is not None else None)
    if found.token.trust_id:
        await _use_up(app, found.token.trust_id)
    text = tokens.encode(app.keys, found.token)
    found = msgspec.structs.replace(found, caller=msgspec.structs.replace(found.caller, token=text))
    app.contexts.keep(text, found, position)
    return text, found


async def _use_up(app: Identity, trust_id: str) -> None:
    async with app.db.write() as tx:
        if not await trusts.use_up(tx, trust_id):
            raise Unauthorized()


async def log_in_by_key(app: Identity, user_id: str, project_id: str, *, trust_id: str = "",
                        app_credential_id: str = "") -> tuple[str, Context]:
    """A token for whoever signed with an EC2 key."""
    position, now = app.feed.position, app.clock()
    token = Token(user_id=user_id, methods=("ec2credential",), issued_at=now, audit_ids=(tokens.new_audit_id(),),
                  scope=tokens.PROJECT, scope_id=project_id, expires_at=float(int(now) + app.config.token_seconds),
                  trust_id=trust_id, app_credential_id=app_credential_id)
    text = tokens.encode(app.keys, token)
    async with app.db.read() as reader:
        found = await app.contexts.build(reader, token, text)
    app.contexts.keep(text, found, position)
    return text, found


async def _context(conn: Connection, app: Identity, token: Token, shown: Shown, seen: Places | None) -> Context:
    """Who asks for no scope (then `seen` is None) gets the default project if it may be had, else none."""
    try:
        return await app.contexts.build(conn, token, seen=seen)
    except Unauthorized:
        if seen is not None or token.scope == tokens.UNSCOPED or shown.app_credential is not None:
            raise
        return await app.contexts.build(conn, msgspec.structs.replace(token, scope=tokens.UNSCOPED, scope_id=""))


async def _by_password(app: Identity, proof: Proof, shown: Shown) -> None:
    if proof.password is None:
        raise InvalidBody(reason="Expecting to find password in identity.")
    asked = proof.password.user
    if (found := await app.directories.prove(asked)) is not None:
        shown.is_user(found)
        shown.add_method("password")
        return
    async with app.db.read() as reader:
        user = await _find_user(reader, asked)
    await app.compliance.verify(app.db, user, asked.password)
    if user is None:
        raise Unauthorized()
    shown.is_user(user)
    shown.add_method("password")


async def _by_code(app: Identity, proof: Proof, shown: Shown) -> None:
    if proof.totp is None:
        raise InvalidBody(reason="Expecting to find totp in identity.")
    async with app.db.read() as reader:
        user = await _find_user(reader, proof.totp.user)
    await factors.verify_code(app, user, proof.totp.user.passcode)
    if user is None:
        raise Unauthorized()
    shown.is_user(user)
    shown.add_method("totp")


async def _find_user(conn: Connection, asked: UserRef) -> User | None:
    if asked.id is not None:
        return await users.find(conn, asked.id)
    if asked.name is None or asked.domain is None:
        raise InvalidBody(reason="Expecting to find id, or name and domain, in user.")
    domain_id = await _domain_id(conn, asked.domain)
    return await users.find_by_name(conn, domain_id, asked.name) if domain_id else None


async def _domain_id(conn: Connection, asked: DomainRef, seen: Places | None = None) -> str | None:
    if asked.id is not None:
        return asked.id
    if asked.name is None:
        raise InvalidBody(reason="Expecting to find id or name in domain.")
    found = await projects.find_by_name(conn, "", asked.name)
    return _noted(found, seen).id if found else None


def _noted(place: Project, seen: Places | None) -> Project:
    if seen is not None:
        seen[place.id] = place
    return place


async def _by_token(app: Identity, proof: Proof, shown: Shown) -> None:
    if proof.token is None:
        raise InvalidBody(reason="Expecting to find token in identity.")
    try:
        found = await app.contexts.of(proof.token.id)
    except Unauthorized as error:
        raise TokenNotFound() from error         # clients tell by this that the token is to blame
    if found.token.trust_id or found.token.oauth_id or found.token.thumbprint:
        raise Refused(reason="A token of a trust or of OAuth cannot be exchanged for another one.")
    async with app.db.read() as reader:
        shown.is_user(await users.get(reader, found.token.user_id))
        if found.token.app_credential_id:
            shown.app_credential = await app_credentials.find(reader, found.token.app_credential_id)
    shown.audit_id, shown.expires_at, shown.parent = found.token.audit_ids[-1], found.token.expires_at, found.token
    shown.add_method("token", *found.token.methods)


async def _by_app_credential(app: Identity, proof: Proof, shown: Shown) -> None:
    asked = proof.application_credential
    if asked is None:
        raise InvalidBody(reason="Expecting to find application_credential in identity.")
    async with app.db.read() as reader:
        credential = user = None
        if asked.id is not None:
            credential = await app_credentials.find(reader, asked.id)
            user = await users.find(reader, credential.user_id) if credential else None
        elif asked.name is not None and asked.user is not None:
            user = await _find_user(reader, asked.user)
            credential = await app_credentials.find_by_name(reader, user.id, asked.name) if user else None
        else:
            raise InvalidBody(reason="Expecting to find id, or name and user, in application_credential.")
    matches = await app.passwords.verify(asked.secret, credential.secret_hash if credential else None)
    if not matches or credential is None or user is None or credential.ended(app.clock()):
        raise Unauthorized()
    shown.is_user(user)
    shown.app_credential = credential
    shown.expires_at = credential.expires_at
    shown.add_method("application_credential")


async def _by_oauth1(app: Identity, proof: Proof, shown: Shown) -> None:
    if shown.signed is None:
        raise Unauthorized()
    access = await oauth1.proven_access_token(app, shown.signed)
    async with app.db.read() as reader:
        shown.is_user(await users.get(reader, access.user_id))
    shown.access_token, shown.expires_at = access, access.expires_at
    shown.add_method("oauth1")


_PROOFS = {"password": _by_password, "totp": _by_code, "token": _by_token, "application_credential": _by_app_credential,
           "oauth1": _by_oauth1}


async def _scoped(conn: Connection, app: Identity, asked: ScopeRef | str | None, shown: Shown, seen: Places) -> Token:
    if shown.user is None:
        raise Unauthorized()
    if isinstance(asked, str):
        if asked != "unscoped":
            raise InvalidBody(reason="Expecting scope to be an object, or 'unscoped'.")
        asked = ScopeRef(unscoped={})
    scope, scope_id = await scope_of(conn, asked, shown, seen)
    user_id, trust_id = shown.user.id, ""
    if asked is not None and asked.trust is not None:
        trust = await trusts.find(conn, asked.trust.id)
        if trust is None or trust.trustee_user_id != shown.user.id or trust.project_id is None or shown.parent:
            raise Unauthorized()
        if trust.remaining_uses == 0:
            raise Unauthorized()
        user_id, trust_id = trust.trustor_user_id if trust.impersonation else shown.user.id, trust.id
        scope, scope_id = tokens.PROJECT, trust.project_id
    if shown.app_credential is not None and (scope, scope_id) != (tokens.PROJECT, shown.app_credential.project_id):
        raise Unauthorized()
    if shown.access_token is not None and (scope, scope_id) != (tokens.PROJECT, shown.access_token.project_id):
        raise Unauthorized()
    now = app.clock()
    ends = float(int(now) + app.config.token_seconds)
    audit_ids = (tokens.new_audit_id(), *([shown.audit_id] if shown.audit_id else []))
    return Token(user_id=user_id, methods=tuple(shown.methods), issued_at=now, audit_ids=audit_ids, scope=scope,
                 scope_id=scope_id, expires_at=min(ends, shown.expires_at or ends), trust_id=trust_id,
                 app_credential_id=shown.app_credential.id if shown.app_credential else "",
                 oauth_id=shown.access_token.id if shown.access_token else "",
                 federated=shown.parent.federated if shown.parent else ())


async def scope_of(conn: Connection, asked: ScopeRef | None, shown: Shown, seen: Places) -> tuple[int, str]:
    if asked is None:
        if shown.app_credential is not None:
            return tokens.PROJECT, shown.app_credential.project_id
        if shown.access_token is not None:
            return tokens.PROJECT, shown.access_token.project_id
        default = shown.user.default_project_id if shown.user else None
        return (tokens.PROJECT, default) if default else (tokens.UNSCOPED, "")
    if sum(part is not None for part in (asked.project, asked.domain, asked.system, asked.trust)) > 1:
        raise InvalidBody(reason="Expecting to find one scope only.")
    if asked.system is not None:
        if not asked.system.all:
            raise InvalidBody(reason="Expecting system scope to be all.")
        return tokens.SYSTEM, ""
    if asked.domain is not None:
        return tokens.DOMAIN, _found(await _domain_id(conn, asked.domain, seen))
    if asked.project is None:
        return tokens.UNSCOPED, ""
    if asked.project.id is not None:
        return tokens.PROJECT, asked.project.id
    if asked.project.name is None or asked.project.domain is None:
        raise InvalidBody(reason="Expecting to find id, or name and domain, in project.")
    domain_id = _found(await _domain_id(conn, asked.project.domain, seen))
    project = await projects.find_by_name(conn, domain_id, asked.project.name)
    return tokens.PROJECT, _found(_noted(project, seen).id if project else None)


def _found(id: str | None) -> str:
    if id is None:
        raise Unauthorized()
    return id
