"""The cache, and what a project may keep."""

import os

import pytest

from pileus.image.reconcilers.cached_images import cached_images
from pileus.kit.client import Unreachable
from tests.image.conftest import ADMIN, OCTETS

DATA = os.urandom(100_000)


async def listed(world):
    return (await world.http.get("/v2/cache", headers=ADMIN)).json()


async def test_queue_cache_hit_and_delete(world):
    image, empty = await world.image(DATA), await world.image()
    for method, url in (("GET", "/v2/cache"), ("PUT", f"/v2/cache/{image}"), ("DELETE", f"/v2/cache/{image}"),
                        ("DELETE", "/v2/cache")):
        assert (await world.http.request(method, url)).status_code == 403
    assert (await world.http.put("/v2/cache/none", headers=ADMIN)).status_code == 404
    assert (await world.http.put(f"/v2/cache/{empty}", headers=ADMIN)).status_code == 400
    for _ in range(2):
        assert (await world.http.put(f"/v2/cache/{image}", headers=ADMIN)).status_code == 202
    assert await listed(world) == {"cached_images": [], "queued_images": [image]}
    await cached_images.run(world)
    await cached_images.run(world)
    world.store.path((await world.cache.contents(0))[0]).unlink()           # the store is far away
    assert (await world.http.get(f"/v2/images/{image}/file")).content == DATA
    found = (await listed(world))["cached_images"]
    assert [(each["image_id"], each["hits"], each["size"]) for each in found] == [(image, 1, 100_000)]
    assert (await world.http.delete(f"/v2/cache/{image}", headers=ADMIN)).status_code == 204
    assert (await world.http.delete(f"/v2/cache/{image}", headers=ADMIN)).status_code == 204, "it is not there"
    assert (await world.http.delete("/v2/cache/no-image", headers=ADMIN)).status_code == 404
    await cached_images.run(world)
    assert await world.cache.contents(0) == []


@pytest.mark.parametrize(("target", "left"), [("cache", "queued_images"), ("queue", "cached_images"), (None, None)])
async def test_clear(world, target, left):
    first, second = await world.image(DATA), await world.image(DATA)
    await world.http.put(f"/v2/cache/{first}", headers=ADMIN)
    await cached_images.run(world)
    await world.http.put(f"/v2/cache/{second}", headers=ADMIN)
    header = {"x-image-cache-clear-target": target} if target else {}
    bad = await world.http.delete("/v2/cache", headers=ADMIN | {"x-image-cache-clear-target": "invalid"})
    assert bad.status_code == 400
    assert (await world.http.delete("/v2/cache", headers=ADMIN | header)).status_code == 204
    assert [name for name, found in (await listed(world)).items() if found] == ([left] if left else [])


async def test_what_is_used_longest_ago_goes_first(make_world):
    world = await make_world(settings={"cache_max_bytes": 250_000})
    made = [await world.image(DATA) for _ in range(3)]
    for image in made:
        await world.http.put(f"/v2/cache/{image}", headers=ADMIN)
        world.clock.turn(1)
    await cached_images.run(world)
    assert [each["image_id"] for each in (await listed(world))["cached_images"]] == made[1:]
    assert len(await world.cache.contents(0)) == 2


async def test_a_deleted_image_leaves_the_cache(world):
    image = await world.image(DATA)
    await world.http.put(f"/v2/cache/{image}", headers=ADMIN)
    await cached_images.run(world)
    assert (await world.http.delete(f"/v2/images/{image}")).status_code == 204
    assert world.kept() == [] and await listed(world) == {"cached_images": [], "queued_images": []}


async def test_a_lost_content_is_not_cached(world):
    image = await world.image(DATA)
    world.store.path((await world.store.contents(0))[0]).write_bytes(b"not it")
    await world.http.put(f"/v2/cache/{image}", headers=ADMIN)
    await cached_images.run(world)
    assert (await listed(world))["queued_images"] == [image] and await world.cache.contents(0) == []


# -- limits ---------------------------------------------------------------------------------

async def test_limits_and_usage(make_world):
    world = await make_world(settings={"limits": {"image_count_total": 3, "image_size_total": 2,
                                                  "image_stage_total": 1, "image_count_uploading": 1}})
    first, second, third = [await world.image() for _ in range(3)]
    refused = await world.http.post("/v2/images", json={"name": "one more"})
    assert refused.status_code == 413 and "image_count_total is over limit of 3" in refused.text
    put = f"/v2/images/{first}/file"
    assert (await world.http.put(put, content=bytes(3 << 20), headers=OCTETS)).status_code == 413
    assert (await world.http.put(put, content=bytes(2 << 20), headers=OCTETS)).status_code == 204
    assert (await world.http.put(f"/v2/images/{second}/file", content=b"x", headers=OCTETS)).status_code == 413
    assert (await world.http.put(f"/v2/images/{second}/stage", content=b"x", headers=OCTETS)).status_code == 204
    late = await world.http.put(f"/v2/images/{third}/stage", content=b"x", headers=OCTETS)
    assert late.status_code == 413 and "image_" in late.text
    assert (await world.http.get("/v2/info/usage")).json()["usage"] == {
        "image_size_total": {"limit": 2, "usage": 2}, "image_stage_total": {"limit": 1, "usage": 1},
        "image_count_total": {"limit": 3, "usage": 3}, "image_count_uploading": {"limit": 1, "usage": 1}}


async def test_what_tells_no_size_may_go_beyond_a_limit_once(make_world):
    world = await make_world(settings={"limits": {"image_size_total": 1}})
    statuses = []
    for _ in range(3):
        async def untold():
            yield bytes(1 << 20)
        answer = await world.http.put(f"/v2/images/{await world.image()}/file", content=untold(), headers=OCTETS)
        statuses.append(answer.status_code)
    assert statuses == [204, 204, 413]


async def test_limits_that_identity_keeps(make_world):
    kept, asked = {"image_count_total": 2}, []

    async def unified(project_id):
        asked.append(project_id)
        if kept is None:
            raise Unreachable("nobody answers")
        return kept

    settings = {"limits": {"image_count_total": 1, "image_size_total": 1}}
    world = await make_world(settings=settings, unified_limits=unified)
    first, _ = [await world.image() for _ in range(2)]
    assert (await world.http.post("/v2/images", json={"name": "one more"})).status_code == 413
    kept = {"image_count_total": -1, "image_size_total": 0}
    await world.image()
    put = f"/v2/images/{first}/file"
    assert (await world.http.put(put, content=b"x", headers=OCTETS)).status_code == 413
    used = (await world.http.get("/v2/info/usage")).json()["usage"]
    assert used["image_count_total"] == {"limit": -1, "usage": 3} and used["image_size_total"]["limit"] == 0
    kept = None
    assert (await world.http.put(put, content=b"x", headers=OCTETS)).status_code == 503
    assert (await world.http.post("/v2/images", json={"name": "one more"})).status_code == 503
    assert set(asked) == {"p1"}
