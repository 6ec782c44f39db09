"""os-interface: network cards of a server that is there."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.compute import nics, port_needs, scheduling, versions
from pileus.compute.api.begin import begin, must_allow
from pileus.compute.api.server_create import Tag
from pileus.compute.api.server_items import BASE, Interface, interface_view
from pileus.compute.api.servers import SERVER
from pileus.compute.faults import InterfaceNotFound
from pileus.compute.model.servers import Seen
from pileus.compute.nics import NicWish
from pileus.compute.sagas.interfaces import AttachInterface, DetachInterface
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict
from pileus.kit.ids import new_uuid
from pileus.kit.policy import PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

routes = Routes()


class FixedIp(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    ip_address: str


class InterfaceCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network_id: str | None = msgspec.field(name="net_id", default=None)
    port_id: str | None = None
    fixed_ips: Annotated[list[FixedIp], msgspec.Meta(max_length=1)] = []
    tag: Annotated[Tag | None, since(versions.TAGS_AT_ATTACH)] = None


class _Asked(msgspec.Struct, kw_only=True):
    """The same as a new server's networks are asked for."""

    uuid: str | None = None
    port: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


async def _wish(ctx: Ctx, seen: Seen, body: InterfaceCreate) -> NicWish:
    if body.network_id and body.port_id:
        raise BadRequest(reason="Must not input both network_id and port_id")
    if body.fixed_ips and not body.network_id:
        raise BadRequest(reason="Must input network_id when request IP address")
    fixed_ip = body.fixed_ips[0].ip_address if body.fixed_ips else None
    if body.network_id or body.port_id:
        networks: list[_Asked] = [_Asked(uuid=body.network_id, port=body.port_id, fixed_ip=fixed_ip, tag=body.tag)]
        found = await nics.wishes_of(ctx, networks, [])
    else:
        found = [msgspec.structs.replace(each, tag=body.tag) for each in await nics.wishes_of(ctx, None, [])]
    if not found:
        raise BadRequest(reason="No more available networks.")
    return found[0] if found[0].given else msgspec.structs.replace(found[0], port_id=new_uuid())


@routes.post(f"{BASE}/os-interface", status=200, envelope="interfaceAttachment", target=SERVER,
             policy=Rule("os_compute_api:os-attach-interfaces:create", PROJECT_MEMBER))
async def attach_interface(ctx: Ctx, seen: Seen, body: InterfaceCreate) -> Interface:
    """The port is there when this answers: made once more by the saga, should this process die in between."""
    must_allow(seen, "attach_interface")
    wish = await _wish(ctx, seen, body)
    needs = await port_needs.of_ports(ctx.app, [wish.port_id] if wish.given else [])
    share = await scheduling.more(ctx.app, seen.server, needs) if needs and seen.server.host else None
    await begin(ctx, seen, "attach_interface",
                AttachInterface(server_id=seen.id, wish=wish, needs=needs, share=share))
    try:
        await nics.ensure(ctx.app, seen.server, [wish], seen.server.host or "", port_needs.profiles_of(needs, share))
    except Refused as error:
        if error.status in (400, 403, 404):
            raise BadRequest(reason=error.message) from None
        if error.status == 409:
            raise Conflict(reason=error.message) from None
        raise
    details = (await ctx.app.network.port_details([seen.id]))[seen.id]
    return interface_view(next(port for port in details if port.id == wish.port_id), wish.tag)


@routes.delete(f"{BASE}/os-interface/{{port_id}}", status=202, target=SERVER,
               policy=Rule("os_compute_api:os-attach-interfaces:delete", PROJECT_MEMBER))
async def detach_interface(ctx: Ctx, seen: Seen, port_id: str) -> None:
    must_allow(seen, "detach_interface")
    nic = next((each for each in seen.server.nics if each.port_id == port_id), None)
    if nic is None:
        raise InterfaceNotFound(server_id=seen.id, port_id=port_id)
    await begin(ctx, seen, "detach_interface", DetachInterface(server_id=seen.id, nic=nic))
