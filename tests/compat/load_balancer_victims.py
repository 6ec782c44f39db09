"""Things of the load balancer service to be ill-treated, and bodies it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.compat.cloud import until

LBAAS = "/load-balancer/v2.0/lbaas"
BASE = "/v2.0/lbaas"
# Each of them is of a load balancer of its own: what is done to one keeps no other from being changed.
PARTS = ("listeners/{listener_id}", "pools/{pool_id}", "pools/{pool_id}/members", "pools/{pool_id}/members/{member_id}",
         "healthmonitors/{monitor_id}", "l7policies/{l7policy_id}", "l7policies/{l7policy_id}/rules",
         "l7policies/{l7policy_id}/rules/{l7rule_id}", "loadbalancers/{loadbalancer_id}/failover",
         "loadbalancers/{loadbalancer_id}")


async def load_balancer_victims(cloud, mark: str, subnet_id: str, project_id: str) -> dict[str, str]:
    member = {"address": "10.77.0.9", "protocol_port": 80}
    pool = {"protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [member],
            "healthmonitor": {"type": "TCP", "delay": 2, "timeout": 1, "max_retries": 1}}
    policy = {"action": "REJECT", "rules": [{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/x"}]}
    whole = {"vip_subnet_id": subnet_id, "name": f"lb-{mark}", "listeners": [
        {"protocol": "HTTP", "protocol_port": 80, "default_pool": pool, "l7policies": [policy]}]}
    found: dict[str, str] = {}
    made = [await cloud.ok("POST", f"{LBAAS}/loadbalancers", {"loadbalancer": whole}) for _ in PARTS]

    async def active() -> bool:
        now = [await cloud.ok("GET", f"{LBAAS}/loadbalancers/{one['id']}") for one in made]
        return all(one["provisioning_status"] == "ACTIVE" for one in now)

    await until(active)
    for part, one in zip(PARTS, made, strict=True):
        listener = one["listeners"][0]
        ids = {"loadbalancer_id": one["id"], "listener_id": listener["id"], "pool_id": listener["default_pool"]["id"],
               "member_id": listener["default_pool"]["members"][0]["id"],
               "monitor_id": listener["default_pool"]["healthmonitor"]["id"],
               "l7policy_id": listener["l7policies"][0]["id"], "l7rule_id": listener["l7policies"][0]["rules"][0]["id"]}
        words = part.split("/")
        if part.endswith("/members"):                              # which replacing them all may take away
            found[f"PUT {BASE}/{part}"] = ids["pool_id"]
            continue
        for end in range(2, len(words) + 1):
            if words[end - 1][:1] == "{":
                found[f"{BASE}/{'/'.join(words[:end])}"] = ids[words[end - 1][1:-1]]
        found |= {f"lb_{name}": value for name, value in ids.items()}
    profile = await cloud.ok("POST", f"{LBAAS}/flavorprofiles", {"flavorprofile": {
        "name": f"p-{mark}", "provider_name": "haproxy", "flavor_data": "{}"}})
    flavor = await cloud.ok("POST", f"{LBAAS}/flavors", {"flavor": {
        "name": f"f-{mark}", "flavor_profile_id": profile["id"]}})
    zones = await cloud.ok("POST", f"{LBAAS}/availabilityzoneprofiles", {"availability_zone_profile": {
        "name": f"z-{mark}", "provider_name": "haproxy", "availability_zone_data": "{}"}})
    await cloud.ok("POST", f"{LBAAS}/availabilityzones", {"availability_zone": {
        "name": f"zone-{mark}", "availability_zone_profile_id": zones["id"]}})
    return found | {
        f"{BASE}/flavorprofiles/{{profile_id}}": profile["id"], f"{BASE}/flavors/{{flavor_id}}": flavor["id"],
        f"{BASE}/availabilityzoneprofiles/{{profile_id}}": zones["id"], "zone_name": f"zone-{mark}",
        "provider": "haproxy", f"{BASE}/quotas/{{project_id}}": project_id, "lb_subnet_id": subnet_id,
        "lb_mark": mark}


def bodies(known: Mapping[str, str]) -> dict[str, Any]:
    """By operation."""
    balancer, subnet = known["lb_loadbalancer_id"], known["lb_subnet_id"]
    change: dict[str, Any] = {"name": "n"}
    flavor, zone = (known[f"{BASE}/{kind}profiles/{{profile_id}}"] for kind in ("flavor", "availabilityzone"))
    return {f"{method} {BASE}/{path}": body for method, path, body in (
        ("POST", "loadbalancers", {"loadbalancer": {"vip_subnet_id": subnet}}),
        ("PUT", "loadbalancers/{loadbalancer_id}", {"loadbalancer": change}),
        ("POST", "listeners", {"listener": {"loadbalancer_id": balancer, "protocol": "TCP", "protocol_port": 9}}),
        ("PUT", "listeners/{listener_id}", {"listener": change}),
        ("POST", "pools", {"pool": {"loadbalancer_id": balancer, "protocol": "TCP", "lb_algorithm": "SOURCE_IP"}}),
        ("PUT", "pools/{pool_id}", {"pool": change}),
        ("POST", "pools/{pool_id}/members", {"member": {"address": "10.77.0.8", "protocol_port": 80}}),
        ("PUT", "pools/{pool_id}/members", {"members": []}),
        ("PUT", "pools/{pool_id}/members/{member_id}", {"member": change}),
        ("POST", "healthmonitors", {"healthmonitor": {
            "pool_id": known["lb_pool_id"], "type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1}}),
        ("PUT", "healthmonitors/{monitor_id}", {"healthmonitor": change}),
        ("POST", "l7policies", {"l7policy": {"listener_id": known["lb_listener_id"], "action": "REJECT"}}),
        ("PUT", "l7policies/{l7policy_id}", {"l7policy": change}),
        ("POST", "l7policies/{l7policy_id}/rules", {"rule": {
            "type": "PATH", "compare_type": "EQUAL_TO", "value": "/y"}}),
        ("PUT", "l7policies/{l7policy_id}/rules/{l7rule_id}", {"rule": change}),
        ("PUT", "quotas/{project_id}", {"quota": {"pool": 1000}}),
        ("POST", "flavorprofiles", {"flavorprofile": {"name": "n", "provider_name": "haproxy", "flavor_data": "{}"}}),
        ("PUT", "flavorprofiles/{profile_id}", {"flavorprofile": change}),
        ("POST", "flavors", {"flavor": {"name": f"new-{known['lb_mark']}", "flavor_profile_id": flavor}}),
        ("PUT", "flavors/{flavor_id}", {"flavor": {"description": "d"}}),
        ("POST", "availabilityzoneprofiles", {"availability_zone_profile": {
            "name": "n", "provider_name": "haproxy", "availability_zone_data": "{}"}}),
        ("PUT", "availabilityzoneprofiles/{profile_id}", {"availability_zone_profile": change}),
        ("POST", "availabilityzones", {"availability_zone": {
            "name": f"new-{known['lb_mark']}", "availability_zone_profile_id": zone}}),
        ("PUT", "availabilityzones/{zone_name}", {"availability_zone": {"description": "d"}}))}
