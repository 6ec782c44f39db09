"""os-instance_usage_audit_log: which hosts have reported the usage of a period. Usage is counted from rows here, when
somebody asks for it, so no host ever ran such an audit: what is told is that of each."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec

from pileus.compute.model import hosts
from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
ALL = "/v2.1/os-instance_usage_audit_log"


class AuditLog(msgspec.Struct, kw_only=True):
    period_beginning: str
    period_ending: str
    num_hosts: int
    hosts_not_run: list[str]
    num_hosts_not_run: int
    overall_status: str
    log: dict[str, Any] = {}
    num_hosts_done: int = 0
    num_hosts_running: int = 0
    total_errors: int = 0
    total_instances: int = 0


async def _log(ctx: Ctx, before: float) -> AuditLog:
    """Of the last whole month before a time."""
    async with ctx.db.read() as reader:
        names = [host.name for host in await hosts.every(reader)]
    now = time.gmtime(before)
    begin = (now.tm_year, now.tm_mon - 1) if now.tm_mon > 1 else (now.tm_year - 1, 12)
    return AuditLog(
        period_beginning=f"{begin[0]:04}-{begin[1]:02}-01 00:00:00",
        period_ending=f"{now.tm_year:04}-{now.tm_mon:02}-01 00:00:00", num_hosts=len(names), hosts_not_run=names,
        num_hosts_not_run=len(names), overall_status=f"0 of {len(names)} hosts done. 0 errors.")


@routes.get(ALL, envelope="instance_usage_audit_logs",
            policy=Rule("os_compute_api:os-instance-usage-audit-log:list", ADMIN))
async def list_audits(ctx: Ctx) -> AuditLog:
    return await _log(ctx, ctx.clock())


@routes.get(ALL + "/{before}", envelope="instance_usage_audit_log",
            policy=Rule("os_compute_api:os-instance-usage-audit-log:show", ADMIN))
async def show_audits(ctx: Ctx, before: str) -> AuditLog:
    try:
        asked = datetime.fromisoformat(before + "+00:00").timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadRequest(reason=f"Invalid timestamp for date {before}") from None
    if not 0 <= asked < 253_402_300_800:                     # within the years that four digits write
        raise BadRequest(reason=f"Invalid timestamp for date {before}")
    return await _log(ctx, asked)
