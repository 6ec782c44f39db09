"""The public REST APIs, called as any client would; what commands know of a cloud they know from here."""

from __future__ import annotations

import re
from typing import Any

import httpx

from pileus.commands.trouble import Trouble
from pileus.processes.state import StateFolder

MICROVERSIONS = {"compute": "2.90", "placement": "1.36"}


class Api:
    """One user of the cloud in a state folder: `demo` in project demo, or `admin`."""

    def __init__(self, state: StateFolder, user: str = "demo"):
        if not state.exists:
            raise Trouble(f"there is no cloud in {state.folder}; 'pileus up' makes one")
        self.base = f"http://127.0.0.1:{state.choices().port}"
        self.user = user
        self.http = httpx.Client(timeout=60.0)
        self.token, self.catalog = "", {}
        self._log_in(getattr(state.passwords(), user))

    def _log_in(self, password: str) -> None:
        domain = {"name": "Default"}
        body = {"auth": {
            "identity": {"methods": ["password"], "password": {
                "user": {"name": self.user, "domain": domain, "password": password}}},
            "scope": {"project": {"name": self.user, "domain": domain}}}}
        try:
            answer = self.http.post(f"{self.base}/identity/v3/auth/tokens", json=body)
        except httpx.TransportError as error:
            raise Trouble(f"no cloud answers at {self.base} ({error}); start it with 'pileus up'") from error
        if answer.status_code != 201:
            raise Trouble(f"the cloud does not let {self.user} in: {answer.text[:300]}")
        self.token = answer.headers["x-subject-token"]
        token = answer.json()["token"]
        self.project_id = token["project"]["id"]
        self.catalog = {service["type"]: endpoint["url"].rstrip("/") for service in token["catalog"]
                        for endpoint in service["endpoints"] if endpoint["interface"] == "public"}

    def call(self, method: str, service: str, path: str, body: Any = None, *, accept: tuple[int, ...] = (),
             **query: Any) -> Any:
        """The decoded answer. Raises Trouble with the service's own words, unless the status is in `accept`."""
        headers = {"x-auth-token": self.token}
        if service in MICROVERSIONS:
            headers["openstack-api-version"] = f"{service} {MICROVERSIONS[service]}"
        answer = self.http.request(method, self.catalog[service] + path, json=body, headers=headers, params=query)
        if answer.status_code >= 400 and answer.status_code not in accept:
            raise Trouble(f"{method} {service}{path}: HTTP {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else None

    def get(self, service: str, path: str, **query: Any) -> Any:
        return self.call("GET", service, path, **query)

    def post(self, service: str, path: str, body: Any, *, accept: tuple[int, ...] = ()) -> Any:
        return self.call("POST", service, path, body, accept=accept)

    def server(self, name_or_id: str, *, everywhere: bool = False) -> dict[str, Any]:
        """By id or by name, `everywhere` in all projects. Raises Trouble when there is none, or several."""
        scope = {"all_tenants": "1"} if everywhere else {}
        found = self.get("compute", "/servers/detail", name=f"^{re.escape(name_or_id)}$", **scope)["servers"]
        if not found and re.fullmatch(r"[0-9a-f-]{36}", name_or_id):
            one = self.call("GET", "compute", f"/servers/{name_or_id}", accept=(404,))
            found = [one["server"]] if one and "server" in one else []
        if len(found) != 1:
            raise Trouble(f"no server is named {name_or_id}" if not found
                          else f"{len(found)} servers are named {name_or_id}; use an id")
        return found[0]


def addresses(server: dict[str, Any], kind: str) -> list[str]:
    """`kind`: fixed or floating."""
    return [each["addr"] for found in server["addresses"].values() for each in found
            if each["OS-EXT-IPS:type"] == kind]
