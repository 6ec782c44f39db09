"""GET, PUT and DELETE of servers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import times, versions
from pileus.compute.api.server_view import EXTENDED, HOST_STATUS, ServerBrief, ServerView, brief, shortened, view
from pileus.compute.api.values import address, hostname, limited
from pileus.compute.faults import ServerNotFound
from pileus.compute.model import hosts, server_lists, servers
from pileus.compute.model.hosts import Place
from pileus.compute.model.server_lists import SORTABLE, Wanted
from pileus.compute.model.servers import Seen, ServerAction
from pileus.compute.model.states import State
from pileus.compute.sagas.delete_server import DeleteServer
from pileus.compute.sagas.power_server import PowerServer
from pileus.compute.sagas.power_server import Wanted as WantedPower
from pileus.compute.volumes import told
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest, Conflict, PolicyRefused
from pileus.kit.numbers import digits
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume.client import Attachment

routes = Routes()
SERVER = Target(servers.see, missing=ServerNotFound)
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
MOST = 1000
ALL_PROJECTS = Rule("os_compute_api:servers:index:get_all_tenants", ADMIN)
RULES = (EXTENDED, HOST_STATUS, ALL_PROJECTS)

# Filters anybody may use; the rest, in lists of administrators only.
FREE_FILTERS = {"name", "status", "image", "flavor", "reservation_id", "ip", "changes-since", "changes-before", "tags",
                "tags-any", "not-tags", "not-tags-any", "all_tenants"}
FREE_SINCE = {"locked": versions.LOCKED_REASON, "hostname": versions.HOSTNAME}
SINCE_83 = {"availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at",
            "power_state", "task_state", "vm_state", "progress", "user_id"}
RENAMED = {"tenant_id": "project_id", "project_id": "project_id", "display_name": "name"}
OTHER_PARAMETERS = {"limit", "marker", "sort_key", "sort_dir", "deleted", "ip6", "soft_deleted", "locked", "uuid",
                    "host", "node", "hostname", "display_description", "description", "access_ip_v4", "access_ip_v6",
                    "launch_index", "root_device_name", "kernel_id", "ramdisk_id", "auto_disk_config", "user_id",
                    "project_id", "tenant_id", "display_name", "image_ref", "instance_type_id"}


def _truth(text: str) -> bool:
    return text.lower() in ("1", "true", "t", "yes", "y", "on")


def _wanted(ctx: Ctx, query: dict[str, list[str]]) -> Wanted:
    """The list request, checked against what the caller may ask."""
    if ctx.version >= versions.STRICT_QUERIES:
        unknown = set(query) - FREE_FILTERS - SINCE_83 - OTHER_PARAMETERS
        if unknown:
            raise BadRequest(reason=f"Additional properties are not allowed ({', '.join(sorted(unknown))} unexpected)")
    one = {key: values[-1] for key, values in query.items()}
    admin = ctx.allows(ALL_PROJECTS.name)
    everyone = _all_projects(ctx, one, admin)
    wanted = Wanted(project_id=None if everyone else ctx.caller.project_id, limit=limited(one.get("limit")),
                    marker=one.get("marker"), sort=_sort(ctx, query))
    _times(ctx, wanted, one)
    if ctx.version >= versions.TAGS:
        _tags(wanted, one)
    _statuses(ctx, wanted, query)
    if "deleted" in one and admin:
        wanted.deleted = _truth(one["deleted"])
    if "soft_deleted" in one and admin:
        wanted.soft_deleted = _truth(one["soft_deleted"])
    wanted.name = one.get("name", one.get("display_name"))
    wanted.ip = one.get("ip")
    if admin or ctx.version >= versions.FILTER_IP6:
        wanted.ip6 = one.get("ip6")
    for key, values in query.items():
        name = RENAMED.get(key, key)
        if name in ("project_id",) and not everyone:
            continue
        if _may_filter(ctx, key, admin):
            _filter(wanted, name, values)
    return wanted


def _may_filter(ctx: Ctx, key: str, admin: bool) -> bool:
    if key == "locked" and ctx.version < versions.LOCKED_REASON:
        return False                                    # nobody could, until then
    return (admin or key in FREE_FILTERS or key in SINCE_83 and ctx.version >= versions.MORE_FILTERS
            or key in FREE_SINCE and ctx.version >= FREE_SINCE[key])


def _filter(wanted: Wanted, name: str, values: list[str]) -> None:
    if name in server_lists.FILTERS:
        wanted.exact[name] = [server_lists.filter_value(name, value) for value in values]
    elif name in server_lists.MOMENTS:
        wanted.moments[name] = times.parse(values[-1])
    elif name == "task_state":
        wanted.task_states = values
    elif name == "progress":
        if (number := digits(values[-1])) is None:
            raise BadRequest(reason=f"Invalid input for query parameters {name}. Value: {values[-1]}.")
        wanted.progress = number


def _all_projects(ctx: Ctx, one: dict[str, str], admin: bool) -> bool:
    asked = one.get("all_tenants")
    if asked is None:
        return False
    if asked and asked.lower() not in ("0", "1", "true", "false", "t", "f", "yes", "no", "on", "off"):
        raise BadRequest(reason=f"Invalid value for query parameter all_tenants: {asked}")
    if asked == "" or _truth(asked):
        if not admin:
            raise PolicyRefused(rule=ALL_PROJECTS.name)
        return True
    return False


def _sort(ctx: Ctx, query: dict[str, list[str]]) -> list[tuple[str, bool]]:
    keys, directions = query.get("sort_key", []), query.get("sort_dir", [])
    unknown = [key for key in keys if key not in SORTABLE or key == "locked" and ctx.version < versions.LOCKED_REASON]
    if unknown:
        raise BadRequest(reason=f"Sort key supplied is invalid: {unknown[0]}")
    if any(each not in ("asc", "desc") for each in directions):
        raise BadRequest(reason="Unknown sort direction, must be one of: asc, desc")
    filled = [*directions, *(directions[-1:] or ["desc"]) * len(keys)]
    return [(key, direction == "desc") for key, direction in zip(keys, filled, strict=False)]


def _times(ctx: Ctx, wanted: Wanted, one: dict[str, str]) -> None:
    if "changes-since" in one:
        wanted.changes_since, wanted.deleted = times.parse(one["changes-since"]), None
    if "changes-before" in one and ctx.version >= versions.CHANGES_BEFORE:
        wanted.changes_before, wanted.deleted = times.parse(one["changes-before"]), None
        if wanted.changes_since is not None and wanted.changes_since > wanted.changes_before:
            raise BadRequest(reason="The value of changes-since must be less than or equal to changes-before.")


def _tags(wanted: Wanted, one: dict[str, str]) -> None:
    wanted.tags = one["tags"].split(",") if "tags" in one else []
    wanted.tags_any = one["tags-any"].split(",") if "tags-any" in one else []
    wanted.not_tags = one["not-tags"].split(",") if "not-tags" in one else []
    wanted.not_tags_any = one["not-tags-any"].split(",") if "not-tags-any" in one else []


def _statuses(ctx: Ctx, wanted: Wanted, query: dict[str, list[str]]) -> None:
    if "status" not in query:
        return
    asked = [name.upper() for name in query["status"]]
    unknown = [name for name in asked if not server_lists.is_known_status(name)]
    if unknown and ctx.version >= versions.STRICT_STATUS:
        raise BadRequest(reason=f"Invalid status value: {unknown[0]}")
    if "DELETED" in asked:
        if not ctx.caller.is_admin:
            raise PolicyRefused(rule="os_compute_api:servers:index:get_all_tenants")
        wanted.deleted = None
    wanted.statuses = asked


async def _page(ctx: Ctx, query: dict[str, list[str]]) -> tuple[list[Seen], str | None, dict[str, Place]]:
    wanted = _wanted(ctx, query)
    if wanted.limit == 0 or wanted.statuses == []:
        return [], None, {}
    async with ctx.db.read() as reader:
        found, more = await server_lists.page(reader, wanted)
        places = await hosts.places(reader, ctx.app.config.default_zone)
    return found, found[-1].id if more else None, places


@routes.get("/v2.1/servers", envelope="servers", policy=Rule("os_compute_api:servers:index", PROJECT_READER))
async def list_servers(ctx: Ctx, query: dict[str, list[str]]) -> Page[ServerBrief]:
    found, marker, _ = await _page(ctx, query)
    return Page([brief(ctx, seen) for seen in found], next_marker=marker)


@routes.get("/v2.1/servers/detail", envelope="servers", policy=Rule("os_compute_api:servers:detail", PROJECT_READER))
async def list_servers_detail(ctx: Ctx, query: dict[str, list[str]]) -> Page[ServerView]:
    found, marker, places = await _page(ctx, query)
    attached: dict[str, list[dict[str, Any]]] = {}
    for each in await ctx.app.volume.attachments(*(seen.id for seen in found)):
        attached.setdefault(each.instance or "", []).append(_told(ctx, each))
    shown = [view(ctx, seen, places=places) for seen in found]
    for each in shown:
        each.volumes = attached.get(each.id, [])
    return Page(shown, next_marker=marker)


@routes.get("/v2.1/servers/{server_id}", envelope="server", target=SERVER,
            policy=Rule("os_compute_api:servers:show", PROJECT_READER))
async def show_server(ctx: Ctx, seen: Seen) -> ServerView:
    found = await _view(ctx, seen)
    found.volumes = [_told(ctx, each) for each in await ctx.app.volume.attachments(seen.id)]
    return found


def _told(ctx: Ctx, attachment: Attachment) -> dict[str, Any]:
    return told(attachment, brief=ctx.version < versions.EXTENDED_ATTRIBUTES)


async def _view(ctx: Ctx, seen: Seen) -> ServerView:
    async with ctx.db.read() as reader:
        places = await hosts.places(reader, ctx.app.config.default_zone)
    return view(ctx, seen, places=places, single=True)


class ServerUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    access_ip_v4: str | None | UnsetType = msgspec.field(name="accessIPv4", default=UNSET)
    access_ip_v6: str | None | UnsetType = msgspec.field(name="accessIPv6", default=UNSET)
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = msgspec.field(name="OS-DCF:diskConfig", default=UNSET)
    description: Annotated[Annotated[str, msgspec.Meta(max_length=255)] | None | UnsetType,
                           since(versions.DESCRIPTION)] = UNSET
    hostname: Annotated[str | UnsetType, since(versions.HOSTNAME)] = UNSET
    zone: Annotated[Name | None | UnsetType, since(versions.NEW_PIN)] = msgspec.field(
        name="pinned_availability_zone", default=UNSET)


@routes.put("/v2.1/servers/{server_id}", envelope="server", target=SERVER,
            policy=Rule("os_compute_api:servers:update", PROJECT_MEMBER))
async def update_server(ctx: Ctx, seen: Seen, body: ServerUpdate) -> ServerView:
    changes: dict[str, Any] = {name: value for name in body.__struct_fields__
                               if (value := getattr(body, name)) is not UNSET}
    if "name" in changes:
        changes["name"] = changes["name"].strip() or _refuse_blank()
    for field, wire, version in (("access_ip_v4", "accessIPv4", 4), ("access_ip_v6", "accessIPv6", 6)):
        if field in changes:
            changes[field] = address(changes[field], wire, version)
    if "hostname" in changes:
        changes["hostname"] = hostname(ctx, changes["hostname"])
    async with ctx.db.write() as tx:
        zone = changes.get("zone")
        if zone is not None and zone != seen.server.zone:
            await _must_be_in(ctx, tx, seen, zone)
        await servers.change(tx, seen.server, ctx.clock(), **changes)
        shown = await _view(ctx, await servers.see(tx, seen.id))
    return shown if ctx.version >= versions.STRICT_QUERIES else shortened(shown)


async def _must_be_in(ctx: Ctx, tx: Connection, seen: Seen, zone: str) -> None:
    """A server is pinned to the zone it is in, and to none in between."""
    if seen.server.zone is not None:
        raise Conflict(reason="Cannot change pinned availability zone directly. Unpin first by setting "
                              "pinned_availability_zone to null.")
    place = (await hosts.places(tx, ctx.app.config.default_zone)).get(seen.server.host or "")
    if place is None or place.zone != zone:
        raise Conflict(reason=f"Server can only be pinned to its current availability zone "
                              f"'{place.zone if place else ''}', but '{zone}' was requested.")


def _refuse_blank() -> str:
    raise BadRequest(reason="Invalid input for field/attribute name. It may not be only white space.")


def action_of(ctx: Ctx, server_id: str, project_id: str, name: str) -> ServerAction:
    """The row that says who asked for what; its events are the saga's."""
    return ServerAction(server_id=server_id, request_id=ctx.request_id, action=name, project_id=project_id,
                        user_id=ctx.caller.user_id, started_at=ctx.clock())


@routes.delete("/v2.1/servers/{server_id}", target=SERVER, policy=Rule("os_compute_api:servers:delete", PROJECT_MEMBER))
async def delete_server(ctx: Ctx, seen: Seen) -> None:
    await start_deletion(ctx, seen)


async def start_deletion(ctx: Ctx, seen: Seen, *, at_once: bool = False) -> None:
    """At any moment: what is being done to the server is unwound first. Where servers can be restored, one that runs
    or could is only switched off."""
    seen.server.must_not_be_locked(ctx.caller)
    ctx.span("validate")
    soft = (ctx.app.config.reclaim_after and not at_once and seen.doing is None
            and seen.server.state not in (State.SOFT_DELETED, State.ERROR, State.BUILDING))
    saga = PowerServer(server_id=seen.id, wanted=WantedPower.SOFT_DELETE) if soft else DeleteServer(server_id=seen.id)
    async with ctx.db.write() as tx:
        await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, "softDelete" if soft else "delete"))
        await ctx.sagas.start(tx, saga, seen.id, supersede=True, spans=ctx.spans)
