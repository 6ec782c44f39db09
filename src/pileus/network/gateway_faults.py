"""What a client can be told went wrong with several gateways of a router."""

from pileus.kit.faults import BadRequest, Conflict


class TooManyGateways(Conflict):
    code = "UnableToAddExtraGateways"
    message = "Unable to add gateways to router {router_id}: it may have {most} at most."


class GatewaysNotRemovable(BadRequest):
    code, message = "UnableToRemoveGateways", "Unable to remove gateways from router {router_id}: {reason}."


class GatewaysNotMatched(BadRequest):
    code = "UnableToMatchGateways"
    message = ("No single gateway of router {router_id} on network {network_id} is the one that is named. Where there "
               "are several, external_fixed_ips tell which is meant.")
