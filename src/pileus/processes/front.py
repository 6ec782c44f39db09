"""What answers at / : where the APIs are, and whether the cloud is well."""

from __future__ import annotations

import html

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SERVICES = (("identity", "/identity/v3", "Keystone"), ("compute", "/compute/v2.1", "Nova"),
            ("network", "/network/v2.0", "Neutron"), ("image", "/image/v2", "Glance"),
            ("placement", "/placement", "Placement"))


class Front:
    """ASGI application for every path that belongs to no service."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await self._answer(request, scope["path"].rstrip("/"))(scope, receive, send)

    @staticmethod
    def _answer(request: Request, path: str) -> Response:
        if path == "/healthcheck":
            return Response("OK", media_type="text/plain")
        base = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
        if path:
            body = msgspec.json.encode({"error": {"code": 404, "title": "Not Found", "message":
                                                  f"No service is mounted here; see {base}/ for those that are."}})
            return Response(body, 404, media_type="application/json")
        services = [{"type": kind, "name": name, "url": base + at} for kind, at, name in SERVICES]
        if "text/html" not in request.headers.get("accept", ""):
            body = msgspec.json.encode({"cloud": "Pileus", "services": services})
            return Response(body, media_type="application/json")
        rows = "".join(f'<tr><td>{each["type"]}</td><td>{each["name"]}</td>'
                       f'<td><a href="{html.escape(each["url"])}">{html.escape(each["url"])}</a></td></tr>'
                       for each in services)
        return Response("<!doctype html><title>Pileus</title><style>body{font:16px sans-serif;margin:3em;color:#223}"
                        "td{padding:.3em 2em .3em 0}</style><h1>Pileus</h1><p>This cloud speaks the OpenStack APIs:</p>"
                        f"<table>{rows}</table>", media_type="text/html")
