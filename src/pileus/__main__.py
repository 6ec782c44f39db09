"""The `pileus` command."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

# Subcommand -> (module below pileus.commands, what it does). Modules are imported when their turn comes, so that
# `pileus status` does not pay for what `pileus up` needs.
COMMANDS = {
    "demo": ("demo", "install what is missing, start a cloud, boot a server in it and log in to it"),
    "up": ("lifecycle", "start the cloud"),
    "down": ("lifecycle", "stop the cloud; servers that run now are started again by the next up"),
    "status": ("lifecycle", "say what runs"),
    "destroy": ("lifecycle", "stop the cloud and delete everything it keeps"),
    "shell": ("inside", "a shell inside the cloud's network, where floating IPs answer"),
    "ssh": ("inside", "log in to a server"),
    "trace": ("operations", "tell the life of a request, a server or a port"),
    "saga": ("operations", "unfinished work: list, retry"),
    "network": ("network", "say why one server cannot reach another, or what lets it"),
    "schedule": ("schedule", "say where a server would go, and of every other host why not"),
    "policy": ("policy", "say whether somebody may do something, and what decides it"),
    "simulate": ("simulate", "try the control plane over fake hosts in virtual time, with failures"),
    "bootstrap": ("identity", "bring back what an administrator needs to log in"),
    "keys": ("identity", "rotate the keys that sign tokens and encrypt stored credentials"),
    "doctor": ("health", "say what is missing on this machine and how to cure it"),
    "config": ("health", "print every option of the configuration with its default"),
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="pileus", description="A cloud in one command, OpenStack-compatible.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for name, (_, what) in COMMANDS.items():
        each = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        each.set_defaults(command=name)
        each.add_argument("--state", type=Path, metavar="DIR", default=None,
                          help="the cloud's folder (default: $PILEUS_STATE, else ~/.local/state/pileus)")
        _arguments(name, each)
    return top


def _arguments(name: str, each: argparse.ArgumentParser) -> None:
    if name in ("up", "demo"):
        each.add_argument("--port", type=int, help="port of all APIs on 127.0.0.1 (default: 5000, or as last time)")
        each.add_argument("--hosts", type=int, help="how many hypervisor hosts (default: 1, or as last time)")
        each.add_argument("--driver", choices=["qemu", "libvirt", "fake"],
                          help="real guests by QEMU or by libvirt, or hosts that only pretend")
    if name == "up":
        each.add_argument("--detach", action="store_true", help="return as soon as the cloud answers")
    if name == "demo":
        each.add_argument("--yes", action="store_true", help="install missing system packages without asking")
    if name == "destroy":
        each.add_argument("--yes", action="store_true", help="do not ask")
    if name == "shell":
        each.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="run this instead of a shell")
    if name == "ssh":
        each.add_argument("server", help="name or id")
        each.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="run this in the server")
    if name == "trace":
        each.add_argument("id", help="a request id (req-…), or a server, by name or id")
    if name in ("network", "policy", "schedule"):
        each.add_argument("action", choices=["explain"])
        _questions(name, each)
    if name == "simulate":
        each.add_argument("--hosts", type=int, default=50, help="default: 50")
        each.add_argument("--hours", type=float, default=1.0, help="of virtual time (default: 1)")
        each.add_argument("--seed", type=int, default=1, help="of the work and the failures (default: 1)")
        each.add_argument("--servers", type=int, default=1000, help="asked for at most (default: 1000)")
    if name == "keys":
        each.add_argument("action", choices=["rotate"])
        each.add_argument("which", nargs="?", choices=["all", "tokens", "credentials"], default="all")
    if name == "saga":
        each.add_argument("action", choices=["list", "retry"])
        each.add_argument("id", nargs="?", help="of the saga to retry")
        each.add_argument("--stuck", action="store_true", help="only those that wait for an operator")


def _questions(name: str, each: argparse.ArgumentParser) -> None:
    """What there is to explain."""
    if name == "network":
        each.add_argument("source", help="a server by name or id, a port's id, or an address")
        each.add_argument("destination", help="the same; of addresses, also floating IPs and those outside")
        each.add_argument("--port", type=int, help="asked for at the destination (default: an ICMP echo)")
        each.add_argument("--protocol", choices=["tcp", "udp", "sctp", "icmp"], help="default: tcp if there is a port")
    if name == "policy":
        each.add_argument("user", help="name or id")
        each.add_argument("scope", metavar="project", help="name or id of a project; domain:NAME; or system")
        each.add_argument("rule", help="such as os_compute_api:servers:create")
        each.add_argument("facts", nargs="*", metavar="NAME=VALUE",
                          help="facts of what it would be done to, such as project_id=ID; the caller's own without any")
    if name == "schedule":
        each.add_argument("--flavor", required=True, help="name or id")
        each.add_argument("--image", help="name or id; without one it boots from a volume")
        each.add_argument("--hint", action="append", default=[], metavar="KEY=VALUE",
                          help="a scheduler hint, as often as wanted")
        each.add_argument("--az", metavar="ZONE", help="availability zone")
        each.add_argument("--host", help="the only one that may take it")
        each.add_argument("--network", help="name or id of the network it would be on")


def _take_ours(given: argparse.Namespace) -> None:
    """The words of a command to run are its own, but for what stands before its first: --state DIR, and --."""
    if given.words[:1] == ["--state"] and len(given.words) > 1:
        given.state, given.words = Path(given.words[1]), given.words[2:]
    if given.words[:1] == ["--"]:
        given.words = given.words[1:]


def main(argv: list[str] | None = None) -> int:
    given = parser().parse_args(argv)
    if "words" in given:
        _take_ours(given)
    module = import_module(f"pileus.commands.{COMMANDS[given.command][0]}")
    try:
        return getattr(module, given.command)(given)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:              # whoever read has read enough; Python would complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except module.Trouble as trouble:
        print(f"pileus: {trouble}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
