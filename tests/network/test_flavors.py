"""Flavors of network services and the profiles they are made of."""

from tests.network.test_networks import MISSING


async def post(speaker, path, kind, status=201, **body):
    answer = await speaker.post(f"/v2.0/{path}", json={kind: body})
    assert answer.status_code == status, answer.text
    return answer.json()[kind] if status < 300 else answer.json()["NeutronError"]["type"]


async def test_flavors_and_profiles(world):
    profile = await post(world.admin, "service_profiles", "service_profile", metainfo='{"a": 1}', description="d")
    assert profile["enabled"] and profile["driver"] == ""
    assert await post(world.admin, "service_profiles", "service_profile", 400) == "ServiceProfileEmpty"
    assert await post(world.admin, "service_profiles", "service_profile", 404, driver="x") == (
        "ServiceProfileDriverNotFound")
    assert await post(world.admin, "flavors", "flavor", 400, service_type="NONE") == "InvalidServiceType"
    flavor = await post(world.admin, "flavors", "flavor", name="gold", service_type="L3_ROUTER_NAT")
    await post(world.http, "flavors", "flavor", 403, name="gold", service_type="L3_ROUTER_NAT")
    path = f"flavors/{flavor['id']}/service_profiles"
    assert (await post(world.admin, path, "service_profile", id=profile["id"]))["id"] == profile["id"]
    assert await post(world.admin, path, "service_profile", 409, id=profile["id"]) == (
        "FlavorServiceProfileBindingExists")
    assert await post(world.admin, path, "service_profile", 404, id=MISSING) == "ServiceProfileNotFound"
    assert (await world.http.show("flavor", flavor))["service_profiles"] == [profile["id"]]
    one = f"/v2.0/service_profiles/{profile['id']}"
    assert (await world.admin.delete(one)).status_code == 409
    assert (await world.http.get(one)).status_code in (403, 404)
    changed = await world.admin.put(one, json={"service_profile": {"enabled": False}})
    assert changed.json()["service_profile"]["enabled"] is False
    assert (await world.admin.delete(f"/v2.0/{path}/{profile['id']}")).status_code == 204
    assert (await world.admin.delete(f"/v2.0/{path}/{profile['id']}")).status_code == 404
    assert (await world.admin.change("flavor", flavor, enabled=False))["enabled"] is False
    assert (await world.admin.delete(one)).status_code == 204
    await world.admin.drop("flavor", flavor)
    assert await world.http.all("flavor", id=flavor["id"]) == []
