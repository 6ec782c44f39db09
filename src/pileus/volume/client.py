"""How compute and other programs speak to the volume service."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from pileus.kit.client import Client, Headers

AT_ONCE, PAGE = 250, 1000      # servers asked about at once, and attachments told at once


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    size: int
    bootable: str
    multiattach: bool
    availability_zone: str | None = None
    volume_image_metadata: dict[str, str] = {}

    @property
    def is_bootable(self) -> bool:
        return self.bootable == "true"


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    volume_id: str
    instance: str | None = None
    attach_mode: str | None = None
    connection_info: dict[str, Any] = {}

    @property
    def connector(self) -> dict[str, Any]:
        """What compute said of the server's side."""
        return self.connection_info.get("connector", {})


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    volume_id: str
    size: int


class VolumeClient(Client):
    service: ClassVar[str] = "volume"
    headers: ClassVar[Headers] = {"openstack-api-version": "volume 3.71"}

    async def get(self, volume_id: str) -> Volume:
        """Raises Refused (404) for a volume that is not there, or not the caller's to see."""
        return msgspec.convert((await self.call("GET", f"/v3/volumes/{volume_id}"))["volume"], Volume)

    async def find(self, volume_id: str) -> Volume | None:
        found = await self.call("GET", f"/v3/volumes/{volume_id}", expect=(404,))
        return msgspec.convert(found["volume"], Volume) if found is not None else None

    async def create(self, body: dict[str, Any]) -> Volume:
        """`body`: size, imageRef, snapshot_id, name … as the API takes them."""
        return msgspec.convert((await self.call("POST", "/v3/volumes", {"volume": body}))["volume"], Volume)

    async def remove(self, volume_id: str) -> None:
        """Gone is gone; one that cannot be deleted now is refused."""
        await self.call("DELETE", f"/v3/volumes/{volume_id}", expect=(404,))

    async def attachments(self, *server_ids: str) -> list[Attachment]:
        """Of servers, in the order they were made; with how to reach the bytes."""
        found: list[Attachment] = []
        for first in range(0, len(server_ids), AT_ONCE):
            query: dict[str, Any] = {"instance_id": server_ids[first:first + AT_ONCE], "all_tenants": "1",
                                     "sort": "created_at:asc", "limit": PAGE}
            while page := (await self.call("GET", "/v3/attachments/detail", query=query))["attachments"]:
                found += [msgspec.convert(each, Attachment) for each in page]
                if len(page) < PAGE:
                    break
                query["marker"] = page[-1]["id"]
        return found

    async def attach(self, volume_id: str, server_id: str) -> Attachment:
        """Reserve the volume for the server. Raises Refused where it may not be attached."""
        found = await self.call("POST", "/v3/attachments", {
            "attachment": {"volume_uuid": volume_id, "instance_uuid": server_id}})
        return msgspec.convert(found["attachment"], Attachment)

    async def connect(self, attachment_id: str, connector: dict[str, Any]) -> Attachment:
        """Have the volume served to the host that the connector names."""
        found = await self.call("PUT", f"/v3/attachments/{attachment_id}", {"attachment": {"connector": connector}})
        return msgspec.convert(found["attachment"], Attachment)

    async def keep(self, attachment_id: str, connector: dict[str, Any]) -> None:
        """The server has the volume, but is on no host: it is served to nobody."""
        await self.call("PUT", f"/v3/attachments/{attachment_id}", {"attachment": {"connector": connector}})

    async def complete(self, attachment_id: str) -> None:
        await self.call("POST", f"/v3/attachments/{attachment_id}/action", {"os-complete": {}})

    async def detach(self, attachment_id: str) -> None:
        """Gone is gone."""
        await self.call("DELETE", f"/v3/attachments/{attachment_id}", expect=(404,))

    async def reimage(self, volume_id: str, image_id: str) -> None:
        """Give a volume that its server is not using the content of an image."""
        await self.call("POST", f"/v3/volumes/{volume_id}/action", {
            "os-reimage": {"image_id": image_id, "reimage_reserved": True}})

    async def ensure_snapshot(self, volume_id: str, name: str, mark: str) -> Snapshot:
        """The one with this mark, made if there is none. Raises Refused where it may not be made."""
        for each in await self.snapshots_for(volume_id, mark):
            return each
        made = await self.call("POST", "/v3/snapshots", {"snapshot": {
            "volume_id": volume_id, "name": name, "metadata": {"made_for": mark}}})
        return msgspec.convert(made["snapshot"], Snapshot)

    async def snapshots_for(self, volume_id: str, mark: str) -> list[Snapshot]:
        found = await self.call("GET", "/v3/snapshots", query={
            "volume_id": volume_id, "all_tenants": "1", "metadata": f"{{'made_for': '{mark}'}}"})
        return [msgspec.convert(each, Snapshot) for each in found["snapshots"]]

    async def remove_snapshot(self, snapshot_id: str) -> None:
        """Gone is gone; one that cannot be deleted now is refused."""
        await self.call("DELETE", f"/v3/snapshots/{snapshot_id}", expect=(404,))
