"""PATCH of an image: JSON patches of the versions 2.0 and 2.1 of the API, as changes to one image."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.image import attributes, faults
from pileus.image.model.images import QUEUED, Image

V20 = "application/openstack-images-v2.0-json-patch"
V21 = "application/openstack-images-v2.1-json-patch"
OPERATIONS = ("add", "replace", "remove")
LOCATIONS = "/locations"
WHEN_QUEUED = ("disk_format", "container_format")


class Change(msgspec.Struct, frozen=True):
    operation: str
    name: str
    value: Any = None
    at: str | None = None                        # the place in a list


def parse(body: Any, media: str) -> list[Change]:
    if not isinstance(body, list):
        raise faults.BadRequest(reason="Request body must be a JSON array of operation objects.")
    return [_parse_one(each, media) for each in body]


def _parse_one(each: Any, media: str) -> Change:
    if not isinstance(each, dict):
        raise faults.BadRequest(reason="Operations must be JSON objects.")
    if media == V21:
        operation, path = each.get("op"), each.get("path")
    else:
        operation = next((name for name in OPERATIONS if name in each), None)
        path = each.get(operation) if operation else None
    if operation not in OPERATIONS:
        raise faults.BadRequest(reason=f"Operations must be one of {', '.join(OPERATIONS)}. Got: {operation!r:.80}")
    if not isinstance(path, str):
        raise faults.BadRequest(reason=f"Unable to find 'path' of the operation {operation} in JSON Schema change")
    if operation != "remove" and "value" not in each:
        raise faults.BadRequest(reason=f'Operation "{operation}" requires a member named "value".')
    within = path.startswith(LOCATIONS + "/") and path.count("/") == 2 and operation != "replace"
    if not path.startswith("/") or path.endswith("/") or "//" in path or ("/" in path[1:] and not within):
        raise faults.BadRequest(reason=f"Pointer `{path:.80}` does not name one attribute: expected /name.")
    if within or path == LOCATIONS:
        return Change(operation, LOCATIONS[1:], each.get("value"), path.rpartition("/")[2] if within else None)
    name = path[1:].replace("~1", "/").replace("~0", "~")
    return Change(operation, name, each.get("value"))


def apply(image: Image, changes: list[Change]) -> dict[str, Any]:
    """The columns of the image that change, and to what."""
    columns: dict[str, Any] = {}
    properties = dict(image.properties)
    for change in changes:
        if change.name in attributes.ATTRIBUTES or change.name in attributes.RESERVED:
            columns[change.name] = _base(image, change)
            continue
        if change.operation != "add" and change.name not in properties:
            raise faults.Conflict(reason=f"Property {change.name} does not exist.")
        if change.operation == "remove":
            attributes.check(change.name, "")
            del properties[change.name]
        else:
            properties[change.name] = attributes.check(change.name, change.value)
    if properties != image.properties:
        columns["properties"] = properties
    attributes.check_counts(columns.get("tags", image.tags), properties)
    return columns


def _base(image: Image, change: Change) -> Any:
    if change.name == "id" or change.name in attributes.ATTRIBUTES and attributes.ATTRIBUTES[change.name].read_only:
        raise faults.ReadOnly(name=change.name)
    if change.operation == "remove":
        raise faults.Forbidden(reason=f"Property {change.name} may not be removed.")
    value = attributes.check(change.name, change.value)
    if change.name in WHEN_QUEUED and image.status != QUEUED and value != getattr(image, change.name):
        raise faults.Forbidden(reason=f"Attribute {change.name} can be only replaced for a queued image.")
    return value
