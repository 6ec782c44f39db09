"""Who may do what to which image. An image the caller may not know about is not there."""

from __future__ import annotations

from typing import Any

from pileus.image import faults
from pileus.image.model import images, metadefs
from pileus.image.model.images import Image
from pileus.image.model.metadefs import Namespace
from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.web import Ctx

# Images belong to projects: tokens of the system or of a domain say nothing about them.
ADMIN = "(role:admin and scope:project)"
PROJECT_READER, PROJECT_MEMBER = (check.replace("role:admin", ADMIN) for check in (
    policy.PROJECT_READER, policy.PROJECT_MEMBER))
_READ = ("role:service or (scope:project and (role:admin or (role:reader and (project_id:%(project_id)s"
         " or 'public':%(visibility)s or 'community':%(visibility)s or 'shared':%(visibility)s))))")
_DOWNLOAD = _READ.replace("role:reader", "role:member")

GET_IMAGES = Rule("get_images", PROJECT_READER + " or role:service")
GET_IMAGE = Rule("get_image", _READ)
DOWNLOAD_IMAGE = Rule("download_image", _DOWNLOAD)
ADD_IMAGE = Rule("add_image", PROJECT_MEMBER)
MODIFY_IMAGE = Rule("modify_image", PROJECT_MEMBER)
DELETE_IMAGE = Rule("delete_image", PROJECT_MEMBER)
UPLOAD_IMAGE = Rule("upload_image", PROJECT_MEMBER)
DEACTIVATE = Rule("deactivate", PROJECT_MEMBER)
REACTIVATE = Rule("reactivate", PROJECT_MEMBER)
COPY_IMAGE = Rule("copy_image", ADMIN)
ADD_LOCATION = Rule("add_image_location", PROJECT_MEMBER + " or role:service")
FETCH_LOCATION = Rule("fetch_image_location", policy.SERVICE)
GET_LOCATION = Rule("get_image_location", PROJECT_READER)
SET_LOCATION = Rule("set_image_location", PROJECT_MEMBER)
DELETE_FROM_STORE = Rule("delete_image_location", PROJECT_MEMBER)
STORES_DETAIL = Rule("stores_info_detail", ADMIN)
GET_TASK, GET_TASKS, ADD_TASK = (Rule(name, ADMIN) for name in ("get_task", "get_tasks", "add_task"))
CACHE_LIST, CACHE_IMAGE, CACHE_DELETE = (
    Rule(name, ADMIN) for name in ("cache_list", "cache_image", "cache_delete"))
PUBLICIZE_IMAGE = Rule("publicize_image", ADMIN)
COMMUNITIZE_IMAGE = Rule("communitize_image", PROJECT_MEMBER)
ADD_MEMBER = Rule("add_member", PROJECT_MEMBER)
GET_MEMBER = Rule("get_member", _READ)
GET_MEMBERS = Rule("get_members", _READ)
MODIFY_MEMBER = Rule("modify_member", f"{ADMIN} or (role:member and project_id:%(member_id)s)")
DELETE_MEMBER = Rule("delete_member", PROJECT_MEMBER)

_SEE = ("scope:project and (role:admin"
        " or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s)))")
GET_NAMESPACE = Rule("get_metadef_namespace", _SEE)
GET_NAMESPACES = Rule("get_metadef_namespaces", PROJECT_READER)
ADD_NAMESPACE = Rule("add_metadef_namespace", ADMIN)
MODIFY_NAMESPACE = Rule("modify_metadef_namespace", ADMIN)
DELETE_NAMESPACE = Rule("delete_metadef_namespace", ADMIN)
LIST_RESOURCE_TYPES = Rule("list_metadef_resource_types", PROJECT_READER)
GET_RESOURCE_TYPE = Rule("get_metadef_resource_type", _SEE)
ADD_ASSOCIATION = Rule("add_metadef_resource_type_association", ADMIN)
REMOVE_ASSOCIATION = Rule("remove_metadef_resource_type_association", ADMIN)
GET_OBJECT, GET_OBJECTS = Rule("get_metadef_object", _SEE), Rule("get_metadef_objects", _SEE)
ADD_OBJECT, MODIFY_OBJECT, DELETE_OBJECT = (
    Rule(f"{verb}_metadef_object", ADMIN) for verb in ("add", "modify", "delete"))
GET_PROPERTY, GET_PROPERTIES = Rule("get_metadef_property", _SEE), Rule("get_metadef_properties", _SEE)
ADD_PROPERTY, MODIFY_PROPERTY, REMOVE_PROPERTY = (
    Rule(f"{verb}_metadef_property", ADMIN) for verb in ("add", "modify", "remove"))
GET_TAG, GET_TAGS = Rule("get_metadef_tag", _SEE), Rule("get_metadef_tags", _SEE)
ADD_TAG, MODIFY_TAG, DELETE_TAG = (Rule(f"{verb}_metadef_tag", ADMIN) for verb in ("add", "modify", "delete"))
ADD_TAGS, DELETE_TAGS = Rule("add_metadef_tags", ADMIN), Rule("delete_metadef_tags", ADMIN)


def facts(image: Image) -> dict[str, Any]:
    return {"visibility": image.visibility} | ({"project_id": image.owner} if image.owner else {})


async def image_for(ctx: Ctx, image_id: str, rule: Rule) -> Image:
    """The image, if the caller sees it and `rule` lets them."""
    async with ctx.db.read() as reader:
        image = await images.get_visible(reader, image_id, ctx.caller)
    if not ctx.allows(GET_IMAGE.name, facts(image)):
        raise faults.ImageNotFound(image_id=image_id)
    ctx.must_allow(rule.name, facts(image))
    return image


async def namespace_for(ctx: Ctx, name: str, rule: Rule) -> Namespace:
    """The namespace of metadata definitions, if the caller sees it and `rule` lets them."""
    async with ctx.db.read() as reader:
        found = await metadefs.get_visible(reader, name, ctx.caller)
    ctx.must_allow(rule.name, {"visibility": found.visibility, "project_id": found.owner})
    return found


def must_allow_visibility(ctx: Ctx, image: Image, wanted: str) -> None:
    rule = {"public": PUBLICIZE_IMAGE, "community": COMMUNITIZE_IMAGE}.get(wanted)
    if rule is not None:
        ctx.must_allow(rule.name, facts(image))
