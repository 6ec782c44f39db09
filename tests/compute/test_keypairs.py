"""Key pairs over HTTP: made and imported, by version, whose they are, how many."""

import asyncio
import base64
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from pileus.compute.model import keypairs, quotas
from tests.compute.simple_cloud import simple_cloud

KEY = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
    serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode() + " me@home"
BLOB = base64.b64decode(KEY.split()[1])
MD5 = ":".join(f"{byte:02x}" for byte in hashlib.md5(BLOB).digest())
MEMBER, OTHER = {"token": "member@p1/alice"}, {"token": "member@p1/bob"}


@pytest.fixture
async def cloud(make_db):
    async with simple_cloud(make_db) as made:
        yield made


async def bring(cloud, name="k", **more):
    more = {"version": "2.2"} | MEMBER | more
    return (await cloud.ok("POST", "/os-keypairs", {"keypair": {"name": name, "public_key": KEY}}, **more))["keypair"]


async def names(cloud, query="", **more):
    found = await cloud.ok("GET", f"/os-keypairs{query}", **MEMBER | more)
    return [entry["keypair"]["name"] for entry in found["keypairs"]]


async def test_imported(cloud):
    first = {"name": "k", "public_key": KEY, "fingerprint": MD5}
    made = await cloud.call("POST", "/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}}, **MEMBER)
    assert (made.status_code, made.json()) == (200, {"keypair": first | {"user_id": "alice"}})
    shown = (await cloud.ok("GET", "/os-keypairs/k", **MEMBER))["keypair"]
    assert shown == first | {
        "id": shown["id"], "user_id": "alice", "created_at": "2023-11-14T22:13:20.000000", "updated_at": None,
        "deleted_at": None, "deleted": False}
    assert 0 < shown["id"] < 2**31
    assert await cloud.ok("GET", "/os-keypairs", **MEMBER) == {"keypairs": [{"keypair": first}]}
    assert (await cloud.ok("GET", "/os-keypairs/k", version="2.2", **MEMBER))["keypair"] == shown | {"type": "ssh"}
    assert await cloud.ok("GET", "/os-keypairs", version="2.2", **MEMBER) == {
        "keypairs": [{"keypair": first | {"type": "ssh"}}]}
    assert (await cloud.call("DELETE", "/os-keypairs/k", **MEMBER)).status_code == 202
    made = await cloud.call("POST", "/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}}, version="2.2",
                            **MEMBER)
    assert (made.status_code, made.json()) == (201, {"keypair": first | {"user_id": "alice", "type": "ssh"}})
    assert (await cloud.call("DELETE", "/os-keypairs/k", version="2.2", **MEMBER)).status_code == 204
    for method in ("GET", "DELETE"):
        assert await cloud.refused(method, "/os-keypairs/k", **MEMBER) == (
            404, "Keypair k not found for user alice")


async def test_made_for_ssh(cloud):
    made = (await cloud.ok("POST", "/os-keypairs", {"keypair": {"name": "k"}}, **MEMBER))["keypair"]
    assert made["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    private = serialization.load_pem_private_key(made["private_key"].encode(), None)
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert made["public_key"].startswith(public.decode())
    blob = base64.b64decode(public.split()[1])
    assert made["fingerprint"].replace(":", "") == hashlib.md5(blob).hexdigest()
    assert "private_key" not in (await cloud.ok("GET", "/os-keypairs/k", **MEMBER))["keypair"]


async def test_made_for_certificates(cloud):
    body = {"keypair": {"name": "k", "type": "x509"}}
    made = (await cloud.ok("POST", "/os-keypairs", body, version="2.2", **MEMBER))["keypair"]
    certificate = x509.load_pem_x509_certificate(made["public_key"].encode())
    assert certificate.subject.rfc4514_string() == "CN=alice"
    assert made["private_key"].startswith("-----BEGIN PRIVATE KEY-----") and len(made["fingerprint"]) == 59
    body["keypair"] |= {"name": "again", "public_key": made["public_key"]}
    again = (await cloud.ok("POST", "/os-keypairs", body, version="2.2", **MEMBER))["keypair"]
    assert again["fingerprint"] == made["fingerprint"] and again["type"] == "x509"
    body["keypair"]["public_key"] = KEY
    assert (await cloud.refused("POST", "/os-keypairs", body, version="2.2", **MEMBER))[0] == 400


async def test_bad_names(cloud):
    for name in ("", " a", "a ", "key_/.\\@:", "a" * 256, "ä", "a\n", "a@b", "a.b", 5, None):
        body = {"keypair": {"name": name, "public_key": KEY}}
        assert (await cloud.refused("POST", "/os-keypairs", body, **MEMBER))[0] == 400, name


BAD_KEYS = [
    "", " ", "ssh-rsa", "ssh-rsa JUNK nova@ubuntu", "ssh-rsa " + "A" * 2048 + " openstack@ubuntu", "ssh-rsa AAAA",
    "ssh-rsa " + KEY.split()[1], KEY[:40], f"{KEY}\n{KEY}", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAA==", 5]


async def test_bad_keys(cloud):
    for key in BAD_KEYS:
        body = {"keypair": {"name": "k", "public_key": key}}
        assert (await cloud.refused("POST", "/os-keypairs", body, **MEMBER))[0] == 400, key


async def test_bodies_by_version(cloud):
    for more in ({"type": "ssh"}, {"user_id": "alice"}, {"more": 1}):
        body = {"keypair": {"name": "k", "public_key": KEY} | more}
        assert (await cloud.refused("POST", "/os-keypairs", body, **MEMBER))[0] == 400
    body = {"keypair": {"name": "k", "public_key": KEY, "type": "gpg"}}
    assert (await cloud.refused("POST", "/os-keypairs", body, version="2.2", **MEMBER))[0] == 400
    assert (await cloud.refused("POST", "/os-keypairs", {"keypair": {"name": "k"}}, version="2.92", **MEMBER))[0] == 400
    made = await bring(cloud, "me@home.example", version="2.92")
    assert made["name"] == "me@home.example"
    assert (await cloud.ok("GET", "/os-keypairs/me@home.example", **MEMBER))["keypair"]["name"] == "me@home.example"
    body = {"keypair": {"name": "a/b", "public_key": KEY}}
    assert (await cloud.refused("POST", "/os-keypairs", body, version="2.92", **MEMBER))[0] == 400


async def test_whose(cloud):
    await bring(cloud)
    assert await cloud.refused("POST", "/os-keypairs", {"keypair": {"name": "k", "public_key": KEY}}, **MEMBER) == (
        409, "Key pair 'k' already exists.")
    await bring(cloud, **OTHER)
    assert await names(cloud) == ["k"]
    assert await cloud.refused("GET", "/os-keypairs/k", token="member@p1/carol") == (
        404, "Keypair k not found for user carol")
    body = {"keypair": {"name": "new", "public_key": KEY, "user_id": "alice"}}
    for method, path, sent in [
            ("GET", "/os-keypairs?user_id=alice", None), ("DELETE", "/os-keypairs/k?user_id=alice", None),
            ("GET", "/os-keypairs/k?user_id=alice", None), ("POST", "/os-keypairs", body)]:
        assert (await cloud.refused(method, path, sent, version="2.10", **OTHER))[0] == 403
    assert (await cloud.ok("POST", "/os-keypairs", body, version="2.10"))["keypair"]["user_id"] == "alice"
    assert await names(cloud) == ["k", "new"]
    assert await names(cloud, "?user_id=alice", version="2.10", token="admin@p1") == ["k", "new"]
    assert await names(cloud, "?user_id=alice", version="2.9", token="admin@p1") == []
    assert (await cloud.ok("GET", "/os-keypairs/new?user_id=alice", version="2.10"))["keypair"]["user_id"] == "alice"
    assert (await cloud.call("DELETE", "/os-keypairs/new?user_id=alice", version="2.10")).status_code == 204
    assert await names(cloud) == ["k"]


async def test_pages(cloud):
    for name in ("c", "a", "e", "b", "d"):
        await bring(cloud, name)
    assert await names(cloud, "?limit=2&marker=zzz") == ["a", "b", "c", "d", "e"]
    first = await cloud.ok("GET", "/os-keypairs?limit=2", version="2.35", **MEMBER)
    assert [entry["keypair"]["name"] for entry in first["keypairs"]] == ["a", "b"]
    (link,) = first["keypairs_links"]
    second = await cloud.ok("GET", link["href"], version="2.35", **MEMBER)
    assert [entry["keypair"]["name"] for entry in second["keypairs"]] == ["c", "d"]
    last = await cloud.ok("GET", "/os-keypairs?limit=2&marker=d", version="2.35", **MEMBER)
    assert len(last["keypairs"]) == 1 and "keypairs_links" not in last
    for bad in ("limit=-1", "limit=x", "marker=nope"):
        assert (await cloud.refused("GET", f"/os-keypairs?{bad}", version="2.35", **MEMBER))[0] == 400


async def test_quota(cloud):
    async with cloud.db.write() as tx:
        await quotas.set_limits(tx, {"key_pairs": 3}, "p1")
    sent = [cloud.call("POST", "/os-keypairs", {"keypair": {"name": f"k{i}", "public_key": KEY}}, **MEMBER)
            for i in range(8)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*sent))
    assert statuses == [200] * 3 + [403] * 5
    assert await cloud.refused("POST", "/os-keypairs", {"keypair": {"name": "more", "public_key": KEY}}, **MEMBER) == (
        403, "Quota exceeded, too many key pairs.")
    async with cloud.db.read() as reader:
        assert await keypairs.count(reader, "alice") == 3
