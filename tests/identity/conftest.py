import httpx
import pytest

from pileus.identity import migrations
from pileus.identity.bootstrap import bootstrap
from pileus.identity.config import ComplianceConfig, IdentityConfig
from pileus.identity.runtime import Identity
from pileus.kit.web import Site, WebApp

PASSWORDS = {"admin": "a-secret", "demo": "d-secret"}
BASE = "http://cloud:5000"


class World(Identity):
    """Identity after bootstrap, with a client that speaks to it as whoever logged in."""

    def __init__(self, config, db, clock=None, **more):
        super().__init__(config, db=db, clock=clock, **more)
        self.site = Site({"/identity": WebApp(self, self.authenticate)})
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.site), base_url=f"{BASE}/identity")

    async def start(self, base_url=BASE):
        await bootstrap(self, PASSWORDS, base_url)

    async def post_auth(self, user, password=None, scope=None, domain="Default", **query):
        who = {"password": PASSWORDS.get(user, "x") if password is None else password}
        who |= {"id": user} if len(user) == 32 else {"name": user, "domain": {"name": domain}}
        auth = {"identity": {"methods": ["password"], "password": {"user": who}}}
        if isinstance(scope, str) and scope not in ("unscoped",):
            scope = {"project": {"name": scope, "domain": {"name": "Default"}}}
        if scope is not None:
            auth["scope"] = scope
        return await self.http.post("/v3/auth/tokens", json={"auth": auth}, params=query)

    async def log_in(self, user, password=None, scope=None):
        answer = await self.post_auth(user, password, scope)
        assert answer.status_code == 201, answer.text
        return answer.headers["x-subject-token"]

    async def ask(self, token, method, path, body=None, **headers):
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.http.request(method, path, json=body, headers={"x-auth-token": token, **named})

    async def see(self, token, subject, **query):
        return await self.http.get("/v3/auth/tokens", params=query,
                                   headers={"x-auth-token": token, "x-subject-token": subject})

    async def make(self, token, path, **fields):
        kind = {"policies": "policy", "regions": "region"}.get(path, path.rpartition("/")[2][:-1])
        answer = await self.ask(token, "POST", f"/v3/{path}", {kind: fields})
        assert answer.status_code == 201, answer.text
        return answer.json()[kind]


@pytest.fixture
async def make_world(make_db, tmp_path):
    worlds = []

    async def make(clock=None, db=None, compliance=None, federation=None, **options):
        database = db or await make_db(migrations)
        config = IdentityConfig(keys=tmp_path / "keys", credential_keys=tmp_path / "credential-keys",
                                password_rounds=4, **options)
        worlds.append(World(config, database, clock, compliance=ComplianceConfig(**compliance or {}),
                            federation=federation))
        await worlds[-1].start()
        return worlds[-1]

    yield make
    for world in worlds:
        await world.http.aclose()


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
async def admin(world):
    return await world.log_in("admin", scope="admin")


@pytest.fixture
async def demo(world):
    return await world.log_in("demo", scope="demo")
