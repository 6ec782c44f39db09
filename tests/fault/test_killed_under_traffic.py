"""The cloud is killed and started again under traffic: no packet is lost, and its network is not touched."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pileus.commands.inside import login
from tests.fault.audit import Links, audit
from tests.fault.cloud import Cloud, wait
from tests.fault.logins import floating_ip, give_back, let_in, log_in

ENOUGH = 200                         # packets to tell by
ON_THEIR_WAY = 100                   # packets that nobody has answered yet when we stop to look, a second's worth
END = "/tmp/end"
SENDS = f"n=0; while [ ! -e {END} ]; do n=$((n+1)); echo $n; usleep 10000; done | tee /tmp/sent | nc {{}} 7001"
PINGS = f"sudo ping -q -i 0.01 {{}} & while [ ! -e {END} ]; do usleep 10000; done; sudo kill -INT $(pidof ping); wait"


@contextmanager
def running(cloud: Cloud, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(cloud.sandbox.argv(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def must_be_whole(way: str, said: str) -> None:
    """Every packet was answered, but for those that had no time to be."""
    answered = {int(number) for number in re.findall(r"seq=(\d+) ", said)}
    counts = re.search(r"(\d+) packets transmitted", said)
    assert counts and answered, f"{way}: {said[-1000:]}"
    first, last = min(answered), max(answered)
    assert first <= 1 and int(counts[1]) - last <= ON_THEIR_WAY, f"{way}: {first} to {last} of {counts[1]}"
    lost = set(range(first, last + 1)) - answered
    assert not lost, f"{way}: {len(lost)} of {counts[1]} lost, {sorted(lost)[:10]}"
    assert last > ENOUGH, f"{way}: {last} are too few to tell"


def kernel(cloud: Cloud) -> set[tuple[str, str]]:
    """All that the cloud has set in the kernel, with the numbers the kernel gave it: what is made anew has others."""
    program = str(Path(__file__).with_name("look_inside.py"))
    told = json.loads(cloud.inside(sys.executable, "-I", "-S", program, "all"))
    return {(namespace, line) for namespace, lines in told.items() for line in lines}


def test_killed_under_traffic(cloud: Cloud, empty: Links):
    """A ping every 10 ms over a floating IP, one between two guests, and a stream of what is counted at its end."""
    with_key = let_in(cloud)
    servers = [cloud.ask(cloud.body(name, **with_key)) for name in ("sends", "hears")]
    for server_id in servers:
        cloud.status(server_id, "ACTIVE", 90.0)
    sender, hearer = [floating_ip(cloud, server_id) for server_id in servers]
    for address in (sender, hearer):
        wait("the first login", lambda address=address: log_in(cloud, address, "uname"), 120.0)
    found = cloud.show(servers[1])
    assert found is not None
    inner = next(each["addr"] for each in found["addresses"]["private"] if each["OS-EXT-IPS:type"] == "fixed")
    hears = login(cloud.state, hearer, ["tail -f /dev/null | nc -l -p 7001 > /tmp/heard"])
    sends, pings = login(cloud.state, sender, [SENDS.format(inner)]), login(cloud.state, sender, [PINGS.format(inner)])
    with running(cloud, hears), running(cloud, ["ping", "-n", "-i", "0.01", sender]) as outer:
        wait("who hears", lambda: log_in(cloud, hearer, "pidof", "nc"))
        with running(cloud, sends), running(cloud, pings) as between:
            wait("the stream", lambda: log_in(cloud, hearer, "test", "-s", "/tmp/heard") is not None)
            before, log, since = kernel(cloud), cloud.state.log / "pileus.log", time.time()
            cloud.kill()
            dead = wait("a login while nobody is in charge", lambda: heard(cloud, hearer))
            cut = log.stat().st_size
            cloud.up()
            wait("the network's agent", lambda: in_step(cloud, since))
            wait("more of the stream", lambda: heard(cloud, hearer) > dead)
            assert kernel(cloud) ^ before == set()
            with open(log) as file:
                file.seek(cut)
                assert [line for line in file if re.search(r"\d changes in|mended", line)] == []
            wait("the end", lambda: log_in(cloud, sender, "touch", END) is not None)
            outer.send_signal(signal.SIGINT)
            must_be_whole("over the floating IP", outer.communicate(timeout=30)[0])
            sent = re.search(r"(\d+) packets transmitted", between.communicate(timeout=30)[0])
            assert sent and int(sent[1]) > ENOUGH, "too few to tell"
            wait("the answers to its pings", lambda: unanswered(cloud, sender) == 0)
            sums = [wait("the end of the stream", lambda: log_in(cloud, sender, "md5sum", "<", "/tmp/sent"))]
            wait("all of it", lambda: log_in(cloud, hearer, "md5sum", "<", "/tmp/heard") in sums)
    for address in (sender, hearer):
        give_back(cloud, address)
    audit(cloud, empty)


def heard(cloud: Cloud, address: str) -> int:
    """The last number that came; 0 also where the login fails."""
    return int(log_in(cloud, address, "tail", "-n1", "/tmp/heard") or 0)


def unanswered(cloud: Cloud, address: str) -> int | None:
    """How many pings a guest's kernel sent more than it had answers; None where the login fails. Its ping itself has
    room for 20 answers that it has not looked at, loses others when it is not let to for a fifth of a second, and does
    not count one that it is stopped at."""
    told = (log_in(cloud, address, "grep", "IcmpMsg", "/proc/net/snmp") or "").splitlines()
    if not told:
        return None
    counts = dict(zip(*map(str.split, told), strict=True))
    return int(counts["OutType8"]) - int(counts.get("InType0", 0))


def in_step(cloud: Cloud, since: float) -> bool:
    """The host's agent began after that moment, and has said that the host is as it should be."""
    return all(started > since and seq == confirmed and not error for started, seq, confirmed, error in cloud.rows(
        "network", "select started_at, seq, confirmed, error from host"))
