"""What guests read of themselves: every version and form of the metadata, and what the operator tells besides."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pileus.compute import guest_spec
from pileus.compute.guest_data import EC2_VERSIONS, OPENSTACK_VERSIONS, Link, Subnet, network_data
from pileus.compute.metadata import signed_headers
from pileus.compute.model.servers import Address, Nic
from tests.compute.test_versions_of_boots import Booting

NAME = "ünï \u2028 \U0001f600 \\ \" '"
ANY_BYTES = bytes(range(256))


class Guest(Booting):
    """A cloud with one server, whose guest asks."""

    server_id = ""

    async def read(self, path: str, status: int = 200):
        headers = signed_headers(self.cloud.services.metadata_secret, self.server_id,
                                 (await self.row(self.server_id)).project_id)
        answer = await self.http.get(f"/metadata{path}", headers=headers)
        assert answer.status_code == status, answer.text
        return answer

    async def told(self, path: str) -> Any:
        return (await self.read(path)).json()

    async def names(self, path: str) -> set[str]:
        return set((await self.read(path)).text.splitlines())


@pytest.fixture
async def guest(whole):
    made = Guest(whole)
    await made.sign_in()
    made.server_id = await made.server(
        "2.96", name=NAME, user_data=base64.b64encode(ANY_BYTES).decode(), metadata={"k": NAME}, config_drive=True)
    yield made
    await made.http.aclose()


async def service(answer: bytes, asked: list[bytes]) -> asyncio.Server:
    """An operator's service that says the same to everybody."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.partition(b":")[2]) for line in head.lower().splitlines()
                      if line.startswith(b"content-length"))
        asked.append(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(answer), answer))
        await writer.drain()
        writer.close()
    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def every_version_has_what_it_had(guest: Guest) -> None:
    assert await guest.names("/openstack") == set(OPENSTACK_VERSIONS)
    always = {"meta_data.json", "user_data"}
    assert await guest.names("/openstack/2012-08-10") == always
    assert await guest.names("/openstack/2013-04-04") == always | {"password"}
    assert await guest.names("/openstack/2015-10-15") == always | {
        "password", "vendor_data.json", "network_data.json"}
    assert await guest.names("/openstack/latest") == always | {
        "password", "vendor_data.json", "network_data.json", "vendor_data2.json"}
    await guest.read("/openstack/2015-10-15/vendor_data2.json", 404)
    fields = {version: set(await guest.told(f"/openstack/{version}/meta_data.json")) for version in OPENSTACK_VERSIONS}
    assert fields["latest"] - fields["2018-08-27"] == {"dedicated_cpus"}
    assert fields["2016-06-30"] - fields["2015-10-15"] == {"devices"}
    assert fields["2015-10-15"] - fields["2013-10-17"] == {"project_id"}
    assert fields["2013-10-17"] - fields["2012-08-10"] == {"random_seed"}


async def names_and_user_data_are_of_any_bytes(guest: Guest) -> None:
    told = await guest.told("/openstack/latest/meta_data.json")
    assert (told["name"], told["meta"]) == (NAME, {"k": NAME})
    assert (await guest.read("/openstack/latest/user_data")).content == ANY_BYTES
    assert await guest.names("/") == set(EC2_VERSIONS)
    for version in EC2_VERSIONS:
        assert (await guest.read(f"/{version}/user-data")).content == ANY_BYTES
        assert (await guest.read(f"/{version}/meta-data/instance-id")).text.startswith("i-")
    spec = await guest_spec.build(guest.cloud.compute, await guest.row(guest.server_id))
    assert spec.config_drive["openstack/latest/user_data"] == ANY_BYTES
    assert json.loads(spec.config_drive["openstack/2016-10-06/meta_data.json"])["name"] == NAME
    assert "openstack/2012-08-10/network_data.json" not in spec.config_drive


async def the_operator_tells_more(guest: Guest, tmp_path: Path) -> None:
    compute, asked = guest.cloud.compute, []
    for name in ("vendor_data.json", "vendor_data2.json"):
        assert await guest.told(f"/openstack/latest/{name}") == {}
    file = tmp_path / "vendor.json"
    file.write_text('{"mirror": "local"}')
    good, bad = await service(b'{"role": "web"}', asked), await service(b"[]", [])
    urls = [f"http://127.0.0.1:{each.sockets[0].getsockname()[1]}/ask?a=1" for each in (good, bad)]
    compute.guests = msgspec.structs.replace(compute.guests, vendor_data=str(file), vendor_data_services={
        "good": urls[0], "bad": urls[1], "gone": "http://127.0.0.1:9/"})
    assert await guest.told("/openstack/latest/vendor_data.json") == {"mirror": "local"}
    everything = {"static": {"mirror": "local"}, "good": {"role": "web"}, "bad": {}, "gone": {}}
    assert await guest.told("/openstack/latest/vendor_data2.json") == everything
    question = json.loads(asked[0])
    assert (question["instance-id"], question["metadata"]) == (guest.server_id, {"k": NAME})
    spec = await guest_spec.build(compute, await guest.row(guest.server_id))
    assert json.loads(spec.config_drive["openstack/latest/vendor_data2.json"]) == everything
    file.write_text("{")
    assert await guest.told("/openstack/latest/vendor_data.json") == {}
    for each in (good, bad):
        each.close()


async def test_a_guest_reads_of_itself(guest: Guest, tmp_path: Path) -> None:
    await every_version_has_what_it_had(guest)
    await names_and_user_data_are_of_any_bytes(guest)
    await the_operator_tells_more(guest, tmp_path)


def test_the_network_as_guests_set_it_up() -> None:
    nic = Nic(port_id="9047", network_id="n1", mac="fa:16:3e:00:00:01", mtu=1400, addresses=tuple(
        Address(address=address, version=6 if ":" in address else 4)
        for address in ("10.0.0.5", "192.0.2.7", "2001:db8::5", "2001:db8:1::5")))
    route = {"destination": "198.51.100.0/24", "nexthop": "192.0.2.9"}
    told = network_data([Link(nic=nic, subnets=(
        Subnet(id="a", cidr="10.0.0.0/24", gateway_ip="10.0.0.1"),
        Subnet(id="b", cidr="192.0.2.0/24", gateway_ip="192.0.2.1", enable_dhcp=False, dns_nameservers=("9.9.9.9",),
               host_routes=(route,)),
        Subnet(id="c", cidr="2001:db8::/64", gateway_ip="2001:db8::1", ipv6_address_mode="slaac",
               dns_nameservers=("2620:fe::fe",)),
        Subnet(id="d", cidr="2001:db8:1::/64", enable_dhcp=False)))])
    assert told["links"] == [{"id": "tap9047", "vif_id": "9047", "type": "tap", "mtu": 1400,
                              "ethernet_mac_address": "fa:16:3e:00:00:01"}]
    assert [each["type"] for each in told["networks"]] == ["ipv4_dhcp", "ipv4", "ipv6_slaac", "ipv6"]
    static, slaac = told["networks"][1:3]
    assert static["routes"] == [
        {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"},
        {"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "192.0.2.9"}]
    assert static["services"] == [{"type": "dns", "address": "9.9.9.9"}]
    assert (slaac["ip_address"], slaac["netmask"]) == ("2001:db8::5", "ffff:ffff:ffff:ffff::")
    assert slaac["routes"] == [{"network": "::", "netmask": "::", "gateway": "2001:db8::1"}]
    assert told["services"] == [{"type": "dns", "address": each} for each in ("9.9.9.9", "2620:fe::fe")]
