"""A whole volume service with two fake back ends, images that are only described, and a compute that listens."""

from __future__ import annotations

import functools

import httpx
import pytest

from pileus.image.client import Image
from pileus.kit import faults
from pileus.kit.bus import MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.client import Refused, Reply
from pileus.kit.clock import TurnedClock
from pileus.kit.saga_engine import Engine
from pileus.kit.web import WebApp
from pileus.volume import migrations
from pileus.volume.agent.agent import Agent, Place
from pileus.volume.agent.backup_store import BackupStore
from pileus.volume.agent.handlers import handlers
from pileus.volume.bootstrap import bootstrap
from pileus.volume.config import VolumeConfig
from pileus.volume.drivers.fake import FakeDriver
from pileus.volume.messages import CONDUCTOR, NODE
from pileus.volume.runtime import Volumes
from pileus.volume.service import SERVICE
from tests.worlds import Lasting, Worlds

ROLES = {"admin": ("admin", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",),
         "service": ("service",)}
NEWEST = str(SERVICE.ledger.newest)


async def authenticate(token: str) -> Caller:
    """Tokens are written role@project."""
    role, _, project = token.partition("@")
    if role not in ROLES:
        raise faults.Unauthorized()
    return Caller(user_id=f"{role}-of-{project}", project_id=project, roles=ROLES[role], token=token)


zeros_of = functools.lru_cache(8)(bytes)


class Pictures:
    """What the volume service needs of images: contents by id, described when asked."""

    def __init__(self, folder):
        self.contents: dict[str, bytes | None] = Lasting(folder / "pictures")
        self.formats: dict[str, str] = {}
        self.properties: dict[str, dict[str, str]] = {}
        self.sizes: dict[str, int] = {}

    def as_caller(self, token):
        return self

    async def get(self, image_id):
        if image_id not in self.contents:
            raise Refused("image", Reply(404, {}, b'{"message": "no such image"}'))
        content = self.contents[image_id]
        return Image(id=image_id, name=f"image {image_id}", status="queued" if content is None else "active",
                     visibility="private", owner="p1", disk_format=self.formats.get(image_id, "raw"),
                     container_format="bare", size=len(content or b""), virtual_size=None, checksum="c",
                     os_hash_algo="sha512", os_hash_value="h", min_disk=0, min_ram=0, protected=False, os_hidden=False,
                     tags=[], created_at="", updated_at="",
                     properties={"os_distro": "debian"} | self.properties.get(image_id, {}))

    async def create(self, name, **facts):
        image_id = f"11111111-0000-4000-8000-{len(self.contents):012d}"
        self.contents[image_id], self.properties[image_id] = None, facts.get("properties", {})
        return await self.get(image_id)

    async def images(self, *, visibility, os_hidden, **wanted):
        found = [await self.get(image_id) for image_id in self.contents]
        return [each for each in found if os_hidden == "false" and wanted.items() <= each.properties.items()], False

    async def download(self, image_id):
        yield self.contents[image_id]

    async def upload(self, image_id, pieces, *, size=None):
        """Zeros at the end are not kept: volumes are large, and mostly empty."""
        content, zeros = bytearray(), 0
        async for piece in pieces:
            if piece == zeros_of(len(piece)):
                zeros += len(piece)
            else:
                content += bytes(zeros) + piece
                zeros = 0
        self.contents[image_id], self.sizes[image_id] = bytes(content), len(content) + zeros

    async def remove(self, image_id):
        self.contents.pop(image_id, None)


class Listener:
    def __init__(self, folder):
        self._heard = Lasting(folder / "heard")

    @property
    def events(self) -> list[dict[str, str]]:
        return self._heard.get("events", [])

    async def external_events(self, events):
        self._heard["events"] = self.events + [event for event in events if event not in self.events]


class World(Volumes):
    """Also what `prove` calls a world: sagas of other engines find everything here."""

    def __init__(self, database, folder, **config):
        folder.mkdir(exist_ok=True)
        clock = TurnedClock()
        super().__init__(SERVICE, db=database, bus=MemoryBus(), clock=clock, engine=Engine(database, clock=clock),
                         config=VolumeConfig(driver="fake", directory=str(folder), **config), image=Pictures(folder),
                         compute=Listener(folder), secret=b"secret")
        self.folder = folder
        self.drivers = {name: FakeDriver(name, folder / name, sockets=folder / "sockets", total_gb=1000)
                        for name in ("one", "two")}
        self.backups = BackupStore(folder / "backups")
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(WebApp(self, authenticate)),
                                      base_url="http://volume")

    async def begin(self):
        await bootstrap(self, admin_project="admins")
        await self.bus.listen(CONDUCTOR, SERVICE.handlers, self)
        for name, driver in self.drivers.items():
            place = Place(f"node@{name}", self.folder / "scratch", "nova", self.config.filter_functions.get(name),
                          self.config.goodness_functions.get(name))
            agent = Agent(place, driver=driver, bus=self.bus, images=self.image, backups=self.backups)
            await self.bus.listen(NODE, handlers, agent, host=agent.host)
            await self.bus.call(await agent.seen())

    async def call(self, method, path, body=None, *, token="member@p1", version=NEWEST):
        project = token.partition("@")[2]
        headers = {"x-auth-token": token, "openstack-api-version": f"volume {version}"}
        return await self.http.request(method, f"/v3/{project}{path}", json=body, headers=headers)

    async def ok(self, method, path, body=None, **more):
        answer = await self.call(method, path, body, **more)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def refused(self, method, path, body=None, **more):
        answer = await self.call(method, path, body, **more)
        assert answer.is_client_error, (answer.status_code, answer.text)
        (fault,) = answer.json().values()
        assert fault["code"] == answer.status_code
        return answer.status_code

    async def volume(self, size=1, **body):
        """A new volume, when its saga has ended."""
        token = body.pop("token", "member@p1")
        made = (await self.ok("POST", "/volumes", {"volume": {"size": size, **body}}, token=token))["volume"]
        await self.sagas.drain()
        return made["id"]

    async def action(self, path, name, body=None, **more):
        result = await self.ok("POST", f"{path}/action", {name: body}, **more)
        await self.sagas.drain()
        return result

    async def show(self, kind, id, **more):
        (found,) = (await self.ok("GET", f"/{kind}/{id}", **more)).values()
        return found

    def held(self, volume_id):
        """(back end, its volume) for every back end that has the volume."""
        return [(name, driver.known[volume_id]) for name, driver in self.drivers.items()
                if volume_id in driver.known]


@pytest.fixture
async def make_world(make_db, tmp_path):
    async def open_world(database, number, **config):
        world = World(database, tmp_path / f"volumes-{number}", **config)
        await world.begin()
        return world

    worlds = Worlds(make_db, migrations, open_world)
    yield worlds
    await worlds.close()


@pytest.fixture
async def world(make_world):
    return await make_world()
