"""What is missing is found by the programs themselves, and told with the command that cures it."""

import os
import subprocess
import sys
from pathlib import Path

from pileus import packages
from pileus.packages import Need, doctor

SOURCES = Path(__file__).parents[2] / "src"


def test_presence_is_a_program_or_a_file() -> None:
    assert Need("coreutils", "ls", "").is_met
    assert Need("iproute2", "ip", "").is_met, "system folders are looked into though they are not on the path"
    assert not Need("nothing", "no-such-program", "").is_met
    assert Need("base", "/etc/*/os-release", "").is_met is False
    assert Need("base", "/usr/*/bash", "").is_met
    assert Need("base", "/etc/os-release", "").is_met


def test_the_plan_says_what_will_be_done() -> None:
    assert packages.plan([]) == []
    commands = packages.plan([Need("b", "x", ""), Need("a", "y", ""), Need("a", "z", "")])
    assert commands[-1][-2:] == ["a", "b"]
    assert "DPkg::Lock::Timeout=900" in commands[-1]
    assert (commands[0][0] == "sudo") == (os.geteuid() != 0)
    assert (len(commands) == 1) == packages.has_lists()


def test_no_apt_and_no_sudo_are_told() -> None:
    """Inside mounts of our own, where the programs in question are plain files that nobody can run."""
    code = (
        "from pileus import packages\ntry: packages.install('run')\nexcept packages.InstallError as error: print(error)"
    )
    script = 'for hidden in /usr/bin/pasta $HIDDEN; do mount --bind /dev/null $hidden; done; exec "$@"'
    wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script, "sh"]
    environment = os.environ | {"PYTHONPATH": str(SOURCES), "HIDDEN": "/usr/bin/apt-get"}
    command = [*wrapper, sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "has no apt-get" in done.stdout and "pasta (links the cloud's network" in done.stdout
    missing = (
        "from pathlib import Path\nfrom pileus.packages import doctor\nfor row in doctor(Path('/tmp/x')): print(row)"
    )
    command = [*wrapper, sys.executable, "-c", missing]
    done = subprocess.run(command, env=environment | {"HIDDEN": ""}, capture_output=True, text=True, check=True)
    row = next(line for line in done.stdout.splitlines() if "'pasta'" in line)
    assert "ok=False" in row and "install passt (there since Debian 12 and Ubuntu 23.04)" in row


def test_the_doctor_covers_everything(tmp_path: Path) -> None:
    rows = {row.name: row for row in doctor(tmp_path / "not" / "yet" / "there", [0], task="demo")}
    for name in (
        "qemu-system-x86_64",
        "nft",
        "ip",
        "pasta",
        "mke2fs",
        "state folder",
        "user namespaces",
        "network cards",
    ):
        assert rows[name].ok, rows[name]
    assert rows["port 0"].ok
    assert not rows["acceleration"].required
    assert "GiB free" in rows["disk space"].detail and "GiB available" in rows["memory"].detail
    assert all(row.ok or row.cure for row in rows.values())
