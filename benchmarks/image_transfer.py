#!/usr/bin/env python3
"""How fast images go up and down, beside what dd and sha512sum do with the same bytes on the same disk in the same run.

  benchmarks/image_transfer.py [--mib 256] [--rounds 3] [--port 5197] [--folder FOLDER]

Starts a cloud of fake hosts below FOLDER, whose disk is measured, and removes it. The reference is the slower of dd
(with fdatasync) and sha512sum: an upload writes and hashes. Each round compares its own, since the speed of a machine
that others use as well changes from one to the next, and of the rounds the median counts. The client reads and writes a
socket and does nothing else. Exit status 1: slower than 80 %, or more than 32 MiB of memory.
Where other work shares the processors, compare the processor time, which holds there: an upload is hashed twice (MD5
and SHA-512, at once on two of them), so it costs as much as sha512sum and md5sum together.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from pileus.commands.rest import Api  # noqa: E402 (found through the line above)
from pileus.processes.state import StateFolder  # noqa: E402

MIB = 1 << 20
SHARE, MOST_MIB = 0.8, 32
ENVIRON = dict(os.environ, PYTHONPATH=str(ROOT / "src"))


def pileus(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pileus", *words], env=ENVIRON, check=True, stdout=subprocess.DEVNULL)


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def used_by(*command: str | Path) -> float:
    """Seconds of processor time of a program."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def request(port: int, head: str, body: Path | None = None) -> tuple[bytes, int]:
    """The head of the answer and the size of its body, which is thrown away."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(head.encode())
        if body is not None:
            with body.open("rb") as file:
                link.sendfile(file)
        buffer, answer, size = bytearray(4 * MIB), b"", 0
        while b"\r\n\r\n" not in answer:
            answer += link.recv(65536)
        answer, _, rest = answer.partition(b"\r\n\r\n")
        size = len(rest)
        wanted = next((int(line.partition(b":")[2]) for line in answer.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        while size < wanted and (got := link.recv_into(buffer)):
            size += got
    return answer, size


class Cloud:
    def __init__(self, folder: Path, port: int):
        self.state, self.port = folder / "state", port
        pileus("up", "--detach", "--driver", "fake", "--state", str(self.state), "--port", str(port))
        self.api = Api(StateFolder(self.state), "admin")
        self.pid = int(StateFolder(self.state).pid_file.read_text())

    def peak_kib(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    def used(self) -> float:
        """Seconds of processor time until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def new_image(self) -> str:
        return self.api.post("image", "/v2/images", {
            "name": "bench", "disk_format": "raw", "container_format": "bare"})["id"]

    def upload(self, image: str, body: Path) -> None:
        answer, _ = request(self.port, self._head("PUT", image, (
            f"content-type: application/octet-stream\r\ncontent-length: {body.stat().st_size}\r\n")), body)
        if b" 204 " not in answer.split(b"\r\n")[0]:
            raise RuntimeError(answer.decode())

    def download(self, image: str, size: int) -> None:
        answer, got = request(self.port, self._head("GET", image, ""))
        if got != size:
            raise RuntimeError(f"{got} bytes: {answer.decode()}")

    def _head(self, method: str, image: str, more: str) -> str:
        return (f"{method} /image/v2/images/{image}/file HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
                f"x-auth-token: {self.api.token}\r\nconnection: close\r\n{more}\r\n")

    def remove(self) -> None:
        pileus("destroy", "--yes", "--state", str(self.state))


def measure(cloud: Cloud, folder: Path, mib: int, rounds: int) -> dict[str, float]:
    source, copy = folder / "source", folder / "copy"
    with source.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
    found: list[dict[str, float]] = []
    dd = ["dd", f"if={source}", f"of={copy}", "bs=4M", "conv=fdatasync", "status=none"]
    cloud.upload(cloud.new_image(), source)              # what is loaded once is loaded
    cloud.forget_peak()
    before = cloud.peak_kib()
    for _ in range(rounds):
        image = cloud.new_image()
        taken = {"dd": seconds(lambda: subprocess.run(dd, check=True)),
                 "sha512sum": seconds(lambda: subprocess.run(["sha512sum", source], check=True, capture_output=True)),
                 "upload": seconds(lambda image=image: cloud.upload(image, source)),
                 "download": seconds(lambda image=image: cloud.download(image, source.stat().st_size))}
        copy.unlink()
        cloud.api.call("DELETE", "image", f"/v2/images/{image}")
        slower = max(taken["dd"], taken["sha512sum"])
        found.append({f"{name}_mib_per_second": round(mib / value) for name, value in taken.items()} | {
            f"{name}_share": round(slower / taken[name], 2) for name in ("upload", "download")})
    return {name: statistics.median(each[name] for each in found) for name in found[0]} | processor_time(
        cloud, source) | {"more_memory_mib": round((cloud.peak_kib() - before) / 1024, 1)}


def processor_time(cloud: Cloud, source: Path) -> dict[str, float]:
    image, began = cloud.new_image(), cloud.used()
    cloud.upload(image, source)
    upload = cloud.used() - began
    began = cloud.used()
    cloud.download(image, source.stat().st_size)
    used = {"upload": upload, "download": cloud.used() - began, "sha512sum": used_by("sha512sum", source),
            "md5sum": used_by("md5sum", source)}
    return {f"{name}_processor_seconds": round(value, 2) for name, value in used.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=5197)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="pileus-bench-") as name:
        cloud = Cloud(Path(name), given.port)
        try:
            found = measure(cloud, Path(name), given.mib, given.rounds)
        finally:
            cloud.remove()
    print(json.dumps(found, indent=2))
    good = found["more_memory_mib"] < MOST_MIB and min(found["upload_share"], found["download_share"]) >= SHARE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
