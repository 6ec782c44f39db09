"""What compute tells a client that asked for something it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pileus.kit.faults import BadRequest, Conflict, Fault, Forbidden, NotFound, TooLarge

if TYPE_CHECKING:
    from pileus.kit.web import Ctx


def envelope(ctx: Ctx, fault: Fault) -> tuple[bytes, str]:
    """{"itemNotFound": {"code": 404, "message": …}}, the shape of the Compute API."""
    return msgspec.json.encode({fault.code: {"code": fault.status, "message": str(fault)}}), "application/json"


class ServerNotFound(NotFound):
    message = "Instance {server_id} could not be found."


class FlavorNotFound(NotFound):
    message = "Flavor {flavor_id} could not be found."


class BadFlavor(BadRequest):
    """A bad reference in a body is the client's mistake, so 400 where the same id in a path is 404."""

    message = "Flavor {flavor_id} could not be found."


class FlavorExists(Conflict):
    message = "Flavor with {what} {value} already exists."


class ExtraSpecNotFound(NotFound):
    message = "Flavor {flavor_id} has no extra specs with key {key}."


class FlavorAccessExists(Conflict):
    message = "Flavor access already exists for flavor {flavor_id} and project {project_id} combination."


class FlavorAccessNotFound(NotFound):
    message = "Flavor access not found for {flavor_id} / {project_id} combination."


class BadImage(BadRequest):
    message = "Image {image_id} could not be found."


class ImageNotFound(NotFound):
    message = "Image {image_id} could not be found."


class ImageNotActive(BadRequest):
    message = "Image {image_id} is not active."


class FlavorTooSmall(BadRequest):
    message = "Flavor's {what} is too small for requested image. Flavor {what} is {has}, image needs {needs}."


class KeypairNotFound(NotFound):
    message = "Keypair {name} not found for user {user_id}"


class BadKeypair(BadRequest):
    message = "Invalid key_name provided."


class KeypairExists(Conflict):
    message = "Key pair '{name}' already exists."


class BadPublicKey(BadRequest):
    message = "Keypair data is invalid: {reason}"


class WrongState(Conflict):
    message = "Cannot '{action}' instance {server_id} while it is in {attribute} {state}"


class AggregateNotFound(NotFound):
    message = "Aggregate {aggregate_id} could not be found."


class AggregateExists(Conflict):
    message = "Aggregate {name} already exists."


class AggregateHasHosts(BadRequest):
    message = "Cannot remove aggregate {aggregate_id}: it is not empty."


class AggregateHostExists(Conflict):
    message = "Aggregate {aggregate_id} already has host {host}."


class AggregateHostNotFound(NotFound):
    message = "Aggregate {aggregate_id} has no host {host}."


class ZoneInUse(Conflict):
    message = "Cannot change the availability zone: {reason}"


class GroupNotFound(NotFound):
    message = "Instance group {group_id} could not be found."


class BadGroup(BadRequest):
    message = "Instance group {group_id} could not be found."


class ConsoleTypeInvalid(BadRequest):
    message = "Invalid console type {console_type}"


class ConsoleTypeUnavailable(BadRequest):
    message = "Unavailable console type {console_type}."


class TokenNotFound(NotFound):
    message = "The console token is not known, was used, or its time has run out."


class SameFlavor(BadRequest):
    message = "When resizing, instances must change flavor!"


class BadHost(BadRequest):
    message = "Compute host {host} could not be found."


class RescueImpossible(BadRequest):
    message = "Instance {server_id} cannot be rescued: {reason}"


class ServerLocked(Conflict):
    message = "Instance {server_id} is locked"


class QuotaExceeded(Forbidden):
    message = ("Quota exceeded for {resource}: Requested {wanted}, but already used {used} of {limit} {resource}")


class MetadataQuota(Forbidden):
    message = "Maximum number of metadata items exceeds {limit}"


class FilesQuota(Forbidden):
    message = "Personality file limit exceeded: at most {limit} files."


class FilePathQuota(Forbidden):
    message = "Personality file path exceeds maximum {limit}"


class FileContentQuota(Forbidden):
    message = "Personality file content exceeds maximum {limit}"


class MetadataNotFound(NotFound):
    message = "Metadata item was not found"


class TagNotFound(NotFound):
    message = "Server {server_id} has no tag '{tag}'"


class ServiceNotFound(NotFound):
    message = "Compute service {service_id} could not be found."


class HypervisorNotFound(NotFound):
    message = "Hypervisor {hypervisor_id} could not be found."


class ActionNotFound(NotFound):
    message = "Action for request_id {request_id} on instance {server_id} not found"


class InterfaceNotFound(NotFound):
    message = "Instance {server_id} has no interface on port {port_id}."


class NetworkAmbiguous(Conflict):
    message = "Multiple possible networks found, use a Network ID to be more specific."


class PolicyOfNetwork(BadRequest):
    message = ("Instance {server_id} cannot be given a new port on network {network_id}, whose policy promises "
               "bandwidth or packets: make a port there, and name that.")


class PromisedPorts(BadRequest):
    message = "The port's resource request (what its QoS policy promises it) is not supported until microversion 2.72."


class UnfitInterface(BadRequest):
    message = ("Failed to allocate additional resources to instance {server_id} on host {host}, which cannot guarantee "
               "{wanted}.")


class BadNetwork(BadRequest):
    message = "Network {network_id} could not be found."


class BadPort(BadRequest):
    message = "Port {port_id} could not be found."


class PortInUse(Conflict):
    message = "Port {port_id} is still in use."


class BadSecurityGroup(BadRequest):
    message = "Security group {name} not found."


class UserDataTooLarge(TooLarge):
    status, code = 400, "badRequest"
    message = "User data too large. User data must be no larger than {limit_bytes} bytes once base64 encoded."


class NoAccessList(NotFound):
    message = "Access list not available for public flavors."


class PublicFlavor(Conflict):
    message = "Can not add access to a public flavor."


class KeypairQuota(Forbidden):
    message = "Quota exceeded, too many key pairs."


class HostNotFound(NotFound):
    message = "Compute host {host} could not be found."


class NoSuchHypervisor(NotFound):
    message = "No hypervisor matching '{pattern}' could be found."


class NoUptime(Fault):
    status, code, message = 501, "notImplemented", "The host does not tell when it was started."


class HostUnavailable(BadRequest):
    message = "Compute service of {host} is unavailable at this time."


class BinaryNotFound(NotFound):
    message = "Could not find binary {binary} on host {host}."


class HostHasServers(Conflict):
    message = ("Unable to delete compute service that is hosting instances. "
               "Migrate or delete the instances first.")


class QuotaTooLow(BadRequest):
    message = ("Quota limit {limit} for {resource} must be greater than or equal to already used and reserved {used}.")


class QuotaKeptByIdentity(BadRequest):
    message = "The limit of {resource} is kept by the identity service, as {unified}: change it there."


class QuotaTooHigh(BadRequest):
    message = "Quota limit {limit} for {resource} must be less than or equal to {most}."
