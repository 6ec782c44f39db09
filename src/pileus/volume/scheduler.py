"""Which back end a volume goes to: pure. Filters say why not; the best of the others wins, which is the one with the
most free room unless operators say otherwise."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pileus.volume import expressions
from pileus.volume.model.services import ServiceRow
from pileus.volume.model.volumes import Volume

NO_BACK_END = "No valid backend was found."
_FACTS: dict[str, Callable[[ServiceRow], object]] = {
    "volume_backend_name": lambda row: row.facts and row.facts.name, "vendor_name": lambda row: "Pileus",
    "storage_protocol": lambda row: row.facts and row.facts.protocol,
    "driver": lambda row: row.facts and row.facts.driver,
    "multiattach": lambda row: row.facts and row.facts.multiattach,
    "thin_provisioning_support": lambda row: True, "replication_enabled": lambda row: False}
_COMPARISONS = {">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, "=": operator.ge,
                "s==": operator.eq, "s!=": operator.ne}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    size_gb: int
    zone: str | None = None
    extra_specs: Mapping[str, str] = {}
    volume: Mapping[str, object] = {}              # what expressions of operators may refer to; none: no volume yet
    qos: Mapping[str, str] = {}
    same_host: frozenset[str] = frozenset()        # pools the volume has to share
    other_host: frozenset[str] = frozenset()       # pools it must not be in


def told_of(volume: Volume) -> dict[str, object]:
    """What expressions may ask of a volume, under cinder's names."""
    return {
        "id": volume.id, "size": volume.size_gb, "status": volume.status, "project_id": volume.project_id,
        "user_id": volume.user_id, "display_name": volume.name, "display_description": volume.description,
        "volume_type_id": volume.type_id, "snapshot_id": volume.snapshot_id, "source_volid": volume.source_volume_id,
        "encryption_key_id": volume.encryption_key_id, "group_id": volume.group_id, "multiattach": volume.multiattach}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Pools, the best first, and why not the others."""

    pools: tuple[str, ...]
    refused: dict[str, str]

    @property
    def sentence(self) -> str:
        return " ".join([NO_BACK_END, *(f"{host}: {reason}." for host, reason in self.refused.items())])


def pool_of(row: ServiceRow) -> str:
    """NODE@BACK_END#POOL; every back end is one pool, named as the back end."""
    return f"{row.host}#{row.facts.name if row.facts else ''}"


def matches(wanted: str, found: object) -> bool:
    """Whether a back end's fact is what an extra spec wants."""
    text = str(found)
    words = wanted.split()
    if not words:
        return text == ""
    if words[0] == "<is>":
        return text.lower() == (words[1].lower() if len(words) > 1 else "")
    if words[0] == "<in>":
        return all(word in text for word in words[1:] if word != "<in>")
    if words[0] == "<or>":
        return text in [word for word in words if word != "<or>"]
    if words[0] in _COMPARISONS and len(words) > 1:
        return bool(_COMPARISONS[words[0]](text, words[1]))
    return text == wanted


def room(row: ServiceRow, promised: Mapping[str, int]) -> float:
    """GiB the back end may still promise."""
    facts = row.facts
    return facts.total_gb * facts.over_subscription - promised.get(pool_of(row), 0) if facts else 0.0


def choose(request: Request, rows: Sequence[ServiceRow], promised: Mapping[str, int], now: float) -> Verdict:
    found: list[tuple[float, float, str]] = []
    refused: dict[str, str] = {}
    for row in rows:
        reason = _why_not(request, row, promised, now)
        if reason:
            refused[row.host] = reason
        else:
            found.append((-goodness(request, row, promised), -room(row, promised), pool_of(row)))
    return Verdict(pools=tuple(pool for *_, pool in sorted(found)), refused=refused)


def names_of(request: Request, row: ServiceRow, promised: Mapping[str, int]) -> Mapping[str, Mapping[str, object]]:
    """What expressions may refer to."""
    facts = row.facts
    stats: dict[str, object] = {} if facts is None else {
        "host": row.host, "volume_backend_name": facts.name, "vendor_name": "Pileus", "driver_version": "1.0",
        "storage_protocol": facts.protocol, "QoS_support": facts.qos, "total_capacity_gb": facts.total_gb,
        "free_capacity_gb": facts.free_gb, "allocated_capacity_gb": promised.get(pool_of(row), 0),
        "provisioned_capacity_gb": promised.get(pool_of(row), 0), "reserved_percentage": 0,
        "max_over_subscription_ratio": facts.over_subscription, "multiattach": facts.multiattach}
    return {"stats": stats, "capabilities": stats, "extra": request.extra_specs, "qos": request.qos,
            "volume": request.volume}


def goodness(request: Request, row: ServiceRow, promised: Mapping[str, int]) -> float:
    """0 to 100; 0 also where the operator's expression has no value for the volume, or another."""
    text = row.facts.goodness_function if row.facts else None
    if text is None:
        return 0.0
    try:
        value = expressions.evaluate(text, names_of(request, row, promised))
    except expressions.BadExpression:
        return 0.0
    return float(value) if not isinstance(value, str) and 0 <= value <= 100 else 0.0


def _filtered(request: Request, row: ServiceRow, promised: Mapping[str, int]) -> str | None:
    text = row.facts.filter_function if row.facts else None
    if text is None or not request.volume:
        return None
    try:
        fits = expressions.evaluate(text, names_of(request, row, promised))
    except expressions.BadExpression as error:
        return f"its filter cannot be asked: {error}"
    return None if fits else f"its filter is {text}"


def _why_not(request: Request, row: ServiceRow, promised: Mapping[str, int], now: float) -> str | None:
    pool = pool_of(row)
    if row.disabled:
        return "it is disabled"
    if row.frozen:
        return "it is frozen"
    if row.facts is None or not row.is_up(now):
        return "it is down"
    if request.zone and row.zone != request.zone:
        return f"it is in zone {row.zone}"
    if request.same_host and pool not in request.same_host:
        return "the volumes it has to be with are elsewhere"
    if pool in request.other_host:
        return "a volume it must not be with is there"
    for name, wanted in request.extra_specs.items():
        scope, _, bare = name.rpartition(":")
        if scope not in ("", "capabilities") or bare not in _FACTS:
            continue
        if not matches(wanted, _FACTS[bare](row)):
            return f"{bare} is {_FACTS[bare](row)}, not {wanted}"
    if room(row, promised) < request.size_gb:
        return f"it has room for {room(row, promised):.0f} GiB"
    return _filtered(request, row, promised)
