"""The virtual address of a new load balancer: where it is, and the port that holds it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict, Fault, NotFound
from pileus.kit.ids import new_uuid
from pileus.kit.web import Ctx
from pileus.load_balancer.api.members import address_of
from pileus.load_balancer.api.shapes import Id, app
from pileus.load_balancer.carrying import NAME, OWNER
from pileus.load_balancer.faults import InUse, Invalid, NoSuch
from pileus.load_balancer.specs import device_of
from pileus.network.client import NetworkClient, NewPort, Port, Subnet


class MoreVip(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    subnet_id: Id
    ip_address: str | None = None


class Asked(msgspec.Struct, kw_only=True, frozen=True):
    """What was said of the address."""

    address: str | None
    port_id: str | None
    subnet_id: str | None
    network_id: str | None
    more: Sequence[MoreVip]
    groups: list[str]
    qos_policy_id: str | None


async def make(ctx: Ctx, asked: Asked, balancer_id: str, project_id: str) -> dict[str, Any]:
    """Have the port; what the load balancer's row says of it. Raises Invalid, NoSuch, and what the network does."""
    asking = app(ctx).network.as_caller(ctx.caller.token)
    if asked.port_id:
        return await _of_port(asking, asked)
    subnet = await _subnet(asking, asked)
    more = [(each, await _known(asking, each.subnet_id)) for each in asked.more]
    if any(other.network_id != subnet.network_id for _, other in more):
        raise Invalid(reason="All VIP subnets must belong to the same network.")
    wanted = [_fixed(subnet.id, asked.address), *(_fixed(other.id, each.ip_address) for each, other in more)]
    try:
        port = await app(ctx).network.ensure_port(NewPort(
            id=new_uuid(), network_id=subnet.network_id, device_id=device_of(balancer_id), device_owner=OWNER,
            name=f"{NAME}{balancer_id}", project_id=project_id, fixed_ips=wanted,
            port_security_enabled=bool(asked.groups), security_groups=asked.groups,
            qos_policy_id=asked.qos_policy_id or msgspec.UNSET))
    except Refused as error:
        raise _as_fault(error) from error
    given = {fixed.subnet_id: fixed.ip_address for fixed in port.fixed_ips}
    return {"vip_address": given[subnet.id], "vip_port_id": port.id, "vip_subnet_id": subnet.id,
            "vip_network_id": subnet.network_id, "owns_port": True,
            "additional_vips": [{"subnet_id": other.id, "ip_address": given[other.id]} for _, other in more]}


@contextlib.asynccontextmanager
async def kept(ctx: Ctx, made: dict[str, Any]) -> AsyncIterator[None]:
    """The port stays if the block ends as it should: its load balancer is recorded then."""
    recorded = False
    try:
        yield
        recorded = True
    finally:
        if made["owns_port"] and not recorded:
            await app(ctx).network.ensure_no_port(made["vip_port_id"])


async def _of_port(asking: NetworkClient, asked: Asked) -> dict[str, Any]:
    port: Port | None = await asking.show_port(asked.port_id or "")
    if port is None:
        raise NoSuch(what="Port", id=asked.port_id)
    if port.device_id:
        raise InUse(what="Port", id=port.id)
    address = address_of(asked.address, "vip_address")
    fixed = next((each for each in port.fixed_ips if address in (None, each.ip_address)
                  and asked.subnet_id in (None, each.subnet_id)), None)
    if fixed is None:
        raise Invalid(reason="Specified VIP address does not exist on the specified VIP port.")
    return {"vip_address": fixed.ip_address, "vip_port_id": port.id, "vip_subnet_id": fixed.subnet_id,
            "vip_network_id": port.network_id, "owns_port": False, "additional_vips": []}


async def _subnet(asking: NetworkClient, asked: Asked) -> Subnet:
    """The one that is named, or that the address is in, or the first of the network, of IPv4 if there is one."""
    address = address_of(asked.address, "vip_address")
    if asked.subnet_id:
        subnet = await _known(asking, asked.subnet_id)
        if asked.network_id not in (None, subnet.network_id):
            raise Invalid(reason="Supplied network does not match the subnet.")
        return subnet
    if not asked.network_id:
        raise Invalid(reason="VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id.")
    if await asking.network(asked.network_id) is None:
        raise NoSuch(what="Network", id=asked.network_id)
    found = sorted(await asking.subnets(network_id=asked.network_id), key=lambda subnet: subnet.ip_version)
    if address is not None:
        found = [subnet for subnet in found if ip_address(address) in ip_network(subnet.cidr)]
    if not found:
        raise Invalid(reason="Supplied network does not contain a subnet"
                             + (" for VIP address specified." if address else "."))
    return found[0]


async def _known(asking: NetworkClient, subnet_id: str) -> Subnet:
    subnet = await asking.subnet(subnet_id)
    if subnet is None:
        raise NoSuch(what="Subnet", id=subnet_id)
    return subnet


def _fixed(subnet_id: str, address: str | None) -> dict[str, str]:
    plain = address_of(address, "vip_address")
    return {"subnet_id": subnet_id} | ({"ip_address": plain} if plain else {})


def _as_fault(error: Refused) -> Fault:
    kinds: dict[int, type[Fault]] = {409: Conflict, 404: NotFound}
    kind = kinds.get(error.status, BadRequest)
    return kind() if kind is NotFound else kind(reason=error.message)


async def change(ctx: Ctx, port_id: str, values: dict[str, Any]) -> None:
    """Of the port. Raises what the network does."""
    try:
        await app(ctx).network.call("PUT", f"/v2.0/ports/{port_id}", {"port": values})
    except Refused as error:
        raise _as_fault(error) from error
