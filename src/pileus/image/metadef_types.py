"""Metadata definitions as clients send and see them, and their schemas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pileus.image import attributes
from pileus.image.model.metadefs import Association, Entry, Namespace
from pileus.kit.clock import stamp

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Text = Annotated[str, Meta(max_length=500)]
Count = Annotated[int, Meta(ge=0)]
MOST_ENTRIES = 1000                                      # of one kind in one request
Strings = Annotated[list[Annotated[str, Meta(max_length=255)]], Meta(max_length=MOST_ENTRIES)]


class PropertyBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A property's type, in words of JSON Schema."""

    title: Annotated[str, Meta(max_length=255)]
    type: Literal["array", "boolean", "integer", "number", "object", "string"]
    name: Name | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    operators: Strings | UnsetType = UNSET
    required: Strings | UnsetType = UNSET
    minimum: float | UnsetType = UNSET
    maximum: float | UnsetType = UNSET
    min_length: Count | UnsetType = msgspec.field(name="minLength", default=UNSET)
    max_length: Count | UnsetType = msgspec.field(name="maxLength", default=UNSET)
    pattern: str | UnsetType = UNSET
    min_items: Count | UnsetType = msgspec.field(name="minItems", default=UNSET)
    max_items: Count | UnsetType = msgspec.field(name="maxItems", default=UNSET)
    unique_items: bool | UnsetType = msgspec.field(name="uniqueItems", default=UNSET)
    additional_items: bool | UnsetType = msgspec.field(name="additionalItems", default=UNSET)
    items: dict[str, Any] | UnsetType = UNSET
    enum: list[Any] | UnsetType = UNSET
    default: Any = UNSET
    readonly: bool | UnsetType = UNSET


class NamedProperty(PropertyBody, kw_only=True, forbid_unknown_fields=True):
    name: Name  # type: ignore[assignment]


class TagBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name


class TagsBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    tags: Annotated[list[TagBody], Meta(max_length=MOST_ENTRIES)]


Properties = Annotated[dict[Name, PropertyBody], Meta(max_length=MOST_ENTRIES)]


class ObjectBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    description: Text | None = None
    required: Strings = []
    properties: Properties = {}


class AssociationBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    prefix: Annotated[str, Meta(max_length=80)] | None = None
    properties_target: Annotated[str, Meta(max_length=80)] | None = None


class NamespaceUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    namespace: Name
    display_name: Annotated[str, Meta(max_length=80)] | None = None
    description: Text | None = None
    visibility: Literal["public", "private"] = "private"
    protected: bool = False
    owner: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class NamespaceCreate(NamespaceUpdate, kw_only=True, forbid_unknown_fields=True):
    resource_type_associations: Annotated[list[AssociationBody], Meta(max_length=MOST_ENTRIES)] = []
    objects: Annotated[list[ObjectBody], Meta(max_length=MOST_ENTRIES)] = []
    properties: Properties = {}
    tags: Annotated[list[TagBody], Meta(max_length=MOST_ENTRIES)] = []


def content_of(body: PropertyBody | ObjectBody) -> dict[str, Any]:
    """What is kept of it: all but its name."""
    return {name: value for name, value in msgspec.to_builtins(body).items() if name != "name"}


# -- views ----------------------------------------------------------------------------------

def _times(row: Namespace | Entry | Association) -> dict[str, str]:
    return {"created_at": stamp(row.created_at), "updated_at": stamp(row.updated_at)}


def namespace_view(row: Namespace, kinds: list[Association]) -> dict[str, Any]:
    told = {"display_name": row.display_name, "description": row.description}
    return {"namespace": row.namespace, "visibility": row.visibility, "protected": row.protected, "owner": row.owner,
            **{name: value for name, value in told.items() if value is not None},
            **({"resource_type_associations": [association_view(each) for each in kinds]} if kinds else {}),
            **_times(row), "self": f"/v2/metadefs/namespaces/{row.namespace}",
            "schema": "/v2/schemas/metadefs/namespace"}


def association_view(row: Association) -> dict[str, Any]:
    told = {"prefix": row.prefix, "properties_target": row.properties_target}
    return {"name": row.resource_type, **{name: value for name, value in told.items() if value is not None},
            **_times(row)}


def object_view(row: Entry, namespace: str, prefix: str = "") -> dict[str, Any]:
    content = row.content
    description = content.get("description")
    return {"name": row.name, **({"description": description} if description is not None else {}),
            "required": [prefix + name for name in content.get("required", [])],
            "properties": {prefix + name: value for name, value in content.get("properties", {}).items()},
            **_times(row), "self": f"/v2/metadefs/namespaces/{namespace}/objects/{row.name}",
            "schema": "/v2/schemas/metadefs/object"}


def property_view(row: Entry) -> dict[str, Any]:
    return {"name": row.name, **row.content}


def tag_view(row: Entry) -> dict[str, Any]:
    return {"name": row.name, **_times(row)}


def whole_view(row: Namespace, kinds: list[Association], parts: list[Entry], prefix: str) -> dict[str, Any]:
    """A namespace with all it defines, names of properties as they are on a resource type with that prefix."""
    view = namespace_view(row, kinds)
    found = {"objects": [object_view(each, row.namespace, prefix) for each in parts if each.kind == "object"],
             "properties": {prefix + each.name: each.content for each in parts if each.kind == "property"},
             "tags": [{"name": each.name} for each in parts if each.kind == "tag"]}
    return view | {name: value for name, value in found.items() if value}


# -- schemas --------------------------------------------------------------------------------

def schemas() -> dict[str, dict[str, Any]]:
    """By the name under /v2/schemas/metadefs/."""
    read_only = {"type": "string", "readOnly": True}
    told = dict.fromkeys(("created_at", "updated_at", "self", "schema"), read_only)
    shown = {"namespace": ("namespace", NamespaceCreate), "object": ("object", ObjectBody),
             "property": ("property", NamedProperty), "tag": ("tag", TagBody),
             "resource_type": ("resource_type_association", AssociationBody)}
    made: dict[str, dict[str, Any]] = {}
    for path, (name, kind) in shown.items():
        (schema,), definitions = msgspec.json.schema_components([kind])
        own = definitions.pop(schema["$ref"].rpartition("/")[2])
        made[path] = {"name": name, "properties": own["properties"] | ({} if path == "property" else told),
                      "required": own.get("required", []), "additionalProperties": False, "definitions": definitions}
    lists = {"namespaces": "namespace", "objects": "object", "tags": "tag", "resource_types": "resource_type"}
    for path, inner in lists.items():
        name = "resource_type_associations" if path == "resource_types" else path
        made[path] = attributes.list_schema(name, {each: made[inner][each] for each in (
            "name", "properties", "required", "additionalProperties")}) | {"definitions": made[inner]["definitions"]}
    made["properties"] = {
        "name": "properties", "properties": {"properties": {
            "type": "object", "additionalProperties": {"type": "object", "properties": made["property"]["properties"]}},
            "first": {"type": "string"}, "next": {"type": "string"}, "schema": {"type": "string"}},
        "definitions": made["property"]["definitions"]}
    return made
