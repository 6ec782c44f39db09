"""What only clients of old versions ask of compute: networks, extensions, audits of usage."""

from __future__ import annotations

import pytest

from pileus.compute import versions
from tests.compute.test_versions_of_boots import Booting
from tests.compute.whole_cloud import HOST
from tests.covers import covers


@pytest.fixture
async def cloud(whole):
    made = Booting(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


@covers(versions.NO_PROXIES)
async def test_what_old_clients_ask_for(cloud):
    for path in ("os-networks", "os-tenant-networks"):
        found = (await cloud.compute("GET", f"/{path}")).json()["networks"]
        assert [network["id"] for network in found if network["label"] == "private"] == [cloud.network]
        one = (await cloud.compute("GET", f"/{path}/{cloud.network}")).json()["network"]
        assert one["label"] == "private" and one["cidr"] is None
        for wrong in ("nothing", HOST, "00000000-0000-4000-8000-000000000000"):
            assert (await cloud.compute("GET", f"/{path}/{wrong}")).status_code == 404
        assert (await cloud.compute("GET", f"/{path}", version="2.36")).status_code == 404
    every = (await cloud.compute("GET", "/extensions")).json()["extensions"]
    assert {"os-hosts", "os-consoles", "servers"} < {each["alias"] for each in every}
    assert (await cloud.compute("GET", "/extensions/os-consoles")).json()["extension"]["name"] == "Consoles"
    assert (await cloud.compute("GET", "/extensions/none")).status_code == 404
    await groups_of_all_projects(cloud)
    await audits(cloud)


async def groups_of_all_projects(cloud):
    async def owners(user, query=""):
        found = (await cloud.compute("GET", f"/os-security-groups{query}", user=user)).json()["security_groups"]
        return {group["tenant_id"] for group in found}
    own = await owners("demo")
    assert len(own) == 1 and await owners("demo", "?all_tenants=1") == own
    body = {"security_group": {"name": "g", "description": "d"}}
    assert (await cloud.compute("POST", "/os-security-groups", body, user="admin")).status_code == 200
    assert own < await owners("admin", "?all_tenants=1") and not own & await owners("admin")


async def audits(cloud):
    path = "/os-instance_usage_audit_log"
    assert (await cloud.compute("GET", path)).status_code == 403
    told = (await cloud.compute("GET", path, user="admin")).json()["instance_usage_audit_logs"]
    assert told["hosts_not_run"] == [HOST]
    told = (await cloud.compute("GET", f"{path}/2024-01-31 10:00:00", user="admin")).json()["instance_usage_audit_log"]
    assert (told["period_beginning"], told["period_ending"]) == ("2023-12-01 00:00:00", "2024-01-01 00:00:00")
    assert told["overall_status"] == "0 of 1 hosts done. 0 errors."
    for wrong in ("invalid_time", "0001-01-01", "2024-01-31T10:00:00+25:00"):
        assert (await cloud.compute("GET", f"{path}/{wrong}", user="admin")).status_code == 400, wrong
