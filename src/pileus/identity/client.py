"""How other services speak to identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pileus.kit.client import Client, Refused, Unreachable
from pileus.kit.faults import Unavailable

UnifiedLimits = Callable[[str | None], Awaitable[dict[str, int]]]       # of a project, or those of all


class IdentityClient(Client):
    service = "identity"

    async def validate(self, token: str, *, allow_expired: bool = False) -> dict[str, Any] | None:
        """What a token says (the object under `token`, without its catalog), or None if it is not valid."""
        headers = await self._all_headers(b"") | {"x-subject-token": token, "openstack-identity-access-rules": "1"}
        path = "/identity/v3/auth/tokens?nocatalog" + ("&allow_expired=1" if allow_expired else "")
        reply = await self.transport.request("GET", path, headers, b"")
        if reply.status == 404:
            return None
        if reply.status >= 400:
            raise Refused(self.service, reply)
        return reply.json()["token"]

    async def changes(self, after: int) -> tuple[list[str], int]:
        """Subjects changed since position `after` (-1: none, only tell the position), and the position now."""
        found = await self.call("GET", "/identity/v3/pileus/changes", query={"after": after})
        return found["subjects"], found["position"]

    async def catalog(self) -> list[dict[str, Any]]:
        """The services there are, as the client's own token has them."""
        return (await self.call("GET", "/identity/v3/auth/catalog"))["catalog"]

    async def project(self, project_id: str) -> dict[str, Any] | None:
        found = await self.call("GET", f"/identity/v3/projects/{project_id}", expect=(404,))
        return found["project"] if found else None

    async def limits(self, service_id: str, region_id: str, project_id: str | None) -> dict[str, int]:
        """What a project may have of a service's resources, by unified limits; -1 is no limit. Those that nobody
        registered are not in it. Limits of the region beat those of all regions. Without a project: what all have."""
        query = {"service_id": service_id}
        registered = (await self.call("GET", "/identity/v3/registered_limits", query=query))["registered_limits"]
        if not registered:
            return {}
        own = [] if project_id is None else (
            await self.call("GET", "/identity/v3/limits", query=query | {"project_id": project_id}))["limits"]
        found: dict[str, int] = {}
        for region in (None, region_id):
            for limits, amount in ((registered, "default_limit"), (own, "resource_limit")):
                found |= {each["resource_name"]: each[amount] for each in limits if each["region_id"] == region}
        return found

    async def projects(self) -> list[dict[str, Any]]:
        return (await self.call("GET", "/identity/v3/projects"))["projects"]


async def ask_limits(unified: UnifiedLimits | None, project_id: str | None) -> dict[str, int]:
    """What identity keeps, where a service was given a way to ask. Raises Unavailable: nobody may pass a limit because
    it cannot be asked for."""
    if unified is None:
        return {}
    try:
        return await unified(project_id)
    except (Refused, Unreachable) as error:
        raise Unavailable(reason=f"The limits of project {project_id} cannot be asked for.") from error
