"""Points of sagas and requests where tests have this process die, or a saga stand still, by its environment."""

from __future__ import annotations

import os
import signal

from pileus.kit.saga import Wait
from pileus.kit.saga_engine import Reach, nothing

KILL_AT = "PILEUS_KILL_AT"       # a point at which this process kills itself
PAUSE_AT = "PILEUS_PAUSE_AT"     # points of sagas, by commas: the first saga at each of them stands there
PAUSE_SECONDS = 600.0            # unless somebody pokes it or asks it to unwind


def from_environment() -> Reach:
    """What tests asked for; nothing in production."""
    kill = os.environ.get(KILL_AT)
    pauses = {point for point in os.environ.get(PAUSE_AT, "").split(",") if point}
    if not kill and not pauses:
        return nothing

    def reach(point: str) -> None:
        if point == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if point in pauses:
            pauses.discard(point)
            raise Wait(PAUSE_SECONDS)
    return reach
