"""A whole cloud whose hosts run their guests by libvirt, each by a libvirtd of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.fault.cloud import Cloud, wait

LOGIN_SECONDS = 120.0


def said(cloud: Cloud, server_id: str) -> str:
    """What its console has shown, as its user is told."""
    answer = cloud.api().post("compute", f"/servers/{server_id}/action", {"os-getConsoleOutput": {}})
    return answer["output"]


def boots(cloud: Cloud, server_id: str) -> int:
    return said(cloud, server_id).count("Linux version")


def await_login(cloud: Cloud, server_id: str, times: int) -> None:
    wait(f"login prompt {times}", lambda: boots(cloud, server_id) == times and said(
        cloud, server_id).rstrip().endswith("login:"), LOGIN_SECONDS, 0.5)


def libvirt_processes(cloud: Cloud) -> list[int]:
    """That keep what they have in the cloud's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if re.search(rb"libvirtd|qemu-system", words) and str(cloud.state.folder).encode() in words:
            found.append(int(path.parent.name))
    return found


def test_a_guest_of_libvirt_logs_in_and_outlives_the_cloud(make_cloud: Callable[..., Cloud]):
    cloud = make_cloud("libvirt")
    cloud.up()
    server_id = cloud.boot("of libvirt")
    await_login(cloud, server_id, 1)
    cloud.kill()
    cloud.up()
    assert cloud.settled(server_id)["status"] == "ACTIVE"
    assert boots(cloud, server_id) == 1, "it was left alone"
    cloud.act(server_id, "reboot", {"type": "HARD"})
    cloud.status(server_id, "ACTIVE")
    await_login(cloud, server_id, 2)
    assert libvirt_processes(cloud) != []
    cloud.delete(server_id)
    cloud.await_gone(server_id)
    cloud.destroy()
    assert libvirt_processes(cloud) == []
