"""The agent of one host: makes the host's slice real inside its network namespace and watches taps come and go."""

import asyncio
import errno
import logging
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pileus.network.engine.base import EngineFailed, Report
from pileus.network.engine.feed import StatusFeed, Subscription
from pileus.network.engine.filters import FlowCheck
from pileus.network.engine.linux import names, namespaces
from pileus.network.engine.linux import netlink as nl
from pileus.network.engine.linux.comparing import places, same_service, subports, takes_away
from pileus.network.engine.linux.conntrack import Conntrack
from pileus.network.engine.linux.deltas import Change, difference, neighbours_moved, ruleset_after
from pileus.network.engine.linux.links import DELLINK, NEWLINK, Link, parse_link
from pileus.network.engine.linux.logged import LogLimit
from pileus.network.engine.linux.metadata import Answer
from pileus.network.engine.linux.meters import MeterLog
from pileus.network.engine.linux.nft import Nft
from pileus.network.engine.linux.packet_log import PacketLog
from pileus.network.engine.linux.routers import RouterSpace
from pileus.network.engine.linux.ruleset import FAMILIES, REMOVAL, Ruleset, compile_ruleset
from pileus.network.engine.linux.spaces import QUIET, Service
from pileus.network.engine.linux.wiring import PhysicalBridge, Wiring, serves
from pileus.network.engine.records import Port, RouterSlice, Slice, Snapshot, State, Status

log = logging.getLogger(__name__)
STEP_PORTS = 100          # changed at once beyond which the whole way is the shorter one
FILTERING = {             # bridged packets pass the inet hooks, in this namespace only
    "bridge/bridge-nf-call-iptables": "1",
    "bridge/bridge-nf-call-ip6tables": "1",
    "bridge/bridge-nf-call-arptables": "0",
}


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a host is and what it can reach. `resolvers` (as ADDRESS or ADDRESS#PORT) are asked about names that are
    nobody's here; without any, those that the host asks itself. Without a `packet_log` no packets are logged, without a
    `meter_log` what meters count is written nowhere."""

    name: str
    namespace: str
    physical: Mapping[str, PhysicalBridge] = {}
    resolvers: tuple[str, ...] = ()
    packet_log: Path | None = None
    meter_log: Path | None = None
    meter_seconds: float = 60.0
    log_limit: LogLimit = LogLimit()


class HostAgent:
    """Level-triggered: what is there is read from the kernel, so a new agent over an old host changes nothing."""

    def __init__(self, settings: HostSettings, answer: Answer | None = None, feed: StatusFeed | None = None):
        """Agents in one process may share a feed with the engine."""
        self.settings, self.answer = settings, answer
        self.own_feed = feed is None
        self.feed = feed or StatusFeed()
        self.lock = asyncio.Lock()
        self.slice: Slice | None = None          # what taps are plugged by
        self.settled: Slice | None = None        # what was made real without an error
        self.seq = -1
        self.taps: dict[str, Port] = {}
        self.services: dict[str, Service] = {}
        self.routers: dict[str, RouterSpace] = {}
        self.below: dict[str, list[Port]] = {}   # the subports of each port
        self.refused: dict[str, str] = {}
        self.ruleset: Ruleset | None = None      # of what is settled
        self.cutting = False                     # whether connections may be marked as cut
        self.packets: PacketLog | None = None
        self.meters: MeterLog | None = None
        self.moved: set[str] = set()             # taps that came or went while links were being listed

    async def start(self) -> None:
        """Already started: do not. Raises EngineFailed where the namespace or the kernel lacks something."""
        name = self.settings.namespace
        if not namespaces.exists(name):
            raise EngineFailed(f"network namespace {name} is not there")
        try:
            namespaces.write_settings(name, FILTERING)
        except FileNotFoundError as error:
            raise EngineFailed("the kernel filters no bridged packets: run 'modprobe br_netfilter' once") from error
        self.wiring = Wiring(self.settings.name, name, self.settings.physical)
        self.nft = Nft(name)
        if self.settings.packet_log is not None:
            self.packets = PacketLog(self.settings.name, name, self.settings.packet_log)
        if self.settings.meter_log is not None:
            self.meters = MeterLog(self.settings.name, self.settings.meter_log, self.settings.meter_seconds)
        self.watch = nl.watch_links(name)
        asyncio.get_running_loop().add_reader(self.watch, self._on_link_events)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.watch)
        self.watch.close()
        for space in (*self.services.values(), *self.routers.values()):
            space.close()
        if self.packets is not None:
            self.packets.close()
        if self.meters is not None:
            self.meters.close()
        self.wiring.close()
        self.nft.close()
        if self.own_feed:
            self.feed.close()

    def events(self) -> Subscription:
        return self.feed.subscribe()

    async def apply(self, snapshot: Snapshot) -> Report:
        """Make the slice so. Already made so, or older than the last: change nothing, look at nothing."""
        async with self.lock:
            if snapshot.seq < self.seq:
                return Report()
            self.seq = snapshot.seq
            if snapshot.slice == self.settled:
                self._tell("slice", self.settings.name, snapshot.seq, State.UP)
                return Report()
            return await self._step(snapshot.slice) or await self._settle(snapshot.slice)

    async def resync(self, snapshot: Snapshot | None = None) -> Report:
        """Compare everything with the kernel, whatever was believed; without a snapshot, by the last slice known."""
        async with self.lock:
            if snapshot is not None and snapshot.seq >= self.seq:
                self.seq, wanted = snapshot.seq, snapshot.slice
            else:
                wanted = self.slice
            self.settled = None
            self.feed.forget(self.settings.name)
            report = Report() if wanted is None else await self._settle(wanted)
            await self._write_meters(wanted)
            return report

    async def _write_meters(self, wanted: Slice | None) -> None:
        if self.meters is None or wanted is None:
            return
        try:
            await asyncio.to_thread(self.meters.write, wanted.routers)
        except (EngineFailed, OSError) as error:              # there is a next time
            log.warning("meters were not read: %s", error, extra={"host": self.settings.name})

    async def _settle(self, wanted: Slice) -> Report:
        before, self.settled, self.ruleset = self.settled, None, None
        changes: list[str] = []
        self.wiring.changes = changes
        began = time.perf_counter()
        try:
            ruleset = await asyncio.to_thread(compile_ruleset, wanted, self.settings.log_limit)
            if self.packets is not None:
                self.packets.ports = ruleset.logged
            fresh = await self._spaces(wanted, changes)
            replaced = await self._filter(wanted, ruleset, changes)
            await self.wiring.build(wanted, fresh)
            self.slice, self.refused = wanted, ruleset.refused
            self.taps = {names.link(names.TAP, port.id): port for port in wanted.ports}
            self.below = subports(wanted)
            await self._plug_all()
            await self.wiring.forward(wanted)
            failures = await self._fill_spaces(wanted, before, changes)
            if replaced and (self.cutting or before is None or takes_away(before, wanted)):
                changes += await asyncio.to_thread(self._judge, wanted, before, ruleset.zones)
            await self._remove_spaces(wanted, changes)
        except (EngineFailed, OSError) as error:
            self._tell("slice", self.settings.name, self.seq, State.ERROR, str(error))
            raise EngineFailed(str(error)) from error
        if failures:
            self._tell("slice", self.settings.name, self.seq, State.ERROR, "; ".join(failures))
        else:
            self.settled, self.ruleset = wanted, ruleset
            self._tell("slice", self.settings.name, self.seq, State.UP)
        self._forget_gone(wanted)
        if changes:
            spent = (time.perf_counter() - began) * 1000
            log.info("%d changes in %.0f ms", len(changes), spent, extra={"host": self.settings.name})
        return Report(changes=tuple(changes))

    async def _step(self, wanted: Slice) -> Report | None:
        """The short way where a settled slice differs by a few ports, their neighbours and their groups' members:
        nothing else is looked at. None when it is not of that kind, or fails: then everything is compared."""
        before, known = self.settled, self.ruleset
        change = difference(before, wanted) if before is not None else None
        if before is None or known is None or change is None or len(change.added) + len(change.removed) > STEP_PORTS:
            return None
        ruleset = ruleset_after(known, before, wanted, change)
        if ruleset is None:
            return None
        changes: list[str] = []
        self.settled, self.wiring.changes = None, changes
        try:
            if ruleset.text:
                self.nft.run(ruleset.text)
                changes.append("ruleset changed")
            self.slice = wanted
            for port in change.parted:
                self._part(port)
            for network_id, gone, come in neighbours_moved(before, change):
                self.wiring.move(network_id, gone, come)
            self._come(change)
            if self.wiring.failures or await self._fill_changed(wanted, change):
                return None
        except (EngineFailed, OSError) as error:
            log.info("a change is made in whole: %s", error, extra={"host": self.settings.name})
            return None
        if ruleset.text and (self.cutting or takes_away(before, wanted)):
            changes += await asyncio.to_thread(self._judge, wanted, before, ruleset.zones)
        self.settled, self.ruleset = wanted, msgspec.structs.replace(ruleset, text="")
        self._tell("slice", self.settings.name, self.seq, State.UP)
        if change.parted:
            self._forget_gone(wanted)
        return Report(changes=tuple(changes))

    def _part(self, port: Port) -> None:
        name = names.link(names.TAP, port.id)
        self.taps.pop(name, None)
        link = self.wiring.links.find(name)
        if link is not None and link.master:
            self.wiring.unplug(link)

    def _come(self, change: Change) -> None:
        old = {port.id: port for port in change.removed}
        for port in change.added:
            name = names.link(names.TAP, port.id)
            self.taps[name] = port
            link = self.wiring.links.find(name)
            if link is None:
                self._tell("port", port.id, port.revision, State.DOWN)
            else:
                self._plug(link, port, old.get(port.id))

    async def _fill_changed(self, wanted: Slice, change: Change) -> bool:
        """Services and routers of networks whose ports or neighbours are other than before; true if one failed."""
        touched = {network.network.id for network in change.networks}
        touched |= {port.network_id for port in (*change.added, *change.removed)}
        networks = {network.network.id: network for network in wanted.networks}
        for network_id in touched & networks.keys() & self.services.keys():
            ports = [port for port in wanted.ports if port.network_id == network_id]
            await self.services[network_id].update(networks[network_id], ports, self.settings.resolvers, trusted=True)
        for router in wanted.routers:
            if touched.intersection(leg.network_id for leg in router.legs):
                await self.routers[router.id].update(router, networks, self.settings.physical, trusted=True)
        return not self.services.keys() >= {i for i in touched if i in networks and serves(networks[i])}

    def _tell(self, kind: str, record_id: str, revision: int, state: State, detail: str = "") -> None:
        self.feed.publish(Status(
            kind=kind, id=record_id, revision=revision, host=self.settings.name, state=state, detail=detail))

    def _forget_gone(self, wanted: Slice) -> None:
        host = self.settings.name
        keep = {("slice", host, host)} | {("port", port.id, host) for port in wanted.ports}
        for router in wanted.routers:
            keep |= {("router", router.id, host)} | {("port", leg.port_id, host) for leg in router.every_leg}
            keep |= {("floating_ip", floating.id, host) for floating in router.floating_ips}
        self.feed.forget(host, keep)

    # namespaces

    def _wanted_spaces(self, wanted: Slice) -> set[str]:
        host = self.settings.name
        spaces = {names.namespace(host, "router", router.id) for router in wanted.routers}
        return spaces | {names.namespace(host, "service", n.network.id) for n in wanted.networks if serves(n)}

    async def _spaces(self, wanted: Slice, changes: list[str]) -> set[str]:
        """The namespaces that were missing, and are there now."""
        missing = sorted(self._wanted_spaces(wanted) - namespaces.present())
        await namespaces.add(missing)
        for name in missing:
            namespaces.write_settings(name, QUIET)      # before there are links, as some are copied to each new one
        changes += [f"namespace {name} added" for name in missing]
        for space in (*self.services.values(), *self.routers.values()):
            if space.namespace in missing:
                space.close()
        return set(missing)

    async def _remove_spaces(self, wanted: Slice, changes: list[str]) -> None:
        own = namespaces.namespaces_of(self.settings.name)
        surplus = sorted(own - self._wanted_spaces(wanted))
        await namespaces.remove(surplus)
        changes += [f"namespace {name} removed" for name in surplus]

    async def _fill_spaces(self, wanted: Slice, before: Slice | None, changes: list[str]) -> list[str]:
        """Services and routers; one that fails does not keep the others from their work.

        What is as it was `before` is trusted to be so still: to doubt that is what a resync is for.
        """
        networks = {network.network.id: network for network in wanted.networks}
        host, failures = self.settings.name, list(self.wiring.failures)
        self._close_surplus(wanted)
        known = {network.network.id: network for network in before.networks} if before is not None else {}
        same = {i for i, network in networks.items() if i in known and same_service(known[i], network)}
        same_routers = set(before.routers) if before is not None else set()
        for network in (network for network in wanted.networks if serves(network)):
            network_id = network.network.id
            service = self.services.setdefault(network_id, Service(host, network_id, self.answer))
            ports = [port for port in wanted.ports if port.network_id == network_id]
            try:
                changes += await service.update(network, ports, self.settings.resolvers, trusted=network_id in same)
            except (EngineFailed, OSError, ValueError) as error:
                failures.append(f"service of network {network_id}: {error}")
        for router in wanted.routers:
            space = self.routers.setdefault(router.id, RouterSpace(host, router.id, self.answer))
            state, detail = State.UP, ""
            try:
                changes += await space.update(router, networks, self.settings.physical, trusted=router in same_routers)
            except (EngineFailed, OSError, ValueError) as error:
                state, detail = State.ERROR, str(error)
                failures.append(f"router {router.id}: {error}")
            self._tell_router(router, state, detail)
        return failures

    def _tell_router(self, router: RouterSlice, state: State, detail: str) -> None:
        self._tell("router", router.id, router.revision, state, detail)
        for leg in router.every_leg:
            self._tell("port", leg.port_id, leg.revision, state, detail)
        for floating in router.floating_ips:
            self._tell("floating_ip", floating.id, floating.revision, state, detail)

    def _close_surplus(self, wanted: Slice) -> None:
        served = {network.network.id for network in wanted.networks if serves(network)}
        routed = {router.id for router in wanted.routers}
        for network_id in self.services.keys() - served:
            self.services.pop(network_id).close()
        for router_id in self.routers.keys() - routed:
            self.routers.pop(router_id).close()

    # filtering

    async def _filter(self, wanted: Slice, ruleset: Ruleset, changes: list[str]) -> bool:
        """One transaction, so that no packet ever meets half a ruleset; true when it was replaced."""
        empty = not (wanted.networks or wanted.ports or wanted.routers)
        present = [await asyncio.to_thread(self.nft.chains, family, names.TABLE) for family in FAMILIES]
        if empty and not any(present) or not empty and all(ruleset.generation in chains for chains in present):
            return False
        await asyncio.to_thread(self.nft.run, REMOVAL if empty else ruleset.text)
        changes.append("ruleset removed" if empty else "ruleset replaced")
        return True

    def _judge(self, wanted: Slice, before: Slice | None, zones: dict[str, int]) -> list[str]:
        ports = places(wanted, zones)
        gone = places(before, zones).keys() - ports.keys() if before is not None else set()
        conntrack = Conntrack(self.settings.namespace)
        try:
            changes, self.cutting = conntrack.judge(ports, set(gone), FlowCheck(wanted.groups))
            return changes
        finally:
            conntrack.close()

    # taps

    async def _plug_all(self) -> None:
        self.moved.clear()
        present = await self.wiring.present()
        bridges = set(self.wiring.bridges.values())
        for count, (name, link) in enumerate(sorted(present.items())):
            if name in self.moved:
                continue
            if name in self.taps:
                self._plug(link, self.taps[name])
            elif name.startswith(names.TAP) and link.master in bridges:
                self.wiring.unplug(link)
            if count % 32 == 31:
                await asyncio.sleep(0)
        for name, port in self.taps.items():
            if name not in present and name not in self.moved:
                self._tell("port", port.id, port.revision, State.DOWN)

    def _plug(self, link: Link, port: Port, old: Port | None = None) -> None:
        if port.id in self.refused:
            self._tell("port", port.id, port.revision, State.ERROR, self.refused[port.id])
            return
        try:
            if self.wiring.replug(link, old, port):
                self.wiring.changes.append(f"tap {link.name} plugged")
            up = port.admin_up and (port.under is None or self.wiring.steer(port))
        except EngineFailed as error:
            if not (isinstance(error, nl.NetlinkFailed) and error.errno == errno.ENODEV):
                self._tell("port", port.id, port.revision, State.ERROR, str(error))
            return
        self._tell("port", port.id, port.revision, State.UP if up else State.DOWN)
        for other in self.below.get(port.id, ()):
            found = self.wiring.links.find(names.link(names.TAP, other.id))
            if found is not None:
                self._plug(found, other)

    def _on_link_events(self) -> None:
        """Called by the loop when links change; plugs a tap within the same turn."""
        count, missed = 0, False
        while count < 256 or missed:
            count += 1
            try:
                data = self.watch.recv(65536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                missed = True
                continue
            for kind, _, _, body in nl.messages(data):
                if kind in (NEWLINK, DELLINK):
                    family, link = parse_link(body)
                    if family == 0:
                        self._on_link(kind, link)
        if missed:      # the kernel drops events until its queue was read empty, so only now is a look complete
            self._look_again()

    def _look_again(self) -> None:
        present = self.wiring.links.links()
        for link in present.values():
            self._on_link(NEWLINK, link)
        for name, port in self.taps.items():
            if name not in present:
                self._tell("port", port.id, port.revision, State.DOWN)

    def _on_link(self, kind: int, link: Link) -> None:
        port = self.taps.get(link.name)
        if port is not None:
            self.moved.add(link.name)
        if port is not None and kind == NEWLINK:
            known = self.wiring.is_plugged(link, port)              # else the news may be of before it was
            now = link if known else self.wiring.links.find(link.name)
            if now is not None:
                self._plug(now, port)
        elif port is not None:
            for gone in (port, *self.below.get(port.id, ())):
                self._tell("port", gone.id, gone.revision, State.DOWN)
        elif kind == DELLINK and not self.lock.locked() and names.OWN_LINK.fullmatch(link.name):
            self.settled = None
            self._tell("slice", self.settings.name, self.seq, State.ERROR, f"link {link.name} is gone")
            for port in self.taps.values():
                if names.link(names.BRIDGE, port.network_id) == link.name:
                    self._tell("port", port.id, port.revision, State.ERROR, "the bridge of its network is gone")
