"""Consoles: an address opens the screen or the serial port of a guest, once, and only for who was given it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from pileus.compute import versions
from pileus.compute.consoles import ConsoleApp
from tests.compute.test_versions_of_changes import Changing
from tests.covers import covers


@pytest.fixture
async def cloud(whole):
    made = Changing(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


class Socket:
    """A web socket at the cloud's site, as its server would speak it."""

    def __init__(self, app: Any, url: str):
        parts = urlsplit(url)
        self.scope = {"type": "websocket", "path": parts.path, "query_string": parts.query.encode(), "headers": [],
                      "subprotocols": ["binary"], "root_path": "", "scheme": "ws"}
        self.app, self.inwards, self.outwards = app, asyncio.Queue[Any](), asyncio.Queue[Any]()

    @contextlib.asynccontextmanager
    async def open(self):
        self.inwards.put_nowait({"type": "websocket.connect"})
        task = asyncio.create_task(self.app(self.scope, self.inwards.get, self.outwards.put))
        try:
            yield await self.heard()
        finally:
            self.inwards.put_nowait({"type": "websocket.disconnect", "code": 1000})
            async with asyncio.timeout(10):
                await task

    async def heard(self) -> Any:
        async with asyncio.timeout(10):
            return await self.outwards.get()

    def say(self, data: bytes) -> None:
        self.inwards.put_nowait({"type": "websocket.receive", "bytes": data})


async def novnc(cloud, server_id: str) -> str:
    made = await cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"})
    return made["console"]["url"]


@pytest.mark.parametrize("there", [True, False])
async def test_the_page_of_a_screen(cloud, tmp_path, there):
    if there:
        (tmp_path / "novnc" / "core").mkdir(parents=True)
        (tmp_path / "novnc" / "core" / "rfb.js").write_text("export default class RFB {}")
    app = ConsoleApp(cloud.cloud.compute, tmp_path / "novnc")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://console") as browser:
        page, viewer = await browser.get("/vnc.html"), await browser.get("/novnc/core/rfb.js")
    assert "noVNC" in page.text and ("apt-get install" in page.text) is not there
    assert (page.status_code, viewer.status_code) == ((200, 200) if there else (503, 404))


@covers(versions.REMOTE_CONSOLES)
async def test_the_screen(cloud):
    server_id = await cloud.server()
    url = await novnc(cloud, server_id)
    assert (await cloud.http.get("/console/other")).status_code == 404
    (path,) = parse_qs(urlsplit(url).query)["path"]
    site = cloud.cloud.services.site
    socket = Socket(site, f"/{path}")
    async with socket.open() as accepted:
        assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "binary")
        assert (await socket.heard())["bytes"] == b"RFB 003.008\n"
        socket.say(b"RFB 003.008\n")
        assert (await socket.heard())["bytes"] == b"\x01\x01"
    async with Socket(site, f"/{path}").open() as refused:                # it opens once
        assert refused["type"] == "websocket.close"
    for wrong in ("/console/socket?token=guessed", "/console/socket", "/compute/v2.1"):
        async with Socket(site, wrong).open() as refused:
            assert refused["type"] == "websocket.close"
    assert await cloud.refuses(server_id, "os-getVNCConsole", {"type": "novnc"}, "2.6") in (400, 404)
    wish = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    assert await cloud.refused("POST", f"/servers/{server_id}/remote-consoles", wish, "2.5") == 404
    made = (await cloud.ok("POST", f"/servers/{server_id}/remote-consoles", wish, "2.6"))["remote_console"]
    assert (made["protocol"], made["type"]) == ("vnc", "novnc")
    for protocol, kind in (("vnc", "serial"), ("spice", "spice-html5"), ("rdp", "rdp-html5"), ("mks", "webmks")):
        wish = {"remote_console": {"protocol": protocol, "type": kind}}
        assert await cloud.refused("POST", f"/servers/{server_id}/remote-consoles", wish, "2.8") == 400
    await cloud.act(server_id, "os-stop")
    assert await cloud.refuses(server_id, "os-getVNCConsole", {"type": "novnc"}) == 409


async def test_the_serial_port(cloud):
    server_id = await cloud.server()
    made = await cloud.act(server_id, "os-getSerialConsole", {"type": "serial"})
    socket = Socket(cloud.cloud.services.site, made["console"]["url"])
    async with socket.open() as accepted:
        assert accepted["type"] == "websocket.accept"
        socket.say(b"hello")
        assert (await socket.heard())["bytes"] == b"hello"


@covers(versions.CONSOLE_TOKENS, versions.DIRECT_SPICE)
async def test_tokens(cloud):
    server_id = await cloud.server()
    (path,) = parse_qs(urlsplit(await novnc(cloud, server_id)).query)["path"]
    url = f"/os-console-auth-tokens/{path.rpartition('=')[2]}"
    assert await cloud.refused("GET", url, version="2.30", user="admin") == 404
    found = (await cloud.ok("GET", url, version="2.31", user="admin"))["console"]
    assert found["instance_uuid"] == server_id
    assert await cloud.refused("GET", url, version="2.31") == 403
    assert await cloud.refused("GET", f"{url}x", version="2.31", user="admin") == 404
    assert "tls_port" not in (await cloud.ok("GET", url, version="2.98", user="admin"))["console"]
    assert (await cloud.ok("GET", url, version="2.99", user="admin"))["console"]["tls_port"] is None
    wish = {"remote_console": {"protocol": "spice", "type": "spice-direct"}}
    for version, reason in (("2.98", "Invalid"), ("2.99", "Unavailable")):
        refused = await cloud.compute("POST", f"/servers/{server_id}/remote-consoles", wish, version)
        assert refused.json()["badRequest"]["message"].startswith(reason)
