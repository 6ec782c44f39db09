"""One running copy of the network service: its settings, its engine, and the way to tell compute."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kit.bus import Bus
from pileus.kit.clock import Clock
from pileus.kit.db import Connection, Db
from pileus.kit.saga_engine import Engine as Sagas
from pileus.kit.service import Runtime
from pileus.network.config import NetworkConfig
from pileus.network.engine.records import Slice
from pileus.network.guarantees import Guarantees
from pileus.network.messages import CONDUCTOR
from pileus.network.parts import ComputeEvents, Judge
from pileus.network.rendering import Known
from pileus.network.service import SERVICE
from pileus.placement.client import PlacementClient

FRESH = 5.0                  # seconds; less than between two turns of the reconciler


class Rendered:
    """The slices as they were rendered last, of which change, when, in how many seconds, and for which hosts."""

    def __init__(self) -> None:
        self.known = Known()
        self.change, self.at, self.took = -1, 0.0, 0.0
        self.hosts: tuple[tuple[str, str], ...] = ()
        self.slices: dict[str, tuple[Slice, str]] = {}

    def fits(self, change: int, hosts: tuple[tuple[str, str], ...], now: float) -> bool:
        """Other processes' changes are not known here, so it is good for a while only."""
        return change == self.change and hosts == self.hosts and now - self.at < FRESH


class Network(Runtime):
    def __init__(self, *, db: Db, bus: Bus, judge: Judge, config: NetworkConfig | None = None,      # noqa: PLR0913
                 compute: ComputeEvents | None = None, placement: PlacementClient | None = None,
                 clock: Clock | None = None, sagas: Sagas | None = None,
                 policy_overrides: Mapping[str, str] | None = None):
        super().__init__(SERVICE, db=db, bus=bus, clock=clock, engine=sagas, policy_overrides=policy_overrides)
        self.config, self.judge, self.compute = config or NetworkConfig(), judge, compute
        self.placement = placement
        self.has: dict[str, Guarantees] = {}              # what each host said that it can guarantee
        self.published: dict[str, Guarantees] = {}        # what placement was told of it
        self.resend_after = 2.0                           # seconds a host has to confirm a slice
        self.changes = 0                                  # of what hosts are told, as far as this process knows
        self.rendered = Rendered()
        self.sent: dict[str, tuple[int, float]] = {}      # per host: number of the last slice sent, and when

    async def listen(self) -> None:
        """Become a conductor: hear what hosts report. Reconcilers are run by whoever runs the process."""
        await self.bus.listen(CONDUCTOR, self.service.handlers, self)

    def changed(self, tx: Connection) -> None:
        """What hosts are told may be other after this transaction."""
        tx.on_commit(self._note_change)

    def _note_change(self) -> None:
        self.changes += 1
        self.reconcilers.wake("slices")
