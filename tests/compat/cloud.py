"""A whole cloud inside the test's own process: the real services and fake hosts; no sockets, no sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec

from pileus.identity.service_tokens import ServiceTokens
from pileus.kit.bus import MemoryBus
from pileus.processes.databases import DatabaseConfig
from pileus.processes.nodes import Nodes
from pileus.processes.services import Services
from pileus.processes.settings import Settings
from pileus.processes.state import Choices, StateFolder

IN_FILES = DatabaseConfig()
BASE = "http://cloud:5000"


class Cloud:
    """Speaks to the services as an administrator, unless told another token."""

    def __init__(self, folder: Path, database: DatabaseConfig):
        state = StateFolder(folder)
        state.prepare()
        replace, plain = msgspec.structs.replace, Settings()
        settings = replace(
            plain, database=database, compute=replace(plain.compute, driver="fake"),
            network=replace(plain.network, engine="fake"),
            image=replace(plain.image, directory=str(state.images)),
            volume=replace(plain.volume, driver="fake", directory=str(state.volumes)),
            load_balancer=replace(plain.load_balancer, driver="fake"))
        self.passwords = state.passwords()
        self.services = Services(state, settings, MemoryBus())
        self.nodes = Nodes(self.services, Choices(driver="fake"))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.services.site), base_url=BASE, timeout=30)
        self.admin = ServiceTokens(self.services.identity.keys, "compute").token

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None,
                   headers: dict[str, str] | None = None, content: bytes | None = None) -> httpx.Response:
        sent = {"x-auth-token": await self.admin() if token is None else token} | (headers or {})
        return await self.http.request(method, path, json=body, content=content, headers=sent)

    async def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """What stands in the one envelope of an answer that must be a success."""
        answer = await self.call(method, path, body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return next(iter(answer.json().values())) if answer.content else None

    async def log_in(self, name: str) -> str:
        who = {"name": name, "domain": {"id": "default"}, "password": getattr(self.passwords, name)}
        auth = {"identity": {"methods": ["password"], "password": {"user": who}},
                "scope": {"project": {"name": name, "domain": {"id": "default"}}}}
        answer = await self.call("POST", "/identity/v3/auth/tokens", {"auth": auth}, token="")
        assert answer.status_code == 201, answer.text
        return answer.headers["x-subject-token"]

    async def image(self) -> str:
        """An image of a few bytes that servers can be made of."""
        image_id = (await self.call("POST", "/image/v2/images", {
            "name": "tiny", "disk_format": "raw", "container_format": "bare", "visibility": "public",
            "k": "v"})).json()["id"]
        answer = await self.call("PUT", f"/image/v2/images/{image_id}/file", content=b"tiny" * 128,
                                 headers={"content-type": "application/octet-stream"})
        assert answer.status_code == 204, answer.text
        return image_id


async def until(found: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
    """What `found` returns once it is true."""
    give_up = time.monotonic() + seconds
    while not (value := await found()):
        assert time.monotonic() < give_up, "it did not become so in time"
        await asyncio.sleep(0.02)
    return value


@contextlib.asynccontextmanager
async def running_cloud(folder: Path, database: DatabaseConfig = IN_FILES) -> AsyncIterator[Cloud]:
    """A fresh cloud with one host, working until the end of the block."""
    cloud = Cloud(folder, database)
    await cloud.services.prepare(BASE, cloud.passwords)
    tasks = [asyncio.create_task(each) for each in (*cloud.services.endless(), cloud.nodes.run())]
    try:
        await until(lambda: _hosts(cloud))
        yield cloud
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await cloud.http.aclose()
        await cloud.nodes.close()
        await cloud.services.close()


async def _hosts(cloud: Cloud) -> bool:
    hypervisors, agents = (await cloud.ok("GET", "/compute/v2.1/os-hypervisors"),
                           await cloud.ok("GET", "/network/v2.0/agents"))
    return bool(hypervisors and agents)
