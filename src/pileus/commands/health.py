"""pileus doctor, pileus config: what is missing here, and what could be set."""

from __future__ import annotations

import argparse

from pileus import packages
from pileus.commands.lifecycle import running, state_of
from pileus.commands.trouble import Trouble
from pileus.processes.state import StateFolder

__all__ = ["Trouble", "config", "doctor"]


def doctor(given: argparse.Namespace) -> int:
    state = state_of(given)
    ports = [] if running(state) else [state.choices().port]
    rows = packages.doctor(state.folder, ports, task="demo")
    rows += _of_cloud(state)
    width = max(len(row.name) for row in rows)
    for row in rows:
        mark = "ok" if row.ok else "MISSING" if row.required else "note"
        print(f"{row.name:{width}}  {mark:7}  {row.detail}")
        if row.cure and not row.ok:
            print(f"{'':{width}}  {'':7}  cure: {row.cure}")
    lacking = [row for row in rows if row.required and not row.ok]
    print(f"\n{len(lacking)} missing" if lacking else "\nThis machine is ready.")
    return 1 if lacking else 0


def _of_cloud(state: StateFolder) -> list[packages.Row]:
    """What the cloud in the folder is made of, if there is one: keys, clock, configuration, policy."""
    if not state.exists:
        return []
    from pileus.identity import health  # noqa: PLC0415 - brings every service along
    from pileus.kit.config import BadConfig  # noqa: PLC0415
    from pileus.processes.embedded import settings_of  # noqa: PLC0415
    from pileus.processes.policies import policies_of  # noqa: PLC0415
    try:
        identity = settings_of(state, state.choices()).identity
        policies_of(state.folder / "policy.yaml")
    except BadConfig as error:
        return [packages.Row("configuration", False, str(error), "mend the file")]
    found = [*health.checks("token keys", state.folder / identity.keys, key_days=identity.key_days),
             *health.checks("credential keys", state.folder / identity.credential_keys, key_days=0)]
    return [packages.Row(name, well, detail, cure) for name, well, detail, cure in found]


def config(given: argparse.Namespace) -> int:
    from pileus.kit.config import sample  # noqa: PLC0415 - brings every service along
    from pileus.processes.settings import SECTIONS  # noqa: PLC0415
    for name, kind in SECTIONS.items():
        print(sample(kind, name))
    return 0
