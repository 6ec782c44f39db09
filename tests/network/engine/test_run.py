"""Programs that the engine runs: what they say, and what becomes of those that fail or do not end."""

import pytest

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux.run import run


async def test_what_it_says():
    assert await run(["cat"], "a\nb") == "a\nb"


@pytest.mark.parametrize(("command", "why"), [
    (["sh", "-c", "echo no >&2; exit 3"], "no"), (["sleep", "60"], "sleep 60: no end after 0.1 s")])
async def test_what_fails(command, why):
    with pytest.raises(EngineFailed, match=why):
        await run(command, seconds=0.1 if command[0] == "sleep" else 60.0)
