"""Security groups by way of compute, for clients of before 2.36; the network service owns them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import versions
from pileus.compute.api.asking import NotThere, ask_network
from pileus.compute.api.servers import SERVER
from pileus.compute.model import servers
from pileus.compute.model.servers import Seen
from pileus.kit import numbers
from pileus.kit.faults import BadRequest, Conflict
from pileus.kit.ids import is_uuid
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import until
from pileus.kit.web import Ctx
from pileus.network.client import PortDetail

routes = Routes()
ACTION = "/v2.1/servers/{server_id}/action"
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


class GroupQuery(msgspec.Struct, kw_only=True):
    all_tenants: str | None = None


def _checked_id(group_id: str) -> str:
    if not is_uuid(group_id):
        raise BadRequest(reason="Security group id should be uuid")
    return group_id


async def _views(ctx: Ctx, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups with the names of those that their rules speak of."""
    names = {group["id"]: group["name"] for group in groups}
    asked = {rule["remote_group_id"] for group in groups for rule in group["security_group_rules"]} - {None, *names}
    if asked:
        found = await ask_network(ctx, "GET", "/v2.0/security-groups", id=sorted(asked))
        names |= {group["id"]: group["name"] for group in found["security_groups"]}
    return [_view(group, names) for group in groups]


def _view(group: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
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
async def list_groups(ctx: Ctx, query: GroupQuery) -> Page[dict[str, Any]]:
    everywhere = ctx.caller.is_admin and query.all_tenants is not None
    owner = {} if everywhere else {"project_id": ctx.caller.project_id}
    found = await ask_network(ctx, "GET", "/v2.0/security-groups", **owner)
    return Page(await _views(ctx, found["security_groups"]))


@routes.get("/v2.1/os-security-groups/{group_id}", envelope="security_group", window=PROXY, policy=READ)
async def show_group(ctx: Ctx, group_id: str) -> dict[str, Any]:
    found = await ask_network(ctx, "GET", f"/v2.0/security-groups/{_checked_id(group_id)}")
    return (await _views(ctx, [found["security_group"]]))[0]


@routes.post("/v2.1/os-security-groups", envelope="security_group", window=PROXY, policy=WRITE)
async def create_group(ctx: Ctx, body: GroupBody) -> dict[str, Any]:
    wanted = {"security_group": {"name": body.name, "description": body.description}}
    return _view((await ask_network(ctx, "POST", "/v2.0/security-groups", wanted))["security_group"], {})


@routes.put("/v2.1/os-security-groups/{group_id}", envelope="security_group", window=PROXY, policy=WRITE)
async def update_group(ctx: Ctx, group_id: str, body: GroupBody) -> dict[str, Any]:
    wanted = {"security_group": {"name": body.name, "description": body.description}}
    changed = await ask_network(ctx, "PUT", f"/v2.0/security-groups/{_checked_id(group_id)}", wanted)
    return (await _views(ctx, [changed["security_group"]]))[0]


@routes.delete("/v2.1/os-security-groups/{group_id}", status=202, window=PROXY, policy=WRITE)
async def delete_group(ctx: Ctx, group_id: str) -> None:
    await ask_network(ctx, "DELETE", f"/v2.0/security-groups/{_checked_id(group_id)}")


@routes.post("/v2.1/os-security-group-rules", envelope="security_group_rule", window=PROXY, policy=WRITE)
async def create_rule(ctx: Ctx, body: RuleBody) -> dict[str, Any]:
    low, high = _port(body.from_port), _port(body.to_port)
    wanted: dict[str, Any] = {"security_group_id": _checked_id(body.parent_group_id), "direction": "ingress",
                              "ethertype": "IPv6" if body.cidr and ":" in body.cidr else "IPv4",
                              "protocol": body.ip_protocol.lower() if body.ip_protocol else None}
    if low is not None and low >= 0:
        wanted |= {"port_range_min": low, "port_range_max": high}
    if body.group_id is not None:
        wanted["remote_group_id"] = _checked_id(body.group_id)
    elif body.cidr:
        wanted["remote_ip_prefix"] = body.cidr
    made = await ask_network(ctx, "POST", "/v2.0/security-group-rules", {"security_group_rule": wanted})
    names = {}
    if body.group_id is not None:
        other = await ask_network(ctx, "GET", f"/v2.0/security-groups/{body.group_id}")
        names = {body.group_id: other["security_group"]["name"]}
    return _rule_view(made["security_group_rule"], names)


def _port(value: int | str | None) -> int | None:
    number = numbers.whole(value)
    if number is None and value is not None:
        raise BadRequest(reason=f"Invalid port number: {value}.")
    return number


@routes.delete("/v2.1/os-security-group-rules/{rule_id}", status=202, window=PROXY, policy=WRITE)
async def delete_rule(ctx: Ctx, rule_id: str) -> None:
    await ask_network(ctx, "DELETE", f"/v2.0/security-group-rules/{rule_id}")


@routes.get("/v2.1/servers/{server_id}/os-security-groups", envelope="security_groups", target=SERVER,
            policy=Rule("os_compute_api:os-security-groups:list", PROJECT_READER))
async def list_groups_of_server(ctx: Ctx, seen: Seen) -> Page[dict[str, Any]]:
    """The groups its ports are in."""
    details = (await ctx.app.network.port_details([seen.id]))[seen.id]
    ids = sorted({group_id for detail in details for group_id in detail.security_groups})
    if not ids:
        return Page([])
    found = await ctx.app.network.call("GET", "/v2.0/security-groups", query={"id": ids})
    return Page(await _views(ctx, found["security_groups"]))


# -- groups of a server -------------------------------------------------------------------------


class GroupOfServer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text                                          # or its id


async def _group(ctx: Ctx, name_or_id: str) -> str:
    found = await ask_network(ctx, "GET", "/v2.0/security-groups", project_id=ctx.caller.project_id)
    groups = found["security_groups"]
    ids = [group["id"] for group in groups if group["id"] == name_or_id] or [
        group["id"] for group in groups if group["name"] == name_or_id]
    if not ids:
        raise NotThere(reason=f"Security group {name_or_id} not found for project {ctx.caller.project_id}.")
    if len(ids) > 1:
        raise Conflict(reason=f"Multiple security groups found matching '{name_or_id}'. Use an ID to be more specific.")
    return ids[0]


async def _write_down(ctx: Ctx, seen: Seen) -> None:
    """What the server's own view tells of its groups."""
    details = (await ctx.app.network.port_details([seen.id]))[seen.id]
    names = tuple(dict.fromkeys(name for detail in details for name in detail.security_group_names))
    async with ctx.db.write() as tx:
        server = await servers.get(tx, seen.id)
        if server.security_groups != names:
            await servers.change(tx, server, ctx.clock(), security_groups=names)


async def _ports(ctx: Ctx, seen: Seen) -> list[PortDetail]:
    seen.server.must_not_be_locked(ctx.caller)
    return (await ctx.app.network.port_details([seen.id]))[seen.id]


async def _put_in(ctx: Ctx, port: PortDetail, group_ids: list[str]) -> None:
    await ask_network(ctx, "PUT", f"/v2.0/ports/{port.id}", {"port": {"security_groups": group_ids}})


@routes.action(ACTION, "addSecurityGroup", target=SERVER,
               policy=Rule("os_compute_api:os-security-groups:add", PROJECT_MEMBER))
async def add_group_of_server(ctx: Ctx, seen: Seen, body: GroupOfServer) -> None:
    """Its ports join the group, as far as they have an address to filter."""
    ports, group_id = await _ports(ctx, seen), await _group(ctx, body.name)
    able = [port for port in ports if port.addresses]
    if not able:
        raise BadRequest(reason=f"Security group {body.name} cannot be applied to instance {seen.id}: it has no ports "
                                "with addresses.")
    for port in able:
        if group_id not in port.security_groups:
            await _put_in(ctx, port, [*port.security_groups, group_id])
    await _write_down(ctx, seen)


@routes.action(ACTION, "removeSecurityGroup", target=SERVER,
               policy=Rule("os_compute_api:os-security-groups:remove", PROJECT_MEMBER))
async def remove_group_of_server(ctx: Ctx, seen: Seen, body: GroupOfServer) -> None:
    ports, group_id = await _ports(ctx, seen), await _group(ctx, body.name)
    members = [port for port in ports if group_id in port.security_groups]
    if not members:
        raise NotThere(reason=f"Security group {body.name} not associated with the instance {seen.id}")
    for port in members:
        await _put_in(ctx, port, [each for each in port.security_groups if each != group_id])
    await _write_down(ctx, seen)
