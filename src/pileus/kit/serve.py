"""Serving an ASGI application over HTTP, and keeping a set of endless tasks together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs the loop decides when to stop."""

    def __init__(self, app: Any, listener: socket.socket):
        super().__init__(uvicorn.Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            timeout_keep_alive=75, backlog=2048))
        self.listener = listener

    async def run_until_stopped(self) -> None:
        await self._serve(sockets=[self.listener])

    async def stop(self) -> None:
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; a port of 0 is any free one. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    listener.setblocking(False)
    return listener


async def run_together(*endless: Coroutine[Any, Any, Any]) -> None:
    """Run until one of them fails, which ends all, or until cancelled."""
    async with asyncio.TaskGroup() as group:
        for each in endless:
            group.create_task(each)
