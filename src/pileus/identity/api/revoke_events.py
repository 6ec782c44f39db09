"""OS-REVOKE: which tokens were revoked, for services that decide about tokens themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from pileus.identity import policies
from pileus.identity.api.listing import links_of
from pileus.identity.contexts import iso
from pileus.identity.faults import InvalidBody
from pileus.identity.model import revocations
from pileus.identity.model.revocations import Revoked
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

# What a subject of ours is called in an event. Those of application credentials have no name there.
NAMES = {"user": "user_id", "project": "project_id", "domain": "domain_id", "token": "audit_id",
         "trust": "OS-TRUST:trust_id"}
routes = Routes()


class EventQuery(msgspec.Struct, kw_only=True):
    since: str | None = None


@routes.get("/v3/OS-REVOKE/events", policy=Rule("identity:list_revoke_events", policies.SERVICE))
async def list_revoke_events(ctx: Ctx, query: EventQuery) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = await revocations.revoked_since(reader, _seconds(query.since))
    return {"events": [event for row in found if (event := _view(row))], "links": links_of(ctx)}


def _view(row: Revoked) -> dict[str, Any] | None:
    kind, _, id = row.subject.partition(":")
    if kind not in NAMES:
        return None
    return {NAMES[kind]: id, "issued_before": iso(row.before), "revoked_at": iso(row.before)}


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidBody(reason=f"Invalid query: since is no time: {text!r}.") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
