"""/v2/images/{image_id}/members"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.image import access, faults
from pileus.image.answers import member_view
from pileus.image.model import members
from pileus.image.model.images import Image, sees_all
from pileus.image.model.members import Member
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

MOST = 128
routes = Routes()
ALL = "/v2/images/{image_id}/members"
ONE = "/v2/images/{image_id}/members/{member_id}"


class MemberCreate(msgspec.Struct, kw_only=True):
    member: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class MemberUpdate(msgspec.Struct, kw_only=True):
    status: Literal["pending", "accepted", "rejected"]


async def shared_image(ctx: Ctx, image_id: str, rule: Rule) -> Image:
    image = await access.image_for(ctx, image_id, rule)
    if image.visibility != "shared":
        raise faults.Forbidden(reason="Only shared images have members.")
    return image


def may_see(ctx: Ctx, image: Image, member_id: str) -> bool:
    """Owners see all members, members themselves."""
    return sees_all(ctx.caller) or ctx.caller.project_id in (image.owner, member_id)


@routes.get(ALL, policy=access.GET_MEMBERS, check=False)
async def list_members(ctx: Ctx, image_id: str) -> dict[str, Any]:
    image = await shared_image(ctx, image_id, access.GET_MEMBERS)
    async with ctx.db.read() as reader:
        found = [each for each in await members.of(reader, image_id) if may_see(ctx, image, each.member_id)]
    return {"members": [member_view(each) for each in found], "schema": "/v2/schemas/members"}


@routes.post(ALL, policy=access.ADD_MEMBER, check=False)
async def add_member(ctx: Ctx, image_id: str, body: MemberCreate) -> dict[str, Any]:
    await shared_image(ctx, image_id, access.ADD_MEMBER)
    now = ctx.clock()
    member = Member(image_id=image_id, member_id=body.member, created_at=now, updated_at=now)
    async with ctx.db.write() as tx:
        if len(await members.of(tx, image_id)) >= MOST:
            raise faults.TooBig(reason=f"The limit has been exceeded on the number of allowed image members: {MOST}.")
        await members.add(tx, member)
    return member_view(member)


@routes.get(ONE, policy=access.GET_MEMBER, check=False)
async def show_member(ctx: Ctx, image_id: str, member_id: str) -> dict[str, Any]:
    image = await shared_image(ctx, image_id, access.GET_MEMBER)
    if not may_see(ctx, image, member_id):
        raise faults.MemberNotFound(image_id=image_id, member_id=member_id)
    async with ctx.db.read() as reader:
        return member_view(await members.get(reader, image_id, member_id))


@routes.put(ONE, policy=access.MODIFY_MEMBER, check=False)
async def update_member(ctx: Ctx, image_id: str, member_id: str, body: MemberUpdate) -> dict[str, Any]:
    image = await shared_image(ctx, image_id, access.GET_IMAGE)
    if not may_see(ctx, image, member_id):
        raise faults.MemberNotFound(image_id=image_id, member_id=member_id)
    ctx.must_allow(access.MODIFY_MEMBER.name, {"member_id": member_id})
    async with ctx.db.write() as tx:
        found = await members.get(tx, image_id, member_id)
        return member_view(await members.change_status(tx, found, body.status, ctx.clock()))


@routes.delete(ONE, policy=access.DELETE_MEMBER, check=False)
async def remove_member(ctx: Ctx, image_id: str, member_id: str) -> None:
    await shared_image(ctx, image_id, access.DELETE_MEMBER)
    async with ctx.db.write() as tx:
        await members.remove(tx, image_id, member_id)
