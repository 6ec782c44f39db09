"""pileus schedule explain: where a server would go, and of every other host why not. Nothing is made."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from pileus.commands.lifecycle import state_of
from pileus.commands.rest import Api
from pileus.commands.trouble import Trouble

__all__ = ["Trouble", "render", "schedule"]
MOST = 50                # hosts told of one by one


def schedule(given: argparse.Namespace) -> int:
    """0: a host would take it; 1: none would."""
    api = Api(state_of(given), "admin")
    question: dict[str, Any] = {"flavor": _named(api.get("compute", "/flavors", is_public="none")["flavors"],
                                                 given.flavor, "flavor"), "hints": _hints(given.hint)}
    if given.image:
        question["image"] = _named(api.get("image", "/v2/images", limit="1000")["images"], given.image, "image")
    question |= {key: value for key, value in (("zone", given.az), ("host", given.host)) if value}
    network = given.network and _named(api.get("network", "/v2.0/networks")["networks"], given.network, "network")
    base = api.catalog["compute"].removesuffix("/v2.1")
    answer = api.http.post(f"{base}/pileus/schedule", headers={"x-auth-token": api.token}, json=question)
    if answer.status_code >= 400:
        raise Trouble(f"compute refused: HTTP {answer.status_code} {answer.text[:500]}")
    found = answer.json()["hosts"]
    print(render(found))
    if network:
        print(f"network {given.network}: every host reaches it, so it keeps none of them out")
    return 0 if any(not host["filter"] for host in found) else 1


def _named(found: list[dict[str, Any]], wanted: str, what: str) -> str:
    """The id of the one that has this id or name."""
    ids = [each["id"] for each in found if wanted == each["id"]] or [
        each["id"] for each in found if wanted == each["name"]]
    if len(ids) != 1:
        raise Trouble(f"{len(ids) or 'no'} {what}{'s are' if ids else ' is'} named {wanted}")
    return ids[0]


def _hints(words: list[str]) -> dict[str, Any]:
    """As the openstack command takes them: key=value, and a key said twice has a list."""
    found: dict[str, Any] = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark:
            raise Trouble(f"a hint is written KEY=VALUE, not {word}")
        found[key] = [*found[key], value] if isinstance(found.get(key), list) else [found[key], value] \
            if key in found else value
    return found


def render(found: list[dict[str, Any]]) -> str:
    """A line per host: first those that would do with what they weigh, then the others with what refused them."""
    if not found:
        return "There are no hosts: none has reported yet."
    width = max(4, *(len(host["host"]) for host in found[:MOST]))
    lines = [f"{'host':{width}}  {'weight':>8}  why"]
    for host in found[:MOST]:
        if not host["filter"]:
            parts = "  ".join(f"{name} {value:+.2f}" for name, value in host["weights"].items())
            lines.append(f"{host['host']:{width}}  {host['weight']:8.2f}  {parts or 'as good as any'}")
            continue
        why = textwrap.wrap(f"{host['filter']}: {host['why']}", 106 - width)
        lines += [f"{host['host']:{width}}  {'-':>8}  {why[0]}", *(f"{'':{width}}  {'':8}  {line}" for line in why[1:])]
    fit = sum(not host["filter"] for host in found)
    if len(found) > MOST:
        lines.append(f"... and {len(found) - MOST} more hosts")
    return "\n".join([*lines, f"{fit} of {len(found)} hosts would take it"])
