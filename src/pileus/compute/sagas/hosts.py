"""How sagas talk to a server's host, and what they make of its failures."""

from __future__ import annotations

from typing import Any

from pileus.compute.model import hosts
from pileus.compute.runtime import Compute
from pileus.kit.bus import Failed, Message, NobodyThere
from pileus.kit.saga import Abort

# The handler says that trying again cannot help: the reason is for the user.
FINAL = {"GuestFailed", "ImageUnusable"}


class HostRefused(Abort):
    """This host cannot do it, which says nothing of others."""


async def ask(compute: Compute, message: Message, *, host: str, seconds: float = 60.0) -> Any:
    """The host's answer. Raises Abort for a final refusal, HostRefused where that is of the host and not of what was
    asked for; Failed or NobodyThere when trying again may help."""
    try:
        return await compute.bus.call(message, host=host, timeout=seconds)
    except Failed as error:
        if error.kind in FINAL:
            raise (HostRefused if error.kind == "GuestFailed" else Abort)(str(error)) from error
        raise


async def ask_if_alive(compute: Compute, message: Message, *, host: str) -> bool:
    """The same for clearing up: False when the host is down, which then clears up by itself once it is back."""
    try:
        await compute.bus.call(message, host=host, timeout=60.0)
        return True
    except NobodyThere:
        async with compute.db.read() as reader:
            found = await hosts.find(reader, host)
        silent_since = compute.clock() - compute.config.host_silent_after
        if found is not None and found.seen_at > silent_since and not found.forced_down:
            raise
        return False
