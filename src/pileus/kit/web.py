"""The ASGI application of one service: negotiates, authenticates, authorises, decodes, calls the handler, encodes."""

from __future__ import annotations

import asyncio
import functools
import hmac
import logging
import re
import time
import typing
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pileus.kit import certificates, context, faults
from pileus.kit.caller import Authenticator, Caller
from pileus.kit.certificates import ClientCertificates, ProxyConfig
from pileus.kit.db import Collision
from pileus.kit.ids import new_request_id
from pileus.kit.routes import Page, Route
from pileus.kit.service import Runtime
from pileus.kit.versions import Version, at, moved, outside, parse

log = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
COLLISIONS = 5                  # how often a handler is run again when the database chose another transaction
_NOBODY = Caller(user_id="")
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Ctx:
    """One request: who asks, as of which version, and the runtime that serves it."""

    def __init__(self, runtime: Any, request: Request, version: Version, request_id: str):
        self.app, self.request, self.version, self.request_id = runtime, request, version, request_id
        self.caller = _NOBODY
        self.strict = True                           # unknown fields are refused
        self.db, self.sagas, self.clock = runtime.db, runtime.sagas, runtime.clock
        self.headers: dict[str, str] = {}            # added to the answer
        self.status: int | None = None               # instead of the route's
        self.spans: list[tuple[str, float, float]] = []
        self._allowed: dict[str, bool] = {}          # rules asked of no target in particular
        self.handler = ""                            # its name, once the route is found
        self.named_project = ""                      # which the path names though the token says it
        self._mark = time.time()

    def span(self, name: str) -> None:
        """The time since the last span (or the beginning) went into `name`."""
        now = time.time()
        self.spans.append((name, self._mark, now))
        self._mark = now
        self.reach(f"{name}:after")

    def reach(self, moment: str) -> None:
        """A point at which a crash must do no harm, as in sagas: for fault injection."""
        self.sagas.reach(f"{self.app.service.name}.api:{self.handler}:{moment}")

    @functools.cached_property
    def base_url(self) -> str:
        """Scheme, host and mount point of this service, as the client addressed it; no slash at the end."""
        return f"{self.origin}{self.request.scope.get('root_path', '')}"

    @property
    def origin(self) -> str:
        return f"{self.request.scope.get('scheme', 'http')}://{self.request.headers.get('host', 'localhost')}"

    def allows(self, rule: str, target: dict[str, Any] | None = None) -> bool:
        if target is not None:
            return self.app.policy.allows(rule, self.caller.credentials, target)
        if rule not in self._allowed:
            self._allowed[rule] = self.app.policy.allows(rule, self.caller.credentials, self.caller.credentials)
        return self._allowed[rule]

    def must_allow(self, rule: str, target: dict[str, Any] | None = None) -> None:
        if not self.allows(rule, target):
            raise faults.PolicyRefused(rule=rule)

    @property
    def certificate(self) -> bytes | None:
        """By which the client proved to a proxy who it is."""
        return self.request.scope.get(certificates.SCOPE)

    def shows(self, thumbprint: str) -> bool:
        der = self.certificate
        return der is not None and hmac.compare_digest(certificates.thumbprint(der), thumbprint)

    def url_with(self, **changes: str | None) -> str:
        """This request's URL with query parameters replaced (or, for None, taken out)."""
        pairs = [(k, v) for k, v in self.request.query_params.multi_items() if k not in changes]
        pairs += [(k, v) for k, v in changes.items() if v is not None]
        path = self.request.scope["path"]
        root = self.request.scope.get("root_path", "")
        return f"{self.base_url}{quote(path.removeprefix(root))}" + (f"?{urlencode(pairs)}" if pairs else "")


class WebApp:
    """ASGI application of one service."""

    def __init__(self, runtime: Runtime, authenticate: Authenticator):
        self.runtime, self.service, self.authenticate = runtime, runtime.service, authenticate
        self.ledger = runtime.service.ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        asked = request.headers.get("x-openstack-request-id", "")
        request_id = asked if REQUEST_ID.fullmatch(asked) else new_request_id()
        known = context.request_id.set(request_id)
        ctx = Ctx(self.runtime, request, self.ledger.oldest, request_id)
        try:
            response = await self._answer(ctx)
            for name, value in self._headers(ctx).items():
                response.headers.setdefault(name, value)
            await response(scope, receive, send)
        except ClientDisconnect:
            log.info("the client went away: %s %s", request.method, request.url.path)
        finally:
            context.request_id.reset(known)

    async def _answer(self, ctx: Ctx) -> Response:
        try:
            return await self._respond(ctx)
        except faults.Fault as fault:
            return self._refuse(ctx, fault)
        except (ClientDisconnect, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", ctx.request.method, ctx.request.url.path)
            return self._refuse(ctx, faults.Fault())

    def _refuse(self, ctx: Ctx, fault: faults.Fault) -> Response:
        body, media = self.service.envelope(ctx, fault)
        if isinstance(fault, faults.Unauthorized):
            fault.headers.setdefault("www-authenticate", f'Keystone uri="{ctx.origin}/identity/v3"')
        return Response(body, fault.status, fault.headers, media)

    def _headers(self, ctx: Ctx) -> dict[str, str]:
        headers = {"x-openstack-request-id": ctx.request_id} | self.service.headers(ctx)
        if len(self.ledger.entries) > 1:
            headers["openstack-api-version"] = f"{self.ledger.service_type} {ctx.version}"
            headers["vary"] = "OpenStack-API-Version"
            if self.ledger.header:
                headers[self.ledger.header] = str(ctx.version)
                headers["vary"] += f", {self.ledger.header}"
        return headers

    async def _respond(self, ctx: Ctx) -> Response:
        path = self._path(ctx)
        if ctx.strict:
            ctx.version = self._negotiate(ctx.request)
        by_method, values = self._find(path)
        if ctx.request.method == "POST" and any(route.action for route, _ in by_method.get("POST", ())):
            raw = await self._body(ctx)
            route, names = self._by_action(ctx, by_method["POST"], raw)
        else:
            raw = None
            route, names = self._by_method(ctx, by_method)
        ctx.handler = route.handler.__name__
        ctx.reach("authenticate:before")
        params: dict[str, Any] = dict(zip(names, values, strict=True))
        if route.policy is not None:
            ctx.caller = await self._caller(ctx, path)
            self.service.admit(ctx)
        await self._authorize(ctx, route, params)
        ctx.span("authenticate")
        self._refuse_strangers(ctx, route)
        if route.query is not None:
            params["query"] = self._query(ctx, route)
        single = True
        if route.body is not None and not route.stream:
            params["body"], single = self._read(ctx, route, await self._body(ctx) if raw is None else raw)
        result = await self._run(ctx, route, params)
        ctx.reach("answer:before")
        if isinstance(result, Response):
            return result
        status = ctx.status or route.status
        if result is None:
            return Response(status_code=status, headers=ctx.headers)
        if route.bulk and single:
            result = result[0]
        return Response(self._write(ctx, route, result), status, ctx.headers, "application/json")

    async def _run(self, ctx: Ctx, route: Route, params: dict[str, Any]) -> Any:
        """Handlers end in one transaction, so one that the database gave up can simply be run again."""
        for left in reversed(range(COLLISIONS)):
            try:
                return await route.handler(ctx, **params)
            except Collision:
                if not left or route.stream:
                    raise faults.Conflict(reason="Too many requests change this at once; try again.") from None
                await asyncio.sleep(0.01 * (COLLISIONS - left))
        raise AssertionError("not reached")

    # -- which route ------------------------------------------------------------------------

    def _negotiate(self, request: Request) -> Version:
        wanted = request.headers.get(self.ledger.header) if self.ledger.header else None
        for part in request.headers.get("openstack-api-version", "").split(","):
            kind, _, text = part.strip().partition(" ")
            if kind.lower() == self.ledger.service_type:
                wanted = text.strip()
        if wanted is None or wanted == "":
            return self.ledger.oldest
        if wanted == "latest":
            return self.ledger.newest
        try:
            version = parse(wanted)
        except ValueError as error:
            raise faults.BadRequest(reason=str(error)) from None
        if not self.ledger.oldest <= version <= self.ledger.newest:
            raise faults.NotAcceptable(wanted=wanted, oldest=self.ledger.oldest, newest=self.ledger.newest)
        return version

    def _path(self, ctx: Ctx) -> str:
        """The path inside the service. One of the API before versions stands for one of the oldest version, and what
        the client says that we do not know is passed over, as it was then."""
        scope = ctx.request.scope
        path = scope["path"].removeprefix(scope.get("root_path", "")).removesuffix(self.service.path_suffix)
        old, new = self.service.legacy or ("", "")
        if old and path.startswith(f"{old}/") and path != f"{old}/":
            ctx.strict = False
            return new + path.removeprefix(old)
        return self.service.path(ctx, path)

    def _find(self, path: str) -> tuple[dict[str, list[tuple[Route, list[str]]]], list[str]]:
        found = self.service.tree.find(path) if "\0" not in path else None      # PostgreSQL takes no NUL in a text
        if found is None:
            raise faults.NotFound()
        return found

    def _by_method(self, ctx: Ctx, by_method: dict[str, list[tuple[Route, list[str]]]]) -> tuple[Route, list[str]]:
        alive = {method: kept for method, routes in by_method.items()
                 if (kept := [entry for entry in routes if entry[0].window.holds(ctx.version)])}
        if not alive:
            raise faults.NotFound()
        if ctx.request.method not in alive:
            if ctx.request.scope["path"].endswith("/"):       # a thing whose id is empty, not the list of all
                raise faults.NotFound()
            fault = faults.MethodNotAllowed(method=ctx.request.method)
            fault.headers["allow"] = ", ".join(sorted(alive))
            raise fault
        return alive[ctx.request.method][0]

    def _by_action(self, ctx: Ctx, routes: list[tuple[Route, list[str]]], raw: bytes) -> tuple[Route, list[str]]:
        """Actions are told apart by the one key of the body."""
        outer = _decode_object(raw)
        if len(outer) != 1:
            raise faults.BadRequest(reason="Expected one object with the name of one action.")
        name = next(iter(outer))
        for route, names in routes:
            if route.action == name and route.window.holds(ctx.version):
                return route, names
        raise faults.BadRequest(reason=f"There is no such action: {name}")

    # -- who may ----------------------------------------------------------------------------

    async def _caller(self, ctx: Ctx, path: str) -> Caller:
        """A service that shows its own token beside its user's vouches for it."""
        token, vouching = (ctx.request.headers.get(name, "") for name in ("x-auth-token", "x-service-token"))
        if vouching and (await self.authenticate(vouching)).has("service"):
            return await self.authenticate(token, expired_ok=True)
        if not token and (known := await self.runtime.without_token(ctx)) is not None:
            return known
        caller = await self.authenticate(token)
        if caller.thumbprint and not ctx.request.scope.get("inside") and not ctx.shows(caller.thumbprint):
            raise faults.Unauthorized()
        if caller.access_rules:
            paths = (path, f"{ctx.request.scope.get('root_path', '')}{path}")
            if not caller.may_ask(self.service.type, ctx.request.method, paths):
                raise faults.Unauthorized()
        return caller

    async def _authorize(self, ctx: Ctx, route: Route, params: dict[str, Any]) -> None:
        """Load what the path names into `params` and ask policy; say 404 where the caller may not even know."""
        rule, target = route.policy, route.target
        if target is None:
            if rule is not None and route.check:
                ctx.must_allow(rule.name)
            return
        keys = {name: params.pop(name) for name in route.target_takes}
        try:
            async with ctx.db.read() as reader:
                found = await target.get(reader, **keys)
                granted = target.granted is not None and await target.granted(reader, found, ctx.caller)
        except faults.NotFound:
            if target.refuse is not None and rule is not None:
                ctx.must_allow(rule.name, dict(target.refuse(keys)))
            raise
        facts = dict(target.facts(found)) | ({"granted": True} if granted else {})
        if rule is not None and route.check and not ctx.allows(rule.name, facts):
            if target.refuse is None and not granted and target.hidden(found, ctx.caller):
                raise target.missing(**keys)
            raise faults.PolicyRefused(rule=rule.name)
        if route.target_name:
            params[route.target_name] = found

    # -- bodies -----------------------------------------------------------------------------

    async def _body(self, ctx: Ctx) -> bytes:
        limit = self.service.body_bytes
        declared = ctx.request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            raise faults.TooLarge(limit_bytes=limit)
        parts, size = [], 0
        async for chunk in ctx.request.stream():
            size += len(chunk)
            if size > limit:
                raise faults.TooLarge(limit_bytes=limit)
            parts.append(chunk)
        return b"".join(parts)

    def _read(self, ctx: Ctx, route: Route, raw: bytes) -> tuple[Any, bool]:
        """The body as the handler's type, and whether it was a single thing (not a bulk list)."""
        sent = ctx.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if raw and sent and sent not in route.media:
            raise faults.UnsupportedMedia(found=sent, wanted=" or ".join(route.media))
        try:
            if route.action:
                return self._decode(_decode_object(raw)[route.action], route.body, ctx), True
            if route.envelope is None or route.bare_body:
                return self._decode(raw, route.body, ctx), True
            outer = _decode_object(raw)
            if route.bulk and set(outer) == {route.bulk}:
                return self._decode(_unwrapped(outer[route.bulk], route.envelope), route.body, ctx), False
            if set(outer) != {route.envelope}:
                raise msgspec.ValidationError(f"Expected one object named {route.envelope}")
            if route.bulk:
                return [self._decode(outer[route.envelope], typing.get_args(route.body)[0], ctx)], True
            return self._decode(outer[route.envelope], route.body, ctx), True
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:   # ValidationError is a DecodeError
            raise faults.BadRequest(reason=_readable(error)) from None

    def _decode(self, raw: Any, kind: Any, ctx: Ctx) -> Any:
        narrow = at(kind, ctx.version, strict=ctx.strict)
        value = msgspec.json.decode(raw, type=narrow, strict=self.service.strict_types)
        return value if narrow is kind else moved(value, kind)

    def _refuse_strangers(self, ctx: Ctx, route: Route) -> None:
        """Handlers that take a dict know themselves what may be in it."""
        since = route.strict or (self.service.strict_queries if route.method == "GET" else None)
        given = ctx.request.query_params
        if not given or since is None or ctx.version < since or typing.get_origin(route.query) is dict:
            return
        taken = msgspec.structs.fields(at(route.query, ctx.version)) if route.query else ()
        if unknown := sorted(set(given) - {field.encode_name for field in taken}):
            raise faults.BadRequest(
                reason=f"Additional properties are not allowed ({', '.join(map(repr, unknown))} unexpected)")

    def _query(self, ctx: Ctx, route: Route) -> Any:
        given: dict[str, Any] = {}
        for key, value in ctx.request.query_params.multi_items():
            given.setdefault(key, []).append(value)
        if typing.get_origin(route.query) is dict:
            return given
        narrow = at(route.query, ctx.version)
        lists = _list_fields(narrow)
        values = {key: found if key in lists else found[-1] for key, found in given.items()}
        try:
            value = msgspec.convert(values, narrow, strict=False)
        except msgspec.ValidationError as error:
            raise faults.BadRequest(reason=f"Invalid query: {_readable(error)}") from None
        return value if narrow is route.query else moved(value, route.query)

    def _write(self, ctx: Ctx, route: Route, result: Any) -> bytes:
        fields = ctx.request.query_params.getlist("fields") if self.service.field_selection else []
        if isinstance(result, Page):
            items = [self._view(item, route.item, ctx.version, fields) for item in result.items]
            links = self.service.page_links(ctx, route, result.next_marker)
            return msgspec.json.encode({route.envelope: items} | links | result.extra)
        if isinstance(result, list):
            views: Any = [self._view(item, route.item, ctx.version, fields) for item in result]
            key = route.bulk or route.envelope
        else:
            views, key = self._view(result, route.item, ctx.version, fields), route.envelope
        return msgspec.json.encode({key: views} if key else views)

    @staticmethod
    def _view(item: Any, kind: Any, version: Version, fields: list[str]) -> Any:
        narrow = at(kind, version)
        view = item
        if narrow is not kind:
            unknown = outside(kind, version)
            if unknown is None:
                view = moved(item, narrow)
            else:
                for name in unknown:
                    setattr(item, name, msgspec.UNSET)
        if fields:
            whole = msgspec.to_builtins(view)
            return {name: whole[name] for name in fields if name in whole}
        return view


def _unwrapped(raw: msgspec.Raw, envelope: str) -> Any:
    """The bodies of a bulk list, each of which may be named as a single one is."""
    try:
        named = msgspec.json.decode(raw, type=list[dict[str, msgspec.Raw]])
    except msgspec.ValidationError:
        return raw
    if not any(set(each) == {envelope} for each in named):
        return raw
    return msgspec.json.encode([each.get(envelope, each) if set(each) == {envelope} else each for each in named])


def _decode_object(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _raw_object.decode(raw or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise faults.BadRequest(reason=_readable(error)) from None


def _readable(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return f"Malformed request body: {text}" if type(error) in (msgspec.DecodeError, UnicodeDecodeError) else text


_LISTS: dict[Any, frozenset[str]] = {}


def _list_fields(kind: Any) -> frozenset[str]:
    if kind not in _LISTS:
        _LISTS[kind] = frozenset(
            field.encode_name for field in msgspec.structs.fields(kind)
            if "list" in str(field.type))
    return _LISTS[kind]


class Site:
    """Services mounted by path on one port; the longest prefix wins, `` is the one for everything else."""

    def __init__(self, mounts: dict[str, Any]):
        self.mounts = mounts
        self.sockets: set[str] = set()           # those of them that speak over web sockets too
        self.certificates = ClientCertificates(ProxyConfig())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        first = "/" + scope["path"].lstrip("/").partition("/")[0]
        if scope["type"] == "websocket" and first not in self.sockets:
            await send({"type": "websocket.close"})
            return None
        app = self.mounts.get(first)
        if app is None:
            first, app = "", self.mounts[""]
        inner = dict(scope, root_path=scope.get("root_path", "") + first)
        inner[certificates.SCOPE] = self.certificates.of(scope)
        return await app(inner, receive, send)

    def mount_at_root(self, first: str, app: Any) -> None:
        """A path that others have decided on: the routes of `app` for it begin with it."""
        async def at_root(scope: Scope, receive: Receive, send: Send) -> None:
            await app(dict(scope, root_path=scope["root_path"].removesuffix(first)), receive, send)

        self.mounts[first] = at_root

    @staticmethod
    async def _lifespan(receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await send({"type": "lifespan.shutdown.complete"})
                return
