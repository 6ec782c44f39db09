"""The unmodified clients, from the package index, against a cloud that `pileus up` started with fake hosts."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pileus.commands.rest import Api
from pileus.processes.state import StateFolder
from tests.compat import image_verbs
from tests.compat.clients import CLIENTS, NOVA, Cloud, programs
from tests.fault.cloud import wait

SDK = """
import openstack
cloud = openstack.connect(cloud="pileus")
image, flavor = cloud.get_image("tiny"), cloud.get_flavor("m1.nano")
server = cloud.create_server("sdk", image=image, flavor=flavor, network="private", auto_ip=True, wait=True, timeout=60)
assert server.status == "ACTIVE", server.status
address = cloud.get_server("sdk").public_v4
assert address, "no floating IP"
assert [each.name for each in cloud.compute.servers()] == ["sdk"]
assert cloud.delete_server("sdk", wait=True, delete_ips=True, timeout=60)
assert not [each for each in cloud.list_floating_ips() if each.floating_ip_address == address]
print("well")
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("clients")
    made = Cloud(folder, programs("clients", *CLIENTS))
    made.pileus("up", "--detach", "--driver", "fake", "--port", str(made.port))
    content = folder / "tiny.raw"
    content.write_bytes(os.urandom(1 << 20))
    made.openstack("image", "create", "--public", "--disk-format", "raw", "--container-format", "bare", "--file",
                   str(content), "tiny", cloud="pileus-admin")
    yield made
    made.pileus("destroy", "--yes")
    shutil.rmtree(folder)


def test_who_am_i_and_what_is_there(cloud: Cloud):
    assert cloud.openstack("token", "issue")["project_id"]
    services = {each["Type"] for each in cloud.openstack("catalog", "list")}
    assert services == {"identity", "compute", "network", "image", "placement", "block-storage", "volumev3",
                        "load-balancer"}
    assert {"m1.nano", "m1.xlarge"} <= {each["Name"] for each in cloud.openstack("flavor", "list")}
    hypervisors = cloud.openstack("hypervisor", "list", cloud="pileus-admin")
    assert [(each["Hypervisor Hostname"], each["State"]) for each in hypervisors] == [("host-1", "up")]
    binaries = {each["Binary"] for each in cloud.openstack("compute", "service", "list", cloud="pileus-admin")}
    assert binaries == {"nova-compute", "nova-conductor", "nova-scheduler"}
    assert [each["Zone Name"] for each in cloud.openstack("availability", "zone", "list", "--compute")] == ["nova"]


def test_images(cloud: Cloud):
    shown = cloud.openstack("image", "show", "tiny")
    assert (shown["status"], shown["size"], shown["visibility"]) == ("active", 1 << 20, "public")
    saved = cloud.state.parent / "saved.raw"
    cloud.run("openstack", "image", "save", "--file", str(saved), "tiny")
    assert saved.read_bytes() == (cloud.state.parent / "tiny.raw").read_bytes()


def test_every_verb_of_images(cloud: Cloud):
    empty = Api(StateFolder(cloud.state), "admin").post("image", "/v2/images", {
        "name": "empty", "disk_format": "raw", "container_format": "bare"})["id"]
    given = {"FILE": str(cloud.state.parent / "tiny.raw"), "EMPTY": empty,
             "PROJECT": cloud.openstack("token", "issue")["project_id"]}
    done = cloud.openstack_verbs([(line, keep) for line, keep, _ in image_verbs.COMMANDS], image_verbs.silent, given)
    lacking = [(line, expected, each["out"]) for (line, _, expected), each
               in zip(image_verbs.COMMANDS, done, strict=True) if expected not in each["out"]]
    assert not lacking, lacking
    task = cloud.openstack("image", "task", "list", cloud="pileus-admin")[0]["ID"]
    assert cloud.openstack("image", "task", "show", task, cloud="pileus-admin")["status"] == "success"


def test_networks(cloud: Cloud):
    cloud.openstack("network", "create", "inner")
    subnet = cloud.openstack("subnet", "create", "--network", "inner", "--subnet-range", "10.7.0.0/24", "inner-4")
    assert subnet["gateway_ip"] == "10.7.0.1"
    cloud.openstack("router", "create", "way-out")
    cloud.openstack("router", "set", "--external-gateway", "public", "way-out")
    cloud.openstack("router", "add", "subnet", "way-out", "inner-4")
    port = cloud.openstack("port", "create", "--network", "inner", "--fixed-ip", "ip-address=10.7.0.77", "spare")
    assert port["fixed_ips"][0]["ip_address"] == "10.7.0.77"
    cloud.openstack("security", "group", "create", "web")
    cloud.openstack("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "443", "web")
    address = cloud.openstack("floating", "ip", "create", "public")["floating_ip_address"]
    cloud.openstack("floating", "ip", "delete", address)
    cloud.openstack("port", "delete", "spare")
    cloud.openstack("router", "remove", "subnet", "way-out", "inner-4")
    cloud.openstack("router", "delete", "way-out")
    cloud.openstack("network", "delete", "inner")
    cloud.openstack("security", "group", "delete", "web")


def test_the_life_of_a_server(cloud: Cloud):
    key = cloud.state.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    cloud.openstack("keypair", "create", "--public-key", f"{key}.pub", "mine")
    made = cloud.openstack("server", "create", "--flavor", "m1.nano", "--image", "tiny", "--network", "private",
                           "--key-name", "mine", "--wait", "web")
    assert made["status"] == "ACTIVE", made
    assert [each["Name"] for each in cloud.openstack("server", "list")] == ["web"]
    assert cloud.run("openstack", "console", "log", "show", "web")
    address = cloud.openstack("floating", "ip", "create", "public")["floating_ip_address"]
    cloud.openstack("server", "add", "floating", "ip", "web", address)
    assert address in str(cloud.openstack("server", "show", "web")["addresses"])
    cloud.openstack("server", "reboot", "--hard", "--wait", "web")
    cloud.openstack("server", "stop", "web")
    events = {each["Action"] for each in cloud.openstack("server", "event", "list", "web")}
    assert events >= {"create", "reboot", "stop"}
    cloud.openstack("server", "delete", "--wait", "web")
    assert cloud.openstack("server", "list") == []
    cloud.openstack("floating", "ip", "delete", address)
    cloud.openstack("keypair", "delete", "mine")


def test_no_host_fits_and_says_why(cloud: Cloud):
    cloud.openstack("flavor", "create", "--vcpus", "1", "--ram", "9000000", "--disk", "1", "huge", cloud="pileus-admin")
    made = cloud.openstack("server", "create", "--flavor", "huge", "--image", "tiny", "--nic", "none", "big",
                           cloud="pileus-admin")
    for _ in range(50):
        shown = cloud.openstack("server", "show", made["id"], cloud="pileus-admin")
        if shown["status"] != "BUILD":
            break
    assert shown["status"] == "ERROR"
    message = shown["fault"]["message"]
    assert message.startswith("No valid host was found.") and "more MiB of memory" in message, message
    cloud.openstack("server", "delete", "--wait", "big", cloud="pileus-admin")
    cloud.openstack("flavor", "delete", "huge", cloud="pileus-admin")


def test_openstacksdk(cloud: Cloud):
    assert cloud.run("python", "-c", SDK).strip() == "well"


def test_novaclient(cloud: Cloud):
    """Reads no clouds.yaml, but what openrc exports."""
    program, network = programs("novaclient", NOVA) / "nova", cloud.openstack("network", "show", "private")["id"]

    def nova(*words: str) -> str:
        exported = ["sh", "-c", '. "$0" && exec "$@"', str(cloud.state / "openrc")]
        done = subprocess.run([*exported, program, *words], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, f"nova {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    nova("boot", "--flavor", "m1.nano", "--image", "tiny", "--nic", f"net-id={network}", "--poll", "old")
    listed = nova("list")
    assert "| old " in listed and "| ACTIVE " in listed, listed
    assert "m1.nano" in nova("show", "old")
    assert nova("console-log", "old")
    nova("stop", "old")
    wait("stopping the server", lambda: "| SHUTOFF " in nova("list"))
    nova("delete", "old")
    wait("deleting the server", lambda: "| old " not in nova("list"))
