"""The control plane of an embedded cloud: seven services, their clients and databases, in one process."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import Any, TypeVar

import msgspec

from pileus.compute.client import ComputeClient
from pileus.compute.consoles import ConsoleApp
from pileus.compute.metadata import MetadataApp
from pileus.compute.model import flavors, quotas
from pileus.compute.runtime import Clients, Compute
from pileus.compute.service import SERVICE as COMPUTE
from pileus.identity.bootstrap import REGION
from pileus.identity.bootstrap import bootstrap as bootstrap_identity
from pileus.identity.client import IdentityClient, UnifiedLimits
from pileus.identity.runtime import Identity
from pileus.identity.service_tokens import ServiceTokens, fixed_id
from pileus.identity.validator import TokenValidator
from pileus.image.client import ImageClient
from pileus.image.runtime import Images
from pileus.image.service import SERVICE as IMAGE
from pileus.kit import migrate
from pileus.kit.bus import Bus
from pileus.kit.caller import Authenticator
from pileus.kit.certificates import ClientCertificates
from pileus.kit.client import AsgiTransport, Client
from pileus.kit.db import Db
from pileus.kit.saga_engine import Engine, Reach, nothing
from pileus.kit.service import Runtime
from pileus.kit.web import Site, WebApp
from pileus.load_balancer.runtime import LoadBalancers
from pileus.load_balancer.service import SERVICE as LOAD_BALANCER
from pileus.network.bootstrap import bootstrap as bootstrap_network
from pileus.network.client import NetworkClient
from pileus.network.engine.base import EngineFailed, HostLink
from pileus.network.engine.fake import FakeEngine
from pileus.network.engine.linux.engine import LinuxEngine
from pileus.network.runtime import Judge, Network
from pileus.placement.client import PlacementClient
from pileus.placement.runtime import Placement
from pileus.placement.service import SERVICE as PLACEMENT
from pileus.processes.front import Front
from pileus.processes.policies import policies_of
from pileus.processes.settings import Settings
from pileus.processes.state import Passwords, StateFolder
from pileus.volume.bootstrap import bootstrap as bootstrap_volume
from pileus.volume.client import VolumeClient
from pileus.volume.runtime import Volumes
from pileus.volume.service import SERVICE as VOLUME

log = logging.getLogger(__name__)
C = TypeVar("C", bound=Client)
UNLIMITED = ("instances", "cores", "ram")


class Services:
    """Built from a state folder; without hosts and without a listening socket."""

    def __init__(self, state: StateFolder, settings: Settings, bus: Bus, *, reach: Reach = nothing):
        self.state, self.settings, self.bus, self.reach = state, settings, bus, reach
        self.site = Site({"": Front()})
        self.site.certificates = ClientCertificates(settings.proxy)
        self.identity = identity_of(state, settings, bus)
        self.placement = Placement(PLACEMENT, db=self._db("placement"), bus=bus, config=settings.placement)
        images = self._db("image")
        self.image = Images(IMAGE, db=images, bus=bus, config=settings.image, engine=self._engine(images),
                            unified_limits=self._unified_limits("image"), catalog_of=self._catalog_of,
                            secret=state.secret("image-secret"))
        self.network = self._network()
        self.compute = self._compute()
        self.volume = self._volume()
        self.load_balancer = self._load_balancer()
        self.runtimes: tuple[Runtime, ...] = (self.identity, self.placement, self.image, self.network, self.compute,
                                              self.volume, self.load_balancer)
        policies = policies_of(state.folder / "policy.yaml")
        for runtime in self.runtimes:
            runtime.policy = policies[runtime.service.name]
        validate = TokenValidator(self.identity.keys, self.client(IdentityClient, "", "compute"),
                                  self.identity.feed)
        self._mount("/identity", self.identity, self.identity.authenticate)
        self._mount("/keystone", self.identity, self.identity.authenticate)
        self.site.mount_at_root("/Shibboleth.sso", self.site.mounts["/identity"])
        self._mount("/placement", self.placement, validate)
        self._mount("/image", self.image, validate)
        self._mount("/network", self.network, validate)
        self._mount("/compute", self.compute, validate)
        self._mount("/volume", self.volume, validate)
        self._mount("/load-balancer", self.load_balancer, validate)
        self.metadata_secret = state.secret("metadata-secret")
        self.site.mounts["/console"] = ConsoleApp(self.compute)
        self.site.sockets.add("/console")
        self.site.mounts["/metadata"] = MetadataApp(self.compute, self.metadata_secret)

    def _db(self, service: str) -> Db:
        return database_of(service, self.state, self.settings)

    def _engine(self, database: Db) -> Engine:
        engine = Engine(database)
        engine.reach = self.reach
        return engine

    def _mount(self, path: str, runtime: Runtime, authenticate: Authenticator) -> None:
        self.site.mounts[path] = WebApp(runtime, authenticate)

    def client(self, kind: type[C], path: str, user: str) -> C:
        """A client of the service at `path`, acting as the service user `user`."""
        return kind(AsgiTransport(self.site, path), ServiceTokens(self.identity.keys, user).token)

    def _unified_limits(self, service: str) -> UnifiedLimits:
        """How a service asks for the limits that identity keeps for it."""
        identity = self.client(IdentityClient, "", service)
        return functools.partial(identity.limits, fixed_id("service", service), REGION)

    async def _catalog_of(self, token: str) -> list[dict[str, Any]]:
        client: IdentityClient = self.client(IdentityClient, "", "image").as_caller(token)
        return await client.catalog()

    def _network(self) -> Network:
        database = self._db("network")
        return Network(db=database, bus=self.bus, judge=judge_of(self.settings.network.engine),
                       config=self.settings.network, compute=self.client(ComputeClient, "/compute", "network"),
                       placement=self.client(PlacementClient, "/placement", "network"),
                       sagas=self._engine(database))

    def _compute(self) -> Compute:
        database = self._db("compute")
        return Compute(
            COMPUTE, db=database, bus=self.bus, engine=self._engine(database), config=self.settings.compute,
            guests=self.settings.guests, scheduler=self.settings.scheduler,
            unified_limits=self._unified_limits("compute"), clients=Clients(
                image=self.client(ImageClient, "/image", "compute"),
                network=self.client(NetworkClient, "/network", "compute"),
                placement=self.client(PlacementClient, "/placement", "compute"),
                volume=self.client(VolumeClient, "/volume", "compute")))

    def _volume(self) -> Volumes:
        database = self._db("volume")
        return Volumes(VOLUME, db=database, bus=self.bus, engine=self._engine(database), config=self.settings.volume,
                       image=self.client(ImageClient, "/image", "volume"),
                       compute=self.client(ComputeClient, "/compute", "volume"),
                       secret=self.state.secret("volume-secret"))

    def _load_balancer(self) -> LoadBalancers:
        database = self._db("load_balancer")
        return LoadBalancers(LOAD_BALANCER, db=database, bus=self.bus, engine=self._engine(database),
                             config=self.settings.load_balancer,
                             network=self.client(NetworkClient, "/network", "load_balancer"))

    # -- life -------------------------------------------------------------------------------

    async def prepare(self, base_url: str, passwords: Passwords) -> None:
        """Databases of this release, what a fresh cloud holds, and no lease of a process that is dead."""
        for runtime in self.runtimes:
            await runtime.db.must_answer()
        await _bring_up_to_date(self.identity)
        async with asyncio.TaskGroup() as group:                         # passwords are hashed by other processors
            group.create_task(bootstrap_identity(
                self.identity, {"admin": passwords.admin, "demo": passwords.demo}, base_url))
            group.create_task(self._prepare_others())
        for runtime in self.runtimes:
            if runtime.service.topic:
                await self.bus.listen(runtime.service.topic, runtime.service.handlers, runtime)

    async def _prepare_others(self) -> None:
        for runtime in self.runtimes:
            if runtime is not self.identity:
                await _bring_up_to_date(runtime)
        demo, admin = fixed_id("project", "demo"), fixed_id("project", "admin")
        await bootstrap_network(self.network, admin_project=admin, demo_project=demo)
        async with self.compute.db.write() as tx:
            await flavors.default_flavors(tx, self.compute.clock())
            await quotas.set_limits(tx, dict.fromkeys(UNLIMITED, quotas.UNLIMITED), admin)
        await bootstrap_volume(self.volume, admin_project=admin)

    def endless(self) -> list[Any]:
        """What runs as long as the cloud does."""
        return [work for runtime in self.runtimes for work in (runtime.sagas.run(), runtime.reconcilers.run())]

    async def close(self) -> None:
        await self.bus.close()
        for runtime in self.runtimes:
            await runtime.db.close()


async def _bring_up_to_date(runtime: Runtime) -> None:
    for name in await migrate.bring_up_to_date(runtime.db, runtime.service.migrations):
        log.info("migrated %s: %s", runtime.service.name, name)
    await runtime.sagas.forget_leases()


def identity_of(state: StateFolder, settings: Settings, bus: Bus) -> Identity:
    """Folders of keys are below the state folder, unless they are named in full."""
    config = msgspec.structs.replace(
        settings.identity, keys=state.folder / settings.identity.keys,
        credential_keys=state.folder / settings.identity.credential_keys)
    return Identity(config, db=database_of("identity", state, settings), bus=bus,
                    compliance=settings.security_compliance, federation=settings.federation)


def database_of(service: str, state: StateFolder, settings: Settings) -> Db:
    """Where the settings say, else a file in the state folder."""
    found = settings.database
    return Db(found.of(service) or state.database(service), connections=found.connections)


def judge_of(engine: str) -> Judge:
    """The part of a network engine that API processes ask; pure, so it needs no way to any host."""
    def nowhere(host: str) -> HostLink:
        raise EngineFailed(f"API processes do not speak to host {host}")
    return FakeEngine() if engine == "fake" else LinuxEngine(nowhere)
