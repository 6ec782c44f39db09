"""Which back end a volume goes to, as operators wish."""

import msgspec
import pytest

from pileus.volume import scheduler
from pileus.volume.config import VolumeConfig
from pileus.volume.drivers.base import BackEndFacts
from pileus.volume.model.services import VOLUME, ServiceRow
from pileus.volume.model.volumes import Volume


def back_end(name, **more):
    facts = BackEndFacts(name=name, driver="fake", protocol="fake", total_gb=100.0, free_gb=50.0, **more)
    return ServiceRow(id=name, host=f"n@{name}", binary=VOLUME, zone="nova", created_at=0.0, seen_at=0.0, facts=facts)


def chosen(size, *rows, extra=None, qos=None):
    volume = Volume(id="v", project_id="p", user_id="u", size_gb=size, type_id="t", zone="nova", created_at=0.0)
    wanted = scheduler.Request(size_gb=size, extra_specs=extra or {}, qos=qos or {}, volume=scheduler.told_of(volume))
    return scheduler.choose(wanted, rows, {"n@a#a": 30}, 1.0)


def test_filters_say_why_not():
    rows = back_end("a", filter_function="volume.size < 10"), back_end("b", filter_function="extra.kind == 'fast'")
    assert chosen(5, *rows, extra={"kind": "fast"}).pools == ("n@b#b", "n@a#a")
    verdict = chosen(20, *rows)
    assert verdict.pools == () and verdict.refused == {
        "n@a": "its filter is volume.size < 10", "n@b": "its filter cannot be asked: nothing is known of extra.kind"}


def test_the_best_wins_and_of_equals_the_one_with_most_room():
    plain = back_end("a"), back_end("b")
    assert chosen(1, *plain).pools == ("n@b#b", "n@a#a")
    good = back_end("a", goodness_function="volume.size < 10 ? 100 : 1"), back_end("b", goodness_function="50")
    assert chosen(1, *good).pools == ("n@a#a", "n@b#b") and chosen(10, *good).pools == ("n@b#b", "n@a#a")
    limits = back_end("a", goodness_function="qos.total_iops_sec / 10"), back_end("b", goodness_function="40")
    assert chosen(1, *limits, qos={"total_iops_sec": "900"}).pools == ("n@a#a", "n@b#b")


@pytest.mark.parametrize("text", ["101", "-1", "1 / 0", "'high'", "volume.none", "1e308 * 10"])
def test_goodness_that_is_none(text):
    rows = back_end("a", goodness_function=text), back_end("b", goodness_function="0.1")
    assert chosen(1, *rows).pools == ("n@b#b", "n@a#a")


def test_who_asks_of_no_volume_is_not_filtered():
    """As a list of the back ends that a type may use."""
    rows = [back_end("a", filter_function="volume.size < 10")]
    assert scheduler.choose(scheduler.Request(size_gb=0), rows, {}, 1.0).pools == ("n@a#a",)


def test_settings_that_cannot_be_read():
    for name in ("filter_functions", "goodness_functions"):
        assert msgspec.convert({name: {"file-1": "volume.size < 1"}}, VolumeConfig)
        with pytest.raises(msgspec.ValidationError, match="ends too early"):
            msgspec.convert({name: {"file-1": "volume.size <"}}, VolumeConfig)


async def test_volumes_go_where_operators_wish(make_world):
    world = await make_world(filter_functions={"one": "volume.size < 3 & volume.display_name != 'secret'"},
                             goodness_functions={"one": "100", "two": "50"})
    pools = await world.ok("GET", "/scheduler-stats/get_pools?detail=true", token="admin@p1")
    assert {each["name"]: each["capabilities"]["goodness_function"] for each in pools["pools"]} == {
        "node@one#one": "100", "node@two#two": "50"}
    hosts = {}
    for size, name in ((1, "small"), (4, "large"), (1, "secret")):
        made = await world.volume(size, name=name)
        hosts[name] = (await world.ok("GET", f"/volumes/{made}", token="admin@p1"))["volume"]["os-vol-host-attr:host"]
    assert hosts == {"small": "node@one#one", "large": "node@two#two", "secret": "node@two#two"}
