"""/v2.0/ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.network import binding, faults, promises
from pileus.network.allocation import Wanted
from pileus.network.api import listing
from pileus.network.api.listing import Query
from pileus.network.api.policies import MEMBER, NETWORK_OWNER_MEMBER, NETWORK_OWNER_READER
from pileus.network.api.port_shapes import (
    LISTING,
    PORT,
    VNIC_TYPES,
    Around,
    PortCreate,
    PortUpdate,
    PortView,
    Seen,
    facts,
    view,
    views,
    visible,
)
from pileus.network.api.qos import may_change, must_have
from pileus.network.api.shapes import app, check_revision, given, must_allow, owner, texts
from pileus.network.api.trunks import follow, must_be_untied
from pileus.network.model import (
    base,
    local_ips,
    ndp_proxies,
    networks,
    port_forwardings,
    ports,
    quotas,
    rbac,
    routers,
    security_groups,
)
from pileus.network.model.networks import Network
from pileus.network.model.port_sides import Side
from pileus.network.model.ports import AddressPair, DhcpOption, Port
from pileus.network.new_ports import MadePort, NewPort, add_ports, readdress
from pileus.network.sagas.tell_compute import tell_compute

routes = Routes()
BOUND = ("host", "device_id", "device_owner", "profile")      # what making a port again changes


@routes.get("/v2.0/ports", envelope="ports", policy=Rule("get_port", NETWORK_OWNER_READER))
async def list_ports(ctx: Ctx, query: Query) -> Page[PortView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(ctx, reader, found.rows), extra=found.links)


@routes.get("/v2.0/ports/{port_id}", envelope="port", target=PORT, policy=Rule("get_port", NETWORK_OWNER_READER))
async def show_port(ctx: Ctx, seen: Seen) -> PortView:
    async with ctx.db.read() as reader:
        return (await views(ctx, reader, [seen.port]))[0]


# -- making ---------------------------------------------------------------------------------


@routes.post("/v2.0/ports", envelope="port", bulk="ports", status=201, policy=Rule("create_port", MEMBER))
async def create_ports(ctx: Ctx, body: list[PortCreate]) -> list[PortView]:
    """A service may choose the ids; ports that are there already are then bound as asked and told, not made again."""
    config, now = app(ctx).config, ctx.clock()
    owners = [owner(ctx, each) for each in body]
    async with ctx.db.write() as tx:
        known = await _known(ctx, tx, body)
        todo = [(each, project) for each, project in zip(body, owners, strict=True) if each.id not in known]
        default_of = {}
        for project_id in sorted({project for _, project in todo}):
            default_of[project_id] = await security_groups.project(tx, project_id, now)
            count = sum(project == project_id for _, project in todo)
            await quotas.must_have_room(tx, project_id, config.quotas, "port", count)
        nets = await networks.by_ids(tx, {each.network_id for each, _ in todo})
        foreign = [network.id for network in nets.values() if network.project_id != ctx.caller.project_id]
        seen = Given(await rbac.given(tx, "network", foreign, ctx.caller.project_id),
                     await rbac.given(tx, "network", foreign, ctx.caller.project_id, rbac.SHARED))
        await _must_have_groups(ctx, tx, [each.security_groups or [] for each, _ in todo])
        await must_have(ctx, tx, (each.qos_policy_id for each, _ in todo))
        new = [_new(ctx, (each, project, default_of[project]), nets, seen) for each, project in todo]
        made = await add_ports(tx, config.mac_prefix, new) if new else []
        app(ctx).changed(tx)
        again = await _rebound(ctx, tx, known, body) if known else {}
        fresh = iter(await _new_views(ctx, tx, made, nets))
    return [again[str(each.id)] if str(each.id) in known else next(fresh) for each in body]


async def _new_views(ctx: Ctx, tx: Connection, made: list[MadePort], nets: Mapping[str, Network]) -> list[PortView]:
    """Nothing is read again of what was just made, unless policies make promises."""
    if any(one.port.qos_policy_id or nets[one.port.network_id].qos_policy_id for one in made):
        return await views(ctx, tx, [one.port for one in made])
    shows, domain = ctx.allows("get_port:binding:host_id"), app(ctx).config.dns_domain
    return [view(one.port, Around(addresses=one.addresses, side=Side(groups=sorted(one.group_ids), tags=one.tags)),
                 domain, shows) for one in made]


async def _known(ctx: Ctx, tx: Connection, body: list[PortCreate]) -> dict[str, Port]:
    ids = [each.id for each in body if each.id is not UNSET]
    if not ids:
        return {}
    must_allow(ctx, "create_port:id")
    return await ports.by_ids(tx, ids)


async def _rebound(ctx: Ctx, tx: Connection, known: dict[str, Port], body: list[PortCreate]) -> dict[str, PortView]:
    nets = await networks.by_ids(tx, {port.network_id for port in known.values()})
    rows = []
    for each in body:
        if (port := known.get(str(each.id))) is not None:
            network = nets[port.network_id]
            if port.device_id and each.device_id and port.device_id != each.device_id:
                raise faults.PortInUse(port_id=port.id, network_id=network.id, device_id=port.device_id)
            wanted = {name: value for name, value in given(each).items() if name in BOUND}
            values = _changes(ctx, Seen(port, network), wanted)
            rows.append(await base.change(tx, ports.ports, port, ctx.clock(), **values) if values else port)
            if "host" in values:
                await follow(ctx, tx, rows[-1])
    return {shown.id: shown for shown in await views(ctx, tx, rows)}


class Given(msgspec.Struct, frozen=True):
    """Networks of others that the caller may see, and those it may have ports on."""

    seen: set[str]
    shared: set[str]


def _new(ctx: Ctx, asked: tuple[PortCreate, str, str], nets: Mapping[str, Network], given_to: Given) -> NewPort:
    (body, project_id, default_group), network = asked, nets.get(asked[0].network_id)
    mine = network is not None and network.project_id == ctx.caller.project_id
    if network is None or not (mine or network.id in given_to.seen or ctx.allows("create_port:id")):
        raise faults.NetworkNotFound(network_id=body.network_id)
    if not (mine or network.id in given_to.shared or ctx.allows("create_port:id")):
        raise faults.PolicyNotAuthorized(rule="create_port")
    now = ctx.clock()
    blank = Port(id=body.id or new_uuid(), project_id=project_id, created_at=now, updated_at=now,
                 network_id=network.id, mac_address="", port_security_enabled=network.port_security_enabled)
    _may_set(ctx, body, Seen(blank, network), "create_port")
    values = _checked(texts(given(body)))
    values["mac_address"] = values.get("mac_address") or ""
    fixed_ips, groups = values.pop("fixed_ips", None), values.pop("security_groups", None)
    host, tags = values.pop("host", "") or "", sorted(set(values.pop("tags", None) or []))
    _trusting(blank, values)
    for name in ("id", "network_id"):
        values.pop(name, None)
    port = msgspec.structs.replace(blank, **values)
    if groups is None:
        guest = not port.device_owner.startswith("network:")
        groups = [default_group] if guest and port.port_security_enabled else []
    _check_security(port, groups)
    if host:
        port = msgspec.structs.replace(port, **binding.bound(app(ctx).judge, port, network, host))
    return NewPort(port=port, fixed_ips=fixed_ips, group_ids=list(dict.fromkeys(groups)), tags=tags)


def _may_set(ctx: Ctx, body: PortUpdate, seen: Seen, verb: str) -> None:
    target = facts(seen) | {"device_owner_kind": (body.device_owner or "").partition(":")[0]}
    asked = {
        "binding:host_id": body.host not in (UNSET, None, ""), "binding:profile": bool(body.profile),
        "mac_address": bool(body.mac_address) or body.mac_address is None and verb == "update_port",
        "trusted": body.trusted is not UNSET, "hints": bool(body.hints),
        "data_plane_status": body.data_plane_status is not UNSET,
        "port_security_enabled": body.port_security_enabled is not UNSET,
        "allowed_address_pairs": bool(body.allowed_address_pairs), "device_owner": bool(body.device_owner),
        "fixed_ips:ip_address": any(fixed.ip_address for fixed in body.fixed_ips or ())}
    for name, is_asked in asked.items():
        if is_asked:
            must_allow(ctx, f"{verb}:{name}", target)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """The same values as columns have them."""
    if values.get("mac_address"):
        values["mac_address"] = values["mac_address"].lower().replace("-", ":")
    if values.get("hints"):
        values["hints"] = msgspec.to_builtins(values["hints"])
    if values.get("vnic_type", "normal") not in VNIC_TYPES:
        raise faults.InvalidInput(reason=f"'{values['vnic_type']}' is not in {list(VNIC_TYPES)}")
    if values.get("allowed_address_pairs", UNSET) is not UNSET:
        values["allowed_address_pairs"] = [_pair(pair) for pair in values["allowed_address_pairs"] or []]
    for name, empty in (("profile", {}), ("extra_dhcp_opts", [])):
        if name in values and values[name] is None:
            values[name] = empty
    return values


def _pair(pair: AddressPair) -> AddressPair:
    try:
        ip = ip_network(pair.ip_address, strict=False)
    except ValueError:
        raise faults.InvalidInput(reason=f"'{pair.ip_address}' is not a valid IP address") from None
    if ip.is_multicast:
        raise faults.InvalidInput(reason=f"'{pair.ip_address}' is a multicast address, which no port has for its own")
    text = str(ip) if "/" in pair.ip_address else str(ip.network_address)
    return AddressPair(text, pair.mac_address.lower() if pair.mac_address else None)


def _trusting(port: Port, values: dict[str, Any]) -> None:
    """Whether the port is trusted is told beside the binding's profile and in it, whoever sets the profile."""
    said = values.pop("trusted", UNSET)
    if said is UNSET:
        said = port.profile.get("trusted", UNSET) if "profile" in values else UNSET
    if said is not UNSET:
        values["profile"] = values.get("profile", port.profile) | {"trusted": said}


def _check_security(port: Port, group_ids: list[str]) -> None:
    if port.port_security_enabled:
        return
    if group_ids:
        raise faults.GroupsWithoutSecurity()
    if port.allowed_address_pairs:
        raise faults.PairWithoutSecurity()


async def _must_have_groups(ctx: Ctx, tx: Connection, asked: Sequence[Sequence[str]]) -> None:
    """The groups of each port: all of them known, each once, and all stateful or none."""
    for own in asked:
        if len(set(own)) < len(own):
            raise faults.InvalidInput(reason=f"Duplicate items in the list: '{', '.join(own)}'")
    ids = {group_id for own in asked for group_id in own}
    known = await security_groups.by_ids(tx, ids) if ids else {}
    foreign = [group.id for group in known.values() if group.project_id != ctx.caller.project_id]
    shared = await rbac.given(tx, "security_group", foreign, ctx.caller.project_id)
    for group_id in sorted(ids):
        group = known.get(group_id)
        if group is None or not (ctx.allows("create_port:id") or group.project_id == ctx.caller.project_id
                                 or group_id in shared):
            raise faults.GroupNotFound(security_group_id=group_id)
    if any(len({known[group_id].stateful for group_id in own}) > 1 for own in asked):
        raise faults.MixedGroups()


# -- changing -------------------------------------------------------------------------------


@routes.put("/v2.0/ports/{port_id}", envelope="port", target=PORT, policy=Rule("update_port", NETWORK_OWNER_MEMBER))
async def update_port(ctx: Ctx, seen: Seen, body: PortUpdate) -> PortView:
    check_revision(ctx, seen.port)
    _may_set(ctx, body, seen, "update_port")
    if body.qos_policy_id in (UNSET, seen.port.qos_policy_id):
        return await _update(ctx, seen, body, {})
    async with ctx.db.read() as reader:
        await may_change(ctx, reader, seen.port.qos_policy_id, body.qos_policy_id or None)
    async with promises.kept(ctx, seen.network, [(seen.port, body.qos_policy_id or seen.network.qos_policy_id)]) as new:
        return await _update(ctx, seen, body, {"profile": new[seen.port.id]})


async def _update(ctx: Ctx, seen: Seen, body: PortUpdate, more: dict[str, Any]) -> PortView:
    port, now = seen.port, ctx.clock()
    values = _checked(texts(more | given(body)))
    fixed_ips, groups = values.pop("fixed_ips", None), values.pop("security_groups", UNSET)
    async with ctx.db.write() as tx:
        if groups is not UNSET:
            await _must_have_groups(ctx, tx, [groups or []])
        _trusting(port, values)
        have: list[str] = (await ports.groups_of(tx, [port.id]))[port.id] if groups is UNSET else groups or []
        if "extra_dhcp_opts" in values:
            values["extra_dhcp_opts"] = _merged(port.extra_dhcp_opts, values["extra_dhcp_opts"])
        if "mac_address" in values and not values["mac_address"]:
            values["mac_address"] = (await ports.free_macs(tx, app(ctx).config.mac_prefix, [port.network_id]))[0]
        values = _changes(ctx, seen, values)
        after = msgspec.structs.replace(port, **values)
        if port.port_security_enabled and not after.port_security_enabled and have and groups is UNSET:
            raise faults.SecurityOffWithGroups()
        _check_security(after, have)
        if port.device_owner == ports.DHCP and after.admin_state_up != port.admin_state_up:
            values["status"] = ports.DOWN                # until it is served again
        if after.mac_address != port.mac_address:
            await _new_mac(tx, port, after.mac_address)
        row = await base.change(tx, ports.ports, port, now, **values)
        if "host" in values:
            await follow(ctx, tx, row)
        if fixed_ips is not None:
            await _new_addresses(tx, row, fixed_ips)
            await tell_compute(ctx.sagas, tx, row.id)
        if groups is not UNSET:
            await tx.execute(ports.port_groups.delete().where(ports.port_groups.c.port_id == port.id))
            await ports.set_groups(tx, {port.id: have})
        app(ctx).changed(tx)
        return (await views(ctx, tx, [row]))[0]


def _merged(have: list[DhcpOption], said: list[DhcpOption]) -> list[DhcpOption]:
    """An option that is spoken of replaces the one of its name, or without a value removes it; the others stay."""
    found = {(option.opt_name, option.ip_version): option for option in (*have, *said)}
    return [option for option in found.values() if option.opt_value is not None]


def _changes(ctx: Ctx, seen: Seen, values: dict[str, Any]) -> dict[str, Any]:
    """What is other than before; a port that goes to another host is bound anew."""
    host = values.pop("host", UNSET)
    values = {name: value for name, value in values.items() if value != getattr(seen.port, name)}
    if host is not UNSET and (host or "") != seen.port.host:
        if "profile" not in values and binding.ALLOCATION in seen.port.profile:        # which was the other host's
            values["profile"] = {name: value for name, value in seen.port.profile.items()
                                 if name != binding.ALLOCATION}
        after = msgspec.structs.replace(seen.port, **values)
        values |= binding.bound(app(ctx).judge, after, seen.network, host or "")
    return values


async def _new_mac(tx: Connection, port: Port, mac: str) -> None:
    if port.host:
        raise faults.PortBound(port_id=port.id, kind=port.vif_type, mac=port.mac_address)
    if await ports.has_mac(tx, port.network_id, mac):
        raise faults.MacInUse(network_id=port.network_id, mac=mac)


async def _new_addresses(tx: Connection, port: Port, fixed_ips: list[Wanted]) -> None:
    kept = {address.ip for address in await readdress(tx, port, fixed_ips)}
    await local_ips.readdressed(tx, port.id, kept)
    await ndp_proxies.readdressed(tx, port.id, kept)
    for floating in await routers.floating_ips_of(tx, [port.id]):
        if floating.fixed_ip_address not in kept:
            await routers.dissociate(tx, floating.port_id or "", floating.fixed_ip_address)


@routes.delete("/v2.0/ports/{port_id}", target=PORT, policy=Rule("delete_port", NETWORK_OWNER_MEMBER))
async def delete_port(ctx: Ctx, seen: Seen) -> None:
    check_revision(ctx, seen.port)
    port = seen.port
    async with ctx.db.write() as tx:
        if port.device_owner in (*ports.ROUTER_OWNERS, ports.FLOATING_IP) and await _is_owned(tx, port.id):
            raise faults.PortOwned(port_id=port.id, reason=f"has device owner {port.device_owner}")
        await must_be_untied(tx, port.id)
        await routers.dissociate(tx, port.id)
        try:
            await base.remove(tx, ports.ports, port.id)
            await port_forwardings.let_go(tx)
        except db.Taken as error:
            raise faults.PortOwned(port_id=port.id, reason=f"has device owner {port.device_owner}") from error
        app(ctx).changed(tx)


async def _is_owned(tx: Connection, port_id: str) -> bool:
    query = sa.select(routers.floating_ips.c.id).where(routers.floating_ips.c.floating_port_id == port_id)
    return await routers.owner_of(tx, port_id) is not None or await db.scalar(tx, query) is not None
