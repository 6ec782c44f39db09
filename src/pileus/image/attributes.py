"""The attributes of an image: which there are, who may write them, what they hold. Schemas are made from this table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from pileus.image import faults
from pileus.image.model.images import VISIBILITIES
from pileus.kit.ids import is_uuid

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "gpt", "luks")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
MOST_TAGS = MOST_PROPERTIES = 128
INT32 = 0x7FFFFFFF


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    schema: dict[str, Any]
    text: str
    holds: Callable[[Any], bool] | None = None       # None: read-only
    removable: bool = False

    @property
    def read_only(self) -> bool:
        return self.holds is None


def _text_or_null(most: int) -> Callable[[Any], bool]:
    return lambda value: value is None or (isinstance(value, str) and len(value) <= most)


def _one_of(values: tuple[str, ...], *, null: bool) -> Callable[[Any], bool]:
    return lambda value: (value is None and null) or value in values


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INT32


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _tags(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(tag, str) and len(tag) <= 255 for tag in value)


def _uuid(value: Any) -> bool:
    return isinstance(value, str) and is_uuid(value) and len(value) == 36


_UUID_PATTERN = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
_NULL_TEXT, _NULL_NUMBER = ["null", "string"], ["null", "integer"]

ATTRIBUTES: dict[str, Attribute] = {
    "id": Attribute(schema={"type": "string", "pattern": _UUID_PATTERN}, text="Identifier of the image", holds=_uuid),
    "name": Attribute(schema={"type": _NULL_TEXT, "maxLength": 255}, text="Name of the image",
                      holds=_text_or_null(255)),
    "status": Attribute(schema={"type": "string"}, text="Where the image stands in its life"),
    "visibility": Attribute(schema={"type": "string", "enum": list(VISIBILITIES)}, text="Who sees the image",
                            holds=_one_of(VISIBILITIES, null=False)),
    "protected": Attribute(schema={"type": "boolean"}, text="Whether the image cannot be deleted", holds=_truth),
    "os_hidden": Attribute(schema={"type": "boolean"}, text="Whether lists leave the image out", holds=_truth),
    "checksum": Attribute(schema={"type": _NULL_TEXT, "maxLength": 32}, text="MD5 of the content"),
    "os_hash_algo": Attribute(schema={"type": _NULL_TEXT, "maxLength": 64}, text="Algorithm of os_hash_value"),
    "os_hash_value": Attribute(schema={"type": _NULL_TEXT, "maxLength": 128}, text="Secure hash of the content"),
    "owner": Attribute(schema={"type": _NULL_TEXT, "maxLength": 255}, text="Project the image belongs to",
                       holds=_text_or_null(255)),
    "size": Attribute(schema={"type": _NULL_NUMBER}, text="Bytes of the content"),
    "virtual_size": Attribute(schema={"type": _NULL_NUMBER}, text="Bytes of the disk the content makes"),
    "container_format": Attribute(schema={"type": _NULL_TEXT, "enum": [None, *CONTAINER_FORMATS]},
                                  text="What is around the disk", holds=_one_of(CONTAINER_FORMATS, null=True)),
    "disk_format": Attribute(schema={"type": _NULL_TEXT, "enum": [None, *DISK_FORMATS]}, text="Format of the disk",
                             holds=_one_of(DISK_FORMATS, null=True)),
    "created_at": Attribute(schema={"type": "string"}, text="When the image was registered"),
    "updated_at": Attribute(schema={"type": "string"}, text="When the image was last changed"),
    "tags": Attribute(schema={"type": "array", "items": {"type": "string", "maxLength": 255}}, text="Words to find by",
                      holds=_tags),
    "min_ram": Attribute(schema={"type": "integer"}, text="MiB of memory a server needs to boot it", holds=_whole),
    "min_disk": Attribute(schema={"type": "integer"}, text="GiB of disk a server needs to boot it", holds=_whole),
    "stores": Attribute(schema={"type": "string"}, text="Stores that hold the content"),
    "self": Attribute(schema={"type": "string"}, text="Path of the image"),
    "file": Attribute(schema={"type": "string"}, text="Path of the content"),
    "schema": Attribute(schema={"type": "string"}, text="Path of this schema"),
    "direct_url": Attribute(schema={"type": "string"}, text="Where the store keeps the content"),
}
RESERVED = frozenset({"locations", "deleted", "deleted_at", "is_public", "member", "location"})
# Clients look into these before they send; images hold them as properties.
KNOWN_PROPERTIES = ("architecture", "os_distro", "os_version", "instance_uuid", "kernel_id", "ramdisk_id")


def check(name: str, value: Any) -> Any:
    """`value`, if the attribute `name` (or a property of that name) may be given it."""
    if name.startswith("os_glance_") or name in RESERVED:
        raise faults.Reserved(name=name)
    attribute = ATTRIBUTES.get(name)
    if attribute is None:
        if not isinstance(value, str) or not 0 < len(name) <= 255 or len(value) > 65535:
            raise faults.BadRequest(reason=f"Provided object does not match schema 'image': {value!r:.80} is not of"
                                    f" type 'string' (property {name:.80})")
        return value
    if attribute.holds is None:
        raise faults.ReadOnly(name=name)
    if not attribute.holds(value):
        raise faults.BadRequest(reason=f"Provided object does not match schema 'image': {value!r:.80} is not valid"
                                f" for {name}")
    return sorted(set(value)) if name == "tags" else value


def check_counts(tags: list[str], properties: dict[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise faults.TooBig(reason=f"The limit has been exceeded on the number of allowed image tags: {MOST_TAGS}.")
    if len(properties) > MOST_PROPERTIES:
        raise faults.TooBig(reason="The limit has been exceeded on the number of allowed image properties:"
                            f" {MOST_PROPERTIES}.")


_PLACE = {"type": "object", "required": ["url", "metadata"], "properties": {
    "url": {"type": "string", "maxLength": 4096}, "metadata": {"type": "object"},
    "validation_data": {"type": "object"}}}


def image_schema(*, locations: bool = False) -> dict[str, Any]:
    own = {name: each.schema | {"description": each.text} | ({"readOnly": True} if each.read_only else {})
           for name, each in ATTRIBUTES.items()}
    own |= {name: {"type": "string", "is_base": False, "description": f"Property {name}"} for name in KNOWN_PROPERTIES}
    if locations:
        own["locations"] = {"type": "array", "items": _PLACE, "description": "Where the content is"}
    return {"name": "image", "properties": own, "additionalProperties": {"type": "string"},
            "links": [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"},
                      {"rel": "describedby", "href": "{schema}"}]}


def member_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {"name": "member", "properties": {
        "image_id": text | {"pattern": _UUID_PATTERN}, "member_id": text,
        "status": text | {"enum": ["pending", "accepted", "rejected"]}, "created_at": text, "updated_at": text,
        "schema": text | {"readOnly": True}}}


def task_schema() -> dict[str, Any]:
    text, told = {"type": "string"}, {"type": ["null", "object"]}
    return {"name": "task", "properties": {
        "id": text | {"pattern": _UUID_PATTERN}, "type": text | {"enum": ["import", "api_image_import"]},
        "status": text | {"enum": ["pending", "processing", "success", "failure"]}, "input": told, "result": told,
        "owner": {"type": _NULL_TEXT}, "user_id": {"type": _NULL_TEXT}, "request_id": text, "image_id": text,
        "message": text, "created_at": text, "updated_at": text, "self": text, "schema": text}}


def list_schema(name: str, inner: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string"}
    return {"name": name, "properties": {
        name: {"type": "array", "items": inner}, "first": text, "next": text, "schema": text},
        "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"},
                  {"rel": "describedby", "href": "{schema}"}]}
