"""What a client can be told went wrong with policies: of sharing, and of quality of service."""

from __future__ import annotations

from pileus.kit.faults import BadRequest, Conflict, Fault, Forbidden, NotFound

# sharing


class RbacPolicyNotFound(NotFound):
    code, message = "RbacPolicyNotFound", "RBAC policy {rbac_policy_id} could not be found"


class RbacPolicyExists(Conflict):
    code, message = "DuplicateRbacPolicy", "An RBAC policy already exists with those values."


class RbacPolicyInUse(Conflict):
    code = "RbacPolicyInUse"
    message = "RBAC policy on object {object_id} cannot be removed because other objects depend on it."


class RbacObjectNotFound(NotFound):
    code, message = "RbacObjectNotFound", "The {object_type} {object_id} could not be found."


class InvalidRbacAction(BadRequest):
    code, message = "InvalidInput", "Invalid action '{action}' for object type '{object_type}'."


class RbacForeignObject(BadRequest):
    code = "InvalidInput"
    message = "Invalid input for operation: Only admins can manipulate policies on objects they do not own."


class RbacScopeUnseen(BadRequest):
    code = "InvalidInput"
    message = ("Invalid input for operation: project {target} may not use address scope {address_scope_id}, "
               "which the subnet pool is in.")


# quality of service


class QosPolicyNotFound(NotFound):
    code, message = "QosPolicyNotFound", "QoS policy {policy_id} could not be found."


class QosPolicyInUse(Conflict):
    code, message = "QosPolicyInUse", "QoS Policy {policy_id} is used by a network, a port or a floating IP."


class QosPolicyKept(Forbidden):
    code = "PolicyRemoveAuthorizationError"
    message = "Failed to remove provided policy {policy_id} because you are not authorized."


class QosRuleNotFound(NotFound):
    code, message = "QosRuleNotFound", "QoS rule {rule_id} for policy {policy_id} could not be found."


class QosRuleUnknown(NotFound):
    code, message = "QosRuleNotFound", "QoS rule {rule_id} could not be found."


class QosRuleTypeNotFound(NotFound):
    code, message = "QosRuleNotFound", "QoS rule type {kind} could not be found."


class QosRuleTooMuch(Conflict):
    code = "QoSRuleParameterConflict"
    message = ("Unable to add the {kind} rule with value {value} to the policy {policy_id}, as its {other} rule "
               "restricts it to {most}.")


class QosRuleConflict(Conflict):
    code = "QoSRulesConflict"
    message = "Policy {policy_id} has a {kind} rule of this direction already."


class QosDefaultExists(Conflict):
    code = "QoSPolicyDefaultAlreadyExists"
    message = "A default QoS policy exists for project {project_id}: {policy_id}."


class QosPromiseRefused(Conflict):
    code = "QosPlacementAllocationUpdateConflict"
    message = "What the new policy promises to the ports of {consumer_id} is not free on its host: {reason}"


class QosPromiseKept(Fault):
    status, code = 501, "HTTPNotImplemented"
    message = ("Minima of policy {policy_id} cannot be changed while servers use ports that were given them: "
               "give these ports another policy.")
