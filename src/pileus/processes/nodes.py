"""The hosts of an embedded cloud: on each a hypervisor driver, a network engine's agent, and what reports for them."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from pileus.compute.agent.agent import Agent, HostIdentity
from pileus.compute.agent.handlers import handlers as compute_handlers
from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import GuestDriver, GuestFailed, HostFacts, Power
from pileus.compute.drivers.fake import FakeDriver
from pileus.compute.drivers.hardware import HostCell
from pileus.compute.drivers.image_cache import ImageCache
from pileus.compute.drivers.libvirt import LibvirtDriver
from pileus.compute.drivers.libvirt_containers import ContainerDriver
from pileus.compute.drivers.libvirt_daemon import ensure_daemon
from pileus.compute.drivers.libvirt_domain import Kind
from pileus.compute.drivers.libvirt_host import LibvirtSettings
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.compute.guest_topology import cpu_numbers
from pileus.compute.messages import AGENT
from pileus.compute.metadata import signed_headers
from pileus.image.client import ImageClient
from pileus.kit.authority import ensure_authority, ensure_host
from pileus.kit.client import AsgiTransport
from pileus.load_balancer.agent.agent import Agent as BalancerAgent
from pileus.load_balancer.agent.agent import handlers as balancer_handlers
from pileus.load_balancer.drivers.base import BalancerDriver
from pileus.load_balancer.drivers.fake import FakeDriver as FakeBalancers
from pileus.load_balancer.drivers.haproxy import HaproxyDriver
from pileus.load_balancer.messages import HOST as BALANCER_HOST
from pileus.network.agent.fake_host import FakeHost
from pileus.network.agent.handlers import Agent as NetworkAgent
from pileus.network.engine.linux.agent import HostAgent, HostSettings
from pileus.network.engine.linux.external import external_bridge
from pileus.network.engine.linux.logged import LogLimit
from pileus.network.engine.linux.metadata import MetadataRequest, MetadataResponse
from pileus.network.engine.linux.wiring import PhysicalBridge
from pileus.processes import hosts
from pileus.processes.hosts import EmbeddedHost
from pileus.processes.services import Services
from pileus.processes.state import Choices
from pileus.volume.agent.agent import Agent as VolumeAgent
from pileus.volume.agent.agent import Place
from pileus.volume.agent.backup_store import BackupStore
from pileus.volume.agent.handlers import handlers as volume_handlers
from pileus.volume.drivers.base import VolumeDriver
from pileus.volume.drivers.doors import Street
from pileus.volume.drivers.fake import FakeDriver as FakeVolumes
from pileus.volume.drivers.file import FileDriver
from pileus.volume.drivers.lvm import LvmDriver
from pileus.volume.drivers.nfs import NfsDriver, Share
from pileus.volume.messages import NODE as VOLUME_NODE

log = logging.getLogger(__name__)
OUTSIDE = "br-ex"                        # in the sandbox's own namespace, which is where floating IPs answer
HERE = "/proc/self/ns/net"
GOODBYE_SECONDS = 20.0                   # for guests to shut down with the cloud
FAKE = HostFacts(hostname="", hypervisor_type="fake", hypervisor_version="1.0", vcpus=1000, memory_mb=1 << 20,
                 disk_gb=1 << 16, disk_free_gb=1 << 16, accel="none",
                 cpu={"arch": "x86_64", "model": "fake", "vendor": "fake", "features": []})


def fake_facts(name: str, dedicated: int, devices: dict[str, int]) -> HostFacts:
    """Of a host with two NUMA nodes, of which the first has the processors that are set aside."""
    half, memory = FAKE.vcpus // 2, FAKE.memory_mb // 2
    cells = (HostCell(number=0, cpus=half - dedicated, dedicated=dedicated, dedicated_free=dedicated, memory_mb=memory),
             HostCell(number=1, cpus=half, memory_mb=memory))
    return msgspec.structs.replace(FAKE, hostname=name, booted_at=host_facts.booted_at(), dedicated_cpus=dedicated,
                                   cells=cells, devices=devices)


class Nodes:
    def __init__(self, services: Services, choices: Choices):
        self.services, self.choices = services, choices
        self.agents: list[Agent] = []
        self.engines: list[HostAgent] = []
        self.metadata = AsgiTransport(services.site, "/metadata")

    async def run(self) -> None:
        """Until cancelled."""
        if self.choices.driver == "fake":
            found = [EmbeddedHost(name=name, namespace="", address=f"{hosts.UNDERLAY}.{number}", boot_id="fake")
                     for number, name in enumerate(hosts.names(self.choices.hosts), 1)]
        else:
            found = await hosts.ensure_hosts(self.choices.hosts)
        if self.services.settings.network.engine == "linux":
            external = self.services.settings.network.external
            await asyncio.to_thread(external_bridge, OUTSIDE,
                                    [f"{external.gateway}/{external.cidr.rpartition('/')[2]}"])
        async with asyncio.TaskGroup() as group:
            for host in found:
                for work in (await self._compute(host), await self._network(host), await self._balancers(host)):
                    group.create_task(work)
            for work in await self._volumes(found[0]):
                group.create_task(work)

    async def _compute(self, host: EmbeddedHost) -> Coroutine[Any, Any, None]:
        state, bus = self.services.state, self.services.bus
        agent = Agent(
            HostIdentity(name=host.name, address=host.address, boot_id=host.boot_id), driver=await self._driver(host),
            bus=bus, images=self.services.client(ImageClient, "/image", "compute"),
            cache=ImageCache(state.cache / host.name))
        self.agents.append(agent)
        await bus.listen(AGENT, compute_handlers, agent, host=host.name)
        return agent.run()

    async def _driver(self, host: EmbeddedHost) -> GuestDriver:
        folder = self.services.state.instances / host.name
        config = self.services.settings.guests
        dedicated = frozenset(cpu_numbers(config.dedicated_cpus) if config.dedicated_cpus else ())
        if self.choices.driver == "fake":
            return FakeDriver(host.name, folder, facts=fake_facts(
                host.name, len(dedicated), {alias: len(found) for alias, found in config.pci_devices.items()}))
        if self.choices.driver == "libvirt":
            return await self._libvirt(host, folder, dedicated)
        model, *flags = config.cpu_model.split(",")
        return QemuDriver(QemuSettings(
            instances=folder, hostname=host.name, namespace=hosts.path_of(host), cpu_model=model,
            cpu_flags=tuple(flags), raw_disks=config.root_disks == "raw", certificates=self._certificates(host),
            dedicated_cpus=dedicated, pci_devices=config.pci_devices))

    def _certificates(self, host: EmbeddedHost) -> Path | None:
        """The host's, where hosts need them; made as far as they are not there, or not good for long."""
        if self.services.settings.volume.between_hosts != "tls":
            return None
        authority = self.services.state.host_certificates
        ensure_authority(authority)
        ensure_host(authority, authority / host.name, host.name, host.address)
        return authority / host.name

    async def _libvirt(self, host: EmbeddedHost, folder: Path, dedicated: frozenset[int]) -> LibvirtDriver:
        config = self.services.settings.guests
        own, namespace = self.services.state.run / host.name, hosts.path_of(host)
        kind: Kind = config.libvirt_type if config.libvirt_type != "auto" else (
            "kvm" if host_facts.acceleration() == "kvm" else "qemu")
        uri = config.libvirt_uri or await asyncio.to_thread(
            functools.partial(ensure_daemon, own, namespace, "lxc" if kind == "lxc" else "qemu",
                              certificates=self._certificates(host)))
        return (ContainerDriver if kind == "lxc" else LibvirtDriver)(LibvirtSettings(
            instances=folder, sockets=own / "sockets", hostname=host.name, namespace=namespace, uri=uri,
            daemon=None if config.libvirt_uri else own, kind=kind, raw_disks=config.root_disks == "raw",
            dedicated_cpus=dedicated))

    async def _network(self, host: EmbeddedHost) -> Coroutine[Any, Any, None]:
        config = self.services.settings.network
        if config.engine == "fake":
            return NetworkAgent(host.name, host.address, FakeHost(host.name), self.services.bus,
                                has=config.guarantees).run()
        physical = config.external.physical
        engine = HostAgent(HostSettings(
            name=host.name, namespace=host.namespace,
            physical={physical: PhysicalBridge(bridge=OUTSIDE, namespace=HERE)},
            packet_log=self.services.state.log / f"packets-{host.name}.log",
            meter_log=self.services.state.log / f"meters-{host.name}.log",
            log_limit=LogLimit(rate=config.packet_log_rate, burst=config.packet_log_burst)), answer=self.answer)
        await engine.start()
        self.engines.append(engine)
        return NetworkAgent(host.name, host.address, engine, self.services.bus, has=config.guarantees).run()

    async def _balancers(self, host: EmbeddedHost) -> Coroutine[Any, Any, None]:
        config, bus = self.services.settings.load_balancer, self.services.bus
        driver: BalancerDriver = FakeBalancers() if config.driver == "fake" else HaproxyDriver(
            self.services.state.balancers / host.name, host.namespace)
        agent = BalancerAgent(host.name, driver=driver, bus=bus, look_seconds=config.report_seconds)
        await bus.listen(BALANCER_HOST, balancer_handlers, agent, host=host.name)
        return agent.run()

    async def _volumes(self, host: EmbeddedHost) -> list[Coroutine[Any, Any, None]]:
        """The back ends, all on one node: other hosts of this machine reach their sockets, or their doors."""
        config, bus = self.services.settings.volume, self.services.bus
        folder, drivers = Path(config.directory), list[VolumeDriver]()
        certificates = self._certificates(host)
        street = Street(host.address, certificates, hosts.path_of(host)) if certificates else None
        shared: dict[str, Any] = {"sockets": folder / "sockets", "over_subscription": config.over_subscription}
        names = [f"{config.driver}-{number}" for number in range(1, config.back_ends + 1)]
        if config.driver == "fake":
            drivers = [FakeVolumes(name, folder / name, **shared) for name in names]
        else:
            shared["street"] = street
            drivers = [FileDriver(name, folder / name, **shared) for name in names]
            for number, share in enumerate(config.nfs_shares, start=1):
                name = f"nfs-{number}"
                drivers.append(NfsDriver(name, folder / name, Share(source=share, options=config.nfs_options),
                                         folder / "run" / name, **shared))
            for number, group in enumerate(config.lvm_groups, start=1):
                name = f"lvm-{number}"
                drivers.append(LvmDriver(name, folder / name, group, **shared))
        found = []
        for driver in drivers:
            agent = VolumeAgent(
                Place(f"{host.name}@{driver.name}", folder / "scratch", config.zone,
                      config.filter_functions.get(driver.name), config.goodness_functions.get(driver.name)),
                driver=driver, bus=bus,
                images=self.services.client(ImageClient, "/image", "volume"), backups=BackupStore(folder / "backups"))
            await bus.listen(VOLUME_NODE, volume_handlers, agent, host=agent.host)
            found.append(agent.run())
        return found

    async def answer(self, request: MetadataRequest) -> MetadataResponse:
        """A guest's metadata request, passed on to compute with the word of its host for who asks."""
        headers = signed_headers(self.services.metadata_secret, request.device_id, request.project_id)
        reply = await self.metadata.request(request.method, request.path, headers, request.body)
        return MetadataResponse(status=reply.status, body=reply.body,
                                headers={"content-type": reply.headers.get("content-type", "text/plain")})

    async def stop_guests(self) -> None:
        """Politely and all at once; what does not go in time is switched off."""
        running = [(agent.driver, guest.id) for agent in self.agents if self.choices.driver != "fake"
                   for guest in await agent.driver.guests() if guest.power != Power.OFF]
        for outcome in await asyncio.gather(*(
                driver.power(guest_id, "off", soft_seconds=GOODBYE_SECONDS) for driver, guest_id in running),
                return_exceptions=True):
            if isinstance(outcome, GuestFailed):
                log.warning("%s", outcome)

    async def close(self) -> None:
        for agent in self.agents:
            await agent.driver.close()
            await agent.cache.close()
        for engine in self.engines:
            await engine.close()
