"""Tell compute that the addresses of its servers' ports changed, so that servers show them."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.saga import Saga, Turn, saga, step
from pileus.kit.saga_engine import Engine
from pileus.network.model.ports import ports


@saga("network.tell_compute")
class TellCompute(Saga, kw_only=True):
    port_ids: list[str]

    @step
    async def tell(self, turn: Turn) -> None:
        """Ports of no server, and ports that are gone, are nobody's news."""
        c = ports.c
        async with turn.services.db.read() as reader:
            found = (await reader.execute(sa.select(c.id, c.device_id).where(
                c.id.in_(self.port_ids), c.device_owner.like("compute:%"), c.device_id != ""))).all()
        if found and turn.services.compute is not None:
            await turn.services.compute.external_events([
                {"name": "network-changed", "server_uuid": row.device_id, "tag": row.id} for row in found])


async def tell_compute(sagas: Engine, tx: Connection, *port_ids: str | None) -> None:
    """Once `tx` commits; None stands for no port."""
    told = sorted({port_id for port_id in port_ids if port_id})
    if told:
        await sagas.start(tx, TellCompute(port_ids=told), new_uuid())
