"""Extra specs of flavors, and the projects that may use those that are not public."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from pileus.compute import extra_specs, versions
from pileus.compute.api.flavors import EXTRA_SPECS, load
from pileus.compute.faults import ExtraSpecNotFound, FlavorAccessExists, NoAccessList, PublicFlavor
from pileus.compute.model import flavors
from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, PROJECT_READER, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

SPECS = "/v2.1/flavors/{flavor_id}/os-extra_specs"
ONE_SPEC = f"{SPECS}/{{key}}"
_KEY = re.compile(r"[a-zA-Z0-9_:. -]{1,255}")

Specs = dict[str, str | int | float]


class Tenant(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = msgspec.field(name="tenant")


class AccessView(msgspec.Struct, kw_only=True):
    flavor_id: str
    tenant_id: str


def _checked(ctx: Ctx, given: Specs) -> dict[str, str]:
    specs = {key: str(value) for key, value in given.items()}
    if not specs:
        raise BadRequest(reason="At least one extra spec is needed.")
    for key, value in specs.items():
        if not _KEY.fullmatch(key):
            raise BadRequest(reason=f"Key Names can only contain alphanumeric characters, periods, dashes, "
                                    f"underscores, colons and spaces: {key}")
        if len(value) > 255:
            raise BadRequest(reason=f"The value of extra spec {key} is longer than 255 characters.")
        if ctx.version >= versions.KNOWN_EXTRA_SPECS and (wrong := extra_specs.wrong_with(key, value)):
            raise BadRequest(reason=f"Validation failed; {wrong}")
    return specs


routes = Routes()


@routes.get(SPECS, envelope="extra_specs", policy=EXTRA_SPECS)
async def list_extra_specs(ctx: Ctx, flavor_id: str) -> dict[str, str]:
    async with ctx.db.read() as reader:
        return (await load(ctx, reader, flavor_id)).extra_specs


@routes.post(SPECS, envelope="extra_specs", policy=Rule("os_compute_api:os-flavor-extra-specs:create", ADMIN))
async def add_extra_specs(ctx: Ctx, flavor_id: str, body: Specs) -> dict[str, str]:
    added = _checked(ctx, body)
    async with ctx.db.write() as tx:
        flavor = await flavors.get(tx, flavor_id)
        await flavors.change(tx, flavor, extra_specs=flavor.extra_specs | added)
    return added


@routes.get(ONE_SPEC, policy=Rule("os_compute_api:os-flavor-extra-specs:show", PROJECT_READER))
async def show_extra_spec(ctx: Ctx, flavor_id: str, key: str) -> dict[str, str]:
    async with ctx.db.read() as reader:
        specs = (await load(ctx, reader, flavor_id)).extra_specs
    if key not in specs:
        raise ExtraSpecNotFound(flavor_id=flavor_id, key=key)
    return {key: specs[key]}


@routes.put(ONE_SPEC, policy=Rule("os_compute_api:os-flavor-extra-specs:update", ADMIN))
async def set_extra_spec(ctx: Ctx, flavor_id: str, key: str, body: Specs) -> dict[str, str]:
    changed = _checked(ctx, body)
    if set(changed) != {key}:
        raise BadRequest(reason="Request body and URI mismatch")
    async with ctx.db.write() as tx:
        flavor = await flavors.get(tx, flavor_id)
        await flavors.change(tx, flavor, extra_specs=flavor.extra_specs | changed)
    return changed


@routes.delete(ONE_SPEC, status=200, policy=Rule("os_compute_api:os-flavor-extra-specs:delete", ADMIN))
async def remove_extra_spec(ctx: Ctx, flavor_id: str, key: str) -> None:
    async with ctx.db.write() as tx:
        flavor = await flavors.get(tx, flavor_id)
        if key not in flavor.extra_specs:
            raise ExtraSpecNotFound(flavor_id=flavor_id, key=key)
        kept = {name: value for name, value in flavor.extra_specs.items() if name != key}
        await flavors.change(tx, flavor, extra_specs=kept)


async def _access(reader: db.Connection, flavor_id: str) -> list[AccessView]:
    return [AccessView(flavor_id=flavor_id, tenant_id=project) for project in await flavors.projects(reader, flavor_id)]


@routes.get("/v2.1/flavors/{flavor_id}/os-flavor-access", envelope="flavor_access",
            policy=Rule("os_compute_api:os-flavor-access", ADMIN))
async def list_access(ctx: Ctx, flavor_id: str) -> list[AccessView]:
    async with ctx.db.read() as reader:
        if (await flavors.get(reader, flavor_id)).is_public:
            raise NoAccessList()
        return await _access(reader, flavor_id)


@routes.action("/v2.1/flavors/{flavor_id}/action", "addTenantAccess", status=200, envelope="flavor_access",
               policy=Rule("os_compute_api:os-flavor-access:add_tenant_access", ADMIN))
async def add_access(ctx: Ctx, flavor_id: str, body: Tenant) -> list[AccessView]:
    try:
        async with ctx.db.write() as tx:
            if (await flavors.get(tx, flavor_id)).is_public and ctx.version >= versions.PRIVATE_FLAVORS_ONLY:
                raise PublicFlavor()
            await flavors.grant(tx, flavor_id, body.project_id)
            return await _access(tx, flavor_id)
    except db.Taken as error:
        raise FlavorAccessExists(flavor_id=flavor_id, project_id=body.project_id) from error


@routes.action("/v2.1/flavors/{flavor_id}/action", "removeTenantAccess", status=200, envelope="flavor_access",
               policy=Rule("os_compute_api:os-flavor-access:remove_tenant_access", ADMIN))
async def remove_access(ctx: Ctx, flavor_id: str, body: Tenant) -> list[AccessView]:
    async with ctx.db.write() as tx:
        await flavors.get(tx, flavor_id)
        await flavors.revoke(tx, flavor_id, body.project_id)
        return await _access(tx, flavor_id)
