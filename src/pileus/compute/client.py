"""How other services and programs call compute."""

from __future__ import annotations

from typing import Any

from pileus.kit.client import Client


class ComputeClient(Client):
    service = "compute"
    headers = {"openstack-api-version": "compute 2.90"}

    async def external_events(self, events: list[dict[str, str]]) -> None:
        """Tell compute what happened to a server's ports: [{name, server_uuid, tag, status}].

        Servers that are gone are no error: whoever tells of their ports cannot know.
        """
        if events:
            await self.call("POST", "/v2.1/os-server-external-events", {"events": events}, expect=(404,))

    async def servers(self, **filters: Any) -> list[dict[str, Any]]:
        return (await self.call("GET", "/v2.1/servers/detail", query=filters))["servers"]
