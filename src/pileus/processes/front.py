"""What answers at / : where the APIs are, and whether the cloud is well."""

from __future__ import annotations

import html

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SERVICES = (("identity", "/identity/v3", "Keystone"), ("compute", "/compute/v2.1", "Nova"),
            ("network", "/network/v2.0", "Neutron"), ("image", "/image", "Glance"),
            ("block-storage", "/volume/v3", "Cinder"), ("load-balancer", "/load-balancer", "Octavia"),
            ("placement", "/placement", "Placement"))
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pileus</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1.2rem; }}
h1 {{ margin-bottom: 0; }}
h2 {{ margin-top: 2rem; font-size: 1.1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid #8884; }}
pre {{ background: #8882; padding: .8rem 1rem; border-radius: .4rem; overflow-x: auto; }}
</style>
</head>
<body>
<h1>Pileus</h1>
<p>This cloud speaks the OpenStack APIs, all of them on this port.</p>
<h2>Services</h2>
<table>
<tr><th scope="col">Service</th><th scope="col">Known as</th><th scope="col">Address</th></tr>
{rows}
</table>
<h2>Use it</h2>
<p>The passwords were made at the first start. They are in <code>clouds.yaml</code> in the folder
that <code>pileus status</code> names.</p>
<pre>export OS_CLIENT_CONFIG_FILE=FOLDER/clouds.yaml OS_CLOUD=pileus
openstack server list</pre>
<p><code>pileus shell</code> opens a shell where floating IPs answer; <code>pileus trace ID</code> tells what happened
to a server; <code>pileus doctor</code> tells what this machine lacks.</p>
</body>
</html>
"""
ROW = '<tr><td>{type}</td><td>{name}</td><td><a href="{url}">{url}</a></td></tr>'


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
        headers = {"vary": "Accept"}
        if "text/html" not in request.headers.get("accept", ""):
            body = msgspec.json.encode({"cloud": "Pileus", "services": services})
            return Response(body, headers=headers, media_type="application/json")
        rows = "\n".join(ROW.format(**{key: html.escape(text) for key, text in each.items()}) for each in services)
        return Response(PAGE.format(rows=rows), headers=headers, media_type="text/html")
