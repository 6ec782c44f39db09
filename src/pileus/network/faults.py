"""What a client can be told went wrong; `code` is the type clients switch on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.kit import faults
from pileus.kit.faults import BadRequest, Conflict, Fault, Forbidden, NotFound, PreconditionFailed

if TYPE_CHECKING:
    from pileus.kit.web import Ctx

_KIT_TYPES = {
    "badRequest": "HTTPBadRequest", "itemNotFound": "HTTPNotFound", "forbidden": "PolicyNotAuthorized",
    "conflictingRequest": "Conflict", "badMethod": "HTTPMethodNotAllowed", "computeFault": "HTTPInternalError",
    "overLimit": "HTTPRequestEntityTooLarge", "badMediaType": "HTTPUnsupportedMediaType",
    "serviceUnavailable": "ServiceUnavailable", "preconditionFailed": "HTTPPreconditionFailed"}


def envelope(ctx: Ctx, fault: Fault) -> tuple[bytes, str]:
    if isinstance(fault, faults.Unauthorized):
        found = {"error": {"code": 401, "title": "Unauthorized", "message": str(fault)}}
    else:
        kind = _KIT_TYPES.get(fault.code, fault.code)
        found = {"NeutronError": {"type": kind, "message": str(fault), "detail": ""}}
    return msgspec.json.encode(found), "application/json"


class InvalidInput(BadRequest):
    code, message = "InvalidInput", "Invalid input for operation: {reason}."


class InvalidFilter(BadRequest):
    code, message = "HTTPBadRequest", "{names} is invalid attribute for filtering"


class InvalidSort(BadRequest):
    code, message = "HTTPBadRequest", "[{names}] is invalid attribute for sort_key"


class PolicyNotAuthorized(Forbidden):
    code, message = "PolicyNotAuthorized", "rule:{rule} is disallowed by policy"


class RevisionMismatch(PreconditionFailed):
    code = "RevisionNumberConstraintFailed"
    message = "Constrained to {wanted}, but current revision is {found}"


class OverQuota(Conflict):
    code, message = "OverQuota", "Quota exceeded for resources: {resources}."


class ExtensionNotFound(NotFound):
    code, message = "HTTPNotFound", "Extension with alias {alias} does not exist"


class ResourceNotFound(NotFound):
    code, message = "TagResourceNotFound", "Resource {resource} {resource_id} could not be found."


class TagNotFound(NotFound):
    code, message = "TagNotFound", "Tag {tag} could not be found."


class AgentNotFound(NotFound):
    code, message = "AgentNotFound", "Agent {agent_id} could not be found."


# networks


class NetworkNotFound(NotFound):
    code, message = "NetworkNotFound", "Network {network_id} could not be found."


class NetworkInUse(Conflict):
    code = "NetworkInUse"
    message = ("Unable to complete operation on network {network_id}. "
               "There are one or more ports still in use on the network.")


class InvalidSharedSetting(Conflict):
    code = "InvalidSharedSetting"
    message = "Unable to reconfigure sharing settings for network {network_id}. Multiple projects are using it."


class SegmentInUse(Conflict):
    code, message = "VlanIdInUse", "Unable to create the network. The segment {segment} is in use."


class NoNetworkAvailable(faults.Unavailable):
    code, message = "NoNetworkAvailable", "Unable to create the network. No tenant network is available for allocation."


class ExternalNetworkInUse(Conflict):
    code = "ExternalNetworkInUse"
    message = ("External network {network_id} cannot be updated to be made non-external, since it has existing "
               "gateway ports.")


# subnets and addresses


class SubnetNotFound(NotFound):
    code, message = "SubnetNotFound", "Subnet {subnet_id} could not be found."


class SubnetInUse(Conflict):
    code = "SubnetInUse"
    message = "Unable to complete operation on subnet {subnet_id}: {reason}"


class GatewayIpInUse(Conflict):
    code = "GatewayIpInUse"
    message = "Current gateway ip {ip} already in use by port {port_id}. Unable to update."


class GatewayConflict(Conflict):
    code = "GatewayConflictWithAllocationPools"
    message = "Gateway ip {ip} conflicts with allocation pool {pool}."


class InvalidAllocationPool(BadRequest):
    code, message = "InvalidAllocationPool", "The allocation pool {pool} is not valid."


class OutOfBoundsPool(BadRequest):
    code = "OutOfBoundsAllocationPool"
    message = "The allocation pool {pool} spans beyond the subnet cidr {cidr}."


class OverlappingPools(Conflict):
    code = "OverlappingAllocationPools"
    message = "Found overlapping allocation pools: {pools} for subnet {cidr}."


class NoMoreAddresses(Conflict):
    code, message = "IpAddressGenerationFailure", "No more IP addresses available on network {network_id}."


class AddressInUse(Conflict):
    code = "IpAddressAlreadyAllocated"
    message = "IP address {ip} already allocated in subnet {subnet_id}"


class FloatingAddressInUse(Conflict):
    code = "IpAddressInUse"
    message = "Unable to complete operation for network {network_id}. The IP address {ip} is in use."


class InvalidIpForNetwork(BadRequest):
    code = "InvalidIpForNetwork"
    message = "IP address {ip} is not a valid IP for any of the subnets on the specified network."


class InvalidIpForSubnet(BadRequest):
    code, message = "InvalidIpForSubnet", "IP address {ip} is not a valid IP for the specified subnet."


class AutoAddress(BadRequest):
    code = "AllocationOnAutoAddressSubnet"
    message = ("IPv6 address {ip} can not be directly assigned to a port on subnet {subnet_id} as the subnet "
               "is configured for automatic addresses")


class SubnetPoolNotFound(NotFound):
    code, message = "SubnetPoolNotFound", "Subnet pool {subnetpool_id} could not be found."


class SubnetPoolInUse(Conflict):
    code = "SubnetPoolInUse"
    message = "Unable to complete operation on subnet pool. Subnet pool {subnetpool_id} in use."


class SubnetAllocationError(Conflict):
    code, message = "SubnetAllocationError", "Failed to allocate subnet: {reason}."


class IllegalPool(BadRequest):
    code, message = "IllegalSubnetPoolPrefixBounds", "Illegal prefix bounds: {reason}."


# ports


class PortNotFound(NotFound):
    code, message = "PortNotFound", "Port {port_id} could not be found."


class PortOwned(Conflict):
    code = "ServicePortInUse"
    message = "Port {port_id} cannot be deleted directly via the port API: {reason}."


class PortInUse(Conflict):
    code = "PortInUse"
    message = ("Unable to complete operation on port {port_id} for network {network_id}. Port already has an "
               "attached device {device_id}.")


class MacInUse(Conflict):
    code = "MacAddressInUse"
    message = "Unable to complete operation for network {network_id}. The mac address {mac} is in use."


class PortBound(Conflict):
    code = "PortBound"
    message = "Unable to complete operation on port {port_id}, port is already bound, port type: {kind}, old_mac {mac}."


class PairWithoutSecurity(Conflict):
    code = "AddressPairAndPortSecurityRequired"
    message = "Port Security must be enabled in order to have allowed address pairs on a port."


class GroupsWithoutSecurity(Conflict):
    code = "PortSecurityAndIPRequiredForSecurityGroups"
    message = "Port security must be enabled and port must have an IP address in order to use security groups."


class SecurityOffWithGroups(Conflict):
    code = "PortSecurityPortHasSecurityGroup"
    message = ("Port has security group associated. Cannot disable port security or IP address until security "
               "group is removed.")


class NoSuchPort(NotFound):
    code, message = "PortNotFound", "Port id {port_id} could not be found."


# routers and floating IPs


class RouterNotFound(NotFound):
    code, message = "RouterNotFound", "Router {router_id} could not be found."


class RouterInUse(Conflict):
    code, message = "RouterInUse", "Router {router_id} still has ports"


class InterfaceNotFound(NotFound):
    code, message = "RouterInterfaceNotFound", "Router {router_id} does not have an interface with id {port_id}"


class InterfaceNotFoundForSubnet(NotFound):
    code = "RouterInterfaceNotFoundForSubnet"
    message = "Router {router_id} has no interface on subnet {subnet_id}"


class InterfaceUsedByFloatingIp(Conflict):
    code = "RouterInterfaceInUseByFloatingIP"
    message = ("Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, "
               "as it is required by one or more floating IPs.")


class NoServiceSubnet(Conflict):
    code = "IpAddressGenerationFailureNoMatchingSubnet"
    message = ("No valid service subnet for the given device owner, network {network_id}, "
               "service type {service_type}.")


class InterfaceUsedAsGateway(Conflict):
    code = "RouterInterfaceInUseAsGatewayByFloatingIP"
    message = ("Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, "
               "as it is required as a gateway by one or more floating IPs.")


class InterfaceUsedByRoute(Conflict):
    code = "RouterInterfaceInUseByRoute"
    message = ("Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, "
               "as it is required by one or more routes.")


class GatewayUsedByFloatingIp(Conflict):
    code = "RouterExternalGatewayInUseByFloatingIp"
    message = ("Gateway cannot be updated for router {router_id}, since a gateway to external network "
               "{network_id} is required by one or more floating IPs.")


class InvalidRoutes(BadRequest):
    code, message = "InvalidRoutes", "Invalid format for routes: {routes}, {reason}"


class BadRouterRequest(BadRequest):
    code, message = "BadRequest", "Bad router request: {reason}."


class BadFloatingIpRequest(BadRequest):
    code, message = "BadRequest", "Bad floatingip request: {reason}."


class FloatingIpNotFound(NotFound):
    code, message = "FloatingIPNotFound", "Floating IP {floatingip_id} could not be found"


class FloatingIpPortTaken(Conflict):
    code = "FloatingIPPortAlreadyAssociated"
    message = ("Cannot associate floating IP {ip} with port {port_id} using fixed IP {fixed_ip}, "
               "as that fixed IP already has a floating IP on external network {network_id}.")


class NotReachable(NotFound):
    code = "ExternalGatewayForFloatingIPNotFound"
    message = ("External network {network_id} is not reachable from subnet {subnet_id}. "
               "Therefore, cannot associate Port {port_id} with a Floating IP.")


# security groups


class GroupNotFound(NotFound):
    code, message = "SecurityGroupNotFound", "Security group {security_group_id} does not exist"


class GroupInUse(Conflict):
    code, message = "SecurityGroupInUse", "Security Group {security_group_id} in use."


class DefaultGroupExists(Conflict):
    code, message = "SecurityGroupDefaultAlreadyExists", "Default security group already exists."


class CannotRemoveDefault(Conflict):
    code = "SecurityGroupCannotRemoveDefault"
    message = "Insufficient rights for removing default security group."


class CannotUpdateDefault(Conflict):
    code = "SecurityGroupCannotUpdateDefault"
    message = "Updating default security group not allowed."


class RuleNotFound(NotFound):
    code, message = "SecurityGroupRuleNotFound", "Security group rule {security_group_rule_id} does not exist"


class RuleExists(Conflict):
    code, message = "SecurityGroupRuleExists", "Security group rule already exists. Rule id is {rule_id}."


class InvalidRule(BadRequest):
    code, message = "SecurityGroupInvalidRule", "{reason}"


class BadSubnetRequest(BadRequest):
    code, message = "BadRequest", "Bad subnets request: {reason}."


class PrefixTooShort(BadRequest):
    code = "MinPrefixSubnetAllocationError"
    message = "Unable to allocate subnet with prefix length {prefixlen}, minimum allowed prefix is {least}."


class PrefixTooLong(BadRequest):
    code = "MaxPrefixSubnetAllocationError"
    message = "Unable to allocate subnet with prefix length {prefixlen}, maximum allowed prefix is {most}."


class InvalidIcmp(BadRequest):
    code, message = "SecurityGroupInvalidIcmpValue", "Invalid value for ICMP {field} {value}. It must be 0 to 255."


class MissingIcmpType(BadRequest):
    code = "SecurityGroupMissingIcmpType"
    message = "ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing."


class ProtocolRequired(BadRequest):
    code = "SecurityGroupProtocolRequiredWithPorts"
    message = "Must also specify protocol if port range is given."


class InvalidPortRange(BadRequest):
    code = "SecurityGroupInvalidPortRange"
    message = "For TCP/UDP protocols, port_range_min must be <= port_range_max"


class InvalidPortValue(BadRequest):
    code, message = "SecurityGroupInvalidPortValue", "Invalid value for port {port}"


class SubnetMismatch(Conflict):
    code, message = "SubnetMismatchForPort", "Subnet on port {port_id} does not match the requested subnet {subnet_id}"


class ProjectNotFound(NotFound):
    code, message = "TenantQuotaNotFound", "Quota for tenant {project_id} could not be found."


class InvalidQuota(BadRequest):
    code = "HTTPBadRequest"
    message = "Quota limit {limit} for {resource} must be greater than or equal to already used {used}."


# address groups, port forwarding, metering, templates


class AddressGroupNotFound(NotFound):
    code, message = "AddressGroupNotFound", "Address group {address_group_id} could not be found."


class AddressGroupInUse(Conflict):
    code = "AddressGroupInUse"
    message = "Address group {address_group_id} is in use on one or more security group rules."


class AddressesKnown(BadRequest):
    code = "AddressesAlreadyExist"
    message = "Addresses {addresses} already exist in the address group {address_group_id}."


class AddressesUnknown(NotFound):
    code = "AddressesNotFound"
    message = "Addresses {addresses} not found in the address group {address_group_id}."


class PortForwardingNotFound(NotFound):
    code, message = "PortForwardingNotFound", "Port Forwarding {port_forwarding_id} could not be found."


class PortForwardingTaken(BadRequest):
    code = "BadRequest"
    message = ("Bad port_forwarding request: A duplicate port forwarding entry with same attributes already exists, "
               "conflicting values are those of {other}.")


class MtuConflict(Conflict):
    code = "NetworkMTUSubnetConflict"
    message = "MTU {mtu} of the network is too small for its IPv{version} subnets."


class MixedGroups(Conflict):
    code = "SecurityGroupConflict"
    message = ("Error Cannot apply both stateful and stateless security groups on the same port at the same time "
               "while attempting the operation.")


class ForeignProject(BadRequest):
    code = "HTTPBadRequest"
    message = "Specifying 'project_id' other than authenticated project in request requires admin privileges"


class FloatingIpInUse(Conflict):
    code = "FipInUseByPortForwarding"
    message = "Floating IP {floatingip_id} in use by other resources."


class MeteringLabelNotFound(NotFound):
    code, message = "MeteringLabelNotFound", "Metering label {metering_label_id} does not exist"


class MeteringRuleNotFound(NotFound):
    code, message = "MeteringLabelRuleNotFound", "Metering label rule {metering_label_rule_id} does not exist"


class MeteringRuleOverlaps(Conflict):
    code = "MeteringLabelRuleOverlaps"
    message = "Metering label rule with remote_ip_prefix '{prefix}' overlaps another."


class DefaultRuleNotFound(NotFound):
    code = "DefaultSecurityGroupRuleNotFound"
    message = "Default Security Group rule {default_security_group_rule_id} does not exist."


class DefaultRuleExists(Conflict):
    code = "DefaultSecurityGroupRuleExists"
    message = "Default Security group rule already exists. Rule id is {rule_id}."


class AutoAllocationFailed(Conflict):
    code = "AutoAllocationFailure"
    message = "Deployment error: {reason}."


class DhcpAlready(Conflict):
    code = "NetworkHostedByDHCPAgent"
    message = "The network {network_id} has been already hosted by the DHCP Agent {agent_id}."


class DhcpNot(Conflict):
    code = "NetworkNotHostedByDhcpAgent"
    message = "The network {network_id} is not hosted by the DHCP agent {agent_id}."
