"""Everything compute asks of the network service: which cards a server gets, their ports, what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from pileus.compute.faults import (
    BadNetwork,
    BadPort,
    BadSecurityGroup,
    NetworkAmbiguous,
    PolicyOfNetwork,
    PortInUse,
)
from pileus.compute.guest_data import Link, Subnet
from pileus.compute.model import servers
from pileus.compute.model.servers import Address, Nic, Server
from pileus.compute.runtime import Compute
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest
from pileus.kit.ids import is_uuid
from pileus.kit.web import Ctx
from pileus.network.client import NetworkClient, NewPort, PortDetail


class NicWish(msgspec.Struct, frozen=True, kw_only=True):
    """A network card as asked for. `port_id` is given, or made by us before the port is."""

    network_id: str
    port_id: str = ""
    given: bool = False
    fixed_ip: str | None = None
    group_ids: tuple[str, ...] = ()
    tag: str | None = None


# -- what a user asks for, seen with the user's own eyes -----------------------------------------


async def wishes_of(ctx: Ctx, networks: Any, groups: Sequence[Any]) -> list[NicWish]:
    """The cards of a new server: those asked for, or one on the project's only network. Raises what is wrong."""
    seen_by_user: NetworkClient = ctx.app.network.as_caller(ctx.caller.token)
    if networks == "none":
        return []
    group_ids = await _group_ids(ctx, seen_by_user, [group.name for group in groups])
    if isinstance(networks, list) and networks:
        return await _asked(seen_by_user, networks, group_ids)
    available = await seen_by_user.networks_for(ctx.caller.project_id or "")
    usable = [network for network in available if network.subnets]
    if len(usable) > 1:
        raise NetworkAmbiguous()
    if not usable and networks == "auto":
        return [NicWish(network_id=await _allocated(ctx, seen_by_user), group_ids=group_ids)]
    return [NicWish(network_id=network.id, group_ids=group_ids) for network in usable]


async def _allocated(ctx: Ctx, client: NetworkClient) -> str:
    """The network that the network service makes, once, for a project that wants any."""
    try:
        found = await client.call("GET", f"/v2.0/auto-allocated-topology/{ctx.caller.project_id}")
    except Refused as error:
        if error.status >= 500:
            raise
        raise BadRequest(reason="Unable to automatically allocate a network for project "
                                f"{ctx.caller.project_id}: {error.message}") from error
    return found["auto_allocated_topology"]["id"]


async def _group_ids(ctx: Ctx, client: NetworkClient, names: list[str]) -> tuple[str, ...]:
    """`default`, and no groups at all, are what the network service does by itself."""
    wanted = list(dict.fromkeys(names))
    if wanted in ([], ["default"]):
        return ()
    try:
        found = await client.security_groups(ctx.caller.project_id or "", wanted)
    except KeyError as error:
        raise BadSecurityGroup(name=error.args[0]) from None
    return tuple(found[name].id for name in wanted)


async def _asked(client: NetworkClient, networks: list[Any], group_ids: tuple[str, ...]) -> list[NicWish]:
    found: list[NicWish] = []
    for each in networks:
        if each.port is not None:
            found.append(msgspec.structs.replace(await _given(client, each.port), tag=each.tag))
        elif each.uuid is None:
            raise BadRequest(reason="Bad networks format: each one needs a network uuid or a port.")
        else:
            network = await client.network(each.uuid) if is_uuid(each.uuid) else None
            if network is None:
                raise BadNetwork(network_id=each.uuid)
            if not network.subnets:
                raise BadRequest(reason=f"Network {each.uuid} requires a subnet in order to boot instances on.")
            found.append(NicWish(network_id=network.id, fixed_ip=each.fixed_ip, group_ids=group_ids,
                                 tag=each.tag))
    ports = [wish.port_id for wish in found if wish.given]
    if len(set(ports)) != len(ports):
        raise BadRequest(reason="The same port was asked for twice.")
    return found


async def _given(client: NetworkClient, port_id: str) -> NicWish:
    port = await client.show_port(port_id) if is_uuid(port_id) else None
    if port is None:
        raise BadPort(port_id=port_id)
    if port.device_id:
        raise PortInUse(port_id=port_id)
    return NicWish(network_id=port.network_id, port_id=port.id, given=True)


# -- what sagas bring about ----------------------------------------------------------------------


Profiles = Mapping[str, dict[str, Any]]            # by port


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """`groups`: names of the security groups that the ports have."""

    nics: tuple[Nic, ...] = ()
    groups: tuple[str, ...] = ()


async def ensure(compute: Compute, server: Server, wishes: list[NicWish], host: str,
                 profiles: Profiles | None = None) -> Made:
    """Ports for all the wishes, bound to `host`, with one request. Raises Refused, with nothing made; and
    PolicyOfNetwork where ports that were made are promised what nobody claimed."""
    wanted = [_new_port(server, wish, host, (profiles or {}).get(wish.port_id)) for wish in wishes]
    for port in await compute.network.ensure_ports(wanted):
        if port.resource_request is not None and port.id not in (profiles or {}):
            raise PolicyOfNetwork(server_id=server.id, network_id=port.network_id)
    details = (await compute.network.port_details([server.id]))[server.id]
    by_id = {detail.id: detail for detail in details}
    return Made(nics=tuple(nic_of(by_id[wish.port_id], ours=not wish.given, tag=wish.tag) for wish in wishes),
                groups=tuple(dict.fromkeys(name for each in details for name in each.security_group_names)))


def _new_port(server: Server, wish: NicWish, host: str, profile: dict[str, Any] | None) -> NewPort:
    if wish.given:
        return NewPort(id=wish.port_id, network_id=wish.network_id, device_id=server.id, host=host,
                       profile=UNSET if profile is None else profile)
    return NewPort(
        id=wish.port_id, network_id=wish.network_id, device_id=server.id, host=host, project_id=server.project_id,
        security_groups=list(wish.group_ids) or UNSET, dns_name=server.hostname.partition(".")[0],
        fixed_ips=[{"ip_address": wish.fixed_ip}] if wish.fixed_ip else UNSET)


def nic_of(detail: PortDetail, *, ours: bool, tag: str | None = None) -> Nic:
    addresses: list[Address] = []
    for each in detail.addresses:
        addresses.append(Address(address=each.ip_address, version=6 if ":" in each.ip_address else 4))
        addresses += [Address(address=floating, version=4, type="floating") for floating in each.floating_ips]
    return Nic(port_id=detail.id, network_id=detail.network_id, network_name=detail.network_name,
               mac=detail.mac_address, mtu=detail.mtu, ours=ours, addresses=tuple(addresses), tag=tag)


async def remove(compute: Compute, wishes: Iterable[NicWish]) -> None:
    """Ports of ours go; those that were given are let go of."""
    for wish in wishes:
        await _remove(compute, wish.port_id, ours=not wish.given)


async def move(compute: Compute, server: Server, host: str, profiles: Profiles | None = None) -> None:
    """All ports of the server bound to `host`, some with new profiles."""
    for nic in server.nics:
        await compute.network.bind_port(nic.port_id, host, server.id, profile=(profiles or {}).get(nic.port_id))


async def leave_host(compute: Compute, server: Server) -> None:
    """The ports stay the server's, and are on no host."""
    await move(compute, server, "")


async def remove_one(compute: Compute, nic: Nic) -> None:
    await _remove(compute, nic.port_id, ours=nic.ours)


async def remove_all(compute: Compute, server_id: str, nics: tuple[Nic, ...]) -> None:
    """The same for all that a server has, whoever made it."""
    ours = {nic.port_id for nic in nics if nic.ours}
    for port in await compute.network.ports_of(server_id):
        await _remove(compute, port.id, ours=port.id in ours)


async def _remove(compute: Compute, port_id: str, *, ours: bool) -> None:
    if ours:
        await compute.network.ensure_no_port(port_id)
    else:
        await compute.network.unbind_port(port_id)


async def not_up(compute: Compute, server_id: str) -> list[str]:
    """Ports of the server that carry no packets yet."""
    details = (await compute.network.port_details([server_id]))[server_id]
    return [detail.id for detail in details if detail.status != "ACTIVE"]


async def refresh(compute: Compute, server_ids: list[str]) -> None:
    """Write down anew what the ports of these servers are."""
    details = await compute.network.port_details(server_ids)
    for server_id in server_ids:
        async with compute.db.write() as tx:
            server = await servers.find(tx, server_id)
            if server is None or not server.nics:
                continue
            by_id = {detail.id: detail for detail in details[server_id]}
            found = tuple(nic_of(by_id[nic.port_id], ours=nic.ours, tag=nic.tag)
                          for nic in server.nics if nic.port_id in by_id)
            if found != server.nics:
                await servers.change(tx, server, compute.clock(), nics=found)


async def links(compute: Compute, server: Server) -> list[Link]:
    """The server's cards with their subnets, for the guest's own network configuration."""
    details = {detail.id: detail for detail in (await compute.network.port_details([server.id]))[server.id]}
    found: list[Link] = []
    for nic in server.nics:
        detail = details.get(nic.port_id)
        subnets = {each.id: each for each in detail.subnets} if detail else {}
        found.append(Link(nic=nic, subnets=tuple(
            _subnet(subnets[address.subnet_id]) for address in (detail.addresses if detail else ())
            if address.subnet_id in subnets)))
    return found


def _subnet(each: Any) -> Subnet:
    return Subnet(id=each.id, cidr=each.cidr, gateway_ip=each.gateway_ip, enable_dhcp=each.enable_dhcp,
                  dns_nameservers=tuple(each.dns_nameservers), host_routes=tuple(each.host_routes),
                  ipv6_address_mode=each.ipv6_address_mode)
