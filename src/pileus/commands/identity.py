"""pileus bootstrap, pileus keys: what brings an administrator back in, and new keys."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pileus.commands.lifecycle import base_url, state_of
from pileus.commands.trouble import Trouble
from pileus.kit.config import BadConfig

__all__ = ["Trouble", "bootstrap", "keys"]
T = TypeVar("T")


def bootstrap(given: argparse.Namespace) -> int:
    """Works beside a running cloud, which hears of it within a second, and without one."""
    from pileus.identity.bootstrap import repair  # noqa: PLC0415 - brings the service along
    state = state_of(given)
    passwords = {name: getattr(state.passwords(), name) for name in ("admin", "demo")} if state.exists else {}
    amiss = _with_identity(given, lambda app: repair(app, passwords, base_url(state.choices())))
    for each in amiss:
        print(f"mended: {each}")
    print("admin logs in with the password in "
          f"{state.folder / 'passwords.json'}" + ("" if amiss else "; nothing was amiss"))
    return 0


def keys(given: argparse.Namespace) -> int:
    """Every process that reads the keys knows the next one already, so nothing has to be restarted."""
    from pileus.identity.rotation import rotate_credential_keys, rotate_token_keys  # noqa: PLC0415

    async def rotate(app: Any) -> int | None:
        if given.which in ("all", "tokens"):
            rotate_token_keys(app)
        return await rotate_credential_keys(app) if given.which in ("all", "credentials") else None

    count = _with_identity(given, rotate)
    if given.which in ("all", "tokens"):
        print("the token keys were rotated; tokens stay valid")
    if count is not None:
        print(f"the credential keys were rotated; {count} stored credentials were encrypted anew")
    return 0


def _with_identity(given: argparse.Namespace, work: Callable[[Any], Awaitable[T]]) -> T:
    """Identity on the cloud's own database and keys."""
    from pileus.kit import migrate  # noqa: PLC0415
    from pileus.kit.bus import MemoryBus  # noqa: PLC0415
    from pileus.processes.embedded import settings_of  # noqa: PLC0415
    from pileus.processes.services import identity_of  # noqa: PLC0415
    state = state_of(given)
    if not state.exists:
        raise Trouble(f"there is no cloud in {state.folder}; 'pileus up' makes one")

    async def run() -> T:
        app = identity_of(state, settings_of(state, state.choices()), MemoryBus())
        try:
            await migrate.bring_up_to_date(app.db, app.service.migrations)
            return await work(app)
        finally:
            await app.db.close()

    try:
        return asyncio.run(run())
    except BadConfig as error:
        raise Trouble(str(error)) from error
