import httpx
import pytest

from pileus.image import migrations
from pileus.image.client import ImageClient as Client
from pileus.image.config import ImageConfig
from pileus.image.runtime import Images
from pileus.image.service import SERVICE
from pileus.kit.bus import MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.client import AsgiTransport
from pileus.kit.clock import TurnedClock
from pileus.kit.web import Site, WebApp
from tests.placement.conftest import authenticate
from tests.worlds import Worlds

OCTETS = {"content-type": "application/octet-stream"}
V21 = {"content-type": "application/openstack-images-v2.1-json-patch"}
OTHER, ADMIN, READER, SYSTEM = (
    {"x-auth-token": token} for token in ("both@p2", "admin@admins", "reader@p1", "system"))


async def authenticate_members(token):
    """Like placement's, and `both@p` is a member, hence a reader; `system` is an administrator of no project."""
    if token == "system":
        return Caller(user_id="u", system=True, roles=("admin", "manager", "member", "reader"))
    caller = await authenticate(token.replace("both@", "member@"))
    return caller if not token.startswith("both@") else type(caller)(
        user_id="u", project_id=caller.project_id, roles=("member", "reader"), token=token)


class World(Images):
    def __init__(self, database, directory, settings=None, **more):
        super().__init__(SERVICE, db=database, bus=MemoryBus(), clock=TurnedClock(),
                         config=ImageConfig(directory=str(directory), max_image_bytes=20_000_000,
                                            **settings or {}), **more)
        self.directory = directory
        self.app = WebApp(self, authenticate_members)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(Site({"/image": self.app})), base_url="http://cloud/image",
            headers={"x-auth-token": "both@p1", "accept": "application/json"})
        self.client = Client(AsgiTransport(self.app), self.token)

    async def token(self):
        return "admin@admins"

    async def image(self, data=None, headers=None, **body):
        made = await self.http.post("/v2/images", headers=headers, json={
            "name": "a", "disk_format": "raw", "container_format": "bare", **body})
        assert made.status_code == 201, made.text
        image_id = made.json()["id"]
        if data is not None:
            put = await self.http.put(f"/v2/images/{image_id}/file", content=data, headers=OCTETS | (headers or {}))
            assert put.status_code == 204, put.text
        return image_id

    async def shown(self, image_id):
        answer = await self.http.get(f"/v2/images/{image_id}", headers=ADMIN)
        assert answer.status_code == 200
        return answer.json()

    def kept(self):
        """The files of the store, finished and not."""
        return sorted(path.relative_to(self.directory).parts[0] for path in self.directory.rglob("*") if path.is_file())


@pytest.fixture
async def make_world(make_db, tmp_path):
    async def open_world(database, number, **more):
        return World(database, tmp_path / "images", **more)

    worlds = Worlds(make_db, migrations, open_world)
    yield worlds
    await worlds.close()


@pytest.fixture
async def world(make_world):
    return await make_world()
