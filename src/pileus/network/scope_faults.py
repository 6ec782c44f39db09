"""What a client can be told went wrong with address scopes."""

from __future__ import annotations

from pileus.kit.faults import BadRequest, Conflict, NotFound


class AddressScopeNotFound(NotFound):
    code, message = "AddressScopeNotFound", "Address scope {address_scope_id} could not be found"


class AddressScopeInUse(Conflict):
    code = "AddressScopeInUse"
    message = ("Unable to complete operation on address scope {address_scope_id}. "
               "There are one or more subnet pools in use on the address scope")


class AddressScopeUpdate(BadRequest):
    code, message = "AddressScopeUpdateError", "Unable to update address scope {address_scope_id} : {reason}"


class PrefixConflict(Conflict):
    code = "AddressScopePrefixConflict"
    message = "Failed to associate address scope: subnetpools within an address scope must have unique prefixes."


class ScopeVersion(BadRequest):
    code = "IllegalSubnetPoolIpVersionAssociationToAddressScope"
    message = ("Illegal subnetpool association: subnetpool {subnetpool_id} cannot associate with address scope "
               "{address_scope_id} because subnetpool ip_version is not {ip_version}.")


class PoolInForeignScope(BadRequest):
    code = "IllegalSubnetPoolUpdate"
    message = ("Illegal subnetpool update : subnetpool {subnetpool_id} cannot be updated when associated with shared "
               "address scope {address_scope_id}.")


class ScopeAffinity(BadRequest):
    code = "NetworkAddressScopeAffinityError"
    message = "Subnets of the same address family hosted on the same network must all be in the same address scope."


class PoolAffinity(BadRequest):
    code = "NetworkSubnetPoolAffinityError"
    message = "Subnets hosted on the same network must be allocated from the same subnet pool."


class PrefixInUse(BadRequest):
    code = "IllegalSubnetPoolPrefixUpdate"
    message = "Illegal update to prefixes: one or more of the prefixes to be removed is in use by a subnet."


class SubnetInPool(Conflict):
    code = "IllegalSubnetPoolUpdate"
    message = "Subnet {subnet_id} is of subnet pool {subnetpool_id} already."
