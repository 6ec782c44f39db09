"""Resize, cold migration, and the list of such moves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import times, versions
from pileus.compute.api.begin import begin, must_allow
from pileus.compute.api.room import kept_limits, room_for, taken_more
from pileus.compute.api.server_actions import PATH
from pileus.compute.api.server_create import flavor_of, must_make_a_machine
from pileus.compute.api.servers import SERVER
from pileus.compute.api.values import limited
from pileus.compute.faults import BadHost, SameFlavor
from pileus.compute.links import Link
from pileus.compute.model import hosts, migrations, servers
from pileus.compute.model.migrations import MIGRATION, RESIZE, Migration
from pileus.compute.model.servers import Seen
from pileus.compute.sagas.resize_server import ConfirmResize, ResizeServer, RevertResize, as_flavor
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

routes = Routes()
TO_HOST = Rule("os_compute_api:os-migrate-server:migrate:host", ADMIN)
MIGRATE = Rule("os_compute_api:os-migrate-server:migrate", ADMIN)
RULES = (TO_HOST,)


class Resize(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    flavor_id: str | int = msgspec.field(name="flavorRef")
    disk_config: Literal["AUTO", "MANUAL"] | None = msgspec.field(name="OS-DCF:diskConfig", default=None)


class Migrate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None


async def _begin(ctx: Ctx, seen: Seen, action: str, saga: ResizeServer, disk_config: str | None = None) -> None:
    now, kind = ctx.clock(), RESIZE if action == "resize" else MIGRATION
    kept = await kept_limits(ctx, seen.project_id)

    async def also(tx: Connection) -> None:
        await room_for(tx, ctx, seen.server, kept, taken_more(as_flavor(seen.server, saga.flavor), seen.server))
        if disk_config is not None:
            await servers.change(tx, await servers.get(tx, seen.id), now, disk_config=disk_config)
        await migrations.add(tx, Migration(
            id=saga.migration_id, server_id=seen.id, project_id=ctx.caller.project_id or seen.project_id,
            user_id=ctx.caller.user_id, type=kind, status="pre-migrating", source=saga.source,
            old_flavor_id=saga.old_flavor.id, new_flavor_id=saga.flavor.id, created_at=now, updated_at=now))

    await begin(ctx, seen, action, saga, also=also)


@routes.action(PATH, "resize", target=SERVER, policy=Rule("os_compute_api:servers:resize", PROJECT_MEMBER))
async def resize_server(ctx: Ctx, seen: Seen, body: Resize) -> None:
    must_allow(seen, "resize")
    flavor = await flavor_of(ctx, str(body.flavor_id))
    if flavor.id == seen.server.flavor_id:
        raise SameFlavor()
    before = seen.server.flavor.disk_gb if seen.server.image else 0
    if 0 < flavor.disk_gb < before or not flavor.disk_gb and before:
        raise BadRequest(reason="Resize to a smaller disk is not supported: what is on it would not fit.")
    must_make_a_machine(flavor, seen.server.image.properties if seen.server.image else {})
    await _begin(ctx, seen, "resize", ResizeServer(
        server_id=seen.id, migration_id=new_uuid(), flavor=flavor, old_flavor=seen.server.flavor,
        source=seen.server.host or "", state=seen.server.state), body.disk_config)


@routes.action(PATH, "migrate", target=SERVER, policy=MIGRATE, window=until(versions.MIGRATE_TO_HOST))
async def migrate_anywhere(ctx: Ctx, seen: Seen, body: Any) -> None:
    """Whatever is said with it was never read, and clients say what they like."""
    await _migrate(ctx, seen, None)


@routes.action(PATH, "migrate", target=SERVER, policy=MIGRATE, window=since(versions.MIGRATE_TO_HOST))
async def migrate_server(ctx: Ctx, seen: Seen, body: Migrate | None) -> None:
    host = body.host if body else None
    if host is not None:
        ctx.must_allow(TO_HOST.name)
    await _migrate(ctx, seen, host)


async def _migrate(ctx: Ctx, seen: Seen, host: str | None) -> None:
    must_allow(seen, "migrate")
    async with ctx.db.read() as reader:
        known = [each.name for each in await hosts.every(reader)]
    if host is not None and host not in known:
        raise BadHost(host=host)
    if host is not None and host == seen.server.host:
        raise BadRequest(reason=f"The target host can't be the same as current host {host}.")
    if len(known) < 2:
        raise BadRequest(reason="No valid host was found. There is no other host to migrate to.")
    await _begin(ctx, seen, "migrate", ResizeServer(
        server_id=seen.id, migration_id=new_uuid(), flavor=seen.server.flavor, old_flavor=seen.server.flavor,
        source=seen.server.host or "", state=seen.server.state, elsewhere=True, asked_host=host))


@routes.action(PATH, "confirmResize", status=204, target=SERVER,
               policy=Rule("os_compute_api:servers:confirm_resize", PROJECT_MEMBER))
async def confirm_resize(ctx: Ctx, seen: Seen, body: Any) -> None:
    must_allow(seen, "confirmResize")
    assert seen.server.moved is not None
    await begin(ctx, seen, "confirmResize", ConfirmResize(server_id=seen.id, moved=seen.server.moved))


@routes.action(PATH, "revertResize", target=SERVER,
               policy=Rule("os_compute_api:servers:revert_resize", PROJECT_MEMBER))
async def revert_resize(ctx: Ctx, seen: Seen, body: Any) -> None:
    must_allow(seen, "revertResize")
    assert seen.server.moved is not None
    await begin(ctx, seen, "revertResize", RevertResize(
        server_id=seen.id, moved=seen.server.moved, host=seen.server.host or ""))


# -- the list ---------------------------------------------------------------------------------


class MigrationView(msgspec.Struct, kw_only=True):
    id: int
    status: str
    instance_uuid: str
    source_compute: str
    source_node: str
    dest_compute: str | None
    dest_node: str | None
    dest_host: str | None
    old_flavor: int = msgspec.field(name="old_instance_type_id")
    new_flavor: int = msgspec.field(name="new_instance_type_id")
    created_at: str
    updated_at: str | None
    type: Annotated[str, since(versions.MIGRATION_LINKS)] = msgspec.field(name="migration_type")
    links: Annotated[list[Link] | UnsetType, since(versions.MIGRATION_LINKS)] = UNSET
    uuid: Annotated[str, since(versions.MIGRATION_PAGES)]
    user_id: Annotated[str, since(versions.MIGRATION_OWNER)]
    project_id: Annotated[str, since(versions.MIGRATION_OWNER)]


def flavor_number(flavor_id: str) -> int:
    """Where clients expect the number of a row: the id itself, where it is one."""
    if flavor_id.isascii() and flavor_id.isdigit() and len(flavor_id) < 10:
        return int(flavor_id)
    return int.from_bytes(flavor_id.encode()[-4:], "big") & 0x7FFFFFFF


def _view(row: Migration) -> MigrationView:
    return MigrationView(
        id=row.number, status=row.status, instance_uuid=row.server_id, source_compute=row.source,
        source_node=row.source, dest_compute=row.dest, dest_node=row.dest, dest_host=row.dest,
        old_flavor=flavor_number(row.old_flavor_id), new_flavor=flavor_number(row.new_flavor_id),
        created_at=times.iso_micro(row.created_at) or "", updated_at=times.iso_micro(row.updated_at), type=row.type,
        uuid=row.id, user_id=row.user_id, project_id=row.project_id)


class MigrationQuery(msgspec.Struct, kw_only=True):
    host: str | None = None
    status: str | None = None
    instance_uuid: str | None = None
    source_compute: str | None = None
    migration_type: str | None = None
    hidden: str | None = None
    limit: Annotated[str | None, since(versions.MIGRATION_PAGES)] = None
    marker: Annotated[str | None, since(versions.MIGRATION_PAGES)] = None
    changes_since: Annotated[str | None, since(versions.MIGRATION_PAGES)] = msgspec.field(
        name="changes-since", default=None)
    changes_before: Annotated[str | None, since(versions.CHANGES_BEFORE)] = msgspec.field(
        name="changes-before", default=None)
    user_id: Annotated[str | None, since(versions.MIGRATION_OWNER)] = None
    project_id: Annotated[str | None, since(versions.MIGRATION_OWNER)] = None


def _wanted(query: MigrationQuery) -> migrations.Wanted:
    named = {"server_id": query.instance_uuid, "status": query.status, "source": query.source_compute,
             "type": query.migration_type, "user_id": query.user_id, "project_id": query.project_id}
    limit = limited(query.limit)
    since_at = times.parse(query.changes_since) if query.changes_since else None
    before_at = times.parse(query.changes_before) if query.changes_before else None
    if since_at is not None and before_at is not None and since_at > before_at:
        raise BadRequest(reason="The value of changes-since must be less than or equal to changes-before.")
    return migrations.Wanted(exact={key: value for key, value in named.items() if value is not None},
                             host=query.host, changes_since=since_at, changes_before=before_at, limit=limit,
                             marker=query.marker)


@routes.get("/v2.1/os-migrations", envelope="migrations", policy=Rule("os_compute_api:os-migrations:index", ADMIN))
async def list_migrations(ctx: Ctx, query: MigrationQuery) -> Page[MigrationView]:
    wanted = _wanted(query)
    async with ctx.db.read() as reader:
        found = await migrations.page(reader, wanted)
    if found is None:
        raise BadRequest(reason=f"Marker {query.marker} could not be found.")
    rows, more = found
    paged = ctx.version >= versions.MIGRATION_PAGES and more and bool(rows)
    return Page([_view(row) for row in rows], next_marker=rows[-1].id if paged else None)


@routes.get("/v2.1/servers/{server_id}/migrations", envelope="migrations", target=SERVER,
            window=since(versions.MIGRATION_LINKS),
            policy=Rule("os_compute_api:servers:migrations:index", ADMIN))
async def list_live_migrations(ctx: Ctx, seen: Seen) -> Page[MigrationView]:
    """Of live migrations only, and there are none."""
    return Page([])

