"""Whatever is sent: never a 500, always the service's own shape of error, always a request id."""

from __future__ import annotations

import json
import logging

import pytest

from pileus.compute.service import SERVICE as COMPUTE
from pileus.identity.service import SERVICE as IDENTITY
from pileus.image.service import SERVICE as IMAGE
from pileus.network.service import SERVICE as NETWORK
from pileus.placement.service import SERVICE as PLACEMENT
from tests.compat.bad_input import NOWHERE, Generator
from tests.compat.cloud import running_cloud, until

SERVICES = {"identity": IDENTITY, "placement": PLACEMENT, "image": IMAGE, "network": NETWORK, "compute": COMPUTE}
PROVIDER = NOWHERE.replace("1", "a")
EACH = 12                             # requests per operation and version
HEADERS = {"compute": "compute", "placement": "placement"}


@pytest.fixture
async def cloud(tmp_path):
    logging.getLogger("pileus").setLevel(logging.ERROR)
    async with running_cloud(tmp_path) as made:
        yield made


def error_of(service: str, answer) -> str:
    """The message of a refusal; an assertion fails unless it has the service's own shape."""
    if service == "image" or answer.headers.get("content-type", "").startswith("text/"):
        return answer.text
    body = answer.json()
    if service == "placement":
        (error,) = body["errors"]
        assert error["status"] == answer.status_code and error["request_id"] and error["title"]
        return error["detail"]
    if service == "network" and "NeutronError" in body:
        assert set(body["NeutronError"]) == {"type", "message", "detail"}
        return body["NeutronError"]["message"]
    ((name, error),) = body.items()
    assert error["code"] == answer.status_code, body
    assert service == "compute" or name == "error", body
    return error["message"]


def complaint(service: str, answer) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    if answer.status_code >= 500 and answer.status_code != 501:
        return f"{answer.status_code} {answer.text[:300]}"
    if not answer.headers.get("x-openstack-request-id", "").startswith("req-"):
        return f"{answer.status_code} without a request id"
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        try:
            if not error_of(service, answer):
                return f"{answer.status_code} without a reason"
        except (AssertionError, KeyError, ValueError, AttributeError, TypeError) as error:
            return f"{answer.status_code} in another shape ({error!r}): {answer.text[:200]}"
    return None


async def victims(cloud) -> dict[str, str]:
    """Things to be ill-treated, by the names that paths give them."""
    identity, network, compute = "/identity/v3", "/network/v2.0", "/compute/v2.1"

    async def made(path: str, kind: str, **body) -> str:
        found = await cloud.ok("POST", path, {kind: body})
        return str(found["id"])
    ids = {name: await made(f"{identity}/{name}s", name, name=f"a-{name}")
           for name in ("domain", "user", "group", "role")}
    ids["project"] = await made(f"{identity}/projects", "project", name="p", domain_id="default")
    ids["region"] = await made(f"{identity}/regions", "region", id="elsewhere")
    ids["service"] = await made(f"{identity}/services", "service", name="s", type="t")
    ids["credential"] = await made(f"{identity}/credentials", "credential", type="cert", blob="b", user_id=ids["user"])
    ids["network"] = await made(f"{network}/networks", "network", name="n")
    ids["subnet"] = await made(f"{network}/subnets", "subnet", network_id=ids["network"], ip_version=4,
                               cidr="10.9.0.0/24")
    ids["port"] = await made(f"{network}/ports", "port", network_id=ids["network"])
    ids["router"] = await made(f"{network}/routers", "router", name="r")
    ids["security_group"] = await made(f"{network}/security-groups", "security_group", name="g")
    ids["subnetpool"] = await made(f"{network}/subnetpools", "subnetpool", name="p", prefixes=["10.32.0.0/16"])
    external = next(one["id"] for one in await cloud.ok("GET", f"{network}/networks") if one["router:external"])
    ids["floatingip"] = await made(f"{network}/floatingips", "floatingip", floating_network_id=external)
    ids["flavor"] = await made(f"{compute}/flavors", "flavor", name="f", ram=64, vcpus=1, disk=0)
    ids["image"] = await cloud.image()
    ids["server"] = await made(f"{compute}/servers", "server", name="s", flavorRef="1", imageRef=ids["image"],
                               networks=[{"uuid": ids["network"]}])
    provider = await cloud.call("POST", "/placement/resource_providers", {"name": "rp", "uuid": PROVIDER})
    assert provider.is_success, provider.text
    hypervisor = (await cloud.ok("GET", f"{compute}/os-hypervisors"))[0]["id"]
    return {f"{name}_id": value for name, value in ids.items()} | {
        "uuid": PROVIDER, "hypervisor_id": str(hypervisor), "actor_id": ids["user"],
        "target_id": ids["project"], "tag": "t", "name": "x", "key": "k", "resource": "networks",
        "resource_id": ids["network"], "wanted": "1", "consumer_uuid": NOWHERE, "class_name": "default",
        "group_id": ids["group"], "member_id": ids["project"], "resource_class": "VCPU"}


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_breaks_a_service(cloud, service):
    known, found, sent = await victims(cloud), {}, 0
    ledger = SERVICES[service].ledger
    for version in dict.fromkeys((ledger.newest, ledger.oldest)):
        headers = {"openstack-api-version": f"{HEADERS[service]} {version}"} if service in HEADERS else {}
        for request in Generator(SERVICES[service], version, known, 1).requests(EACH):
            content, media = request.content, {"content-type": "application/json"}
            if content is None and request.body is not None:
                content = json.dumps(request.body).encode()
            answer = await cloud.call(request.method, f"/{service}{request.path}", content=content,
                                      headers=headers | (media if content is not None else {}))
            sent += 1
            if wrong := complaint(service, answer):
                found.setdefault(wrong[:60] + request.method + request.path.partition("?")[0],
                                 f"{request.method} {request.path} {(content or b'')[:300]!r} at {version}: {wrong}")
    assert not found, f"{len(found)} of {sent}:\n" + "\n".join(found.values())


async def test_tokens_that_are_none(cloud):
    good = await cloud.log_in("demo")
    flipped = good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:]
    forged = ("", "x", "gAAAAA", flipped, good[:-20], good * 40, "%00", "\u00e9".encode().decode("latin-1"))
    for service, path in {"identity": "/v3/projects", "placement": "/resource_providers", "image": "/v2/images",
                          "network": "/v2.0/networks", "compute": "/v2.1/servers"}.items():
        for token in forged:
            answer = await cloud.http.get(f"/{service}{path}", headers={"x-auth-token": token.encode("latin-1")})
            assert answer.status_code == 401 and "www-authenticate" in answer.headers, (service, token, answer.text)
            assert complaint(service, answer) is None, (service, token, complaint(service, answer))
    revoked = await cloud.call("DELETE", "/identity/v3/auth/tokens", token=good, headers={"x-subject-token": good})
    assert revoked.status_code == 204

    async def refused():
        return (await cloud.call("GET", "/identity/v3/auth/catalog", token=good)).status_code == 401
    await until(refused)


async def test_things_of_other_projects_look_missing(cloud):
    known, demo = await victims(cloud), await cloud.log_in("demo")
    for service, path, name in (
            ("network", "/v2.0/networks", "network_id"), ("network", "/v2.0/ports", "port_id"),
            ("network", "/v2.0/routers", "router_id"), ("network", "/v2.0/floatingips", "floatingip_id"),
            ("network", "/v2.0/security-groups", "security_group_id"), ("compute", "/v2.1/servers", "server_id")):
        for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
            theirs, nobodys = [await cloud.call(method, f"/{service}{path}/{id}", body, token=demo)
                               for id in (known[name], NOWHERE)]
            assert (theirs.status_code, nobodys.status_code) == (404, 404), (method, path, theirs.text)
            said = [error_of(service, answer).replace(id, "ID")
                    for answer, id in ((theirs, known[name]), (nobodys, NOWHERE))]
            assert said[0] == said[1]
