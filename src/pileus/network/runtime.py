"""One running copy of the network service: its settings, its engine, and the way to tell compute."""

from __future__ import annotations

from collections.abc import Mapping

from pileus.kit.bus import Bus
from pileus.kit.clock import Clock
from pileus.kit.db import Connection, Db
from pileus.kit.saga_engine import Engine as Sagas
from pileus.kit.service import Runtime
from pileus.network.config import NetworkConfig
from pileus.network.messages import CONDUCTOR
from pileus.network.parts import ComputeEvents, Judge
from pileus.network.service import SERVICE


class Network(Runtime):
    def __init__(self, *, db: Db, bus: Bus, judge: Judge, config: NetworkConfig | None = None,      # noqa: PLR0913
                 compute: ComputeEvents | None = None, clock: Clock | None = None, sagas: Sagas | None = None,
                 policy_overrides: Mapping[str, str] | None = None):
        super().__init__(SERVICE, db=db, bus=bus, clock=clock, engine=sagas, policy_overrides=policy_overrides)
        self.config, self.judge, self.compute = config or NetworkConfig(), judge, compute
        self.resend_after = 2.0                           # seconds a host has to confirm a slice
        self.sent: dict[str, tuple[int, float]] = {}      # per host: number of the last slice sent, and when

    async def listen(self) -> None:
        """Become a conductor: hear what hosts report. Reconcilers are run by whoever runs the process."""
        await self.bus.listen(CONDUCTOR, self.service.handlers, self)

    def changed(self, tx: Connection) -> None:
        """What hosts are told may be other after this transaction."""
        tx.on_commit(lambda: self.reconcilers.wake("slices"))
