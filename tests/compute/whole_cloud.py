"""Compute with real placement, network and image services in one process, on a host that only pretends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute import conductor
from pileus.compute.agent.agent import Agent, HostIdentity
from pileus.compute.agent.handlers import handlers
from pileus.compute.config import ComputeConfig
from pileus.compute.drivers.fake import FakeDriver
from pileus.compute.drivers.image_cache import ImageCache
from pileus.compute.messages import AGENT, EnsureGuest, HostSeen
from pileus.compute.model import flavors, servers
from pileus.compute.model.servers import FlavorCopy, ImageFacts, Server
from pileus.compute.model.tables import migrations as migration_table
from pileus.compute.model.tables import servers as server_table
from pileus.identity.service_tokens import fixed_id
from pileus.image.client import ImageClient
from pileus.kit import db
from pileus.kit.bus import Handlers, MemoryBus
from pileus.network.agent.fake_host import FakeHost
from pileus.network.agent.handlers import Agent as NetworkAgent
from pileus.network.config import NetworkConfig
from pileus.network.guarantees import Guarantees
from pileus.network.model.networks import networks
from pileus.network.model.ports import ACTIVE, ports
from pileus.placement.model.tables import allocations
from pileus.processes.databases import DatabaseConfig
from pileus.processes.services import Services
from pileus.processes.settings import Settings
from pileus.processes.state import Passwords, StateFolder
from pileus.volume.agent.agent import Agent as VolumeAgent
from pileus.volume.agent.agent import Place
from pileus.volume.agent.backup_store import BackupStore
from pileus.volume.agent.handlers import handlers as volume_handlers
from pileus.volume.client import VolumeClient
from pileus.volume.conductor import back_end_seen
from pileus.volume.drivers.fake import FakeDriver as FakeVolumes
from pileus.volume.messages import NODE as VOLUME_NODE
from pileus.volume.messages import BackEndSeen
from pileus.volume.model.tables import attachments as attachment_table
from pileus.volume.model.tables import volumes as volume_table

HOST, OTHER_HOST = "host-1", "host-2"
SERVER, PORT = "5e24e24e-0000-4000-8000-000000000001", "90470000-0000-4000-8000-000000000001"
FOREVER = 1e9
SETTLE_SECONDS = 20.0


class WholeCloud:
    """`compute` is the world of its sagas. Guests of its one host are in `driver`."""

    def __init__(self, folder: Path, database: DatabaseConfig):
        state = StateFolder(folder)
        state.prepare()
        settings = Settings(
            database=database, compute=ComputeConfig(driver="fake", host_silent_after=FOREVER),
            network=NetworkConfig(engine="fake", host_dead_after=FOREVER))
        replace = msgspec.structs.replace
        settings = replace(
            settings, identity=replace(settings.identity, password_rounds=4),
            image=replace(settings.image, directory=str(state.images)),
            volume=replace(settings.volume, driver="fake", directory=str(state.volumes)))
        self.services = Services(state, settings, MemoryBus())
        self.compute, self.network = self.services.compute, self.services.network
        self.driver = FakeDriver(HOST, folder / "guests")
        self.agent = Agent(
            HostIdentity(name=HOST, address="192.0.2.1", boot_id="1"), driver=self.driver, bus=self.services.bus,
            images=self.services.client(ImageClient, "/image", "compute"), cache=ImageCache(folder / "cache"))
        self.volumes = VolumeAgent(
            Place(f"{HOST}@fake", folder / "scratch"), driver=FakeVolumes("fake", state.volumes), bus=self.services.bus,
            images=self.services.client(ImageClient, "/image", "volume"), backups=BackupStore(folder / "backups"))
        self.folder, self._others_guests = folder, folder / "other-guests"
        self._tasks: list[asyncio.Task[Any]] = []
        self.other: Agent | None = None

    async def prepare(self, *, silent: bool = False) -> None:
        """What a fresh cloud holds, one host (if that is not silent as yet), and an image."""
        await self.services.prepare("http://127.0.0.1:5000", Passwords(admin="admin", demo="demo"))
        await self.start()
        if not silent:
            await self.sign_of_life()
        path = self.services.state.folder / "disk"
        path.write_bytes(bytes(512))
        await self.services.client(ImageClient, "/image", "image").ensure_image("small", path)

    async def guarantee(self, has: Guarantees) -> None:
        """The host says what it has for ports that are promised anything, and placement is told."""
        self.network_agent.has = has
        await self.network_agent.say_hello()
        give_up = time.monotonic() + SETTLE_SECONDS
        while self.network.published.get(HOST) != has:
            assert time.monotonic() < give_up, "placement is not told"
            await asyncio.sleep(0.005)

    async def sign_of_life(self, boot_id: str = "1") -> None:
        """Of the host; another boot means that it was restarted."""
        await conductor.host_seen(self.compute, HostSeen(
            host=HOST, address="192.0.2.1", boot_id=boot_id, facts=await self.driver.host_facts(),
            guests=tuple(await self.driver.guests())))

    async def start(self) -> None:
        """The parts that sagas talk to; sagas and reconcilers of compute are left to the test."""
        await self.listen(self.agent)
        await self.services.bus.listen(VOLUME_NODE, volume_handlers, self.volumes, host=self.volumes.host)
        topic = self.network.service.topic
        await self.services.bus.listen(topic, self.network.service.handlers, self.network)
        self.network_agent = NetworkAgent(HOST, "192.0.2.1", FakeHost(HOST), self.services.bus)
        self._tasks = [asyncio.create_task(each) for each in (
            self.network.reconcilers.run(), self.network_agent.run())]
        await back_end_seen(self.services.volume, BackEndSeen(      # a cloud may be older than back ends stay silent
            host=self.volumes.host, zone=self.volumes.zone, facts=await self.volumes.driver.facts()))
        if self._others_guests.exists():
            await self.add_host()

    async def listen(self, agent: Agent) -> None:
        listeners = Handlers()
        listeners.by_name |= handlers.by_name
        listeners.on(EnsureGuest)(self._ensure_guest)
        await self.services.bus.listen(AGENT, listeners, agent, host=agent.host)

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Until the cloud is closed."""
        self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for agent in (self.agent, *([self.other] if self.other else [])):
            await agent.driver.close()
            await agent.cache.close()
        await self.services.close()

    async def add_host(self) -> None:
        """Another host beside the one there is."""
        driver, cache = FakeDriver(OTHER_HOST, self._others_guests), ImageCache(self.folder / "other-cache")
        self.other = Agent(
            HostIdentity(name=OTHER_HOST, address="192.0.2.2", boot_id="1"), driver=driver, bus=self.services.bus,
            images=self.services.client(ImageClient, "/image", "compute"), cache=cache)
        await self.listen(self.other)
        network = NetworkAgent(OTHER_HOST, "192.0.2.2", FakeHost(OTHER_HOST), self.services.bus)
        self._tasks.append(asyncio.create_task(network.run()))
        await conductor.host_seen(self.compute, HostSeen(
            host=OTHER_HOST, address="192.0.2.2", boot_id="1", facts=await driver.host_facts(),
            guests=tuple(await driver.guests())))

    async def _ensure_guest(self, agent: Agent, message: EnsureGuest) -> Any:
        """Time stands still for the sagas here, so the network gets the time it needs before they go on."""
        seen = await handlers.by_name["EnsureGuest"][1](agent, message)
        give_up = time.monotonic() + SETTLE_SECONDS
        while await self.waiting_ports():
            assert time.monotonic() < give_up, "the network does not bring ports up"
            await asyncio.sleep(0.005)
        return seen

    async def waiting_ports(self) -> list[str]:
        async with self.network.db.read() as reader:
            return await db.scalars(reader, sa.select(ports.c.id).where(
                ports.c.host.in_((HOST, OTHER_HOST)), ports.c.status != ACTIVE))

    # -- what sagas need, and what they leave -----------------------------------------------

    async def add_server(self) -> str:
        """A server that was just asked for; the id of the network it is to be on."""
        now = self.compute.clock()
        image = await self.compute.image.find_by_name("small")
        assert image is not None
        async with self.compute.db.write() as tx:
            flavor = await flavors.get(tx, "42")
            await db.add(tx, server_table, Server(
                id=SERVER, project_id=fixed_id("project", "demo"), user_id=fixed_id("user", "demo"), name="one",
                hostname="one", flavor_id="42", vcpus=flavor.vcpus, memory_mb=flavor.memory_mb,
                flavor=FlavorCopy(id="42", name=flavor.name, vcpus=flavor.vcpus, memory_mb=flavor.memory_mb,
                                  disk_gb=flavor.disk_gb),
                image_id=image.id, image=ImageFacts(id=image.id, disk_format="raw", size_bytes=512,
                                                    sha512=image.os_hash_value or ""),
                reservation_id="r-1", created_at=now, updated_at=now))
        async with self.network.db.read() as reader:
            found = await db.scalar(reader, sa.select(networks.c.id).where(networks.c.name == "private"))
        return str(found)

    async def add_volume(self, **more: Any) -> str:
        """A volume of the demo project, when it is there."""
        made = await self.services.client(VolumeClient, "/volume", "volume").create({"size": 1, **more})
        await self.services.volume.sagas.drain()
        async with self.services.volume.db.write() as tx:
            await tx.execute(volume_table.update().where(volume_table.c.id == made.id).values(
                project_id=fixed_id("project", "demo")))
        return made.id

    async def volume_facts(self) -> dict[str, Any]:
        """What is attached to what, as the volume service has it, and as the guests and the back end do."""
        async with self.services.volume.db.read() as reader:
            rows = [tuple(row) for row in await reader.execute(
                sa.select(attachment_table.c.status, attachment_table.c.host).order_by(attachment_table.c.created_at))]
            statuses = await db.scalars(reader, sa.select(volume_table.c.status).order_by(volume_table.c.created_at))
        drivers = [self.driver, *([self.other.driver] if self.other else [])]
        return {"attachments": rows, "volumes": list(statuses),
                "in guests": [[volume.volume_id for volume in guest.volumes]
                              for driver in drivers for guest in driver.known.values()],
                "served": [volume.export is not None for _, volume in sorted(self.volumes.driver.known.items())]}

    async def facts(self) -> dict[str, Any]:
        """All that a saga of compute may touch."""
        async with self.compute.db.read() as reader:
            server = await servers.find(reader, SERVER)
        async with self.services.placement.db.read() as reader:
            claims = await db.scalars(reader, sa.select(allocations.c.resource_class).where(
                allocations.c.consumer_id == SERVER).order_by(allocations.c.resource_class))
        async with self.network.db.read() as reader:
            rows = await reader.execute(sa.select(ports.c.id, ports.c.host, ports.c.status).where(
                ports.c.device_id == SERVER))
            bound = [tuple(row) for row in rows]
        return {
            "state": server and server.state, "power": server and server.power, "host": server and server.host,
            "nics": server and [nic.port_id for nic in server.nics], "fault": server and bool(server.fault),
            "claims": list(claims), "ports": bound,
            "guests": {guest.id: guest.power for guest in await self.driver.guests()}}


    async def more_facts(self) -> dict[str, Any]:
        """What sagas touch that change a server which is there."""
        async with self.compute.db.read() as reader:
            server = await servers.find(reader, SERVER)
            moves = [tuple(row) for row in await reader.execute(
                sa.select(migration_table.c.status, migration_table.c.going_on))]
        async with self.services.placement.db.read() as reader:
            claimed = [tuple(row) for row in await reader.execute(sa.select(
                allocations.c.consumer_id, allocations.c.resource_class, allocations.c.used).order_by(
                    allocations.c.consumer_id, allocations.c.resource_class))]
        assert server is not None
        images, _ = await self.compute.image.images(image_type="snapshot")
        guests = {agent.host: {guest.id: guest.power for guest in await agent.driver.guests()}
                  for agent in (self.agent, *([self.other] if self.other else []))}
        facts = await self.facts()
        return facts | {
            "guests": guests, "name": server.name, "image": server.image_id, "root": server.root,
            "rescue": bool(server.rescue), "flavor": server.flavor_id, "moved": bool(server.moved), "moves": moves,
            "shelved": bool(server.shelved), "claims": claimed, "images": [image.status for image in images]}
