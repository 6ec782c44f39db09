"""One running copy of the network service on each database, and a client that speaks to it as several people."""

from __future__ import annotations

import httpx
import pytest

from pileus.kit import faults
from pileus.kit.bus import MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.client import AsgiTransport
from pileus.kit.web import WebApp
from pileus.network import migrations
from pileus.network.client import NetworkClient
from pileus.network.config import NetworkConfig
from pileus.network.engine.fake import FakeEngine
from pileus.network.runtime import Network

ROLES = {"admin": ("admin", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",),
         "manager": ("manager", "member", "reader"),
         "service": ("service",)}


async def authenticate(token: str) -> Caller:
    """Tokens of tests say role@project."""
    role, _, project = token.partition("@")
    if role not in ROLES:
        raise faults.Unauthorized()
    return Caller(user_id="u-" + role, project_id=project, roles=ROLES[role], token=token)


class World(Network):
    def __init__(self, database, *, bus=None, config=None):
        super().__init__(db=database, bus=bus or MemoryBus(), judge=FakeEngine(), config=config or NetworkConfig())
        self.site = WebApp(self, authenticate)
        self.http = self.speaker("member@p1")
        self.admin = self.speaker("admin@p0")
        self.other = self.speaker("member@p2")

        async def token() -> str:
            return "service@services"
        self.client = NetworkClient(AsgiTransport(self.site), token)

    def speaker(self, token: str) -> Speaker:
        return Speaker(transport=httpx.ASGITransport(self.site), base_url="http://network",
                       headers={"x-auth-token": token})


class Speaker(httpx.AsyncClient):
    """Says things briefly: `make("network", name="a")`, `get("networks", id)`, and checks the status."""

    async def make(self, kind: str, status: int = 201, **body):
        answer = await self.post(f"/v2.0/{path_of(kind)}", json={kind: body})
        assert answer.status_code == status, answer.text
        return answer.json()[kind] if status < 300 else answer.json()["NeutronError"]

    async def change(self, kind: str, what, status: int = 200, **body):
        answer = await self.put(f"/v2.0/{path_of(kind)}/{what['id']}", json={kind: body})
        assert answer.status_code == status, answer.text
        return answer.json()[kind] if status < 300 else answer.json()["NeutronError"]

    async def drop(self, kind: str, what, status: int = 204):
        answer = await self.delete(f"/v2.0/{path_of(kind)}/{what['id']}")
        assert answer.status_code == status, answer.text
        return answer.json()["NeutronError"] if status >= 300 else None

    async def show(self, kind: str, what, status: int = 200):
        answer = await self.get(f"/v2.0/{path_of(kind)}/{what['id']}")
        assert answer.status_code == status, answer.text
        return answer.json()[kind] if status < 300 else answer.json()["NeutronError"]

    async def all(self, kind: str, **query):
        answer = await self.get(f"/v2.0/{path_of(kind)}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()[kind.replace("-", "_") + "s"]


def path_of(kind: str) -> str:
    return kind.replace("_", "-") + "s"


@pytest.fixture
async def make_world(make_db):
    worlds = []

    async def make(**settings) -> World:
        database = await make_db(migrations)
        worlds.append(World(database, **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        for speaker in (world.http, world.admin, world.other):
            await speaker.aclose()


@pytest.fixture
async def world(make_world):
    return await make_world()
