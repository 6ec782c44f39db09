"""What a client can be told went wrong with local IPs."""

from pileus.kit.faults import BadRequest, Conflict, NotFound


class LocalIpNotFound(NotFound):
    code, message = "LocalIPNotFound", "Local IP {local_ip_id} could not be found."


class LocalIpInUse(Conflict):
    code = "LocalIPInUse"
    message = "Local IP {local_ip_id} is still associated with one or more ports."


class AssociationNotFound(NotFound):
    code = "LocalIPAssociationNotFound"
    message = "Local IP {local_ip_id} association with port {port_id} could not be found."


class AssociationExists(Conflict):
    code = "Conflict"                # upstream knows no name for it
    message = "Local IP {local_ip_id} is associated with port {port_id} already."


class NeitherPortNorNetwork(BadRequest):
    code, message = "LocalIPPortOrNetworkRequired", "Either a local port or a network must be said."


class AddressNotOfPort(BadRequest):
    code, message = "LocalIPRequestedIPNotFound", "Port {port_id} does not have the IPv4 address {ip}."


class NoAddress(BadRequest):
    code, message = "LocalIPNoIP", "Port {port_id} has no IPv4 address."


class AddressNotSaid(BadRequest):
    code = "LocalIPNoRequestedIP"
    message = "Port {port_id} has {count} IPv4 addresses: the one that is meant must be said."


class OtherNetwork(BadRequest):
    code = "InvalidInput"
    message = "Port {port_id} is not on the network of local IP {local_ip_id}."
