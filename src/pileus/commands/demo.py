"""pileus demo: from a bare machine to a login inside a guest, through the public REST APIs alone."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pileus import packages
from pileus.commands import lifecycle
from pileus.commands.inside import USER, login
from pileus.commands.rest import Api
from pileus.commands.trouble import Trouble
from pileus.processes.state import StateFolder
from pileus.sandbox import Sandbox

__all__ = ["Trouble", "demo"]
IMAGE_SECONDS, BOOT_SECONDS, LOGIN_SECONDS = 300.0, 300.0, 240.0
STEPS = {      # of the boot, as `os-instance-actions` names them: what a user may read
    "authenticate": "token checked, policy", "validate": "request validated, quota",
    "record": "server and its saga recorded, 202", "accept": "conductor takes it",
    "find_candidates": "placement finds candidates", "choose_host": "filters and weighers choose a host",
    "claim": "resources claimed", "bind_host": "host bound", "make_ports": "ports made and bound",
    "attach_volumes": "volumes attached", "fetch_image": "image in the host's cache",
    "make_disks": "root disk and config drive", "define_guest": "guest defined, tap plugged, paused",
    "await_ports": "network reports the ports up", "run_guest": "guest runs", "mark_active": "ACTIVE"}
ASK = ("uname -a; ip -4 -o addr show scope global; "
       "for each in instance-id local-ipv4 public-ipv4 hostname; do "
       "echo $each: $(curl -s http://169.254.169.254/latest/meta-data/$each); done")

console = Console(stderr=False)


def demo(given: argparse.Namespace) -> int:
    began = time.monotonic()
    state = lifecycle.state_of(given)
    _install(given.yes)
    if lifecycle.running(state) is None:
        say("Starting the cloud.")
        choices = lifecycle.prepare(given, state)
        lifecycle.start_detached(state, choices)
    say(f"The cloud answers at {lifecycle.base_url(state.choices())}.")
    api = Api(state)
    image = _image(api)
    key = _keypair(api, state)
    _open_doors(api)
    server = _boot(api, image, key)
    address = _floating_ip(api, server)
    _log_in(state, address)
    command = _own_name()
    where = f" --state {state.folder}" if given.state else ""
    say(f"\nFrom nothing to a login in {time.monotonic() - began:.0f} s. Try next:\n"
        f"  export OS_CLIENT_CONFIG_FILE={state.folder}/clouds.yaml OS_CLOUD=pileus\n"
        f"  openstack server list                # the unmodified client: pip install python-openstackclient\n"
        f"  {command} ssh{where} {server['name']}      # a login in the guest\n"
        f"  {command} shell{where}           # a shell where floating IPs answer: ping {address}\n"
        f"  {command} trace{where} {server['name']}    # what happened, step by step\n"
        f"  {command} down{where}            # stop it, to be started again by 'up'\n"
        f"  {command} destroy{where}         # remove every trace of it")
    return 0


def say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _own_name() -> str:
    """What a user types to run this: it is installed, or runs from a clone."""
    own = Path(sys.argv[0])
    if own.name != "pileus":
        return "./pileus"
    found = shutil.which("pileus")
    return "pileus" if found and Path(found).samefile(own) else str(own)


def _install(yes: bool) -> None:
    """Say what is missing, then install it; everything but system packages needs no rights."""
    missing = packages.missing("demo")
    if not missing:
        return
    say("Missing on this machine: " + ", ".join(f"{need.package} ({need.why})" for need in missing))
    if not yes and sys.stdin.isatty():
        answer = input("Install them now? [Y/n] ")
        if answer.strip().lower() in ("n", "no"):
            raise Trouble("not installed; 'pileus doctor' says how to do it by hand")
    try:
        packages.install("demo")
    except packages.InstallError as error:
        raise Trouble(str(error)) from error


def _wait(what: str, seconds: float, look: Any) -> Any:
    """The first true answer of `look`. Raises Trouble after `seconds`."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > give_up:
            raise Trouble(f"{what} took longer than {seconds:.0f} s; 'pileus trace' and the log may say why")
        time.sleep(0.1)
    return found


def _image(api: Api) -> dict[str, Any]:
    """The small Linux image, which the cloud builds from Debian packages at its first start."""
    def active() -> Any:
        images = api.get("image", "/v2/images", visibility="public", status="active")["images"]
        return min(images, key=lambda image: image["size"], default=None)
    found = active()
    if found is None:
        say("Building the guest image from Debian packages (once, about 20 s).")
        found = _wait("building the guest image", IMAGE_SECONDS, active)
    say(f"Image    {found['name']}, {found['size'] / 1e6:.0f} MB, built from Debian packages")
    return found


def _keypair(api: Api, state: StateFolder) -> str:
    path = state.folder / "demo-key"
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pileus-demo", "-f", str(path)]
        subprocess.run(command, check=True)
    public_key = path.with_suffix(".pub").read_text()
    api.post("compute", "/os-keypairs", {"keypair": {"name": "demo", "public_key": public_key, "type": "ssh"}},
             accept=(409,))
    say("Key pair demo")
    return "demo"


def _open_doors(api: Api) -> None:
    groups = api.get("network", "/v2.0/security-groups", name="default", project_id=api.project_id)["security_groups"]
    for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}):
        api.post("network", "/v2.0/security-group-rules", {"security_group_rule": {
            "security_group_id": groups[0]["id"], "direction": "ingress", "ethertype": "IPv4", **rule}}, accept=(409,))
    say("Security group default lets ping and ssh in")


def _boot(api: Api, image: dict[str, Any], key: str) -> dict[str, Any]:
    flavors = {each["name"]: each["id"] for each in api.get("compute", "/flavors")["flavors"]}
    network = api.get("network", "/v2.0/networks", name="private")["networks"][0]
    taken = {each["name"] for each in api.get("compute", "/servers")["servers"]}
    name = next(name for n in range(1, 1000) if (name := f"demo-{n}") not in taken)
    made = api.post("compute", "/servers", {"server": {
        "name": name, "flavorRef": flavors["m1.nano"], "imageRef": image["id"], "key_name": key,
        "networks": [{"uuid": network["id"]}], "config_drive": True}})["server"]
    say(f"Server   {name} ({made['id']}) asked for; the life of this request:")
    if console.is_terminal:
        with Live(console=console, refresh_per_second=10) as live:
            server = _watch(api, made["id"], lambda events: live.update(_table(events)))
    else:
        told: set[str] = set()
        server = _watch(api, made["id"], lambda events: _tell_new(events, told))
    if server["status"] != "ACTIVE":
        raise Trouble(f"{name} is {server['status']}: {server.get('fault', {}).get('message', 'no reason given')}")
    return server


def _watch(api: Api, server_id: str, show: Any) -> dict[str, Any]:
    def settled() -> Any:
        server = api.get("compute", f"/servers/{server_id}")["server"]
        show(_events(api, server_id))
        return server if server["status"] != "BUILD" else None
    return _wait("the boot", BOOT_SECONDS, settled)


def _events(api: Api, server_id: str) -> list[dict[str, Any]]:
    path = f"/servers/{server_id}/os-instance-actions"
    actions = [each for each in api.get("compute", path)["instanceActions"] if each["action"] == "create"]
    return api.get("compute", f"{path}/{actions[0]['request_id']}")["instanceAction"]["events"] if actions else []


def _rows(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(number, what, milliseconds) of the steps done so far."""
    done = {event["event"].removeprefix("compute_"): event for event in events}
    rows = []
    for number, (step, what) in enumerate(STEPS.items(), 1):
        if step in done:
            event = done[step]
            seconds = _time(event["finish_time"]) - _time(event["start_time"])
            rows.append((f"{number:2}", what, f"{seconds * 1000:8.1f} ms"))
    return rows


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _table(events: list[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for number, what, took in _rows(events):
        table.add_row(f"[dim]{number}[/dim]", what, f"[green]{took}[/green]")
    return table


def _tell_new(events: list[dict[str, Any]], told: set[str]) -> None:
    for number, what, took in _rows(events):
        if number not in told:
            told.add(number)
            say(f"  {number}  {what:38} {took}")


def _floating_ip(api: Api, server: dict[str, Any]) -> str:
    public = api.get("network", "/v2.0/networks", **{"router:external": "true"})["networks"][0]
    port = api.get("network", "/v2.0/ports", device_id=server["id"])["ports"][0]
    made = api.post("network", "/v2.0/floatingips", {"floatingip": {
        "floating_network_id": public["id"], "port_id": port["id"]}})["floatingip"]
    address = made["floating_ip_address"]
    say(f"Floating IP {address} leads to {port['fixed_ips'][0]['ip_address']}")
    return address


def _log_in(state: StateFolder, address: str) -> None:
    """ssh from inside the cloud's network, as soon as the guest has booted."""
    sandbox = Sandbox(state.folder)
    began = time.monotonic()
    say(f"Waiting for the guest to boot, then: ssh {USER}@{address}")

    def answered() -> str | None:
        done = subprocess.run(sandbox.argv(login(state, address, [ASK], patient=True)), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
        return done.stdout if done.returncode == 0 and done.stdout.strip() else None
    said = _wait("the first login", LOGIN_SECONDS, answered)
    say(f"Logged in {time.monotonic() - began:.1f} s later. The guest says of itself:")
    for line in said.strip().splitlines():
        say(f"  | {line}")
