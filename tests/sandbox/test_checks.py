"""What users are told where a sandbox cannot be had: the very reason, and what to do about it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pileus.sandbox.checks import refusal
from tests.sandbox.conftest import Person

TELL = """
sandbox = Sandbox(sys.argv[1])
ports = [int(port) for port in sys.argv[2:]]
for missing in sandbox.checks(ports):
    print(missing)
try:
    sandbox.ensure(ports)
except SandboxError as error:
    print("REFUSED", error)
"""


def hiding(mount: str) -> list[str]:
    """A command prefix under which a part of the machine looks different to what follows."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *as_root, "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]


def test_nothing_is_missing_here(person: Person, state: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    assert person.python(TELL, state, port) == ""
    assert person.python(TELL, state, port) == "", "a port that already leads inside is not in the way"


def test_a_port_in_use_names_its_user(person: Person, state: Path) -> None:
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    other = person.start(code)
    assert other.stdout
    port = int(other.stdout.readline())
    said = person.python(TELL, state, port)
    other.kill()
    other.communicate(timeout=10)
    assert f"port {port}: python" in said and f"(pid {other.pid}) listens on it" in said
    assert "--port" in said
    assert "REFUSED" in said
    assert not list((state / "run").iterdir()), "what was made on the way is gone"
    assert not person.processes()


def test_a_low_port(person: Person, state: Path) -> None:
    said = person.python(TELL, state, 79)
    assert said.count("port 79: ports below 1024 are root's") == (0 if os.geteuid() == 0 and not person.prefix else 2)


def test_a_folder_that_cannot_be_written(person: Person) -> None:
    file = person.folder / "file"
    file.touch()
    said = person.python(TELL, file / "state")
    assert said.count(f"{file} is a file") == 2 and "--state DIR" in said
    if person.prefix:
        said = person.python(TELL, "/somewhere")
        assert said.count("may not write in /") == 2 and "--state DIR" in said


@pytest.mark.parametrize(
    ("mount", "reason", "cure"),
    [
        ("mount --bind /dev/null /usr/bin/pasta", "pasta: ", "apt-get install passt"),
        ("mount -t tmpfs none /dev/net", "/dev/net/tun: it does not exist", "modprobe tun"),
    ],
)
def test_missing_parts(person: Person, state: Path, mount: str, reason: str, cure: str) -> None:
    said = person.python(TELL, state, wrapper=hiding(mount))
    assert said.count(reason) == said.count(cure) == 2, "told by checks() and by ensure()"


def test_no_user_namespaces_left(person: Person, state: Path) -> None:
    """The limit is one of the user namespace around us, so a namespace of our own can lower its own."""
    lower = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-net_admin "$@"'
    limited = replace(person, prefix=[*person.prefix, "unshare", "--user", "--map-root-user", "sh", "-c", lower, "sh"])
    said = limited.python(TELL, state)
    assert said.count("user.max_user_namespaces is 0") == 2, "told by checks() and by ensure()"
    assert "sudo sysctl -w user.max_user_namespaces=" in said


@pytest.mark.parametrize(
    ("settings", "why", "cure"),
    [
        ({"kernel.unprivileged_userns_clone": 0}, "only root", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"user.max_user_namespaces": 0}, "nobody", "sudo sysctl -w user.max_user_namespaces=10000"),
        ({"kernel.apparmor_restrict_unprivileged_userns": 1}, "AppArmor", "sudo tee /etc/apparmor.d/pileus"),
        ({}, "container", "--cap-add SYS_ADMIN"),
    ],
)
def test_refused_namespaces(settings: dict[str, int], why: str, cure: str) -> None:
    missing = refusal("unshare: Operation not permitted", settings.get)
    assert why in missing.why and cure in missing.cure
