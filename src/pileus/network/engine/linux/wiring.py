"""Makes the links and forwarding entries of one host what its slice says, touching only what differs."""

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping

import msgspec

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import names, namespaces
from pileus.network.engine.linux.dhcp6 import wants_six
from pileus.network.engine.linux.links import NO_MAC, Forwarding, Link, Links
from pileus.network.engine.linux.netlink import NetlinkFailed
from pileus.network.engine.linux.steering import Steer, Steering
from pileus.network.engine.records import Neighbour, Network, NetworkSlice, Port, RouterSlice, Slice

BATCH = 32                # requests between two turns for others in the loop


class PhysicalBridge(msgspec.Struct, frozen=True, kw_only=True):
    """Where a physical network is: a bridge in a network namespace (a name, a path, or namespaces.HERE)."""

    bridge: str
    namespace: str


def serves(network: NetworkSlice) -> bool:
    """Whether the network has a service namespace: for DHCP, for metadata through the DHCP server's address, and to
    answer for local IPs."""
    return bool(network.local_ips) or any(
        s.enable_dhcp and s.dhcp_server_ip and s.ip_version == 4 or wants_six(s) for s in network.subnets)


class Wiring:
    def __init__(self, host: str, namespace: str, physical: Mapping[str, PhysicalBridge]):
        self.host, self.namespace, self.physical = host, namespace, physical
        self.links = Links(namespace)              # for the loop's thread, where taps are plugged as they come
        self.reader = Links(namespace)             # for long lists, read in another thread
        self.steering = Steering(namespace)
        self.bridges: dict[str, int] = {}          # index by network id
        self.tunnels: dict[str, int] = {}
        self.changes: list[str] = []
        self.failures: list[str] = []
        self.count = 0

    def close(self) -> None:
        self.links.close()
        self.reader.close()
        self.steering.close()

    async def present(self) -> dict[str, Link]:
        return await asyncio.to_thread(self.reader.links)

    async def _turn(self, change: str | None = None) -> None:
        if change is not None:
            self.changes.append(change)
        self.count += 1
        if self.count % BATCH == 0:
            await asyncio.sleep(0)

    async def build(self, wanted: Slice, fresh: set[str]) -> None:
        """Bridges, tunnels and the host's ends of all veths; taps and forwarding entries come after.

        `fresh` namespaces were just made: a link of a namesake of theirs leads nowhere and is made anew.
        """
        self.failures = []
        present = await self.present()
        kept = {network.network.id for network in wanted.networks}
        self.bridges = {network_id: index for network_id, index in self.bridges.items() if network_id in kept}
        self.tunnels = {}
        await self._remove_strangers(present, self._own_names(wanted, fresh))
        for network in wanted.networks:
            try:
                await self._network(present, network, wanted.underlay_ip)
            except (EngineFailed, OSError) as error:
                self.failures.append(f"network {network.network.id}: {error}")
        mtus = {network.network.id: network.network.mtu for network in wanted.networks}
        for port in wanted.ports:
            if port.under is not None and port.network_id in mtus:
                await self._stem(present, port, mtus[port.network_id])
        for router in wanted.routers:
            try:
                await self._router(present, router)
            except (EngineFailed, OSError) as error:
                self.failures.append(f"router {router.id}: {error}")

    async def _stem(self, present: dict[str, Link], port: Port, mtu: int) -> None:
        """A subport's tap is ours: no hypervisor makes it. Its far end is up once frames are steered."""
        name, tap = names.link(names.STEM, port.id), _tap(port)
        if name not in present:
            self.links.add_veth(name, mtu, tap, self.namespace)
            await self._turn(f"link {name} added")
        elif present[name].mtu != mtu:
            for link in (present[name], self._made(tap)):
                self.links.set_mtu(link.index, mtu)
            await self._turn(f"mtu of {tap} set")

    def steer(self, port: Port) -> bool:
        """Lead a subport's frames through the tap of its parent; false while that tap is not there."""
        parent = None if port.under is None else self.links.find(names.link(names.TAP, port.under.port_id))
        stem = self.links.find(names.link(names.STEM, port.id))
        if port.under is None or parent is None or stem is None:
            return False
        vlan = port.under.vlan
        outward = Steer(link=stem.index, vlan=vlan, to=parent.index, tags=True)
        gone, _ = self.steering.settle(stem.index, {outward})
        self._unsteer(gone)
        inward = Steer(link=parent.index, vlan=vlan, to=stem.index)
        if inward not in self.steering.present(parent.index):
            self.steering.add(inward)
            self.changes.append(f"VLAN {vlan} of {parent.name} steered")
        if not stem.up:
            self.links.set_up(stem.index)
        return True

    def _unsteer(self, outward: Iterable[Steer]) -> None:
        """Remove the other halves, at the parents' taps."""
        for steer in outward:
            self.steering.remove(Steer(link=steer.to, vlan=steer.vlan, to=steer.link))

    async def _router(self, present: dict[str, Link], router: RouterSlice) -> None:
        space = names.namespace(self.host, "router", router.id)
        for leg in router.legs:
            if leg.network_id in self.bridges:
                ends = names.link(names.ROUTER, leg.port_id), names.link(names.LEG, leg.port_id)
                await self._veth(present, ends, (space, leg.mac, leg.mtu), self.bridges[leg.network_id])
        for gateway in router.gateways:
            if gateway.physical is None and gateway.network_id in self.bridges:
                ends = names.link(names.ROUTER, gateway.port_id), names.link(names.GATEWAY_LEG, gateway.port_id)
                await self._veth(present, ends, (space, gateway.mac, gateway.mtu), self.bridges[gateway.network_id])

    def _own_names(self, wanted: Slice, fresh: set[str]) -> set[str]:
        kept = {names.link(names.STEM, port.id) for port in wanted.ports if port.under is not None}
        for network in wanted.networks:
            network_id = network.network.id
            kept.add(names.link(names.BRIDGE, network_id))
            kept.add(names.link(names.PHYSICAL if network.network.physical else names.VXLAN, network_id))
            if serves(network) and names.namespace(self.host, "service", network_id) not in fresh:
                kept.add(names.link(names.SERVICE, network_id))
        for router in wanted.routers:
            if names.namespace(self.host, "router", router.id) in fresh:
                continue
            kept.update(names.link(names.ROUTER, leg.port_id) for leg in router.legs)
            kept.update(names.link(names.ROUTER, way.port_id) for way in router.gateways if way.physical is None)
        return kept

    async def _remove_strangers(self, present: dict[str, Link], kept: set[str]) -> None:
        for name in sorted(present):
            if names.OWN_LINK.fullmatch(name) and name not in kept:
                await self._delete(present, name)

    async def _delete(self, present: dict[str, Link], name: str) -> None:
        """In a thread: the kernel takes milliseconds to let go of a link."""
        link = present.pop(name)
        if name.startswith(names.STEM):
            self._unsteer(self.steering.present(link.index))
        try:
            await asyncio.to_thread(_delete_link, self.namespace, link.index)
        except NetlinkFailed as error:
            if error.errno != errno.ENODEV:
                raise
        await self._turn(f"link {name} removed")

    async def _network(self, present: dict[str, Link], network: NetworkSlice, underlay_ip: str) -> None:
        record = network.network
        name = names.link(names.BRIDGE, record.id)
        if name not in present:
            self.links.add_bridge(name, record.mtu)
            await self._turn(f"bridge {name} added")
            present[name] = self._made(name)
        bridge = await self._up(present[name], record.mtu)
        self.bridges[record.id] = bridge.index
        if record.physical is not None:
            place = self.physical.get(record.physical)
            if place is None:
                raise EngineFailed(f"host {self.host} has no bridge of physical network {record.physical}")
            await self._physical(present, record, place)
        elif record.vni is not None:
            await self._tunnel(present, record.id, record.vni, (underlay_ip, record.mtu))
        if serves(network):
            ends = names.link(names.SERVICE, record.id), names.SERVICE_LEG
            space = names.namespace(self.host, "service", record.id)
            await self._veth(present, ends, (space, names.service_mac(record.id), record.mtu), bridge.index)

    async def _tunnel(self, present: dict[str, Link], network_id: str, vni: int, own: tuple[str, int]) -> None:
        name, (underlay_ip, mtu) = names.link(names.VXLAN, network_id), own
        if name in present and present[name].tunnel != f"{vni} {underlay_ip}":
            await self._delete(present, name)
        if name not in present:
            self.links.add_vxlan(name, vni, underlay_ip, mtu)
            await self._turn(f"tunnel {name} added")
            present[name] = self._made(name)
        await self._port(present[name], self.bridges[network_id], mtu, quiet=True)
        self.tunnels[network_id] = present[name].index

    async def _physical(self, present: dict[str, Link], record: Network, place: PhysicalBridge) -> None:
        name, far = names.link(names.PHYSICAL, record.id), names.far_end(self.host, record.id)
        if name not in present:
            clear_far_end(place, far)
            self.links.add_veth(name, record.mtu, far, place.namespace, names.far_mac(far))
            await self._turn(f"link {name} added")
            present[name] = self._made(name)
        if record.vlan is not None:
            untagged = {Steer(link=present[name].index, vlan=record.vlan, to=0)}
            changed = any(self.steering.settle(present[name].index, untagged))
            if tag_far_end(place, far, record.vlan) or changed:
                await self._turn(f"VLAN {record.vlan} of {name} steered")
        await self._port(present[name], self.bridges[record.id], record.mtu, quiet=False)
        if join_far_end(place, far):
            await self._turn(f"link {far} joined to {place.bridge}")

    async def _veth(
        self, present: dict[str, Link], ends: tuple[str, str], far: tuple[str, str, int], bridge: int,
    ) -> None:
        (name, peer), (namespace, mac, mtu) = ends, far
        if name not in present:
            self.links.add_veth(name, mtu, peer, namespace, mac)
            await self._turn(f"link {name} added")
            present[name] = self._made(name)
        await self._port(present[name], bridge, mtu, quiet=True)

    def _made(self, name: str) -> Link:
        return self.links.one(name)

    async def _up(self, link: Link, mtu: int) -> Link:
        if link.mtu != mtu:
            self.links.set_mtu(link.index, mtu)
            await self._turn(f"mtu of {link.name} set")
        if not link.up:
            self.links.set_up(link.index)
            await self._turn(f"link {link.name} set up")
        return link

    async def _port(self, link: Link, bridge: int, mtu: int, *, quiet: bool) -> None:
        if link.master != bridge:
            self.links.set_master(link.index, bridge)
            await self._turn(f"link {link.name} joined")
        if link.master != bridge or link.quiet != quiet:
            self.links.quieten(link.index, quiet)
            await self._turn(f"port {link.name} set")
        await self._up(link, mtu)

    def plug(self, link: Link, port: Port) -> bool:
        """Join a tap to its network, or part it when its port is administratively down; true if it was not so."""
        bridge = self.bridges.get(port.network_id)
        if bridge is None:
            raise EngineFailed(f"network {port.network_id} is not on this host")
        if not port.admin_up:
            if link.master:
                self.links.set_master(link.index, 0)
            return bool(link.master)
        changed = False
        if link.master != bridge:
            self.links.set_master(link.index, bridge)
            for mac in guest_macs(port):
                self.links.add_forwarding(Forwarding(link.index, mac, None))
            changed = True
        if changed or link.quiet != port.port_security:
            self.links.quieten(link.index, port.port_security)
            changed = True
        if not link.up:
            self.links.set_up(link.index)
            changed = True
        return changed

    def is_plugged(self, link: Link, port: Port) -> bool:
        bridge = self.bridges.get(port.network_id)
        return link.up and link.quiet == port.port_security and link.master == (bridge if port.admin_up else 0)

    def unplug(self, link: Link) -> None:
        try:
            self.links.set_master(link.index, 0)
        except NetlinkFailed as error:
            if error.errno != errno.ENODEV:
                raise
        self.changes.append(f"tap {link.name} parted")

    async def forward(self, wanted: Slice) -> None:
        """Static entries: every address of every network is known, so nothing has to be learned."""
        present = await self.present()
        desired = self._desired(wanted, present)
        own = {link.index for name, link in present.items() if names.OWN_LINK.fullmatch(name)}
        own.update(present[tap].index for tap in map(_tap, wanted.ports) if tap in present)
        actual = {entry for entry in await asyncio.to_thread(self.reader.forwarding) if entry.index in own}
        for entry in sorted(actual - desired, key=str):
            _unless_gone(self.links.delete_forwarding, entry)
            await self._turn(f"{entry} removed")
        for entry in sorted(desired - actual, key=str):
            _unless_gone(self.links.add_forwarding, entry)
            await self._turn(f"{entry} added")

    def move(self, network_id: str, gone: list[Neighbour], come: list[Neighbour]) -> None:
        """The tunnel's entries for neighbours that went and came."""
        tunnel = self.tunnels.get(network_id)
        if tunnel is None:
            return
        old, new = _entries(tunnel, gone), _entries(tunnel, come)
        for entry in sorted(old - new, key=str):
            _unless_gone(self.links.delete_forwarding, entry)
            self.changes.append(f"{entry} removed")
        for entry in sorted(new - old, key=str):
            _unless_gone(self.links.add_forwarding, entry)
            self.changes.append(f"{entry} added")

    def replug(self, link: Link, old: Port | None, port: Port) -> bool:
        """As `plug`; a tap that is joined already gets and loses forwarding entries as the port's addresses say."""
        before = set(guest_macs(old)) if old is not None and link.master else set()
        changed = self.plug(link, port)
        if not before or not port.admin_up:
            return changed
        now = set(guest_macs(port))
        for mac in sorted(before - now):
            _unless_gone(self.links.delete_forwarding, Forwarding(link.index, mac, None))
        for mac in sorted(now - before):
            _unless_gone(self.links.add_forwarding, Forwarding(link.index, mac, None))
        return changed or before != now

    def _desired(self, wanted: Slice, present: dict[str, Link]) -> set[Forwarding]:
        def entries(prefix: str, record_id: str, macs: Iterable[str]) -> set[Forwarding]:
            link = present.get(names.link(prefix, record_id))
            return set() if link is None or not link.master else {Forwarding(link.index, mac, None) for mac in macs}

        desired: set[Forwarding] = set()
        for network in wanted.networks:
            network_id = network.network.id
            tunnel = present.get(names.link(names.VXLAN, network_id))
            if tunnel is not None:
                desired.update(Forwarding(tunnel.index, NO_MAC, peer) for peer in network.peers)
                desired |= _entries(tunnel.index, network.neighbours)
            desired |= entries(names.SERVICE, network_id, [names.service_mac(network_id)])
        for router in wanted.routers:
            for leg in router.every_leg:
                desired |= entries(names.ROUTER, leg.port_id, [leg.mac])
        for port in wanted.ports:
            if port.admin_up:
                desired |= entries(names.TAP, port.id, guest_macs(port))
        return desired


def _entries(tunnel: int, neighbours: Iterable[Neighbour]) -> set[Forwarding]:
    return {Forwarding(tunnel, there.mac, to) for there in neighbours if there.underlay_ip is not None
            for to in (there.underlay_ip, None)}


def _tap(port: Port) -> str:
    return names.link(names.TAP, port.id)


def guest_macs(port: Port) -> list[str]:
    return sorted({port.mac, *(pair.mac for pair in port.allowed_address_pairs if pair.mac)})


def _unless_gone(request: Callable[[Forwarding], None], entry: Forwarding) -> None:
    """Taps come and go, and are plugged, while a list of entries is worked through."""
    try:
        request(entry)
    except NetlinkFailed as failed:
        if failed.errno not in (errno.ENODEV, errno.ENOENT, errno.EEXIST, errno.EOPNOTSUPP):
            raise


def _delete_link(namespace: str, index: int) -> None:
    links = Links(namespace)
    try:
        links.delete(index)
    finally:
        links.close()


def clear_far_end(place: PhysicalBridge, name: str) -> None:
    """A link of this name is left from a namespace that is just being taken down."""
    links = Links(place.namespace)
    try:
        found = links.find(name)
        if found is not None:
            links.delete(found.index)
    except NetlinkFailed as error:
        if error.errno != errno.ENODEV:
            raise
    finally:
        links.close()


def tag_far_end(place: PhysicalBridge, name: str, vlan: int) -> bool:
    """What comes to the physical network's bridge through this link is tagged; true if it was not so."""
    links, steering = Links(place.namespace), Steering(place.namespace)
    try:
        index = links.one(name).index
        return any(steering.settle(index, {Steer(link=index, vlan=vlan, to=0, tags=True)}))
    finally:
        links.close()
        steering.close()


def join_far_end(place: PhysicalBridge, name: str) -> bool:
    """Put the link on its bridge and up; true if it was not so."""
    if not namespaces.exists(place.namespace):
        raise EngineFailed(f"network namespace {place.namespace} is not there")
    links = Links(place.namespace)
    try:
        link, bridge = links.one(name), links.one(place.bridge)
        if link.master != bridge.index:
            links.set_master(link.index, bridge.index)
        if not link.up:
            links.set_up(link.index)
        return link.master != bridge.index or not link.up
    finally:
        links.close()
