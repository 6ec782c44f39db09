"""What a sandbox promises: a network of its own, reached on loopback, that outlives its makers and leaves no trace."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sandbox.conftest import Person, wait_for

FreePort = Callable[[], int]

SERVE = """
import http.server, sys
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello from inside")
http.server.HTTPServer(("", int(sys.argv[1])), Hello).serve_forever()
"""

# Becomes the cloud's main process: makes the sandbox, enters, and starts a guest and an API there.
CLOUD = """
sandbox = Sandbox(sys.argv[1])
sandbox.ensure([int(sys.argv[2])])
sandbox.enter()
guest = subprocess.Popen([sys.executable, "-c", sys.argv[3], sys.argv[2]], start_new_session=True, stdout=-3, stderr=-3)
print(guest.pid, flush=True)
time.sleep(60)
"""

NETWORK = """
set -e
ip link add br0 type bridge
ip tuntap add tap0 mode tap
ip link set tap0 master br0
ip link add vx7 type vxlan id 7 dstport 4789 dev eth0
ip link set vx7 master br0
ip netns add left
ip netns add right
ip link add l0 type veth peer name eth0 netns left
ip link add r0 type veth peer name eth0 netns right
ip addr add 10.1.0.1/24 dev l0
ip addr add 10.2.0.1/24 dev r0
for link in br0 tap0 vx7 l0 r0; do ip link set $link up; done
ip -n left addr add 10.1.0.2/24 dev eth0
ip -n right addr add 10.2.0.2/24 dev eth0
for side in left right; do ip -n $side link set lo up; ip -n $side link set eth0 up; done
ip -n left route add default via 10.1.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
nft add table ip nat
nft add chain ip nat post '{ type nat hook postrouting priority 100; }'
nft add rule ip nat post oifname r0 masquerade
nft add table ip filter
nft add chain ip filter pass '{ type filter hook forward priority 0; policy drop; }'
nft add rule ip filter pass ct state established accept
nft add rule ip filter pass iifname l0 accept
test "$(ls /sys/class/net/br0/brif | tr '\\n' ' ')" = "tap0 vx7 "
"""

ASK_PEER = """
import socket, subprocess, sys
serve = "import socket; s = socket.create_server(('', 80)); print(flush=True); c, a = s.accept(); c.send(a[0].encode())"
ask = "import socket; print(socket.create_connection(('10.2.0.2', 80), 5).recv(99).decode())"
server = subprocess.Popen(["ip", "netns", "exec", "right", sys.executable, "-c", serve], stdout=subprocess.PIPE)
server.stdout.readline()
subprocess.run(["ip", "netns", "exec", "left", sys.executable, "-c", ask], check=True)
server.wait()
"""


def fetch(port: int) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def machine_network() -> dict[str, str]:
    """Everything of the machine's own network that a cloud might be tempted to change."""
    asked = {
        "links": ["ip", "-o", "link"],
        "addresses": ["ip", "-o", "addr"],
        "routes": ["ip", "route", "show", "table", "all"],
        "rules": ["ip", "rule"],
        "firewall": ["nft", "list", "ruleset"],
        "named networks": ["ip", "netns", "list"],
    }
    answers = {
        name: subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for name, command in asked.items()
    }
    sysctls = [*Path("/proc/sys/net/bridge").glob("*"), *Path("/proc/sys/net/ipv4").glob("ip_forward*")]
    sysctls += Path("/proc/sys/net").glob("ipv*/conf/*/forwarding")
    answers |= {str(path): path.read_text() for path in sysctls}
    answers["mounts"] = Path("/proc/self/mountinfo").read_text()
    return answers


def test_networks_inside_carry_packets(person: Person, state: Path) -> None:
    person.ensure(state)
    person.inside(state, "sh", "-c", NETWORK)
    assert person.inside(state, person.interpreter, "-c", ASK_PEER).strip() == "10.2.0.1"
    bridged = person.inside(state, "sh", "-c", "cat /proc/sys/net/bridge/bridge-nf-call-iptables || echo absent")
    if bridged.strip() != "absent":
        person.inside(state, "sh", "-c", "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables")


def test_programs_inside_are_still_their_user(person: Person, state: Path) -> None:
    person.ensure(state)
    person.inside(state, "sh", "-c", f"touch {state}/made-inside")
    assert (state / "made-inside").stat().st_uid == state.stat().st_uid
    status = person.inside(state, "sh", "-c", "id -u; grep CapEff /proc/self/status").split()
    assert int(status[0]) == state.stat().st_uid
    assert int(status[2], 16) >> 12 & 1, "the right to administer networks"


def test_the_port_is_reached_on_loopback_only(person: Person, state: Path, free_port: FreePort) -> None:
    ports = sorted([free_port(), free_port()])
    person.ensure(state, *ports)
    code = "Sandbox(sys.argv[1]).enter(); os.execv(sys.executable, [sys.executable, '-c', *sys.argv[2:]])"
    servers = [person.start(code, state, SERVE, port) for port in ports]
    try:
        for port in ports:
            assert wait_for(lambda port=port: fetch(port)) == "hello from inside"
            listening = subprocess.run(["ss", "-Htln", f"sport = :{port}"], capture_output=True, text=True, check=True)
            assert [line.split()[3] for line in listening.stdout.splitlines()] == [f"127.0.0.1:{port}"]
    finally:
        for server in servers:
            server.kill()
            server.communicate(timeout=10)


def test_a_machine_without_any_network_has_it_too(person: Person, state: Path, free_port: FreePort) -> None:
    """A laptop on a train: pasta has no interface to copy addresses from."""
    code = """
import socket, urllib.request
port = int(sys.argv[2])
sandbox = Sandbox(sys.argv[1])
sandbox.ensure([port])
server = subprocess.Popen(sandbox.argv([sys.executable, "-c", sys.argv[3], str(port)]), stderr=subprocess.DEVNULL)
for _ in range(500):
    try:
        print(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read().decode())
        break
    except OSError:
        time.sleep(0.01)
sandbox.stop()
server.wait()
"""
    script = 'ip link set lo up; exec "$@"'
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    wrapper = ["unshare", *as_root, "--net", "sh", "-ec", script, "sh"]
    assert person.python(code, state, free_port(), SERVE, wrapper=wrapper).strip() == "hello from inside"


def test_it_outlives_a_killed_cloud(person: Person, state: Path, free_port: FreePort) -> None:
    port, other = free_port(), free_port()
    cloud = person.start(CLOUD, state, port, SERVE)
    assert cloud.stdout
    guest = int(cloud.stdout.readline())
    assert wait_for(lambda: fetch(port)) == "hello from inside"
    before = person.namespaces(state)
    holder = (state / "run" / "sandbox.pid").read_text()

    cloud.kill()
    cloud.communicate(timeout=10)
    assert fetch(port) == "hello from inside"
    person.ensure(state, port)
    assert (state / "run" / "sandbox.pid").read_text() == holder
    assert os.stat(f"/proc/{guest}/ns/net").st_ino == person.namespaces(state)["net"] == before["net"]

    person.ensure(state, port, other)
    assert wait_for(lambda: fetch(port)) == "hello from inside"
    person.stop(state)
    assert fetch(port) is None
    assert not list((state / "run").iterdir())
    assert not person.processes()


@pytest.mark.parametrize("victims", [["pasta"], ["sandbox"], ["sandbox", "pasta"]])
def test_a_killed_part_is_mended(person: Person, state: Path, free_port: FreePort, victims: list[str]) -> None:
    port = free_port()
    cloud = person.start(CLOUD, state, port, SERVE)
    assert cloud.stdout and cloud.stdout.readline()
    before = person.namespaces(state)
    for victim in victims:
        os.kill(int((state / "run" / f"{victim}.pid").read_text()), signal.SIGKILL)

    def alive() -> bool:
        return person.python("print(Sandbox(sys.argv[1]).alive)", state).strip() == "True"

    # A process that is killed runs on until the kernel comes to it.
    assert wait_for(lambda: not alive() or None)
    person.ensure(state, port)
    assert alive()
    assert person.namespaces(state) == before
    assert wait_for(lambda: fetch(port)) == "hello from inside"
    person.stop(state)
    cloud.communicate(timeout=10)


def test_a_starter_killed_at_any_moment_leaves_one_sandbox(person: Person, state: Path, free_port: FreePort) -> None:
    port = free_port()
    code = "sandbox = Sandbox(sys.argv[1])\nprint(flush=True)\nsandbox.ensure([int(sys.argv[2])])"
    for milliseconds in range(0, 100, 9):
        starter = person.start(code, state, port)
        assert starter.stdout and starter.stdout.readline()
        time.sleep(milliseconds / 1000)
        starter.kill()
        starter.communicate(timeout=10)
        if milliseconds % 2:
            person.stop(state)
    person.ensure(state, port)
    expected = {int((state / "run" / f"{name}.pid").read_text()) for name in ("sandbox", "pasta")}
    # While it starts, pasta has short-lived children in the network it links.
    assert wait_for(lambda: set(person.processes()) <= expected or None)
    command_lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert sum(f"127.0.0.1/{port}".encode() in line for line in command_lines) == 1


def test_many_at_once_make_one_sandbox(person: Person, state: Path, free_port: FreePort) -> None:
    port = free_port()
    code = "Sandbox(sys.argv[1]).ensure([int(sys.argv[2])]); print(open(sys.argv[1] + '/run/sandbox.pid').read())"
    starters = [person.start(code, state, port) for _ in range(4)]
    assert len({starter.communicate(timeout=20)[0] for starter in starters}) == 1


def test_the_machine_is_the_same_before_during_and_after(person: Person, state: Path, free_port: FreePort) -> None:
    before = machine_network()
    person.ensure(state, free_port())
    person.inside(state, "sh", "-c", NETWORK)
    assert machine_network() == before
    person.stop(state)
    assert machine_network() == before


def test_two_sandboxes_do_not_see_each_other(person: Person, free_port: FreePort) -> None:
    one, two = person.folder / "state-one", person.folder / "state-two"
    clouds = []
    for state in (one, two):
        port = free_port()
        clouds.append((person.start(CLOUD, state, port, SERVE), port))
    for cloud, port in clouds:
        assert cloud.stdout and cloud.stdout.readline()
        assert wait_for(lambda port=port: fetch(port)) == "hello from inside"
    person.inside(one, "ip", "link", "add", "br0", "type", "bridge")
    assert "br0" not in person.inside(two, "ip", "-o", "link")
    person.stop(one)
    assert fetch(clouds[0][1]) is None
    assert fetch(clouds[1][1]) == "hello from inside"
    person.stop(two)
    for cloud, _ in clouds:
        cloud.communicate(timeout=10)


def test_nobody_else_is_taken_for_ours(person: Person, state: Path) -> None:
    """The kernel gives the numbers of lost namespaces to whoever makes the next ones."""
    person.ensure(state)
    lost = json.loads((state / "run" / "sandbox.json").read_text())
    for name in ("sandbox", "pasta"):
        os.kill(int((state / "run" / f"{name}.pid").read_text()), signal.SIGKILL)
    assert wait_for(lambda: not person.processes() or None)
    other = Person(person.prefix, person.interpreter, person.folder)
    other.ensure(person.folder / "state-other")
    numbers = other.namespaces(person.folder / "state-other")
    (state / "run" / "sandbox.json").write_text(json.dumps(lost | {"namespaces": numbers}))
    assert person.python("print(Sandbox(sys.argv[1]).residents())", state).strip() == "[]"
    person.stop(state)
    assert other.python("print(Sandbox(sys.argv[1]).alive)", person.folder / "state-other").strip() == "True"


def test_what_the_starter_has_open_is_not_kept(person: Person, state: Path, free_port: FreePort) -> None:
    code = """
reader, writer = os.pipe()
os.set_inheritable(writer, True)
Sandbox(sys.argv[1]).ensure([int(sys.argv[2])])
os.close(writer)
print(os.read(reader, 1))
"""
    assert person.python(code, state, free_port()).strip() == "b''"


def test_another_users_sandbox_is_left_alone(person: Person, state: Path) -> None:
    if person.prefix:
        person.ensure(state)
        nobody = replace(person, prefix=[])
        code = "try: Sandbox(sys.argv[1]).enter()\nexcept SandboxError as error: print(error)"
        assert f"it is of user {state.stat().st_uid}" in nobody.python(code, state)


def test_stop_ends_who_hides_in_inner_networks(person: Person, state: Path) -> None:
    person.ensure(state)
    script = "ip netns add deep; setsid ip netns exec deep unshare --mount sleep 60 </dev/null >/dev/null 2>&1 &"
    person.inside(state, "sh", "-c", script)
    assert wait_for(lambda: len(person.processes()) > 2 or None)
    person.stop(state)
    assert not person.processes()
    person.stop(state)


def test_the_second_start_takes_no_time(person: Person, state: Path, free_port: FreePort) -> None:
    code = """
sandbox, port = Sandbox(sys.argv[1]), int(sys.argv[2])
times = [time.perf_counter()]
for _ in range(2):
    sandbox.ensure([port])
    times.append(time.perf_counter())
sandbox.enter()
times.append(time.perf_counter())
print(json.dumps([later - earlier for earlier, later in zip(times, times[1:])]))
"""
    first, again, entering = json.loads(person.python(code, state, free_port()))
    print(f"ensure {first * 1000:.0f} ms, again {again * 1000:.1f} ms, enter {entering * 1000:.1f} ms")
    assert again < first
