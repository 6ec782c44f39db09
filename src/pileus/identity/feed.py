"""What changed, told to everybody in this process who remembers what tokens mean."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")
ROLES, CATALOG, EVERYTHING = "roles", "catalog", "everything"     # subjects that have no id


class Feed:
    """Subjects that changed: user:ID, project:ID, domain:ID, token:AUDIT_ID, roles, catalog, everything."""

    def __init__(self) -> None:
        self.position = 0                     # moves with every change, so that a slow reader sees it was overtaken
        self._listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    def publish(self, subjects: Iterable[str]) -> None:
        for subject in subjects:
            self.position += 1
            for listener in self._listeners:
                listener(subject)

    def trusted(self) -> bool:
        """Whether what was heard so far is at most a second old."""
        return True


class Remembered(Generic[T]):
    """What valid tokens stand for: bounded, found by digest of the token, dropped by what it depends on."""

    def __init__(self, most: int = 5_000):
        self.most = most
        self._found: collections.OrderedDict[bytes, tuple[float, T, tuple[str, ...]]] = collections.OrderedDict()
        self._by_subject: dict[str, set[bytes]] = {}

    @staticmethod
    def digest(token: str) -> bytes:
        return hashlib.blake2b(token.encode(errors="replace"), digest_size=16).digest()

    def get(self, digest: bytes, now: float) -> T | None:
        entry = self._found.get(digest)
        if entry is None:
            return None
        if entry[0] <= now:
            self._drop(digest)
            return None
        self._found.move_to_end(digest)
        return entry[1]

    def put(self, digest: bytes, expires_at: float, value: T, subjects: Iterable[str]) -> None:
        self._drop(digest)
        entry = (expires_at, value, tuple(dict.fromkeys(subjects)))
        self._found[digest] = entry
        for subject in entry[2]:
            self._by_subject.setdefault(subject, set()).add(digest)
        while len(self._found) > self.most:
            self._drop(next(iter(self._found)))

    def forget(self, subject: str) -> None:
        if subject in (ROLES, CATALOG, EVERYTHING):
            self._found.clear()
            self._by_subject.clear()
        for digest in list(self._by_subject.get(subject, ())):
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        entry = self._found.pop(digest, None)
        if entry is None:
            return
        for subject in entry[2]:
            kept = self._by_subject[subject]
            kept.discard(digest)
            if not kept:
                del self._by_subject[subject]

    def __len__(self) -> int:
        return len(self._found)
