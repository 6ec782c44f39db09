"""Networks, subnets and ports over HTTP."""

import ipaddress


async def plain(world, cidr="10.1.0.0/24", **more):
    network = await world.http.make("network", name="n")
    subnet = await world.http.make("subnet", network_id=network["id"], ip_version=4, cidr=cidr, **more)
    return network, subnet


async def test_network_subnet_port(world):
    network, subnet = await plain(world)
    assert network["status"] == "ACTIVE" and network["mtu"] == 1450 and network["revision_number"] == 1
    assert "provider:network_type" not in network and network["tenant_id"] == network["project_id"] == "p1"
    assert subnet["gateway_ip"] == "10.1.0.1"
    assert subnet["allocation_pools"] == [{"start": "10.1.0.2", "end": "10.1.0.254"}]
    port = await world.http.make("port", network_id=network["id"])
    assert await world.http.show("port", port) == port
    assert port["status"] == "DOWN" and port["mac_address"].startswith("fa:16:3e:")
    assert ipaddress.ip_address(port["fixed_ips"][0]["ip_address"]) in ipaddress.ip_network("10.1.0.0/24")
    assert (await world.http.show("network", network))["subnets"] == [subnet["id"]]
    assert (await world.http.drop("network", network, 409))["type"] == "NetworkInUse"
    assert (await world.http.drop("subnet", subnet, 409))["type"] == "SubnetInUse"
    await world.http.drop("port", port)
    await world.http.drop("subnet", subnet)
    await world.http.drop("network", network)
    assert (await world.http.show("network", network, 404))["type"] == "NetworkNotFound"
