"""A router: its namespace with legs, addresses, routes and address translation."""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import names, namespaces
from pileus.network.engine.linux.advertise import Advertiser
from pileus.network.engine.linux.announce import announce
from pileus.network.engine.linux.bfd import Watch
from pileus.network.engine.linux.conntrack import Conntrack
from pileus.network.engine.linux.dhcp import METADATA
from pileus.network.engine.linux.followed import settle_followed
from pileus.network.engine.linux.links import Link, Links
from pileus.network.engine.linux.metadata import Answer, Listener
from pileus.network.engine.linux.meters import settle_meters
from pileus.network.engine.linux.nft import Nft
from pileus.network.engine.linux.routing import neighbours_of, settle_routing
from pileus.network.engine.linux.spaces import QUIET, askers, identity, settle_addresses, settle_link
from pileus.network.engine.linux.translation import by_leg, compile_translation, targets_of
from pileus.network.engine.linux.wiring import PhysicalBridge, clear_far_end, join_far_end
from pileus.network.engine.records import FloatingIp, GatewayLeg, NetworkSlice, RouterSlice

log = logging.getLogger(__name__)
SETTINGS = {
    **QUIET,
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/fib_multipath_hash_policy": "1",         # each connection its way, not each pair of addresses
    "ipv6/fib_multipath_hash_policy": "1",
    "ipv6/conf/all/forwarding": "1",
}


class RouterSpace:
    """The router of one slice in its namespace; everything here is settled in a thread, as it is many small calls."""

    def __init__(self, host: str, router_id: str, answer: Answer | None):
        self.host, self.router_id, self.answer = host, router_id, answer
        self.namespace = names.namespace(host, "router", router_id)
        self.identity: tuple[int, int] | None = None
        self.listener: Listener | None = None
        self.advertiser: Advertiser | None = None
        self.router: RouterSlice | None = None
        self.turned, self.at_work = asyncio.Event(), asyncio.Lock()
        self.watch = Watch(self.namespace, self.turned.set)
        self.rerouting: asyncio.Task[None] | None = None

    def close(self) -> None:
        """A socket keeps its namespace alive, so this comes before the namespace's removal."""
        if self.listener is not None:
            self.listener.close()
        if self.advertiser is not None:
            self.advertiser.close()
        self.watch.close()
        if self.rerouting is not None:
            self.rerouting.cancel()
        self.rerouting = None
        self.identity = self.listener = self.advertiser = None

    async def update(
        self, router: RouterSlice, networks: Mapping[str, NetworkSlice], physical: Mapping[str, PhysicalBridge],
        *, trusted: bool,
    ) -> list[str]:
        """Make it so; what had to be changed. `trusted`: it is as last time. Raises EngineFailed."""
        changes = []
        if not trusted or self.identity is None:
            async with self.at_work:
                self.router = router
                changes = await asyncio.to_thread(self._settle, router, physical, self._silent(router))
        if self.identity != identity(self.namespace):
            self.close()
            if self.answer is not None:
                self.listener = Listener(self.namespace, self.answer)
                await self.listener.start()
            self.advertiser = Advertiser(self.namespace)
            self.identity = identity(self.namespace)
        if self.listener is not None:
            attached = {leg.network_id for leg in router.legs}
            self.listener.neighbours = askers([network for i, network in networks.items() if i in attached])
        if self.advertiser is not None:
            self.advertiser.update(router.legs)
        self.watch.update(neighbours_of(router))
        if router.watched and self.rerouting is None:
            self.rerouting = asyncio.create_task(self._reroute())
        return changes

    def _silent(self, router: RouterSlice) -> set[tuple[str, str]]:
        return self.watch.silent if router.watched else set()

    async def _reroute(self) -> None:
        """Whenever a next hop began to speak, or fell silent."""
        while await self.turned.wait():
            self.turned.clear()
            async with self.at_work:
                if self.router is None:
                    continue
                try:
                    changes = await asyncio.to_thread(self._route, self.router, self._silent(self.router))
                except (EngineFailed, OSError) as error:
                    log.warning("router %s is left as it was: %s", self.router_id, error)
                else:
                    log.info("router %s: %s", self.router_id, "; ".join(changes) or "as it was")

    def _route(self, router: RouterSlice, silent: set[tuple[str, str]]) -> list[str]:
        links = Links(self.namespace)
        try:
            return settle_routing(links, router, silent)
        finally:
            links.close()

    def _settle(self, router: RouterSlice, physical: Mapping[str, PhysicalBridge],
                silent: set[tuple[str, str]]) -> list[str]:
        namespaces.write_settings(self.namespace, SETTINGS)
        changes: list[str] = []
        for gateway in router.gateways:
            if gateway.physical is not None:
                changes += self._gateway_link(gateway, physical)
        links = Links(self.namespace)
        try:
            changes += self._legs(links, router)
            changes += settle_routing(links, router, silent)
        finally:
            links.close()
        changes += self._translation(router) + settle_meters(self.namespace, router)
        return changes + settle_followed(self.namespace, router)

    def _gateway_link(self, gateway: GatewayLeg, physical: Mapping[str, PhysicalBridge]) -> list[str]:
        place = physical.get(gateway.physical or "")
        if place is None:
            raise EngineFailed(f"host {self.host} has no bridge of physical network {gateway.physical}")
        far, near = names.link(names.GATEWAY, gateway.port_id), names.link(names.GATEWAY_LEG, gateway.port_id)
        links = Links(self.namespace)
        try:
            changes = []
            if links.find(near) is None:
                clear_far_end(place, far)
                links.add_veth(near, gateway.mtu, far, place.namespace, names.far_mac(far))
                changes.append(f"link {near} added")
        finally:
            links.close()
        if join_far_end(place, far):
            changes.append(f"link {far} joined to {place.bridge}")
        return changes

    def _legs(self, links: Links, router: RouterSlice) -> list[str]:
        changes: list[str] = []
        present = links.links()
        wanted = {names.link(names.LEG, leg.port_id) for leg in router.legs}
        wanted |= {names.link(names.GATEWAY_LEG, gateway.port_id) for gateway in router.gateways}
        for name, link in present.items():
            if name.startswith((names.LEG, names.GATEWAY_LEG)) and name not in wanted:
                links.delete(link.index)
                changes.append(f"link {name} removed")
        if not present["lo"].up:
            links.set_up(present["lo"].index)
        at = by_leg(router)
        link, done = self._loopback(links, present["lo"])
        changes += done
        for leg in router.legs:
            name = names.link(names.LEG, leg.port_id)
            if name in present:
                link, done = settle_link(links, name, leg.mac, leg.mtu)
                wanted_here = {*leg.addresses, *(f"{one.floating_ip}/32" for one in at.get(name, ()))}
                changes += done + settle_addresses(links, link, wanted_here)
        for gateway in router.gateways:
            changes += self._gateway(links, router, gateway, at.get(names.link(names.GATEWAY_LEG, gateway.port_id), ()))
        return changes

    def _loopback(self, links: Links, link: Link) -> tuple[Link, list[str]]:
        """The metadata address, for networks whose guests reach it through their router."""
        if f"{METADATA}/32" in links.addresses(link.index):
            return link, []
        links.add_address(link.index, f"{METADATA}/32")
        return link, [f"address {METADATA} of {link.name} added"]

    def _gateway(
        self, links: Links, router: RouterSlice, gateway: GatewayLeg, at: Iterable[FloatingIp]
    ) -> list[str]:
        name = names.link(names.GATEWAY_LEG, gateway.port_id)
        link, changes = settle_link(links, name, gateway.mac, gateway.mtu)
        floating = [f"{floating.floating_ip}/32" for floating in at]
        before = links.addresses(link.index)
        wanted = {*gateway.addresses, *floating}
        changes += settle_addresses(links, link, wanted)
        changes += self._proxied(links, link, router.proxied if gateway is router.gateway else None)
        fresh = sorted(wanted - before)
        if fresh or changes:
            announce(self.namespace, name, gateway.mac, [a.split("/")[0] for a in fresh or wanted if ":" not in a])
        return changes

    def _proxied(self, links: Links, link: Link, wanted: tuple[str, ...] | None) -> list[str]:
        if wanted is not None:
            namespaces.write_settings(self.namespace, {f"ipv6/conf/{link.name}/proxy_ndp": "1",
                                                       f"ipv6/neigh/{link.name}/proxy_delay": "0"})
        there, changes = links.proxied(link.index), []
        for ip in sorted(there - set(wanted or ())):
            links.delete_proxied(link.index, ip)
            changes.append(f"{ip} answered for no more")
        for ip in sorted(set(wanted or ()) - there):
            links.add_proxied(link.index, ip)
            changes.append(f"{ip} answered for")
        return changes

    def _translation(self, router: RouterSlice) -> list[str]:
        text, generation = compile_translation(router)
        nft = Nft(self.namespace)
        try:
            if generation in nft.chains("ip", names.TABLE):
                return []
            nft.run(text)
        finally:
            nft.close()
        conntrack = Conntrack(self.namespace)
        try:
            own = {address.split("/")[0] for gateway in router.gateways for address in gateway.addresses}
            conntrack.cut_translations(targets_of(router), own)
        finally:
            conntrack.close()
        return [f"address translation of router {self.router_id} replaced"]
