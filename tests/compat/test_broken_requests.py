"""What only a socket can send: bodies that break off, lengths that contradict each other, clients that dawdle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket

import pytest

from pileus.kit.serve import Server
from tests.compat.cloud import running_cloud, until

REQUEST_ID = re.compile(rb"x-openstack-request-id: req-[0-9a-f-]{36}")


@pytest.fixture
async def served(tmp_path):
    """A cloud behind the real server, its port, and the folder of its images."""
    logging.getLogger("pileus").setLevel(logging.ERROR)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with running_cloud(tmp_path) as cloud:
            server = Server(cloud.services.site, [listener])
            serving = asyncio.create_task(server.run_until_stopped())
            yield cloud, listener.getsockname()[1], tmp_path / "images"
            await server.stop()
            await serving


@contextlib.asynccontextmanager
async def connected(port: int):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()                          # what was not taken is not to be waited for


def head(method: str, path: str, token: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: cloud", f"x-auth-token: {token}", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def answered(port: int, sent: bytes) -> tuple[int, bytes]:
    """Status and all of an answer; the connection must be closed or the answer be complete in time."""
    async with connected(port) as (reader, writer), asyncio.timeout(20):
        writer.write(sent)
        got = await reader.readuntil(b"\r\n\r\n")
        if found := re.search(rb"content-length: (\d+)", got):
            got += await reader.readexactly(int(found[1]))
        return int(got.split()[1]), got


@pytest.mark.parametrize("beginning", [
    ("content-length: 9000000", bytes(5_000_000)),
    ("transfer-encoding: chunked", b"4c4b40\r\n" + bytes(5_000_000) + b"\r\n"),
    ("transfer-encoding: chunked", b"4c4b40\r\n" + bytes(100)),
    ("content-length: 9000000", b"")], ids=["length", "between-chunks", "in-a-chunk", "before-the-body"])
async def test_an_upload_that_breaks_off_leaves_nothing(served, beginning):
    cloud, port, folder = served
    header, content = beginning
    image = (await cloud.call("POST", "/image/v2/images", {
        "name": "i", "disk_format": "raw", "container_format": "bare"})).json()["id"]

    async def status() -> str:
        return (await cloud.call("GET", f"/image/v2/images/{image}")).json()["status"]

    async def saving() -> bool:
        return await status() == "saving"

    async def as_before() -> bool:
        return await status() == "queued" and not [path for path in folder.rglob("*") if path.is_file()]
    async with connected(port) as (_, writer):
        writer.write(head("PUT", f"/image/v2/images/{image}/file", await cloud.admin(), header,
                          "content-type: application/octet-stream") + content)
        await writer.drain()
        await until(saving)
        writer.transport.abort()
    await until(as_before)
    again = await cloud.call("PUT", f"/image/v2/images/{image}/file", content=b"whole",
                             headers={"content-type": "application/octet-stream"})
    assert again.status_code == 204 and await status() == "active"


@pytest.mark.parametrize("headers", [
    ("content-length: 2", "content-length: 3"), ("content-length: -1",), ("content-length: x",),
    ("content-length: 2", "transfer-encoding: chunked"), ("x" * 5 + "\0: 1",), ("no colon",)])
async def test_requests_that_are_none_are_refused_and_others_served(served, headers):
    cloud, port, _ = served
    status, got = await answered(port, head("POST", "/network/v2.0/networks", await cloud.admin(), *headers) + b"{}")
    assert status == 400, got
    assert (await answered(port, head("GET", "/network/v2.0/networks", await cloud.admin())))[0] == 200


@pytest.mark.parametrize(("service", "path"), [
    ("identity", "/v3/projects"), ("placement", "/resource_providers"), ("image", "/v2/images"),
    ("network", "/v2.0/networks"), ("compute", "/v2.1/servers")])
async def test_bodies_over_the_limit(served, service, path):
    cloud, port, _ = served
    limit = next(one.service.body_bytes for one in cloud.services.runtimes if one.service.name == service)
    media = "content-type: application/json"
    declared = head("POST", f"/{service}{path}", await cloud.admin(), media, f"content-length: {limit + 1}")
    size = f"{limit + 1:x}\r\n".encode()
    chunked = head("POST", f"/{service}{path}", await cloud.admin(), media, "transfer-encoding: chunked") + size
    for sent in (declared, chunked + b" " * (limit + 1) + b"\r\n0\r\n\r\n"):
        status, got = await answered(port, sent)
        assert status == 413 and REQUEST_ID.search(got), got[:500]
        assert service == "image" or str(limit) in json.dumps(json.loads(got.partition(b"\r\n\r\n")[2]))


async def test_who_dawdles_keeps_nobody_waiting(served):
    cloud, port, _ = served
    body = json.dumps({"network": {"name": "slow"}}).encode()
    async with connected(port) as (reader, writer):
        writer.write(head("POST", "/network/v2.0/networks", await cloud.admin(), f"content-length: {len(body)}",
                          "content-type: application/json") + body[:5])
        await writer.drain()
        assert (await answered(port, head("GET", "/network/v2.0/networks", await cloud.admin())))[0] == 200
        writer.write(body[5:])
        async with asyncio.timeout(20):
            assert b" 201 " in (await reader.readuntil(b"\r\n"))
