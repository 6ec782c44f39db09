"""A build of the guest image that is not waited for: there is one at a time, and it ends with its cloud."""

import shutil
from pathlib import Path

from pileus.processes.build_guest_image import begin_build, end_build
from pileus.processes.state import StateFolder
from pileus.sandbox.processes import Process
from tests.fault.cloud import wait


def test_a_build_ends_with_its_cloud(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.prepare()
    begin_build(state)
    build = Process.read(state.guest_image_process)
    wait("the build to fetch something", lambda: any((state.guest_image / "packages").rglob("*")), 60)
    begin_build(state)
    assert build is not None and build.alive and Process.read(state.guest_image_process) == build
    end_build(state)
    assert not build.alive
    shutil.rmtree(state.folder)
    assert not state.folder.exists()
