"""Security groups by way of compute, for clients of before 2.36; the network service owns them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import versions
from pileus.compute.api.servers import SERVER
from pileus.compute.model.servers import Seen
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, Conflict, Forbidden, NotFound
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx

routes = Routes()
PROXY = until(versions.NO_PROXIES)
READ = Rule("os_compute_api:os-security-groups:get", PROJECT_READER)
WRITE = Rule("os_compute_api:os-security-groups:create", PROJECT_MEMBER)
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class GroupBody(msgspec.Struct, kw_only=True):
    name: Text
    description: Annotated[str, msgspec.Meta(max_length=255)] = ""


class RuleBody(msgspec.Struct, kw_only=True):
    parent_group_id: str
    ip_protocol: str | None = None
    from_port: int | str | None = None
    to_port: int | str | None = None
    cidr: str | None = None
    group_id: str | None = None


class NoSuchGroup(NotFound):
    message = "{reason}"


async def _call(ctx: Ctx, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """The network service's answer to the caller; its refusals in our envelope."""
    try:
        return await ctx.app.network.as_caller(ctx.caller.token).call(method, path, body, query=query)
    except Refused as error:
        kinds = {400: BadRequest, 403: Forbidden, 404: NoSuchGroup, 409: Conflict}
        if error.status not in kinds:
            raise
        kind = Forbidden if error.status == 409 and "uota" in error.message else kinds[error.status]
        raise kind(reason=error.message) from error


def _view(group: dict[str, Any]) -> dict[str, Any]:
    names = {group["id"]: group["name"]}
    rules = [_rule_view(rule, names) for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
    return {"id": group["id"], "name": group["name"], "description": group["description"],
            "tenant_id": group["project_id"], "rules": rules}


def _rule_view(rule: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    low, high, protocol = rule["port_range_min"], rule["port_range_max"], rule["protocol"]
    if low is None and high is None and protocol in ("icmp", "icmpv6"):
        low = high = -1
    elif low is None and protocol in ("tcp", "udp"):
        low, high = 1, 65535
    group, cidr = rule["remote_group_id"], rule["remote_ip_prefix"]
    return {"id": rule["id"], "parent_group_id": rule["security_group_id"], "ip_protocol": protocol,
            "from_port": low, "to_port": high,
            "group": {"name": names.get(group, ""), "tenant_id": rule["project_id"]} if group else {},
            "ip_range": {} if group else {"cidr": cidr or ("0.0.0.0/0" if rule["ethertype"] == "IPv4" else "::/0")}}


@routes.get("/v2.1/os-security-groups", envelope="security_groups", window=PROXY, policy=READ)
async def list_groups(ctx: Ctx) -> Page[dict[str, Any]]:
    found = await _call(ctx, "GET", "/v2.0/security-groups", project_id=ctx.caller.project_id)
    return Page([_view(group) for group in found["security_groups"]])


@routes.get("/v2.1/os-security-groups/{group_id}", envelope="security_group", window=PROXY, policy=READ)
async def show_group(ctx: Ctx, group_id: str) -> dict[str, Any]:
    return _view((await _call(ctx, "GET", f"/v2.0/security-groups/{group_id}"))["security_group"])


@routes.post("/v2.1/os-security-groups", envelope="security_group", window=PROXY, policy=WRITE)
async def create_group(ctx: Ctx, body: GroupBody) -> dict[str, Any]:
    wanted = {"security_group": {"name": body.name, "description": body.description}}
    return _view((await _call(ctx, "POST", "/v2.0/security-groups", wanted))["security_group"])


@routes.put("/v2.1/os-security-groups/{group_id}", envelope="security_group", window=PROXY, policy=WRITE)
async def update_group(ctx: Ctx, group_id: str, body: GroupBody) -> dict[str, Any]:
    wanted = {"security_group": {"name": body.name, "description": body.description}}
    return _view((await _call(ctx, "PUT", f"/v2.0/security-groups/{group_id}", wanted))["security_group"])


@routes.delete("/v2.1/os-security-groups/{group_id}", status=202, window=PROXY, policy=WRITE)
async def delete_group(ctx: Ctx, group_id: str) -> None:
    await _call(ctx, "DELETE", f"/v2.0/security-groups/{group_id}")


@routes.post("/v2.1/os-security-group-rules", envelope="security_group_rule", window=PROXY, policy=WRITE)
async def create_rule(ctx: Ctx, body: RuleBody) -> dict[str, Any]:
    low, high = _port(body.from_port), _port(body.to_port)
    wanted: dict[str, Any] = {"security_group_id": body.parent_group_id, "direction": "ingress",
                              "ethertype": "IPv6" if body.cidr and ":" in body.cidr else "IPv4",
                              "protocol": body.ip_protocol.lower() if body.ip_protocol else None}
    if low is not None and low >= 0:
        wanted |= {"port_range_min": low, "port_range_max": high}
    if body.group_id is not None:
        wanted["remote_group_id"] = body.group_id
    elif body.cidr:
        wanted["remote_ip_prefix"] = body.cidr
    made = await _call(ctx, "POST", "/v2.0/security-group-rules", {"security_group_rule": wanted})
    names = {}
    if body.group_id is not None:
        other = await _call(ctx, "GET", f"/v2.0/security-groups/{body.group_id}")
        names = {body.group_id: other["security_group"]["name"]}
    return _rule_view(made["security_group_rule"], names)


def _port(value: int | str | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        raise BadRequest(reason=f"Invalid port number: {value}.") from None


@routes.delete("/v2.1/os-security-group-rules/{rule_id}", status=202, window=PROXY, policy=WRITE)
async def delete_rule(ctx: Ctx, rule_id: str) -> None:
    await _call(ctx, "DELETE", f"/v2.0/security-group-rules/{rule_id}")


@routes.get("/v2.1/servers/{server_id}/os-security-groups", envelope="security_groups", target=SERVER,
            policy=Rule("os_compute_api:os-security-groups:list", PROJECT_READER))
async def list_groups_of_server(ctx: Ctx, seen: Seen) -> Page[dict[str, Any]]:
    """The groups its ports are in."""
    details = (await ctx.app.network.port_details([seen.id]))[seen.id]
    ids = sorted({group_id for detail in details for group_id in detail.security_groups})
    if not ids:
        return Page([])
    found = await ctx.app.network.call("GET", "/v2.0/security-groups", query={"id": ids})
    return Page([_view(group) for group in found["security_groups"]])
