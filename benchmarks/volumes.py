"""How many volumes a second come to be, from the request to available.

python -m benchmarks.volumes STATE [volumes]

Asks the running cloud in the folder STATE, as its administrator, by eight clients at once. Prints volumes a second, and
exits with 1 when the bar is missed: 40 with the fake driver, 15 with QCOW2 files.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import httpx

from pileus.commands.rest import Api
from pileus.processes.state import StateFolder

CLIENTS, POLL_SECONDS, MOST_SECONDS = 8, 0.1, 120.0
BARS = {"fake": 40.0, "file": 15.0}


async def main(folder: Path, count: int) -> int:
    api = Api(StateFolder(folder), "admin")
    base, headers = api.catalog["block-storage"], {"x-auth-token": api.token}
    pools = api.get("block-storage", "/scheduler-stats/get_pools")["pools"]
    driver = pools[0]["name"].partition("@")[2].partition("-")[0]
    async with httpx.AsyncClient(headers=headers, timeout=60.0) as http:
        names, began = iter(range(count)), time.perf_counter()

        async def client() -> list[str]:
            made = []
            for number in names:
                body = {"volume": {"size": 1, "name": f"benchmark-{number}"}}
                answer = await http.post(f"{base}/volumes", json=body)
                answer.raise_for_status()
                made.append(answer.json()["volume"]["id"])
            return made

        found = [each for made in await asyncio.gather(*(client() for _ in range(CLIENTS))) for each in made]
        async with asyncio.timeout(MOST_SECONDS):
            await none_is_being_made(http, base)
        rate = count / (time.perf_counter() - began)
        for volume_id in found:
            (await http.delete(f"{base}/volumes/{volume_id}")).raise_for_status()
    print(f"{driver}: {count} volumes, {rate:.1f}/s from the request to available   (bar {BARS[driver]:.0f})")
    return 0 if rate > BARS[driver] else 1


async def none_is_being_made(http: httpx.AsyncClient, base: str) -> None:
    while True:
        answer = await http.get(f"{base}/volumes?status=creating&limit=1")
        if not answer.json()["volumes"]:
            return
        await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)))
