"""pileus shell, pileus ssh: from inside the cloud's network."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from pileus.commands.lifecycle import state_of
from pileus.commands.rest import Api, addresses
from pileus.commands.trouble import Trouble
from pileus.processes.state import StateFolder
from pileus.sandbox import Sandbox

__all__ = ["Trouble", "login", "shell", "ssh"]
USER = "cirros"                    # of the guest image


def _enter(state: StateFolder, command: list[str]) -> int:
    """Become `command`, inside."""
    sandbox = Sandbox(state.folder)
    if not sandbox.alive:
        raise Trouble(f"the cloud in {state.folder} does not run; start it with 'pileus up'")
    argv = sandbox.argv(command)
    os.execvp(argv[0], argv)


def shell(given: argparse.Namespace) -> int:
    state = state_of(given)
    os.environ |= {"OS_CLIENT_CONFIG_FILE": str(state.folder / "clouds.yaml"), "OS_CLOUD": "pileus"}
    return _enter(state, given.words or [os.environ.get("SHELL") or shutil.which("bash") or "/bin/sh"])


def login(state: StateFolder, address: str, words: list[str] | None = None, *, patient: bool = False) -> list[str]:
    """The ssh command line for a guest, to be run inside. Host keys are not kept: addresses pass between guests."""
    key = state.folder / "demo-key"
    options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}", "-o", "LogLevel=ERROR",
               "-o", f"ConnectTimeout={5 if patient else 15}", "-o", "BatchMode=yes"]
    identity = ["-i", str(key), "-o", "IdentitiesOnly=yes"] if key.exists() else []
    return ["ssh", *options, *identity, f"{USER}@{address}", *(words or [])]


def ssh(given: argparse.Namespace) -> int:
    state = state_of(given)
    server = Api(state).server(given.server)
    found = addresses(server, "floating")
    if not found:
        fixed = ", ".join(addresses(server, "fixed")) or "no address"
        raise Trouble(f"{given.server} has no floating IP ({fixed} answers only inside its network); give it one:\n"
                      f"  openstack floating ip create public; openstack server add floating ip {given.server} ADDRESS")
    command = login(state, found[0], given.words)
    if Path(command[0]).name == "ssh" and not shutil.which("ssh"):
        raise Trouble("ssh is not installed: apt-get install openssh-client")
    return _enter(state, command)
