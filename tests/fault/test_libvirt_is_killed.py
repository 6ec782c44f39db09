"""A cloud whose hosts run guests by libvirt: kill -9 of the program, and of libvirtd, at moments that matter."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.audit import Links, audit
from tests.fault.cloud import Cloud, wait
from tests.fault.logins import floating_ip, give_back, let_in, log_in

BOOT = [f"compute.boot_server:{step}:after" for step in ("run_guest", "define_guest")]
DELETE = "compute.delete_server:remove_guest:after"


@pytest.fixture(scope="module")
def libvirt(make_cloud: Callable[..., Cloud]) -> Cloud:
    cloud = make_cloud("libvirt")
    cloud.up()
    cloud.image()
    wait("the host's first report", lambda: cloud.api("admin").get("compute", "/os-hypervisors")["hypervisors"])
    return cloud


@pytest.fixture(scope="module")
def bare(libvirt: Cloud) -> Links:
    """What it keeps on the machine once it had a server."""
    server_id = libvirt.boot("first")
    libvirt.delete(server_id)
    libvirt.await_gone(server_id)
    return libvirt.links()


def test_boots_are_killed_and_guests_adopted(libvirt: Cloud, bare: Links):
    for number, point in enumerate(BOOT):
        libvirt.arm(point)
        libvirt.ask(libvirt.body(f"killed-{number}"))
        libvirt.await_death()
        before = libvirt.guests()
        libvirt.up()
        (server_id,) = [server_id for server_id, server in libvirt.servers().items()
                        if server["name"] == f"killed-{number}"]
        assert libvirt.settled(server_id)["status"] == "ACTIVE", point
        audit(libvirt, bare)
        if server_id in before:
            assert libvirt.guests()[server_id] == before[server_id], "a guest that was there was not adopted"
        libvirt.delete(server_id)
        libvirt.await_gone(server_id)
    audit(libvirt, bare)


def test_deletion_is_killed(libvirt: Cloud, bare: Links):
    libvirt.arm(DELETE)
    server_id = libvirt.boot("deleted")
    libvirt.delete(server_id)
    libvirt.await_death()
    libvirt.up()
    libvirt.await_gone(server_id)
    audit(libvirt, bare)


def test_libvirtd_is_killed(libvirt: Cloud, bare: Links):
    """The cloud and its guests live on; libvirtd is started again, and does what it is asked for. With a volume."""
    server_id = libvirt.boot("lives on", **let_in(libvirt))
    address = floating_ip(libvirt, server_id)
    libvirt.await_login(server_id)
    api, path = libvirt.api(), f"/servers/{server_id}/os-volume_attachments"
    volume_id = api.post("block-storage", "/volumes", {"volume": {"size": 1}})["volume"]["id"]

    def status() -> str:
        return api.get("block-storage", f"/volumes/{volume_id}")["volume"]["status"]

    def disks() -> int:
        return (log_in(libvirt, address, "cat", "/proc/partitions") or "").count("vdb")

    wait("the volume", lambda: status() == "available")
    api.post("compute", path, {"volumeAttachment": {"volumeId": volume_id}})
    wait("the attachment", lambda: status() == "in-use")
    assert wait("the guest's second disk", disks) == 1
    process, guests = libvirt.process(), libvirt.guests()
    (daemon,) = libvirt.libvirt()
    os.kill(daemon, signal.SIGKILL)
    wait("another libvirtd", lambda: libvirt.libvirt() not in ([], [daemon]), 30.0)
    assert libvirt.process() == process and libvirt.guests() == guests
    os.kill(*libvirt.libvirt(), signal.SIGKILL)
    libvirt.act(server_id, "os-stop")
    libvirt.status(server_id, "SHUTOFF")
    audit(libvirt, bare)
    os.kill(*libvirt.libvirt(), signal.SIGKILL)
    libvirt.kill()
    libvirt.up()
    libvirt.act(server_id, "os-start")
    libvirt.status(server_id, "ACTIVE")
    assert wait("the guest's second disk", disks, 90.0) == 1
    api.call("DELETE", "compute", f"{path}/{volume_id}")
    wait("the end of the attachment", lambda: status() == "available")
    wait("the end of the guest's second disk", lambda: not disks())
    give_back(libvirt, address)
    libvirt.delete(server_id)
    libvirt.await_gone(server_id)
    audit(libvirt, bare)


@pytest.fixture(scope="module")
def containers(make_cloud: Callable[..., Cloud], image: Path) -> Cloud:
    """A cloud whose servers are containers, with an image for them: a file system without a kernel."""
    cloud = make_cloud("libvirt")
    cloud.environment["PILEUS_GUESTS__LIBVIRT_TYPE"] = "lxc"
    cloud.up()
    api = cloud.api("admin")
    wait("the host's first report", lambda: api.get("compute", "/os-hypervisors")["hypervisors"])
    made = api.post("image", "/v2/images", {"name": "root", "disk_format": "raw", "container_format": "bare",
                                            "visibility": "public", "hw_vm_mode": "exe"})
    (root,) = image.glob("*.ext4")
    answer = api.http.put(f"{api.catalog['image']}/v2/images/{made['id']}/file", content=root.read_bytes(),
                          headers={"x-auth-token": api.token, "content-type": "application/octet-stream"})
    assert answer.status_code == 204, answer.text
    return cloud


def test_containers_live_on(containers: Cloud):
    """One can log in to a container; it lives on when the program and libvirtd are killed; its image starts anew."""
    body = containers.body("one", **let_in(containers))
    (root,) = containers.api().get("image", "/v2/images", name="root")["images"]
    body["server"]["imageRef"] = root["id"]
    server_id = containers.ask(body)
    assert containers.settled(server_id)["status"] == "ACTIVE", containers.show(server_id)
    address = floating_ip(containers, server_id)

    def word_of(where: str) -> str:
        return wait("a login", lambda: log_in(containers, where, "cat", "/proc/mounts"), 60.0)

    assert "devfs /dev tmpfs" in word_of(address)         # as libvirt makes it for containers
    log_in(containers, address, "touch", "/home/cirros/was-here")
    os.kill(*containers.libvirt(), signal.SIGKILL)
    containers.kill()
    containers.up()
    assert containers.settled(server_id)["status"] == "ACTIVE"
    assert "was-here" in (log_in(containers, address, "ls", "/home/cirros") or "")
    api = containers.api()
    copy = api.post("compute", f"/servers/{server_id}/action", {"createImage": {"name": "copy"}})["image_id"]
    wait("the copy", lambda: api.get("image", f"/v2/images/{copy}")["status"] == "active")
    body["server"] |= {"imageRef": copy, "name": "two"}
    again = containers.ask(body)
    assert containers.settled(again)["status"] == "ACTIVE", containers.show(again)
    give_back(containers, address)
    other = floating_ip(containers, again)
    word_of(other)
    assert "was-here" in (log_in(containers, other, "ls", "/home/cirros") or "")
    give_back(containers, other)
    for each in (server_id, again):
        containers.delete(each)
        containers.await_gone(each)
    assert not containers.guests() and not [each for each in containers.strangers() if "libvirt_lxc" in each]
