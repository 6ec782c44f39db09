"""Load balancers that are only remembered, for clouds of fake hosts and for tests."""

from __future__ import annotations

from pileus.load_balancer.drivers.base import BalancerFailed, BalancerSpec, Counters, Sight


class FakeDriver:
    """Its knobs: members in `down` do not answer, `refuse` is why nothing can be had, `traffic` is what goes through
    each listener between two looks, `fell` are those that do not run, `blind` is raised by a look."""

    def __init__(self) -> None:
        self.known: dict[str, BalancerSpec] = {}
        self.down: set[str] = set()
        self.refuse = ""
        self.unable: str | None = None
        self.traffic: dict[str, Counters] = {}
        self.fell: list[str] = []
        self.mended: list[str] = []
        self.blind: OSError | None = None

    async def ensure(self, spec: BalancerSpec) -> None:
        if self.refuse:
            raise BalancerFailed(self.refuse)
        self.known[spec.id] = spec

    async def remove(self, balancer_id: str) -> None:
        self.known.pop(balancer_id, None)

    async def held(self) -> dict[str, str]:
        return {spec.id: spec.digest for spec in self.known.values()}

    async def fallen(self) -> list[str]:
        return list(self.fell)

    async def mend(self, balancer_id: str) -> None:
        self.fell.remove(balancer_id)
        self.mended.append(balancer_id)

    async def look(self) -> dict[str, Sight]:
        if self.blind is not None:
            raise self.blind
        return {spec.id: Sight(
            members={member.id: member.id not in self.down for pool in spec.pools if pool.monitor is not None
                     for member in pool.members},
            listeners={listener.id: self.traffic.get(listener.id, Counters()) for listener in spec.listeners})
            for spec in self.known.values()}
