"""pileus doctor, pileus config: what is missing here, and what could be set."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pileus import packages
from pileus.commands.lifecycle import running, state_of
from pileus.commands.rest import Api
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
    if running(state):
        api = Api(state, "admin")
        troubles = [*(f"network: {trouble}" for trouble in network_troubles(api)),
                    *(f"identity: {trouble}" for trouble in directory_troubles(api))]
        print(*troubles, sep="\n", end="\n" if troubles else "")
        if troubles:
            return 1
    lacking = [row for row in rows if row.required and not row.ok]
    print(f"\n{len(lacking)} missing" if lacking else "\nThis machine is ready.")
    return 1 if lacking else 0


def network_troubles(api: Api) -> Iterator[str]:
    """Hosts that are silent or fail, and ports that the engine could not make real."""
    for agent in api.get("network", "/v2.0/agents", agent_type="Pileus network agent")["agents"]:
        if not agent["alive"]:
            yield f"host {agent['host']} was last heard of at {agent['heartbeat_timestamp']}"
        elif agent["description"]:
            yield f"host {agent['host']}: {agent['description']}"
    for port in api.get("network", "/v2.0/ports", status="ERROR")["ports"]:
        yield f"port {port['id']} of {port['device_id'] or 'nobody'} on host {port['binding:host_id']} is in ERROR"


def directory_troubles(api: Api) -> Iterator[str]:
    """Domains whose people nobody can read."""
    for domain in api.get("identity", "/v3/domains")["domains"]:
        found = api.call("GET", "identity", f"/v3/domains/{domain['id']}/config", accept=(404,))
        options = found.get("config", {})
        if options.get("identity", {}).get("driver") != "ldap":
            continue
        people = api.call("GET", "identity", "/v3/users", accept=(503,), domain_id=domain["id"], limit="1")
        if "users" not in people:
            yield (f"the directory {options.get('ldap', {}).get('url', '')} of domain {domain['name']} cannot be read; "
                   "the log tells why")


def _of_cloud(state: StateFolder) -> list[packages.Row]:
    """What the cloud in the folder is made of, if there is one: keys, clock, configuration, policy."""
    if not state.exists:
        return []
    from pileus.identity import health  # noqa: PLC0415 - brings every service along
    from pileus.kit.config import BadConfig  # noqa: PLC0415
    from pileus.processes.embedded import settings_of  # noqa: PLC0415
    from pileus.processes.policies import policies_of  # noqa: PLC0415
    try:
        settings = settings_of(state, state.choices())
        policies_of(state.folder / "policy.yaml")
    except BadConfig as error:
        return [packages.Row("configuration", False, str(error), "mend the file")]
    identity = settings.identity
    found = [*health.checks("token keys", state.folder / identity.token_keys, key_days=identity.key_days),
             *health.checks("credential keys", state.folder / identity.credential_keys, key_days=0),
             *health.saml(settings.federation)]
    return [packages.Row(name, well, detail, cure) for name, well, detail, cure in found]


def config(given: argparse.Namespace) -> int:
    from pileus.kit.config import sample  # noqa: PLC0415 - brings every service along
    from pileus.processes.settings import SECTIONS  # noqa: PLC0415
    for name, kind in SECTIONS.items():
        print(sample(kind, name))
    return 0
