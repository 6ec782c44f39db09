"""How many statements a list costs compute and placement, whoever asks and however many rows there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from pileus.compute import versions
from pileus.identity.service_tokens import fixed_id
from tests.compute.test_versions_of_volumes import WithVolumes

MOST = 3
NEWEST = {"compute": str(versions.LEDGER.newest), "placement": "1.39"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq8Yyn3eWnWVAePwrzaaKu6cGPMqmBaZuPh3ZDXcLNZ a@b"
OF_USERS = ("/servers", "/servers/detail", "/servers/detail?limit=2", "/servers/detail?status=ACTIVE&sort_key=name",
            "/flavors", "/flavors/detail", "/os-keypairs", "/os-server-groups", "/os-availability-zone",
            "/servers/{server}/os-instance-actions", "/servers/{server}/os-volume_attachments",
            "/servers/{server}/os-interface", "/servers/{server}/metadata", "/servers/{server}/tags")
OF_OPERATORS = ("/servers/detail?all_tenants=1", "/os-aggregates", "/os-availability-zone/detail", "/os-hypervisors",
                "/os-hypervisors/detail", "/os-services", "/os-migrations", "/os-simple-tenant-usage?detailed=1",
                "/os-instance_usage_audit_log", "/servers/{server}/migrations", "/flavors/detail?is_public=None")
OF_PLACEMENT = ("/resource_providers", "/traits", "/resource_classes", "/allocation_candidates?resources=VCPU:1",
                "/allocations/{server}", "/usages?project_id={project}")


@pytest.fixture
async def cloud(whole) -> AsyncIterator[WithVolumes]:
    made = WithVolumes(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


@pytest.fixture
def said() -> Iterator[dict[str, list[str]]]:
    """Statements by the database they were sent to."""
    found: dict[str, list[str]] = {}

    def note(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            found.setdefault(str(connection.engine.url).rpartition("/")[2], []).append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


async def test_lists_take_three_statements(cloud, said):
    """Of each service: where a server's volumes are, or its ports, those who keep them are asked."""
    for number in range(3):
        await cloud.compute("POST", "/os-keypairs", {"keypair": {"name": f"k{number}", "public_key": KEY}})
        server = await cloud.server(key_name=f"k{number}")
        await cloud.compute("PUT", f"/servers/{server}/tags/t{number}", version=NEWEST["compute"])
    project = fixed_id("project", "demo")
    asked = [*((f"/compute/v2.1{path}", user) for user, paths in (("demo", OF_USERS), ("admin", OF_OPERATORS))
               for path in paths), *((f"/placement{path}", "admin") for path in OF_PLACEMENT)]
    for path, user in asked:
        url, service = path.format(server=server, project=project), path.split("/")[1]
        headers = {"x-auth-token": cloud.tokens[user], "openstack-api-version": f"{service} {NEWEST[service]}"}
        await cloud.http.get(url, headers=headers)
        said.clear()
        answer = await cloud.http.get(url, headers=headers)
        assert answer.status_code == 200, (url, answer.text)
        assert len(said.get(f"{service}.sqlite", [])) <= MOST, (url, said)
