"""Makes requests that no client should send: from our own OpenAPI document, with something wrong in each."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from pileus.kit.openapi import openapi
from pileus.kit.service import Service
from pileus.kit.versions import Version

NOWHERE = "11111111-2222-4333-8444-555555555555"
WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, -(2**70), 1.5, 1e308, "", " ", "x", "x" * 256, "x" * 70_000,
    "\0", "a\0b", "\u00e9\u202e\U0001f600", "../..", "' OR 1=1 --", "%s", "{}", "1" * 30, NOWHERE, "10.0.0.0/8", "::",
    [], [[]], [None], ["x", "x"], [{}], {}, {"a": {"b": []}}, {"": ""})
BAD_IDS = ("x", NOWHERE, "9" * 40, "x" * 300, "\u00e9\U0001f600", "%", "'", "..;", "-1", "None")
RAW = (b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff\xfe", b'{"x": "\xff"}', b"[" * 5000, b'{"x":' * 5000,
       b'{"a": 1, "a": 2}', b"{}")
QUERIES = (
    "limit=x", "limit=-1", "limit=99999999999999999999", "marker=x", f"marker={NOWHERE}", "sort_key=nope&sort_dir=up",
    "fields=%00", "name=%00", "name=%ff", "id=%F0%9F%98%80", "x=1&x=2", "limit=1&limit=x", "status=%27", "a" * 3000,
    "changes-since=x", "sort=name:sideways", "all_tenants=x", "created_at=gt:x", "tags=a,b,,")


class Request(NamedTuple):
    method: str
    path: str
    body: Any = None
    content: bytes | None = None


class Generator:
    """Requests for one service as of one version; `known` are ids that are there, by the path parameter's name."""

    def __init__(self, service: Service, version: Version, known: Mapping[str, str], seed: int):
        self.document = openapi(service, version)
        self.known, self.random = known, random.Random(f"{service.name} {version} {seed}")

    def requests(self, each: int) -> Iterator[Request]:
        """About `each` requests for every operation."""
        for template, operations in self.document["paths"].items():
            for method, operation in operations.items():
                yield from self._of(template, method.upper(), operation, each)

    def _of(self, template: str, method: str, operation: dict[str, Any], each: int) -> Iterator[Request]:
        parameters = re.findall(r"\{(\w+)\}", template)
        if parameters:
            for _ in range(max(2, each // 4)):
                path = self._path(template, {name: self.random.choice(BAD_IDS) for name in parameters})
                yield Request(method, path, self._body(operation))
        if method == "DELETE":
            return
        path = self._path(template, self.known)
        for query in self.random.sample(QUERIES, max(2, each // 4)):
            yield Request(method, f"{path}?{query}", self._body(operation))
        for known in operation["parameters"]:
            if known["in"] == "query":
                yield Request(method, f"{path}?{known['name']}={quote(str(self.random.choice(WRONG)))[:500]}",
                              self._body(operation))
        if "requestBody" in operation:
            for content in self.random.sample(RAW, 3):
                yield Request(method, path, content=content)
            for _ in range(each):
                yield Request(method, path, self._spoiled(self._body(operation)))

    def _path(self, template: str, values: Mapping[str, str]) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: quote(values.get(found[1], NOWHERE), safe=""), template)

    # -- bodies -----------------------------------------------------------------------------

    def _body(self, operation: dict[str, Any]) -> Any:
        """A body as the document describes it, as likely as not with a good meaning."""
        content = operation.get("requestBody", {}).get("content", {})
        return self._sample(next(iter(content.values()))["schema"]) if content else None

    def _sample(self, schema: dict[str, Any], depth: int = 0) -> Any:
        if "$ref" in schema:
            return self._sample(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth + 1)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self._sample(self.random.choice(schema[several]), depth + 1)
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            required, found = schema.get("required", ()), schema.get("properties", {})
            return {name: self._sample(inner, depth + 1) for name, inner in found.items()
                    if name in required or depth < 6 and self.random.random() < 0.4}
        if kind == "array":
            inner = schema.get("items") or {}
            return [self._sample(inner, depth + 1)] if inner and depth < 6 else []
        return self._scalar(kind, schema)

    def _scalar(self, kind: Any, schema: dict[str, Any]) -> Any:
        if kind == "string":
            return self.random.choice((*self.known.values(), "x", "10.9.0.0/24", "tcp", "1", "true")) or "x"
        if kind in ("integer", "number"):
            return self.random.choice((schema.get("minimum", 1), 1, 4, 80))
        if kind == "boolean":
            return self.random.random() < 0.5
        return None if kind == "null" else self.random.choice(WRONG)

    def _spoiled(self, body: Any) -> Any:
        """The same with one or two things wrong somewhere in it."""
        for _ in range(self.random.choice((1, 1, 2))):
            body = self._spoil(body)
        return body

    def _spoil(self, value: Any) -> Any:
        roll = self.random.random()
        if isinstance(value, dict) and value and roll < 0.9:
            name = self.random.choice(list(value))
            if roll < 0.1:
                return {key: inner for key, inner in value.items() if key != name}
            if roll < 0.2:
                return value | {"surprise": self.random.choice(WRONG)}
            return value | {name: self._spoil(value[name])}
        if isinstance(value, list) and value and roll < 0.8:
            return [self._spoil(value[0]), *value[1:]]
        return self.random.choice(WRONG)
