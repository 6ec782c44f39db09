"""Allocation candidates as JSON. Answers hold a thousand providers, so what repeats is kept encoded."""

from __future__ import annotations

import msgspec

from pileus.kit.versions import Version
from pileus.placement import versions
from pileus.placement.candidates import Candidate, Found
from pileus.placement.columns import Columns, Entry
from pileus.placement.queries import Wanted


def encode(columns: Columns, wanted: Wanted, found: Found, version: Version) -> bytes:
    if version < versions.NESTED_CANDIDATES:
        return _old(columns, wanted, found, version)
    entries = columns.entries
    begin, middle, end = _single_pieces(wanted, version)
    requests = []
    for row in found.single:
        provider_id = entries[row].id
        requests.append(f"{begin}{provider_id}{middle}{provider_id}{end}" if end else f"{begin}{provider_id}{middle}")
    requests += [_text(_request(columns, candidate, version)) for candidate in found.combined]
    roots = {int(columns.root[row]) for candidate in found.combined for row in candidate.amounts}
    if columns.trees:
        roots.update(columns.root[found.single].tolist() if found.single else [])
        rows = [row for root in sorted(roots) for row in columns.tree(root)]
    else:
        rows = found.single if not roots else sorted(roots.union(found.single))
    summaries = [entries[row].summary or _summary(entries[row]) for row in rows]
    return f'{{"allocation_requests":[{",".join(requests)}],"provider_summaries":{{{",".join(summaries)}}}}}'.encode()


def _single_pieces(wanted: Wanted, version: Version) -> tuple[str, str, str]:
    """The request of one provider for everything, less the provider's id: before, between and after it."""
    resources = _text(wanted.groups[0].resources)
    begin, middle = '{"allocations":{"', f'":{{"resources":{resources}}}}}'
    if version < versions.MAPPINGS:
        return begin, middle + "}", ""
    return begin, middle + ',"mappings":{"":["', '"]}}'


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _request(columns: Columns, candidate: Candidate, version: Version) -> dict[str, object]:
    entries = columns.entries
    made: dict[str, object] = {
        "allocations": {entries[row].id: {"resources": wanted} for row, wanted in candidate.amounts.items()}}
    if version >= versions.MAPPINGS:
        made["mappings"] = {suffix: [entries[row].id for row in rows] for suffix, rows in candidate.mappings.items()}
    return made


def _summary(entry: Entry) -> str:
    """What a member of `provider_summaries` says since 1.29, kept until the provider changes."""
    entry.summary = f'"{entry.id}":' + _text({
        "resources": entry.stock, "traits": sorted(entry.traits),
        "parent_provider_uuid": entry.parent_id, "root_provider_uuid": entry.root_id})
    return entry.summary


def _old(columns: Columns, wanted: Wanted, found: Found, version: Version) -> bytes:
    """Shapes of before 1.29, which know no trees: nobody gets two providers of one tree."""
    candidates = [Candidate({row: wanted.groups[0].resources}, {"": (row,)}) for row in found.single]
    for candidate in found.combined:
        roots = {int(columns.root[row]) for row in candidate.amounts}
        if len(roots) == len(candidate.amounts):
            candidates.append(candidate)
    requests: list[object] = [_request(columns, candidate, version) for candidate in candidates]
    if version < versions.ALLOCATION_OBJECTS:
        requests = [{"allocations": [
            {"resource_provider": {"uuid": columns.entries[row].id}, "resources": amounts}
            for row, amounts in candidate.amounts.items()]} for candidate in candidates]
    classes = wanted.classes()
    summaries: dict[str, dict[str, object]] = {}
    for row in sorted({row for candidate in candidates for row in candidate.amounts}):
        entry = columns.entries[row]
        whole = version >= versions.WHOLE_SUMMARIES
        summaries[entry.id] = {"resources": {
            name: stock for name, stock in entry.stock.items() if whole or name in classes}}
        if version >= versions.CANDIDATE_TRAITS:
            summaries[entry.id]["traits"] = sorted(entry.traits)
    return msgspec.json.encode({"allocation_requests": requests, "provider_summaries": summaries})
