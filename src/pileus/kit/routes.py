"""Routes as data: path, policy, target, schema and version window are declared once, beside the handler."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypedDict, TypeVar, Unpack

import msgspec

from pileus.kit.caller import Caller
from pileus.kit.faults import Fault
from pileus.kit.policy import Rule
from pileus.kit.versions import ALWAYS, Version, Window

T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])
_FACTS = ("id", "project_id", "user_id", "domain_id")


class Page(msgspec.Struct, Generic[T]):
    """A list answer; `next_marker` is set when there is more."""

    items: list[T]
    next_marker: str | None = None
    extra: dict[str, Any] = {}               # what stands beside the list on the wire


def default_facts(row: Any) -> Mapping[str, Any]:
    return {name: value for name in _FACTS if (value := getattr(row, name, None)) is not None}


def not_mine(row: Any, caller: Caller) -> bool:
    return getattr(row, "project_id", None) != caller.project_id


class Target(msgspec.Struct, frozen=True):
    """The thing a path names. `missing` is raised when it is not there and also when it is not the caller's to know
    about (`hidden`, and not `granted`), so that the two cannot be told apart. With `refuse` they cannot be told apart
    either, but who may not is refused (403) in both cases: policy is asked with the facts it makes of the path."""

    get: Callable[..., Awaitable[Any]]                         # (reader, **path values) -> row; raises `missing`
    missing: type[Fault]
    facts: Callable[[Any], Mapping[str, Any]] = default_facts  # what policy checks may refer to
    hidden: Callable[[Any, Caller], bool] = not_mine
    refuse: Callable[[Mapping[str, str]], Mapping[str, Any]] | None = None
    granted: Callable[[Any, Any, Caller], Awaitable[bool]] | None = None   # (reader, row, caller) -> fact `granted`

    def takes(self) -> tuple[str, ...]:
        parameters = list(inspect.signature(self.get).parameters.values())[1:]
        return tuple(p.name for p in parameters if p.default is p.empty)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    policy: Rule | None               # None: public, no token is asked for
    status: int
    envelope: str | None              # the one key around the body and the answer
    bare_body: bool                   # the body has no such key; the answer has
    bulk: str | None                  # the key of a list of bodies: `body` is always a list then
    action: str | None                # the one key of the body of POST …/action
    target: Target | None
    target_name: str | None           # the handler's parameter for the target
    target_takes: tuple[str, ...]
    window: Window                    # the versions that have this route
    body: Any
    query: Any
    reply: Any
    item: Any                         # the view type inside `reply`
    stream: bool
    media: tuple[str, ...]            # content types accepted for the body
    check: bool                       # False: the handler asks `ctx.must_allow` itself
    strict: Version | None            # since when strange parameters are refused, if before Service.strict_queries


class Options(TypedDict, total=False):
    """What a declaration may say; `Route` tells what each means."""

    policy: Rule | None
    status: int
    envelope: str
    bare_body: bool
    bulk: str
    action: str
    target: Target
    window: Window
    stream: bool
    media: tuple[str, ...]
    check: bool
    strict: Version


_JSON = ("application/json",)
_SPECIAL = ("ctx", "body", "query")


class Routes:
    """The routes of one module; a service lists them in its manifest."""

    def __init__(self, *more: Routes) -> None:
        self.all: list[Route] = [route for routes in more for route in routes.all]

    def add(self, method: str, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Declare the handler of `method` `path`."""
        target = options.get("target")

        def declare(handler: H) -> H:
            hints = typing.get_type_hints(handler, include_extras=True)
            in_path = {part[1:-1] for part in path.split("/") if part[:1] == "{"}
            taken = target.takes() if target else ()
            free = [n for n in inspect.signature(handler).parameters
                    if n not in _SPECIAL and (n not in in_path or n in taken)]
            reply = hints.get("return")
            defaults: Any = {"status": 200, "envelope": None, "bare_body": False, "bulk": None, "action": None,
                             "target": None, "window": ALWAYS, "stream": False, "media": _JSON, "check": True,
                             "strict": None}
            self.all.append(Route(
                method=method, path=path, handler=handler, target_name=free[0] if free and target else None,
                target_takes=taken, body=hints.get("body"), query=hints.get("query"), reply=reply, item=_item(reply),
                **defaults | options))
            return handler
        return declare

    def get(self, path: str, **more: Unpack[Options]) -> Callable[[H], H]:
        return self.add("GET", path, **more)

    def head(self, path: str, **more: Unpack[Options]) -> Callable[[H], H]:
        return self.add("HEAD", path, **more)

    def post(self, path: str, **more: Unpack[Options]) -> Callable[[H], H]:
        return self.add("POST", path, **more)

    def put(self, path: str, **more: Unpack[Options]) -> Callable[[H], H]:
        return self.add("PUT", path, **more)

    def patch(self, path: str, **more: Unpack[Options]) -> Callable[[H], H]:
        return self.add("PATCH", path, **more)

    def delete(self, path: str, **more: Unpack[Options]) -> Callable[[H], H]:
        return self.add("DELETE", path, **Options(status=204) | more)

    def action(self, path: str, name: str, **more: Unpack[Options]) -> Callable[[H], H]:
        """POST `path` with a body whose one key is `name`; what stands under it is the handler's `body`."""
        return self.add("POST", path, **Options(status=202) | more | Options(action=name))


def _item(reply: Any) -> Any:
    """The view type of one thing: of Page[View] and list[View] it is View."""
    if typing.get_origin(reply) in (Page, list):
        return typing.get_args(reply)[0]
    return reply


METHODS = object()          # the key in a tree node that no path segment can equal


class RouteTree:
    """Finds routes by path segment; a literal segment beats a parameter."""

    def __init__(self, routes: Iterable[Route]):
        self._root: dict[Any, Any] = {}
        for route in routes:
            node, names = self._root, []
            for part in _segments(route.path):
                if part[:1] == "{":
                    names.append(part[1:-1])
                node = node.setdefault("*" if part[:1] == "{" else part, {})
            node.setdefault(METHODS, {}).setdefault(route.method, []).append((route, names))

    def find(self, path: str) -> tuple[dict[str, list[tuple[Route, list[str]]]], list[str]] | None:
        """The routes of a path by method, and the values of its parameters in order; None when no route has it."""
        return self._find(self._root, _segments(path), 0, [])

    def _find(self, node: dict[Any, Any], parts: list[str], at: int, values: list[str]) -> Any:
        if at == len(parts):
            return (node[METHODS], values) if METHODS in node else None
        found = None
        if parts[at] in node and parts[at] != "*":
            found = self._find(node[parts[at]], parts, at + 1, values)
        if found is None and "*" in node and parts[at]:
            found = self._find(node["*"], parts, at + 1, [*values, parts[at]])
        return found


def _segments(path: str) -> list[str]:
    stripped = path.strip("/")
    return stripped.split("/") if stripped else []
