"""Where services keep their tables: nothing need be said, and what is said wrongly is refused with a reason."""

import msgspec
import pytest

from pileus.kit.bus import MemoryBus
from pileus.kit.config import BadConfig, load
from pileus.processes.services import Services
from pileus.processes.settings import Settings
from pileus.processes.state import StateFolder


def settings(**options: str) -> Settings:
    return load(Settings, None, {f"PILEUS_DATABASE__{name.upper()}": value for name, value in options.items()})


async def urls(folder, found: Settings) -> list[str]:
    state = StateFolder(folder)
    state.prepare()
    replace = msgspec.structs.replace
    found = replace(found, image=replace(found.image, directory=str(state.images)))
    services = Services(state, found, MemoryBus())
    await services.close()
    return [runtime.db.url for runtime in services.runtimes]


async def test_files_of_the_state_folder_unless_told_otherwise(tmp_path):
    names = ("identity", "placement", "image", "network", "compute", "volume", "load_balancer")
    assert await urls(tmp_path, settings()) == [f"sqlite:///{tmp_path}/db/{name}.sqlite" for name in names]
    pattern = "postgresql+asyncpg://me:secret@db.example/cloud_{service}"
    assert await urls(tmp_path, settings(url=pattern)) == [pattern.replace("{service}", name) for name in names]


@pytest.mark.parametrize(("options", "reason"), [
    ({"url": "postgresql+asyncpg://db/cloud"}, "no two services may share a database"),
    ({"url": "oracle://db/{service}"}, "begins with oracle://"),
    ({"url": "postgresql://db/{service}"}, "begins with postgresql://"),
    ({"connections": "0"}, ">= 1"),
    ({"uri": "sqlite:///{service}"}, "unknown field `uri`")])
def test_bad_settings(options, reason):
    with pytest.raises(BadConfig) as caught:
        settings(**options)
    assert reason in str(caught.value)
