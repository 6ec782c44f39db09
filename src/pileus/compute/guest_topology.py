"""Processors and memory as a guest sees them: sockets, cores and threads, NUMA nodes, pages, pinning; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pileus.compute.drivers.hardware import NumaNode, Topology

Words = Mapping[str, str]
ANY = 65536
PARTS = ("sockets", "cores", "threads")
UNITS = {"": 1, "K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}     # of pages, in kibibytes
PAGE = re.compile(r"([0-9]{1,40})([kKMGT]?)(i?)(b|bit|B)?")


class BadHardware(Exception):
    """Image and flavor ask for a machine that cannot be; the message says why."""


def _set(image: Words, flavor: Words, prefix: str, default: int | None) -> tuple[list[int | None], list[int | None]]:
    """(flavor's, image's) numbers of sockets, cores and threads."""
    def numbers(words: Words, *starts: str) -> list[int | None]:
        found = [next((words[start + part] for start in starts if start + part in words), None) for part in PARTS]
        return [default if each is None else int(each) for each in found]
    return numbers(flavor, f"hw:cpu_{prefix}", f"hw:{prefix}cpu_"), numbers(image, f"hw_cpu_{prefix}")


def _told(numbers: list[int]) -> str:
    return ", ".join(f"{part}={number}" for part, number in zip(PARTS, numbers, strict=True))


def topology_of(image: Words, flavor: Words, vcpus: int) -> Topology | None:
    """The one that fits what was asked for best, sockets being few; None where nothing was asked for."""
    flavor_most, image_most = _set(image, flavor, "max_", None)
    flavor_wish, image_wish = _set(image, flavor, "", None)
    if not any(each is not None for each in (*flavor_most, *image_most, *flavor_wish, *image_wish)):
        return None
    limits = [each or ANY for each in flavor_most]
    own = [each or limit for each, limit in zip(image_most, limits, strict=True)]
    if any(each is not None for each in image_most):
        if any(mine > limit for mine, limit in zip(own, limits, strict=True)):
            raise BadHardware(f"Image vCPU topology limits ({_told(own)}) exceeds the limits of the flavor "
                              f"({_told(limits)})")
        limits = own
    wish = flavor_wish
    if any(each is not None for each in image_wish):
        if any((mine or 0) > limit for mine, limit in zip(image_wish, limits, strict=True)):
            raise BadHardware(f"Image vCPU topology ({_told([each or 0 for each in image_wish])}) exceeds the limits "
                              f"of the flavor or image ({_told(limits)})")
        wish = image_wish
    possible = [(s, c, vcpus // (s * c)) for s in range(1, min(vcpus, limits[0]) + 1) if vcpus % s == 0
                for c in range(1, min(vcpus // s, limits[1]) + 1) if vcpus // s % c == 0
                and vcpus // (s * c) <= limits[2]]
    if not possible:
        raise BadHardware("Requested vCPU limits {}:{}:{} are impossible to satisfy for vcpus count {}".format(
            *limits, vcpus))

    def fit(found: tuple[int, int, int]) -> tuple[int, int, int]:
        hits = sum(mine == asked for mine, asked in zip(found, wish, strict=True))
        return hits, -found[2], -found[0]

    sockets, cores, threads = max(possible, key=fit)
    return Topology(sockets=sockets, cores=cores, threads=threads)


def cpu_numbers(text: str) -> tuple[int, ...]:
    """Of a list like 0-3,^2,7. Raises BadHardware."""
    found: set[int] = set()
    without: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\^?)(\d{1,4})(?:-(\d{1,4}))?", part)
        if match is None or match[3] is not None and int(match[3]) < int(match[2]):
            raise BadHardware(f"Invalid set of processors: {text!r}")
        (without if match[1] else found).update(range(int(match[2]), int(match[3] or match[2]) + 1))
    return tuple(sorted(found - without))


def _of_node(image: Words, flavor: Words, name: str) -> str | None:
    if f"hw:{name}" in flavor and f"hw_{name}" in image:
        raise BadHardware(f"Image property 'hw_{name}' is not permitted to override NUMA configuration set against "
                          "the flavor")
    return flavor.get(f"hw:{name}") or image.get(f"hw_{name}")


def numa_nodes(image: Words, flavor: Words, *, vcpus: int, memory_mb: int) -> tuple[NumaNode, ...]:
    """Empty where nothing was asked for."""
    count = int(_of_node(image, flavor, "numa_nodes") or 0)
    given = [name for words in (image, flavor) for name in words if re.match(r"hw[:_]numa_(cpus|mem)\.", name)]
    if not count:
        if given:
            raise BadHardware("CPU and memory allocation must be provided for all NUMA nodes")
        return ()
    if not 0 < count <= vcpus:
        raise BadHardware("Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes. "
                          "Explicit assignment of CPUs and memory to nodes is required")
    cpus = [_of_node(image, flavor, f"numa_cpus.{node}") for node in range(count)]
    memory = [_of_node(image, flavor, f"numa_mem.{node}") for node in range(count)]
    if not given:
        if vcpus % count or memory_mb % count:
            raise BadHardware("Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes. "
                              "Explicit assignment of CPUs and memory to nodes is required")
        each = vcpus // count
        return tuple(NumaNode(cpus=tuple(range(node * each, (node + 1) * each)), memory_mb=memory_mb // count)
                     for node in range(count))
    if None in cpus or None in memory or len(given) > 2 * count:
        raise BadHardware("CPU and memory allocation must be provided for all NUMA nodes")
    nodes = tuple(NumaNode(cpus=cpu_numbers(some or ""), memory_mb=int(size or 0))
                  for some, size in zip(cpus, memory, strict=True))
    _must_be_whole(nodes, vcpus, memory_mb)
    return nodes


def _must_be_whole(nodes: tuple[NumaNode, ...], vcpus: int, memory_mb: int) -> None:
    taken: set[int] = set()
    for node in nodes:
        for cpu in node.cpus:
            if cpu >= vcpus:
                raise BadHardware(f"CPU number {cpu} is larger than max {vcpus - 1}")
            if cpu in taken:
                raise BadHardware(f"CPU number {cpu} is assigned to two nodes")
            taken.add(cpu)
    if left := set(range(vcpus)) - taken:
        raise BadHardware(f"CPU number {','.join(map(str, sorted(left)))} is not assigned to any node")
    if (given := sum(node.memory_mb for node in nodes)) != memory_mb:
        raise BadHardware(f"{given} MB of memory assigned, but expected {memory_mb} MB")


def _page_kb(text: str) -> int:
    """-1 for any large size, 0 for the usual."""
    if text in ("small", "any", ""):
        return 0
    if text == "large":
        return -1
    match = PAGE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise BadHardware(f"Invalid memory page size '{text}'")
    size = int(match[1]) * UNITS[match[2].upper()]
    return 0 if size == 4 else size


def page_size(image: Words, flavor: Words) -> int:
    """The image chooses where the flavor leaves a choice."""
    theirs, ours = flavor.get("hw:mem_page_size", ""), image.get("hw_mem_page_size", "")
    wanted = _page_kb(theirs)
    if not ours:
        return wanted
    if theirs not in ("large", "any"):
        raise BadHardware(f"Page size {ours} forbidden against '{theirs}'")
    own = _page_kb(ours)
    if theirs == "large" and ours in ("small", "any"):
        raise BadHardware(f"Page size {ours} forbidden against '{theirs}'")
    return own


def pinned_cpus(image: Words, flavor: Words, vcpus: int) -> tuple[int, ...]:
    """Which of the guest's processors get one of the host each."""
    theirs, ours = flavor.get("hw:cpu_policy"), image.get("hw_cpu_policy")
    if theirs is not None and ours is not None and theirs not in (ours, "dedicated"):
        raise BadHardware("Image property 'hw_cpu_policy' is not permitted to override CPU pinning policy set against "
                          "the flavor")
    policy = theirs or ours or "shared"
    thread = flavor.get("hw:cpu_thread_policy"), image.get("hw_cpu_thread_policy")
    if thread[0] is not None and thread[1] is not None and thread[0] != thread[1]:
        raise BadHardware("Image property 'hw_cpu_thread_policy' is not permitted to override CPU thread pinning "
                          "policy set against the flavor")
    mask = flavor.get("hw:cpu_dedicated_mask")
    if policy == "shared":
        if any(thread):
            raise BadHardware("A processor thread policy needs hw:cpu_policy=dedicated.")
        return ()
    if policy == "dedicated":
        return tuple(range(vcpus))
    if mask is None:
        raise BadHardware("hw:cpu_policy=mixed needs hw:cpu_dedicated_mask.")
    chosen = tuple(range(vcpus)) if mask.startswith("^") else cpu_numbers(mask)
    if mask.startswith("^"):
        without = cpu_numbers(mask.replace("^", ""))
        chosen = tuple(cpu for cpu in chosen if cpu not in without)
    if not chosen or max(chosen) >= vcpus or len(chosen) == vcpus:
        raise BadHardware("hw:cpu_dedicated_mask names some of the processors, and not all.")
    return chosen
