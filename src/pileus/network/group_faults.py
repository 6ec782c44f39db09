"""What a client can be told went wrong with what new security groups are."""

from pileus.kit.faults import Conflict, NotFound


class StatefulnessNotFound(NotFound):
    code = "SecurityGroupsDefaultStatefulnessNotFound"
    message = "Default statefulness {statefulness_id} of security groups could not be found."


class StatefulnessExists(Conflict):
    code = "SecurityGroupsDefaultStatefulnessAlreadyExists"
    message = "The default statefulness of security groups {whose} is set already."
