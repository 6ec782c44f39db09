"""/v2.0/explain: why a connection does not come through, or what lets it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.addresses import canonical
from pileus.network.engine.records import Port as PortRecord
from pileus.network.engine.records import Records
from pileus.network.explain import Answer, Asked, explain
from pileus.network.model import hosts, ports
from pileus.network.model.base import rows
from pileus.network.model.ports import ACTIVE
from pileus.network.rendering import read_records

routes = Routes()
End = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Ends(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Each end is a port, a server (its first port), or an address."""

    source: End
    destination: End
    protocol: Literal["tcp", "udp", "sctp", "icmp"] = "icmp"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None


class Explanation(msgspec.Struct, kw_only=True):
    reaches: bool
    leaves: bool
    steps: list[str]
    stopped: str


@routes.get("/v2.0/explain", envelope="explanation", policy=Rule("explain_connection", ADMIN))
async def explain_connection(ctx: Ctx, query: Ends) -> Explanation:
    if query.protocol != "icmp" and query.port is None:
        raise faults.InvalidInput(reason=f"a port is needed for {query.protocol}")
    async with ctx.db.read() as reader:
        records = await read_records(reader, await hosts.every(reader))
        source, address = _port(records, query.source), _address(records, query.destination, query.source)
        answer = explain(records, Asked(port=source, destination=address, protocol=query.protocol, number=query.port))
        await _ask_status(reader, answer)
    return Explanation(reaches=answer.reaches, leaves=answer.leaves, steps=answer.steps, stopped=answer.stopped)


async def _ask_status(conn: Connection, answer: Answer) -> None:
    """All may be right in the records, and a host not have done its part yet."""
    c = ports.ports.c
    query = sa.select(c.id, c.status, c.host).where(c.id.in_(answer.ports), c.status != ACTIVE).order_by(c.id)
    for port_id, status, host in await rows(conn, query):
        if not answer.stopped:
            answer.stopped = f"the status of port {port_id} is {status}: host {host} has not made it so (yet)"
            answer.reaches = answer.leaves = False


def _of(records: Records, named: str) -> list[PortRecord]:
    own = [port for port in records.ports if named in (port.id, port.device_id)]
    ip = canonical(named)
    return own or [port for port in records.ports if ip and any(fixed.ip == ip for fixed in port.fixed_ips)]


def _port(records: Records, named: str) -> PortRecord:
    found = _of(records, named)
    if not found:
        raise faults.NoSuchPort(port_id=named)
    if len(found) > 1 and canonical(named):
        raise faults.InvalidInput(
            reason=f"several ports have address {named}, name one: {', '.join(port.id for port in found)}")
    return found[0]


def _address(records: Records, named: str, source: str) -> str:
    """Of the IP version that the source has, if it can be chosen."""
    if ip := canonical(named):
        return ip
    port = _port(records, named)
    mine = {":" in fixed.ip for fixed in _port(records, source).fixed_ips}
    fitting = [fixed.ip for fixed in port.fixed_ips if (":" in fixed.ip) in mine] or [f.ip for f in port.fixed_ips]
    if not fitting:
        raise faults.InvalidInput(reason=f"port {port.id} has no address")
    return fitting[0]
