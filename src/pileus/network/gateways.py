"""The gateways of a router: its legs on external networks, in order. Whoever changes them holds the router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network import faults, gateway_faults
from pileus.network.addresses import canonical
from pileus.network.allocation import Wanted
from pileus.network.legs import addresses_with_subnets, must_be_apart
from pileus.network.model import base, gateways, networks, routers
from pileus.network.model import ports as port_model
from pileus.network.model import subnets as subnet_model
from pileus.network.model.gateways import Gateway
from pileus.network.model.ports import ROUTER_GATEWAY, Port, ports
from pileus.network.model.routers import Router, floating_ips
from pileus.network.new_ports import NewPort, add_ports, readdress

MOST = 16                 # of one router: each takes an address, and none counts as a floating IP


class GatewayAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether addresses are translated, and the policy, are matters of the router; they are heeded of the first."""

    network_id: str | None = None
    enable_snat: bool | UnsetType = UNSET
    external_fixed_ips: list[Wanted] | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET

    @property
    def wanted(self) -> list[Wanted] | None:
        return None if self.external_fixed_ips is UNSET else self.external_fixed_ips or None


class Change:
    """Of one router's gateways. Each call returns what columns of the router's row become."""

    def __init__(self, tx: Connection, router: Router, mac_prefix: str, now: float):
        self.tx, self.router, self.mac_prefix, self.now = tx, router, mac_prefix, now

    async def set_first(self, asked: GatewayAsked | None) -> dict[str, Any]:
        """None takes it away, and the one after it becomes the first."""
        have = await gateways.of_router(self.tx, self.router)
        if asked is None or asked.network_id is None:
            return await self._settle(have, have[1:])
        if have and have[0].network_id == asked.network_id:
            await self._readdress(have[0], asked)
            return self._manner(asked)
        first = await self._make(asked, have[1:])
        return await self._settle(have, [first, *have[1:]]) | self._manner(asked)

    async def add(self, asked: Sequence[GatewayAsked]) -> dict[str, Any]:
        have = await gateways.of_router(self.tx, self.router)
        wanted = list(have)
        self._must_have_room(len(have) + len(asked))
        for each in asked:
            wanted.append(await self._make(each, wanted))
        manner = self._manner(asked[0]) if asked and not have else {}
        return await self._settle(have, wanted) | manner

    async def remove(self, asked: Sequence[GatewayAsked]) -> dict[str, Any]:
        """Each by its network, and by its addresses where there are several on the network."""
        have = await gateways.of_router(self.tx, self.router)
        if asked and not have:
            raise gateway_faults.GatewaysNotRemovable(router_id=self.router.id, reason="it has none")
        gone = []
        for each in asked:
            found = await self._find(each, have)
            if found is None:
                raise gateway_faults.GatewaysNotMatched(router_id=self.router.id, network_id=each.network_id)
            gone.append(found)
        return await self._settle(have, [way for way in have if way not in gone])

    async def replace(self, asked: Sequence[GatewayAsked]) -> dict[str, Any]:
        """Those that are there already stay, and may change their addresses; the rest is made or goes."""
        have, wanted = await gateways.of_router(self.tx, self.router), list[Gateway]()
        self._must_have_room(len(asked))
        kept = [await self._find(each, have) for each in asked]
        for each, found in zip(asked, kept, strict=True):
            if found is None or found in wanted:
                stay = [way for way in kept if way is not None]
                wanted.append(await self._make(each, [*wanted, *stay]))
            else:
                await self._readdress(found, each)
                wanted.append(found)
        return await self._settle(have, wanted) | (self._manner(asked[0]) if asked else {})

    def _must_have_room(self, count: int) -> None:
        if count > MOST:
            raise gateway_faults.TooManyGateways(router_id=self.router.id, most=MOST)

    def _manner(self, asked: GatewayAsked) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if asked.enable_snat is not UNSET:
            values["enable_snat"] = asked.enable_snat
        if asked.qos_policy_id is not UNSET:
            values["qos_policy_id"] = asked.qos_policy_id
        return values

    async def _find(self, asked: GatewayAsked, have: Sequence[Gateway]) -> Gateway | None:
        near = [way for way in have if way.network_id == asked.network_id]
        if asked.wanted is None:
            if len(near) > 1:
                raise gateway_faults.GatewaysNotMatched(router_id=self.router.id, network_id=asked.network_id)
            return near[0] if near else None
        named = {canonical(each.ip_address) for each in asked.wanted if each.ip_address}
        held = await subnet_model.addresses_of(self.tx, [way.port_id for way in near])
        return next((way for way in near if named & {address.ip for address in held[way.port_id]}), None)

    async def _readdress(self, way: Gateway, asked: GatewayAsked) -> None:
        if asked.wanted is not None:
            await readdress(self.tx, await port_model.get(self.tx, way.port_id), asked.wanted)
            await base.bump(self.tx, ports, way.port_id, self.now)

    async def _make(self, asked: GatewayAsked, beside: Sequence[Gateway]) -> Gateway:
        """Several may be on one network; those on different ones may not overlap, nor with what is inside."""
        network = await networks.find(self.tx, asked.network_id or "")
        if network is None:
            raise faults.NetworkNotFound(network_id=asked.network_id)
        if not network.external:
            raise faults.BadRouterRequest(reason=f"Network {network.id} is not an external network")
        inside = await routers.interface_ports(self.tx, self.router.id)
        away = [way.port_id for way in beside if way.network_id != network.id]
        others = [subnet for _, subnet in await addresses_with_subnets(self.tx, [*inside, *away])]
        outside = await subnet_model.of_network(self.tx, network.id)
        must_be_apart([subnet for subnet in outside if subnet.ip_version == 4], others)
        port = Port(id=new_uuid(), project_id="", created_at=self.now, updated_at=self.now, network_id=network.id,
                    mac_address="", device_id=self.router.id, device_owner=ROUTER_GATEWAY, port_security_enabled=False)
        await add_ports(self.tx, self.mac_prefix, [NewPort(port=port, fixed_ips=asked.wanted)])
        return Gateway(port_id=port.id, network_id=network.id)

    async def _settle(self, have: list[Gateway], wanted: list[Gateway]) -> dict[str, Any]:
        gone = [way for way in have if way not in wanted]
        for network_id in {way.network_id for way in gone} - {way.network_id for way in wanted}:
            await self._must_be_spare(network_id)
        await gateways.record(self.tx, self.router.id, have, wanted)
        if have and have[0] in gone:
            await self.tx.execute(routers.routers.update().where(routers.routers.c.id == self.router.id).values(
                gateway_port_id=None))
        for way in gone:
            await base.remove(self.tx, ports, way.port_id)
        if have[:1] == wanted[:1]:
            return {}
        if not wanted:
            return {"gateway_port_id": None, "gateway_network_id": None, "enable_snat": True, "qos_policy_id": None}
        return {"gateway_port_id": wanted[0].port_id, "gateway_network_id": wanted[0].network_id}

    async def _must_be_spare(self, network_id: str) -> None:
        used = sa.select(floating_ips.c.id).where(
            floating_ips.c.router_id == self.router.id, floating_ips.c.floating_network_id == network_id)
        if await db.scalar(self.tx, used.limit(1)) is not None:
            raise faults.GatewayUsedByFloatingIp(router_id=self.router.id, network_id=network_id)
