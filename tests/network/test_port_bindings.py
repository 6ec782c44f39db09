"""Ports that are bound to several hosts, of which one is active."""

from tests.network.test_networks import MISSING, plain


async def say(world, method, path, body=None, status=200):
    answer = await world.admin.request(method, f"/v2.0/ports/{path}", json=body and {"binding": body})
    assert answer.status_code == status, answer.text
    found = answer.json() if answer.content else {}
    return found.get("binding", found.get("NeutronError", {}).get("type"))


async def test_a_port_moves_by_its_bindings(world):
    network, _ = await plain(world)
    port = await world.admin.make("port", network_id=network["id"], device_owner="compute:nova", project_id="p1",
                                  device_id="s", **{"binding:host_id": "one"})
    path = f"{port['id']}/bindings"

    async def statuses():
        listed = await world.admin.get(f"/v2.0/ports/{path}")
        return {each["host"]: each["status"] for each in listed.json()["bindings"]}
    assert await statuses() == {"one": "ACTIVE"}
    made = await say(world, "POST", path, {"host": "two", "profile": {"a": 1}}, 201)
    assert (made["status"], made["vif_type"], made["profile"]) == ("INACTIVE", port["binding:vif_type"], {"a": 1})
    for host in ("one", "two"):
        assert await say(world, "POST", path, {"host": host}, 409) == "PortBindingAlreadyExists"
    assert await say(world, "POST", path, {"host": "x", "vnic_type": "none"}, 400) == "InvalidInput"
    assert await say(world, "PUT", f"{path}/one/activate", None, 409) == "PortBindingAlreadyActive"
    assert await say(world, "PUT", f"{path}/none/activate", None, 404) == "PortBindingNotFound"
    assert (await say(world, "PUT", f"{path}/two", {"profile": {"b": 2}}))["profile"] == {"b": 2}
    assert (await say(world, "PUT", f"{path}/two/activate"))["status"] == "ACTIVE"
    assert await statuses() == {"one": "INACTIVE", "two": "ACTIVE"}
    moved = await world.admin.show("port", port)
    assert (moved["binding:host_id"], moved["binding:profile"], moved["status"]) == ("two", {"b": 2}, "DOWN")
    assert (await say(world, "PUT", f"{path}/two", {"profile": {}}))["status"] == "ACTIVE"
    filtered = await world.admin.get(f"/v2.0/ports/{path}", params={"status": "INACTIVE"})
    assert [each["host"] for each in filtered.json()["bindings"]] == ["one"]
    assert (await world.admin.get(f"/v2.0/ports/{path}", params={"x": "y"})).status_code == 400
    assert (await world.http.get(f"/v2.0/ports/{path}")).status_code == 403
    assert (await world.admin.get(f"/v2.0/ports/{MISSING}/bindings")).status_code == 404
    await say(world, "DELETE", f"{path}/one", None, 204)
    assert await say(world, "DELETE", f"{path}/one", None, 404) == "PortBindingNotFound"
    await say(world, "DELETE", f"{path}/two", None, 204)
    assert await statuses() == {}
    assert (await say(world, "POST", path, {"host": "three"}, 201))["status"] == "ACTIVE"
    await say(world, "POST", path, {"host": "four"}, 201)
    await world.admin.drop("port", port)
    bare = await world.admin.make("port", network_id=network["id"])
    assert await say(world, "POST", f"{bare['id']}/bindings", {"host": "one"}, 400) == "InvalidInput"
