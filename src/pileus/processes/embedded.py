"""The whole cloud in one process: services, conductors and hosts, SQLite files, messages in memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator

import msgspec
import uvloop

from pileus.kit import config, log
from pileus.kit.bus import MemoryBus
from pileus.kit.config import BadConfig
from pileus.kit.db import Unreachable
from pileus.kit.serve import Server
from pileus.kit.sockets import listen
from pileus.processes import fault_points, guest_images
from pileus.processes.nodes import Nodes
from pileus.processes.services import Services
from pileus.processes.settings import Settings
from pileus.processes.state import Choices, StateFolder
from pileus.sandbox.processes import Process

logger = logging.getLogger(__name__)
INSIDE = "0.0.0.0"               # of the sandbox, for those who are in there
GARBAGE = 20_000, 20, 20         # new objects, and rounds of the younger generation, before one is collected


class CannotStart(Exception):
    """Says why, and what to do."""


def main(state: StateFolder, choices: Choices, outside: socket.socket, *, ready: Callable[[], None]) -> int:
    """Be the cloud until SIGTERM or SIGINT. `ready` is called when it answers. To be called inside the sandbox;
    `outside` listens on the machine itself."""
    log.set_up(state.log)
    try:
        cloud = Embedded(state, choices, settings_of(state, choices))
        listeners = [outside, listen(INSIDE, choices.port)]
    except (BadConfig, OSError) as error:
        raise CannotStart(str(error)) from error
    with listed(state):
        try:
            uvloop.run(cloud.run(listeners, ready))
        except Unreachable as error:
            raise CannotStart(str(error)) from error
        except Exception:
            logger.exception("the cloud ends by an error of its own")
            raise
    return 0


def settings_of(state: StateFolder, choices: Choices) -> Settings:
    """DIR/pileus.toml and the environment, on top of the defaults; the driver is what `up` was told."""
    file = state.folder / "pileus.toml"
    found = config.load(Settings, file if file.exists() else None)
    replace = msgspec.structs.replace
    return replace(
        found, compute=replace(found.compute, driver=choices.driver),
        network=replace(found.network, engine="fake" if choices.driver == "fake" else found.network.engine),
        image=replace(found.image, directory=str(state.images)),
        volume=replace(found.volume, directory=str(state.volumes),
                       driver="fake" if choices.driver == "fake" else found.volume.driver,
                       move_attached=found.volume.move_attached and choices.driver != "libvirt"),
        load_balancer=replace(found.load_balancer,
                              driver="fake" if choices.driver == "fake" else found.load_balancer.driver))


def keep_what_is_here() -> None:
    """Collect no more among the objects made so far: looking through them stops every request for some 100 ms, and
    hardly any is garbage."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    gc.enable()


@contextlib.contextmanager
def listed(state: StateFolder) -> Iterator[None]:
    """Found by its pid file while it runs."""
    state.pid_file.write_text(str(os.getpid()))
    Process.of(os.getpid()).write(state.process_file)
    state.stop_guests.unlink(missing_ok=True)
    try:
        yield
    finally:
        state.pid_file.unlink(missing_ok=True)
        state.process_file.unlink(missing_ok=True)


class Embedded:
    def __init__(self, state: StateFolder, choices: Choices, settings: Settings):
        self.state, self.choices = state, choices
        self.base_url = f"http://127.0.0.1:{choices.port}"
        self.services = Services(state, settings, MemoryBus(), reach=fault_points.from_environment())
        self.nodes = Nodes(self.services, choices)

    async def run(self, listeners: list[socket.socket], ready: Callable[[], None]) -> None:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        passwords = self.state.passwords()
        await self.services.prepare(self.base_url, passwords)
        self.state.write_credentials(self.base_url, passwords)
        server = Server(self.services.site, listeners)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.run_until_stopped())
            tasks = [group.create_task(each) for each in self.services.endless()]
            tasks.append(group.create_task(self.nodes.run()))
            tasks.append(group.create_task(guest_images.provide(self.services, self.state)))
            keep_what_is_here()
            ready()
            await stopping.wait()
            logger.info("stopping")
            await server.stop()
            await serving
            for task in tasks:
                task.cancel()
        if self.state.stop_guests.exists():
            await self.nodes.stop_guests()
        await self.nodes.close()
        await self.services.close()
