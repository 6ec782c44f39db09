"""The machine a guest is to have, resolved from image and flavor: what every driver makes its own of."""

import msgspec


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """How the processors look to the guest; their product is how many it has."""

    sockets: int = 1
    cores: int = 1
    threads: int = 1


class NumaNode(msgspec.Struct, frozen=True, kw_only=True):
    cpus: tuple[int, ...]
    memory_mb: int


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Memory that is set aside in pages of one size."""

    size_kb: int
    total: int
    free: int


class HostCell(msgspec.Struct, frozen=True, kw_only=True):
    """A NUMA node of a host: processors that guests share, how many it sets aside, and memory."""

    number: int
    cpus: int
    dedicated: int = 0
    dedicated_free: int = 0
    memory_mb: int
    pages: tuple[Pages, ...] = ()


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """So much a second; `burst` may be reached for `burst_seconds`. 0 is no limit."""

    rate: int = 0
    burst: int = 0
    burst_seconds: int = 0


class NetworkLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Of one direction, as the guest sees it: kilobytes a second, and kilobytes that may come at once."""

    average: int = 0
    peak: int = 0
    burst: int = 0


class CpuShare(msgspec.Struct, frozen=True, kw_only=True):
    """Of the host's processors, as its scheduler counts: microseconds of each period, and a weight. 0: as usual."""

    shares: int = 0
    quota: int = 0
    period: int = 0


class Hardware(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Defaults are what a guest has whose image and flavor say nothing."""

    machine: str = "q35"  # or pc, or a version of one of the two
    uefi: bool = False
    secure_boot: bool = False
    tpm: str = ""  # tpm-tis, tpm-crb
    tpm_version: str = "2.0"
    iommu: str = ""  # intel, virtio
    disk_bus: str = "virtio"  # scsi, sata, ide, usb
    scsi_model: str = "virtio-scsi"
    cdrom_bus: str = ""  # the machine's own if empty
    rescue_bus: str = ""  # as the other disks if empty
    rescue_cdrom: bool = False
    nic_model: str = "virtio"
    multiqueue: bool = False
    packed_ring: bool = False
    video: str = "vga"
    video_memory_mb: int = 0
    tablet: str = ""  # usb, virtio
    random: bool = True
    random_bytes: int = 0  # of randomness in each period
    random_period_ms: int = 0
    watchdog: str = ""  # what is done when it runs out: pause, poweroff, reset, none
    agent: bool = False  # there is a guest agent in the image
    quiesce: bool = False  # no snapshot without it having written down everything
    serial_ports: int = 1
    boot_menu: bool = False
    windows: bool = False
    hpet: bool | None = None
    topology: Topology | None = None
    numa: tuple[NumaNode, ...] = ()
    page_kb: int = 0  # of the host's memory; 0: as usual, -1: any large size the host has
    locked_memory: bool = False
    pinned: tuple[int, ...] = ()  # processors of the guest that get one of the host each
    thread_policy: str = ""
    emulator_threads: str = ""
    pmu: bool | None = None
    hide_hypervisor: bool = False
    physical_bits: int = 0  # of an address; 0: as usual, -1: as many as the host has
    cpu_share: CpuShare | None = None
    disk_limits: dict[str, Limit] = {}  # read-bytes, write-bytes, total-bytes, read-iops, write-iops, total-iops
    inbound: NetworkLimit | None = None
    outbound: NetworkLimit | None = None
    devices: dict[str, int] = {}  # of the host, passed through: how many by alias
    impossible: tuple[str, ...] = ()  # was asked for, and no driver here has it

