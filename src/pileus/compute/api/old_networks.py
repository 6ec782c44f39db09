"""Networks by way of compute, for clients of before 2.36; the network service owns them."""

from __future__ import annotations

from typing import Any

from pileus.compute import versions
from pileus.compute.api.asking import ask_network
from pileus.kit.faults import NotFound
from pileus.kit.ids import is_uuid
from pileus.kit.policy import PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx

routes = Routes()
PROXY = until(versions.NO_PROXIES)
# What networks of compute's own had and those of the network service have not.
NOT_SAID = ("bridge", "bridge_interface", "broadcast", "cidr", "cidr_v6", "created_at", "deleted", "deleted_at",
            "dhcp_server", "dhcp_start", "dns1", "dns2", "enable_dhcp", "gateway", "gateway_v6", "host", "injected",
            "mtu", "multi_host", "netmask", "netmask_v6", "priority", "project_id", "rxtx_base", "share_address",
            "updated_at", "vlan", "vpn_private_address", "vpn_public_address", "vpn_public_port")


class NetworkNotFound(NotFound):
    message = "Network {network_id} could not be found."


def _rule(name: str) -> Rule:
    return Rule(f"os_compute_api:{name}", PROJECT_READER)


def _view(network: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys(NOT_SAID) | {"id": network["id"], "label": network["name"]}


def _short(network: dict[str, Any]) -> dict[str, Any]:
    return {"id": network["id"], "label": network["name"], "cidr": None}


async def _every(ctx: Ctx) -> list[dict[str, Any]]:
    return (await ask_network(ctx, "GET", "/v2.0/networks"))["networks"]


async def _one(ctx: Ctx, network_id: str) -> dict[str, Any]:
    if not is_uuid(network_id):
        raise NetworkNotFound(network_id=network_id)
    return (await ask_network(ctx, "GET", f"/v2.0/networks/{network_id}"))["network"]


@routes.get("/v2.1/os-networks", envelope="networks", window=PROXY, policy=_rule("os-networks:list"))
async def list_networks(ctx: Ctx) -> Page[dict[str, Any]]:
    return Page([_view(network) for network in await _every(ctx)])


@routes.get("/v2.1/os-networks/{network_id}", envelope="network", window=PROXY, policy=_rule("os-networks:show"))
async def show_network(ctx: Ctx, network_id: str) -> dict[str, Any]:
    return _view(await _one(ctx, network_id))


@routes.get("/v2.1/os-tenant-networks", envelope="networks", window=PROXY, policy=_rule("os-tenant-networks:list"))
async def list_tenant_networks(ctx: Ctx) -> Page[dict[str, Any]]:
    return Page([_short(network) for network in await _every(ctx)])


@routes.get("/v2.1/os-tenant-networks/{network_id}", envelope="network", window=PROXY,
            policy=_rule("os-tenant-networks:show"))
async def show_tenant_network(ctx: Ctx, network_id: str) -> dict[str, Any]:
    return _short(await _one(ctx, network_id))
