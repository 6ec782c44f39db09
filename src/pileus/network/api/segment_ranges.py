"""/v2.0/network_segment_ranges: which numbers networks are given, of all projects or of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, range_faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.shapes import Changed, Created, Standard, Text, app, check_revision, given, standard, texts
from pileus.network.model import base, segment_ranges
from pileus.network.model.segment_ranges import SegmentRange, ranges
from pileus.network.segments import MOST

routes = Routes()
SHOWN = 10_000               # of the numbers that are free, the lowest
Number = Annotated[int, msgspec.Meta(ge=1, le=16777215)]


class RangeUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    minimum: Number | msgspec.UnsetType = UNSET
    maximum: Number | msgspec.UnsetType = UNSET


class RangeCreate(Created, kw_only=True, forbid_unknown_fields=True):
    shared: bool = True
    network_type: Text
    physical_network: Text | None = None
    minimum: Number
    maximum: Number


class RangeView(Standard, kw_only=True):
    """`used` says whose network has which number."""

    default: bool
    shared: bool
    network_type: str
    physical_network: str | None
    minimum: int
    maximum: int
    used: dict[str, str]
    available: list[int]


async def views(conn: Connection, rows: Sequence[SegmentRange]) -> list[RangeView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    return [_view(row, tags[row.id], await segment_ranges.used(conn, row)) for row in rows]


def _view(row: SegmentRange, tags: list[str], used: dict[int, str]) -> RangeView:
    seen = range(row.minimum, min(row.maximum, row.minimum + SHOWN + len(used) - 1) + 1)
    return RangeView(
        **standard(row, tags), default=row.is_default, shared=row.shared, network_type=row.network_type,
        physical_network=row.physical_network, minimum=row.minimum, maximum=row.maximum,
        used={str(number): project_id for number, project_id in used.items()},
        available=[number for number in seen if number not in used][:SHOWN])


def facts(row: SegmentRange) -> dict[str, Any]:
    return {"project_id": row.project_id}


RANGE = Target(segment_ranges.get, missing=range_faults.RangeNotFound, facts=facts)
LISTING = Listing(collection="network_segment_ranges", table=ranges, row=SegmentRange,
                  columns=listing.columns_of(ranges, is_default="default"))
ENVELOPE = "network_segment_range"


async def list_ranges(ctx: Ctx, query: Query) -> Page[RangeView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, None)
        return Page(await views(reader, found.rows), extra=found.links)


async def show_range(ctx: Ctx, row: SegmentRange) -> RangeView:
    async with ctx.db.read() as reader:
        return (await views(reader, [row]))[0]


async def create_range(ctx: Ctx, body: RangeCreate) -> RangeView:
    """A range for all is no project's."""
    named = body.project_id if body.project_id is not UNSET else body.tenant_id
    project_id = "" if body.shared or named is UNSET else str(named)
    if not body.shared and not project_id:
        raise faults.InvalidInput(reason="a range that is not shared needs a project_id")
    now = ctx.clock()
    row = SegmentRange(
        id=new_uuid(), project_id=project_id, name=body.name, description=body.description or "", created_at=now,
        updated_at=now, shared=body.shared, network_type=body.network_type, minimum=body.minimum,
        physical_network=body.physical_network or None, maximum=body.maximum)
    _must_be_sound(ctx, row)
    async with ctx.db.write() as tx:
        await _must_be_apart(tx, row)
        await db.add(tx, ranges, row)
        return (await views(tx, [row]))[0]


def _must_be_sound(ctx: Ctx, row: SegmentRange) -> None:
    if row.network_type not in MOST:
        raise range_faults.RangeKindUnknown(kind=row.network_type)
    if (row.network_type == "vlan") != (row.physical_network is not None):
        raise faults.InvalidInput(reason="physical_network is for ranges of VLANs, which need one")
    if row.physical_network is not None and row.physical_network not in app(ctx).config.physical_networks:
        raise faults.InvalidInput(reason=f"physical_network '{row.physical_network}' unknown")
    if not row.minimum <= row.maximum <= MOST[row.network_type]:
        raise faults.InvalidInput(reason=f"{row.minimum} to {row.maximum} is no range of {row.network_type} networks")


async def _must_be_apart(tx: Connection, row: SegmentRange) -> None:
    """From all ranges but the default one, out of which ranges are cut."""
    met = [each.id for each in await segment_ranges.of_kind(tx, row.network_type, row.physical_network)
           if each.id != row.id and each.overlaps(row)]
    if met:
        raise range_faults.RangesOverlap(range_id=", ".join(met))


async def update_range(ctx: Ctx, row: SegmentRange, body: RangeUpdate) -> RangeView:
    check_revision(ctx, row)
    values = texts(given(body))
    if row.is_default:
        raise range_faults.RangeIsDefault(range_id=row.id)
    after = msgspec.structs.replace(row, **values)
    _must_be_sound(ctx, after)
    async with ctx.db.write() as tx:
        await _must_be_apart(tx, after)
        if any(not after.minimum <= number <= after.maximum for number in await segment_ranges.used(tx, row)):
            raise range_faults.RangeInUse(range_id=row.id)
        changed = await base.change(tx, ranges, row, ctx.clock(), **values) if values else row
        return (await views(tx, [changed]))[0]


async def delete_range(ctx: Ctx, row: SegmentRange) -> None:
    check_revision(ctx, row)
    if row.is_default:
        raise range_faults.RangeIsDefault(range_id=row.id)
    async with ctx.db.write() as tx:
        if await segment_ranges.used(tx, row):
            raise range_faults.RangeInUse(range_id=row.id)
        await base.remove(tx, ranges, row.id)


def _serve(every: str) -> None:
    """Clients write the path in two ways."""
    one = f"{every}/{{range_id}}"
    read, make, change, remove = (Rule(f"{verb}_{ENVELOPE}", ADMIN) for verb in ("get", "create", "update", "delete"))
    routes.get(every, envelope=f"{ENVELOPE}s", policy=read)(list_ranges)
    routes.get(one, envelope=ENVELOPE, target=RANGE, policy=read)(show_range)
    routes.post(every, envelope=ENVELOPE, status=201, policy=make)(create_range)
    routes.put(one, envelope=ENVELOPE, target=RANGE, policy=change)(update_range)
    routes.delete(one, target=RANGE, policy=remove)(delete_range)


for _path in ("/v2.0/network_segment_ranges", "/v2.0/network-segment-ranges"):
    _serve(_path)
