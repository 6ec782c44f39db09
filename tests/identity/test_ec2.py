"""EC2 keys, and tokens for what was signed with them."""

import base64
import hashlib
import hmac
import time

import pytest

from pileus.identity.service_tokens import ServiceTokens, fixed_id
from pileus.identity.signatures import Signed, Unsigned

DEMO, PROJECT = fixed_id("user", "demo"), fixed_id("project", "demo")
KEYS = f"/v3/users/{DEMO}/credentials/OS-EC2"
# The example in Amazon's documentation of version 4.
EXAMPLE = Signed(
    access="AKIDEXAMPLE", host="iam.amazonaws.com", body_hash=hashlib.sha256(b"").hexdigest(),
    params={"Action": "ListUsers", "Version": "2010-05-08"},
    headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": "iam.amazonaws.com",
             "X-Amz-Date": "20150830T123600Z",
             "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
                              "SignedHeaders=content-type;host;x-amz-date, Signature=x"})


def test_the_example_of_the_documentation():
    assert EXAMPLE.signatures("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY") == [
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"]


@pytest.mark.parametrize("signed", [
    Signed(access="a"), Signed(access="a", params={"SignatureVersion": "7"}),
    Signed(access="a", params={"X-Amz-Algorithm": "AWS4-HMAC-SHA256"}),
    Signed(access="a", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host"})])
def test_what_is_not_signed(signed):
    with pytest.raises(Unsigned):
        signed.signatures("secret")


@pytest.fixture
async def key(world, demo):
    made = await world.ask(demo, "POST", KEYS, {"tenant_id": PROJECT})
    assert made.status_code == 201
    return made.json()["credential"]


@pytest.fixture
async def service(world):
    return await ServiceTokens(world.keys, "object_store").token()


async def test_keys_of_a_user(world, admin, demo, key):
    assert (key["user_id"], key["tenant_id"], key["trust_id"]) == (DEMO, PROJECT, None)
    assert (await world.ask(demo, "GET", KEYS)).json()["credentials"] == [key]
    assert (await world.ask(demo, "GET", f"{KEYS}/{key['access']}")).json()["credential"] == key
    as_credential = (await world.ask(demo, "GET", "/v3/credentials?type=ec2")).json()["credentials"]
    assert [each["project_id"] for each in as_credential] == [PROJECT]
    others = f"/v3/users/{fixed_id('user', 'admin')}/credentials/OS-EC2"
    assert (await world.ask(demo, "GET", others)).status_code == 403
    assert (await world.ask(demo, "GET", f"{others}/{key['access']}x")).status_code == 404
    of_admin = (await world.ask(admin, "POST", others, {"tenant_id": PROJECT})).json()["credential"]
    for owner in (DEMO, fixed_id("user", "admin")):
        path = f"/v3/users/{owner}/credentials/OS-EC2/{of_admin['access']}"
        assert (await world.ask(demo, "GET", path)).status_code == 403
    assert (await world.ask(demo, "POST", KEYS, {"tenant_id": "nowhere"})).status_code == 404
    assert (await world.ask(admin, "DELETE", f"{KEYS}/{key['access']}")).status_code == 204
    assert (await world.ask(admin, "GET", f"{KEYS}/{key['access']}")).status_code == 404


def version_2(key, **changes):
    params = {"SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "Action": "DescribeInstances",
              "AWSAccessKeyId": key["access"]}
    params |= {"Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} | changes
    text = "GET\ncloud:8773\n/services\n" + "&".join(
        f"{name}={value.replace(':', '%3A')}" for name, value in sorted(params.items()))
    signature = base64.b64encode(hmac.digest(key["secret"].encode(), text.encode(), "sha256")).decode()
    return {"access": key["access"], "signature": signature, "host": "cloud:8773", "verb": "GET", "path": "/services",
            "params": params}


async def test_a_token_for_a_signed_request(world, service, demo, key):
    body = version_2(key)
    answer = await world.ask(service, "POST", "/v3/ec2tokens", {"credentials": body})
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    assert (token["user"]["id"], token["project"]["id"], token["methods"]) == (DEMO, PROJECT, ["ec2credential"])
    text = answer.headers["x-subject-token"]
    assert (await world.ask(text, "GET", KEYS)).status_code == 200
    assert (await world.ask(service, "POST", "/v3/ec2tokens", {"ec2Credentials": body})).status_code == 200
    assert (await world.ask(demo, "POST", "/v3/ec2tokens", {"credentials": body})).status_code == 403
    assert (await world.ask("", "POST", "/v3/ec2tokens", {"credentials": body})).status_code == 401
    for wrong in (body | {"signature": "x"}, body | {"access": "x"}, body | {"path": "/other"},
                  version_2(key, Timestamp="2020-01-01T00:00:00Z"), version_2(key, Timestamp="yesterday")):
        assert (await world.ask(service, "POST", "/v3/ec2tokens", {"credentials": wrong})).status_code == 401
    assert (await world.ask(service, "POST", "/v3/ec2tokens", {})).status_code == 400


async def test_a_token_for_a_request_to_an_object_store(world, service, key):
    async def ask(text, signature):
        body = {"access": key["access"], "token": base64.urlsafe_b64encode(text.encode()).decode(),
                "signature": signature}
        return await world.ask(service, "POST", "/v3/s3tokens", {"credentials": body})

    old = "GET\n\n\nThu, 17 Nov 2005 18:49:58 GMT\n/bucket"
    signed = base64.b64encode(hmac.digest(key["secret"].encode(), old.encode(), "sha1")).decode()
    found = await ask(old, signed)
    assert (found.status_code, found.json()["token"]["project"]["id"]) == (200, PROJECT)
    new = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/RegionOne/s3/aws4_request\n" + "0" * 64
    made = b"AWS4" + key["secret"].encode()
    for part in ("20150830", "RegionOne", "s3", "aws4_request"):
        made = hmac.digest(made, part.encode(), "sha256")
    signature = hmac.digest(made, new.encode(), "sha256").hex()
    assert (await ask(new, signature)).status_code == 200
    for text, wrong in ((old, signature), (new, "0" * 64), ("AWS4-HMAC-SHA256\n", signature)):
        assert (await ask(text, wrong)).status_code == 401


async def test_keys_end_with_what_they_stand_for(world, service, admin, demo, key):
    assert (await world.ask(admin, "PATCH", f"/v3/users/{DEMO}", {"user": {"enabled": False}})).status_code == 200
    answer = await world.ask(service, "POST", "/v3/ec2tokens", {"credentials": version_2(key)})
    assert answer.status_code == 401
