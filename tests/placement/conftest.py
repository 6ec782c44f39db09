import uuid

import httpx
import pytest

from pileus.kit import faults
from pileus.kit.bus import MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.client import AsgiTransport
from pileus.kit.web import Site, WebApp
from pileus.placement import migrations
from pileus.placement.client import Inventory, PlacementClient
from pileus.placement.config import PlacementConfig
from pileus.placement.runtime import Placement as Runtime
from pileus.placement.service import SERVICE

NEWEST = "placement latest"


async def authenticate(token: str) -> Caller:
    if "@" not in token:
        raise faults.Unauthorized()
    role, project = token.split("@")
    return Caller(user_id="u", project_id=project, roles=(role, "member", "reader") if role == "admin" else (role,))


async def token() -> str:
    return "service@services"


class World(Runtime):
    """The placement service with a raw client and the typed one."""

    def __init__(self, database, **config):
        super().__init__(SERVICE, db=database, bus=MemoryBus(), config=PlacementConfig(**config))
        self.site = Site({"/placement": WebApp(self, authenticate)})
        self.http = self.speaking(NEWEST)
        self.client = PlacementClient(AsgiTransport(Mounted(self.site)), token)

    def speaking(self, version):
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.site), base_url="http://cloud/placement",
            headers={"x-auth-token": "admin@p1", "openstack-api-version": version})

    async def provider(self, name="", parent=None, aggregates=(), traits=(), **amounts):
        """A provider with inventories: `VCPU=8` or `VCPU=Inventory(…)`."""
        provider_id = str(uuid.uuid4())
        await self.client.ensure_provider(provider_id, name or provider_id, parent=parent)
        if amounts:
            await self.client.set_inventory(provider_id, {
                kind: each if isinstance(each, Inventory) else Inventory(total=each) for kind, each in amounts.items()})
        if traits:
            await self.client.set_traits(provider_id, traits)
        if aggregates:
            await self.client.set_aggregates(provider_id, aggregates)
        return provider_id


class Mounted:
    """What a client in this process speaks to: the service below its path."""

    def __init__(self, site):
        self.site = site

    async def __call__(self, scope, receive, send):
        await self.site(dict(scope, path="/placement" + scope["path"]), receive, send)


@pytest.fixture
async def make_world(make_db):
    worlds = []

    async def make(database=None, **config):
        if database is None:
            database = await make_db(migrations)
        worlds.append(World(database, **config))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.http.aclose()


@pytest.fixture
async def world(make_world):
    return await make_world()
