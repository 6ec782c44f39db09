"""What clients may say of a server, over HTTP, with all services behind it."""

import pytest

from pileus.compute.metadata import signed_headers
from tests.compat.cloud import running_cloud, until

NEWEST = {"openstack-api-version": "compute 2.96"}


@pytest.fixture
async def cloud(tmp_path):
    async with running_cloud(tmp_path) as made:
        yield made


async def create(cloud, **more):
    server = {"name": "web", "flavorRef": "1", "imageRef": more.pop("image"), "networks": "none"} | more
    return await cloud.call("POST", "/compute/v2.1/servers", {"server": server}, headers=NEWEST)


async def test_names_and_addresses_are_checked_and_told_in_short(cloud):
    image = await cloud.image()
    made = await create(cloud, image=image, accessIPv4="192.0.2.7", hostname="web.example.org",
                        accessIPv6="0000:0000:0000:0000:0000:babe:220.12.22.2")
    assert made.status_code == 202, made.text
    url = f"/compute/v2.1/servers/{made.json()['server']['id']}"

    async def active():
        shown = await cloud.ok("GET", url, headers=NEWEST)
        assert shown["status"] != "ERROR", shown.get("fault")
        return shown if shown["status"] == "ACTIVE" else None
    shown = await until(active)
    assert (shown["accessIPv4"], shown["accessIPv6"]) == ("192.0.2.7", "::babe:dc0c:1602")
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "web.example.org"
    wrong = [{"accessIPv4": "1.2.3"}, {"accessIPv6": "192.0.2.7"}, {"accessIPv6": "fe80::1%eth0"}, {"hostname": "-a"},
             {"hostname": "a b"}, {"hostname": ""}, {"OS-DCF:diskConfig": "SOMETIMES"}]
    for each in wrong:
        assert (await create(cloud, image=image, **each)).status_code == 400, each
        assert (await cloud.call("PUT", url, {"server": each}, headers=NEWEST)).status_code == 400, each
    cleared = await cloud.ok("PUT", url, {"server": {"accessIPv4": "", "accessIPv6": None}}, headers=NEWEST)
    assert (cleared["accessIPv4"], cleared["accessIPv6"]) == ("", "")


async def test_the_api_of_before_versions(cloud):
    versions = (await cloud.http.get("/compute/")).json()["versions"]
    assert [(each["id"], each["status"]) for each in versions] == [("v2.0", "SUPPORTED"), ("v2.1", "CURRENT")]
    for each in versions:
        shown = (await cloud.http.get(each["links"][0]["href"])).json()["version"]
        assert (shown["id"], shown["links"][0]) == (each["id"], each["links"][0])
    body = {"keypair": {"name": "k", "nope": 1}}
    assert (await cloud.call("POST", "/compute/v2.1/os-keypairs", body)).status_code == 400
    assert (await cloud.call("POST", "/compute/v2/os-keypairs", body, headers=NEWEST)).status_code == 200


async def test_a_guest_leaves_a_password_for_its_owner(cloud):
    made = await create(cloud, image=await cloud.image())
    server_id = made.json()["server"]["id"]
    url, shown = f"/compute/v2.1/servers/{server_id}/os-server-password", "/metadata/openstack/latest/password"
    project = (await cloud.ok("GET", f"/compute/v2.1/servers/{server_id}"))["tenant_id"]
    guest = {"token": "", "headers": signed_headers(cloud.services.metadata_secret, server_id, project)}
    assert (await cloud.call("GET", url)).json() == {"password": ""}
    assert (await cloud.call("POST", shown, content=b"x" * 1021, **guest)).status_code == 400
    assert (await cloud.call("POST", shown, content=b"\xff", **guest)).status_code == 400
    assert (await cloud.call("POST", shown, content=b"a\0b", **guest)).status_code == 400
    assert (await cloud.call("POST", shown, content=b"", **guest)).status_code == 200
    assert (await cloud.call("POST", shown, content=b"secret", **guest)).status_code == 200
    assert (await cloud.call("POST", shown, content=b"other", **guest)).status_code == 409
    assert (await cloud.call("POST", "/metadata/latest/meta-data", content=b"x", **guest)).status_code == 405
    assert (await cloud.call("POST", shown, content=b"forged", token="")).status_code == 403
    assert (await cloud.call("GET", shown, **guest)).text == "secret"
    assert (await cloud.call("GET", url)).json() == {"password": "secret"}
    assert (await cloud.call("GET", url, token=await cloud.log_in("demo"))).status_code == 404, "a stranger"
    assert (await cloud.call("DELETE", url)).status_code == 204
    assert (await cloud.call("GET", url)).json() == {"password": ""}
    assert (await cloud.call("POST", shown, content=b"next", **guest)).status_code == 200
