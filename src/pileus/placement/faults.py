"""What placement tells a client that asked for something it cannot have."""

from __future__ import annotations

from pileus.kit import faults

UNDEFINED = "placement.undefined_code"


class BadRequest(faults.BadRequest):
    code = UNDEFINED


class BadQuery(BadRequest):
    code = "placement.query.bad_value"


class MissingValue(BadRequest):
    code, message = "placement.query.missing_value", "'{name}' is a required property"


class DuplicateKey(BadRequest):
    code = "placement.query.duplicate_key"
    message = "Query parameter '{name}' may be given only once."


class NotFound(faults.NotFound):
    code = UNDEFINED


class ProviderNotFound(NotFound):
    code = "placement.resource_provider.not_found"
    message = "No resource provider with uuid {provider_id} found"


class ClassNotFound(NotFound):
    message = "No such resource class: {name}"


class TraitNotFound(NotFound):
    message = "No such trait: {name}"


class InventoryNotFound(NotFound):
    message = "No inventory of class {resource_class} found for resource provider {provider_id}"


class NoAllocations(NotFound):
    message = "No allocations for consumer '{consumer_id}'"


class Conflict(faults.Conflict):
    code = UNDEFINED


class ConcurrentUpdate(Conflict):
    code = "placement.concurrent_update"


class DuplicateName(Conflict):
    code = "placement.duplicate_name"
    message = "Conflicting {kind}: {value} already exists."


class InventoryInUse(Conflict):
    code = "placement.inventory.inuse"
    message = ("Inventory for '{resource_class}' on resource provider '{provider_id}' in use.")


class ProviderInUse(Conflict):
    code = "placement.resource_provider.inuse"
    message = "Unable to delete resource provider {provider_id}: Resource provider has allocations."


class ProviderHasChildren(Conflict):
    code = "placement.resource_provider.cannot_delete_parent"
    message = ("Unable to delete parent resource provider {provider_id}: It has child resource providers.")


class NameInUse(Conflict):
    message = "{kind} {name} is in use."


def provider_changed(provider_id: str) -> ConcurrentUpdate:
    return ConcurrentUpdate(reason=f"resource provider generation conflict: {provider_id} was changed by another"
                                   " thread; read its generation again")
