"""The records an engine knows: newer revisions replace older ones, never the other way round."""

from collections.abc import Iterable, Sequence
from typing import Any

from pileus.network.engine.records import Gone, Records

KINDS = Records.__struct_fields__


class RecordStore:
    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}

    def change(self, upserts: Records, deletes: Sequence[Gone]) -> bool:
        """True when anything is other than before."""
        changed = False
        for kind, table in self.tables.items():
            for record in getattr(upserts, kind):
                known = table.get(_key(record))
                if known == record or known is not None and _revision(record) < _revision(known):
                    continue
                table[_key(record)] = record
                changed = True
        for gone in deletes:
            changed = self.tables[gone.kind].pop(gone.id, None) is not None or changed
        return changed

    def replace(self, records: Records) -> None:
        self.tables = {kind: _by_key(getattr(records, kind)) for kind in KINDS}

    def records(self) -> Records:
        return Records(**{kind: tuple(table.values()) for kind, table in self.tables.items()})


def _by_key(records: Iterable[Any]) -> dict[str, Any]:
    return {_key(record): record for record in records}


def _key(record: Any) -> str:
    return record.id if hasattr(record, "id") else record.name


def _revision(record: Any) -> int:
    return getattr(record, "revision", 0)
