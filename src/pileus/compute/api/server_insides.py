"""What is asked of a guest that runs: a new password, a crash dump, diagnostics."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.compute import nics, versions
from pileus.compute.api.begin import begin, must_allow
from pileus.compute.api.server_actions import PATH
from pileus.compute.api.server_items import BASE
from pileus.compute.api.servers import SERVER, action_of
from pileus.compute.drivers.base import Diagnostics
from pileus.compute.messages import InterruptGuest, ReadDiagnostics
from pileus.compute.model import servers
from pileus.compute.model.servers import Seen
from pileus.compute.sagas.set_password import SetServerPassword
from pileus.kit.bus import Failed, Message, NobodyThere
from pileus.kit.faults import Conflict, Unavailable
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

routes = Routes()
STATES = {"running": "running", "paused": "paused", "off": "shutdown", "suspended": "suspended"}


class ChangePassword(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    password: str = msgspec.field(name="adminPass")


@routes.action(PATH, "changePassword", target=SERVER,
               policy=Rule("os_compute_api:os-admin-password", PROJECT_MEMBER))
async def change_password(ctx: Ctx, seen: Seen, body: ChangePassword) -> None:
    """Of the user that the image names as its administrator, or root."""
    properties = seen.server.image.properties if seen.server.image else {}
    user = properties.get("os_admin_user") or "root"
    await begin(ctx, seen, "changePassword", SetServerPassword(
        server_id=seen.id, user=user, password=body.password))


async def ask_host(ctx: Ctx, seen: Seen, message: Message) -> Any:
    """The answer of the server's host. Raises Conflict for its refusal, Unavailable if it does not answer."""
    if not seen.server.host:
        raise Conflict(reason=f"Instance {seen.id} is not ready")
    try:
        return await ctx.app.bus.call(message, host=seen.server.host)
    except Failed as error:
        raise Conflict(reason=str(error)) from error
    except NobodyThere as error:
        raise Unavailable(reason=f"The host of instance {seen.id} does not answer; try again later.") from error


@routes.action(PATH, "trigger_crash_dump", target=SERVER, window=since(versions.CRASH_DUMP),
               policy=Rule("os_compute_api:servers:trigger_crash_dump", PROJECT_MEMBER))
async def trigger_crash_dump(ctx: Ctx, seen: Seen, body: Any) -> None:
    seen.server.must_not_be_locked(ctx.caller)
    must_allow(seen, "trigger_crash_dump")
    async with ctx.db.write() as tx:
        await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, "trigger_crash_dump"))
    await ask_host(ctx, seen, InterruptGuest(guest_id=seen.id))


async def _refresh(ctx: Ctx, seen: Seen, action: str) -> None:
    """Guests read their network from the metadata service; what is remembered here of their cards is asked anew."""
    async with ctx.db.write() as tx:
        await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, action))
    await nics.refresh(ctx.app, [seen.id])


@routes.action(PATH, "injectNetworkInfo", target=SERVER,
               policy=Rule("os_compute_api:os-admin-actions:inject_network_info", ADMIN))
async def inject_network_info(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _refresh(ctx, seen, "injectNetworkInfo")


@routes.action(PATH, "resetNetwork", target=SERVER,
               policy=Rule("os_compute_api:os-admin-actions:reset_network", ADMIN))
async def reset_network(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _refresh(ctx, seen, "resetNetwork")


@routes.get(f"{BASE}/diagnostics", target=SERVER, policy=Rule("os_compute_api:os-server-diagnostics", ADMIN))
async def show_diagnostics(ctx: Ctx, seen: Seen) -> dict[str, Any]:
    found: Diagnostics = await ask_host(ctx, seen, ReadDiagnostics(guest_id=seen.id))
    return _plain(seen, found) if ctx.version >= versions.PLAIN_DIAGNOSTICS else _as_libvirt_says(found)


def _plain(seen: Seen, found: Diagnostics) -> dict[str, Any]:
    nic_fields = ("mac_address", "rx_octets", "rx_errors", "rx_drop", "rx_packets", "rx_rate", "tx_octets",
                  "tx_errors", "tx_drop", "tx_packets", "tx_rate")
    nics = [dict.fromkeys(nic_fields) | {
        "mac_address": nic.mac, "rx_octets": nic.rx_octets, "rx_packets": nic.rx_packets,
        "tx_octets": nic.tx_octets, "tx_packets": nic.tx_packets} for nic in found.nics]
    disks = [{"read_bytes": disk.read_bytes, "read_requests": disk.read_requests, "write_bytes": disk.write_bytes,
              "write_requests": disk.write_requests, "errors_count": disk.errors} for disk in found.disks]
    cpus = [{"id": number, "time": int(seconds * 1e9), "utilisation": None}
            for number, seconds in enumerate(found.cpu_seconds)]
    return {"state": STATES[found.power], "driver": "libvirt", "hypervisor": "qemu", "hypervisor_os": "linux",
            "uptime": found.uptime, "config_drive": seen.server.config_drive, "num_cpus": len(cpus),
            "num_nics": len(nics), "num_disks": len(disks), "cpu_details": cpus, "nic_details": nics,
            "disk_details": disks, "memory_details": {"maximum": found.memory_mb, "used": found.memory_used_mb}}


def _as_libvirt_says(found: Diagnostics) -> dict[str, Any]:
    told: dict[str, Any] = {f"cpu{n}_time": int(seconds * 1e9) for n, seconds in enumerate(found.cpu_seconds)}
    for number, disk in enumerate(found.disks):
        told |= {f"vd{chr(97 + number)}_{name}": value for name, value in (
            ("read", disk.read_bytes), ("read_req", disk.read_requests), ("write", disk.write_bytes),
            ("write_req", disk.write_requests), ("errors", disk.errors))}
    for number, nic in enumerate(found.nics):
        told |= {f"vnet{number}_{name}": value for name, value in (
            ("rx", nic.rx_octets), ("rx_packets", nic.rx_packets), ("tx", nic.tx_octets),
            ("tx_packets", nic.tx_packets)) if value is not None}
    return told | {"memory": found.memory_mb * 1024}
