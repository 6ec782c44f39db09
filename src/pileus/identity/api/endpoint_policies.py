"""OS-ENDPOINT-POLICY: which stored policy goes with an endpoint, a service, or a service in a region."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.credentials import POLICY, policy_view
from pileus.identity.api.listing import links_of
from pileus.identity.api.views import endpoint_view
from pileus.identity.faults import Missing
from pileus.identity.model import catalog, credentials, endpoint_filter
from pileus.identity.model.catalog import Endpoint, Region
from pileus.identity.model.credentials import StoredPolicy
from pileus.identity.model.endpoint_filter import Association, subject_of
from pileus.identity.model.tables import endpoints, policy_associations, regions
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes, Target
from pileus.kit.web import Ctx

ENDPOINT = Target(catalog.get_endpoint, missing=Missing, refuse=policies.nothing)
ROOT = "/v3/policies/{policy_id}/OS-ENDPOINT-POLICY"
routes = Routes()


class Associations:
    """The routes of one kind of subject."""

    def __init__(self, path: str, kind: str):
        one = f"{ROOT}/{path}"
        routes.put(one, status=204, policy=Rule(
            f"identity:create_policy_association_for_{kind}", policies.ADMIN))(self.associate)
        for declare in (routes.get, routes.head):
            declare(one, status=204, policy=Rule(
                f"identity:check_policy_association_for_{kind}", policies.READER))(self.check)
        routes.delete(one, policy=Rule(
            f"identity:delete_policy_association_for_{kind}", policies.ADMIN))(self.dissociate)

    async def associate(self, ctx: Ctx, policy_id: str, **ids: str) -> None:
        async with ctx.db.write() as tx:
            await _must_exist(tx, policy_id, ids)
            await endpoint_filter.associate(tx, Association(subject=subject_of(**ids), policy_id=policy_id, **ids))

    async def check(self, ctx: Ctx, policy_id: str, **ids: str) -> None:
        async with ctx.db.read() as reader:
            await _must_exist(reader, policy_id, ids)
            found = await endpoint_filter.association(reader, subject_of(**ids))
        if found is None or found.policy_id != policy_id:
            raise Missing(kind="policy association", id=policy_id)

    async def dissociate(self, ctx: Ctx, policy_id: str, **ids: str) -> None:
        async with ctx.db.write() as tx:
            await _must_exist(tx, policy_id, ids)
            if not await db.update(tx, policy_associations.delete().where(
                    policy_associations.c.subject == subject_of(**ids),
                    policy_associations.c.policy_id == policy_id)):
                raise Missing(kind="policy association", id=policy_id)


async def _must_exist(conn: Connection, policy_id: str, ids: dict[str, str]) -> None:
    await credentials.get_policy(conn, policy_id)
    for name, get in (("endpoint_id", catalog.get_endpoint), ("service_id", catalog.get_service),
                      ("region_id", catalog.get_region)):
        if name in ids:
            await get(conn, ids[name])


for _path, _kind in (("endpoints/{endpoint_id}", "endpoint"), ("services/{service_id}", "service"),
                     ("services/{service_id}/regions/{region_id}", "region_and_service")):
    Associations(_path, _kind)


async def _parents(conn: Connection) -> dict[str, str | None]:
    return {row.id: row.parent_region_id for row in await db.many(conn, sa.select(regions), Region)}


@routes.get(f"{ROOT}/endpoints", target=POLICY,
            policy=Rule("identity:list_endpoints_for_policy", policies.READER))
async def list_endpoints_of_policy(ctx: Ctx, policy: StoredPolicy) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = {row.subject: row.policy_id for row in await endpoint_filter.associations(reader)}
        every = await db.many(reader, sa.select(endpoints).order_by(endpoints.c.id), Endpoint)
        parents = await _parents(reader)
    rows = [each for each in every if endpoint_filter.deciding(found, each, parents) == policy.id]
    return {"endpoints": [endpoint_view(ctx, row) for row in rows], "links": links_of(ctx)}


@routes.head("/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", envelope="policy", target=ENDPOINT,
             policy=Rule("identity:get_policy_for_endpoint", policies.READER))
@routes.get("/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", envelope="policy", target=ENDPOINT,
            policy=Rule("identity:get_policy_for_endpoint", policies.READER))
async def show_policy_of_endpoint(ctx: Ctx, endpoint: Endpoint) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        found = {row.subject: row.policy_id for row in await endpoint_filter.associations(reader)}
        policy_id = endpoint_filter.deciding(found, endpoint, await _parents(reader))
        if policy_id is None:
            raise Missing(kind="policy of endpoint", id=endpoint.id)
        return policy_view(ctx, await credentials.get_policy(reader, policy_id))
