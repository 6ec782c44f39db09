"""A real cloud for tests that hurt it: started, killed and looked at from outside, as an operator would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import pileus
from pileus.commands.rest import Api
from pileus.processes.build_guest_image import PREBUILT
from pileus.processes.databases import HOLE
from pileus.processes.fault_points import KILL_AT, PAUSE_AT
from pileus.processes.state import StateFolder
from pileus.sandbox import Sandbox
from pileus.sandbox.processes import Process

T = TypeVar("T")
SERVED_VOLUME = re.compile(rb'^qemu-storage-daemon.*"id":"volume".*"name":"([0-9a-f-]{36})"', re.DOTALL)
NAMED_BY_LIBVIRT = re.compile(rb"-name\0guest=([0-9a-f-]{36}),")
SOURCES = Path(pileus.__file__).parents[1]
BROKEN = (httpx.TransportError,)       # what a client sees of a cloud that dies


def wait(what: str, look: Callable[[], T], seconds: float = 30.0, every: float = 0.05) -> T:
    """The first true answer of `look`."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, f"{what} took longer than {seconds:g} s"
        time.sleep(every)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cloud:
    def __init__(self, folder: Path, image: Path | None, *, driver: str = "qemu", databases: str = ""):
        """`databases` is their URL, as it is configured, where this process reaches them; else they are files."""
        self.databases = databases
        self.state, self.driver, self.port = StateFolder(folder), driver, free_port()
        self.sandbox = Sandbox(folder)
        self.environment = {**os.environ, "PYTHONPATH": str(SOURCES)} | ({PREBUILT: str(image)} if image else {})
        self.pause_at = folder.with_name("pause-at")
        self.pause_at.write_text("")
        self.environment[PAUSE_AT] = str(self.pause_at)
        self._apis: dict[str, Api] = {}

    # -- life -------------------------------------------------------------------------------

    def command(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        name, *rest = words
        return subprocess.run(
            [sys.executable, "-m", "pileus", name, "--state", str(self.state.folder), *rest],
            env=self.environment | environment, capture_output=True, text=True, timeout=150, check=False,
            stdin=subprocess.DEVNULL)

    def up(self, *, kill_at: str = "") -> None:
        """Armed with a point at which it dies; `pause_at` is obeyed always."""
        points = {KILL_AT: kill_at} if kill_at else {}
        done = self.command("up", "--detach", "--port", str(self.port), "--driver", self.driver, **points)
        assert done.returncode == 0, done.stderr + done.stdout
        for api in self._apis.values():
            api.http.close()
            api.http = httpx.Client(timeout=30.0)

    def arm(self, point: str) -> None:
        """Have the cloud run with this point (or none) as where it dies."""
        process = self.process()
        if process is not None:
            words = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            armed = [word for word in words if word.startswith(f"{KILL_AT}=".encode())]
            if armed == ([f"{KILL_AT}={point}".encode()] if point else []):
                return
            self.kill()
        self.up(kill_at=point)

    def down(self) -> None:
        done = self.command("down")
        assert done.returncode == 0, done.stderr

    def destroy(self) -> None:
        done = self.command("destroy", "--yes")
        assert done.returncode == 0, done.stderr

    def process(self) -> Process | None:
        found = Process.read(self.state.process_file)
        return found if found is not None and found.alive else None

    def kill(self) -> None:
        process = self.process()
        assert process is not None, "the cloud does not run"
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        self.await_death()

    def await_death(self, seconds: float = 60.0) -> None:
        wait("the death of the cloud", lambda: self.process() is None, seconds, 0.01)

    # -- what users do ----------------------------------------------------------------------

    def api(self, user: str = "demo") -> Api:
        if user not in self._apis:
            self._apis[user] = Api(self.state, user)
        return self._apis[user]

    def image(self) -> dict[str, Any]:
        def active() -> list[dict[str, Any]]:
            return self.api().get("image", "/v2/images", visibility="public", status="active")["images"]
        return wait("the guest image", active, 180.0)[0]

    def add_image(self, user: str = "admin", visibility: str = "public") -> str:
        """The id of one with nothing on it: for hosts that only pretend, and guests that nobody wants anything of."""
        api = self.api(user)
        made = api.post("image", "/v2/images", {
            "name": "small", "disk_format": "raw", "container_format": "bare", "visibility": visibility})
        answer = api.http.put(f"{api.catalog['image']}/v2/images/{made['id']}/file", content=bytes(512),
                              headers={"x-auth-token": api.token, "content-type": "application/octet-stream"})
        assert answer.status_code == 204, answer.text
        return made["id"]

    def network(self) -> dict[str, Any]:
        return self.api().get("network", "/v2.0/networks", name="private")["networks"][0]

    def body(self, name: str, **more: Any) -> dict[str, Any]:
        flavors = {each["name"]: each["id"] for each in self.api().get("compute", "/flavors")["flavors"]}
        return {"server": {"name": name, "flavorRef": flavors["m1.nano"], "imageRef": self.image()["id"],
                           "networks": [{"uuid": self.network()["id"]}], **more}}

    def ask(self, body: dict[str, Any]) -> str:
        """Ask for a server; its id, or nothing where the cloud died before it could answer."""
        try:
            return self.api().post("compute", "/servers", body)["server"]["id"]
        except BROKEN:
            return ""

    def boot(self, name: str = "one", **more: Any) -> str:
        server_id = self.ask(self.body(name, **more))
        server = self.settled(server_id)
        assert server["status"] == "ACTIVE", server
        return server_id

    def show(self, server_id: str) -> dict[str, Any] | None:
        answer = self.api().call("GET", "compute", f"/servers/{server_id}", accept=(404,))
        return answer.get("server") if answer else None

    def settled(self, server_id: str, seconds: float = 90.0) -> dict[str, Any]:
        """The server, once nothing is being done to it."""
        def look() -> dict[str, Any] | None:
            found = self.show(server_id)
            assert found is not None, f"server {server_id} is gone"
            return found if found["status"] != "BUILD" and not found["OS-EXT-STS:task_state"] else None
        return wait(f"server {server_id}", look, seconds) or {}

    def status(self, server_id: str, wanted: str, seconds: float = 60.0) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.show(server_id)
            return found if found and found["status"] == wanted and not found["OS-EXT-STS:task_state"] else None
        return wait(f"{server_id} becoming {wanted}", look, seconds) or {}

    def act(self, server_id: str, action: str, body: Any = None) -> None:
        with contextlib.suppress(*BROKEN):
            self.api().post("compute", f"/servers/{server_id}/action", {action: body})

    def delete(self, server_id: str) -> None:
        with contextlib.suppress(*BROKEN):
            self.api().call("DELETE", "compute", f"/servers/{server_id}")

    def await_gone(self, server_id: str, seconds: float = 90.0) -> None:
        wait(f"the end of {server_id}", lambda: self.show(server_id) is None, seconds)

    def console(self, server_id: str) -> bytes:
        path = self.state.instances / "host-1" / server_id / "console.log"
        return path.read_bytes() if path.exists() else b""

    def await_login(self, server_id: str, said: bytes = b"") -> None:
        """The guest's system is up; `said` is what its console said before it was started."""
        def look() -> bool:
            console = self.console(server_id)
            return len(console) > len(said) and console.rstrip().endswith(b"login:")
        wait("the guest's login prompt", look, 120.0)

    def servers(self) -> dict[str, dict[str, Any]]:
        found = self.api("admin").get("compute", "/servers/detail", all_tenants="1")["servers"]
        return {server["id"]: server for server in found}

    # -- what is there ----------------------------------------------------------------------

    def rows(self, service: str, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Of a database, read without touching it."""
        if self.databases:
            return asyncio.run(_rows(self.databases.replace(HOLE, service), query, values))
        file = f"file:{self.state.folder}/db/{service}.sqlite?mode=ro"
        with contextlib.closing(sqlite3.connect(file, uri=True, timeout=10.0)) as connection:
            return connection.execute(query, values).fetchall()

    def inside(self, *command: str) -> str:
        done = subprocess.run(self.sandbox.argv(command), capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def links(self) -> dict[str, set[str]]:
        """Names of links by network namespace; the sandbox's own has no name."""
        told = self.inside(sys.executable, "-I", "-S", str(Path(__file__).with_name("look_inside.py")))
        return {namespace: set(links) for namespace, links in json.loads(told).items()}

    def guests(self) -> dict[str, list[int]]:
        """Processes of QEMU by the server they run, told by the folder they work in, or as libvirt names them."""
        found: dict[str, list[int]] = {}
        for pid, folder, words in self._residents():
            if b"qemu-system" in words and folder.is_relative_to(self.state.instances):
                found.setdefault(folder.name.removesuffix(" (deleted)"), []).append(pid)
            elif named := NAMED_BY_LIBVIRT.search(words):
                found.setdefault(named[1].decode(), []).append(pid)
        return found

    def libvirt(self) -> list[int]:
        """Processes of libvirtd."""
        return [pid for pid, _, words in self._residents() if words.startswith(b"libvirtd")]

    def balancers(self, balancer_id: str) -> list[int]:
        """Processes of HAProxy that run the load balancer."""
        return [pid for pid, folder, words in self._residents() if words.startswith(b"haproxy")
                and folder.is_relative_to(self.state.balancers) and folder.name == balancer_id]

    def served(self) -> dict[str, int]:
        """Volumes that storage daemons serve, and these."""
        return {named[1].decode(): pid for pid, _, words in self._residents()
                if (named := SERVED_VOLUME.search(words))}

    def strangers(self) -> list[str]:
        """Processes in the sandbox that are neither the cloud, nor its hypervisor, nor serve volumes."""
        process = self.process()
        ours = {process.pid, *self.libvirt()} if process is not None else set(self.libvirt())
        return [words.replace(b"\0", b" ").decode() for pid, _, words in self._residents()
                if not words.startswith((b"virsh", b"qemu-storage-daemon")) and b"qemu-system" not in words
                and pid not in ours]

    def _residents(self) -> Iterator[tuple[int, Path, bytes]]:
        for process in self.sandbox.residents():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{process.pid}/cmdline").read_bytes()
                yield process.pid, Path(os.readlink(f"/proc/{process.pid}/cwd")), words


async def _rows(url: str, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        found = [tuple(row) for row in await connection.execute(sa.text(query), values)]
    await engine.dispose()
    return found
