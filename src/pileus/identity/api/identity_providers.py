"""Identity providers, their protocols, mappings, and the clouds elsewhere that trust this one."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from pileus.identity import feed, policies
from pileus.identity.api.fields import Unset
from pileus.identity.api.listing import given, narrowed, page, views
from pileus.identity.api.views import self_link
from pileus.identity.faults import Duplicate, InvalidBody, Missing
from pileus.identity.federation.mapping import BadRules, parsed
from pileus.identity.model import federation, projects
from pileus.identity.model import federation as model
from pileus.identity.model.federation import IdentityProvider, Mapping, Protocol, ServiceProvider
from pileus.identity.model.projects import new_domain
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

IDP = Target(federation.get_idp, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)
PROTOCOL = Target(federation.get_protocol, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)
MAPPING = Target(federation.get_mapping, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)
PROVIDER = Target(federation.get_service_provider, missing=Missing, facts=lambda row: {}, refuse=policies.nothing)
PATH = "/v3/OS-FEDERATION"
IDPS, MAPPINGS, PROVIDERS = f"{PATH}/identity_providers", f"{PATH}/mappings", f"{PATH}/service_providers"
Minutes = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
RemoteId = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Attribute = Annotated[str, msgspec.Meta(max_length=64)]
Url = Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[a-zA-Z0-9+.-]+:.+")]
NAME_LENGTH = 64
routes = Routes()


class _Named(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Clients may repeat the id of the path in the body."""

    id: Annotated[str, msgspec.Meta(max_length=NAME_LENGTH)] | Unset = msgspec.UNSET

    def values(self, id: str) -> dict[str, Any]:
        """The fields that were sent."""
        found = given(self)
        if found.pop("id", id) != id:
            raise InvalidBody(reason="Cannot change id.")
        return found


def _must_be_a_name(id: str) -> str:
    if len(id) > NAME_LENGTH:
        raise InvalidBody(reason=f"An id has {NAME_LENGTH} characters at most.")
    return id


# -- identity providers -------------------------------------------------------------------------------------------


class IdpCreate(_Named):
    description: str | None = None
    enabled: bool = False
    remote_ids: list[RemoteId] | None = None
    domain_id: str | None = None
    authorization_ttl: Minutes | None = None


class IdpUpdate(_Named):
    description: str | None | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET
    remote_ids: list[RemoteId] | None | Unset = msgspec.UNSET
    authorization_ttl: Minutes | None | Unset = msgspec.UNSET


def _idp_view(ctx: Ctx, row: IdentityProvider, remote_ids: list[str]) -> dict[str, Any]:
    links = self_link(ctx, "OS-FEDERATION", "identity_providers", row.id)
    return {"id": row.id, "domain_id": row.domain_id, "enabled": row.enabled, "description": row.description,
            "authorization_ttl": row.authorization_ttl, "remote_ids": remote_ids,
            "links": links | {"protocols": f"{links['self']}/protocols"}}


@routes.get(IDPS, envelope="identity_providers", policy=Rule("identity:list_identity_providers", policies.READER))
async def list_idps(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    table = model.identity_providers
    found = narrowed(sa.select(table), query, {"id": table.c.id, "enabled": table.c.enabled})
    async with ctx.db.read() as reader:
        rows, marker = await page(reader, found, table.c.id, IdentityProvider, query)
        remote_ids = await federation.remote_ids_of(reader, {row.id for row in rows})
    return Page([_idp_view(ctx, row, remote_ids[row.id]) for row in rows], next_marker=marker)


@routes.put(f"{IDPS}/{{idp_id}}", envelope="identity_provider", status=201,
            policy=Rule("identity:create_identity_provider", policies.ADMIN))
async def create_idp(ctx: Ctx, idp_id: str, body: IdpCreate) -> dict[str, Any]:
    body.values(idp_id)
    remote_ids = _distinct(body.remote_ids)
    try:
        async with ctx.db.write() as tx:
            domain_id = await _domain_of_idp(tx, _must_be_a_name(idp_id), body.domain_id)
            idp = IdentityProvider(id=idp_id, domain_id=domain_id, enabled=body.enabled, description=body.description,
                                   authorization_ttl=body.authorization_ttl)
            await db.add(tx, model.identity_providers, idp)
            await federation.write_remote_ids(tx, idp_id, remote_ids)
    except db.Taken as error:
        raise _idp_taken(idp_id) from error
    return _idp_view(ctx, idp, remote_ids)


def _distinct(remote_ids: list[str] | None) -> list[str]:
    found = remote_ids or []
    if len(set(found)) != len(found):
        raise InvalidBody(reason="Invalid input: remote_ids must be unique.")
    return found


def _idp_taken(idp_id: str) -> Duplicate:
    return Duplicate(kind="identity_provider",
                     why=f"Duplicate entry found with ID {idp_id}, or a remote ID belongs to another provider.")


async def _domain_of_idp(tx: Connection, idp_id: str, domain_id: str | None) -> str:
    """The domain of its people; one of its own if none is named."""
    if domain_id is None:
        domain = new_domain(new_hex(), new_hex(), description=(
            f"Auto generated federated domain for Identity Provider: {idp_id}"))
        await projects.add(tx, domain)
        return domain.id
    domain = await projects.find(tx, domain_id)
    if domain is None or not domain.is_domain:
        raise InvalidBody(reason=f"Could not find domain: {domain_id}.")
    return domain_id


@routes.head(f"{IDPS}/{{idp_id}}", target=IDP, policy=Rule("identity:get_identity_provider", policies.READER))
@routes.get(f"{IDPS}/{{idp_id}}", envelope="identity_provider", target=IDP,
            policy=Rule("identity:get_identity_provider", policies.READER))
async def show_idp(ctx: Ctx, idp: IdentityProvider) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return _idp_view(ctx, idp, (await federation.remote_ids_of(reader, {idp.id}))[idp.id])


@routes.patch(f"{IDPS}/{{idp_id}}", envelope="identity_provider", target=IDP,
              policy=Rule("identity:update_identity_provider", policies.ADMIN))
async def update_idp(ctx: Ctx, idp: IdentityProvider, body: IdpUpdate) -> dict[str, Any]:
    values = body.values(idp.id)
    remote_ids = values.pop("remote_ids", msgspec.UNSET)
    try:
        async with ctx.db.write() as tx:
            if remote_ids is not msgspec.UNSET:
                await federation.write_remote_ids(tx, idp.id, _distinct(remote_ids))
            if values.get("enabled") is False:
                await ctx.app.announce(tx, f"idp:{idp.id}", revoke=True)
            changed = await db.change(tx, model.identity_providers, idp, **values)
            return _idp_view(ctx, changed, (await federation.remote_ids_of(tx, {idp.id}))[idp.id])
    except db.Taken as error:
        raise _idp_taken(idp.id) from error


@routes.delete(f"{IDPS}/{{idp_id}}", target=IDP, policy=Rule("identity:delete_identity_provider", policies.ADMIN))
async def delete_idp(ctx: Ctx, idp: IdentityProvider) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(model.identity_providers.delete().where(model.identity_providers.c.id == idp.id))
        await ctx.app.announce(tx, f"idp:{idp.id}", revoke=True)


# -- protocols ----------------------------------------------------------------------------------------------------


class ProtocolCreate(_Named):
    mapping_id: str
    remote_id_attribute: Attribute | None = None


class ProtocolUpdate(_Named):
    mapping_id: str | Unset = msgspec.UNSET
    remote_id_attribute: Attribute | None | Unset = msgspec.UNSET


def _protocol_view(ctx: Ctx, row: Protocol) -> dict[str, Any]:
    idp = self_link(ctx, "OS-FEDERATION", "identity_providers", row.idp_id)["self"]
    return {"id": row.id, "mapping_id": row.mapping_id, "remote_id_attribute": row.remote_id_attribute,
            "links": {"self": f"{idp}/protocols/{row.id}", "identity_provider": idp}}


async def _must_have_mapping(conn: Connection, mapping_id: str) -> None:
    try:
        await federation.get_mapping(conn, mapping_id)
    except Missing as error:
        raise InvalidBody(reason=str(error)) from error


@routes.get(f"{IDPS}/{{idp_id}}/protocols", envelope="protocols", target=IDP,
            policy=Rule("identity:list_protocols", policies.READER))
async def list_protocols(ctx: Ctx, idp: IdentityProvider, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    table = model.protocols
    found = narrowed(sa.select(table).where(table.c.idp_id == idp.id), query, {"id": table.c.id})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Protocol, query), _protocol_view)


@routes.put(f"{IDPS}/{{idp_id}}/protocols/{{protocol_id}}", envelope="protocol", target=IDP, status=201,
            policy=Rule("identity:create_protocol", policies.ADMIN))
async def create_protocol(ctx: Ctx, idp: IdentityProvider, protocol_id: str, body: ProtocolCreate) -> dict[str, Any]:
    body.values(protocol_id)
    row = Protocol(idp_id=idp.id, id=_must_be_a_name(protocol_id), mapping_id=body.mapping_id,
                   remote_id_attribute=body.remote_id_attribute)
    try:
        async with ctx.db.write() as tx:
            await _must_have_mapping(tx, body.mapping_id)
            await db.add(tx, model.protocols, row)
    except db.Taken as error:
        raise Duplicate(kind="federation_protocol", why=f"Duplicate entry found with ID {row.id}.") from error
    return _protocol_view(ctx, row)


@routes.head(f"{IDPS}/{{idp_id}}/protocols/{{protocol_id}}", target=PROTOCOL,
             policy=Rule("identity:get_protocol", policies.READER))
@routes.get(f"{IDPS}/{{idp_id}}/protocols/{{protocol_id}}", envelope="protocol", target=PROTOCOL,
            policy=Rule("identity:get_protocol", policies.READER))
async def show_protocol(ctx: Ctx, protocol: Protocol) -> dict[str, Any]:
    return _protocol_view(ctx, protocol)


def _of_protocol(row: Protocol) -> sa.ColumnElement[bool]:
    return sa.and_(model.protocols.c.idp_id == row.idp_id, model.protocols.c.id == row.id)


@routes.patch(f"{IDPS}/{{idp_id}}/protocols/{{protocol_id}}", envelope="protocol", target=PROTOCOL,
              policy=Rule("identity:update_protocol", policies.ADMIN))
async def update_protocol(ctx: Ctx, protocol: Protocol, body: ProtocolUpdate) -> dict[str, Any]:
    values = body.values(protocol.id)
    async with ctx.db.write() as tx:
        if "mapping_id" in values:
            await _must_have_mapping(tx, values["mapping_id"])
        await tx.execute(model.protocols.update().where(_of_protocol(protocol)).values(
            generation=model.protocols.c.generation + 1, **values))
        return _protocol_view(ctx, await federation.get_protocol(tx, protocol.idp_id, protocol.id))


@routes.delete(f"{IDPS}/{{idp_id}}/protocols/{{protocol_id}}", target=PROTOCOL,
               policy=Rule("identity:delete_protocol", policies.ADMIN))
async def delete_protocol(ctx: Ctx, protocol: Protocol) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(model.protocols.delete().where(_of_protocol(protocol)))
        await ctx.app.announce(tx, f"idp:{protocol.idp_id}", revoke=True)


# -- mappings -----------------------------------------------------------------------------------------------------


class MappingCreate(_Named):
    rules: list[Any]
    schema_version: str | None = None


class MappingUpdate(_Named):
    rules: list[Any] | Unset = msgspec.UNSET
    schema_version: str | None | Unset = msgspec.UNSET


def _mapping_view(ctx: Ctx, row: Mapping) -> dict[str, Any]:
    return {"id": row.id, "rules": row.rules, "schema_version": row.schema_version,
            "links": self_link(ctx, "OS-FEDERATION", "mappings", row.id)}


def _rules(values: dict[str, Any]) -> dict[str, Any]:
    """Fields of a mapping, checked; no version is the first one."""
    if values.get("schema_version", "") is None:
        values["schema_version"] = "1.0"
    if values.get("schema_version", "1.0") not in ("1.0", "2.0"):
        raise InvalidBody(reason="Invalid input: schema_version must be 1.0 or 2.0.")
    try:
        if "rules" in values:
            parsed(values["rules"])
    except BadRules as error:
        raise InvalidBody(reason=f"Invalid mapping: {error}") from error
    return values


@routes.get(MAPPINGS, envelope="mappings", policy=Rule("identity:list_mappings", policies.READER))
async def list_mappings(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        found = await page(reader, sa.select(model.mappings), model.mappings.c.id, Mapping, query)
        return views(ctx, found, _mapping_view)


@routes.put(f"{MAPPINGS}/{{mapping_id}}", envelope="mapping", status=201,
            policy=Rule("identity:create_mapping", policies.ADMIN))
async def create_mapping(ctx: Ctx, mapping_id: str, body: MappingCreate) -> dict[str, Any]:
    row = Mapping(id=_must_be_a_name(mapping_id), **_rules(body.values(mapping_id)))
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, model.mappings, row)
    except db.Taken as error:
        raise Duplicate(kind="mapping", why=f"Duplicate entry found with ID {mapping_id}.") from error
    return _mapping_view(ctx, row)


@routes.head(f"{MAPPINGS}/{{mapping_id}}", target=MAPPING, policy=Rule("identity:get_mapping", policies.READER))
@routes.get(f"{MAPPINGS}/{{mapping_id}}", envelope="mapping", target=MAPPING,
            policy=Rule("identity:get_mapping", policies.READER))
async def show_mapping(ctx: Ctx, mapping: Mapping) -> dict[str, Any]:
    return _mapping_view(ctx, mapping)


@routes.patch(f"{MAPPINGS}/{{mapping_id}}", envelope="mapping", target=MAPPING,
              policy=Rule("identity:update_mapping", policies.ADMIN))
async def update_mapping(ctx: Ctx, mapping: Mapping, body: MappingUpdate) -> dict[str, Any]:
    values = _rules(body.values(mapping.id))
    async with ctx.db.write() as tx:
        return _mapping_view(ctx, await db.change(tx, model.mappings, mapping, **values))


@routes.delete(f"{MAPPINGS}/{{mapping_id}}", target=MAPPING, policy=Rule("identity:delete_mapping", policies.ADMIN))
async def delete_mapping(ctx: Ctx, mapping: Mapping) -> None:
    try:
        async with ctx.db.write() as tx:
            await tx.execute(model.mappings.delete().where(model.mappings.c.id == mapping.id))
    except db.Taken as error:
        raise Duplicate(kind="mapping", why="a protocol uses it.") from error


# -- service providers --------------------------------------------------------------------------------------------


class ProviderCreate(_Named):
    auth_url: Url
    sp_url: Url
    enabled: bool = False
    description: str | None = None
    relay_state_prefix: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class ProviderUpdate(_Named):
    auth_url: Url | Unset = msgspec.UNSET
    sp_url: Url | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET
    relay_state_prefix: Annotated[str, msgspec.Meta(max_length=256)] | Unset = msgspec.UNSET


def _provider_view(ctx: Ctx, row: ServiceProvider) -> dict[str, Any]:
    return {"id": row.id, "auth_url": row.auth_url, "sp_url": row.sp_url, "enabled": row.enabled,
            "description": row.description, "relay_state_prefix": row.relay_state_prefix,
            "links": self_link(ctx, "OS-FEDERATION", "service_providers", row.id)}


@routes.get(PROVIDERS, envelope="service_providers", policy=Rule("identity:list_service_providers", policies.READER))
async def list_providers(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    table = model.service_providers
    found = narrowed(sa.select(table), query, {"id": table.c.id, "enabled": table.c.enabled})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, ServiceProvider, query), _provider_view)


@routes.put(f"{PROVIDERS}/{{sp_id}}", envelope="service_provider", status=201,
            policy=Rule("identity:create_service_provider", policies.ADMIN))
async def create_provider(ctx: Ctx, sp_id: str, body: ProviderCreate) -> dict[str, Any]:
    body.values(sp_id)
    row = ServiceProvider(id=_must_be_a_name(sp_id), auth_url=body.auth_url, sp_url=body.sp_url, enabled=body.enabled,
                          description=body.description, relay_state_prefix=body.relay_state_prefix or "ss:mem:")
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, model.service_providers, row)
            await ctx.app.announce(tx, feed.CATALOG)
    except db.Taken as error:
        raise Duplicate(kind="service_provider", why=f"Duplicate entry found with ID {sp_id}.") from error
    return _provider_view(ctx, row)


@routes.head(f"{PROVIDERS}/{{sp_id}}", target=PROVIDER, policy=Rule("identity:get_service_provider", policies.READER))
@routes.get(f"{PROVIDERS}/{{sp_id}}", envelope="service_provider", target=PROVIDER,
            policy=Rule("identity:get_service_provider", policies.READER))
async def show_provider(ctx: Ctx, provider: ServiceProvider) -> dict[str, Any]:
    return _provider_view(ctx, provider)


@routes.patch(f"{PROVIDERS}/{{sp_id}}", envelope="service_provider", target=PROVIDER,
              policy=Rule("identity:update_service_provider", policies.ADMIN))
async def update_provider(ctx: Ctx, provider: ServiceProvider, body: ProviderUpdate) -> dict[str, Any]:
    values = body.values(provider.id)
    async with ctx.db.write() as tx:
        await ctx.app.announce(tx, feed.CATALOG)
        return _provider_view(ctx, await db.change(tx, model.service_providers, provider, **values))


@routes.delete(f"{PROVIDERS}/{{sp_id}}", target=PROVIDER,
               policy=Rule("identity:delete_service_provider", policies.ADMIN))
async def delete_provider(ctx: Ctx, provider: ServiceProvider) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(model.service_providers.delete().where(model.service_providers.c.id == provider.id))
        await ctx.app.announce(tx, feed.CATALOG)
