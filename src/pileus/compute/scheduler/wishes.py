"""What a server asks of its host, all that filters and weighers look at."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.compute.numa import NodeWish


class GroupWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's group asks: its policy, and how many of its servers are on which host."""

    policy: str
    most_per_host: int = 1
    hosts: dict[str, int] = {}

    def allows(self, host: str) -> bool:
        """Whether the strict policies let one more of its servers onto the host."""
        if self.policy == "affinity":
            return not self.hosts or host in self.hosts
        return self.policy != "anti-affinity" or self.hosts.get(host, 0) < self.most_per_host


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a server asks of its host, and what administrators ask of its kind."""

    resources: dict[str, int]
    nodes: tuple[NodeWish, ...] = ()          # none where it is all the same on which of the host's it runs
    zone: str | None = None
    host: str | None = None
    different_from: tuple[str, ...] = ()      # hosts, by the hint different_host
    same_as: tuple[str, ...] = ()             # hosts, by the hint same_host
    near: str | None = None                   # a network: hosts with an address in it, by the hint build_near_host_ip
    query: Any = None                         # by the hint query: [">=", "$free_ram_mb", 1024]
    tried: tuple[str, ...] = ()               # hosts on which this boot failed already
    group: GroupWish | None = None
    flavor: str = ""                          # its name
    project_id: str = ""
    extra_specs: dict[str, str] = {}
    image_id: str | None = None
    properties: dict[str, str] = {}           # of the image
    required: tuple[str, ...] = ()            # traits
    forbidden: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()               # what each of its ports is promised, in words
    most_servers: int = 0                     # per host, unless an aggregate says otherwise; 0: as many as fit
    most_io_ops: int = 0
    isolated_hosts: frozenset[str] = frozenset()
    isolated_images: frozenset[str] = frozenset()
