"""A compute service made of the simple resources only: no hosts behind it, nobody to call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import httpx

from pileus.compute import migrations
from pileus.compute.api import (
    flavor_extras,
    flavors,
    hosts,
    hypervisors,
    keypairs,
    limits,
    quotas,
    server_actions,
    server_items,
    servers,
    services,
    shares,
    usage,
    zones,
)
from pileus.compute.config import ComputeConfig
from pileus.compute.faults import envelope
from pileus.compute.links import page_links
from pileus.compute.model import tables
from pileus.compute.versions import FLAVOR_NAMES, LEDGER
from pileus.kit import faults
from pileus.kit.bus import MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.client import Unreachable
from pileus.kit.clock import TurnedClock
from pileus.kit.db import Db
from pileus.kit.routes import Routes
from pileus.kit.service import Runtime, Service
from pileus.kit.web import WebApp

SERVICE = Service(
    name="compute", type="compute", ledger=LEDGER, metadata=tables.metadata, migrations=migrations,
    routes=Routes(flavors.routes, flavor_extras.routes, keypairs.routes, hypervisors.routes, services.routes,
                  hosts.routes, zones.routes, quotas.routes, limits.routes, usage.routes, servers.routes,
                  server_items.routes, server_actions.routes, shares.routes),
    rules=(*limits.RULES, *servers.RULES, *server_items.RULES), envelope=envelope, page_links=page_links,
    strict_queries=FLAVOR_NAMES)
ROLES = {"admin": ("admin", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",)}


async def authenticate(token: str) -> Caller:
    """Tokens are written role@project, or role@project/user."""
    role, _, where = token.partition("@")
    if role not in ROLES or not where:
        raise faults.Unauthorized()
    project, _, user = where.partition("/")
    return Caller(user_id=user or f"{role}-of-{project}", project_id=project, roles=ROLES[role])


class NothingAttached:
    """Of the volume service, for servers that have no volumes."""

    async def attachments(self, *server_ids):
        return []


class SimpleCloud(Runtime):
    """The service with a client that speaks to it as an administrator of project p1."""

    def __init__(self, database: Db):
        super().__init__(SERVICE, db=database, bus=MemoryBus(), clock=TurnedClock())
        self.config, self.volume = ComputeConfig(), NothingAttached()
        self.unified: dict[str, int] | None = {}                  # what identity keeps; None: it does not answer
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(WebApp(self, authenticate)),
                                      base_url="http://compute", headers={"x-auth-token": "admin@p1"})

    async def unified_limits(self, project_id: str | None) -> dict[str, int]:
        if self.unified is None:
            raise Unreachable("nobody answers")
        return self.unified

    async def call(self, method: str, path: str, body: object = None, *, version: str = "2.1",
                   token: str = "admin@p1") -> httpx.Response:
        """Send a request to /v2.1 + `path` (or to a whole URL), as of `version`."""
        url = path if path.startswith("http") else f"/v2.1{path}"
        headers = {"openstack-api-version": f"compute {version}", "x-auth-token": token}
        return await self.http.request(method, url, json=body, headers=headers)

    async def ok(self, method: str, path: str, body: object = None, **more: str):
        """The body of an answer that must be a success."""
        answer = await self.call(method, path, body, **more)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, body: object = None, **more: str) -> tuple[int, str]:
        """Status and message of an answer that must be a refusal in the service's own shape."""
        answer = await self.call(method, path, body, **more)
        assert answer.is_client_error, answer.text
        (fault,) = answer.json().values()
        assert fault["code"] == answer.status_code
        return answer.status_code, fault["message"]


@contextlib.asynccontextmanager
async def simple_cloud(make_db) -> AsyncIterator[SimpleCloud]:
    database = await make_db(migrations)
    cloud = SimpleCloud(database)
    yield cloud
    await cloud.http.aclose()
