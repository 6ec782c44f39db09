"""/v2.0/ports/{id}/bindings: the hosts that a server's port is bound to, of which one is active."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.policy import ADMIN_OR_SERVICE, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.network import binding, binding_faults, faults
from pileus.network.api.listing import Query
from pileus.network.api.port_shapes import PORT, VNIC_TYPES, Seen
from pileus.network.api.shapes import Text, app
from pileus.network.model import base, bindings, ports
from pileus.network.model.bindings import Binding
from pileus.network.model.ports import Port

routes = Routes()
EVERY = "/v2.0/ports/{port_id}/bindings"
ONE = EVERY + "/{host}"
ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"


class BindingUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    vnic_type: Text | UnsetType = UNSET
    profile: dict[str, Any] | UnsetType = UNSET


class BindingCreate(BindingUpdate, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class BindingView(msgspec.Struct, kw_only=True):
    host: str
    vif_type: str
    vif_details: dict[str, Any]
    vnic_type: str
    profile: dict[str, Any]
    status: str


def view(row: Binding, status: str) -> BindingView:
    return BindingView(host=row.host, vif_type=row.vif_type, vif_details=row.vif_details, vnic_type=row.vnic_type,
                       profile=row.profile, status=status)


def active(port: Port) -> Binding:
    return Binding(port_id=port.id, host=port.host, vnic_type=port.vnic_type, vif_type=port.vif_type,
                   vif_details=port.vif_details, profile=port.profile)


def _made(ctx: Ctx, seen: Seen, host: str, body: BindingUpdate, before: Binding) -> Binding:
    """The binding as the engine has it. Raises BindingFailed where the engine cannot."""
    vnic_type = before.vnic_type if body.vnic_type is UNSET else body.vnic_type
    if vnic_type not in VNIC_TYPES:
        raise faults.InvalidInput(reason=f"'{vnic_type}' is not in {list(VNIC_TYPES)}")
    values = binding.bound(app(ctx).judge, seen.port, seen.network, host)
    if values["vif_type"] == binding.FAILED:
        raise binding_faults.BindingFailed(port_id=seen.port.id, host=host)
    return Binding(port_id=seen.port.id, host=host, vnic_type=vnic_type, vif_type=values["vif_type"],
                   vif_details=values["vif_details"],
                   profile=before.profile if body.profile is UNSET else body.profile)


@routes.get(EVERY, envelope="bindings", target=PORT, policy=Rule("get_port_binding", ADMIN_OR_SERVICE))
async def list_bindings(ctx: Ctx, seen: Seen, query: Query) -> Page[BindingView]:
    async with ctx.db.read() as reader:
        found = [view(row, INACTIVE) for row in await bindings.of_port(reader, seen.port.id)]
    if seen.port.host:
        found.insert(0, view(active(seen.port), ACTIVE))
    wanted = {name: values for name, values in query.items() if name != "fields"}
    if unknown := [name for name in wanted if name not in ("host", "vif_type", "vnic_type", "status")]:
        raise faults.InvalidFilter(names=unknown)
    return Page([each for each in found if all(getattr(each, name) in values for name, values in wanted.items())])


@routes.get(ONE, envelope="binding", target=PORT, policy=Rule("get_port_binding", ADMIN_OR_SERVICE))
async def show_binding(ctx: Ctx, seen: Seen, host: str) -> BindingView:
    if host == seen.port.host:
        return view(active(seen.port), ACTIVE)
    async with ctx.db.read() as reader:
        return view(await bindings.get(reader, seen.port.id, host), INACTIVE)


@routes.post(EVERY, envelope="binding", status=201, target=PORT, policy=Rule("create_port_binding", ADMIN_OR_SERVICE))
async def create_binding(ctx: Ctx, seen: Seen, body: BindingCreate) -> BindingView:
    """The first one is active at once."""
    port = seen.port
    if not port.device_owner.startswith("compute:"):
        raise faults.InvalidInput(reason=f"port {port.id} is no server's, so it is on one host at a time")
    if body.host == port.host:
        raise binding_faults.BindingExists(port_id=port.id, host=body.host)
    row = _made(ctx, seen, body.host, body, Binding(port_id=port.id, host=body.host))
    async with ctx.db.write() as tx:
        if port.host:
            try:
                await db.add(tx, bindings.bindings, row)
            except db.Taken as error:
                raise binding_faults.BindingExists(port_id=port.id, host=body.host) from error
        else:
            await _activate(ctx, tx, port, row)
    return view(row, INACTIVE if port.host else ACTIVE)


@routes.put(ONE, envelope="binding", target=PORT, policy=Rule("update_port_binding", ADMIN_OR_SERVICE))
async def update_binding(ctx: Ctx, seen: Seen, host: str, body: BindingUpdate) -> BindingView:
    port = seen.port
    async with ctx.db.write() as tx:
        before = active(port) if host == port.host else await bindings.get(tx, port.id, host)
        row = _made(ctx, seen, host, body, before)
        if host == port.host:
            await base.change(tx, ports.ports, port, ctx.clock(), vnic_type=row.vnic_type, profile=row.profile)
            app(ctx).changed(tx)
        else:
            await bindings.put(tx, row)
    return view(row, ACTIVE if host == port.host else INACTIVE)


@routes.put(ONE + "/activate", envelope="binding", target=PORT, policy=Rule("activate", ADMIN_OR_SERVICE))
async def activate_binding(ctx: Ctx, seen: Seen, host: str) -> BindingView:
    """From now on the port is there; the host it was on keeps an inactive binding until that is deleted."""
    port = seen.port
    if host == port.host:
        raise binding_faults.BindingActive(port_id=port.id, host=host)
    async with ctx.db.write() as tx:
        row = await bindings.get(tx, port.id, host)
        await bindings.remove(tx, port.id, host)
        if port.host:
            await bindings.put(tx, active(port))
        await _activate(ctx, tx, port, row)
    return view(row, ACTIVE)


async def _activate(ctx: Ctx, tx: db.Connection, port: Port, row: Binding) -> None:
    await base.change(tx, ports.ports, port, ctx.clock(), host=row.host, vif_type=row.vif_type, status=ports.DOWN,
                      vif_details=row.vif_details, vnic_type=row.vnic_type, profile=row.profile)
    app(ctx).changed(tx)


@routes.delete(ONE, target=PORT, policy=Rule("delete_port_binding", ADMIN_OR_SERVICE))
async def delete_binding(ctx: Ctx, seen: Seen, host: str) -> None:
    """Without the active one, the port is on no host."""
    port = seen.port
    async with ctx.db.write() as tx:
        if host == port.host:
            values = binding.bound(app(ctx).judge, port, seen.network, "")
            await base.change(tx, ports.ports, port, ctx.clock(), **values)
            app(ctx).changed(tx)
        elif not await bindings.remove(tx, port.id, host):
            raise binding_faults.BindingNotFound(port_id=port.id, host=host)
