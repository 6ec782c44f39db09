"""A program for test_full_disk: fills the small disk in the folder it is given, and tells what a cloud on it says."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.compat.cloud import Cloud, running_cloud

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "identity": ("/v3/projects", {"project": {"name": "p", "description": "x" * 50_000}}),
    "placement": ("/resource_providers", {"name": "rp"}),
    "image": ("/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare", "more": "x" * 50_000}),
    "network": ("/v2.0/networks", {"network": {"name": "n", "description": "x" * 250}}),
    "compute": ("/v2.1/flavors", {"flavor": {"name": "f", "ram": 1, "vcpus": 1, "disk": 0}})}


def fill(path: Path) -> None:
    """Until not a byte more goes onto the disk."""
    with path.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


async def ask_all(cloud: Cloud) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for service, (path, body) in ASKED.items():
        answer = await cloud.call("POST", f"/{service}{path}", body)
        listed = await cloud.call("GET", f"/{service}{path}")
        found[service] = [answer.status_code, answer.headers["x-openstack-request-id"], answer.text,
                          listed.status_code, len(next(iter(listed.json().values())))]
    return found


async def main(folder: Path) -> dict[str, Any]:
    async with running_cloud(folder / "state") as cloud:
        facts: dict[str, Any] = {}
        image = (await cloud.call("POST", "/image/v2/images", {
            "name": "large", "disk_format": "raw", "container_format": "bare"})).json()["id"]
        free = os.statvfs(folder)
        answer = await cloud.call("PUT", f"/image/v2/images/{image}/file", content=bytes(free.f_bavail * free.f_bsize),
                                  headers={"content-type": "application/octet-stream"})
        facts["upload"] = [answer.status_code, answer.text]
        shown = await cloud.call("GET", f"/image/v2/images/{image}")
        facts["image"] = [shown.json()["status"], [path.name for path in (folder / "state/images").rglob("*")
                                                   if path.is_file()]]
        fill(folder / "ballast")
        facts["full"] = await ask_all(cloud)
        (folder / "ballast").unlink()
        facts["again"] = await ask_all(cloud)
        return facts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
