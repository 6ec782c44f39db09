"""What a client can be told went wrong with ranges of segments."""

from pileus.kit.faults import BadRequest, Conflict, NotFound


class RangeNotFound(NotFound):
    code, message = "NetworkSegmentRangeNotFound", "Network Segment Range {range_id} could not be found."


class RangeKindUnknown(BadRequest):
    code = "NetworkSegmentRangeNetTypeNotSupported"
    message = "Network type {kind} does not support network segment ranges."


class RangeInUse(Conflict):
    code = "NetworkSegmentRangeReferencedByProject"
    message = "Network Segment Range {range_id} is referenced by one or more tenant networks."


class RangeIsDefault(BadRequest):
    code = "NetworkSegmentRangeDefaultReadOnly"
    message = "Network Segment Range {range_id} is a default segment range which could not be updated or deleted."


class RangesOverlap(Conflict):
    code = "NetworkSegmentRangeOverlaps"
    message = "Network segment range overlaps with range(s) with id {range_id}"
