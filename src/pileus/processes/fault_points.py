"""Points of sagas and requests where tests have this process die, or a saga stand still, by its environment."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pileus.kit.saga import Wait
from pileus.kit.saga_engine import Reach, nothing

KILL_AT = "PILEUS_KILL_AT"       # a point at which this process kills itself
PAUSE_AT = "PILEUS_PAUSE_AT"     # a file with the point at which sagas stand still while the file says so
PAUSE_SECONDS = 600.0            # unless somebody asks it to unwind


def from_environment() -> Reach:
    """What tests asked for; nothing in production."""
    kill, file = os.environ.get(KILL_AT), os.environ.get(PAUSE_AT)
    if not kill and not file:
        return nothing

    def reach(point: str) -> None:
        if point == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if file and Path(file).read_text() == point:
            raise Wait(PAUSE_SECONDS)
    return reach
