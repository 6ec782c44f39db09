"""Serving an ASGI application over HTTP."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

from pileus.kit import incoming


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: whoever runs the loop decides when to stop."""

    def __init__(self, app: Any, listeners: list[socket.socket]):
        super().__init__(uvicorn.Config(
            app, http=incoming.Protocol, ws="wsproto", lifespan="off", log_config=None, access_log=False,
            server_header=False, timeout_keep_alive=75, backlog=2048))
        self.listeners = listeners

    async def run_until_stopped(self) -> None:
        await self._serve(sockets=self.listeners)

    async def stop(self) -> None:
        self.should_exit = True
