"""Flavors: list, show, create, describe, delete."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from pileus.compute import versions
from pileus.compute.api.values import MOST, Number, printable, truth, whole
from pileus.compute.faults import FlavorExists
from pileus.compute.links import Link, links_to
from pileus.compute.model import flavors
from pileus.compute.model.flavors import Flavor, Wanted
from pileus.kit import db
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, ANYONE, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

SORTS = {"flavorid": "id", "id": "created_at", "created_at": "created_at", "updated_at": "created_at", "name": "name",
         "description": "description", "disabled": "disabled", "ephemeral_gb": "ephemeral_gb",
         "is_public": "is_public", "memory_mb": "memory_mb", "root_gb": "disk_gb", "rxtx_factor": "rxtx_factor",
         "swap": "swap_mb", "vcpu_weight": "id", "vcpus": "vcpus"}
_ID = re.compile(r"(?! )[a-zA-Z0-9. _-]{1,255}(?<! )")

Description = Annotated[str, msgspec.Meta(max_length=65535)] | None

LIST = Rule("os_compute_api:flavors", ANYONE)
EXTRA_SPECS = Rule("os_compute_api:os-flavor-extra-specs:index", PROJECT_READER)


class FlavorCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    memory_mb: Number = msgspec.field(name="ram")
    vcpus: Number
    disk_gb: Number = msgspec.field(name="disk")
    id: str | int | None = None
    swap_mb: Number = msgspec.field(name="swap", default=0)
    ephemeral_gb: Number = msgspec.field(name="OS-FLV-EXT-DATA:ephemeral", default=0)
    rxtx_factor: Annotated[float | Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?$")],
                           until(versions.FLAVOR_NAMES)] = 1.0
    is_public: bool | str = msgspec.field(name="os-flavor-access:is_public", default=True)
    description: Annotated[Description, since(versions.FLAVOR_DESCRIPTION)] = None


class FlavorUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    description: Description


class FlavorQuery(msgspec.Struct, kw_only=True):
    limit: Annotated[int, msgspec.Meta(ge=0)] = MOST
    marker: str | None = None
    min_disk: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="minDisk", default=0)
    min_ram: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="minRam", default=0)
    is_public: str = "true"
    sort_key: str = "flavorid"
    sort_dir: str = "asc"
    name: Annotated[str | None, since(versions.FLAVOR_NAMES)] = None


class FlavorView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    memory_mb: int = msgspec.field(name="ram")
    vcpus: int
    disk_gb: int = msgspec.field(name="disk")
    swap_mb: int | str = msgspec.field(name="swap")
    ephemeral_gb: int = msgspec.field(name="OS-FLV-EXT-DATA:ephemeral")
    disabled: Annotated[bool, until(versions.FLAVOR_NAMES)] = msgspec.field(name="OS-FLV-DISABLED:disabled")
    is_public: bool = msgspec.field(name="os-flavor-access:is_public")
    rxtx_factor: Annotated[float, until(versions.FLAVOR_NAMES)]
    links: list[Link]
    description: Annotated[str | None, since(versions.FLAVOR_DESCRIPTION)] = None
    extra_specs: Annotated[dict[str, str] | msgspec.UnsetType, since(versions.FLAVOR_EXTRA_SPECS)] = msgspec.UNSET


class FlavorName(msgspec.Struct, kw_only=True):
    id: str
    name: str
    links: list[Link]
    description: Annotated[str | None, since(versions.FLAVOR_DESCRIPTION)] = None


def view(ctx: Ctx, flavor: Flavor, *, specs: bool) -> FlavorView:
    return FlavorView(
        id=flavor.id, name=flavor.name, memory_mb=flavor.memory_mb, vcpus=flavor.vcpus, disk_gb=flavor.disk_gb,
        swap_mb=flavor.swap_mb or (0 if ctx.version >= versions.STRICT_QUERIES else ""),
        ephemeral_gb=flavor.ephemeral_gb, disabled=flavor.disabled, is_public=flavor.is_public,
        rxtx_factor=flavor.rxtx_factor, links=links_to(ctx, f"flavors/{flavor.id}"), description=flavor.description,
        extra_specs=flavor.extra_specs if specs else msgspec.UNSET)


def name_view(ctx: Ctx, flavor: Flavor) -> FlavorName:
    return FlavorName(id=flavor.id, name=flavor.name, links=links_to(ctx, f"flavors/{flavor.id}"),
                      description=flavor.description)


def shows_specs(ctx: Ctx) -> bool:
    return ctx.version >= versions.FLAVOR_EXTRA_SPECS and ctx.allows(EXTRA_SPECS.name)


def _checked_name(name: str) -> str:
    if name != name.strip() or not printable(name):
        raise BadRequest(reason=f"Invalid input for field/attribute name. Value: {name}. It must be printable and "
                                "neither begin nor end with white space.")
    return name


def _checked_id(given: str | int | None) -> str:
    if given is None or given == "auto":
        return new_uuid()
    if not _ID.fullmatch(text := str(given)):
        raise BadRequest(reason=f"Invalid input for field/attribute id. Value: {given}. It may hold letters, digits, "
                                "periods, underscores, spaces and hyphens, and no space at its ends.")
    return text


def _checked_factor(given: float | str) -> float:
    factor = float(given)
    if not 0 < factor <= 3.40282e+38:
        raise BadRequest(reason=f"Invalid input for field/attribute rxtx_factor. Value: {given}.")
    return factor


def described(text: str | None) -> str | None:
    if text is not None and not all(char in "\r\n\t" or printable(char) for char in text):
        raise BadRequest(reason="Invalid input for field/attribute description. It must be printable.")
    return text


def _new(body: FlavorCreate, now: float) -> Flavor:
    return Flavor(
        id=_checked_id(body.id), name=_checked_name(body.name), vcpus=whole(body.vcpus, "vcpus", 1),
        memory_mb=whole(body.memory_mb, "ram", 1), disk_gb=whole(body.disk_gb, "disk"),
        ephemeral_gb=whole(body.ephemeral_gb, "OS-FLV-EXT-DATA:ephemeral"), swap_mb=whole(body.swap_mb, "swap"),
        rxtx_factor=_checked_factor(body.rxtx_factor),
        is_public=truth(body.is_public, "os-flavor-access:is_public"), description=described(body.description),
        created_at=now)


def _wanted(ctx: Ctx, query: FlavorQuery) -> Wanted:
    gone = query.sort_key == "rxtx_factor" and ctx.version >= versions.FLAVOR_NAMES
    if query.sort_key not in SORTS or gone or query.sort_dir not in ("asc", "desc"):
        raise BadRequest(reason=f"Sorting by {query.sort_key} {query.sort_dir} is not possible.")
    admin = ctx.caller.is_admin
    public: bool | None = True
    if admin:
        public = None if query.is_public.lower() == "none" else truth(query.is_public, "is_public")
    return Wanted(is_public=public, project_id=ctx.caller.project_id, disabled=None if admin else False,
                  min_disk_gb=query.min_disk, min_memory_mb=query.min_ram, order=SORTS[query.sort_key],
                  descending=query.sort_dir == "desc", name=query.name)


async def _page(ctx: Ctx, query: FlavorQuery) -> tuple[list[Flavor], str | None]:
    wanted, limit = _wanted(ctx, query), min(query.limit, MOST)
    async with ctx.db.read() as reader:
        after = await flavors.find(reader, query.marker) if query.marker else None
        if query.marker and after is None:
            raise BadRequest(reason=f"marker [{query.marker}] not found")
        found = await flavors.page(reader, wanted, limit=limit + 1, after=after)
    more = found[limit - 1].id if 0 < limit < len(found) else None
    return found[:limit], more


async def load(ctx: Ctx, reader: db.Connection, flavor_id: str) -> Flavor:
    """The flavor as far as the caller may know of it."""
    if ctx.caller.is_admin:
        return await flavors.get(reader, flavor_id)
    return await flavors.get_for(reader, flavor_id, ctx.caller.project_id)


routes = Routes()


@routes.get("/v2.1/flavors", envelope="flavors", policy=LIST, strict=versions.STRICT_QUERIES)
async def list_flavors(ctx: Ctx, query: FlavorQuery) -> Page[FlavorName]:
    found, more = await _page(ctx, query)
    return Page([name_view(ctx, flavor) for flavor in found], next_marker=more)


@routes.get("/v2.1/flavors/detail", envelope="flavors", policy=LIST, strict=versions.STRICT_QUERIES)
async def list_flavors_in_detail(ctx: Ctx, query: FlavorQuery) -> Page[FlavorView]:
    found, more = await _page(ctx, query)
    specs = shows_specs(ctx)
    return Page([view(ctx, flavor, specs=specs) for flavor in found], next_marker=more)


@routes.get("/v2.1/flavors/{flavor_id}", envelope="flavor", policy=LIST)
async def show_flavor(ctx: Ctx, flavor_id: str) -> FlavorView:
    async with ctx.db.read() as reader:
        return view(ctx, await load(ctx, reader, flavor_id), specs=shows_specs(ctx))


@routes.post("/v2.1/flavors", envelope="flavor", policy=Rule("os_compute_api:os-flavor-manage:create", ADMIN))
async def create_flavor(ctx: Ctx, body: FlavorCreate) -> FlavorView:
    flavor = _new(body, ctx.clock())
    try:
        async with ctx.db.write() as tx:
            await flavors.add(tx, flavor)
    except db.Taken as error:
        raise FlavorExists(what="name", value=flavor.name) from error
    return view(ctx, flavor, specs=shows_specs(ctx))


@routes.put("/v2.1/flavors/{flavor_id}", envelope="flavor", window=since(versions.FLAVOR_DESCRIPTION),
            policy=Rule("os_compute_api:os-flavor-manage:update", ADMIN))
async def describe_flavor(ctx: Ctx, flavor_id: str, body: FlavorUpdate) -> FlavorView:
    values: dict[str, Any] = {"description": described(body.description)}
    async with ctx.db.write() as tx:
        flavor = await flavors.change(tx, await flavors.get(tx, flavor_id), **values)
    return view(ctx, flavor, specs=shows_specs(ctx))


@routes.delete("/v2.1/flavors/{flavor_id}", status=202, policy=Rule("os_compute_api:os-flavor-manage:delete", ADMIN))
async def delete_flavor(ctx: Ctx, flavor_id: str) -> None:
    async with ctx.db.write() as tx:
        await flavors.remove(tx, flavor_id)
