"""Makes requests that no client should send: from our own OpenAPI document, with something wrong in each."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple
from urllib.parse import quote

from pileus.kit.openapi import openapi
from pileus.kit.service import Service
from pileus.kit.versions import Version
from tests.compat import good_bodies

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


NUMBERS: tuple[Any, ...] = (2**31, 2**63, "9" * 5000, "\u00b2")
UNDOCUMENTED = ("limit", "offset")    # parameters that lists take where they take whatever comes

JSON, FILE = "application/json", "application/octet-stream"
LAST = "forceDelete"          # the one action after which there is nothing left to ill-treat


class Request(NamedTuple):
    operation: str                # of the document; actions of one path are told apart
    method: str
    path: str
    body: Any = None
    content: bytes | None = None
    aimed: bool = False           # at something that is there
    media: str = JSON


class Operation(NamedTuple):
    name: str
    method: str
    template: str
    parameters: list[dict[str, Any]]
    schema: dict[str, Any] | None         # of its body
    media: str
    told: frozenset[str]                  # numbers that its answer tells, by which lists are filtered


class Generator:
    """Requests for one service as of one version. `known` are ids that are there, by the path parameter's name, or by
    the path up to and with the parameter where a name alone could mean several things, or by the operation that gets
    one of its own; `own` are the names of those that the service itself has."""

    def __init__(self, service: Service, version: Version, known: dict[str, str], own: Set[str], seed: int):
        self.document = openapi(service, version)
        self.known, self.own, self.examples = known, own, good_bodies.good_bodies(known)
        self.random = random.Random(f"{service.name} {version} {seed}")
        self.operations = [operation for template, methods in self.document["paths"].items()
                           for method, described in methods.items()
                           for operation in self._described(template, method.upper(), described)]

    def _described(self, template: str, method: str, described: dict[str, Any]) -> Iterator[Operation]:
        content = described.get("requestBody", {}).get("content", {})
        media, schema = next(((media, found["schema"]) for media, found in content.items()), (JSON, None))
        parameters = [each for each in described["parameters"] if each["in"] == "query"]
        for one in (schema or {}).get("oneOf", [schema]):
            action = f" {next(iter(one['properties']))}" if one and template.endswith("/action") else ""
            yield Operation(f"{method} {template}{action}", method, template, parameters, one, media,
                            frozenset(self._told(described.get("responses", {}))))

    def _told(self, part: Any, depth: int = 0) -> Iterator[str]:
        """Names of numbers in an answer's description."""
        if isinstance(part, dict) and "$ref" in part:
            part = self.document["components"]["schemas"][part["$ref"].rpartition("/")[2]]
        for name, inner in part.items() if isinstance(part, dict) and depth < 10 else ():
            if isinstance(inner, dict) and "integer" in str(inner.get("type", inner.get("anyOf", ""))):
                yield name
            yield from self._told(inner, depth + 1)

    def learn(self, operation: str, made: str) -> None:
        """What an operation made is there for others from then on, unless the service has such a thing already."""
        collection = re.escape(operation.partition(" ")[2])
        for one in self.operations:
            found = re.match(collection + r"/\{(\w+)\}", one.template)
            if found and found[1] not in self.own:
                self.known.setdefault(found[0], made)

    def requests(self, each: int) -> Iterator[Request]:
        """What makes sense first, then about `each` bad requests for every operation, then what ends things."""
        media = {one.name: FILE if one.name in good_bodies.FILES else one.media for one in self.operations}
        for request in self._requests(each):
            yield request._replace(media=media[request.operation])

    def _requests(self, each: int) -> Iterator[Request]:
        ends = [one for one in self.operations if one.method == "DELETE" or one.name.endswith(LAST)]
        others = [one for one in self.operations if one not in ends]
        for operation in [*others, *others]:              # twice: some need what others make
            yield from self._good(operation, 4)
        for operation in self.operations:
            yield from self._at_nothing(operation, each)
            if operation in others:
                yield from self._bad(operation, each)
        for operation in others:
            if operation.name in good_bodies.REMAKING:
                yield from self._good(operation, 0)
        for operation in sorted(ends, key=lambda one: (-one.template.count("/"), one.template)):
            for change in others:
                if change.template == operation.template and change.name in self.examples:
                    yield from self._good(change, 1)
            yield from self._good(operation, 1)

    def _good(self, operation: Operation, several: int) -> Iterator[Request]:
        path = self._path(operation, self.known)
        query = "&".join(f"{each['name']}={quote(str(self._query_value(each)))}" for each in operation.parameters
                         if each["required"]) or good_bodies.QUERIES.get(operation.name, "")
        path += f"?{query}" if query else ""
        content = good_bodies.FILES.get(operation.name)
        for _ in range(0 if operation.name in good_bodies.RENAMING else several if operation.schema else 1):
            yield Request(operation.name, operation.method, path, self._body(operation), content, aimed=True)
        if operation.name in self.examples:
            yield Request(operation.name, operation.method, path, self.examples[operation.name], aimed=True)

    def _query_value(self, parameter: dict[str, Any]) -> Any:
        return self.known.get(parameter["name"]) or self._sample(parameter["schema"])

    def _at_nothing(self, operation: Operation, each: int) -> Iterator[Request]:
        parameters = re.findall(r"\{(\w+)\}", operation.template)
        for _ in range(max(2, each // 4) if parameters else 0):
            path = self._path(operation, {name: self.random.choice(BAD_IDS) for name in parameters})
            yield Request(operation.name, operation.method, path, self._body(operation))

    def _bad(self, operation: Operation, each: int) -> Iterator[Request]:
        name, method, _, parameters, schema, _, _ = operation
        path = self._path(operation, self.known)
        for query in self.random.sample(QUERIES, max(2, each // 4)):
            yield Request(name, method, f"{path}?{query}", self._body(operation), aimed=True)
        for known in parameters:
            yield Request(name, method, f"{path}?{known['name']}={quote(str(self.random.choice(WRONG)))[:500]}",
                          self._body(operation), aimed=True)
        if schema is not None:
            for content in self.random.sample(RAW, 3):
                yield Request(name, method, path, content=content, aimed=True)
            for _ in range(each):
                like = self.examples.get(name) if self.random.random() < 0.5 else None
                yield Request(name, method, path, self._spoiled(like or self._body(operation)), aimed=True)

    def strange_numbers(self, numbers: Sequence[Any] = NUMBERS) -> Iterator[Request]:
        """Every place of every operation where a number may stand, with each of these in it."""
        for operation in self.operations:
            name, method, template = operation.name, operation.method, operation.template
            path = self._path(operation, self.known)
            for number in numbers[::3] if "{" in template else ():
                strange = self._path(operation, dict.fromkeys(re.findall(r"\{(\w+)\}", template), str(number)))
                yield Request(name, method, strange, self._body(operation))
            if method == "GET":
                for query in {*UNDOCUMENTED, *(each["name"] for each in operation.parameters), *operation.told}:
                    for number in numbers:
                        yield Request(name, method, f"{path}?{query}={quote(str(number))}", aimed=True)
            elif operation.schema is not None:
                body = self.examples.get(name, self._body(operation))
                for spoiled in self._other_numbers(operation.schema, body, numbers):
                    yield Request(name, method, path, spoiled, aimed=True)

    def _other_numbers(self, schema: dict[str, Any], value: Any, numbers: Sequence[Any],
                       depth: int = 0) -> Iterator[Any]:
        """`value` with another number in one place, for each place that the schema or the value says is one's."""
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        kinds = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
        if any(each.get("type") in ("integer", "number") or "0-9" in each.get("pattern", "") for each in kinds) \
                or isinstance(value, int) and not isinstance(value, bool):
            yield from numbers
        for each in kinds[1:]:
            if "$ref" in each or each.get("type") in ("object", "array"):
                yield from self._other_numbers(each, value, numbers, depth)
        found = value if isinstance(value, dict) else {}
        for name, inner in (schema.get("properties", {}) if depth < 5 else {}).items():
            for other in self._other_numbers(inner, found.get(name), numbers, depth + 1):
                yield found | {name: other}
        for name in found.keys() - schema.get("properties", {}).keys():
            for other in self._other_numbers({}, found[name], numbers, depth + 1):
                yield found | {name: other}
        if schema.get("type") == "array" and depth < 5:
            first = value[0] if isinstance(value, list) and value else None
            for other in self._other_numbers(schema.get("items") or {}, first, numbers, depth + 1):
                yield [other]

    def _path(self, operation: Operation, values: Mapping[str, str]) -> str:
        name, template = operation.name, operation.template
        return re.sub(r"\{(\w+)\}", lambda found: quote(
            values.get(name) or values.get(template[:found.end()]) or values.get(found[1], NOWHERE), safe=""), template)

    # -- bodies -----------------------------------------------------------------------------

    def _body(self, operation: Operation) -> Any:
        """A body as the document describes it, as likely as not with a good meaning."""
        return None if operation.schema is None else self._sample(operation.schema)

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
