"""The metadata service: what a guest asks of 169.254.169.254, passed on by the network agent of its host.

The agent knows which port a request came from and says so in signed headers; guests cannot reach this application
themselves, and a request without the signature is refused.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pileus.compute import guest_data, nics, vendor_data, volumes
from pileus.compute.guest_data import EC2_VERSIONS, FILES_SINCE, OPENSTACK_VERSIONS
from pileus.compute.model import hosts, passwords, servers
from pileus.compute.model.servers import Server
from pileus.compute.runtime import Compute
from pileus.kit import db
from pileus.kit.numbers import digits

SERVER_HEADER, PROJECT_HEADER, SIGNATURE_HEADER = "x-instance-id", "x-tenant-id", "x-instance-id-signature"


def signature(secret: bytes, server_id: str) -> str:
    return hmac.new(secret, server_id.encode(), hashlib.sha256).hexdigest()


def signed_headers(secret: bytes, server_id: str, project_id: str) -> dict[str, str]:
    """What the agent sends along."""
    return {SERVER_HEADER: server_id, PROJECT_HEADER: project_id, SIGNATURE_HEADER: signature(secret, server_id)}


class MetadataApp:
    """ASGI application; mounted beside the Compute API."""

    def __init__(self, compute: Compute, secret: bytes):
        self.compute, self.secret = compute, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        server_id = request.headers.get(SERVER_HEADER, "")
        given = request.headers.get(SIGNATURE_HEADER, "")
        if not hmac.compare_digest(given.encode(), signature(self.secret, server_id).encode()):
            return Response("Forbidden", 403, media_type="text/plain")
        async with self.compute.db.read() as reader:
            server = await servers.find(reader, server_id)
            zones = await hosts.zones(reader, self.compute.config.default_zone)
        if server is None or server.project_id != request.headers.get(PROJECT_HEADER, ""):
            return Response("Not found", 404, media_type="text/plain")
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
        parts = [p for p in path.split("/") if p]
        if request.method == "POST" and _is_password(parts):
            return await self._set_password(server, await request.body())
        if request.method not in ("GET", "HEAD"):
            return Response("Method not allowed", 405, media_type="text/plain")
        found = await self._look_up(server, zones.get(server.host or "", ""), parts)
        if found is None:
            return Response("Not found", 404, media_type="text/plain")
        body, media = found
        return Response(body, 200, media_type=media)

    async def _set_password(self, server: Server, body: bytes) -> Response:
        """Once: what a guest said first stays until its owner clears it."""
        if len(body) > passwords.MOST_BYTES:
            return Response("Request is too large.", 400, media_type="text/plain")
        try:
            password = body.decode()
        except UnicodeDecodeError:
            password = "\0"
        if "\0" in password:
            return Response("The password is no UTF-8 text.", 400, media_type="text/plain")
        if not password:
            return Response(b"", 200, media_type="text/plain")
        try:
            async with self.compute.db.write() as tx:
                await passwords.add(tx, server.id, password)
        except db.Taken:
            return Response("There is a password already.", 409, media_type="text/plain")
        return Response(b"", 200, media_type="text/plain")

    async def _look_up(self, server: Server, zone: str, parts: list[str]) -> tuple[bytes, str] | None:
        if not parts:
            return "\n".join(EC2_VERSIONS).encode(), "text/plain"
        if parts[0] == "openstack":
            return await self._openstack(server, zone, parts[1:])
        return _ec2(server, zone, parts)

    async def _openstack(self, server: Server, zone: str, parts: list[str]) -> tuple[bytes, str] | None:
        if not parts:
            return "\n".join(OPENSTACK_VERSIONS).encode(), "text/plain"
        if parts[0] == "content" and len(parts) == 2:
            return _content(server, parts[1])
        if parts[0] not in OPENSTACK_VERSIONS:
            return None
        names = ["meta_data.json", *(name for name, since in FILES_SINCE.items() if since <= parts[0]),
                 *(["user_data"] if server.user_data is not None else [])]
        if len(parts) == 1:
            return "\n".join(names).encode(), "text/plain"
        if len(parts) != 2 or parts[1] not in names:
            return None
        return await self._file(server, zone, *parts)

    async def _file(self, server: Server, zone: str, version: str, name: str) -> tuple[bytes, str]:
        if name == "meta_data.json":
            tagged = await volumes.tagged(self.compute, server.id)
            return msgspec.json.encode(guest_data.meta_data(server, zone, tagged, version=version)), "application/json"
        if name == "network_data.json":
            links = await nics.links(self.compute, server)
            return msgspec.json.encode(guest_data.network_data(links)), "application/json"
        if name == "user_data":
            return guest_data.user_data(server) or b"", "application/octet-stream"
        if name == "password":
            async with self.compute.db.read() as reader:
                return (await passwords.find(reader, server.id)).encode(), "text/plain"
        vendor = await (vendor_data.from_file(self.compute) if name == "vendor_data.json"
                        else vendor_data.of_all(self.compute, server))
        return msgspec.json.encode(vendor), "application/json"


def _is_password(parts: list[str]) -> bool:
    return len(parts) == 3 and parts[0] == "openstack" and parts[1] in OPENSTACK_VERSIONS and parts[2] == "password"


def _content(server: Server, name: str) -> tuple[bytes, str] | None:
    files = server.personality or ()
    number = digits(name)
    if number is None or number >= len(files):
        return None
    return guest_data.file_content(files[number]), "application/octet-stream"


def _ec2(server: Server, zone: str, parts: list[str]) -> tuple[bytes, str] | None:
    if parts[0] not in EC2_VERSIONS:
        return None
    if len(parts) == 1:
        return b"meta-data/\nuser-data" if server.user_data is not None else b"meta-data/", "text/plain"
    if parts[1] == "user-data" and len(parts) == 2:
        own = guest_data.user_data(server)
        return None if own is None else (own, "application/octet-stream")
    if parts[1] != "meta-data":
        return None
    node: Any = guest_data.ec2_tree(server, zone)
    for part in parts[2:]:
        if not isinstance(node, dict):
            return None
        # A key is listed as "0=name" and asked for as "0".
        node = node.get(part, next((v for k, v in node.items() if k.partition("=")[0] == part and "=" in k), None))
        if node is None:
            return None
    if isinstance(node, dict):
        listed = [key if "=" in key or not isinstance(value, dict) else f"{key}/" for key, value in node.items()]
        return "\n".join(listed).encode(), "text/plain"
    return str(node).encode(), "text/plain"
