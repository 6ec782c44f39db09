"""The manifest of the network service."""

from pileus.kit import operations
from pileus.kit.routes import Routes
from pileus.kit.service import Service
from pileus.network import faults, migrations, reports
from pileus.network.api import (
    address_groups,
    address_scopes,
    agents,
    auto_topologies,
    availability,
    default_rules,
    dhcp_agents,
    explain,
    flavors,
    floating_ips,
    followed_protocols,
    local_ips,
    logs,
    metering,
    ndp_proxies,
    networks,
    port_bindings,
    port_details,
    port_forwardings,
    ports,
    qos,
    quotas,
    rbac_policies,
    router_agents,
    router_gateways,
    routers,
    security_groups,
    segment_ranges,
    statefulness,
    subnet_pools,
    subnets,
    tags,
    trunks,
    versions,
)
from pileus.network.api.policies import RULES
from pileus.network.messages import CONDUCTOR
from pileus.network.model.base import metadata
from pileus.network.reconcilers.guarantees import guarantees
from pileus.network.reconcilers.slices import slices
from pileus.network.sagas.tell_compute import TellCompute
from pileus.network.versions import LEDGER

SERVICE = Service(
    name="network", type="network", ledger=LEDGER, metadata=metadata, migrations=migrations,
    routes=Routes(
        versions.routes, networks.routes, subnets.routes, ports.routes, port_details.routes, routers.routes,
        router_gateways.routes,
        floating_ips.routes, security_groups.routes, subnet_pools.routes, quotas.routes, agents.routes, tags.routes,
        address_groups.routes, auto_topologies.routes, availability.routes, default_rules.routes, dhcp_agents.routes,
        explain.routes, metering.routes, port_forwardings.routes, qos.routes, rbac_policies.routes,
        local_ips.routes, logs.routes, router_agents.routes, trunks.routes, address_scopes.routes, flavors.routes,
        segment_ranges.routes, statefulness.routes, port_bindings.routes, ndp_proxies.routes, followed_protocols.routes,
        operations.routes),
    sagas=(TellCompute,), reconcilers=(slices, guarantees, operations.forgotten_sagas), handlers=reports.handlers,
    topic=CONDUCTOR, rules=RULES, envelope=faults.envelope, field_selection=True, path_suffix=".json",
    body_bytes=1 << 20)
