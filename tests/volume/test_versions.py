"""What clients see just below and at each microversion of the Block Storage API."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy as sa

from pileus.kit.ids import new_uuid
from pileus.volume import versions
from pileus.volume.model.tables import image_properties
from tests.covers import covers

ADMIN, SERVER = "admin@p1", new_uuid()
CONNECTOR = {"connector": {"host": "host-1"}}


class Pair:
    """One question as of two versions: the one below, and the one at which something changed."""

    def __init__(self, world):
        self.world = world

    async def both(self, method, path, body=None, *, below, at, token=ADMIN):
        return [await self.world.call(method, path, body, version=version, token=token) for version in (below, at)]

    async def new(self, path, *, below, at, token=ADMIN):
        """The fields that the one thing at `path` has at the newer version alone."""
        found = []
        for answer in await self.both("GET", path, below=below, at=at, token=token):
            assert answer.is_success, answer.text
            (shown,) = [value for key, value in answer.json().items() if not key.endswith("_links")]
            found.append(set(shown[0] if isinstance(shown, list) else shown))
        assert found[0] <= found[1]
        return found[1] - found[0]

    async def appears(self, method, path, body=None, *, below, at, token=ADMIN):
        """Is not known to the older version, and does something as of the newer one."""
        missing, there = await self.both(method, path, body, below=below, at=at, token=token)
        assert missing.status_code in (400, 404, 405), (path, missing.text)
        assert there.is_success, (path, there.text)
        await self.world.sagas.drain()
        return there.json() if there.content else None


@pytest.fixture
def pair(world):
    return Pair(world)


async def made(world, collection, kind, **body):
    found = (await world.ok("POST", f"/{collection}", {kind: body}, token=ADMIN))[kind]
    await world.sagas.drain()
    return found["id"]


@covers(versions.SERVICE_UPDATES, versions.BACKEND_STATE, versions.PROVIDER_ID, versions.SHARED_TARGETS,
        versions.CLUSTER_NAME, versions.TYPE_ID, versions.CONSUMES_QUOTA, versions.SNAPSHOT_USER, versions.GROUPS,
        versions.BACKUP_PROJECT, versions.BACKUP_METADATA, versions.BACKUP_USER, versions.GROUP_SNAPSHOTS)
async def test_new_fields(world, pair):
    volume = await world.volume(1, token=ADMIN)
    snapshot = await made(world, "snapshots", "snapshot", volume_id=volume)
    backup = await made(world, "backups", "backup", volume_id=volume)
    one, held, kept = f"/volumes/{volume}", f"/snapshots/{snapshot}", f"/backups/{backup}"
    for path, below, at, fields in (
            ("/os-services?binary=cinder-volume", "3.6", "3.7", {"cluster"}),
            ("/os-services?binary=cinder-volume", "3.48", "3.49", {"backend_state"}),
            (one, "3.12", "3.13", {"group_id"}), (one, "3.20", "3.21", {"provider_id"}),
            (one, "3.47", "3.48", {"shared_targets", "service_uuid"}), (one, "3.60", "3.61", {"cluster_name"}),
            (one, "3.62", "3.63", {"volume_type_id"}), (one, "3.64", "3.65", {"consumes_quota"}),
            (held, "3.13", "3.14", {"group_snapshot_id"}), (held, "3.40", "3.41", {"user_id"}),
            (held, "3.64", "3.65", {"consumes_quota"}), (kept, "3.17", "3.18", {"os-backup-project-attr:project_id"}),
            (kept, "3.42", "3.43", {"metadata"}), (kept, "3.55", "3.56", {"user_id"})):
        assert await pair.new(path, below=below, at=at) == fields, path


@covers(versions.GROUP_TYPES, versions.GROUPS, versions.GROUP_SNAPSHOTS, versions.GROUP_SNAPSHOT_RESET,
        versions.GROUP_RESET, versions.GROUP_VOLUMES, versions.GROUP_SNAPSHOT_FILTERS, versions.GROUP_REPLICATION,
        versions.GROUP_PROJECT, versions.GROUP_FILTER)
async def test_groups(world, pair):
    await pair.appears("GET", "/group_types", below="3.10", at="3.11")
    kind = await made(world, "group_types", "group_type", name="g")
    volume_type = (await world.ok("GET", "/types/default"))["volume_type"]["id"]
    body = {"group": {"group_type": kind, "volume_types": [volume_type]}}
    group = (await pair.appears("POST", "/groups", body, below="3.12", at="3.13"))["group"]["id"]
    path, volume = f"/groups/{group}", await world.volume(1, token=ADMIN, group_id=group)
    await world.volume(1, token=ADMIN)
    for below, at, fields in (("3.13", "3.14", {"group_snapshot_id", "source_group_id"}),
                              ("3.37", "3.38", {"replication_status"}), ("3.57", "3.58", {"project_id"})):
        assert await pair.new(path, below=below, at=at) == fields
    assert await pair.new(f"{path}?list_volume=true", below="3.24", at="3.25") == {"volumes"}
    every, own = [answer.json()["volumes"] for answer in await pair.both(
        "GET", f"/volumes?group_id={group}", below="3.9", at="3.10")]
    assert (len(every), [each["id"] for each in own]) == (2, [volume])
    reset = {"reset_status": {"status": "available"}}
    await pair.appears("POST", f"{path}/action", reset, below="3.19", at="3.20")
    snapshot = (await pair.appears("POST", "/group_snapshots", {"group_snapshot": {"group_id": group}},
                                   below="3.13", at="3.14"))["group_snapshot"]["id"]
    held = f"/group_snapshots/{snapshot}"
    await pair.appears("POST", f"{held}/action", reset, below="3.18", at="3.19")
    assert await pair.new(held, below="3.57", at="3.58") == {"project_id"}
    every, sifted = [answer.json()["group_snapshots"] for answer in await pair.both(
        "GET", "/group_snapshots?status=error", below="3.28", at="3.29")]
    assert (len(every), sifted) == (1, [])


@covers(versions.MESSAGES, versions.MESSAGE_LISTS, versions.MANAGEABLE_LISTS, versions.SUMMARY,
        versions.SUMMARY_METADATA, versions.RESOURCE_FILTERS, versions.DEFAULT_TYPES, versions.POOL_FILTERS,
        versions.POOL_TYPE_FILTER, versions.TYPE_FILTERS, versions.LIMITS_OF_PROJECT)
async def test_what_is_told_of_the_service(world, pair):
    for path, below, at in (("/manageable_volumes?host=node@one", "3.7", "3.8"), ("/default-types", "3.61", "3.62"),
                            ("/resource_filters", "3.32", "3.33"), ("/messages", "3.2", "3.3")):
        await pair.appears("GET", path, below=below, at=at)
    spec = {"volume_backend_name": "two"}
    await world.ok("POST", "/types", {"volume_type": {"name": "on-two", "extra_specs": spec}}, token=ADMIN)
    await made(world, "types", "volume_type", name="nowhere", extra_specs={"volume_backend_name": "nowhere"})
    for _ in range(2):
        await made(world, "volumes", "volume", size=1, volume_type="nowhere")
    every, one = [answer.json()["messages"] for answer in await pair.both(
        "GET", "/messages?limit=1", below="3.4", at="3.5")]
    assert (len(every), len(one)) == (2, 1)
    assert (await pair.both("GET", "/volumes/summary", below="3.11", at="3.12"))[0].status_code == 404
    assert await pair.new("/volumes/summary", below="3.35", at="3.36") == {"metadata"}
    for query, below, at in (("name=node@one%23one", "3.27", "3.28"), ("volume_type=on-two", "3.34", "3.35")):
        every, sifted = [answer.json()["pools"] for answer in await pair.both(
            "GET", f"/scheduler-stats/get_pools?{query}", below=below, at=at)]
        assert (len(every), len(sifted)) == (2, 1)
    every, sifted = [[each["name"] for each in answer.json()["volume_types"]] for answer in await pair.both(
        "GET", "/types?extra_specs={'volume_backend_name':'two'}", below="3.51", at="3.52")]
    assert (len(every), sifted) == (3, ["on-two"])
    await world.volume(1, token="member@p2")
    own, others = [answer.json()["limits"]["absolute"]["totalVolumesUsed"] for answer in await pair.both(
        "GET", "/limits?project_id=p2", below="3.38", at="3.39")]
    assert (own, others) == (2, 1)


@covers(versions.IMAGE_FILTER)
async def test_volumes_are_found_by_their_image(world, pair):
    image = "22222222-0000-4000-8000-000000000001"
    world.image.contents[image] = b"image"
    volume, _ = await world.volume(1, token=ADMIN, imageRef=image), await world.volume(1, token=ADMIN)
    path = "/volumes?glance_metadata={'os_distro':'debian'}"
    every, one = [[each["id"] for each in answer.json()["volumes"]] for answer in await pair.both(
        "GET", path, below="3.3", at="3.4")]
    assert len(every) == 2 and one == [volume]
    action = f"/volumes/{volume}/action"
    await world.ok("POST", action, {"os-set_image_metadata": {"metadata": {"os_distro": "other"}}}, token=ADMIN)
    assert (await world.ok("GET", path, token=ADMIN))["volumes"] == []
    await world.ok("POST", action, {"os-unset_image_metadata": {"key": "os_distro"}}, token=ADMIN)
    await world.ok("DELETE", f"/volumes/{volume}", token=ADMIN)
    await world.sagas.drain()
    async with world.db.read() as reader:
        assert (await reader.execute(sa.select(image_properties))).all() == []


@covers(versions.ETAGS)
async def test_a_lost_update_of_metadata_is_noticed(world):
    path = f"/v3/p1/volumes/{await world.volume(1, token=ADMIN)}/metadata"

    async def asked(method, version, mark=None, body=None):
        headers = {"x-auth-token": ADMIN, "openstack-api-version": f"volume {version}"} | (
            {"if-match": mark} if mark else {})
        return await world.http.request(method, path, headers=headers, json=body)
    assert "etag" not in (await asked("GET", "3.14")).headers
    first = (await asked("GET", "3.15")).headers["etag"]
    assert first == (await asked("GET", "3.15")).headers["etag"]
    body = {"metadata": {"a": "b"}}
    assert (await asked("PUT", "3.15", f'"other", {first}', body)).status_code == 200
    second = (await asked("GET", "3.15")).headers["etag"]
    assert first != second
    for method in ("PUT", "POST"):
        assert (await asked(method, "3.15", first, body)).status_code == 412
        for version, mark in (("3.14", first), ("3.15", "*"), ("3.15", None), ("3.15", second.strip('"'))):
            assert (await asked(method, version, mark, body)).status_code == 200


@covers(versions.LOG_LEVELS)
async def test_log_levels(world, pair):
    name = "pileus.volume.test_of_log_levels"
    logging.getLogger(name).setLevel(logging.INFO)
    asked = {"prefix": name}
    told = await pair.appears("PUT", "/os-services/get_log", asked, below="3.31", at="3.32")
    assert {(each["binary"], each["host"]) for each in told["log_levels"]} > {
        ("cinder-volume", "node@one"), ("cinder-backup", "node"), ("cinder-scheduler", "node")}
    assert all(each["levels"] == {name: "INFO"} for each in told["log_levels"])
    wish = asked | {"binary": "cinder-volume", "server": "node@two", "level": "DEBUG"}
    await pair.appears("PUT", "/os-services/set_log", wish, below="3.31", at="3.32")
    assert logging.getLogger(name).level == logging.DEBUG
    one = await world.ok("PUT", "/os-services/get_log", asked | {"binary": "cinder-volume"}, token=ADMIN)
    assert [each["host"] for each in one["log_levels"]] == ["node@one", "node@two"]
    await world.ok("PUT", "/os-services/set_log", asked | {"level": "error", "binary": "*"}, token=ADMIN)
    assert logging.getLogger(name).level == logging.ERROR
    others = logging.getLogger("sqlalchemy.engine")
    before = others.level
    await world.ok("PUT", "/os-services/set_log", {"prefix": "sqlalchemy", "level": "debug"}, token=ADMIN)
    assert others.level == before
    for wrong in ({"binary": "nova-api"}, {"level": "LOUD"}, {"level": None}):
        assert await world.refused("PUT", "/os-services/set_log", wish | wrong, token=ADMIN) == 400
    assert await world.refused("PUT", "/os-services/get_log", asked) == 403


@covers(versions.SNAPSHOT_METADATA_FILTER, versions.SNAPSHOT_NAME_SORT, versions.BACKUP_NAME_SORT,
        versions.LIKE_FILTERS, versions.COUNTS, versions.TIME_COMPARISONS, versions.TRANSFER_PAGES,
        versions.TRANSFER_SNAPSHOTS, versions.TRANSFER_HISTORY)
async def test_lists(world, pair):
    first, second = [await world.volume(1, token=ADMIN, name=name) for name in ("one", "two")]
    await made(world, "snapshots", "snapshot", volume_id=first, metadata={"k": "v"})
    await made(world, "snapshots", "snapshot", volume_id=first)
    await made(world, "backups", "backup", volume_id=first)
    for path, kind, below, at in (
            ("/snapshots?metadata={'k':'v'}", "snapshots", "3.21", "3.22"),
            ("/volumes?name~=tw", "volumes", "3.33", "3.34"),
            ("/volumes?created_at=lt:2001-01-01T00:00:00", "volumes", "3.59", "3.60")):
        every, sifted = [answer.json()[kind] for answer in await pair.both("GET", path, below=below, at=at)]
        assert len(every) == 2 and len(sifted) < 2, path
    for path, below, at in (("/snapshots?sort=name", "3.29", "3.30"), ("/backups?sort=name", "3.36", "3.37")):
        refused, taken = await pair.both("GET", path, below=below, at=at)
        assert (refused.status_code, taken.status_code) == (400, 200)
    older, newer = await pair.both("GET", "/snapshots?sort_key=display_name", below="3.29", at="3.30")
    assert (older.status_code, newer.status_code) == (200, 200)
    counts = [answer.json().get("count") for answer in await pair.both(
        "GET", "/volumes?with_count=true&limit=1", below="3.44", at="3.45")]
    assert counts == [None, 2]
    await pair.appears("GET", "/volume-transfers", below="3.54", at="3.55")
    for volume in (first, second):
        transfer = await made(world, "volume-transfers", "transfer", volume_id=volume)
    path = f"/os-volume-transfer/{transfer}"
    assert await pair.new(path, below="3.54", at="3.55") == {"no_snapshots"}
    assert await pair.new(path, below="3.56", at="3.57") == {"source_project_id", "destination_project_id", "accepted"}
    every, one = [answer.json()["transfers"] for answer in await pair.both(
        "GET", "/os-volume-transfer?limit=1", below="3.58", at="3.59")]
    assert (len(every), len(one)) == (2, 1)


@covers(versions.ATTACHMENTS, versions.ATTACHMENT_COMPLETE, versions.ATTACHMENT_MODE, versions.EXTEND_ATTACHED,
        versions.SNAPSHOT_IN_USE, versions.EXTEND_COMPLETION)
async def test_attached_volumes(world, pair):
    volume = await world.volume(1, token=ADMIN)
    read_only = {"attachment": {"volume_uuid": volume, "instance_uuid": SERVER, "mode": "ro"}}
    await pair.appears("GET", "/attachments", below="3.26", at="3.27")
    refused, taken = await pair.both("POST", "/attachments", read_only, below="3.53", at="3.54")
    assert refused.status_code == 400 and taken.json()["attachment"]["attach_mode"] == "ro"
    path = f"/attachments/{taken.json()['attachment']['id']}"
    await world.ok("PUT", path, {"attachment": CONNECTOR}, token="service@services")
    await pair.appears("POST", f"{path}/action", {"os-complete": {}}, below="3.43", at="3.44")
    refused, taken = await pair.both("POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}},
                                     below="3.41", at="3.42")
    assert (refused.status_code, taken.status_code) == (400, 202)
    await world.sagas.drain()
    refused, taken = await pair.both("POST", "/snapshots", {"snapshot": {"volume_id": volume}}, below="3.65", at="3.66")
    assert (refused.status_code, taken.status_code) == (400, 202)
    body = {"os-extend_volume_completion": {}}
    missing, there = await pair.both("POST", f"/volumes/{volume}/action", body, below="3.70", at="3.71")
    assert (missing.status_code, there.status_code) == (400, 409)


@covers(versions.UPLOAD_VISIBILITY, versions.BACKUP_UPDATE, versions.FORCE_DELETE, versions.REVERT,
        versions.FROM_BACKUP, versions.MULTIATTACH, versions.BACKUP_ZONE, versions.STRICT_BODIES, versions.REIMAGE,
        versions.NO_NULL_IMAGE)
async def test_what_may_be_asked_for(world, pair):
    image = "22222222-0000-4000-8000-000000000001"
    world.image.contents[image] = b"image"
    volume = await world.volume(1, token=ADMIN)
    snapshot = await made(world, "snapshots", "snapshot", volume_id=volume)
    backup = await made(world, "backups", "backup", volume_id=volume)
    action = f"/volumes/{volume}/action"
    await pair.appears("PUT", f"/backups/{backup}", {"backup": {"name": "new"}}, below="3.8", at="3.9")
    await pair.appears("POST", action, {"revert": {"snapshot_id": snapshot}}, below="3.39", at="3.40")
    await pair.appears("POST", action, {"os-reimage": {"image_id": image}}, below="3.67", at="3.68")
    for path, body, below, at in (
            ("/backups", {"backup": {"volume_id": volume, "availability_zone": "nova"}}, "3.50", "3.51"),
            ("/snapshots", {"snapshot": {"volume_id": volume, "surprise": 1, "force": True}}, "3.53", "3.52")):
        refused, taken = await pair.both("POST", path, body, below=below, at=at)
        assert {refused.status_code, taken.status_code} == {400, 202} or taken.json()["backup"], path
        await world.sagas.drain()
    many = [answer.json()["volume"]["multiattach"] for answer in await pair.both(
        "POST", "/volumes", {"volume": {"size": 1, "multiattach": True}}, below="3.49", at="3.50")]
    assert many == [True, False]
    await world.sagas.drain()
    contents = []
    for answer in await pair.both("POST", "/volumes", {"volume": {"size": 1, "backup_id": backup}},
                                  below="3.46", at="3.47"):
        await world.sagas.drain()
        contents.append(world.held(answer.json()["volume"]["id"])[0][1].blocks)
    assert contents[0] == {}
    told = []
    for version in ("3.0", "3.1"):
        body = {"os-volume_upload_image": {"image_name": "i"}}
        told.append(set((await world.ok("POST", action, body, token=ADMIN, version=version))["os-volume_upload_image"]))
        await world.sagas.drain()
    assert told[1] - told[0] == {"visibility", "protected"}
    await world.ok("POST", action, {"os-reset_status": {"status": "creating"}}, token=ADMIN)
    await world.ok("DELETE", f"/snapshots/{snapshot}", token=ADMIN)
    await world.sagas.drain()
    for each in (await world.ok("GET", "/snapshots", token=ADMIN))["snapshots"]:
        await world.ok("DELETE", f"/snapshots/{each['id']}", token=ADMIN)
    await world.sagas.drain()
    refused, taken = await pair.both("DELETE", f"/volumes/{volume}?force=true", below="3.22", at="3.23")
    assert (refused.status_code, taken.status_code) == (400, 202)


@covers(versions.NO_PROJECT_IN_URL, versions.SHARED_TARGETS_UNSET)
async def test_what_a_version_only_promises(world, pair):
    """The project could be left out of URLs before, and shared_targets is never null: clients may count on it."""
    for version in ("3.66", "3.67"):
        answer = await world.http.get("/v3/volumes", headers={
            "x-auth-token": ADMIN, "openstack-api-version": f"volume {version}"})
        assert answer.status_code == 200
        nothing = await world.http.get("/v3/volumes/", headers={"x-auth-token": ADMIN})
        assert nothing.status_code == 404
    volume = await world.volume(1, token=ADMIN)
    shared = [answer.json()["volume"]["shared_targets"] for answer in await pair.both(
        "GET", f"/volumes/{volume}", below="3.68", at="3.69")]
    assert shared == [False, False]
