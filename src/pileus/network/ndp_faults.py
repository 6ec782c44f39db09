"""What a client can be told went wrong with NDP proxies."""

from pileus.kit.faults import BadRequest, Conflict, NotFound


class NdpProxyNotFound(NotFound):
    code, message = "NDPProxyNotFound", "Ndp proxy {ndp_proxy_id} could not be found."


class NdpProxyExists(Conflict):
    code, message = "NDPProxyAlreadyExists", "Router {router_id} has an ndp proxy of {ip} already."


class GatewayNotValid(Conflict):
    code, message = "RouterGatewayNotValid", "Can not enable ndp proxy on router {router_id}, {reason}."


class GatewayInUse(Conflict):
    code = "RouterGatewayInUseByNDPProxy"
    message = ("Unable to unset external gateway of router {router_id}, There are one or more ndp proxies still in use "
               "on the router.")


class InterfaceInUse(Conflict):
    code = "RouterInterfaceInUseByNDPProxy"
    message = ("Unable to remove subnet {subnet_id} from router {router_id}, There are one or more ndp proxies still "
               "in use on the subnet.")


class ScopesDiffer(Conflict):
    code = "AddressScopeConflict"
    message = ("The IPv6 address scope {outer} of external network conflict with internal network's IPv6 address scope "
               "{inner}.")


class NotEnabled(Conflict):
    code = "RouterNDPProxyNotEnable"
    message = ("The enable_ndp_proxy parameter of router {router_id} must be set as True while create ndp proxy entry "
               "on it.")


class PortUnreachable(Conflict):
    code, message = "PortUnreachableRouter", "The port {port_id} cannot reach the router {router_id} by IPv6 subnet."


class AddressNotOfPort(BadRequest):
    code, message = "InvalidAddress", "The address {ip} is invalid, reason: port {port_id} does not have it."
