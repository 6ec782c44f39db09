"""What each microversion changed of asking for servers, and of what one that runs can be asked; with real services."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from pileus.compute import guest_data, guest_spec, versions
from pileus.compute.model import servers
from pileus.identity.service_tokens import fixed_id
from tests.compute.whole_cloud import WholeCloud
from tests.covers import covers

NOWHERE = "00000000-0000-4000-8000-000000000000"


class Booting:
    """A whole cloud, spoken to as the demo user or as the administrator."""

    def __init__(self, cloud: WholeCloud):
        self.cloud = cloud
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(cloud.services.site), base_url="http://cloud")
        self.tokens: dict[str, str] = {}
        self.network = self.image = ""

    async def sign_in(self) -> None:
        for name in ("demo", "admin"):
            domain = {"id": "default"}
            answer = await self.http.post("/identity/v3/auth/tokens", json={"auth": {
                "identity": {"methods": ["password"], "password": {
                    "user": {"name": name, "domain": domain, "password": name}}},
                "scope": {"project": {"name": name, "domain": domain}}}})
            assert answer.status_code == 201, answer.text
            self.tokens[name] = answer.headers["x-subject-token"]
        networks = (await self.ask("GET", "/network/v2.0/networks?name=private")).json()["networks"]
        images = (await self.ask("GET", "/image/v2/images?name=small")).json()["images"]
        self.network, self.image = networks[0]["id"], images[0]["id"]

    async def ask(self, method: str, url: str, body: Any = None, version: str = "2.1", user: str = "demo"):
        return await self.http.request(method, url, json=body, headers={
            "x-auth-token": self.tokens[user], "openstack-api-version": f"compute {version}"})

    async def compute(self, method: str, path: str, body: Any = None, version: str = "2.1", user: str = "demo"):
        return await self.ask(method, f"/compute/v2.1{path}", body, version, user)

    async def boot(self, version: str = "2.1", user: str = "demo", **more: Any):
        """Ask for a server; the answer, whatever it is."""
        body = {"name": "one", "flavorRef": "42", "imageRef": self.image, "networks": [{"uuid": self.network}]} | more
        if body["networks"] is None:
            del body["networks"]
        return await self.compute("POST", "/servers", {"server": body}, version, user)

    async def server(self, version: str = "2.1", **more: Any) -> str:
        """The id of a server that runs."""
        made = await self.boot(version, **more)
        assert made.status_code == 202, made.text
        await self.cloud.compute.sagas.drain()
        return made.json()["server"]["id"]

    async def row(self, server_id: str) -> servers.Server:
        async with self.cloud.compute.db.read() as reader:
            return await servers.get(reader, server_id)


@pytest.fixture
async def cloud(whole):
    made = Booting(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


@covers(versions.NETWORKS_REQUIRED, versions.DESCRIPTION, versions.TAGS_AT_CREATE, versions.TRUSTED_CERTIFICATES,
        versions.CHOSEN_HOST, versions.HOSTNAME, versions.FQDN_HOSTNAME, versions.NO_PERSONALITY,
        versions.VOLUME_TYPE, versions.DEVICE_TAGS, versions.DEVICE_TAGS_AGAIN, versions.HYPERVISOR_PAGES)
async def test_what_may_be_asked_for(cloud):
    free = {"quota_set": dict.fromkeys(("instances", "cores", "ram"), -1)}
    await cloud.compute("PUT", f"/os-quota-sets/{fixed_id('project', 'demo')}", free, user="admin")
    net = {"uuid": cloud.network}
    disk = {"uuid": cloud.image, "source_type": "image", "destination_type": "local", "boot_index": 0}
    files = [{"path": "/a", "contents": base64.b64encode(b"a").decode()}]
    tagged = {"networks": [net | {"tag": "nic"}]}
    for below, at, fields in [
            ("2.36", "2.37", {"networks": "none"}), ("2.36", "2.37", {"networks": "auto"}),
            ("2.18", "2.19", {"description": "mine"}), ("2.51", "2.52", {"tags": ["a"]}),
            ("2.62", "2.63", {"trusted_image_certificates": ["a"]}), ("2.89", "2.90", {"hostname": "web"}),
            ("2.93", "2.94", {"hostname": "web.example.org"}), ("2.31", "2.32", tagged), ("2.41", "2.42", tagged),
            ("2.37", "2.36", tagged), ("2.37", "2.36", {"networks": None}), ("2.57", "2.56", {"personality": files}),
            ("2.66", "2.67", {"block_device_mapping_v2": [disk | {"volume_type": "fast"}]}),
            ("2.31", "2.32", {"block_device_mapping_v2": [disk | {"tag": "root"}]}),
            ("2.33", "2.32", {"block_device_mapping_v2": [disk | {"tag": "root"}]}),
            ("2.41", "2.42", {"block_device_mapping_v2": [disk | {"tag": "root"}]})]:
        refused, taken = [await cloud.boot(version, **fields) for version in (below, at)]
        assert (refused.status_code, taken.status_code) == (400, 202), (below, fields, taken.text)
    for wrong in ({"tags": ["a"] * 51}, {"trusted_image_certificates": []}, {"trusted_image_certificates": ["a", "a"]},
                  {"trusted_image_certificates": [str(n) for n in range(51)]}, {"hostname": "-"}):
        assert (await cloud.boot("2.96", **wrong)).status_code == 400, wrong


async def test_an_image_of_an_encrypted_volume_starts_no_server(cloud):
    """Its content can be read by a volume of it alone."""
    image = {"name": "x", "disk_format": "raw", "container_format": "bare", "cinder_encryption_key_id": NOWHERE}
    made = (await cloud.ask("POST", "/image/v2/images", image)).json()["id"]
    put = await cloud.http.put(f"/image/v2/images/{made}/file", content=b"LUKS", headers={
        "x-auth-token": cloud.tokens["demo"], "content-type": "application/octet-stream"})
    answer = await cloud.boot(imageRef=made)
    assert (put.status_code, answer.status_code) == (204, 400) and "encrypted volume is unsupported" in answer.text
    disk = {"uuid": made, "source_type": "image", "destination_type": "volume", "boot_index": 0, "volume_size": 1}
    answer = await cloud.boot(imageRef="", block_device_mapping_v2=[disk])
    assert answer.status_code == 400 and "a key that is not here" in answer.text


async def test_a_network_is_made_for_a_project_that_has_none(cloud):
    """Once, for all who ask, of what a fresh cloud has."""
    found = []
    for _ in range(2):
        answer = await cloud.boot("2.37", "admin", networks="auto", min_count=2)
        assert answer.status_code == 202, answer.text
    await cloud.cloud.compute.sagas.drain()
    for each in (await cloud.compute("GET", "/servers/detail", user="admin")).json()["servers"]:
        assert each["status"] == "ACTIVE"
        found += each["addresses"]
    assert found == ["auto_allocated_network"] * 4
    subnets = (await cloud.ask("GET", "/network/v2.0/subnets?name=auto_allocated_subnet_v4", user="admin")).json()
    assert [each["cidr"] for each in subnets["subnets"]] == ["10.96.0.0/24"]
    assert (await cloud.boot("2.37", networks="auto")).status_code == 202                  # demo has one of its own


async def test_disks_that_cannot_be(cloud):
    volume, image = {"source_type": "volume", "uuid": NOWHERE}, {"source_type": "image", "uuid": cloud.image}
    root = image | {"destination_type": "local", "boot_index": 0}
    for wrong in (volume | {"destination_type": "invalid"}, volume | {"destination_type": "local"},
                  {"source_type": "tape"}, image | {"destination_type": "local", "boot_index": -1}):
        assert (await cloud.boot(block_device_mapping_v2=[root, wrong])).status_code == 400, wrong


@covers(versions.CHOSEN_HOST)
async def test_asking_for_a_host(cloud):
    for field in ("host", "hypervisor_hostname"):
        assert (await cloud.boot("2.73", "admin", **{field: "host-1"})).status_code == 400
        assert (await cloud.boot("2.74", **{field: "host-1"})).status_code == 403
        assert (await cloud.boot("2.74", "admin", **{field: "nobody"})).status_code == 400
        assert (await cloud.boot("2.74", "admin", **{field: "host-1"})).status_code == 202
    both = {"host": "host-1", "availability_zone": "nova:host-1"}
    assert (await cloud.boot("2.74", "admin", **both)).status_code == 400


@covers(versions.DEVICE_TAGS, versions.DEVICE_TAGS_AGAIN, versions.TOLD_TAGS, versions.FQDN_HOSTNAME)
async def test_tags_of_devices_are_told(cloud):
    disk = {"uuid": cloud.image, "source_type": "image", "destination_type": "local", "boot_index": 0, "tag": "system"}
    server_id = await cloud.server("2.94", networks=[{"uuid": cloud.network, "tag": "lan"}], hostname="web.example.org",
                                   block_device_mapping_v2=[disk])
    row = await cloud.row(server_id)
    told = guest_data.meta_data(row, "nova")
    nowhere = {"bus": "none", "address": "none"}
    assert told["devices"] == [{"type": "nic", "mac": row.nics[0].mac, "tags": ["lan"]} | nowhere,
                               {"type": "disk", "serial": "root", "tags": ["system"]} | nowhere]
    assert told["hostname"] == "web.example.org"
    url = f"/servers/{server_id}/os-interface"
    for path, key in ((url, "interfaceAttachments"), (f"{url}/{row.nics[0].port_id}", "interfaceAttachment")):
        below, at = [(await cloud.compute("GET", path, version=version)).json()[key] for version in ("2.69", "2.70")]
        below, at = [each[0] if isinstance(each, list) else each for each in (below, at)]
        assert "tag" not in below and at["tag"] == "lan"


@covers(versions.EVENTS_FOR_ALL, versions.ACTION_HOSTS, versions.EVENT_DETAILS)
async def test_events_of_actions(cloud):
    server_id = await cloud.server()
    url = f"/servers/{server_id}/os-instance-actions"
    request = (await cloud.compute("GET", url)).json()["instanceActions"][0]["request_id"]

    async def event(version, user):
        shown = (await cloud.compute("GET", f"{url}/{request}", version=version, user=user)).json()["instanceAction"]
        return shown["events"][-1] if "events" in shown else None

    assert await event("2.50", "demo") is None and "traceback" in await event("2.50", "admin")
    assert "traceback" not in await event("2.51", "demo") and "traceback" in await event("2.51", "admin")
    host_id = (await cloud.compute("GET", f"/servers/{server_id}")).json()["server"]["hostId"]
    assert host_id and (await event("2.62", "demo"))["hostId"] == host_id
    assert {"host", "hostId"} & set(await event("2.61", "admin")) == set()
    assert "host" not in await event("2.62", "demo") and (await event("2.62", "admin"))["host"] == "host-1"
    assert "details" not in await event("2.83", "admin") and "details" in await event("2.84", "admin")
    assert "details" not in await event("2.84", "demo")


@pytest.mark.parametrize(("below", "at", "name"), [
    pytest.param("2.50", "2.51", "volume-extended", marks=covers(versions.EVENTS_FOR_ALL)),
    pytest.param("2.75", "2.76", "power-update", marks=covers(versions.POWER_EVENT)),
    pytest.param("2.81", "2.82", "accelerator-request-bound", marks=covers(versions.ACCELERATOR_EVENT)),
    pytest.param("2.92", "2.93", "volume-reimaged", marks=covers(versions.REIMAGED_EVENT))])
async def test_external_events(cloud, below, at, name):
    body = {"events": [{"name": name, "server_uuid": await cloud.server(), "tag": "POWER_OFF"}]}
    refused, taken = [await cloud.compute("POST", "/os-server-external-events", body, version, "admin")
                      for version in (below, at)]
    assert refused.status_code == 400 and taken.status_code == 200
    assert taken.json()["events"][0]["code"] == 200


@covers(versions.REQUEST_ID_HEADER)
async def test_request_id_headers(cloud):
    """The version only says that both are there, which they have always been."""
    for version in ("2.45", "2.46"):
        answer = await cloud.compute("GET", "/servers", version=version)
        assert answer.headers["x-openstack-request-id"] == answer.headers["x-compute-request-id"]


# -- the services of others, by way of compute -----------------------------------------------------


@covers(versions.NO_PROXIES, versions.NO_IMAGE_LIMITS)
async def test_other_services_are_asked_themselves(cloud):
    for path, below, at in [
            ("/images", "2.35", "2.36"), ("/images/detail", "2.35", "2.36"), (f"/images/{cloud.image}", "2.35", "2.36"),
            ("/os-security-groups", "2.35", "2.36"), (f"/images/{cloud.image}/metadata", "2.38", "2.39")]:
        assert (await cloud.compute("GET", path, version=below)).status_code == 200, path
        assert (await cloud.compute("GET", path, version=at)).status_code == 404, path


async def test_images(cloud):
    made = (await cloud.ask("POST", "/image/v2/images", {
        "name": "mine", "disk_format": "raw", "container_format": "bare", "instance_uuid": "s1"})).json()
    url = f"/images/{made['id']}"
    shown = (await cloud.compute("GET", url)).json()["image"]
    assert shown | {"links": []} == {
        "id": made["id"], "name": "mine", "status": "SAVING", "progress": 25, "created": made["created_at"],
        "updated": made["updated_at"], "minDisk": 0, "minRam": 0, "OS-EXT-IMG-SIZE:size": 0, "links": [],
        "metadata": {"instance_uuid": "s1"}, "server": {"id": "s1", "links": shown["server"]["links"]}}
    assert [(link["rel"], link.get("type")) for link in shown["links"]] == [
        ("self", None), ("bookmark", None), ("alternate", "application/vnd.openstack.image")]

    async def found(query):
        answer = await cloud.compute("GET", f"/images?{query}")
        return {each["name"] for each in answer.json()["images"]}

    assert await found("status=ACTIVE") == {"small"} and await found("name=mine") == {"mine"}
    assert await found("server=http://x/servers/s1") == {"mine"} and len(await found("limit=1")) == 1
    assert await found("changes-since=2000-01-01T00:00:00Z") == {"small", "mine"}
    page = (await cloud.compute("GET", "/images/detail?limit=1")).json()
    assert (await cloud.http.get(page["images_links"][0]["href"], headers={"x-auth-token": cloud.tokens["demo"]})
            ).json()["images"][0]["id"] != page["images"][0]["id"]
    for method, path, status in (("DELETE", url, 204), ("GET", url, 404), ("DELETE", url, 404),
                                 ("DELETE", "/images/-1", 404), ("GET", "/images?limit=x", 400),
                                 ("GET", "/images?changes-since=x", 400)):
        assert (await cloud.compute(method, path)).status_code == status, (method, path)


async def test_metadata_of_images(cloud):
    made = (await cloud.ask("POST", "/image/v2/images", {
        "name": "mine", "disk_format": "raw", "container_format": "bare", "gone": "x"})).json()
    url = f"/images/{made['id']}/metadata"

    async def call(method, path="", body=None, status=200):
        answer = await cloud.compute(method, url + path, body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    assert await call("PUT", body={"metadata": {"a": "1", "b": "2"}}) == {"metadata": {"a": "1", "b": "2"}}
    assert await call("POST", body={"metadata": {"b": "3", "c/d": "4"}}, status=400)
    assert await call("POST", body={"metadata": {"b": "3", "c": "4"}}) == {"metadata": {"a": "1", "b": "3", "c": "4"}}
    assert await call("PUT", "/a", {"meta": {"a": "9"}}) == {"meta": {"a": "9"}}
    await call("PUT", "/a", {"meta": {"b": "9"}}, status=400)
    assert await call("GET", "/a") == {"meta": {"a": "9"}}
    await call("DELETE", "/a", status=204)
    await call("DELETE", "/a", status=404)
    assert await call("GET") == {"metadata": {"b": "3", "c": "4"}}
    stranger = await cloud.compute("PUT", f"/images/{cloud.network}/metadata", {"metadata": {}})
    assert stranger.status_code == 404


async def test_security_groups(cloud):
    async def call(method, path, body=None, status=200):
        answer = await cloud.compute(method, path, body)
        assert answer.status_code == status, answer.text
        return next(iter(answer.json().values())) if answer.content else None

    group, other = [await call("POST", "/os-security-groups", {"security_group": {"name": name, "description": ""}})
                    for name in (" web ", "db")]
    assert group["name"] == " web " and group["rules"] == []
    rule = {"parent_group_id": group["id"], "ip_protocol": "tcp", "from_port": 22, "to_port": 22,
            "group_id": other["id"]}
    made = await call("POST", "/os-security-group-rules", {"security_group_rule": rule})
    project = fixed_id("project", "demo")
    assert made["group"] == {"name": "db", "tenant_id": project} and made["ip_range"] == {}
    url = f"/os-security-groups/{group['id']}"
    assert (await call("GET", url))["rules"] == [made]
    assert made in [each for found in await call("GET", "/os-security-groups") for each in found["rules"]]
    changed = await call("PUT", url, {"security_group": {"name": "new", "description": "d"}})
    assert (changed["name"], changed["description"], changed["rules"]) == ("new", "d", [made])
    again = await call("POST", "/os-security-group-rules", {"security_group_rule": rule}, 400)
    assert "already exists" in again["message"]
    for wrong, status in (({"parent_group_id": "x"}, 400), ({"parent_group_id": cloud.image}, 404),
                          ({"ip_protocol": "odd"}, 400), ({"from_port": 70000}, 400), ({"to_port": 21}, 400)):
        body = {"security_group_rule": rule | {"group_id": None} | wrong}
        await call("POST", "/os-security-group-rules", body, status)
    (default,) = [each for each in await call("GET", "/os-security-groups") if each["name"] == "default"]
    for group_id, status in ((default["id"], 400), ("x", 400), (cloud.image, 404), (group["id"], 202)):
        await call("DELETE", f"/os-security-groups/{group_id}", status=status)


async def test_a_server_has_the_security_groups_of_its_ports(cloud):
    made = await cloud.ask("POST", "/network/v2.0/networks", {"network": {"port_security_enabled": False}})
    network = made.json()["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.9.0.0/24"}
    assert (await cloud.ask("POST", "/network/v2.0/subnets", {"subnet": subnet})).status_code == 201
    for networks, told in (([{"uuid": network}], None), ([{"uuid": cloud.network}], [{"name": "default"}])):
        path = f"/servers/{await cloud.server(networks=networks)}"
        assert (await cloud.compute("GET", path)).json()["server"].get("security_groups") == told


async def test_security_groups_of_a_server(cloud):
    server_id = await cloud.server()
    for name in ("web", "twice", "twice"):
        made = await cloud.compute("POST", "/os-security-groups", {
            "security_group": {"name": name, "description": ""}})
        assert made.status_code == 200

    async def act(action, name):
        answer = await cloud.compute("POST", f"/servers/{server_id}/action", {action: {"name": name}})
        return answer.status_code

    async def names():
        groups = (await cloud.compute("GET", f"/servers/{server_id}/os-security-groups")).json()["security_groups"]
        shown = (await cloud.compute("GET", f"/servers/{server_id}")).json()["server"]["security_groups"]
        assert {each["name"] for each in groups} == {each["name"] for each in shown}
        return {each["name"] for each in groups}

    assert await names() == {"default"}
    assert await act("addSecurityGroup", "web") == 202 and await names() == {"default", "web"}
    assert await act("addSecurityGroup", "web") == 202 and await names() == {"default", "web"}
    groups = (await cloud.compute("GET", "/os-security-groups")).json()["security_groups"]
    (in_use,) = [each for each in groups if each["name"] == "web"]
    assert (await cloud.compute("DELETE", f"/os-security-groups/{in_use['id']}")).status_code == 400
    assert await act("removeSecurityGroup", in_use["id"]) == 202 and await names() == {"default"}
    assert await act("removeSecurityGroup", "web") == 404
    assert await act("addSecurityGroup", "nobody") == 404 and await act("addSecurityGroup", "twice") == 409
    assert await act("addSecurityGroup", "") == 400
    await cloud.compute("POST", f"/servers/{server_id}/action", {"lock": None})
    assert await act("removeSecurityGroup", "default") == 409
    alone = await cloud.server("2.37", networks="none")
    assert (await cloud.compute("POST", f"/servers/{alone}/action", {"addSecurityGroup": {"name": "web"}})
            ).status_code == 400


async def test_image_and_flavor_make_the_machine(cloud):
    async def compute(method: str, path: str, body: Any):
        answer = await cloud.compute(method, path, body, "2.96", "admin")
        assert answer.status_code < 300, answer.text
        return answer.json()

    specs = {"hw:tpm_version": "2.0", "hw:numa_nodes": "1"}
    await compute("POST", "/flavors/42/os-extra_specs", {"extra_specs": specs})
    patch = await cloud.http.patch(f"/image/v2/images/{cloud.image}", json=[
        {"op": "add", "path": f"/{name}", "value": value} for name, value in (
            ("hw_disk_bus", "scsi"), ("hw_watchdog_action", "reset"), ("img_config_drive", "mandatory"))],
        headers={"x-auth-token": cloud.tokens["admin"],
                 "content-type": "application/openstack-images-v2.1-json-patch"})
    assert patch.status_code == 200, patch.text
    server_id = await cloud.server("2.96")
    spec = await guest_spec.build(cloud.cloud.compute, await cloud.row(server_id))
    assert spec.hardware is not None
    assert (spec.hardware.tpm, spec.hardware.disk_bus, spec.hardware.watchdog) == ("tpm-tis", "scsi", "reset")
    assert [(node.cpus, node.memory_mb) for node in spec.hardware.numa] == [((0,), 192)]
    assert (await cloud.row(server_id)).config_drive

    await compute("POST", "/flavors/1/os-extra_specs", {"extra_specs": {"hw:numa_nodes": "5"}})
    for refused in (await cloud.boot("2.96", flavorRef="1"),
                    await cloud.compute("POST", f"/servers/{server_id}/action", {"resize": {"flavorRef": "1"}})):
        assert refused.status_code == 400
        assert "cannot be evenly distributed" in refused.json()["badRequest"]["message"]
