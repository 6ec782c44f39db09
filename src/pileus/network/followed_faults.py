"""What a client can be told went wrong with conntrack helpers of routers."""

from pileus.kit.faults import BadRequest, NotFound


class FollowedNotFound(NotFound):
    code, message = "ConntrackHelperNotFound", "Conntrack Helper {helper_id} could not be found."


class FollowedUnknown(BadRequest):
    code, message = "ConntrackHelperNotAllowed", "Conntrack helper {helper} is not one of {known}."


class ProtocolNotFollowed(BadRequest):
    code = "InvalidProtocolForHelper"
    message = ("Specified protocol {protocol} is not supported by conntrack helper {helper}. Supported protocols are: "
               "{supported}")


class FollowedExists(BadRequest):
    code = "BadRequest"
    message = "Router {router_id} has a conntrack helper for {protocol} port {port} already."
