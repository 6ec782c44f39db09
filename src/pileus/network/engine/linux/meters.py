"""Metering labels as counters in a router's namespace: one per label, of bytes and packets through its gateway."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, NamedTuple

from pileus.network.engine.linux import names
from pileus.network.engine.linux.nft import Nft, settle_table
from pileus.network.engine.records import Meter, MeterRule, RouterSlice

TABLE = names.TABLE + "_meters"
MOST, FILES = 10 << 20, 4    # bytes of a file, and files besides the newest


def compile_meters(meters: tuple[Meter, ...]) -> tuple[str, str]:
    """The nftables transaction and its generation. A label's rules are asked in order; an excluded one ends them."""
    body = f"table inet {TABLE} {{\n"
    body += "".join(f"  counter {_name(meter)} {{ }}\n" for meter in meters)
    body += "".join(f"  chain of_{_name(meter)} {{\n{_rules(meter)}  }}\n" for meter in meters)
    jumps = "".join(f"    jump of_{_name(meter)}\n" for meter in meters)
    body += f"  chain routed {{\n    type filter hook forward priority filter; policy accept;\n{jumps}  }}\n}}\n"
    generation = "generation_" + hashlib.sha256(body.encode()).hexdigest()[:16]
    text = f"add table inet {TABLE}\ndelete table inet {TABLE}\n{body}add chain inet {TABLE} {generation}\n"
    return text, generation


def _name(meter: Meter) -> str:
    return "m_" + names.short(meter.id)


def _rules(meter: Meter) -> str:
    """Excluded traffic first: it is not counted whatever else matches."""
    ordered = sorted(meter.rules, key=lambda rule: not rule.excluded)
    return "".join(f"    {_match(rule)} {'return' if rule.excluded else f'counter name {_name(meter)} return'}\n"
                   for rule in ordered)


def _match(rule: MeterRule) -> str:
    """The gateway is where packets come in from the far end, or leave to it."""
    parts = ['iifname "qg-*"' if rule.ingress else 'oifname "qg-*"']
    far = "saddr" if rule.ingress else "daddr"
    for side, prefix in ((far, rule.remote), ("saddr", rule.source), ("daddr", rule.destination)):
        if prefix is not None:
            parts.append(f"{'ip6' if ':' in prefix else 'ip'} {side} {prefix}")
    return " ".join(parts)


def settle_meters(namespace: str, router: RouterSlice) -> list[str]:
    """Counters begin anew when labels or rules change."""
    text, generation = compile_meters(router.meters)
    replaced = settle_table(namespace, "inet", TABLE, text, generation, wanted=bool(router.meters))
    return [f"meters of router {router.id} replaced"] if replaced else []


class Reading(NamedTuple):
    bytes: int
    packets: int


def readings(namespace: str) -> dict[str, Reading]:
    """What was counted since labels or rules changed last, by the short name of the label."""
    nft = Nft(namespace)
    try:
        listed: list[dict[str, Any]] = json.loads(nft.run(f"list counters table inet {TABLE}"))["nftables"]
        counters = [entry["counter"] for entry in listed if "counter" in entry]
        return {one["name"][2:]: Reading(one["bytes"], one["packets"]) for one in counters}
    finally:
        nft.close()


class MeterLog:
    """Readings of a host's routers as lines of JSON: each that is other than the last one written."""

    def __init__(self, host: str, file: Path, every: float, clock: Callable[[], float] = time.time):
        self.host, self.every, self.clock = host, every, clock
        self.file = RotatingFileHandler(file, maxBytes=MOST, backupCount=FILES, delay=True)
        self.read_at = -every
        self.written: dict[tuple[str, str], Reading] = {}

    def close(self) -> None:
        self.file.close()

    def write(self, routers: Iterable[RouterSlice]) -> None:
        """Where the last time is not long ago, nothing. Raises EngineFailed."""
        if time.monotonic() - self.read_at < self.every:
            return
        self.read_at = time.monotonic()
        now: dict[tuple[str, str], Reading] = {}
        for router in routers:
            found = readings(names.namespace(self.host, "router", router.id)) if router.meters else {}
            now |= {(router.id, meter.id): found[_name(meter)[2:]] for meter in router.meters
                    if _name(meter)[2:] in found}
        for (router_id, label_id), reading in now.items():
            if self.written.get((router_id, label_id)) != reading:
                line = {"time": self.clock(), "host": self.host, "router_id": router_id, "label_id": label_id,
                        **reading._asdict()}
                self.file.emit(logging.makeLogRecord({"msg": json.dumps(line)}))
        self.written = now
