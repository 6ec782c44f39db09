"""Which extra specs of flavors there are, and what they may be: what microversion 2.86 checks.

A name without a namespace, or in one that is nobody's here, is its owner's own business.
"""

from __future__ import annotations

import re

import os_resource_classes
import os_traits

from pileus.compute.api.values import FALSE, TRUE

CPU_SET = r"\^?\d+((-\d+)?(,\^?\d+(-\d+)?)?)*"
ANY, WHOLE, COUNT, AT_LEAST_ONE, SWITCH = "any", "whole", "count", "at least one", "switch"
LEAST = {WHOLE: None, COUNT: 0, AT_LEAST_ONE: 1}
GROUP = r"([a-zA-Z0-9_-]{1,64})?"


def _of(values: str) -> str:
    """The pattern of one of several words."""
    return "|".join(map(re.escape, values.split()))


# What upstream's schedulers know of a host.
CAPABILITIES = (
    "id uuid service_id host vcpus memory_mb local_gb vcpus_used memory_mb_used local_gb_used hypervisor_type "
    "hypervisor_version hypervisor_hostname free_ram_mb free_disk_gb current_workload running_vms disk_available_least "
    "host_ip mapped cpu_allocation_ratio ram_allocation_ratio disk_allocation_ratio total_usable_ram_mb "
    "total_usable_disk_gb disk_mb_used free_disk_mb vcpus_total num_instances num_io_ops failed_builds aggregates "
    "cell_uuid updated")
NESTED_CAPABILITIES = ("cpu_info metrics stats numa_topology supported_hv_specs pci_device_pools nodename pci_stats "
                       "supported_instances limits instances")
HARDWARE = {
    "hw:cpu_realtime": SWITCH, "hw:cpu_realtime_mask": CPU_SET, "hw:cpu_dedicated_mask": CPU_SET,
    "hw:hide_hypervisor_id": SWITCH, "hw:cpu_policy": _of("dedicated shared mixed"),
    "hw:cpu_thread_policy": _of("prefer isolate require"), "hw:emulator_threads_policy": _of("isolate share"),
    "hw:mem_page_size": r"(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)", "hw:numa_nodes": AT_LEAST_ONE,
    r"hw:numa_cpus\.\d+": CPU_SET, r"hw:numa_mem\.\d+": AT_LEAST_ONE,
    "hw:pci_numa_affinity_policy": _of("required preferred legacy socket"), "hw:vif_multiqueue_enabled": SWITCH,
    # Upstream checks the most of a part under one name, and goes by another.
    **{f"hw:{name}{part}": AT_LEAST_ONE for name in ("cpu_", "max_cpu_", "cpu_max_")
       for part in ("sockets", "cores", "threads")},
    "hw:boot_menu": SWITCH, "hw:mem_encryption": SWITCH, "hw:mem_encryption_model": _of("amd-sev amd-sev-es"),
    "hw:locked_memory": SWITCH, "hw:maxphysaddr_mode": _of("passthrough emulate"), "hw:maxphysaddr_bits": COUNT,
    "hw:pmem": "([a-zA-Z0-9_]+(,)?)+", "hw:pmu": SWITCH, "hw:serial_port_count": COUNT,
    "hw:tpm_model": _of("tpm-tis tpm-crb"), "hw:tpm_version": _of("1.2 2.0"),
    "hw:tpm_secret_security": _of("user host deployment"), "hw:virtio_packed_ring": SWITCH,
    "hw:viommu_model": _of("intel smmuv3 virtio auto"),
    "hw:watchdog_action": _of("none pause poweroff reset disabled"),
    "hw_rng:allowed": SWITCH, "hw_rng:rate_bytes": COUNT, "hw_rng:rate_period": COUNT,
    "hw_video:ram_max_mb": COUNT, "os:secure_boot": _of("disabled required"),
}
QUOTAS = {
    **{f"quota:{what}_{limit}": WHOLE for what in ("cpu", "memory", "disk_io", "vif")
       for limit in ("limit", "reservation", "shares_share")},
    **{f"quota:{what}_shares_level": ANY for what in ("cpu", "memory", "disk_io", "vif")},
    **{f"quota:cpu_{what}": COUNT for what in ("shares", "period", "quota")},
    **{f"quota:disk_{way}_{what}_sec": COUNT for way in ("read", "write", "total") for what in ("bytes", "iops")},
    **{f"quota:disk_{way}_{what}_sec_max(_length)?": COUNT for way in ("read", "write", "total")
       for what in ("bytes", "iops")},
    **{f"quota:vif_{way}_{what}": COUNT for way in ("inbound", "outbound") for what in ("average", "peak", "burst")},
}
OTHERS = {
    "hide_hypervisor_id": SWITCH, "group_policy": _of("isolate none"), "accel:device_profile": ANY,
    r"pci_passthrough:alias": r"[^:]+:\d+(\s*,\s*[^:]+:\d+)*", r"aggregate_instance_extra_specs:.+": ANY,
    "vmware:(hw_version|storage_policy)": ANY,
    f"capabilities:({_of(CAPABILITIES)})": ANY, rf"capabilities:({_of(NESTED_CAPABILITIES)})(:\w+)*": ANY,
}
# The standard names of these two are looked up; there are hundreds.
RESOURCE = re.compile(f"resources{GROUP}:(?P<name>[A-Z0-9_]+)")
TRAITS = frozenset(os_traits.get_traits())
TRAIT = re.compile(f"trait{GROUP}:(?P<name>[A-Z0-9_]+)")
KNOWN = {re.compile(name): kind for name, kind in (HARDWARE | QUOTAS | OTHERS).items()}
NAMESPACES = re.compile("|".join(
    [*sorted({name.partition(":")[0] for name in HARDWARE | QUOTAS | OTHERS if ":" in name}),
     f"resources{GROUP}", f"trait{GROUP}"]))


def _kind(name: str) -> str | None:
    found = next((kind for pattern, kind in KNOWN.items() if pattern.fullmatch(name)), None)
    if (resource := RESOURCE.fullmatch(name)) and (
            resource["name"].startswith("CUSTOM_") or resource["name"] in os_resource_classes.STANDARDS):
        found = WHOLE
    if (trait := TRAIT.fullmatch(name)) and (trait["name"].startswith("CUSTOM_") or trait["name"] in TRAITS):
        found = _of("required forbidden")
    return found


def wrong_with(name: str, value: str) -> str | None:
    """What is wrong with an extra spec, or None."""
    kind = _kind(name)
    if kind is None:
        known = ":" in name and NAMESPACES.fullmatch(name.partition(":")[0])
        return f"extra spec '{name}' does not appear to be a valid extra spec." if known else None
    if kind == SWITCH:
        return None if value.strip().lower() in TRUE | FALSE else f"'{value}' is not a valid boolean-like value."
    if kind in LEAST:
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,255}\s*", value):
            return f"'{value}' is not a valid integer value."
        least = LEAST[kind]
        too_low = least is not None and int(value) < least
        return f"'{value}' is less than the min value of '{least}'." if too_low else None
    return None if kind == ANY or re.fullmatch(kind, value) else f"'{value}' is not of the format '{kind}'."
