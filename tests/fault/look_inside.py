"""Run inside the sandbox: prints the links of every network namespace as JSON; the sandbox's own has no name. With a
word: all that is set in them, each with the number that the kernel gave it."""

import json
import os
import subprocess
import sys

SETTINGS = (["ip", "link"], ["ip", "address"], ["ip", "route", "show", "table", "all"],
            ["ip", "-6", "route", "show", "table", "all"], ["ip", "rule"], ["tc", "qdisc"],
            ["bridge", "fdb", "show", "state", "permanent"], ["bridge", "vlan"], ["nft", "-s", "-a", "list", "ruleset"])


def namespaces() -> list[str]:
    return os.listdir("/run/netns")


def links(*where: str) -> list[str]:
    found = subprocess.run(["ip", *where, "-j", "link"], capture_output=True, check=True).stdout
    return [link["ifname"] for link in json.loads(found or b"[]")]


def settings(*where: str) -> list[str]:
    found = [subprocess.run([*where, *words], capture_output=True, check=True, text=True).stdout for words in SETTINGS]
    return [line for text in found for line in text.splitlines()]


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps({"": settings()} | {name: settings("ip", "netns", "exec", name) for name in namespaces()}))
    else:
        print(json.dumps({"": links()} | {name: links("-n", name) for name in namespaces()}))
