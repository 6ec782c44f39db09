"""Floating and fixed addresses by way of compute, for old clients; the network service owns them."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from pileus.compute import nics, versions
from pileus.compute.api.asking import NotThere, ask_network
from pileus.compute.api.servers import SERVER
from pileus.compute.api.values import any_address
from pileus.compute.model.servers import Seen
from pileus.kit.faults import BadRequest, Conflict
from pileus.kit.ids import is_uuid
from pileus.kit.policy import ANYONE, PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx
from pileus.network.client import PortDetail

routes = Routes()
ACTION = "/v2.1/servers/{server_id}/action"
PROXY, ACTIONS = until(versions.NO_PROXIES), until(versions.NO_ADDRESS_ACTIONS)
FLOATING = "/v2.0/floatingips"


class Allocate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pool: str | None = None                             # the name of an external network, or its id


class FloatingIpView(msgspec.Struct, kw_only=True):
    id: str
    ip: str
    fixed_ip: str | None
    instance_id: str | None
    pool: str | None


class Pool(msgspec.Struct, kw_only=True):
    name: str


def _rule(name: str, check: str = PROJECT_MEMBER) -> Rule:
    return Rule(f"os_compute_api:{name}", check)


# -- floating IPs of a project -----------------------------------------------------------------


async def _pools(ctx: Ctx, **query: Any) -> list[dict[str, Any]]:
    return (await ask_network(ctx, "GET", "/v2.0/networks", **{"router:external": "true"}, **query))["networks"]


def _view(row: dict[str, Any], pools: list[dict[str, Any]]) -> FloatingIpView:
    network_id, port = row["floating_network_id"], row["port_details"]
    name = next((pool["name"] for pool in pools if pool["id"] == network_id), "") or network_id
    return FloatingIpView(id=row["id"], ip=row["floating_ip_address"], fixed_ip=row["fixed_ip_address"], pool=name,
                          instance_id=(port["device_id"] or None) if port else None)


async def _views(ctx: Ctx, rows: list[dict[str, Any]]) -> list[FloatingIpView]:
    pools = await _pools(ctx, id=sorted({row["floating_network_id"] for row in rows})) if rows else []
    return [_view(row, pools) for row in rows]


def _path(floating_ip_id: str) -> str:
    if not is_uuid(floating_ip_id):
        raise NotThere(reason=f"Floating IP not found for ID {floating_ip_id}.")
    return f"{FLOATING}/{floating_ip_id}"


@routes.get("/v2.1/os-floating-ip-pools", envelope="floating_ip_pools", window=PROXY,
            policy=_rule("os-floating-ip-pools", ANYONE))
async def list_pools(ctx: Ctx) -> Page[Pool]:
    return Page([Pool(name=pool["name"] or pool["id"]) for pool in await _pools(ctx)])


@routes.get("/v2.1/os-floating-ips", envelope="floating_ips", window=PROXY,
            policy=_rule("os-floating-ips:list", PROJECT_READER))
async def list_floating_ips(ctx: Ctx) -> Page[FloatingIpView]:
    found = await ask_network(ctx, "GET", FLOATING, project_id=ctx.caller.project_id)
    return Page(await _views(ctx, found["floatingips"]))


@routes.get("/v2.1/os-floating-ips/{floating_ip_id}", envelope="floating_ip", window=PROXY,
            policy=_rule("os-floating-ips:show", PROJECT_READER))
async def show_floating_ip(ctx: Ctx, floating_ip_id: str) -> FloatingIpView:
    found = await ask_network(ctx, "GET", _path(floating_ip_id))
    return (await _views(ctx, [found["floatingip"]]))[0]


@routes.post("/v2.1/os-floating-ips", window=PROXY, policy=_rule("os-floating-ips:create"))
async def allocate_floating_ip(ctx: Ctx, body: Allocate | None) -> dict[str, FloatingIpView]:
    """From the pool that is named, or else from the only one, or the default one of several."""
    wanted, pools = body.pool if body else None, await _pools(ctx)
    fitting = [pool for pool in pools if wanted in (None, pool["id"], pool["name"])]
    if wanted is None and len(fitting) > 1:
        fitting = [pool for pool in fitting if pool["is_default"]]
    if not fitting:
        raise NotThere(reason=f"Floating IP pool {wanted} not found." if wanted else "Floating IP pool not found.")
    if len(fitting) > 1:
        raise Conflict(reason=f"Multiple floating IP pools matches found for name '{wanted}', use an ID to be more "
                              "specific.")
    made = await ask_network(ctx, "POST", FLOATING, {"floatingip": {"floating_network_id": fitting[0]["id"]}})
    return {"floating_ip": _view(made["floatingip"], fitting)}


@routes.delete("/v2.1/os-floating-ips/{floating_ip_id}", status=202, window=PROXY,
               policy=_rule("os-floating-ips:delete"))
async def release_floating_ip(ctx: Ctx, floating_ip_id: str) -> None:
    path = _path(floating_ip_id)
    port = (await ask_network(ctx, "GET", path))["floatingip"]["port_details"]
    await ask_network(ctx, "DELETE", path)
    await _tell(ctx, port["device_id"] if port else None)


# -- addresses of a server ---------------------------------------------------------------------


class AddFloating(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    address: str
    fixed_address: str | None = None


class RemoveFloating(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    address: str


class AddFixed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network_id: str | int = msgspec.field(name="networkId")


class RemoveFixed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    address: str


async def _tell(ctx: Ctx, *server_ids: str | None) -> None:
    """What servers tell of their addresses follows."""
    await nics.refresh(ctx.app, sorted({each for each in server_ids if each}))


async def _ports(ctx: Ctx, seen: Seen) -> list[PortDetail]:
    seen.server.must_not_be_locked(ctx.caller)
    return (await ctx.app.network.port_details([seen.id]))[seen.id]


async def _floating(ctx: Ctx, address: str) -> dict[str, Any]:
    found = await ask_network(ctx, "GET", FLOATING, floating_ip_address=any_address(address, "address"))
    if not found["floatingips"]:
        raise NotThere(reason="floating IP not found")
    return found["floatingips"][0]


def _port_for(seen: Seen, ports: list[PortDetail], wanted: str | None) -> tuple[PortDetail, str]:
    """The port and the fixed address that a floating one is to lead to: the asked one, or the first it can lead to."""
    found = [(port, each.ip_address) for port in ports for each in port.addresses]
    if not found:
        raise BadRequest(reason="No fixed IPs associated to instance")
    if wanted is not None:
        found = [(port, address) for port, address in found if address == wanted]
        if not found:
            raise BadRequest(reason="Specified fixed address not assigned to instance")
    found = [(port, address) for port, address in found if ipaddress.ip_address(address).version == 4]
    if not found:
        raise BadRequest(reason=f"Unable to associate floating IP to any fixed IPs for instance {seen.id}. Instance "
                                "has no fixed IPv4 addresses to associate.")
    return found[0]


@routes.action(ACTION, "addFloatingIp", target=SERVER, window=ACTIONS, policy=_rule("os-floating-ips:add"))
async def add_floating_ip(ctx: Ctx, seen: Seen, body: AddFloating) -> None:
    """One that leads elsewhere leads here from now on."""
    ports, row = await _ports(ctx, seen), await _floating(ctx, body.address)
    wanted = None if body.fixed_address is None else any_address(body.fixed_address, "fixed_address")
    port, fixed = _port_for(seen, ports, wanted)
    await ask_network(ctx, "PUT", f"{FLOATING}/{row['id']}", {"floatingip": {
        "port_id": port.id, "fixed_ip_address": fixed}})
    await _tell(ctx, seen.id, row["port_details"] and row["port_details"]["device_id"])


@routes.action(ACTION, "removeFloatingIp", target=SERVER, window=ACTIONS, policy=_rule("os-floating-ips:remove"))
async def remove_floating_ip(ctx: Ctx, seen: Seen, body: RemoveFloating) -> None:
    ports, row = await _ports(ctx, seen), await _floating(ctx, body.address)
    if row["port_id"] not in [port.id for port in ports]:
        raise Conflict(reason=f"Floating IP {body.address} is not associated with instance {seen.id}.")
    await ask_network(ctx, "PUT", f"{FLOATING}/{row['id']}", {"floatingip": {"port_id": None}})
    await _tell(ctx, seen.id)


def _fixed(port: PortDetail) -> list[dict[str, str]]:
    return [{"subnet_id": each.subnet_id, "ip_address": each.ip_address} for each in port.addresses]


@routes.action(ACTION, "addFixedIp", target=SERVER, window=ACTIONS, policy=_rule("os-multinic:add"))
async def add_fixed_ip(ctx: Ctx, seen: Seen, body: AddFixed) -> None:
    """One more address for the server's port on the network, of the first subnet that has one."""
    port = next((port for port in await _ports(ctx, seen) if port.network_id == body.network_id), None)
    if port is None:
        raise BadRequest(reason=f"Instance {seen.id} has no port on network {body.network_id}.")
    subnets = (await ask_network(ctx, "GET", "/v2.0/subnets", network_id=port.network_id))["subnets"]
    refusal: BadRequest | None = None
    for subnet in subnets:
        wanted = [*_fixed(port), {"subnet_id": subnet["id"]}]
        try:
            await ask_network(ctx, "PUT", f"/v2.0/ports/{port.id}", {"port": {"fixed_ips": wanted}})
        except BadRequest as error:                     # it is full, or hands out addresses in another way
            refusal = error
        else:
            return await _tell(ctx, seen.id)
    raise refusal or BadRequest(reason=f"Network {port.network_id} has no subnet.")


@routes.action(ACTION, "removeFixedIp", target=SERVER, window=ACTIONS, policy=_rule("os-multinic:remove"))
async def remove_fixed_ip(ctx: Ctx, seen: Seen, body: RemoveFixed) -> None:
    address, ports = any_address(body.address, "address"), await _ports(ctx, seen)
    port = next((port for port in ports if address in [each.ip_address for each in port.addresses]), None)
    if port is None:
        raise BadRequest(reason=f"Fixed IP {body.address} not found for instance {seen.id}.")
    left = [each for each in _fixed(port) if each["ip_address"] != address]
    await ask_network(ctx, "PUT", f"/v2.0/ports/{port.id}", {"port": {"fixed_ips": left}})
    await _tell(ctx, seen.id)
