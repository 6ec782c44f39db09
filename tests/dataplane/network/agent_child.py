"""A host's agent as a program of its own, to be killed: makes the snapshot of a file so, says what it had to change."""

import asyncio
import json
import sys
from pathlib import Path

import msgspec

from pileus.network.engine.linux.agent import HostAgent, HostSettings
from pileus.network.engine.linux.wiring import PhysicalBridge
from pileus.network.engine.records import Snapshot
from tests.dataplane.network.lab import answer_metadata


async def main(host: str, outside: str, file: str) -> None:
    agent = HostAgent(HostSettings(
        name=host, namespace=host, physical={"public": PhysicalBridge(bridge="br-ex", namespace=outside)}),
        answer_metadata)
    await agent.start()
    report = await agent.resync(msgspec.msgpack.decode(Path(file).read_bytes(), type=Snapshot))
    print(json.dumps(report.changes), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
