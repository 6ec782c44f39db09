"""What a cloud makes of being stopped and started, of guests that end by themselves, and of a network that is cut."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fault.audit import Links, audit
from tests.fault.cloud import Cloud, wait
from tests.fault.logins import give_back, log_in

NOTICED_SECONDS = 20.0


def addresses(server: dict[str, Any]) -> list[str]:
    return [each["addr"] for each in server["addresses"]["private"]]


def test_down_and_up(cloud: Cloud, empty: Links, reachable: tuple[str, str]):
    """Servers that ran run again, stopped ones do not; all keep their addresses, and the way in works again."""
    runs, address = reachable
    stopped = cloud.boot("stopped")
    cloud.await_login(stopped)
    cloud.act(stopped, "os-stop")
    cloud.status(stopped, "SHUTOFF")
    wait("the first login", lambda: log_in(cloud, address, "uname"), 120.0)
    before = {server_id: cloud.settled(server_id) for server_id in (runs, stopped)}
    cloud.down()
    assert cloud.guests() == {}
    assert cloud.process() is None and not cloud.sandbox.alive
    cloud.up()
    wait("the guest that ran", lambda: runs in cloud.guests())
    for server_id, status in ((runs, "ACTIVE"), (stopped, "SHUTOFF")):
        after = cloud.status(server_id, status)
        assert addresses(after) == addresses(before[server_id])
        assert "fault" not in after
    assert wait("the second login", lambda: log_in(cloud, address, "uname"), 120.0) == "Linux\n"
    audit(cloud, empty)
    cloud.act(stopped, "os-start")
    cloud.status(stopped, "ACTIVE")
    audit(cloud, empty)
    give_back(cloud, address)


def test_who_serves_a_volume_dies(cloud: Cloud, empty: Links, reachable: tuple[str, str]):
    """A guest goes on with its volume as soon as it is served again: after a kill, and after all was down."""
    server_id, address = reachable
    api = cloud.api()
    volume_id = api.post("block-storage", "/volumes", {"volume": {"size": 1}})["volume"]["id"]

    def becomes(status: str) -> None:
        wait(f"the volume becoming {status}", lambda: api.get(
            "block-storage", f"/volumes/{volume_id}")["volume"]["status"] == status)

    becomes("available")
    api.post("compute", f"/servers/{server_id}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume_id}})
    becomes("in-use")

    def write(text: str, place: int) -> str | None:
        return log_in(cloud, address, f"echo {text} | sudo dd of=/dev/vdb conv=fsync,notrunc seek={place} && echo done")

    wait("the first login", lambda: write("one", 0), 120.0)
    os.kill(cloud.served()[volume_id], signal.SIGKILL)
    assert wait("a write", lambda: write("two", 1), 60.0) == "done\n"
    cloud.down()
    assert cloud.served() == {}
    cloud.up()
    cloud.status(server_id, "ACTIVE")
    read = "sudo dd if=/dev/vdb count=2 | tr -d '\\000'"
    assert wait("the second login", lambda: log_in(cloud, address, read), 120.0) == "one\ntwo\n"
    audit(cloud, empty)
    api.call("DELETE", "compute", f"/servers/{server_id}/os-volume_attachments/{volume_id}")
    becomes("available")
    api.call("DELETE", "block-storage", f"/volumes/{volume_id}")
    give_back(cloud, address)


@pytest.mark.parametrize("step", ["await_ports", "run_guest"])
def test_down_while_a_guest_waits_for_its_network(cloud: Cloud, empty: Links, blank: dict[str, str], step: str):
    """The host loses the paused guest; the boot goes on with a new one."""
    cloud.pause_at.write_text(f"compute.boot_server:{step}:before")
    server_id = cloud.ask(cloud.body("waits", **blank))
    wait("the paused guest", lambda: cloud.rows(
        "compute", "select step from saga where subject = :of and lease is null", of=server_id) == [(step,)])
    cloud.down()
    cloud.pause_at.write_text("")
    with contextlib.closing(sqlite3.connect(cloud.state.folder / "db" / "compute.sqlite")) as connection, connection:
        connection.execute("update saga set wake_at = 0 where subject = ?", (server_id,))
    cloud.up()
    assert cloud.settled(server_id)["status"] == "ACTIVE"
    audit(cloud, empty)


def test_a_guest_that_powers_itself_off(cloud: Cloud, empty: Links, reachable: tuple[str, str]):
    server_id, address = reachable
    wait("a login", lambda: log_in(cloud, address, "sudo", "poweroff") is not None, 120.0)
    wait("the guest's end", lambda: server_id not in cloud.guests())
    cloud.status(server_id, "SHUTOFF", NOTICED_SECONDS)
    assert "shut down by the guest" in last_words(cloud, server_id)
    audit(cloud, empty)
    cloud.act(server_id, "os-start")
    cloud.status(server_id, "ACTIVE")
    audit(cloud, empty)
    give_back(cloud, address)


def test_a_guest_whose_qemu_is_killed(cloud: Cloud, empty: Links, blank: dict[str, str]):
    """At once after it became active, when news may still be older than what was done."""
    server_id = cloud.boot("shot", **blank)
    os.kill(cloud.guests()[server_id][0], signal.SIGKILL)
    cloud.status(server_id, "SHUTOFF", NOTICED_SECONDS)
    assert "SIGKILL" in last_words(cloud, server_id)
    audit(cloud, empty)


def test_a_guest_that_ends_while_the_cloud_is_dead(cloud: Cloud, empty: Links, blank: dict[str, str]):
    server_id = cloud.boot("orphaned", **blank)
    pid = cloud.guests()[server_id][0]
    cloud.kill()
    os.kill(pid, signal.SIGKILL)
    cloud.up()
    cloud.status(server_id, "SHUTOFF", NOTICED_SECONDS)
    assert "nobody watched" in last_words(cloud, server_id)
    audit(cloud, empty)


def last_words(cloud: Cloud, server_id: str) -> str:
    """Why the server stopped, as its user can read it."""
    found = cloud.api().get("compute", f"/servers/{server_id}/os-instance-actions")["instanceActions"]
    return found[0]["message"] or ""


@pytest.mark.parametrize("names", [["sandbox"], ["pasta"], ["sandbox", "pasta"]], ids="+".join)
@pytest.mark.parametrize("running", [True, False], ids=["cloud runs", "cloud is dead"])
def test_the_sandbox_is_hurt(cloud: Cloud, empty: Links, blank: dict[str, str], names: list[str], running: bool):
    """Its holder and its link to the machine are found dead by the next `up`, which keeps what lives."""
    server_id = cloud.boot("inside", **blank)
    before = cloud.guests()
    if not running:
        cloud.kill()
    for name in names:
        os.kill(int((cloud.state.run / f"{name}.pid").read_text()), signal.SIGKILL)
    cloud.up()
    assert cloud.settled(server_id)["status"] == "ACTIVE"
    assert cloud.guests() == before
    audit(cloud, empty)


def machine() -> dict[str, str]:
    """What of this machine's own network could be changed."""
    commands = (("ip", "-br", "link"), ("ip", "-br", "addr"), ("ip", "route", "show", "table", "all"), ("ip", "rule"),
                ("nft", "-s", "list", "ruleset"))
    found = {" ".join(command): subprocess.run(command, capture_output=True, text=True, check=True).stdout
             for command in commands}
    for path in sorted(Path("/proc/sys/net").rglob("*")):
        if path.is_file() and os.access(path, os.R_OK) and "conntrack_count" not in path.name:
            found[str(path)] = setting(path)
    return found


def setting(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:               # some can only be written
        return str(error)


def test_the_machine_stays_as_it_was(cloud: Cloud, make_cloud: Any):
    """A whole life beside the one that runs already: up, a server, down, up, destroy."""
    before = machine()
    other = make_cloud()
    other.up()
    server_id = other.boot("short")
    assert machine() == before
    other.down()
    assert machine() == before
    other.up()
    other.status(server_id, "ACTIVE")
    assert machine() == before
    other.destroy()
    assert machine() == before
    assert not other.state.folder.exists()
