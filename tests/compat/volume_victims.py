"""Things of the volume service to be ill-treated, and bodies it takes, so that what is spoiled in them is all that is
wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.compat.cloud import until

VOLUME = "/volume/v3"
NEWEST = {"openstack-api-version": "volume 3.71"}
# Actions that leave a thing gone or busy, so that no other could be done to it: each has one of its own.
RUINOUS = {"volume": ("os-extend", "os-update_readonly_flag", "os-volume_upload_image", "os-force_delete",
                      "os-unmanage", "os-reset_status"),
           "snapshot": ("os-force_delete", "os-unmanage", "os-reset_status"),
           "backup": ("os-force_delete", "os-reset_status")}


class Maker:
    def __init__(self, cloud):
        self.cloud = cloud

    async def made(self, collection: str, kind: str, **body) -> str:
        return str((await self.cloud.ok("POST", f"{VOLUME}/{collection}", {kind: body}, headers=NEWEST))["id"])

    async def until(self, status: str, kind: str, *ids: str) -> None:
        async def so():
            found = [await self.cloud.ok("GET", f"{VOLUME}/{kind}s/{each}", headers=NEWEST) for each in ids]
            return all(each["status"] == status for each in found)
        await until(so)


async def volume_victims(cloud, mark: str, project_id: str) -> dict[str, str]:
    """One of each, made as the newest version has it; `mark` makes their names unlike others."""
    maker = Maker(cloud)
    room = {"quota_class_set": {"volumes": 500, "gigabytes": 5000, "snapshots": 500, "backups": 500}}
    await cloud.ok("PUT", f"{VOLUME}/os-quota-class-sets/default", room)
    ids = {"type": await maker.made("types", "volume_type", name=f"t-{mark}", extra_specs={"k": "v"},
                                    **{"os-volume-type-access:is_public": False}),
           "qos": await maker.made("qos-specs", "qos_specs", name=f"q-{mark}", k="v"),
           "group_type": await maker.made("group_types", "group_type", name=f"g-{mark}", group_specs={"k": "v"})}
    encryption = await cloud.ok("POST", f"{VOLUME}/types/{ids['type']}/encryption", {
        "encryption": {"provider": "luks", "cipher": "aes-xts-plain64", "key_size": 256}})
    nowhere = await maker.made("types", "volume_type", name=f"n-{mark}", extra_specs={"volume_backend_name": "nowhere"})
    failed = await maker.made("volumes", "volume", size=1, volume_type=nowhere)
    services = await cloud.ok("GET", f"{VOLUME}/os-services?binary=cinder-volume")
    found = await volumes_with_what_they_have(maker, ids)
    await maker.until("error", "volume", failed)
    ids["message"] = (await cloud.ok("GET", f"{VOLUME}/messages", headers=NEWEST))[0]["id"]
    return found | {f"{name}_id": value for name, value in ids.items()} | {
        "encryption_id": encryption["encryption_id"], "/v3/types/{type_id}/encryption/{key}": "cipher", "key": "k",
        "host": services[0]["host"], "of_project": project_id, "/v3/os-quota-class-sets/{name}": "default",
        "wanted": ids["volume"], "vol_type_id": ids["type"]}


async def volumes_with_what_they_have(maker: Maker, ids: dict[str, str]) -> dict[str, str]:
    """Adds to `ids` what is ill-treated in every way; what is so in one way only, by operation or path."""
    made, about = maker.made, {"name": "v", "metadata": {"k": "v"}}
    kind = (await maker.cloud.ok("GET", f"{VOLUME}/types/default"))["id"]
    ids["group"] = await made("groups", "group", group_type=ids["group_type"], volume_types=[kind])
    ids["volume"], held, offered, again, *others = [
        await made("volumes", "volume", size=1, **about) for _ in range(4 + len(RUINOUS["volume"]))]
    await maker.until("available", "group", ids["group"])
    grouped = await made("volumes", "volume", size=1, group_id=ids["group"])
    await maker.until("available", "volume", ids["volume"], held, offered, again, grouped, *others)
    ids["snapshot"], *snapshots = [await made("snapshots", "snapshot", volume_id=held, **about)
                                   for _ in range(1 + len(RUINOUS["snapshot"]))]
    await maker.until("available", "snapshot", ids["snapshot"], *snapshots)
    ids["backup"], restored, *backups = [await made("backups", "backup", volume_id=held, snapshot_id=ids["snapshot"])
                                         for _ in range(2 + len(RUINOUS["backup"]))]
    await maker.until("available", "backup", ids["backup"], restored, *backups)
    ids["group_snapshot"] = await made("group_snapshots", "group_snapshot", group_id=ids["group"])
    consistent = await made("consistencygroups", "consistencygroup", volume_types=kind)
    await maker.until("available", "group", consistent)
    await maker.until("available", "volume", await made("volumes", "volume", size=1, consistencygroup_id=consistent))
    together = await made("cgsnapshots", "cgsnapshot", consistencygroup_id=consistent)
    ids["attachment"] = await made("attachments", "attachment", volume_uuid=held)
    ids["transfer"] = await made("volume-transfers", "transfer", volume_id=offered)
    newer = await made("volume-transfers", "transfer", volume_id=again)
    lone = {"volume": others, "snapshot": snapshots, "backup": backups}
    return {"/v3/volume-transfers/{transfer_id}": newer, "/v3/consistencygroups/{group_id}": consistent,
            "/v3/cgsnapshots/{group_snapshot_id}": together,
            "POST /v3/backups/{backup_id}/restore": restored} | {
        f"POST /v3/{kind}s/{{{kind}_id}}/action {action}": each
        for kind, actions in RUINOUS.items() for action, each in zip(actions, lone[kind], strict=True)}


def bodies(known: Mapping[str, str]) -> dict[str, Any]:
    """By operation."""
    volume, host = known["volume_id"], known["host"]
    action, specs = "POST /v3/volumes/{volume_id}/action", {"group_specs": {"k": "v"}}
    service = {"host": host, "binary": "cinder-volume"}
    reference = {"ref": {"source-name": "volume-x"}, "host": host}
    actions: dict[str, Any] = {
        "os-extend": {"new_size": 2}, "os-retype": {"new_type": known["type_id"]},
        "os-set_bootable": {"bootable": True}, "os-update_readonly_flag": {"readonly": False},
        "os-reset_status": {"status": "available"}, "os-set_image_metadata": {"metadata": {"k": "v"}},
        "os-unset_image_metadata": {"key": "k"},
        "revert": {"snapshot_id": known["snapshot_id"]}, "os-attach": {"host_name": "h", "mountpoint": "/dev/vdb"},
        "os-migrate_volume": {"host": host}, "os-initialize_connection": {"connector": {"host": "h"}},
        "os-terminate_connection": {"connector": {"host": "h"}}, "os-volume_upload_image": {"image_name": "i"}}
    return {f"{action} {name}": {name: body} for name, body in actions.items()} | {
        "POST /v3/volumes": {"volume": {"size": 1}},
        "PUT /v3/volumes/{volume_id}": {"volume": {"name": "new"}},
        **{f"{method} /v3/{kind}s/{{{kind}_id}}/metadata": {"metadata": {"k": "v"}}
           for kind in ("volume", "snapshot") for method in ("POST", "PUT")},
        **{f"PUT /v3/{kind}s/{{{kind}_id}}/metadata/{{key}}": {"meta": {"k": "v"}} for kind in ("volume", "snapshot")},
        "POST /v3/snapshots": {"snapshot": {"volume_id": volume, "force": True}},
        "PUT /v3/snapshots/{snapshot_id}": {"snapshot": {"name": "new"}},
        "POST /v3/snapshots/{snapshot_id}/action os-reset_status": {"os-reset_status": {"status": "available"}},
        "POST /v3/types": {"volume_type": {"name": f"new-{known['mark']}"}},
        "PUT /v3/types/{type_id}": {"volume_type": {"description": "d"}},
        "POST /v3/types/{type_id}/extra_specs": {"extra_specs": {"k": "v"}},
        "PUT /v3/types/{type_id}/extra_specs/{key}": {"k": "v"},
        "PUT /v3/types/{type_id}/encryption/{encryption_id}": {"encryption": {"key_size": 512}},
        "PUT /v3/default-types/{of_project}": {"default_type": {"volume_type": known["type_id"]}},
        "POST /v3/qos-specs": {"qos_specs": {"name": f"new-{known['mark']}"}},
        "PUT /v3/qos-specs/{qos_id}": {"qos_specs": {"k": "v"}},
        "PUT /v3/qos-specs/{qos_id}/delete_keys": {"keys": ["k"]},
        "POST /v3/attachments": {"attachment": {"volume_uuid": volume}},
        "PUT /v3/attachments/{attachment_id}": {"attachment": {"connector": {"host": "h"}}},
        "POST /v3/backups": {"backup": {"volume_id": volume, "force": True}},
        "PUT /v3/backups/{backup_id}": {"backup": {"name": "new"}},
        "POST /v3/backups/{backup_id}/action os-reset_status": {"os-reset_status": {"status": "available"}},
        "POST /v3/os-volume-transfer": {"transfer": {"volume_id": volume}},
        "POST /v3/volume-transfers": {"transfer": {"volume_id": volume}},
        "PUT /v3/os-quota-sets/{of_project}": {"quota_set": {"volumes": 20}},
        "PUT /v3/os-quota-class-sets/{name}": {"quota_class_set": {"volumes": 200}},
        "PUT /v3/os-services/disable-log-reason": service | {"disabled_reason": "r"},
        **{f"PUT /v3/os-services/{what}": service for what in ("disable", "enable", "freeze", "thaw")},
        "POST /v3/group_types": {"group_type": {"name": f"new-{known['mark']}"}},
        "PUT /v3/group_types/{group_type_id}": {"group_type": {"description": "d"}},
        "POST /v3/group_types/{group_type_id}/group_specs": specs,
        "PUT /v3/group_types/{group_type_id}/group_specs/{key}": {"k": "v"},
        "POST /v3/groups": {"group": {"group_type": known["group_type_id"], "volume_types": [known["type_id"]]}},
        "PUT /v3/groups/{group_id}": {"group": {"name": "new"}},
        "POST /v3/groups/action create-from-src": {"create-from-src": {"source_group_id": known["group_id"]}},
        "POST /v3/groups/{group_id}/action reset_status": {"reset_status": {"status": "available"}},
        "POST /v3/group_snapshots": {"group_snapshot": {"group_id": known["group_id"]}},
        "POST /v3/group_snapshots/{group_snapshot_id}/action reset_status": {"reset_status": {"status": "available"}},
        "POST /v3/os-volume-manage": {"volume": reference}, "POST /v3/manageable_volumes": {"volume": reference},
        "POST /v3/os-snapshot-manage": {"snapshot": {"volume_id": volume, "ref": {"source-name": "x"}}},
        "POST /v3/manageable_snapshots": {"snapshot": {"volume_id": volume, "ref": {"source-name": "x"}}}}
