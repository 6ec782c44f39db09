"""Transfers of volumes to other projects, under both of their paths."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Annotated

import msgspec

from pileus.kit import db
from pileus.kit.ids import is_uuid, new_uuid
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Name, Query, counted, listed, truth, unsifted
from pileus.volume.api.volume_create import mine
from pileus.volume.faults import Invalid, TransferNotFound
from pileus.volume.model import listing, quotas, snapshots, transfers, types, volumes
from pileus.volume.model.tables import transfers as table
from pileus.volume.model.transfers import Transfer
from pileus.volume.model.volumes import Status
from pileus.volume.paths import Link, links_to
from pileus.volume.times import iso

routes = Routes()


def _visible(row: Transfer, caller) -> bool:
    return caller.project_id not in (row.project_id, row.destination_project_id)


TRANSFER = Target(transfers.get, missing=TransferNotFound, hidden=_visible)


class TransferBrief(msgspec.Struct, kw_only=True):
    id: str
    volume_id: str
    name: str | None
    links: list[Link]


class TransferView(TransferBrief, kw_only=True):
    created_at: str
    no_snapshots: Annotated[bool, since(versions.TRANSFER_SNAPSHOTS)] = False
    source_project_id: Annotated[str | None, since(versions.TRANSFER_HISTORY)] = None
    destination_project_id: Annotated[str | None, since(versions.TRANSFER_HISTORY)] = None
    accepted: Annotated[bool, since(versions.TRANSFER_HISTORY)] = False


class NewTransferView(TransferView, kw_only=True):
    auth_key: str


def _links(ctx: Ctx, row: Transfer) -> list[Link]:
    newer = "/volume-transfers" in ctx.request.url.path
    return links_to(ctx, f"{'volume-transfers' if newer else 'os-volume-transfer'}/{row.id}")


def brief(ctx: Ctx, row: Transfer) -> TransferBrief:
    return TransferBrief(id=row.id, volume_id=row.volume_id, name=row.name, links=_links(ctx, row))


def _facts(ctx: Ctx, row: Transfer) -> dict:
    return {"id": row.id, "volume_id": row.volume_id, "name": row.name, "links": _links(ctx, row),
            "created_at": iso(row.created_at), "no_snapshots": row.no_snapshots, "source_project_id": row.project_id,
            "destination_project_id": row.destination_project_id, "accepted": row.accepted}


class TransferCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    volume_id: str
    name: Name | None = None
    no_snapshots: Annotated[bool | str, since(versions.TRANSFER_SNAPSHOTS)] = False


class Acceptance(msgspec.Struct, kw_only=True):
    auth_key: str


class AcceptRequest(msgspec.Struct, kw_only=True):
    accept: Acceptance


def _hash(salt: str, key: str) -> str:
    return hashlib.sha256(f"{salt}{key}".encode()).hexdigest()


async def _page(ctx: Ctx, query: Query) -> listing.Found:
    asked = query if ctx.version >= versions.TRANSFER_PAGES else unsifted(query)
    wanted = listed(ctx, asked, filters={"name", "volume_id", "id"}, sortable={"id", "name", "created_at", "volume_id"})
    async with ctx.db.read() as reader:
        return await listing.page(reader, table, wanted, Transfer)


def _declare(base: str) -> None:
    """The same five requests; the newer path came with 3.55."""
    window = since(versions.TRANSFER_SNAPSHOTS) if base.endswith("volume-transfers") else since(versions.LEDGER.oldest)

    @routes.get(base, envelope="transfers", window=window, policy=Rule("volume:get_all_transfers", PROJECT_READER))
    async def list_transfers(ctx: Ctx, query: Query) -> Page[TransferBrief]:
        found = await _page(ctx, query)
        return Page([brief(ctx, row) for row in found.rows], found.next_marker, counted(found.count))

    @routes.get(f"{base}/detail", envelope="transfers", window=window,
                policy=Rule("volume:get_all_transfers", PROJECT_READER))
    async def list_transfers_detail(ctx: Ctx, query: Query) -> Page[TransferView]:
        found = await _page(ctx, query)
        return Page([TransferView(**_facts(ctx, row)) for row in found.rows], found.next_marker, counted(found.count))

    @routes.get(f"{base}/{{transfer_id}}", envelope="transfer", target=TRANSFER, window=window,
                policy=Rule("volume:get_transfer", PROJECT_READER))
    async def show_transfer(ctx: Ctx, row: Transfer) -> TransferView:
        return TransferView(**_facts(ctx, row))

    @routes.post(base, envelope="transfer", status=202, window=window,
                 policy=Rule("volume:create_transfer", PROJECT_MEMBER))
    async def create_transfer(ctx: Ctx, body: TransferCreate) -> NewTransferView:
        return await _create(ctx, body)

    @routes.delete(f"{base}/{{transfer_id}}", target=TRANSFER, status=202, window=window,
                   policy=Rule("volume:delete_transfer", PROJECT_MEMBER))
    async def delete_transfer(ctx: Ctx, row: Transfer) -> None:
        async with ctx.db.write() as tx:
            await tx.execute(table.delete().where(table.c.id == row.id))
            volume = await volumes.get(tx, row.volume_id)
            if volume.status == Status.AWAITING_TRANSFER:
                await volumes.change(tx, volume, ctx.clock(), status=Status.AVAILABLE)

    @routes.post(f"{base}/{{transfer_id}}/accept", bare_body=True, status=202, window=window,
                 policy=Rule("volume:accept_transfer", PROJECT_MEMBER))
    async def accept_transfer(ctx: Ctx, transfer_id: str, body: AcceptRequest) -> dict[str, TransferBrief]:
        return await _accept(ctx, transfer_id, body.accept.auth_key)


async def _create(ctx: Ctx, body: TransferCreate) -> NewTransferView:
    key, salt = secrets.token_hex(8), secrets.token_hex(8)
    async with ctx.db.write() as tx:
        volume = await volumes.get(tx, body.volume_id)
        mine(ctx, volume, volumes.VolumeNotFound, volume_id=volume.id)
        volume.must_allow("transfer")
        if volume.encrypted and ctx.version < versions.ENCRYPTED_TRANSFERS:
            raise Invalid(reason="Invalid volume: transferring encrypted volume is not supported before 3.70.")
        if volume.group_id is not None:
            raise Invalid(reason=f"Invalid volume: Volume {volume.id} is in a group.")
        no_snapshots = truth(body.no_snapshots, "no_snapshots")
        if any(each.status != "available" for each in await snapshots.of_volume(tx, volume.id)):
            raise Invalid(reason=f"Invalid volume: a snapshot of {volume.id} is not available.")
        row = Transfer(id=new_uuid(), volume_id=volume.id, project_id=volume.project_id, name=body.name, salt=salt,
                       key_hash=_hash(salt, key), created_at=ctx.clock(), no_snapshots=no_snapshots)
        await db.add(tx, table, row)
        await volumes.change(tx, volume, ctx.clock(), status=Status.AWAITING_TRANSFER)
    return NewTransferView(**_facts(ctx, row), auth_key=key)


async def _accept(ctx: Ctx, transfer_id: str, key: str) -> dict[str, TransferBrief]:
    """Whoever has the key may; without it, and without the id, there is nothing to see."""
    if not is_uuid(transfer_id):
        raise TransferNotFound(transfer_id=transfer_id)
    async with ctx.db.write() as tx:
        row = await transfers.get(tx, transfer_id)
        if not hmac.compare_digest(row.key_hash, _hash(row.salt, key)):
            raise Invalid(reason=f"Invalid auth key: Attempt to transfer {row.id} with invalid auth key.")
        volume, project = await volumes.get(tx, row.volume_id), ctx.caller.project_id or ""
        kind = await types.get(tx, volume.type_id)
        held = [] if row.no_snapshots else await snapshots.of_volume(tx, volume.id)
        more = {"volumes": 1, "gigabytes": volume.size_gb + sum(each.size_gb for each in held)}
        await quotas.must_fit(tx, ctx.app.config, project, more | ({"snapshots": len(held)} if held else {}), kind.name)
        now, user = ctx.clock(), ctx.caller.user_id
        await volumes.change(tx, volume, now, status=Status.AVAILABLE, project_id=project, user_id=user)
        for each in held:
            await snapshots.change(tx, each, now, project_id=project, user_id=user)
        await tx.execute(table.delete().where(table.c.id == row.id))
    return {"transfer": brief(ctx, row)}


_declare("/v3/os-volume-transfer")
_declare("/v3/volume-transfers")
