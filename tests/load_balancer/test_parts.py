"""Listeners, pools, members, monitors, policies and rules, and what hosts are told of them."""

from __future__ import annotations

import pytest

RULE = {"type": "PATH", "compare_type": "STARTS_WITH", "value": "/a"}


@pytest.fixture
async def site(world):
    """A load balancer with an HTTP listener and its pool."""
    world.lb = await world.balancer()
    world.pool = (await world.made("/pools", "pool", loadbalancer_id=world.lb, protocol="HTTP",
                                   lb_algorithm="ROUND_ROBIN"))["id"]
    world.listener = (await world.made("/listeners", "listener", loadbalancer_id=world.lb, protocol="HTTP",
                                       protocol_port=80, default_pool_id=world.pool))["id"]
    return world


async def test_listeners(site):
    shown = await site.show(f"/listeners/{site.listener}")
    assert (shown["connection_limit"], shown["timeout_client_data"], shown["allowed_cidrs"]) == (-1, 50_000, None)
    await site.change(f"/listeners/{site.listener}", "listener", connection_limit=7, allowed_cidrs=["10.0.0.0/8"],
                      insert_headers={"X-Forwarded-For": "true"}, name="front")
    spec = site.spec(site.lb).listeners[0]
    assert (spec.connection_limit, spec.allowed, spec.headers) == (7, ("10.0.0.0/8",), ("X-Forwarded-For",))
    await site.change(f"/listeners/{site.listener}", "listener", allowed_cidrs=None, default_pool_id=None)
    assert site.spec(site.lb).listeners[0].allowed is None and site.spec(site.lb).listeners[0].default_pool_id is None
    await site.remove(f"/listeners/{site.listener}")
    assert site.spec(site.lb).listeners == () and len(await site.list("/pools")) == 1


async def test_listeners_that_are_refused(site):
    for body, status in (
            ({"protocol": "TCP", "protocol_port": 80}, 409), ({"protocol": "SCTP", "protocol_port": 53}, 501),
            ({"protocol": "HTTP", "protocol_port": 70000}, 400), ({"protocol": "GOPHER", "protocol_port": 70}, 400),
            ({"protocol": "TCP", "protocol_port": 81, "default_pool_id": "none"}, 400),
            ({"protocol": "HTTP", "protocol_port": 81, "insert_headers": {"X-Mine": "true"}}, 400),
            ({"protocol": "TCP", "protocol_port": 81, "insert_headers": {"X-Forwarded-For": "true"}}, 400),
            ({"protocol": "HTTP", "protocol_port": 81, "allowed_cidrs": ["fd00::/8"]}, 400),
            ({"protocol": "HTTP", "protocol_port": 81, "allowed_cidrs": ["everywhere"]}, 400),
            ({"protocol": "TERMINATED_HTTPS", "protocol_port": 443}, 400),
            ({"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": "http://k/1"}, 400)):
        found = await site.refused("POST", "/listeners", {"listener": {"loadbalancer_id": site.lb, **body}})
        assert found[0] == status, (body, found)
    assert (await site.show(f"/loadbalancers/{site.lb}"))["provisioning_status"] == "ACTIVE"
    assert (await site.refused("POST", "/listeners", {"listener": {
        "loadbalancer_id": "none", "protocol": "TCP", "protocol_port": 1}}))[1] == "Load Balancer none not found."


async def test_pools(site):
    await site.change(f"/pools/{site.pool}", "pool", lb_algorithm="LEAST_CONNECTIONS",
                      session_persistence={"type": "APP_COOKIE", "cookie_name": "JSESSIONID"})
    spec = site.spec(site.lb).pools[0]
    assert (spec.algorithm, spec.persistence, spec.cookie) == ("LEAST_CONNECTIONS", "APP_COOKIE", "JSESSIONID")
    await site.change(f"/pools/{site.pool}", "pool", session_persistence=None)
    assert (await site.show(f"/pools/{site.pool}"))["session_persistence"] is None
    for said in ({"type": "APP_COOKIE"}, {"type": "APP_COOKIE", "cookie_name": "a b"},
                 {"type": "HTTP_COOKIE", "cookie_name": "x"}, {"type": "SOURCE_IP", "persistence_timeout": 5}):
        assert (await site.refused("PUT", f"/pools/{site.pool}", {"pool": {"session_persistence": said}}))[0] == 400
    assert (await site.refused("PUT", f"/pools/{site.pool}", {"pool": {"lb_algorithm": "SOURCE_IP_PORT"}}))[0] == 501
    assert (await site.refused("POST", "/pools", {"pool": {
        "listener_id": site.listener, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}}))[0] == 400    # it has one
    await site.remove(f"/pools/{site.pool}")
    assert (await site.show(f"/listeners/{site.listener}"))["default_pool_id"] is None


async def test_members(site):
    path = f"/pools/{site.pool}/members"
    near = await site.made(path, "member", address="10.1.0.9", protocol_port=80)
    far = await site.made(path, "member", address="10.2.0.9", protocol_port="80", subnet_id="back", weight=0)
    assert far["protocol_port"] == 80 and near["operating_status"] == "OFFLINE"
    assert {row["id"]: row["operating_status"] for row in await site.list(path)} == {
        near["id"]: "NO_MONITOR", far["id"]: "DRAINING"}
    legs = [leg for leg in site.spec(site.lb).legs if leg.addresses[0].startswith("10.2.")]
    assert len(legs) == 1 and len(site.network.known) == 2
    assert (await site.refused("POST", path, {"member": {"address": "10.1.0.9", "protocol_port": 80}})) == (
        409, "Another member on this pool is already using ip 10.1.0.9 on protocol_port 80")
    six = await site.made(path, "member", address="fd01:0:0:0:0:0:0:9", protocol_port=80)
    assert six["address"] == "fd01:0:0:0:0:0:0:9"
    assert "fd01::9" in {member.address for member in site.spec(site.lb).pools[0].members}
    assert (await site.refused("POST", path, {"member": {"address": "fd01::9", "protocol_port": 80}}))[0] == 409
    for body in ({"address": "nine", "protocol_port": 80}, {"address": "127.0.0.1", "protocol_port": 80},
                 {"address": "10.1.0.8", "protocol_port": 0},
                 {"address": "10.1.0.8", "protocol_port": 80, "weight": 257},
                 {"address": "10.1.0.8", "protocol_port": 80, "subnet_id": "none"}):
        assert (await site.refused("POST", path, {"member": body}))[0] == 400
    await site.change(f"{path}/{near['id']}", "member", weight=5, backup=True, monitor_port=8080)
    spec = next(member for member in site.spec(site.lb).pools[0].members if member.id == near["id"])
    assert (spec.weight, spec.backup, spec.monitor_port) == (5, True, 8080)
    await site.remove(f"{path}/{far['id']}")
    assert len(site.spec(site.lb).legs) == 1 and len(site.network.known) == 1     # its network needs no port any more
    assert (await site.refused("GET", f"/pools/none/members/{near['id']}"))[0] == 404


async def test_members_all_at_once(site):
    path = f"/pools/{site.pool}/members"
    kept = await site.made(path, "member", address="10.1.0.9", protocol_port=80, name="kept", weight=3)
    await site.made(path, "member", address="10.1.0.8", protocol_port=80)
    more = [{"address": "10.1.0.9", "protocol_port": 80, "backup": True}, {"address": "10.1.0.7", "protocol_port": 80}]
    await site.ok("PUT", path, {"members": more})
    await site.sagas.drain()
    found = {row["address"]: row for row in await site.list(path)}
    assert set(found) == {"10.1.0.9", "10.1.0.7"} and found["10.1.0.9"]["id"] == kept["id"]
    assert (found["10.1.0.9"]["weight"], found["10.1.0.9"]["backup"]) == (3, True)
    await site.ok("PUT", f"{path}?additive_only=true", {"members": [{"address": "10.1.0.6", "protocol_port": 80}]})
    await site.sagas.drain()
    assert len(await site.list(path)) == 3
    assert (await site.refused("PUT", path, {"members": [more[0], more[0]]}))[0] == 400
    await site.ok("PUT", path, {"members": []})
    await site.sagas.drain()
    assert await site.list(path) == [] and site.spec(site.lb).pools[0].members == ()


async def test_monitors(site):
    good = {"pool_id": site.pool, "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2}
    made = await site.made("/healthmonitors", "healthmonitor", **good)
    assert (made["http_method"], made["url_path"], made["expected_codes"]) == ("GET", "/", "200")
    assert await site.refused("POST", "/healthmonitors", {"healthmonitor": good}) == (
        409, "This pool already has a health monitor")
    await site.change(f"/healthmonitors/{made['id']}", "healthmonitor", url_path="/up", http_version=1.1,
                      domain_name="example.org", expected_codes="200-204")
    spec = site.spec(site.lb).pools[0].monitor
    assert (spec.path, spec.http_version, spec.domain, spec.codes) == ("/up", "1.1", "example.org", "200-204")
    for change in ({"http_version": 1.0}, {"url_path": "up"}, {"expected_codes": "2xx"}, {"http_version": 2.0},
                   {"delay": 0}, {"max_retries": 11},
                   {"domain_name": "a.b\n"}, {"expected_codes": "200\n"}, {"domain_name": "-"}):
        path = f"/healthmonitors/{made['id']}"
        assert (await site.refused("PUT", path, {"healthmonitor": change}))[0] == 400, change
    await site.remove(f"/healthmonitors/{made['id']}")
    assert site.spec(site.lb).pools[0].monitor is None
    assert (await site.refused("POST", "/healthmonitors", {"healthmonitor": good | {
        "type": "PING", "url_path": "/"}}))[0] == 400
    assert (await site.refused("POST", "/healthmonitors", {"healthmonitor": good | {"type": "UDP-CONNECT"}}))[0] == 400
    assert (await site.refused("POST", "/healthmonitors", {"healthmonitor": good | {"type": "SCTP"}}))[0] == 501


async def test_datagrams(site):
    pool = (await site.made("/pools", "pool", loadbalancer_id=site.lb, protocol="UDP", lb_algorithm="SOURCE_IP",
                            session_persistence={"type": "SOURCE_IP", "persistence_timeout": 60}))["id"]
    await site.made("/listeners", "listener", loadbalancer_id=site.lb, protocol="UDP", protocol_port=80,
                    default_pool_id=pool)                            # beside the one of HTTP
    await site.made(f"/pools/{pool}/members", "member", address="10.1.0.9", protocol_port=53)
    monitor = {"pool_id": pool, "delay": 1, "timeout": 1, "max_retries": 1}
    await site.made("/healthmonitors", "healthmonitor", type="UDP-CONNECT", **monitor)
    assert {listener.protocol for listener in site.spec(site.lb).listeners} == {"HTTP", "UDP"}
    for path, key, body, status in (
            ("/listeners", "listener", {"loadbalancer_id": site.lb, "protocol": "UDP", "protocol_port": 80}, 409),
            ("/listeners", "listener", {"loadbalancer_id": site.lb, "protocol": "UDP", "protocol_port": 81,
                                        "default_pool_id": site.pool}, 400),
            ("/healthmonitors", "healthmonitor", monitor | {"type": "PING"}, 400),
            (f"/pools/{pool}/members", "member", {"address": "fd01::9", "protocol_port": 53}, 501),
            ("/pools", "pool", {"loadbalancer_id": site.lb, "protocol": "UDP", "lb_algorithm": "LEAST_CONNECTIONS"},
             501)):
        assert (await site.refused("POST", path, {key: body}))[0] == status, body


async def test_policies_have_places(site):
    async def places():
        return [row["name"] for row in await site.list("/l7policies?sort=position")]

    for name, position in (("a", None), ("b", None), ("c", 1)):
        await site.made("/l7policies", "l7policy", listener_id=site.listener, action="REJECT", name=name,
                        **({"position": position} if position else {}))
    assert await places() == ["c", "a", "b"]
    found = {row["name"]: row["id"] for row in await site.list("/l7policies")}
    await site.change(f"/l7policies/{found['b']}", "l7policy", position=1)
    assert await places() == ["b", "c", "a"]
    await site.remove(f"/l7policies/{found['c']}")
    assert [(row["name"], row["position"]) for row in await site.list("/l7policies?sort=position")] == [
        ("b", 1), ("a", 2)]
    assert [policy.id for policy in site.spec(site.lb).listeners[0].policies] == [found["b"], found["a"]]


async def test_policies_and_what_they_go_to(site):
    made = await site.made("/l7policies", "l7policy", listener_id=site.listener, action="REDIRECT_TO_URL",
                           redirect_url="https://example.org/a")
    assert made["redirect_http_code"] == 302
    found = await site.change(f"/l7policies/{made['id']}", "l7policy", redirect_pool_id=site.pool)
    assert (found["action"], found["redirect_url"]) == ("REDIRECT_TO_POOL", None)
    assert await site.refused("DELETE", f"/pools/{site.pool}") == (
        409, f"Pool {site.pool} is in use by L7 policy {made['id']}")
    for body in ({"action": "REDIRECT_TO_URL"}, {"action": "REDIRECT_TO_URL", "redirect_url": "not a url"},
                 {"action": "REDIRECT_TO_POOL", "redirect_pool_id": "none"}, {"action": "EXPLODE"},
                 {"action": "REDIRECT_PREFIX", "redirect_prefix": "https://a.b/\n"}):
        assert (await site.refused("POST", "/l7policies", {"l7policy": {
            "listener_id": site.listener, **body}}))[0] == 400, body


async def test_rules(site):
    policy = (await site.made("/l7policies", "l7policy", listener_id=site.listener, action="REJECT"))["id"]
    path = f"/l7policies/{policy}/rules"
    rule = await site.made(path, "rule", **RULE)
    await site.change(f"{path}/{rule['id']}", "rule", type="HEADER", key="X-Test", compare_type="REGEX", value="^a+$",
                      invert=True)
    (spec,) = site.spec(site.lb).listeners[0].policies[0].rules
    assert (spec.type, spec.key, spec.value, spec.invert) == ("HEADER", "X-Test", "^a+$", True)
    for body in (RULE | {"key": "x"}, RULE | {"type": "HEADER"}, RULE | {"type": "COOKIE", "key": "a b"},
                 RULE | {"compare_type": "REGEX", "value": "("}, RULE | {"type": "FILE_TYPE"}, RULE | {"value": ""},
                 RULE | {"value": "a\nb"}):
        assert (await site.refused("POST", path, {"rule": body}))[0] == 400, body
    assert (await site.refused("POST", path, {"rule": RULE | {"type": "SSL_CONN_HAS_CERT"}}))[0] == 501
    await site.remove(f"{path}/{rule['id']}")
    assert await site.list(path) == []


async def test_flavors_zones_and_their_profiles(site):
    admin = {"token": "admin@ops"}
    profile = (await site.ok("POST", "/flavorprofiles", {"flavorprofile": {
        "name": "small", "provider_name": "haproxy", "flavor_data": '{"connection_limit": 100}'}}, **admin))[
        "flavorprofile"]
    flavor = (await site.ok("POST", "/flavors", {"flavor": {
        "name": "small", "flavor_profile_id": profile["id"]}}, **admin))["flavor"]
    small = await site.balancer(flavor_id=flavor["id"])
    assert site.spec(small).connection_limit == 100
    for path in (f"/flavors/{flavor['id']}", f"/flavorprofiles/{profile['id']}"):
        assert (await site.refused("DELETE", path, **admin))[0] == 409
    assert (await site.refused("GET", "/flavorprofiles"))[0] == 403 and len(await site.list("/flavors")) == 1
    await site.ok("PUT", f"/flavors/{flavor['id']}", {"flavor": {"enabled": False}}, **admin)
    assert (await site.refused("POST", "/loadbalancers", {"loadbalancer": {
        "vip_subnet_id": "front", "flavor_id": flavor["id"]}}))[0] == 400
    for data in ("no JSON", '{"color": 1}', '{"connection_limit": 0}', "[]"):
        assert (await site.refused("POST", "/flavorprofiles", {"flavorprofile": {
            "name": "bad", "provider_name": "haproxy", "flavor_data": data}}, **admin))[0] == 400

    profile = (await site.ok("POST", "/availabilityzoneprofiles", {"availability_zone_profile": {
        "name": "two", "provider_name": "haproxy", "availability_zone_data": '{"hosts": ["two"]}'}}, **admin))[
        "availability_zone_profile"]
    zone = {"name": "east", "availability_zone_profile_id": profile["id"]}
    await site.ok("POST", "/availabilityzones", {"availability_zone": zone}, **admin)
    assert (await site.refused("POST", "/availabilityzones", {"availability_zone": zone}, **admin))[0] == 409
    there = await site.balancer(availability_zone="east")
    assert [host for host, _ in site.carried(there)] == ["two"]
    assert (await site.refused("DELETE", "/availabilityzones/east", **admin))[0] == 409
    await site.remove(f"/loadbalancers/{there}")
    await site.ok("DELETE", "/availabilityzones/east", **admin)
    await site.ok("DELETE", f"/availabilityzoneprofiles/{profile['id']}", **admin)


async def test_discovery_and_providers(site):
    for path in ("/", "/v2", "/v2.0"):
        versions = (await site.http.get(path)).json()["versions"]
        assert [row["id"] for row in versions if row["status"] == "CURRENT"] == ["v2.29"]
    assert {row["name"] for row in await site.list("/providers")} == {"haproxy", "octavia", "amphora"}
    admin = {"token": "admin@ops"}
    assert {row["name"] for row in await site.list("/providers/haproxy/flavor_capabilities", **admin)} == {
        "connection_limit", "loadbalancer_topology"}
    assert (await site.refused("GET", "/providers/magic/flavor_capabilities", **admin))[0] == 501
    assert await site.list("/amphorae", base="/v2.0/octavia", **admin) == []
