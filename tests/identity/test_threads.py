"""The threads that SAML has to itself."""

import asyncio
import threading

import pytest

from pileus.identity.federation.threads import MOST_WAITING, Threads
from pileus.kit.faults import Unavailable


async def test_who_comes_while_too_many_wait_is_sent_away():
    threads, go = Threads(), threading.Event()
    waiting = [asyncio.ensure_future(threads.run(go.wait)) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await threads.run(lambda: True)
    go.set()
    assert all(await asyncio.gather(*waiting))
    assert await threads.run(lambda: 7) == 7
