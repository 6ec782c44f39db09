"""How other services and programs call compute."""

from __future__ import annotations

from typing import Any

from pileus.kit.client import Client


class EventsMissed(Exception):
    """Compute cannot see to it now; it will when it is told once more."""


class ComputeClient(Client):
    service = "compute"
    headers = {"openstack-api-version": "compute 2.90"}

    async def external_events(self, events: list[dict[str, str]]) -> None:
        """Tell compute what happened to a server's ports: [{name, server_uuid, tag, status}].

        Servers that are gone are no error: whoever tells of their ports cannot know. Raises EventsMissed for what has
        to be told again.
        """
        if events:
            told = await self.call("POST", "/v2.1/os-server-external-events", {"events": events}, expect=(404,))
            if missed := [each for each in (told or {}).get("events", ()) if each["code"] == 409]:
                raise EventsMissed(f"something else is being done to server {missed[0]['server_uuid']}")

    async def servers(self, **filters: Any) -> list[dict[str, Any]]:
        return (await self.call("GET", "/v2.1/servers/detail", query=filters))["servers"]
