"""The whole cloud in one process: every service, conductor and host, SQLite files, messages in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pileus.compute.metadata import MetadataApp
from pileus.compute.runtime import Compute
from pileus.compute.service import SERVICE as COMPUTE
from pileus.identity.client import IdentityClient
from pileus.identity.config import IdentityConfig
from pileus.identity.keys import KeyRepository
from pileus.identity.runtime import Identity
from pileus.identity.service_tokens import ServiceTokens
from pileus.identity.validator import TokenValidator
from pileus.image.client import Image as ImageClient
from pileus.image.runtime import Image
from pileus.image.service import SERVICE as IMAGE
from pileus.kit.bus import MemoryBus
from pileus.kit.client import AsgiTransport
from pileus.kit.db import Db
from pileus.kit.saga_engine import Engine, Reach, nothing
from pileus.kit.service import Runtime
from pileus.kit.web import Site, WebApp
from pileus.network.client import NetworkClient
from pileus.network.runtime import Network
from pileus.placement.client import Placement as PlacementClient
from pileus.placement.runtime import Placement
from pileus.placement.service import SERVICE as PLACEMENT
from pileus.processes.front import Front
from pileus.processes.settings import Settings
from pileus.processes.state import StateFolder

log = logging.getLogger(__name__)
METADATA_SECRET = "metadata-secret"
EVERYWHERE = "0.0.0.0"           # of the sandbox, which only the forwarded port leads into


class Services:
    """The control plane: built from a state folder, without hosts and without a listening socket."""

    def __init__(self, state: StateFolder, settings: Settings, *, reach: Reach = nothing):
        self.state, self.settings, self.bus, self.reach = state, settings, MemoryBus(), reach
        self.site = Site({"": Front()})
        self.identity = Identity(
            IdentityConfig(keys=state.folder / "keys", credential_keys=state.folder / "credential-keys"),
            db=self._db("identity"), bus=self.bus)
        self.keys: KeyRepository = self.identity.keys
        self.placement = Placement(PLACEMENT, db=self._db("placement"), bus=self.bus, config=settings.placement)
        self.image = Image(IMAGE, db=self._db("image"), bus=self.bus, config=settings.image)
        self.network = self._network()
        self.compute = self._compute()
        self.identity_client = self._client(IdentityClient, "/identity", "compute")
        validate = TokenValidator(self.keys, self.identity_client, self.identity.feed)
        self._mount("/identity", self.identity, self.identity.authenticate)
        for path, runtime in (("/placement", self.placement), ("/image", self.image), ("/network", self.network),
                              ("/compute", self.compute)):
            self._mount(path, runtime, validate)
        self.metadata_secret = state.secret(METADATA_SECRET)
        self.site.mounts["/metadata"] = MetadataApp(self.compute, self.metadata_secret)

    def _db(self, service: str) -> Db:
        return Db(self.state.database(service))

    def _engine(self, database: Db) -> Engine:
        engine = Engine(database)
        engine.reach = self.reach
        return engine

    def _mount(self, path: str, runtime: Runtime, authenticate: Any) -> None:
        self.site.mounts[path] = WebApp(runtime, authenticate)

    def _client(self, kind: Callable[..., Any], path: str, user: str) -> Any:
        """A client of the service at `path`, acting as the service user `user`."""
        return kind(AsgiTransport(self.site, path), ServiceTokens(self.keys, user).token)

    def _network(self) -> Network:
        raise AssertionError

    def _compute(self) -> Compute:
        database = self._db("compute")
        return Compute(
            COMPUTE, db=database, bus=self.bus, engine=self._engine(database), config=self.settings.compute,
            image=self._client(ImageClient, "/image", "compute"),
            network=self._client(NetworkClient, "/network", "compute"),
            placement=self._client(PlacementClient, "/placement", "compute"))
