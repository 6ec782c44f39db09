"""Routes over HTTP: versions, policy, bodies, faults, pages."""

import msgspec
import pytest

from pileus.kit.openapi import openapi
from pileus.kit.versions import parse
from tests.kit.toys import boxes

NEWEST = {"openstack-api-version": "toys latest"}


async def make(world, name="a", headers=None, **more):
    answer = await world.http.post("/boxes", json={"box": {"name": name, **more}}, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["box"]


async def test_create_show_delete(world):
    box = await make(world)
    assert box == {"id": box["id"], "name": "a", "state": "new"}
    await world.sagas.drain()
    shown = await world.http.get(f"/boxes/{box['id']}")
    assert shown.json()["box"]["state"] == "packed"
    assert shown.headers["openstack-api-version"] == "toys 1.0" == f"toys {shown.headers['x-toys-version']}"
    assert shown.headers["x-openstack-request-id"].startswith("req-")
    assert (await world.http.delete(f"/boxes/{box['id']}")).status_code == 204
    await world.sagas.drain()
    assert (await world.http.get(f"/boxes/{box['id']}")).status_code == 404


async def test_version_windows(world):
    early = await world.http.post("/boxes", json={"box": {"name": "x", "color": "red"}})
    assert early.status_code == 400 and "unknown field `color`" in early.text
    box = await make(world, color="red", headers=NEWEST)
    assert box == {"id": box["id"], "name": "a", "color": "red"}
    old = await world.http.get(f"/boxes/{box['id']}", headers={"x-toys-version": "1.1"})
    assert old.json()["box"] == {"id": box["id"], "name": "a", "color": "red", "state": "new"}
    action = {"paint": "blue"}
    assert (await world.http.post(f"/boxes/{box['id']}/action", json=action)).status_code == 400
    painted = await world.http.post(f"/boxes/{box['id']}/action", json=action, headers=NEWEST)
    assert painted.json()["box"]["color"] == "blue"


def test_a_type_has_one_form_as_of_a_version():
    document = openapi(boxes.SERVICE, parse("1.0"))
    assert openapi(boxes.SERVICE, parse("1.2")) != document == openapi(boxes.SERVICE, parse("1.0"))


async def test_paths_of_before_versions(world):
    made = await world.http.post("/old/boxes", headers=NEWEST, json={"box": {"name": "x", "color": "red", "nope": 1}})
    assert made.json()["box"] == {"id": made.json()["box"]["id"], "name": "x", "state": "new"}
    assert made.headers["openstack-api-version"] == "toys 1.0"
    assert (await world.http.get(f"/old/boxes/{made.json()['box']['id']}")).status_code == 200
    assert (await world.http.get("/old/")).status_code == 404


@pytest.mark.parametrize(("wanted", "status"), [
    ("toys 9.9", 406), ("toys 0.9", 406), ("toys nonsense", 400), ("other 9.9", 200), ("toys latest", 200),
    ("toys 01.1", 400)])
async def test_negotiation(world, wanted, status):
    assert (await world.http.get("/boxes", headers={"openstack-api-version": wanted})).status_code == status


@pytest.mark.parametrize(("body", "status"), [
    (b"", 400), (b"{", 400), (b"[]", 400), (b"\xff\xfe", 400), (b'{"box": {"name": "\xff"}}', 400),
    (b'{"box": {}}', 400), (b'{"box": {"name": 5}}', 400), (b'{"box": {"name": ""}}', 400),
    (b'{"box": {"name": "a"}, "more": 1}', 400), (b'{"crate": {"name": "a"}}', 400), (b"[" * 1500, 400),
    (b'{"box": {"name": "a", "nope": 1}}', 400), (b" " * 2001, 413)])
async def test_bad_bodies(world, body, status):
    answer = await world.http.post("/boxes", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    fault = next(iter(answer.json().values()))
    assert fault["code"] == status and fault["message"]
    assert answer.headers["x-openstack-request-id"]


async def test_other_refusals(world):
    box = await make(world)
    url = f"/boxes/{box['id']}"
    assert (await world.http.post("/boxes", content=b"x=1", headers={
        "content-type": "application/x-www-form-urlencoded"})).status_code == 415
    assert (await world.http.get("/nowhere")).status_code == 404
    put = await world.http.put(url, json={})
    assert put.status_code == 405 and put.headers["allow"] == "DELETE, GET"
    assert (await world.http.get(url, headers={"x-auth-token": "bad"})).status_code == 401
    assert (await world.http.delete(url, headers={"x-auth-token": "reader@p1"})).status_code == 403
    stranger = await world.http.get(url, headers={"x-auth-token": "member@p2"})
    nothing = await world.http.get(url[:-4] + "0000")
    assert (stranger.status_code, nothing.status_code) == (404, 404)
    assert stranger.json() == {"itemNotFound": {"code": 404, "message": f"Box {box['id']} could not be found."}}
    taken = await world.http.post("/boxes", json={"box": {"name": "a"}})
    assert taken.status_code == 409


async def test_bulk_and_pages(world):
    made = await world.http.post("/boxes", json={"boxes": [{"name": f"n{i}"} for i in range(5)]})
    assert [b["name"] for b in made.json()["boxes"]] == ["n0", "n1", "n2", "n3", "n4"]
    first = (await world.http.get("/boxes?limit=2&name=n1&name=n2&name=n4")).json()
    assert [b["name"] for b in first["boxes"]] == ["n1", "n2"]
    second = (await world.http.get(first["boxes_links"][0]["href"])).json()
    assert [b["name"] for b in second["boxes"]] == ["n4"] and "boxes_links" not in second
    assert (await world.http.get("/boxes?limit=0")).status_code == 400
    assert (await world.http.get("/boxes?limit=x")).status_code == 400


async def test_a_nul_in_a_text_is_the_clients_mistake(world):
    assert (await world.http.get("/boxes/%00")).status_code == 404
    assert (await world.http.get("/boxes?name=%00")).status_code in (200, 400)
    assert (await world.http.post("/boxes", json={"box": {"name": "a\0b"}})).status_code in (202, 400)


async def test_request_id_of_the_client_is_kept(world):
    mine = "req-12345678-1234-1234-1234-123456789abc"
    assert (await world.http.get("/", headers={"x-openstack-request-id": mine})).headers[
        "x-openstack-request-id"] == mine
    other = await world.http.get("/", headers={"x-openstack-request-id": "req-<script>"})
    assert other.headers["x-openstack-request-id"] != "req-<script>"


async def test_a_bug_is_a_500_with_a_request_id(world):
    async def broken(token):
        raise ZeroDivisionError
    world.http._transport.app.authenticate = broken
    answer = await world.http.get("/boxes")
    assert answer.status_code == 500 and "ZeroDivision" not in answer.text
    assert answer.headers["x-openstack-request-id"]


def test_openapi_knows_every_route():
    document = openapi(boxes.SERVICE, boxes.LEDGER.newest)
    assert set(document["paths"]) == {"/boxes", "/boxes/{box_id}", "/boxes/{box_id}/action", "/kept/{box_id}", "/"}
    assert document["paths"]["/boxes"]["post"]["x-policy"] == "toys:create"
    assert "color" in document["components"]["schemas"]["BoxCreate"]["properties"]
    old = openapi(boxes.SERVICE, parse("1.0"))
    assert "/boxes/{box_id}/action" not in old["paths"]
    assert "color" not in old["components"]["schemas"]["BoxCreate"]["properties"]
    assert msgspec.json.encode(document)


async def test_refusing_targets_do_not_tell_what_is_there(world):
    """With `refuse`, who may not see a thing is refused whether it is there or not."""
    box = await make(world)
    kept = f"/kept/{box['id']}"
    stranger = {"x-auth-token": "member@p2"}
    assert (await world.http.get(kept)).status_code == 200
    assert (await world.http.get(kept, headers=stranger)).status_code == 403
    assert (await world.http.get(kept[:-4] + "0000", headers=stranger)).status_code == 403
    assert (await world.http.get(kept[:-4] + "0000", headers={"x-auth-token": "admin@p2"})).status_code == 404
