"""What limits of types come to for volumes, and that whoever serves them keeps them."""

import pytest

from pileus.volume.drivers.layers import LIMITS
from pileus.volume.qos import limits_of


@pytest.mark.parametrize("specs, size_gb, wanted", [
    ({}, 1, {}),
    ({"total_iops_sec": "500", "else": "x", "read_iops_sec": "0"}, 1, {"total_iops_sec": 500}),
    ({"read_iops_sec_per_gb": "30"}, 20, {"read_iops_sec": 600}),
    ({"read_iops_sec_per_gb": "30", "read_iops_sec_per_gb_min": "1000"}, 20, {"read_iops_sec": 1000}),
    ({"write_bytes_sec": "1000", "write_bytes_sec_max": "4000", "write_bytes_sec_max_length": "5"}, 1,
     {"write_bytes_sec": 1000, "write_bytes_sec_max": 4000, "write_bytes_sec_max_length": 5}),
    ({"write_bytes_sec_max": "4000", "total_bytes_sec_max_length": "5", "size_iops_sec": "4096"}, 1, {}),
    ({"total_iops_sec": "100", "total_iops_sec_max": "50", "size_iops_sec": "4096"}, 1,
     {"total_iops_sec": 100, "total_iops_sec_max": 100, "size_iops_sec": 4096}),
])
def test_limits(specs, size_gb, wanted):
    assert limits_of(specs, size_gb) == wanted
    assert set(wanted) <= set(LIMITS)


@pytest.mark.parametrize("consumer, told", [
    ("back-end", None), ("front-end", {"total_iops_sec": "60"}), ("both", {"total_iops_sec": "60"})])
async def test_whoever_consumes_them(world, consumer, told):
    """Compute keeps none by itself."""
    admin = {"token": "admin@p1"}
    qos = (await world.ok("POST", "/qos-specs", {"qos_specs": {
        "name": "slow", "consumer": consumer, "total_iops_sec_per_gb": "30"}}, **admin))["qos_specs"]
    kind = (await world.ok("POST", "/types", {"volume_type": {"name": "slow"}}, **admin))["volume_type"]
    await world.ok("GET", f"/qos-specs/{qos['id']}/associate?vol_type_id={kind['id']}", **admin)
    volume_id = await world.volume(size=2, volume_type="slow")
    connection = (await world.ok("POST", f"/volumes/{volume_id}/action", {
        "os-initialize_connection": {"connector": {"host": "h"}}}, **admin))["connection_info"]
    ((_, held),) = world.held(volume_id)
    assert held.export.limits == {"total_iops_sec": 60} and connection["data"]["qos_specs"] == told
