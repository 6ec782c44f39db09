"""FRRouting's BFD daemon in a namespace, with files and sockets of its own."""

import json
import shutil
import tempfile
from pathlib import Path

from tests.dataplane.network.lab import Space, run

DAEMONS = Path("/usr/lib/frr")


class Frr(Space):
    """`peers`: each with the address of ours that speaks to it."""

    def __init__(self, namespace: str, *peers: tuple[str, str]):
        super().__init__(namespace)
        self.kept = tempfile.TemporaryDirectory()
        self.folder = Path(self.kept.name)
        shutil.chown(self.folder, "frr", "frr")
        lines = [line for peer, own in peers for line in (f" peer {peer} local-address {own}", "  no shutdown", " !")]
        (self.folder / "bfdd.conf").write_text("\n".join(["bfd", *lines, "!"]) + "\n")
        (self.folder / "zebra.conf").write_text("")

    async def start(self) -> None:
        """Again after `kill`, too."""
        for name, more in (("zebra", ()), ("bfdd", ("--bfdctl", str(self.folder / "bfdd.sock")))):
            if not self._pid(name).exists():
                await self.exec(
                    str(DAEMONS / name), "-d", "-f", str(self.folder / f"{name}.conf"), "-i", str(self._pid(name)),
                    "-z", str(self.folder / "zserv.sock"), "--vty_socket", str(self.folder), *more)

    async def peers(self) -> dict[str, str]:
        told = await self.exec("vtysh", "--vty_socket", str(self.folder), "-d", "bfdd", "-c", "show bfd peers json")
        return {peer["peer"]: peer["status"] for peer in json.loads(told)}

    async def kill(self, name: str = "bfdd") -> None:
        await run("kill", "-9", self._pid(name).read_text().strip())
        self._pid(name).unlink()

    async def stop(self) -> None:
        for name in ("bfdd", "zebra"):
            if self._pid(name).exists():
                await self.kill(name)
        self.kept.cleanup()

    def _pid(self, name: str) -> Path:
        return self.folder / f"{name}.pid"
