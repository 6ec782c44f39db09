"""What belongs to one server: metadata, tags, addresses, interfaces, security groups, actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import times, versions
from pileus.compute.api.room import must_fit_metadata
from pileus.compute.api.server_create import Metadata
from pileus.compute.api.server_view import AddressView, addresses, host_id
from pileus.compute.api.servers import SERVER
from pileus.compute.api.values import limited
from pileus.compute.drivers.hardware import NumaNode
from pileus.compute.faults import (
    ActionNotFound,
    InterfaceNotFound,
    MetadataNotFound,
    ServerNotFound,
    TagNotFound,
)
from pileus.compute.hardware import hardware_of
from pileus.compute.model import servers
from pileus.compute.model.servers import Seen, Server, ServerAction
from pileus.kit import saga_history
from pileus.kit.faults import BadRequest, NotFound
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.saga import Event
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.network.client import PortDetail

routes = Routes()
BASE = "/v2.1/servers/{server_id}"
MOST_TAGS = 50
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern="^[^,/]*$")]
SEE_EVENTS = Rule("os_compute_api:os-instance-actions:events", ADMIN)
SEE_DETAILS = Rule("os_compute_api:os-instance-actions:events:details", ADMIN)
RULES = (SEE_EVENTS, SEE_DETAILS)


def _rule(name: str, check: str) -> Rule:
    return Rule(f"os_compute_api:{name}", check)


# -- metadata ---------------------------------------------------------------------------------


async def _set_metadata(ctx: Ctx, seen: Seen, wanted: dict[str, str]) -> dict[str, str]:
    await must_fit_metadata(ctx, wanted, seen.project_id)
    seen.server.must_not_be_locked(ctx.caller)
    async with ctx.db.write() as tx:
        await servers.change(tx, seen.server, ctx.clock(), metadata=wanted)
    return wanted


@routes.get(f"{BASE}/metadata", envelope="metadata", target=SERVER,
            policy=_rule("server-metadata:index", PROJECT_READER))
async def list_metadata(ctx: Ctx, seen: Seen) -> dict[str, str]:
    return seen.server.metadata


@routes.put(f"{BASE}/metadata", envelope="metadata", target=SERVER,
            policy=_rule("server-metadata:update_all", PROJECT_MEMBER))
async def replace_metadata(ctx: Ctx, seen: Seen, body: Metadata) -> dict[str, str]:
    return await _set_metadata(ctx, seen, dict(body))


@routes.post(f"{BASE}/metadata", envelope="metadata", target=SERVER,
             policy=_rule("server-metadata:create", PROJECT_MEMBER))
async def add_metadata(ctx: Ctx, seen: Seen, body: Metadata) -> dict[str, str]:
    return await _set_metadata(ctx, seen, seen.server.metadata | body)


@routes.get(f"{BASE}/metadata/{{key}}", envelope="meta", target=SERVER,
            policy=_rule("server-metadata:show", PROJECT_READER))
async def show_metadata(ctx: Ctx, seen: Seen, key: str) -> dict[str, str]:
    if key not in seen.server.metadata:
        raise MetadataNotFound()
    return {key: seen.server.metadata[key]}


@routes.put(f"{BASE}/metadata/{{key}}", envelope="meta", target=SERVER,
            policy=_rule("server-metadata:update", PROJECT_MEMBER))
async def set_metadata(ctx: Ctx, seen: Seen, key: str, body: Metadata) -> dict[str, str]:
    if set(body) != {key}:
        raise BadRequest(reason="Request body and URI mismatch")
    await _set_metadata(ctx, seen, seen.server.metadata | body)
    return dict(body)


@routes.delete(f"{BASE}/metadata/{{key}}", target=SERVER, policy=_rule("server-metadata:delete", PROJECT_MEMBER))
async def delete_metadata(ctx: Ctx, seen: Seen, key: str) -> None:
    if key not in seen.server.metadata:
        raise MetadataNotFound()
    await _set_metadata(ctx, seen, {k: v for k, v in seen.server.metadata.items() if k != key})


# -- tags -------------------------------------------------------------------------------------

TAGGED = since(versions.TAGS)


async def _set_tags(ctx: Ctx, seen: Seen, wanted: list[str]) -> None:
    if len(wanted) > MOST_TAGS:
        raise BadRequest(reason=f"The number of tags exceeded the per-server limit {MOST_TAGS}")
    async with ctx.db.write() as tx:
        await servers.change(tx, seen.server, ctx.clock())
        await servers.set_tags(tx, seen.id, wanted)


@routes.get(f"{BASE}/tags", envelope="tags", target=SERVER, window=TAGGED,
            policy=_rule("os-server-tags:index", PROJECT_READER))
async def list_tags(ctx: Ctx, seen: Seen) -> Page[str]:
    return Page(list(seen.tags))


@routes.put(f"{BASE}/tags", envelope="tags", target=SERVER, window=TAGGED,
            policy=_rule("os-server-tags:update_all", PROJECT_MEMBER))
async def replace_tags(ctx: Ctx, seen: Seen, body: list[Tag]) -> Page[str]:
    await _set_tags(ctx, seen, list(dict.fromkeys(body)))
    return Page(list(dict.fromkeys(body)))


@routes.delete(f"{BASE}/tags", target=SERVER, window=TAGGED, policy=_rule("os-server-tags:delete_all", PROJECT_MEMBER))
async def delete_tags(ctx: Ctx, seen: Seen) -> None:
    await _set_tags(ctx, seen, [])


@routes.get(f"{BASE}/tags/{{tag}}", status=204, target=SERVER, window=TAGGED,
            policy=_rule("os-server-tags:show", PROJECT_READER))
async def has_tag(ctx: Ctx, seen: Seen, tag: str) -> None:
    if tag not in seen.tags:
        raise TagNotFound(server_id=seen.id, tag=tag)


@routes.put(f"{BASE}/tags/{{tag}}", status=201, target=SERVER, window=TAGGED,
            policy=_rule("os-server-tags:update", PROJECT_MEMBER))
async def add_tag(ctx: Ctx, seen: Seen, tag: str) -> None:
    if not tag or len(tag) > 60 or "," in tag or "/" in tag:
        raise BadRequest(reason=f"Tag '{tag}' is invalid: up to 60 characters, no comma, no slash.")
    if tag in seen.tags:
        ctx.status = 204
        return
    ctx.headers["location"] = f"{ctx.base_url}/v2.1/servers/{seen.id}/tags/{quote(tag)}"
    await _set_tags(ctx, seen, [*seen.tags, tag])


@routes.delete(f"{BASE}/tags/{{tag}}", target=SERVER, window=TAGGED,
               policy=_rule("os-server-tags:delete", PROJECT_MEMBER))
async def delete_tag(ctx: Ctx, seen: Seen, tag: str) -> None:
    if tag not in seen.tags:
        raise TagNotFound(server_id=seen.id, tag=tag)
    await _set_tags(ctx, seen, [each for each in seen.tags if each != tag])


# -- addresses and interfaces -----------------------------------------------------------------


class PlainAddress(msgspec.Struct, frozen=True, kw_only=True):
    address: str = msgspec.field(name="addr")
    version: int


def _plain(shown: list[AddressView]) -> list[PlainAddress]:
    return [PlainAddress(address=each.address, version=each.version) for each in shown]


@routes.get(f"{BASE}/ips", envelope="addresses", target=SERVER, policy=_rule("ips:index", PROJECT_READER))
async def list_addresses(ctx: Ctx, seen: Seen) -> dict[str, list[PlainAddress]]:
    return {name: _plain(shown) for name, shown in addresses(seen.server).items()}


@routes.get(f"{BASE}/ips/{{network}}", target=SERVER, policy=_rule("ips:show", PROJECT_READER))
async def show_addresses(ctx: Ctx, seen: Seen, network: str) -> dict[str, list[PlainAddress]]:
    shown = addresses(seen.server)
    if network not in shown:
        raise NotFound()
    return {network: _plain(shown[network])}


class Interface(msgspec.Struct, kw_only=True):
    port_id: str
    net_id: str
    mac_addr: str
    port_state: str
    fixed_ips: list[dict[str, str]]
    tag: Annotated[str | None, since(versions.TOLD_TAGS)] = None


async def _interfaces(ctx: Ctx, seen: Seen) -> list[Interface]:
    found = (await ctx.app.network.port_details([seen.id]))[seen.id]
    tags = {nic.port_id: nic.tag for nic in seen.server.nics}
    return [interface_view(port, tags.get(port.id)) for port in found]


def interface_view(port: PortDetail, tag: str | None) -> Interface:
    return Interface(
        port_id=port.id, net_id=port.network_id, mac_addr=port.mac_address, port_state=port.status, tag=tag,
        fixed_ips=[{"subnet_id": ip.subnet_id, "ip_address": ip.ip_address} for ip in port.addresses])


@routes.get(f"{BASE}/os-interface", envelope="interfaceAttachments", target=SERVER,
            policy=_rule("os-attach-interfaces:list", PROJECT_READER))
async def list_interfaces(ctx: Ctx, seen: Seen) -> Page[Interface]:
    return Page(await _interfaces(ctx, seen))


@routes.get(f"{BASE}/os-interface/{{port_id}}", envelope="interfaceAttachment", target=SERVER,
            policy=_rule("os-attach-interfaces:show", PROJECT_READER))
async def show_interface(ctx: Ctx, seen: Seen, port_id: str) -> Interface:
    for interface in await _interfaces(ctx, seen):
        if interface.port_id == port_id:
            return interface
    raise InterfaceNotFound(server_id=seen.id, port_id=port_id)


# -- what the guest is made of --------------------------------------------------------------------


class NodeView(msgspec.Struct, kw_only=True):
    """Which of the host's nodes it is on is not told: hosts bind guests to none."""

    vcpus: list[int] = msgspec.field(name="vcpu_set")
    siblings: list[list[int]]
    memory_mb: int


class TopologyView(msgspec.Struct, kw_only=True):
    nodes: list[NodeView] = []
    page_size_kb: int | None = msgspec.field(name="pagesize_kb", default=None)


@routes.get(f"{BASE}/topology", target=SERVER, window=since(versions.TOPOLOGY),
            policy=Rule("compute:server:topology:index", PROJECT_READER))
async def show_topology(ctx: Ctx, seen: Seen) -> TopologyView:
    """A guest with processors or pages of its own, and no nodes asked for, has one."""
    server, flavor = seen.server, seen.server.flavor
    made = hardware_of(server.image.properties if server.image else {}, flavor.extra_specs, vcpus=flavor.vcpus,
                       memory_mb=flavor.memory_mb)
    whole = NumaNode(cpus=tuple(range(flavor.vcpus)), memory_mb=flavor.memory_mb)
    threads = made.topology.threads if made.topology else 1
    nodes = [NodeView(vcpus=list(node.cpus), siblings=_siblings(node.cpus, threads), memory_mb=node.memory_mb)
             for node in made.numa or ((whole,) if made.pinned or made.page_kb else ())]
    return TopologyView(nodes=nodes, page_size_kb=made.page_kb if nodes and made.page_kb > 0 else None)


def _siblings(cpus: Sequence[int], threads: int) -> list[list[int]]:
    """The processors of each core, where one has several."""
    return [list(cpus[at:at + threads]) for at in range(0, len(cpus), threads)] if threads > 1 else []


# -- what was asked of the server -------------------------------------------------------------


class ActionView(msgspec.Struct, kw_only=True):
    action: str
    instance_uuid: str
    request_id: str
    user_id: str
    project_id: str
    start_time: str
    message: str | None
    updated_at: Annotated[str | None, since(versions.ACTION_PAGES)] = None
    events: list[dict[str, Any]] | UnsetType = UNSET


def _any_server() -> Target:
    return Target(servers.get_even_deleted, missing=ServerNotFound)


def _action_view(action: ServerAction, events: list[Event]) -> ActionView:
    ended = max((event.ended_at for event in events), default=action.started_at)
    return ActionView(
        action=action.action, instance_uuid=action.server_id, request_id=action.request_id, user_id=action.user_id,
        project_id=action.project_id, start_time=times.iso_micro(action.started_at) or "", message=action.message,
        updated_at=times.iso_micro(ended))


def _must_live(ctx: Ctx, server: Server) -> None:
    if server.alive is None and ctx.version < versions.ACTIONS_OF_DELETED:
        raise ServerNotFound(server_id=server.id)


@routes.get(f"{BASE}/os-instance-actions", envelope="instanceActions", target=_any_server(),
            policy=_rule("os-instance-actions:list", PROJECT_READER))
async def list_actions(ctx: Ctx, server: Server, query: dict[str, list[str]]) -> Page[ActionView]:
    _must_live(ctx, server)
    async with ctx.db.read() as reader:
        found = await servers.actions_of(reader, server.id)
        events = await saga_history.trace(reader, server.id)
    views = [_action_view(each, [e for e in events if e.request_id == each.request_id]) for each in found]
    return _action_page(ctx, query, views)


def _action_page(ctx: Ctx, query: dict[str, list[str]], views: list[ActionView]) -> Page[ActionView]:
    if ctx.version < versions.ACTION_PAGES:
        return Page(views)
    known = {"limit", "marker", "changes-since"}
    known |= {"changes-before"} if ctx.version >= versions.CHANGES_BEFORE else set()
    if unknown := sorted(set(query) - known):
        raise BadRequest(reason=f"Additional properties are not allowed ({', '.join(map(repr, unknown))} unexpected)")
    if since_text := query.get("changes-since"):
        moment = times.parse(since_text[-1])
        views = [view for view in views if times.parse(view.updated_at or view.start_time) >= moment]
    if before_text := query.get("changes-before"):
        moment = times.parse(before_text[-1])
        views = [view for view in views if times.parse(view.updated_at or view.start_time) <= moment]
    if marker := query.get("marker"):
        ids = [view.request_id for view in views]
        if marker[-1] not in ids:
            raise BadRequest(reason=f"Marker {marker[-1]} could not be found.")
        views = views[ids.index(marker[-1]) + 1:]
    cut = views[:limited(query.get("limit", [None])[-1])]
    return Page(cut, next_marker=cut[-1].request_id if cut and len(views) > len(cut) else None)


@routes.get(f"{BASE}/os-instance-actions/{{request_id}}", envelope="instanceAction", target=_any_server(),
            policy=_rule("os-instance-actions:show", PROJECT_READER))
async def show_action(ctx: Ctx, server: Server, request_id: str) -> ActionView:
    _must_live(ctx, server)
    async with ctx.db.read() as reader:
        found = [each for each in await servers.actions_of(reader, server.id) if each.request_id == request_id]
        events = [e for e in await saga_history.trace(reader, server.id) if e.request_id == request_id]
    if not found:
        raise ActionNotFound(request_id=request_id, server_id=server.id)
    shown = _action_view(found[0], events)
    admin = ctx.allows(SEE_EVENTS.name)
    if admin or ctx.version >= versions.EVENTS_FOR_ALL:
        shown.events = [_event_view(ctx, server, event, admin) for event in events]
    return shown


def _event_view(ctx: Ctx, server: Server, event: Event, admin: bool) -> dict[str, Any]:
    failed = event.outcome in ("failed", "stuck")
    shown: dict[str, Any] = {
        "event": f"compute_{event.step}" if event.outcome != "undone" else f"compute_undo_{event.step}",
        "start_time": times.iso_micro(event.began_at), "finish_time": times.iso_micro(event.ended_at),
        "result": "Error" if failed else "Success"}
    if admin or ctx.version < versions.EVENTS_FOR_ALL:
        shown["traceback"] = event.detail if failed else None
    if ctx.version >= versions.ACTION_HOSTS:
        shown["hostId"] = host_id(server)
        if admin:
            shown["host"] = server.host
    if ctx.version >= versions.EVENT_DETAILS and ctx.allows(SEE_DETAILS.name):
        shown["details"] = event.detail
    return shown

