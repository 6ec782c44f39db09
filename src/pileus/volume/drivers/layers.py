"""What a qemu-storage-daemon is told of what lies over a volume's disk, and of how that is served. Pure."""

from __future__ import annotations

from typing import Any

from pileus.volume.drivers.base import ExportOptions

# Names of a throttle group's limits, by the words of volume types.
_BASES = {"total_iops_sec": "iops-total", "read_iops_sec": "iops-read", "write_iops_sec": "iops-write",
          "total_bytes_sec": "bps-total", "read_bytes_sec": "bps-read", "write_bytes_sec": "bps-write"}
LIMITS = {f"{name}{end}": f"{own}{end.replace('_', '-')}" for name, own in _BASES.items()
          for end in ("", "_max", "_max_length")} | {"size_iops_sec": "iops-size"}
Command = tuple[str, dict[str, Any]]


def bare(options: ExportOptions) -> list[Command]:
    """The layers over the disk go; it is served to nobody by then."""
    return [("blockdev-del", {"node-name": layer["node-name"]}) for layer in reversed(layers(options))]


def let_in(options: ExportOptions, export_name: str, disk: str = "disk") -> list[Command]:
    return [*(("blockdev-add", layer) for layer in layers(options, disk)),
            ("block-export-add", nbd_export(export_name, options))]


def layers(options: ExportOptions, disk: str = "disk") -> list[dict[str, Any]]:
    """What lies over the disk, the lowest first."""
    found: list[dict[str, Any]] = []
    if options.encrypted:
        at = options.header_at
        found.append({"driver": "luks", "node-name": "plain", "key-secret": "key", "read-only": options.read_only,
                      "file": {"driver": "raw", "offset": at, "file": disk} if at else disk})
    if any(options.limits.get(name) for name in LIMITS):
        found.append({"driver": "throttle", "node-name": "limited", "throttle-group": "limits",
                      "file": found[-1]["node-name"] if found else disk, "read-only": options.read_only})
    return found


def nbd_export(name: str, options: ExportOptions) -> dict[str, Any]:
    node = [{"node-name": "disk"}, *layers(options)][-1]["node-name"]
    return {"type": "nbd", "id": "volume", "node-name": node, "name": name, "writable": not options.read_only}
