"""How compute and other programs speak to the volume service."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from pileus.kit.client import Client, Headers


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

    async def attachments(self, server_id: str) -> list[Attachment]:
        """Of a server, in the order they were made; with how to reach the bytes."""
        found = await self.call("GET", "/v3/attachments/detail", query={
            "instance_id": server_id, "all_tenants": "1", "sort": "created_at:asc"})
        return [msgspec.convert(each, Attachment) for each in found["attachments"]]

    async def attach(self, volume_id: str, server_id: str) -> Attachment:
        """Reserve the volume for the server. Raises Refused where it may not be attached."""
        found = await self.call("POST", "/v3/attachments", {
            "attachment": {"volume_uuid": volume_id, "instance_uuid": server_id}})
        return msgspec.convert(found["attachment"], Attachment)

    async def connect(self, attachment_id: str, connector: dict[str, Any]) -> Attachment:
        """Have the volume served to the host that the connector names."""
        found = await self.call("PUT", f"/v3/attachments/{attachment_id}", {"attachment": {"connector": connector}})
        return msgspec.convert(found["attachment"], Attachment)

    async def complete(self, attachment_id: str) -> None:
        await self.call("POST", f"/v3/attachments/{attachment_id}/action", {"os-complete": {}})

    async def detach(self, attachment_id: str) -> None:
        """Gone is gone."""
        await self.call("DELETE", f"/v3/attachments/{attachment_id}", expect=(404,))
