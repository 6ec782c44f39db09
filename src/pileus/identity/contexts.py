"""What a token stands for now: its user, scope, roles and catalog, worked out once and remembered until it changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pileus.identity import feed, tokens
from pileus.identity.feed import Remembered
from pileus.identity.model import (
    app_credentials,
    catalog,
    endpoint_filter,
    federation,
    oauth,
    projects,
    revocations,
    roles,
    trusts,
    users,
)
from pileus.identity.model.catalog import Catalog
from pileus.identity.model.projects import Project
from pileus.identity.model.roles import Role, RoleGraph
from pileus.identity.model.tables import SYSTEM
from pileus.identity.model.users import User
from pileus.identity.tokens import Token
from pileus.kit.caller import AccessRule, Caller
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

T = TypeVar("T")
Places = dict[str, Project]


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(round(seconds, 6), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def plain_time(seconds: float | None) -> str | None:
    """As the end of a password is written, and of an application credential: without a time zone."""
    return None if seconds is None else iso(seconds).removesuffix("Z")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    token: Token
    caller: Caller
    roles: list[Role]
    restricted: bool                # of an application credential that may not make others
    body: bytes                     # the answer to validation
    bare: bytes                     # the same without the catalog
    subjects: tuple[str, ...]       # what it depends on


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Where a token counts, as found in the database."""

    project: Project | None = None
    project_domain: Project | None = None
    domain: Project | None = None
    system: bool = False


class Contexts:
    def __init__(self, app: Identity):
        self.app = app
        self._known: Remembered[Context] = Remembered()
        self._roles: RoleGraph | None = None
        self._last_roles = RoleGraph([], {})
        self._catalog: Catalog | None = None
        self._providers: list[dict[str, str]] | None = None
        app.feed.subscribe(self._forget)

    def _forget(self, subject: str) -> None:
        self._known.forget(subject)
        if subject in (feed.ROLES, feed.EVERYTHING):
            self._roles = None
        if subject in (feed.CATALOG, feed.EVERYTHING):
            self._catalog = self._providers = None

    async def of(self, text: str, *, expired_ok: bool = False) -> Context:
        """Raises Unauthorized for a token that is forged, ended or revoked, or whose user or scope is gone."""
        digest = Remembered.digest(text)
        now = self.app.clock()
        known = self._known.get(digest, now)
        if known is not None:
            return known
        token = tokens.decode(self.app.keys, text)
        late = now - token.expires_at
        if late >= 0 and not (expired_ok and late < self.app.config.expired_token_seconds):
            raise Unauthorized()
        position = self.app.feed.position
        async with self.app.db.read() as reader:
            found = await self.build(reader, token, text)
        if late < 0 and position == self.app.feed.position:
            self._known.put(digest, token.expires_at, found, found.subjects)
        return found

    def keep(self, text: str, found: Context, position: int) -> None:
        """Remember a context worked out when the feed was at `position`, unless something changed since."""
        if position == self.app.feed.position:
            self._known.put(Remembered.digest(text), found.token.expires_at, found, found.subjects)

    async def role_graph(self, conn: Connection) -> RoleGraph:
        if self._roles is None:
            self._roles, self._last_roles = await self._unless_overtaken(lambda: roles.graph(conn))
            return self._last_roles
        return self._roles

    @property
    def known_roles(self) -> dict[str, Role]:
        """Roles by id, as of the last `role_graph`."""
        return self._last_roles.roles

    async def catalog(self, conn: Connection) -> Catalog:
        if self._catalog is None:
            self._catalog, found = await self._unless_overtaken(
                lambda: catalog.load(conn, endpoint_filter.shown))
            return found
        return self._catalog

    async def service_providers(self, conn: Connection) -> list[dict[str, str]]:
        if self._providers is None:
            self._providers, found = await self._unless_overtaken(lambda: federation.enabled_service_providers(conn))
            return found
        return self._providers

    async def _unless_overtaken(self, load: Callable[[], Awaitable[T]]) -> tuple[T | None, T]:
        position = self.app.feed.position
        found = await load()
        return (found if position == self.app.feed.position else None), found

    async def build(self, conn: Connection, token: Token, text: str = "", *, seen: Places | None = None) -> Context:
        """`seen` are projects and domains that the same transaction has read already."""
        seen = {} if seen is None else seen
        user = await users.find(conn, token.user_id)
        if user is None or not user.enabled:
            raise Unauthorized()
        user_domain = await _place(conn, user.domain_id, seen)
        scope = await self._scope(conn, token, seen)
        if user_domain is None or not user_domain.enabled:
            raise Unauthorized()
        subjects = _subjects(token, user, scope)
        if await revocations.revoked(conn, subjects, token.issued_at):
            raise Unauthorized()
        held, delegation = await self._roles_of(conn, token, scope)
        body = _body(token, user, user_domain, scope, held) | delegation
        if providers := await self.service_providers(conn):
            body["service_providers"] = providers
        bare = msgspec.json.encode({"token": body})
        if token.scope != tokens.UNSCOPED:
            body["catalog"] = (await self.catalog(conn)).encoded(user_id=user.id, project_id=token.project_id)
        credential = delegation.get("application_credential", {})
        rules = tuple(AccessRule(rule["service"], rule["method"], rule["path"])
                      for rule in credential.get("access_rules", ()))
        caller = msgspec.structs.replace(_caller(token, user, user_domain, scope, held, text), access_rules=rules)
        return Context(token=token, caller=caller, roles=held, restricted=credential.get("restricted", False),
                       body=msgspec.json.encode({"token": body}), bare=bare, subjects=tuple(subjects))

    async def roles_on(self, conn: Connection, user_id: str, project_id: str) -> list[Role]:
        """What somebody may do in a project."""
        project = await projects.get(conn, project_id)
        graph = await self.role_graph(conn)
        return graph.effective(await roles.held(conn, user_id, project_id, project.ancestors))

    async def _scope(self, conn: Connection, token: Token, seen: Places) -> Scope:
        if token.scope == tokens.SYSTEM:
            return Scope(system=True)
        if token.scope == tokens.UNSCOPED:
            return Scope()
        place = await _place(conn, token.scope_id, seen)
        if place is None or not place.enabled or place.is_domain != (token.scope == tokens.DOMAIN):
            raise Unauthorized()
        if place.is_domain:
            return Scope(domain=place)
        domain = await _place(conn, place.domain_id or "", seen)
        if domain is None or not domain.enabled:
            raise Unauthorized()
        return Scope(project=place, project_domain=domain)

    async def _roles_of(self, conn: Connection, token: Token, scope: Scope) -> tuple[list[Role], dict[str, Any]]:
        """The roles in force, and what of the body says whose they are; without any there is no such scope."""
        if token.scope == tokens.UNSCOPED:
            return [], {}
        graph = await self.role_graph(conn)
        target = SYSTEM if scope.system else token.scope_id
        ancestors = scope.project.ancestors if scope.project else []
        granting, limit, delegation = token.user_id, None, {}
        if token.trust_id:
            trust = await trusts.find(conn, token.trust_id)
            if trust is None or trust.ended(self.app.clock()):
                raise Unauthorized()
            granting, limit, delegation = trust.trustor_user_id, set(trust.role_ids), {"OS-TRUST:trust": trust.brief()}
        elif token.app_credential_id:
            credential = await app_credentials.find(conn, token.app_credential_id)
            if credential is None or credential.ended(self.app.clock()):
                raise Unauthorized()
            limit, delegation = set(credential.role_ids), {"application_credential": credential.brief()}
        elif token.oauth_id:
            access = await oauth.find_access_token(conn, token.oauth_id)
            if access is None or access.ended(self.app.clock()):
                raise Unauthorized()
            limit, delegation = set(access.role_ids), {"OS-OAUTH1": access.brief()}
        held = graph.effective(await roles.held(conn, granting, target, ancestors, groups=token.federated[2:]))
        if limit is not None:
            given = {role.id for role in graph.effective(limit)}
            held = [role for role in held if role.id in given]
        if not held:
            raise Unauthorized()
        return held, delegation


async def _place(conn: Connection, id: str, seen: Places) -> Project | None:
    if id not in seen:
        found = await projects.find(conn, id)
        if found is None:
            return None
        seen[id] = found
    return seen[id]


def _subjects(token: Token, user: User, scope: Scope) -> list[str]:
    found = [f"user:{user.id}", f"domain:{user.domain_id}", f"token:{token.audit_ids[0]}"]
    if scope.project:
        found += [f"project:{scope.project.id}", f"domain:{scope.project.domain_id}"]
    if scope.domain:
        found.append(f"domain:{scope.domain.id}")
    if token.app_credential_id:
        found.append(f"app:{token.app_credential_id}")
    if token.trust_id:
        found.append(f"trust:{token.trust_id}")
    if token.oauth_id:
        found.append(f"oauth:{token.oauth_id}")
    if token.federated:
        found.append(f"idp:{token.federated[0]}")
    return list(dict.fromkeys(found))


def _named(thing: Project | Role) -> dict[str, Any]:
    return {"id": thing.id, "name": thing.name}


def _body(token: Token, user: User, user_domain: Project, scope: Scope, held: list[Role]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "methods": list(token.methods),
        "user": {"domain": _named(user_domain), "id": user.id, "name": user.name,
                 "password_expires_at": plain_time(user.password_expires_at)},
        "audit_ids": list(token.audit_ids), "expires_at": iso(token.expires_at), "issued_at": iso(token.issued_at)}
    if token.thumbprint:
        body["oauth2_credential"] = {"x5t#S256": token.thumbprint}
    if token.federated:
        idp_id, protocol_id, *group_ids = token.federated
        body["user"]["OS-FEDERATION"] = {"identity_provider": {"id": idp_id}, "protocol": {"id": protocol_id},
                                         "groups": [{"id": id} for id in group_ids]}
    if scope.project and scope.project_domain:
        body |= {"project": _named(scope.project) | {"domain": _named(scope.project_domain)}, "is_domain": False}
    elif scope.domain:
        body["domain"] = _named(scope.domain)
    elif scope.system:
        body["system"] = {"all": True}
    if held:
        body["roles"] = [_named(role) for role in held]
    return body


def _caller(token: Token, user: User, user_domain: Project, scope: Scope, held: list[Role], text: str) -> Caller:
    project, domain = scope.project, scope.project_domain
    return Caller(
        user_id=user.id, user_name=user.name, user_domain_id=user.domain_id, user_domain_name=user_domain.name,
        project_id=project.id if project else None, project_name=project.name if project else None,
        project_domain_id=domain.id if domain else None, project_domain_name=domain.name if domain else None,
        domain_id=scope.domain.id if scope.domain else None, domain_name=scope.domain.name if scope.domain else None,
        system=scope.system, roles=tuple(role.name for role in held), token=text, expires_at=token.expires_at,
        thumbprint=token.thumbprint)
