"""Whatever is sent: never a 500, always the service's own shape of error, always a request id."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections import Counter
from typing import Any
from urllib.parse import quote, unquote

import pytest

from pileus.compute.service import SERVICE as COMPUTE
from pileus.identity.service import SERVICE as IDENTITY
from pileus.identity.service_tokens import fixed_id
from pileus.image.service import SERVICE as IMAGE
from pileus.load_balancer.service import SERVICE as LOAD_BALANCER
from pileus.network.service import SERVICE as NETWORK
from pileus.placement.service import SERVICE as PLACEMENT
from pileus.volume.service import SERVICE as VOLUME
from tests.compat import good_bodies
from tests.compat.bad_input import NOWHERE, Generator, Request
from tests.compat.cloud import running_cloud, until
from tests.compat.load_balancer_victims import load_balancer_victims
from tests.compat.network_victims import made, network_victims
from tests.compat.volume_victims import volume_victims

SERVICES = {"identity": IDENTITY, "placement": PLACEMENT, "image": IMAGE, "network": NETWORK, "compute": COMPUTE,
            "volume": VOLUME, "load-balancer": LOAD_BALANCER}
EACH = {"sqlite": 12, "postgresql": 4, "mariadb": 4}     # requests per operation and version
OUT_OF_REACH = {                      # operations that cannot be done here
    "identity": [
        # of people who come from a provider's pages, and there is none to speak to
        "GET /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth",
        "POST /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth",
        "GET /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth/saml2",
        "POST /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth/saml2/ecp",
        "POST /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth/saml2/post",
        "POST /Shibboleth.sso/SAML2/ECP", "POST /Shibboleth.sso/SAML2/POST",
        "GET /v3/auth/OS-FEDERATION/callback",
        "GET /v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso",
        "GET /v3/auth/OS-FEDERATION/websso/{protocol_id}",
        # of a cloud that others trust
        "GET /v3/OS-FEDERATION/saml2/metadata",
        # signed by a consumer's secret, and what comes of that
        "POST /v3/OS-OAUTH1/request_token", "POST /v3/OS-OAUTH1/access_token", "POST /v3/OS-OAUTH2/token",
        *(f"{method} /v3/users/{{user_id}}/OS-OAUTH1/access_tokens/{{access_token_id}}{rest}" for method, rest in (
            ("GET", ""), ("DELETE", ""), ("GET", "/roles"), ("GET", "/roles/{role_id}"))),
        # of the default domain alone
        "GET /v3/domains/{domain_id}/config/security_compliance",
        "GET /v3/domains/{domain_id}/config/security_compliance/{option}",
        "HEAD /v3/domains/{domain_id}/config/security_compliance",
        "HEAD /v3/domains/{domain_id}/config/security_compliance/{option}"],
    "image": ["DELETE /v2/images",                     # says that this is not how to delete
              "DELETE /v2/stores/{store}/{image_id}",  # of images in several stores, and there is one
              "POST /pileus/sagas/{saga_id}/retry"],   # of stuck sagas, and there is none
    "network": ["POST /pileus/sagas/{saga_id}/retry"],                      # of stuck sagas, and there is none
    "compute": ["GET /v2.1/os-console-auth-tokens/{token}",       # only what it hashes to is kept
                # of shares of a server, and there are none
                *(f"{method} /v2.1/servers/{{server_id}}/shares/{{share_id}}" for method in ("GET", "DELETE")),
                "POST /pileus/sagas/{saga_id}/retry"],
    "volume": ["POST /pileus/sagas/{saga_id}/retry"],                       # of stuck sagas, and there is none
    "load-balancer": ["GET /v2.0/octavia/amphorae/{amphora_id}",            # there are none
                      "POST /pileus/sagas/{saga_id}/retry"]}                # of stuck sagas, and there is none
BY_THE_USER = {                       # with which of its tokens
    "POST /v3/users/{user_id}/application_credentials": "own_token", "POST /v3/OS-TRUST/trusts": "own_token",
    "GET /v3/users/{user_id}/access_rules": "unscoped_token",
    "GET /v3/users/{user_id}/access_rules/{access_rule_id}": "unscoped_token",
    "DELETE /v3/users/{user_id}/access_rules/{access_rule_id}": "unscoped_token"}
CONTENT = {400, 409, 413, 415, 422}   # refusals of what a body says …
STATE = {409, 412, 501}               # … and of what cannot be done as things are
HEADERS = {"compute": "compute", "placement": "placement", "volume": "volume"}


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
    if service == "load-balancer" and "faultstring" in body:
        assert set(body) == {"faultcode", "faultstring", "debuginfo"}
        return body["faultstring"]
    if service == "placement":
        (error,) = body["errors"]
        assert error["status"] == answer.status_code and error["request_id"] and error["title"]
        return error["detail"]
    if service == "network" and "NeutronError" in body:
        assert set(body["NeutronError"]) == {"type", "message", "detail"}
        return body["NeutronError"]["message"]
    if answer.request.url.path.endswith("/OS-OAUTH2/token") and answer.status_code in (400, 401):
        return f"{body['error']}: {body['error_description']}"                     # RFC 6749, 5.2
    ((name, error),) = body.items()
    assert error["code"] == answer.status_code, body
    assert service in ("compute", "volume") or name == "error", body
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


async def identity_victims(cloud, mark: str) -> dict[str, str]:
    identity, admin = "/identity/v3", fixed_id("user", "admin")
    ids = {name: await made(cloud, f"{identity}/{name}s", name, name=f"{name}-{mark}")
           for name in ("domain", "group", "role")}
    ids["user"] = await made(cloud, f"{identity}/users", "user", name=f"user-{mark}", password="secret")
    changed = await made(cloud, f"{identity}/users", "user", name=f"changed-{mark}", password="secret")
    ids["implied"] = await made(cloud, f"{identity}/roles", "role", name=f"implied-{mark}")
    ids["project"] = await made(cloud, f"{identity}/projects", "project", name=f"p-{mark}", domain_id="default")
    ids["region"] = await made(cloud, f"{identity}/regions", "region", id=f"elsewhere-{mark}")
    ids["service"] = await made(cloud, f"{identity}/services", "service", name="s", type="t")
    ids["endpoint"] = await made(cloud, f"{identity}/endpoints", "endpoint", service_id=ids["service"],
                                 interface="public", url="http://x")
    ids["limited"] = await made(cloud, f"{identity}/services", "service", name="l", type="t")
    ids["policy"] = await made(cloud, f"{identity}/policies", "policy", type="t", blob="b")
    ids["credential"] = await made(cloud, f"{identity}/credentials", "credential", type="cert", blob="b",
                                   user_id=ids["user"])
    granted = await cloud.call("PUT", f"{identity}/projects/{ids['project']}/users/{ids['user']}/roles/{ids['role']}")
    assert granted.is_success, granted.text
    token = await token_of(cloud, ids["user"], {"project": {"id": ids["project"]}})
    own = f"{identity}/users/{ids['user']}/application_credentials"
    unused = {"name": "b", "access_rules": [{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]}
    gone = await cloud.ok("POST", own, {"application_credential": unused}, token=token)
    assert (await cloud.call("DELETE", f"{own}/{gone['id']}", token=token)).is_success
    ids["access_rule"] = gone["access_rules"][0]["id"]
    ids["application_credential"] = (await cloud.ok("POST", own, {"application_credential": {"name": "a"}},
                                                    token=token))["id"]
    ids["trust"] = (await cloud.ok("POST", f"{identity}/OS-TRUST/trusts", {"trust": {
        "trustor_user_id": ids["user"], "trustee_user_id": admin, "impersonation": False,
        "project_id": ids["project"], "roles": [{"id": ids["role"]}]}}, token=token))["id"]
    groups = {f"{start}/groups/{{actor_id}}": ids["group"] for start in (
        "/v3/system", *(f"/v3{inherited}/{kind}/{{target_id}}" for kind in ("projects", "domains")
                        for inherited in ("", "/OS-INHERIT")))}
    return groups | await federation_victims(cloud, mark, ids) | {
        f"{name}_id": value for name, value in ids.items()} | {
        "PATCH /v3/users/{user_id}": changed, "POST /v3/users/{user_id}/password": changed,    # which end tokens
        "new_id": f"new-{mark}", "actor_id": ids["user"], "target_id": ids["project"],
        "/v3/OS-EP-FILTER/projects/{project_id}/endpoints/{thing_id}": ids["endpoint"],
        "/v3/domains/{target_id}": ids["domain"], "/v3/OS-INHERIT/domains/{target_id}": ids["domain"],
        "subject_token": await cloud.log_in("demo"), "own_token": token,
        "unscoped_token": await token_of(cloud, ids["user"], "unscoped"), "trustee_id": admin}


async def federation_victims(cloud, mark: str, ids: dict[str, str]) -> dict[str, str]:
    """A provider whose people we would take in, if it were there, and a configuration of the domain."""
    start, idp = "/identity/v3/OS-FEDERATION", f"idp-{mark}"
    rule = {"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}
    for path, body in (
            (f"{start}/mappings/m-{mark}", {"mapping": {"rules": [rule]}}),
            (f"{start}/identity_providers/{idp}", {"identity_provider": {}}),
            (f"{start}/identity_providers/{idp}/protocols/oidc", {"protocol": {"mapping_id": f"m-{mark}"}}),
            (f"{start}/service_providers/sp-{mark}", {"service_provider": {
                "auth_url": "https://sp.example/auth", "sp_url": "https://sp.example/sp"}}),
            (f"/identity/v3/domains/{ids['domain']}/config", good_bodies.DOMAIN_CONFIG)):
        answer = await cloud.call("PUT", path, body)
        assert answer.is_success, answer.text
    return {"idp_id": idp, "mapping_id": f"m-{mark}", "protocol_id": "oidc", "sp_id": f"sp-{mark}",
            "section": "ldap", "option": "url"}


async def token_of(cloud, user: str, scope: Any) -> str:
    answer = await cloud.call("POST", "/identity/v3/auth/tokens", {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"id": user, "password": "secret"}}},
        "scope": scope}}, token="")
    assert answer.is_success, answer.text
    return answer.headers["x-subject-token"]


async def compute_victims(cloud, mark: str, network_id: str) -> dict[str, str]:
    compute, ids = "/compute/v2.1", {"image": await cloud.image()}
    ids["flavor"] = await made(cloud, f"{compute}/flavors", "flavor", name=f"f-{mark}", ram=64, vcpus=1, disk=0,
                               **{"os-flavor-access:is_public": False})
    await cloud.ok("POST", f"{compute}/flavors/{ids['flavor']}/os-extra_specs", {"extra_specs": {"k": "v"}})
    await cloud.ok("POST", f"{compute}/os-keypairs", {"keypair": {"name": f"key-{mark}"}})
    ids["server"], doomed = [await made(
        cloud, f"{compute}/servers", "server", name="s", flavorRef="1", imageRef=ids["image"],
        networks=[{"uuid": network_id}], metadata={"k": "v"}) for _ in range(2)]
    server = f"{compute}/servers/{ids['server']}"
    volume = await made(cloud, "/volume/v3/volumes", "volume", size=1)
    spare = await made(cloud, f"{compute}/os-volumes", "volume", size=1)
    floating = await cloud.call("POST", f"{compute}/os-floating-ips", {})
    assert floating.is_success, floating.text

    async def runs():
        return (await cloud.ok("GET", server))["status"] == "ACTIVE" and (
            [(await cloud.ok("GET", f"/volume/v3/volumes/{each}"))["status"] for each in (volume, spare)] == (
                ["available"] * 2))
    await until(runs)
    snapshot = await made(cloud, f"{compute}/os-snapshots", "snapshot", volume_id=spare)
    await cloud.ok("POST", f"{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})

    async def attached():
        return (await cloud.ok("GET", f"/volume/v3/volumes/{volume}"))["status"] == "in-use"
    await until(attached)
    tagged = await cloud.call("PUT", f"{server}/tags/t", headers={"openstack-api-version": "compute 2.26"})
    assert tagged.is_success, tagged.text
    hypervisor = (await cloud.ok("GET", f"{compute}/os-hypervisors"))[0]
    ids["request"] = (await cloud.ok("GET", f"{server}/os-instance-actions"))[0]["request_id"]
    group = await made(cloud, f"{compute}/os-security-groups", "security_group", name=f"g-{mark}",
                              description="")
    ids["rule"] = await made(cloud, f"{compute}/os-security-group-rules", "security_group_rule", ip_protocol="tcp",
                             from_port=1, to_port=2, parent_group_id=group, cidr="10.0.0.0/8")
    card = (await cloud.ok("GET", f"{server}/os-interface"))[0]
    port, fixed = card["port_id"], card["fixed_ips"][0]["ip_address"]
    services = await cloud.ok("GET", f"{compute}/os-services", headers={"openstack-api-version": "compute 2.53"})
    return {f"{name}_id": value for name, value in ids.items()} | {
        "POST /v2.1/servers/{server_id}/action forceDelete": doomed, "/v2.1/os-keypairs/{name}": f"key-{mark}",
        "/v2.1/os-hosts/{name}": hypervisor["hypervisor_hostname"],
        "/v2.1/os-services/{service_id}": services[0]["id"], "/v2.1/os-security-groups/{group_id}": group,
        "compute_group_id": group, "bootable_id": ids["image"], "fixed_address": fixed,
        "/v2.1/os-floating-ips/{floating_ip_id}": floating.json()["floating_ip"]["id"],
        "floating_address": floating.json()["floating_ip"]["ip"],
        "/v2.1/os-volumes/{volume_id}": spare, "/v2.1/os-snapshots/{snapshot_id}": snapshot,
        "/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}": volume,
        "/v2.1/servers/{server_id}/os-interface/{port_id}": port, "hypervisor_id": str(hypervisor["id"]),
        "pattern": hypervisor["hypervisor_hostname"], "class_name": "default",
        "/v2.1/extensions/{alias}": "servers", "before": "2024-01-01 00:00:00", "key": "k", "wanted": ids["server"]}


async def placement_victims(cloud, mark: str) -> dict[str, str]:
    provider, consumer, newest = str(uuid.uuid4()), str(uuid.uuid4()), {"openstack-api-version": "placement 1.39"}
    one = f"/placement/resource_providers/{provider}"
    for method, path, body in (
            ("POST", "/placement/resource_providers", {"name": f"rp-{mark}", "uuid": provider}),
            ("PUT", f"{one}/inventories", {"resource_provider_generation": 0,
                                           "inventories": {name: {"total": 9} for name in ("VCPU", "DISK_GB")}}),
            ("PUT", f"/placement/allocations/{consumer}", {
                "allocations": {provider: {"resources": {"VCPU": 1}}}, "project_id": "p", "user_id": "u",
                "consumer_generation": None, "consumer_type": "INSTANCE"})):
        answer = await cloud.call(method, path, body, headers=newest)
        assert answer.is_success, answer.text
    return {"uuid": provider, "consumer_uuid": consumer, "resource_class": "DISK_GB",
            "/traits/{name}": f"CUSTOM_T{mark}", "/resource_classes/{name}": f"CUSTOM_C{mark}"}


async def victims(cloud, mark: str, *, volumes: bool = False, balancers: bool = False) -> dict[str, dict[str, str]]:
    """Things of each service to be ill-treated, by the names that paths give them; `mark` makes their names unlike
    others."""
    network, identity = await network_victims(cloud, mark), await identity_victims(cloud, mark)
    compute = await compute_victims(cloud, mark, network["network_id"])
    image = await image_victims(cloud, mark, identity["project_id"], compute["bootable_id"])
    found = {"network": network, "identity": identity, "compute": compute, "image": image | {"mark": mark},
             "placement": await placement_victims(cloud, mark)}
    if volumes:
        found["volume"] = await volume_victims(cloud, mark, identity["project_id"])
    if balancers:
        found["load-balancer"] = await load_balancer_victims(
            cloud, mark, network["subnet_id"], identity["project_id"])
    return found


def known_of(made: dict[str, dict[str, str]]) -> dict[str, str]:
    """The victims of all services as one."""
    return {name: value for of_service in made.values() for name, value in of_service.items()}


async def image_victims(cloud, mark: str, member: str, active: str) -> dict[str, str]:
    namespace, definitions = f"ns-{mark}", "/v2/metadefs/namespaces/{namespace}"
    about = {"namespace": namespace, "objects": [{"name": "one"}], "tags": [{"name": "one"}],
             "properties": {"one": {"title": "t", "type": "string"}}, "resource_type_associations": [{"name": "one"}]}
    image = await image_made(cloud, "/v2/images", {
        "name": "shared", "disk_format": "raw", "container_format": "bare", "visibility": "shared"})
    await image_made(cloud, f"/v2/images/{image['id']}/members", {"member": member})
    await image_made(cloud, "/v2/metadefs/namespaces", about)
    task = await image_made(cloud, "/v2/tasks", good_bodies.IMPORT_TASK)
    assert (await cloud.call("PUT", f"/image/v2/cache/{active}")).is_success
    return {"image_id": image["id"], "member_id": member, "namespace": namespace, "task_id": task["id"],
            "/v2/schemas/{name}": "image", "/v2/schemas/metadefs/{name}": "namespace",
            "/v2/cache/{image_id}": active,
            **{f"{definitions}/{kind}/{{name}}": "one" for kind in ("objects", "properties", "tags", "resource_types")}}


async def image_made(cloud, path: str, body: dict) -> dict:
    answer = await cloud.call("POST", f"/image{path}", body)
    assert answer.is_success, answer.text
    return answer.json()


def reaches(request: Request, answer) -> bool:
    """Whether the request came as far as what the operation is about: it was done, or refused for what it says."""
    says = request.body is not None or request.content is not None or request.method == "DELETE"
    about = CONTENT if says else STATE
    return request.aimed and (answer.status_code < 400 or answer.status_code in about)


def id_in(answer) -> str | None:
    """Of what the answer says was made."""
    if not answer.is_success or not answer.content:
        return None
    body = answer.json()
    one = next(iter(body.values()), None) if isinstance(body, dict) else None
    one = one[0] if isinstance(one, list) and one else one
    return str(one.get("id") or one.get("access") or "") or None if isinstance(one, dict) else None


async def ill_treat(cloud, service: str, each: int, seed: int) -> tuple[Counter[str], dict[str, str], dict[str, int]]:
    """Statuses and complaints; by operation, 0 if nothing reached it, 1 if it was refused only, 2 if it was done."""
    statuses, found, reached = Counter[str](), dict[str, str](), dict[str, int]()
    ledger = SERVICES[service].ledger
    versions = dict.fromkeys((ledger.newest, ledger.oldest))
    all_victims = [await victims(cloud, str(version).replace(".", "_"), volumes=service == "volume",
                                  balancers=service == "load-balancer")
                   for version in versions]
    for version, things in zip(versions, all_victims, strict=True):
        known = known_of(things)
        plain = {"openstack-api-version": f"{HEADERS[service]} {version}"} if service in HEADERS else {}
        generator = Generator(SERVICES[service], version, known, things[service].keys(), seed)
        for request in generator.requests(each):
            content, headers = request.content, dict(plain)
            if content is None and request.body is not None:
                content = json.dumps(request.body).encode()
            if content is not None:
                headers["content-type"] = request.media
            if "/auth/tokens" in request.path and request.aimed:
                headers["x-subject-token"] = known["subject_token"]
            answer = await cloud.call(request.method, f"/{service}{request.path}", content=content, headers=headers,
                                      token=known.get(BY_THE_USER.get(request.operation, "")))
            statuses[str(answer.status_code)] += 1
            level = int(reaches(request, answer)) and 1 + (answer.status_code < 400)
            reached[request.operation] = max(level, reached.get(request.operation, 0))
            if request.method == "POST" and request.aimed and (new := id_in(answer)):
                generator.learn(request.operation, new)
            if wrong := complaint(service, answer):
                found.setdefault(wrong[:60] + request.operation,
                                 f"{request.method} {request.path} {(content or b'')[:300]!r} at {version}: {wrong}")
    return statuses, found, reached


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_breaks_a_service(cloud_on, database_kind, service):
    each = int(os.environ.get("PILEUS_BAD_INPUT_EACH", EACH[database_kind]))
    seed = int(os.environ.get("PILEUS_BAD_INPUT_SEED", "1"))
    statuses, found, reached = await ill_treat(cloud_on, service, each, seed)
    done = sum(level == 2 for level in reached.values())
    missed = sorted(name for name, level in reached.items() if not level)
    print(f"{service}: {statuses.total()} requests, {dict(sorted(statuses.items()))}; of {len(reached)} operations "
          f"{done} done, {len(reached) - done - len(missed)} refused for their content, {len(missed)} never reached")
    print("refused only:", [name for name, level in reached.items() if level == 1])
    print("never reached:", missed)
    assert not found, f"{len(found)} of {statuses.total()}:\n" + "\n".join(found.values())
    assert missed == sorted(OUT_OF_REACH.get(service, ())), missed


async def test_tokens_that_are_none(cloud):
    good = await cloud.log_in("demo")
    flipped = good[:-9] + ("A" if good[-9] != "A" else "B") + good[-8:]
    forged = ("", "x", "gAAAAA", flipped, good[:-20], good * 40, "%00", "\u00e9".encode().decode("latin-1"))
    for service, path in {"identity": "/v3/projects", "placement": "/resource_providers", "image": "/v2/images",
                          "network": "/v2.0/networks", "compute": "/v2.1/servers",
                          "volume": "/v3/volumes", "load-balancer": "/v2.0/lbaas/pools"}.items():
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
    known, demo = known_of(await victims(cloud, "a", volumes=True)), await cloud.log_in("demo")
    for service, path, name in (
            ("volume", "/v3/volumes", "volume_id"), ("volume", "/v3/snapshots", "snapshot_id"),
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


async def test_addresses_of_things_with_foreign_names_are_in_plain_letters(cloud):
    known, name = known_of(await victims(cloud, "a")), quote("\u00e9\U0001f600")
    for answer in (
            await cloud.call("PUT", f"/identity/v3/projects/{known['project_id']}/tags/{name}"),
            await cloud.call("PUT", f"/compute/v2.1/servers/{known['server_id']}/tags/{name}",
                             headers={"openstack-api-version": "compute 2.26"}),
            await cloud.call("POST", "/image/v2/metadefs/namespaces", {"namespace": unquote(name)})):
        assert answer.status_code == 201 and answer.headers["location"].endswith(f"/{name}"), answer.text
