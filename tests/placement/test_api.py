"""Conversations with the Placement API, and what older microversions see of them."""

import uuid

import pytest

from pileus.placement.client import Inventory

CPU = {"VCPU": 4}


def new():
    return str(uuid.uuid4())


def error(answer):
    return answer.json()["errors"][0]


async def test_root_needs_no_token(world):
    answer = await world.http.get("/", headers={"x-auth-token": ""})
    assert answer.json() == {"versions": [{"id": "v1.0", "min_version": "1.0", "max_version": "1.39",
                                           "status": "CURRENT", "links": [{"rel": "self", "href": ""}]}]}


async def test_only_admins_and_services(world):
    assert (await world.http.get("/resource_providers", headers={"x-auth-token": "reader@p1"})).status_code == 403
    nobody = await world.http.get("/resource_providers", headers={"x-auth-token": "x"})
    assert nobody.status_code == 401 and error(nobody)["title"] == "Unauthorized"


async def test_provider_life(world):
    one = new()
    made = await world.http.post("/resource_providers", json={"name": "a", "uuid": one})
    assert made.status_code == 200 and made.headers["location"] == f"http://cloud/placement/resource_providers/{one}"
    body = made.json()
    assert body["generation"] == 0 and body["root_provider_uuid"] == one and body["parent_provider_uuid"] is None
    assert {"rel": "allocations", "href": f"/placement/resource_providers/{one}/allocations"} in body["links"]
    shown = await world.http.get(f"/resource_providers/{one}")
    assert shown.json() == body and shown.headers["cache-control"] == "no-cache" and shown.headers["last-modified"]
    renamed = await world.http.put(f"/resource_providers/{one}", json={"name": "b"})
    assert renamed.json()["name"] == "b"
    assert (await world.http.delete(f"/resource_providers/{one}")).status_code == 204
    gone = await world.http.get(f"/resource_providers/{one}")
    assert gone.status_code == 404 and error(gone)["code"] == "placement.resource_provider.not_found"
    assert (await world.http.get("/resource_providers")).json() == {"resource_providers": []}


async def test_old_shapes_of_providers(world):
    old = world.speaking("placement 1.0")
    made = await old.post("/resource_providers", json={"name": "a"})
    assert made.status_code == 201 and made.content == b""
    shown = (await old.get(made.headers["location"])).json()
    assert set(shown) == {"uuid", "name", "generation", "links"}
    assert [link["rel"] for link in shown["links"]] == ["self", "inventories", "usages"]
    assert (await old.get("/resource_providers?in_tree=" + shown["uuid"])).status_code == 400
    assert (await old.get(f"/resource_providers/{shown['uuid']}/traits")).status_code == 404
    refused = await old.get("/resource_providers/" + new())
    assert "code" not in error(refused) and "last-modified" not in refused.headers
    assert (await old.get("/", headers={"openstack-api-version": "placement 1.99"})).status_code == 406


async def test_names_and_trees(world):
    root, child, grandchild = await world.provider("root"), new(), new()
    await world.client.ensure_provider(child, "child", parent=root)
    await world.client.ensure_provider(grandchild, "grandchild", parent=child)
    taken = await world.http.post("/resource_providers", json={"name": "root"})
    assert taken.status_code == 409 and error(taken)["code"] == "placement.duplicate_name"
    again = await world.http.post("/resource_providers", json={"name": "other", "uuid": root})
    assert again.status_code == 409 and error(again)["code"] == "placement.duplicate_name"
    taken = await world.http.put(f"/resource_providers/{child}", json={"name": "root"})
    assert taken.status_code == 409
    orphan = await world.http.post("/resource_providers", json={"name": "x", "parent_provider_uuid": new()})
    assert orphan.status_code == 400
    parent = await world.http.delete(f"/resource_providers/{root}")
    assert parent.status_code == 409 and error(parent)["code"] == "placement.resource_provider.cannot_delete_parent"
    loop = await world.http.put(f"/resource_providers/{root}", json={"name": "root", "parent_provider_uuid": child})
    assert loop.status_code == 400
    in_tree = await world.http.get(f"/resource_providers?in_tree={grandchild}")
    assert {each["name"] for each in in_tree.json()["resource_providers"]} == {"root", "child", "grandchild"}
    early = await world.speaking("placement 1.36").put(
        f"/resource_providers/{child}", json={"name": "child", "parent_provider_uuid": None})
    assert early.status_code == 400
    free = await world.http.put(f"/resource_providers/{child}", json={"name": "child", "parent_provider_uuid": None})
    assert free.json()["root_provider_uuid"] == child
    assert (await world.http.get(f"/resource_providers/{grandchild}")).json()["root_provider_uuid"] == child
    names = [each["name"] for each in (await world.http.get(f"/resource_providers?in_tree={root}")).json()[
        "resource_providers"]]
    assert names == ["root"]


async def test_provider_filters(world):
    aggregate, other = new(), new()
    big = await world.provider("big", VCPU=8, traits=["HW_CPU_X86_VMX"], aggregates=[aggregate])
    small = await world.provider("small", VCPU=2, traits=["STORAGE_DISK_SSD"], aggregates=[other])

    async def found(query):
        answer = await world.http.get("/resource_providers?" + query)
        assert answer.status_code == 200, answer.text
        return [each["uuid"] for each in answer.json()["resource_providers"]]

    assert await found("") == [big, small]
    assert await found("name=small") == [small] and await found(f"uuid={big}") == [big]
    assert await found("resources=VCPU:4") == [big] and await found("resources=VCPU:4,DISK_GB:1") == []
    assert await found("required=HW_CPU_X86_VMX") == [big] and await found("required=!HW_CPU_X86_VMX") == [small]
    assert await found("required=in:HW_CPU_X86_VMX,STORAGE_DISK_SSD&required=!STORAGE_DISK_SSD") == [big]
    assert await found(f"member_of={aggregate}") == [big] and await found(f"member_of=!{aggregate}") == [small]
    assert await found(f"member_of=in:{aggregate},{other}") == [big, small]
    assert await found(f"member_of={aggregate}&member_of={other}") == []
    for bad in ("resources=VCPU", "resources=VCPU:0", "resources=NOPE:1", "required=NOPE", "member_of=x", "uuid=x",
                "color=red", "in_tree=x", "required="):
        assert (await world.http.get("/resource_providers?" + bad)).status_code == 400, bad


async def test_inventories(world):
    one = await world.provider("a")
    url = f"/resource_providers/{one}/inventories"
    put = await world.http.put(url, json={"resource_provider_generation": 0, "inventories": {
        "VCPU": {"total": 8, "allocation_ratio": 2.0}, "MEMORY_MB": {"total": 1024, "reserved": 24}}})
    assert put.status_code == 200 and put.json()["resource_provider_generation"] == 1
    assert (await world.http.get(url)).json() == put.json()
    assert put.json()["inventories"]["VCPU"] == {
        "total": 8, "reserved": 0, "min_unit": 1, "max_unit": 2147483647, "step_size": 1, "allocation_ratio": 2.0}
    for generation in (0, 2, 1 << 31, 1 << 63, 10**30):
        stale = await world.http.put(url, json={"resource_provider_generation": generation, "inventories": {}})
        assert stale.status_code == 409 and error(stale)["code"] == "placement.concurrent_update"
    added = await world.http.post(url, json={"resource_class": "DISK_GB", "total": 5})
    assert added.status_code == 201 and added.headers["location"].endswith("/inventories/DISK_GB")
    assert (await world.http.post(url, json={"resource_class": "DISK_GB", "total": 5})).status_code == 409
    changed = await world.http.put(url + "/DISK_GB", json={"resource_provider_generation": 2, "total": 6})
    assert changed.json()["total"] == 6 and changed.json()["resource_provider_generation"] == 3
    assert (await world.http.get(url + "/DISK_GB")).json() == changed.json()
    await world.client.claim(new(), {one: {"VCPU": 16}}, project_id="p", user_id="u")
    used = await world.http.delete(url + "/VCPU")
    assert used.status_code == 409 and error(used)["code"] == "placement.inventory.inuse"
    assert (await world.http.delete(url)).status_code == 409
    assert (await world.http.delete(url + "/DISK_GB")).status_code == 204
    assert (await world.http.delete(url + "/DISK_GB")).status_code == 404
    usages = (await world.http.get(f"/resource_providers/{one}/usages")).json()
    assert usages["usages"] == {"VCPU": 16, "MEMORY_MB": 0}


@pytest.mark.parametrize("body", [
    {}, {"total": 0}, {"total": -1}, {"total": 5, "reserved": 6}, {"total": 5, "step_size": 0}, {"total": 2 ** 31},
    {"total": 5, "allocation_ratio": -1.0}, {"total": "x"}, {"total": 5, "color": "red"}])
async def test_bad_inventories(world, body):
    one = await world.provider("a")
    answer = await world.http.put(f"/resource_providers/{one}/inventories", json={
        "resource_provider_generation": 0, "inventories": {"VCPU": body}})
    assert answer.status_code == 400, answer.text
    assert error(answer)["request_id"] == answer.headers["x-openstack-request-id"]


async def test_reserving_everything_is_new(world):
    one = await world.provider("a")
    body = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 5, "reserved": 5}}}
    url = f"/resource_providers/{one}/inventories"
    assert (await world.speaking("placement 1.25").put(url, json=body)).status_code == 400
    assert (await world.http.put(url, json=body)).status_code == 200


async def test_classes_and_traits(world):
    for base, kind in (("/resource_classes/", "class"), ("/traits/", "trait")):
        assert (await world.http.put(base + "CUSTOM_GOLD")).status_code == 201
        assert (await world.http.put(base + "CUSTOM_GOLD")).status_code == 204
        assert (await world.http.put(base + "GOLD")).status_code == 400, kind
        assert (await world.http.delete(base + "CUSTOM_GOLD")).status_code == 204
        assert (await world.http.delete(base + "CUSTOM_GOLD")).status_code == 404
        assert (await world.http.get(base + "CUSTOM_GOLD")).status_code == 404
    assert (await world.http.delete("/resource_classes/VCPU")).status_code == 400
    assert (await world.http.delete("/traits/HW_CPU_X86_VMX")).status_code == 400
    assert (await world.http.post("/resource_classes", json={"name": "CUSTOM_A"})).status_code == 201
    assert (await world.http.post("/resource_classes", json={"name": "CUSTOM_A"})).status_code == 409
    classes = [each["name"] for each in (await world.http.get("/resource_classes")).json()["resource_classes"]]
    assert classes[:3] == ["VCPU", "MEMORY_MB", "DISK_GB"] and classes[-1] == "CUSTOM_A"
    renamed = await world.speaking("placement 1.2").put("/resource_classes/CUSTOM_A", json={"name": "CUSTOM_B"})
    assert renamed.json()["name"] == "CUSTOM_B"
    await world.provider("a", CUSTOM_B=1, traits=["CUSTOM_FAST"])
    assert (await world.http.delete("/resource_classes/CUSTOM_B")).status_code == 409
    assert (await world.http.delete("/traits/CUSTOM_FAST")).status_code == 409
    assert (await world.http.get("/traits?associated=true")).json() == {"traits": ["CUSTOM_FAST"]}
    assert (await world.http.get("/traits?name=startswith:CUSTOM")).json() == {"traits": ["CUSTOM_FAST"]}
    assert len((await world.http.get("/traits?name=in:CUSTOM_FAST,HW_CPU_X86_VMX")).json()["traits"]) == 2
    assert (await world.http.get("/traits?name=like:x")).status_code == 400


async def test_provider_traits_and_aggregates(world):
    one, aggregate = await world.provider("a"), new()
    url = f"/resource_providers/{one}"
    put = await world.http.put(url + "/traits", json={"resource_provider_generation": 0, "traits": ["HW_CPU_X86_VMX"]})
    assert put.json() == {"resource_provider_generation": 1, "traits": ["HW_CPU_X86_VMX"]}
    again = await world.http.put(url + "/traits", json={"resource_provider_generation": 0, "traits": []})
    assert again.status_code == 409 and error(again)["code"] == "placement.concurrent_update"
    unknown = await world.http.put(url + "/traits", json={"resource_provider_generation": 1, "traits": ["NO_SUCH"]})
    assert unknown.status_code == 400 and "NO_SUCH" in error(unknown)["detail"]
    put = await world.http.put(url + "/aggregates", json={"resource_provider_generation": 1, "aggregates": [aggregate]})
    assert put.json() == {"resource_provider_generation": 2, "aggregates": [aggregate]}
    old = await world.speaking("placement 1.1").put(url + "/aggregates", json=[])
    assert old.json() == {"aggregates": []}
    assert (await world.http.delete(url + "/traits")).status_code == 204
    assert (await world.http.get(url + "/traits")).json() == {"resource_provider_generation": 4, "traits": []}


def claim(provider, amounts, generation=None, **more):
    return {"allocations": {provider: {"resources": amounts}}, "project_id": "p", "user_id": "u",
            "consumer_generation": generation, "consumer_type": "INSTANCE", **more}


async def test_allocations(world):
    one, consumer = await world.provider("a", VCPU=Inventory(total=4, max_unit=3), MEMORY_MB=100), new()
    url = f"/allocations/{consumer}"
    assert (await world.http.get(url)).json() == {"allocations": {}}
    body = claim(one, {"VCPU": 2, "MEMORY_MB": 10}, mappings={"": [one]})
    assert (await world.http.put(url, json=body)).status_code == 204
    assert (await world.http.get(url)).json() == {
        "allocations": {one: {"generation": 2, "resources": {"VCPU": 2, "MEMORY_MB": 10}}}, "project_id": "p",
        "user_id": "u", "consumer_generation": 1, "consumer_type": "INSTANCE"}
    for generation in (None, 2, 1 << 63, 10**30):
        stale = await world.http.put(url, json=body | {"consumer_generation": generation})
        assert stale.status_code == 409 and error(stale)["code"] == "placement.concurrent_update"
    for amounts, text in (({"VCPU": 3}, "capacity"), ({"VCPU": 4}, "max_unit"), ({"DISK_GB": 1}, "no inventory")):
        refused = await world.http.put("/allocations/" + new(), json=claim(one, amounts))
        assert refused.status_code == 409 and text in error(refused)["detail"], refused.text
    assert (await world.http.put("/allocations/" + new(), json=claim(new(), CPU))).status_code == 400
    assert (await world.http.put("/allocations/" + new(), json=claim(one, {"CUSTOM_NO": 1}))).status_code == 400
    assert (await world.http.put("/allocations/x", json=body)).status_code == 400
    grown = await world.http.put(url, json=claim(one, {"VCPU": 3}, generation=1))
    assert grown.status_code == 204
    listed = (await world.http.get(f"/resource_providers/{one}/allocations")).json()
    assert listed["allocations"] == {consumer: {"resources": {"VCPU": 3}, "consumer_generation": 2}}
    in_use = await world.http.delete(f"/resource_providers/{one}")
    assert in_use.status_code == 409 and error(in_use)["code"] == "placement.resource_provider.inuse"
    assert (await world.http.delete(url)).status_code == 204
    gone = await world.http.delete(url)
    assert gone.status_code == 404 and "No allocations for consumer" in error(gone)["detail"]


async def test_allocations_of_old_clients(world):
    one, consumer = await world.provider("a", VCPU=4), new()
    listed = {"allocations": [{"resource_provider": {"uuid": one}, "resources": {"VCPU": 1}}]}
    oldest = world.speaking("placement 1.0")
    assert (await oldest.put(f"/allocations/{consumer}", json=listed)).status_code == 204
    owned = world.speaking("placement 1.8")
    assert (await owned.put(f"/allocations/{consumer}", json=listed)).status_code == 400
    assert (await owned.put(f"/allocations/{consumer}", json=listed | {"project_id": "p", "user_id": "u"})
            ).status_code == 204
    assert (await oldest.get(f"/allocations/{consumer}")).json() == {
        "allocations": {one: {"generation": 3, "resources": {"VCPU": 1}}}}
    middle = world.speaking("placement 1.12")
    body = {"allocations": {one: {"resources": {"VCPU": 2}}}, "project_id": "p", "user_id": "u"}
    assert (await middle.put(f"/allocations/{consumer}", json=body)).status_code == 204
    assert (await middle.put(f"/allocations/{consumer}", json=body | {"consumer_generation": 3})).status_code == 400
    assert (await world.speaking("placement 1.28").put(f"/allocations/{consumer}", json=body)).status_code == 400
    assert (await world.http.get("/usages?project_id=p")).json() == {
        "usages": {"unknown": {"consumer_count": 1, "VCPU": 2}}}


async def test_many_allocations_and_usages(world):
    one, two = await world.provider("a", VCPU=4), await world.provider("b", VCPU=4)
    moving, other = new(), new()
    assert (await world.http.post("/allocations", json={
        moving: claim(one, CPU), other: claim(two, {"VCPU": 1}, user_id="v")})).status_code == 204
    full = await world.http.post("/allocations", json={new(): claim(two, {"VCPU": 2}), new(): claim(two, {"VCPU": 2})})
    assert full.status_code == 409
    empty = claim(one, CPU, generation=1) | {"allocations": {}}
    assert (await world.http.post("/allocations", json={
        moving: empty, new(): claim(one, CPU, consumer_type="MIGRATION")})).status_code == 204
    assert (await world.http.get(f"/allocations/{moving}")).json() == {"allocations": {}}
    assert (await world.http.get("/usages?project_id=p")).json()["usages"] == {
        "INSTANCE": {"consumer_count": 1, "VCPU": 1}, "MIGRATION": {"consumer_count": 1, "VCPU": 4}}
    assert (await world.http.get("/usages?project_id=p&consumer_type=all")).json()["usages"] == {
        "all": {"consumer_count": 2, "VCPU": 5}}
    old = world.speaking("placement 1.9")
    assert (await old.get("/usages?project_id=p&user_id=v")).json() == {"usages": {"VCPU": 1}}
    assert (await old.get("/usages")).status_code == 400
    reader = {"x-auth-token": "reader@p"}
    assert (await world.http.get("/usages?project_id=p", headers=reader)).status_code == 200
    assert (await world.http.get("/usages?project_id=q", headers=reader)).status_code == 403


async def test_reshaper_moves_inventory_to_a_child(world):
    root, consumer = await world.provider("root", VCPU=4, VGPU=2), new()
    child = await world.provider("child", parent=root)
    await world.client.claim(consumer, {root: {"VCPU": 1, "VGPU": 2}}, project_id="p", user_id="u")
    generation = (await world.http.get(f"/resource_providers/{root}")).json()["generation"]
    body = {"inventories": {
        root: {"resource_provider_generation": generation, "inventories": {"VCPU": {"total": 4}}},
        child: {"resource_provider_generation": 0, "inventories": {"VGPU": {"total": 2}}}},
        "allocations": {consumer: {
            "allocations": {root: {"resources": {"VCPU": 1}}, child: {"resources": {"VGPU": 2}}}, "project_id": "p",
            "user_id": "u", "consumer_generation": 1, "consumer_type": "INSTANCE"}}}
    without = await world.http.post("/reshaper", json=body | {"allocations": {}})
    assert without.status_code == 409 and error(without)["code"] == "placement.inventory.inuse"
    assert (await world.http.post("/reshaper", json=body)).status_code == 204
    assert (await world.client.allocations(consumer)).resources == {root: {"VCPU": 1}, child: {"VGPU": 2}}
    assert (await world.http.post("/reshaper", json=body)).status_code == 409
