"""What a client can be told went wrong with flavors of network services."""

from __future__ import annotations

from pileus.kit.faults import BadRequest, Conflict, NotFound


class FlavorNotFound(NotFound):
    code, message = "FlavorNotFound", "Flavor {flavor_id} could not be found."


class ProfileNotFound(NotFound):
    code, message = "ServiceProfileNotFound", "Service Profile {service_profile_id} could not be found."


class ProfileInUse(Conflict):
    code = "ServiceProfileInUse"
    message = "Service Profile {service_profile_id} is used by some service instance."


class ProfileEmpty(BadRequest):
    code, message = "ServiceProfileEmpty", "Empty service profiles are not allowed."


class ProfileDriverNotFound(NotFound):
    code, message = "ServiceProfileDriverNotFound", "Service Profile driver {driver} could not be found."


class ProfileBound(Conflict):
    code = "FlavorServiceProfileBindingExists"
    message = "Service Profile {service_profile_id} is already associated with flavor {flavor_id}."


class ProfileNotBound(NotFound):
    code = "FlavorServiceProfileBindingNotFound"
    message = "Service Profile {service_profile_id} is not associated with flavor {flavor_id}."


class InvalidServiceType(BadRequest):
    code, message = "InvalidServiceType", "Invalid service type: {service_type}."
