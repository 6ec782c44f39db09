"""The unmodified client against a cloud with a real guest: from a token to a command run in the guest, and back."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.compat.clients import CLIENTS, Cloud, programs
from tests.fault.cloud import wait

IMAGE = "cirros-pileus"
IMAGE_SECONDS, LOGIN_SECONDS = 300.0, 240.0


@pytest.fixture(scope="module")
def cloud():
    """In a folder with a short name: it holds sockets."""
    folder = Path(tempfile.mkdtemp(prefix="pileus-guest-"))
    made = Cloud(folder, programs("clients", *CLIENTS))
    try:
        made.pileus("up", "--detach", "--port", str(made.port))
        yield made
        made.pileus("destroy", "--yes")
    finally:
        shutil.rmtree(folder)


def _make_network(cloud: Cloud) -> str:
    """A network with a way out, a port in it that lets ssh in, and a floating IP of the port; the address."""
    cloud.openstack("network", "create", "inner")
    cloud.openstack("subnet", "create", "--network", "inner", "--subnet-range", "10.7.0.0/24", "inner-4")
    cloud.openstack("router", "create", "--external-gateway", "public", "way-out")
    cloud.openstack("router", "add", "subnet", "way-out", "inner-4")
    cloud.openstack("security", "group", "create", "login")
    cloud.openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "login")
    cloud.openstack("port", "create", "--network", "inner", "--security-group", "login", "door")
    return cloud.openstack("floating", "ip", "create", "--port", "door", "public")["floating_ip_address"]


def _clear(cloud: Cloud, address: str) -> None:
    cloud.openstack("floating", "ip", "delete", address)
    cloud.openstack("port", "delete", "door")
    cloud.openstack("router", "remove", "subnet", "way-out", "inner-4")
    cloud.openstack("router", "delete", "way-out")
    cloud.openstack("network", "delete", "inner")
    cloud.openstack("security", "group", "delete", "login")
    cloud.openstack("keypair", "delete", "mine")
    cloud.openstack("image", "delete", "own")


def test_from_a_token_to_a_login_and_back(cloud: Cloud):
    assert cloud.openstack("token", "issue")["project_id"]
    assert {each["Type"] for each in cloud.openstack("catalog", "list")} >= {"identity", "compute", "network", "image"}
    hypervisors = cloud.openstack("hypervisor", "list", cloud="pileus-admin")
    assert [(each["Hypervisor Hostname"], each["State"]) for each in hypervisors] == [("host-1", "up")]
    wait("building the guest image", lambda: cloud.openstack("image", "list", "--name", IMAGE, "--status", "active"),
         IMAGE_SECONDS)
    disk = cloud.state.parent / "disk.qcow2"
    cloud.run("openstack", "image", "save", "--file", str(disk), IMAGE)
    cloud.openstack("image", "create", "--disk-format", "qcow2", "--container-format", "bare", "--file", str(disk),
                    "own")
    key = cloud.state.parent / "key"
    cloud.run("openstack", "keypair", "create", "--private-key", str(key), "mine")
    key.chmod(0o600)                                # ssh insists on it; the client writes by the umask
    address = _make_network(cloud)
    made = cloud.openstack("server", "create", "--flavor", "m1.nano", "--image", "own", "--port", "door",
                           "--key-name", "mine", "--wait", "web")
    assert made["status"] == "ACTIVE", made
    assert address in str(cloud.openstack("server", "show", "web")["addresses"])

    def in_guest(*command: str) -> str:
        """The client does not tell whether ssh got through, but what it says; and has a shell take its words apart."""
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={os.devnull}", "LogLevel=ERROR", "BatchMode=yes",
                   "ConnectTimeout=5"]
        told = [*(word for option in options for word in ("-o", option)), *map(shlex.quote, command)]
        return cloud.inside("openstack", "server", "ssh", "web", "--", "-l", "cirros", "-i", str(key), *told).strip()
    assert wait("the first login", lambda: in_guest("hostname"), LOGIN_SECONDS) == "web"
    assert in_guest("curl", "-s", "http://169.254.169.254/latest/meta-data/public-ipv4") == address
    assert in_guest("curl", "-s", "http://169.254.169.254/latest/meta-data/instance-id") == f"i-{made['id'][:8]}"
    assert in_guest("curl -V && sudo dhcpcd --rebind && sudo mkfs -t vfat -C /tmp/disk 1024").startswith("curl")
    assert in_guest("awk '$2 == \"/tmp\"' /proc/mounts; ls /tmp") == "disk", "what is there outlives the guest's QEMU"
    assert "Linux version" in cloud.run("openstack", "console", "log", "show", "web")
    cloud.openstack("server", "delete", "--wait", "web")
    assert cloud.openstack("server", "list") == []
    _clear(cloud, address)
