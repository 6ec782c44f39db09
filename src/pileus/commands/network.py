"""pileus network explain: why A cannot reach B, or what lets it."""

from __future__ import annotations

import argparse
from ipaddress import ip_address

from pileus.commands.lifecycle import state_of
from pileus.commands.rest import Api
from pileus.commands.trouble import Trouble
from pileus.kit.ids import is_uuid

__all__ = ["Trouble", "network"]


def network(given: argparse.Namespace) -> int:
    """0: the connection comes through, or leaves the cloud; 1: something is in its way."""
    api = Api(state_of(given), "admin")
    query = {"source": _end(api, given.source), "destination": _end(api, given.destination),
             "protocol": given.protocol or ("tcp" if given.port else "icmp")}
    if given.port:
        query["port"] = str(given.port)
    found = api.get("network", "/v2.0/explain", **query)["explanation"]
    for number, step in enumerate(found["steps"], 1):
        print(f"{number:3}  {step}")
    if found["stopped"]:
        print(f"  ✗  {found['stopped']}")
        return 1
    print("  ✓  it reaches the destination" if found["reaches"] else "  ✓  beyond that the cloud knows nothing")
    return 0


def _end(api: Api, named: str) -> str:
    """A port's or server's id, or an address, as it is; else a server's name."""
    if is_uuid(named) or _is_address(named):
        return named
    return api.server(named, everywhere=True)["id"]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
