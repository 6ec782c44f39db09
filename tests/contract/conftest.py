"""The hosts that the suite of hypervisor drivers runs on."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from guest_hosts import ContainerHost, FakeHost, Host, LibvirtHost, QemuHost, add_namespace, remove_namespace

from pileus.compute.drivers.libvirt_daemon import stop_daemon


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Drivers are on this loop in a cloud."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def namespace() -> Iterator[Path]:
    name = f"guests-{os.getpid()}"
    yield add_namespace(name)
    remove_namespace(name)


# What of the suite is run with libvirt every time; PILEUS_WHOLE_CONTRACT=1 runs all of it.
WITH_LIBVIRT = (
    "test_a_guest_is_made_paused_and_runs_when_told", "test_a_guest_whose_hypervisor_dies_is_reported",
    "test_suspending_keeps_the_memory_and_lets_go_of_the_rest",
    "test_a_killed_process_leaves_guests_to_the_next", "test_network_cards_come_to_a_running_guest",
    "test_what_goes_on_inside", "test_the_screen_speaks_rfb")


# And with containers by libvirt.
WITH_CONTAINERS = (
    "test_making_it_again_changes_nothing", "test_off_and_on_again", "test_off_is_asked_for_politely",
    "test_removing_leaves_nothing_and_may_be_repeated", "test_reboot",
    "test_a_guest_whose_hypervisor_dies_is_reported", "test_a_guest_that_powers_itself_off",
    "test_a_killed_process_leaves_guests_to_the_next", "test_killed_while_making_a_guest",
    "test_network_cards_come_to_a_running_guest", "test_pausing_and_going_on",
    "test_another_root_number_is_another_disk", "test_a_guest_moves_to_another_host",
    "test_the_console_log_is_cut_to_the_last_lines", "test_what_the_host_has_to_give")
OF_CONTAINERS = "test_containers"
OF_A_MACHINE = ("test_a_guest_has_memory_of_its_node_and_processors_of_its_own",)      # which none but pretends to have


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "host" in metafunc.fixturenames:
        name = metafunc.function.__name__
        whole = os.environ.get("PILEUS_WHOLE_CONTRACT") == "1" or name in WITH_LIBVIRT
        metafunc.parametrize("kind", ["qemu", "libvirt"] if name in OF_A_MACHINE else [
            "containers"] if metafunc.module.__name__ == OF_CONTAINERS else [
            "fake", "qemu", *(["libvirt"] if whole else []), *(["containers"] if name in WITH_CONTAINERS else [])])


@pytest.fixture(scope="module")
def daemon(namespace: Path) -> Iterator[Path]:
    """The folder of a libvirtd. Its path is short, for sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="lv-"))
    yield folder
    stop_daemon(folder)
    shutil.rmtree(folder)


@pytest.fixture
async def host(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    if kind == "fake":
        chosen: Host = FakeHost(tmp_path / "guests")
    elif kind == "qemu":
        chosen = QemuHost(tmp_path, request.getfixturevalue("namespace"))
    else:
        of_libvirt = ContainerHost if kind == "containers" else LibvirtHost
        chosen = of_libvirt(tmp_path, request.getfixturevalue("namespace"), request.getfixturevalue("daemon"))
    yield chosen
    await chosen.clean()
