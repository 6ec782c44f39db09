"""Volumes for servers of other hosts: NBD over TCP with TLS, for those alone who have a certificate of the cloud's."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from test_volume_driver import kill

from pileus.kit.authority import ensure_authority, ensure_host
from pileus.volume.drivers import processes, qcow2
from pileus.volume.drivers.base import ExportOptions, Key, VolumeFailed
from pileus.volume.drivers.doors import PID, Street
from pileus.volume.drivers.file import FileDriver

BEYOND = ExportOptions(beyond=True)
ADDRESS = "127.0.0.1"


def host(folder: Path, name: str) -> Path:
    ensure_authority(folder)
    ensure_host(folder, folder / name, name, ADDRESS)
    return folder / name


@pytest.fixture
async def driver(tmp_path):
    made = FileDriver("here", tmp_path / "here", street=Street(ADDRESS, host(tmp_path / "hosts", "host-1")))
    yield made
    for held in await made.held():
        await made.remove(held.id)


def client(export, certificates: Path | None, *commands: str) -> subprocess.CompletedProcess[str]:
    """qemu-io, a server's QEMU that has less to do."""
    tls = [] if certificates is None else [
        "--object", f"tls-creds-x509,id=tls,dir={certificates},endpoint=client,verify-peer=on"]
    where = f"driver=nbd,server.type=inet,server.host={export.address},server.port={export.port},export={export.name}"
    return subprocess.run(
        ["qemu-io", *tls, "--image-opts", *(word for command in commands for word in ("-c", command)),
         where + (",tls-creds=tls" if tls else "")], capture_output=True, text=True, check=False, timeout=60)


async def asked(*given) -> str:
    """What a client prints that succeeds."""
    done = await asyncio.to_thread(client, *given)
    assert done.returncode == 0 and "failed" not in done.stdout + done.stderr, done
    return done.stdout


async def test_a_server_of_another_host_reads_and_writes(driver, tmp_path):
    other = host(tmp_path / "hosts", "host-2")
    await driver.ensure("v", 1)
    here = await driver.export("v", ExportOptions())
    there = await driver.export("v", BEYOND)
    assert (here.address, there.socket, there.address) == ("", here.socket, ADDRESS)
    assert there.uri == f"nbds://{ADDRESS}:{there.port}/v"
    await asked(there, other, "write -P 7 1M 64k", "flush")
    assert b"failed" not in await qcow2.run("qemu-io", "-f", "raw", "-c", "read -P 7 1M 64k", here.uri)
    assert await driver.export("v", BEYOND) == there and await driver.export("v", ExportOptions()) == here
    await asked(there, other, "read -P 7 1M 64k")                 # one who asks for less leaves the door open
    await driver.export("v", None)
    assert client(there, other, "read 0 512").returncode != 0 and (await driver.held())[0].served is False


async def test_nobody_else_comes_in(driver, tmp_path):
    await driver.ensure("v", 1)
    there = await driver.export("v", BEYOND)
    stranger = host(tmp_path / "others", "host-2")                  # another cloud's
    assert client(there, None, "read 0 512").returncode != 0 and client(there, stranger, "read 0 512").returncode != 0
    await asked(there, host(tmp_path / "hosts", "host-2"), "read 0 512")


async def test_a_server_goes_to_no_other_host_than_it_means(driver, tmp_path):
    """Whoever answers has to have a certificate for the address that was asked."""
    ensure_host(tmp_path / "hosts", tmp_path / "hosts" / "elsewhere", "elsewhere", "192.0.2.1")
    liar = FileDriver("liar", tmp_path / "liar", street=Street(ADDRESS, tmp_path / "hosts" / "elsewhere"))
    await liar.ensure("v", 1)
    there = await liar.export("v", BEYOND)
    try:
        assert client(there, host(tmp_path / "hosts", "host-2"), "read 0 512").returncode != 0
    finally:
        await liar.remove("v")


async def test_it_stays_where_it_is(driver, tmp_path):
    """Found again by another process of ours; after a kill at the same port; grown with the volume."""
    other = host(tmp_path / "hosts", "host-2")
    await driver.ensure("v", 1)
    there = await driver.export("v", BEYOND)
    pid = processes.living(driver.folder / "v" / PID)
    afresh = FileDriver("here", driver.folder, street=driver.street)
    assert await afresh.export("v", BEYOND) == there and processes.living(driver.folder / "v" / PID) == pid
    kill(pid)
    assert (await afresh.facts()).lost == ("v",)
    assert await afresh.export("v", BEYOND) == there
    assert (await afresh.facts()).lost == ()
    await driver.resize("v", 2)
    await asked(there, other, "write -P 9 1500M 64k", "read -P 9 1500M 64k")


async def test_read_only_and_encrypted(driver, tmp_path):
    other, key = host(tmp_path / "hosts", "host-2"), Key(secret="correct horse")
    await driver.ensure("v", 1, key=key)
    there = await driver.export("v", ExportOptions(beyond=True, encrypted=True), key)
    await asked(there, other, "write -P 5 0 64k")
    await driver.export("v", None)
    there = await driver.export("v", ExportOptions(beyond=True, encrypted=True, read_only=True), key)
    assert "Pattern verification failed" not in client(there, other, "read -P 5 0 64k").stdout
    assert client(there, other, "write -P 6 0 64k").returncode != 0


async def test_without_a_street_there_are_no_doors(tmp_path):
    driver = FileDriver("here", tmp_path / "here")
    await driver.ensure("v", 1)
    with pytest.raises(VolumeFailed, match="other hosts do not reach it"):
        await driver.export("v", BEYOND)
    await driver.remove("v")


def test_certificates_are_made_once_and_anew_for_another_address(tmp_path):
    folder = host(tmp_path / "hosts", "host-1")
    before = (folder / "server-cert.pem").read_bytes()
    host(tmp_path / "hosts", "host-1")
    assert (folder / "server-cert.pem").read_bytes() == before == (folder / "client-cert.pem").read_bytes()
    ensure_host(tmp_path / "hosts", folder, "host-1", "192.0.2.7")
    found = x509.load_pem_x509_certificate((folder / "server-cert.pem").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "hosts").rglob("*.pem")} == {0o600}
