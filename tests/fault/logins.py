"""Servers that one can log in to, from inside the cloud's network."""

from __future__ import annotations

import subprocess

from pileus.commands.inside import login
from tests.fault.cloud import Cloud


def let_in(cloud: Cloud) -> dict[str, str]:
    """What servers are to be booted with, so that one can; their network lets ssh and pings through."""
    key = cloud.state.folder / "demo-key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    api = cloud.api()
    api.post("compute", "/os-keypairs", {"keypair": {
        "name": "demo", "type": "ssh", "public_key": key.with_suffix(".pub").read_text()}}, accept=(409,))
    group = api.get("network", "/v2.0/security-groups", name="default", project_id=api.project_id)["security_groups"][0]
    for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}):
        api.post("network", "/v2.0/security-group-rules", {"security_group_rule": {
            "security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", **rule}}, accept=(409,))
    return {"key_name": "demo"}


def floating_ip(cloud: Cloud, server_id: str) -> str:
    api = cloud.api()
    public = api.get("network", "/v2.0/networks", **{"router:external": "true"})["networks"][0]
    port = api.get("network", "/v2.0/ports", device_id=server_id)["ports"][0]
    made = api.post("network", "/v2.0/floatingips", {"floatingip": {
        "floating_network_id": public["id"], "port_id": port["id"]}})
    return made["floatingip"]["floating_ip_address"]


def give_back(cloud: Cloud, address: str) -> None:
    for found in cloud.api().get("network", "/v2.0/floatingips", floating_ip_address=address)["floatingips"]:
        cloud.api().call("DELETE", "network", f"/v2.0/floatingips/{found['id']}")


def log_in(cloud: Cloud, address: str, *words: str) -> str | None:
    command = cloud.sandbox.argv(login(cloud.state, address, [*words], patient=True))
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None
