"""pileus trace, pileus saga: what happened, and what does not get on."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from pileus.commands.lifecycle import state_of
from pileus.commands.rest import Api
from pileus.commands.trouble import Trouble
from pileus.kit.ids import is_uuid

__all__ = ["Trouble", "saga", "trace"]
SERVICES = ("compute", "network", "image", "identity", "placement")


def _ask(api: Api, service: str, path: str, **query: Any) -> Any:
    """Operators' resources stand beside the API, not below its version."""
    base = api.catalog[service].removesuffix("/v2.1")
    answer = api.http.get(f"{base}/pileus{path}", headers={"x-auth-token": api.token}, params=query)
    if answer.status_code == 404:
        return None
    if answer.status_code >= 400:
        raise Trouble(f"{service} refused: HTTP {answer.status_code} {answer.text[:300]}")
    return answer.json()


def trace(given: argparse.Namespace) -> int:
    """Every step of every service, in the order of time, with how long it took."""
    api = Api(state_of(given), "admin")
    wanted = given.id if is_uuid(given.id.removeprefix("req-")) else api.server(given.id, everywhere=True)["id"]
    events = _events(api, wanted)
    for request_id in {event["request_id"] for event in events if event["request_id"]} - {wanted}:
        known = {(event["saga_id"], event["step"], event["began_at"]) for event in events}
        events += [event for event in _events(api, request_id)          # the same request went on in other services
                   if (event["saga_id"], event["step"], event["began_at"]) not in known]
    if not events:
        raise Trouble(f"nothing is known of {given.id}")
    print(render(sorted(events, key=lambda event: event["began_at"])))
    return 0


def _events(api: Api, wanted: str) -> list[dict[str, Any]]:
    return [event for service in SERVICES
            for event in (_ask(api, service, f"/trace/{wanted}") or {"events": []})["events"]]


def render(events: list[dict[str, Any]]) -> str:
    first = events[0]["began_at"]
    lines = [f"{'at':>9}  {'took':>9}  step"]
    request = None
    for event in events:
        if event["request_id"] != request:
            request = event["request_id"]
            lines.append(f"{'':9}  {'':9}  {event['saga']} of {event['subject']}, {request or 'by the cloud itself'}")
        mark = {"done": "", "undone": "  (undone)", "failed": "  FAILED", "stuck": "  STUCK"}[event["outcome"]]
        took = event["ended_at"] - event["began_at"]
        lines.append(f"{event['began_at'] - first:8.3f}s  {took * 1000:7.1f}ms    {event['step']}{mark}")
        lines += [f"{'':22}    {line}" for line in _details(event)]
    return "\n".join(lines)


def _details(event: dict[str, Any]) -> list[str]:
    """A scheduler's table is drawn; any other note is said as it is."""
    detail = event["detail"]
    if not detail:
        return []
    if event["step"] != "choose_host" or not detail.startswith("{"):
        return [detail]
    verdict = msgspec.json.decode(detail)
    lines = [f"{row['filter']:24} {row['hosts_in']:>5} -> {row['hosts_out']:<5} {row['why']}"
             for row in verdict["table"]]
    return [*lines, f"chosen: {', '.join(verdict['hosts'])}"] if verdict["hosts"] else lines


def saga(given: argparse.Namespace) -> int:
    api = Api(state_of(given), "admin")
    if given.action == "list":
        return _list(api, given.stuck)
    if not given.id:
        raise Trouble("which saga? 'pileus saga list --stuck' tells their ids")
    for service in SERVICES:
        base = api.catalog[service].removesuffix("/v2.1")
        answer = api.http.post(f"{base}/pileus/sagas/{given.id}/retry", headers={"x-auth-token": api.token})
        if answer.status_code == 202:
            print("going on")
            return 0
    raise Trouble(f"no stuck saga has the id {given.id}")


def _list(api: Api, stuck: bool) -> int:
    rows = [row for service in SERVICES
            for row in (_ask(api, service, "/sagas", stuck=str(stuck).lower()) or {"sagas": []})["sagas"]]
    for row in sorted(rows, key=lambda row: row["created_at"]):
        state = "stuck" if row["stuck"] else row["phase"]
        print(f"{row['id']}  {row['name']:24} {row['subject']:36} {state:8} {row['step']:18} {row['error'] or ''}")
    if not rows:
        print("nothing is stuck" if stuck else "nothing is unfinished")
    return 0
