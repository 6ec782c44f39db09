"""Speaking to a service's REST API: in-process by ASGI when it lives here, over HTTP when it does not."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, ClassVar, Protocol
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from pileus.kit import context

Headers = Mapping[str, str]
TokenSource = Callable[[], Awaitable[str]]
RETRIES = 3                         # of idempotent requests that met a broken connection or a 503


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]          # lower-case names
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None


class Refused(Exception):
    """The service answered 4xx or 5xx."""

    def __init__(self, service: str, reply: Reply):
        self.status, self.reply = reply.status, reply
        self.message = _message(reply)
        super().__init__(f"{service}: {self.message} (HTTP {reply.status})")


class Unreachable(Exception):
    """The service did not answer; what was asked may or may not have happened."""


def _message(reply: Reply) -> str:
    """The sentence inside any of OpenStack's fault envelopes."""
    try:
        found = msgspec.json.decode(reply.body)
    except msgspec.DecodeError:
        return reply.body.decode(errors="replace")[:500]
    while isinstance(found, dict) and found:
        if isinstance(text := found.get("message") or found.get("detail"), str):
            return text
        found = next(iter(found.values()))
        if isinstance(found, list) and found:
            found = found[0]
    return str(found)


class Transport(Protocol):
    async def request(self, method: str, path: str, headers: Headers, body: bytes) -> Reply: ...

    def download(self, path: str, headers: Headers) -> AsyncIterator[bytes]:
        """The body in pieces; raises Refused before the first one."""
        ...

    async def upload(self, path: str, headers: Headers, pieces: AsyncIterator[bytes]) -> Reply:
        """PUT a body that comes in pieces."""
        ...


class AsgiTransport:
    """Calls an ASGI application of this process below the path `base`; no sockets, no copies of the body."""

    def __init__(self, app: Any, base: str = "", *, host: str = "localhost"):
        self.app, self.base, self.host = app, base, host

    def _scope(self, method: str, path: str, headers: Headers) -> dict[str, Any]:
        parts = urlsplit(self.base + path)
        named = [(b"host", self.host.encode()), *((k.lower().encode(), v.encode()) for k, v in headers.items())]
        return {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
                "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(),
                "root_path": "", "headers": named, "client": ("127.0.0.1", 0), "server": (self.host, 80),
                "inside": True}

    async def request(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        started: dict[str, Any] = {}
        parts: list[bytes] = []
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self.app(self._scope(method, path, headers), receive, send)
        return Reply(started["status"], _plain(started["headers"]), b"".join(parts))

    async def upload(self, path: str, headers: Headers, pieces: AsyncIterator[bytes]) -> Reply:
        started: dict[str, Any] = {}
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            piece = await anext(pieces, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self.app(self._scope("PUT", path, headers), receive, send)
        return Reply(started["status"], _plain(started["headers"]), b"".join(parts))

    async def download(self, path: str, headers: Headers) -> AsyncIterator[bytes]:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=4)
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()         # a disconnect that never comes
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def serve() -> None:
            try:
                await self.app(self._scope("GET", path, headers), receive, messages.put)
            finally:
                await messages.put({"type": "end"})

        task = asyncio.create_task(serve())
        try:
            start = await messages.get()
            if start["type"] == "end":
                await task
                raise Unreachable(path)
            if start["status"] >= 400:
                body = b""
                while (message := await messages.get())["type"] != "end":
                    body += message.get("body", b"")
                raise Refused(path, Reply(start["status"], _plain(start["headers"]), body))
            while (message := await messages.get())["type"] != "end":
                if piece := message.get("body", b""):
                    yield piece
            await task
        finally:
            task.cancel()


@functools.cache
def trust() -> ssl.SSLContext:
    """The authorities that vouch for servers: to read them takes 20 ms, in which a process does nothing else."""
    return httpx.create_ssl_context()


class HttpTransport:
    """Calls a service at `base_url`, which ends with the service's path."""

    def __init__(self, base_url: str, *, timeout: float = 60.0):
        self._client = httpx.AsyncClient(base_url=base_url, timeout=timeout, verify=trust())

    async def request(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        try:
            answer = await self._client.request(method, path, headers=dict(headers), content=body)
        except httpx.TransportError as error:
            raise Unreachable(f"{method} {path}: {error!r}") from error
        return Reply(answer.status_code, dict(answer.headers), answer.content)

    async def download(self, path: str, headers: Headers) -> AsyncIterator[bytes]:
        try:
            async with self._client.stream("GET", path, headers=dict(headers)) as answer:
                if answer.status_code >= 400:
                    raise Refused(path, Reply(answer.status_code, dict(answer.headers), await answer.aread()))
                async for piece in answer.aiter_raw(1 << 20):
                    yield piece
        except httpx.TransportError as error:
            raise Unreachable(f"GET {path}: {error!r}") from error

    async def upload(self, path: str, headers: Headers, pieces: AsyncIterator[bytes]) -> Reply:
        try:
            answer = await self._client.put(path, headers=dict(headers), content=pieces)
        except httpx.TransportError as error:
            raise Unreachable(f"PUT {path}: {error!r}") from error
        return Reply(answer.status_code, dict(answer.headers), answer.content)

    async def close(self) -> None:
        await self._client.aclose()


def _plain(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in headers}


class Client:
    """Base of the typed clients in `pileus.<service>.client`; carries the request id of the work it serves."""

    service: ClassVar[str]
    headers: ClassVar[Headers] = {}

    def __init__(self, transport: Transport, token: TokenSource, *, backoff: float = 0.2):
        self.transport, self._token, self._backoff = transport, token, backoff

    def as_caller(self, token: str) -> Any:
        """The same client acting with somebody's own token."""
        async def given() -> str:
            return token
        return type(self)(self.transport, given)

    async def call(self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None,
                   expect: tuple[int, ...] = ()) -> Any:
        """The decoded answer. Raises Refused for 4xx and 5xx unless the status is in `expect` (then None for a 404)."""
        if query:
            path += "?" + urlencode(query, doseq=True)
        raw = msgspec.json.encode(body) if body is not None else b""
        reply = await self._send(method, path, raw)
        if reply.status >= 400:
            if reply.status in expect:
                return None if reply.status == 404 else reply.json()
            raise Refused(self.service, reply)
        return reply.json()

    async def _send(self, method: str, path: str, raw: bytes) -> Reply:
        tries = 1 if method in ("POST", "PATCH") else RETRIES
        for attempt in range(1, tries + 1):
            try:
                reply = await self.transport.request(method, path, await self._all_headers(raw), raw)
            except Unreachable:
                if attempt == tries:
                    raise
            else:
                if reply.status != 503 or attempt == tries:
                    return reply
            await asyncio.sleep(self._backoff * 2 ** attempt)
        raise AssertionError("not reached")

    async def _all_headers(self, raw: bytes) -> dict[str, str]:
        headers = {"x-auth-token": await self._token(), "accept": "application/json", **self.headers}
        if raw:
            headers["content-type"] = "application/json"
        if asked_by := context.request_id.get():
            headers["x-openstack-request-id"] = asked_by
        return headers
