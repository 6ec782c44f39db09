"""How long a volume takes to be attached to a running server, and detached: from the request to its new status.

python -m benchmarks.attachments STATE [rounds]

Asks the running cloud in the folder STATE as its user demo, who must have an active server: './pileus demo' leaves one.
Prints both times, and exits with 1 when the median of attaching is above the bar of 0.3 s.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from pileus.commands.rest import Api
from pileus.processes.state import StateFolder

BAR, POLL_SECONDS, MOST_SECONDS = 0.3, 0.01, 60.0


def seconds_until(api: Api, path: str, status: str, began: float) -> float:
    while time.perf_counter() - began < MOST_SECONDS:
        if api.get("block-storage", path)["volume"]["status"] == status:
            return time.perf_counter() - began
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"{path} is not {status} after {MOST_SECONDS:.0f} s")


def main(folder: Path, rounds: int) -> int:
    api = Api(StateFolder(folder))
    server = api.get("compute", "/servers", status="ACTIVE", limit=1)["servers"][0]["id"]
    volume = api.post("block-storage", "/volumes", {"volume": {"size": 1, "name": "benchmark"}})["volume"]["id"]
    path, attached, detached = f"/volumes/{volume}", [], []
    seconds_until(api, path, "available", time.perf_counter())
    try:
        for _ in range(rounds):
            began = time.perf_counter()
            api.post("compute", f"/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})
            attached.append(seconds_until(api, path, "in-use", began))
            began = time.perf_counter()
            api.call("DELETE", "compute", f"/servers/{server}/os-volume_attachments/{volume}")
            detached.append(seconds_until(api, path, "available", began))
    finally:
        api.call("DELETE", "block-storage", path)
    for what, found in (("attached", attached), ("detached", detached)):
        print(f"{what} after {statistics.median(found):.3f} s (median of {rounds}, {min(found):.3f}-{max(found):.3f})")
    return 0 if statistics.median(attached) < BAR else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10))
