"""[load_balancer]"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pileus.kit.config import doc
from pileus.kit.numbers import INT_MAX

Count = Annotated[int, msgspec.Meta(ge=-1, le=INT_MAX)]


class Quotas(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a project may have of each unless a quota of its own says otherwise; -1 is without limit."""

    load_balancer: Count = -1
    listener: Count = -1
    member: Count = -1
    pool: Count = -1
    health_monitor: Count = -1
    l7policy: Count = -1
    l7rule: Count = -1


class LoadBalancerConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    driver: Annotated[Literal["haproxy", "fake"], doc("What makes load balancers real on the hosts.")] = "haproxy"
    report_seconds: Annotated[float, msgspec.Meta(gt=0), doc(
        "Between two looks of a host at how its load balancers and their members do.")] = 2.0
    host_dead_after: Annotated[float, msgspec.Meta(gt=0), doc(
        "Seconds without a word after which a host counts as dead and its load balancers move.")] = 60.0
    drain_seconds: Annotated[int, msgspec.Meta(ge=1, le=86400), doc(
        "How long connections from before a change may last on after it.")] = 600
    quotas: Annotated[Quotas, doc("Default quotas.")] = Quotas()
