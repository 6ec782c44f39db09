"""The OpenAPI document of one service as of one microversion, made from its routes."""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any

import msgspec

from pileus.kit.routes import Page, Route
from pileus.kit.service import Service
from pileus.kit.versions import Version, at

_NOTHING = (None, type(None))


def openapi(service: Service, version: Version) -> dict[str, Any]:
    """An OpenAPI 3.1 document that clients of exactly this microversion can rely on."""
    live = [route for route in service.routes.all if route.window.holds(version)]
    kinds = [kind for route in live for kind in (_body(route, version), _reply(route, version), _query(route, version))
             if kind not in _NOTHING]
    refs, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = iter(refs)
    paths: dict[str, Any] = {}
    for route in live:
        body = next(schemas) if _body(route, version) not in _NOTHING else None
        reply = next(schemas) if _reply(route, version) not in _NOTHING else None
        query = next(schemas) if _query(route, version) not in _NOTHING else None
        operations = paths.setdefault(route.path, {})
        operation = _operation(route, body, reply, query, components)
        if route.action and (known := operations.get("post")):
            _add_action(known, operation)
        else:
            operations[route.method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": f"Pileus {service.name}", "version": str(version)}, "paths": paths,
            "components": {"schemas": components,
                           "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}}}}


def _body(route: Route, version: Version) -> Any:
    kind = None if route.stream else route.body
    if route.bulk and kind is not None:
        kind = typing.get_args(kind)[0]
    return at(kind, version)


def _reply(route: Route, version: Version) -> Any:
    if isinstance(route.item, type) and route.item.__module__.startswith("starlette"):
        return None
    return at(route.item, version)


def _query(route: Route, version: Version) -> Any:
    described = isinstance(route.query, type) and issubclass(route.query, msgspec.Struct)
    return at(route.query, version) if described else None


def _operation(route: Route, body: Any, reply: Any, query: Any, components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__, "summary": (inspect.getdoc(route.handler) or "").partition("\n")[0],
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                       for name in re.findall(r"\{(\w+)\}", route.path)],
        "responses": {str(route.status): {"description": "as asked"}}}
    if route.policy is not None:
        operation |= {"x-policy": route.policy.name, "security": [{"token": []}]}
    if query is not None:
        schema = components[query["$ref"].rpartition("/")[2]]
        required = schema.get("required", ())
        operation["parameters"] += [{"name": name, "in": "query", "required": name in required, "schema": shape}
                                    for name, shape in schema.get("properties", {}).items()]
    if body is not None:
        shape = _wrapped(body, route.action or (None if route.bare_body else route.envelope))
        operation["requestBody"] = {"required": True, "content": {media: {"schema": shape} for media in route.media}}
    if reply is not None:
        listed = typing.get_origin(route.reply) is Page
        shape = {"type": "array", "items": reply} if listed else reply
        operation["responses"][str(route.status)]["content"] = {
            "application/json": {"schema": _wrapped(shape, route.envelope)}}
    return operation


def _wrapped(schema: Any, key: str | None) -> Any:
    return {"type": "object", "required": [key], "properties": {key: schema}} if key else schema


def _add_action(known: dict[str, Any], action: dict[str, Any]) -> None:
    """One operation serves all actions of a path: its body is one of theirs."""
    for media, content in action.get("requestBody", {}).get("content", {}).items():
        schemas = known.setdefault("requestBody", {"required": True, "content": {}})["content"].setdefault(
            media, {"schema": {"oneOf": []}})
        if "oneOf" not in schemas["schema"]:
            schemas["schema"] = {"oneOf": [schemas["schema"]]}
        schemas["schema"]["oneOf"].append(content["schema"])
    known["responses"] |= action["responses"]
    known["operationId"] = "act"
