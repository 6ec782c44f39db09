"""The password a guest left for its owner: shown and cleared; the guest sets it through the metadata service."""

from __future__ import annotations

from pileus.compute.api.servers import SERVER
from pileus.compute.model import passwords
from pileus.compute.model.servers import Seen
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
PATH = "/v2.1/servers/{server_id}/os-server-password"


@routes.get(PATH, target=SERVER, policy=Rule("os_compute_api:os-server-password:show", PROJECT_READER))
async def show_password(ctx: Ctx, seen: Seen) -> dict[str, str]:
    async with ctx.db.read() as reader:
        return {"password": await passwords.find(reader, seen.id)}


@routes.delete(PATH, target=SERVER, policy=Rule("os_compute_api:os-server-password:clear", PROJECT_MEMBER))
async def clear_password(ctx: Ctx, seen: Seen) -> None:
    """Forget it here; in the guest it stays what it is."""
    async with ctx.db.write() as tx:
        await passwords.remove(tx, seen.id)
