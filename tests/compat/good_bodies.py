"""Bodies that services take, so that what is spoiled in them is all that is wrong; by operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.compat import load_balancer_victims, volume_victims


def good_bodies(known: Mapping[str, str]) -> dict[str, Any]:
    found = _identity(known) | _placement(known) | _image(known) | _network(known) | _compute(known)
    found |= volume_victims.bodies(known) if "backup_id" in known else {}
    return found | (load_balancer_victims.bodies(known) if "lb_subnet_id" in known else {})


QUERIES = {"GET /allocation_candidates": "resources=VCPU:1"}
IMPORT_TASK = {"type": "import", "input": {     # from an address nobody answers at
    "import_from": "http://pileus.invalid/", "import_from_format": "raw", "image_properties": {"name": "i"}}}
# What replaces a name others go by: nothing made up is sent, only what keeps the name.
RENAMING = {f"PUT /v2/metadefs/namespaces/{{namespace}}{rest}" for rest in (
    "", "/objects/{name}", "/properties/{name}", "/tags/{name}")}
# What was renamed or ended by bad input that was not bad enough is made anew before it is removed.
REMAKING = ("POST /v2/metadefs/namespaces", "POST /v2/metadefs/namespaces/{namespace}/objects",
            "POST /v2/metadefs/namespaces/{namespace}/properties",
            "POST /v2/metadefs/namespaces/{namespace}/resource_types", "PUT /v3/domains/{domain_id}/config",
            "POST /v2.0/ports/{port_id}/bindings")
FILES = {"PUT /v2/images/{image_id}/file": b"data", "PUT /v2/images/{image_id}/stage": b"data"}

DOMAIN_CONFIG = {"config": {"identity": {"driver": "sql"}, "ldap": {
    "url": "ldap://ldap.example", "suffix": "dc=example"}}}


def _identity(known: Mapping[str, str]) -> dict[str, Any]:
    user, project = known["user_id"], known["project_id"]
    password = {"methods": ["password"], "password": {"user": {"id": user, "password": "secret"}}}
    named: dict[str, Any] = {
        f"POST /v3/{kind}s": {kind: {"name": f"new-{kind}"}} for kind in ("domain", "project", "user", "group", "role")}
    return named | {
        "POST /v3/auth/tokens": {"auth": {"identity": password, "scope": {"project": {"id": project}}}},
        "PATCH /v3/domains/{domain_id}": {"domain": {"enabled": False}},
        "PUT /v3/projects/{project_id}/tags": {"tags": ["t", "u"]},
        "POST /v3/users/{user_id}/password": {"user": {"original_password": "secret", "password": "secret"}},
        "POST /v3/users/{user_id}/application_credentials": {"application_credential": {"name": "b"}},
        "POST /v3/OS-TRUST/trusts": {"trust": {
            "trustor_user_id": user, "trustee_user_id": known["trustee_id"], "impersonation": True,
            "project_id": project, "roles": [{"id": known["role_id"]}]}},
        "POST /v3/services": {"service": {"name": "s", "type": "t"}},
        "POST /v3/endpoints": {"endpoint": {"service_id": known["service_id"], "interface": "public",
                                            "url": "http://x"}},
        "PUT /v3/domains/{domain_id}/config": DOMAIN_CONFIG,
        "PATCH /v3/domains/{domain_id}/config": DOMAIN_CONFIG,
        "PATCH /v3/domains/{domain_id}/config/{section}": {
            "config": {"ldap": {"url": "ldap://ldap.example"}}},
        "PATCH /v3/domains/{domain_id}/config/{section}/{option}": {"config": {"url": "ldap://ldap.example"}},
        "PATCH /v3/OS-FEDERATION/mappings/{mapping_id}": {"mapping": {"rules": [
            {"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]}},
        "PATCH /v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}": {
            "protocol": {"mapping_id": known["mapping_id"]}},
        "PATCH /v3/OS-FEDERATION/service_providers/{sp_id}": {"service_provider": {"enabled": False}},
        "POST /v3/registered_limits": {"registered_limits": [
            {"service_id": known["limited_id"], "resource_name": "r", "default_limit": 5}]},
        "POST /v3/limits": {"limits": [{"service_id": known["limited_id"], "resource_name": "r", "resource_limit": 3,
                                        "project_id": project}]},
        "POST /v3/OS-EP-FILTER/endpoint_groups": {"endpoint_group": {
            "name": f"new-{known['mark']}", "filters": {"interface": "public"}}},
        "POST /v3/users/{user_id}/credentials/OS-EC2": {"tenant_id": project},
        "POST /v3/policies": {"policy": {"type": "t", "blob": "b"}},
        "POST /v3/credentials": {"credential": {"type": "cert", "blob": "b", "user_id": user}}}


def _placement(known: Mapping[str, str]) -> dict[str, Any]:
    provider = known["uuid"]
    claim = {"allocations": {provider: {"resources": {"VCPU": 1}}}, "project_id": "p", "user_id": "u"}
    listed = {"allocations": [{"resource_provider": {"uuid": provider}, "resources": {"VCPU": 1}}]}
    newest = {**claim, "consumer_generation": 1, "consumer_type": "INSTANCE"}
    newest = listed if known["mark"] == "1_0" else newest
    inventory = {"resource_provider_generation": 1, "total": 10}
    return {
        "POST /resource_providers": {"name": f"new-{known['mark']}"},
        "PUT /resource_providers/{uuid}/inventories": {"resource_provider_generation": 1,
                                                       "inventories": {"VCPU": {"total": 9}}},
        "PUT /resource_providers/{uuid}/inventories/{resource_class}": inventory,
        "POST /resource_providers/{uuid}/inventories": inventory | {"resource_class": "MEMORY_MB"},
        "PUT /resource_providers/{uuid}/aggregates": {"resource_provider_generation": 1, "aggregates": [provider]},
        "PUT /resource_providers/{uuid}/traits": {"resource_provider_generation": 1, "traits": ["HW_CPU_X86_AVX"]},
        "PUT /allocations/{consumer_uuid}": newest,
        "POST /allocations": {known["consumer_uuid"]: newest},
        "POST /reshaper": {"inventories": {provider: {"resource_provider_generation": 1, "inventories": {
            "VCPU": {"total": 9}}}}, "allocations": {known["consumer_uuid"]: newest}}}


def _image(known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "POST /v2/images": {"name": "i", "disk_format": "raw", "container_format": "bare"},
        "PATCH /v2/images/{image_id}": [{"op": "replace", "path": "/name", "value": "new"}],
        "POST /v2/images/{image_id}/import": {"method": {"name": "glance-direct"}},
        "POST /v2/images/{image_id}/locations": {"url": "http://pileus.invalid/", "validation_data": {}},
        "POST /v2/tasks": IMPORT_TASK,
        "POST /v2/metadefs/namespaces": {"namespace": known["namespace"]},
        "POST /v2/metadefs/namespaces/{namespace}/objects": {"name": "one"},
        "POST /v2/metadefs/namespaces/{namespace}/properties": {"name": "one", "title": "t", "type": "string"},
        "POST /v2/metadefs/namespaces/{namespace}/resource_types": {"name": "one"},
        "POST /v2/metadefs/namespaces/{namespace}/tags/{name}": None,
        "PUT /v2/metadefs/namespaces/{namespace}": {"namespace": known["namespace"]},
        "PUT /v2/metadefs/namespaces/{namespace}/objects/{name}": {"name": "one"},
        "PUT /v2/metadefs/namespaces/{namespace}/properties/{name}": {"name": "one", "title": "t", "type": "string"},
        "PUT /v2/metadefs/namespaces/{namespace}/tags/{name}": {"name": "one"},
        "POST /v2/images/{image_id}/members": {"member": known["domain_id"]},
        "PUT /v2/images/{image_id}/members/{member_id}": {"status": "accepted"}}


def _network(known: Mapping[str, str]) -> dict[str, Any]:
    network, subnet = known["network_id"], known["subnet_id"]
    return {
        "POST /v2.0/networks": {"network": {"name": "n"}},
        "POST /v2.0/subnets": {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.8.0.0/24"}},
        "POST /v2.0/ports": {"port": {"network_id": network, "fixed_ips": [{"subnet_id": subnet}]}},
        "PUT /v2.0/routers/{router_id}/add_router_interface": {"subnet_id": subnet},
        "PUT /v2.0/routers/{router_id}/remove_router_interface": {"subnet_id": subnet},
        **{f"PUT /v2.0/routers/{{router_id}}/{verb}_external_gateways": {"router": {"external_gateways": [
            {"network_id": known["external_id"]}]}} for verb in ("add", "update", "remove")},
        "POST /v2.0/floatingips": {"floatingip": {"floating_network_id": known["external_id"]}},
        "POST /v2.0/security-group-rules": {"security_group_rule": {
            "security_group_id": known["security_group_id"], "direction": "ingress", "protocol": "udp"}},
        "POST /v2.0/address-groups": {"address_group": {"name": "a", "addresses": ["10.0.0.0/8"]}},
        "PUT /v2.0/address-groups/{address_group_id}/add_addresses": {"address_group": {"addresses": ["10.1.0.0/16"]}},
        "PUT /v2.0/address-groups/{address_group_id}/remove_addresses": {
            "address_group": {"addresses": ["10.1.0.0/16"]}},
        "POST /v2.0/metering/metering-labels": {"metering_label": {"name": "l"}},
        "POST /v2.0/metering/metering-label-rules": {"metering_label_rule": {
            "metering_label_id": known["metering_label_id"], "remote_ip_prefix": "10.0.0.0/8"}},
        "POST /v2.0/floatingips/{floatingip_id}/port_forwardings": {"port_forwarding": {
            "internal_port_id": known["forwarding_port_id"], "internal_port": 22, "external_port": 2222,
            "protocol": "tcp"}},
        "POST /v2.0/qos/policies": {"policy": {"name": "q"}},
        "POST /v2.0/qos/policies/{policy_id}/bandwidth_limit_rules": {"bandwidth_limit_rule": {"max_kbps": 1000}},
        "POST /v2.0/qos/policies/{policy_id}/dscp_marking_rules": {"dscp_marking_rule": {"dscp_mark": 10}},
        "POST /v2.0/qos/policies/{policy_id}/packet_rate_limit_rules": {"packet_rate_limit_rule": {"max_kpps": 5}},
        "POST /v2.0/qos/policies/{policy_id}/minimum_bandwidth_rules": {"minimum_bandwidth_rule": {"min_kbps": 10}},
        "POST /v2.0/qos/policies/{policy_id}/minimum_packet_rate_rules": {
            "minimum_packet_rate_rule": {"min_kpps": 1}},
        "PUT /v2.0/subnets/{subnet_id}": {"subnet": {"name": "t"}},
        "POST /v2.0/rbac-policies": {"rbac_policy": {
            "object_type": "network", "object_id": network, "action": "access_as_shared",
            "target_tenant": known["project_id"]}},
        "POST /v2.0/default-security-group-rules": {"default_security_group_rule": {
            "direction": "ingress", "protocol": "tcp", "port_range_min": 7, "port_range_max": 7}},
        "POST /v2.0/flavors": {"flavor": {"name": "f", "service_type": "FLAVORS"}},
        "POST /v2.0/flavors/{flavor_id}/service_profiles": {"service_profile": {"id": known["service_profile_id"]}},
        "POST /v2.0/service_profiles": {"service_profile": {"metainfo": "m"}},
        "POST /v2.0/address-scopes": {"address_scope": {"name": "s", "ip_version": 4}},
        "PUT /v2.0/subnetpools/{subnetpool_id}/add_prefixes": {"prefixes": ["10.77.0.0/16"]},
        "PUT /v2.0/subnetpools/{subnetpool_id}/remove_prefixes": {"prefixes": ["10.78.0.0/16"]},
        "PUT /v2.0/subnetpools/{subnetpool_id}/onboard_network_subnets": {"network_id": network},
        "POST /v2.0/agents/{l3_agent_id}/l3-routers": {"router_id": known["router_id"]},
        "POST /v2.0/local_ips": {"local_ip": {"network_id": network}},
        "POST /v2.0/routers/{router_id}/conntrack_helpers": {
            "conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}},
        "POST /v2.0/ndp_proxies": {"ndp_proxy": {
            "router_id": known["ndp_router_id"], "port_id": known["ndp_port_id"]}},
        "POST /v2.0/ports/{port_id}/bindings": {"binding": {"host": "somewhere"}},
        "POST /v2.0/security-groups-default-statefulness": {
            "security_groups_default_statefulness": {"project_id": known["project_id"], "stateful": True}},
        "PUT /v2.0/security-groups-default-statefulness/{statefulness_id}": {
            "security_groups_default_statefulness": {"stateful": False}},
        "POST /v2.0/network_segment_ranges": {"network_segment_range": {
            "network_type": "vlan", "physical_network": "public", "minimum": 1, "maximum": 9}},
        "POST /v2.0/network-segment-ranges": {"network_segment_range": {
            "network_type": "vlan", "physical_network": "public", "minimum": 11, "maximum": 19}},
        "POST /v2.0/local_ips/{local_ip_id}/port_associations": {
            "port_association": {"fixed_port_id": known["port_id"]}},
        "POST /v2.0/log/logs": {"log": {"resource_type": "security_group"}},
        "POST /v2.0/trunks": {"trunk": {"port_id": known["parent_id"]}},
        "PUT /v2.0/trunks/{trunk_id}/add_subports": {"sub_ports": [{
            "port_id": known["next_subport_id"], "segmentation_type": "vlan", "segmentation_id": 5}]},
        "PUT /v2.0/trunks/{trunk_id}/remove_subports": {"sub_ports": [{"port_id": known["subport_id"]}]},
        "POST /v2.0/subnetpools": {"subnetpool": {"name": "p", "prefixes": ["10.40.0.0/16"]}},
        "PUT /v2.0/{resource}/{resource_id}/tags": {"tags": ["t"]},
        "PUT /v2.0/subnetpools/{subnetpool_id}": {"subnetpool": {"name": "q"}}}


def _compute(known: Mapping[str, str]) -> dict[str, Any]:
    server: dict[str, Any] = {"name": "s", "flavorRef": "1", "imageRef": known["bootable_id"],
                              "networks": [{"uuid": known["network_id"]}]}
    service = {"host": known["pattern"], "binary": "nova-compute"}
    return {
        "POST /v2.1/os-keypairs": {"keypair": {"name": "new"}},
        "PUT /v2.1/os-services/enable": service,
        "PUT /v2.1/os-services/disable": service,
        "PUT /v2.1/os-services/disable-log-reason": service | {"disabled_reason": "r"},
        "PUT /v2.1/os-services/{service_id}": {"status": "enabled"},
        "POST /v2.1/servers": {"server": server},
        "POST /pileus/schedule": {"flavor": "1", "image": known["bootable_id"], "hints": {
            "same_host": ["a"], "query": '["=", "$host", "a"]', "build_near_host_ip": "192.0.2.1", "cidr": "/24"}},
        "PUT /v2.1/servers/{server_id}": {"server": {"name": "t"}},
        "POST /v2.1/servers/{server_id}/action reboot": {"reboot": {"type": "SOFT"}},
        "POST /v2.1/servers/{server_id}/action os-resetState": {"os-resetState": {"state": "active"}},
        "POST /v2.1/flavors/{flavor_id}/action addTenantAccess": {"addTenantAccess": {"tenant": known["project_id"]}},
        "POST /v2.1/flavors/{flavor_id}/action removeTenantAccess": {
            "removeTenantAccess": {"tenant": known["project_id"]}},
        "POST /v2.1/servers/{server_id}/metadata": {"metadata": {"k": "v"}},
        "PUT /v2.1/servers/{server_id}/metadata": {"metadata": {"k": "v"}},
        "PUT /v2.1/servers/{server_id}/metadata/{key}": {"meta": {"k": "v"}},
        "POST /v2.1/images/{image_id}/metadata": {"metadata": {"k": "v"}},
        "PUT /v2.1/images/{image_id}/metadata": {"metadata": {"k": "v"}},
        "PUT /v2.1/images/{image_id}/metadata/{key}": {"meta": {"k": "v"}},
        "PUT /v2.1/servers/{server_id}/tags": {"tags": ["t"]},
        "POST /v2.1/flavors/{flavor_id}/os-extra_specs": {"extra_specs": {"k": "v"}},
        "PUT /v2.1/flavors/{flavor_id}/os-extra_specs/{key}": {"k": "v"},
        "PUT /v2.1/servers/{server_id}/os-volume_attachments/{volume_id}": {"volumeAttachment": {
            "volumeId": known["/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}"]}},
        "POST /v2.1/os-assisted-volume-snapshots": {"snapshot": {
            "volume_id": known["/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}"],
            "create_info": {"snapshot_id": known["server_id"], "type": "qcow2", "new_file": "n"}}},
        "POST /v2.1/servers/{server_id}/shares": {"share": {"share_id": known["server_id"]}},
        "POST /v2.1/os-server-external-events": {"events": [
            {"name": "network-changed", "server_uuid": known["server_id"]}]},
        "POST /v2.1/os-floating-ips": {"pool": None},
        "POST /v2.1/servers/{server_id}/action addFloatingIp": {"addFloatingIp": {
            "address": known["floating_address"]}},
        "POST /v2.1/servers/{server_id}/action removeFloatingIp": {"removeFloatingIp": {
            "address": known["floating_address"]}},
        "POST /v2.1/servers/{server_id}/action addFixedIp": {"addFixedIp": {"networkId": known["network_id"]}},
        "POST /v2.1/servers/{server_id}/action removeFixedIp": {"removeFixedIp": {"address": known["fixed_address"]}},
        "POST /v2.1/os-volumes": {"volume": {"size": 1, "display_name": "n"}},
        "POST /v2.1/os-snapshots": {"snapshot": {"volume_id": known["/v2.1/os-volumes/{volume_id}"]}},
        "POST /v2.1/os-security-groups": {"security_group": {"name": "n", "description": "d"}},
        "POST /v2.1/os-security-group-rules": {"security_group_rule": {
            "ip_protocol": "udp", "from_port": 1, "to_port": 2, "cidr": "10.0.0.0/8",
            "parent_group_id": known["compute_group_id"]}}}
