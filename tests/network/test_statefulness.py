"""Whether new security groups are stateful where nobody says so."""

URL = "/v2.0/security-groups-default-statefulness"
KEY = "security_groups_default_statefulness"


async def make(speaker, status=201, **body):
    answer = await speaker.post(URL, json={KEY: body})
    assert answer.status_code == status, answer.text
    return answer.json()[KEY] if status < 300 else None


async def test_who_says_so(world):
    manager = world.speaker("manager@p1")
    assert (await world.http.make("security_group", name="a"))["stateful"] is True
    everywhere = await make(world.admin, stateful=False)
    assert everywhere["project_id"] is None
    await make(world.admin, 409, stateful=True)
    await make(manager, 403, stateful=True)
    await make(manager, 403, stateful=True, project_id="p2")
    await make(world.http, 403, stateful=True, project_id="p1")
    assert (await world.http.make("security_group", name="b"))["stateful"] is False
    assert (await world.http.make("security_group", name="c", stateful=True))["stateful"] is True
    (first,) = await world.other.all("security_group")
    assert (first["name"], first["stateful"]) == ("default", False)
    mine = await make(manager, stateful=True, project_id="p1")
    assert (await world.http.make("security_group", name="d"))["stateful"] is True
    assert (await world.http.get(URL)).json()[KEY] == [mine]
    assert (await world.http.get(f"{URL}/{mine['id']}")).json()[KEY] == mine
    assert (await world.http.get(f"{URL}/{everywhere['id']}")).status_code == 404
    assert len((await world.admin.get(URL)).json()[KEY]) == 2
    changed = await manager.put(f"{URL}/{mine['id']}", json={KEY: {"stateful": False}})
    assert changed.json()[KEY]["stateful"] is False
    assert (await manager.put(f"{URL}/{everywhere['id']}", json={KEY: {"stateful": True}})).status_code == 404
    assert (await manager.delete(f"{URL}/{mine['id']}")).status_code == 204
    assert (await world.admin.delete(f"{URL}/{everywhere['id']}")).status_code == 204
    assert (await world.http.make("security_group", name="e"))["stateful"] is True
    await manager.aclose()
