"""Building the image every new cloud has: outside the sandbox, with the network this machine reaches packages by."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from pileus.processes.state import StateFolder
from pileus.sandbox.processes import Process, end

NAME = "cirros-pileus"           # tests and tutorials look for an image named like cirros
PREBUILT = "PILEUS_GUEST_IMAGE"  # a folder with an image that is built already


def disk_of(folder: Path) -> Path:
    return folder / f"{NAME}.qcow2"


def begin_build(state: StateFolder) -> None:
    """Start the build in a process of its own, unless the image is there or being built. To be called outside the
    sandbox."""
    if disk_of(state.guest_image).exists() or _going_on(state):
        return
    state.guest_image_failed.unlink(missing_ok=True)
    if prebuilt := os.environ.get(PREBUILT):
        state.guest_image.mkdir(exist_ok=True)
        shutil.copyfile(disk_of(Path(prebuilt)), disk_of(state.guest_image))
        return
    with open(state.log / "guest-image.log", "ab") as file:
        begun = subprocess.Popen([sys.executable, "-m", "pileus.processes.build_guest_image", str(state.folder)],
                                 stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True)
    Process.of(begun.pid).write(state.guest_image_process)


def _going_on(state: StateFolder) -> Process | None:
    build = Process.read(state.guest_image_process)
    return build if build is not None and build.alive else None


def end_build(state: StateFolder) -> None:
    """End a build that goes on: it would go on writing to a folder that is being removed."""
    build = _going_on(state)
    if build is not None:
        os.killpg(build.pid, signal.SIGKILL)     # with the programs it runs
        end([build])


def main(folder: str) -> int:
    """What the process does; how it failed is kept for the cloud to tell."""
    from pileus import guest_image  # noqa: PLC0415 - only the process that builds needs it
    state = StateFolder(Path(folder))
    try:
        guest_image.build(state.guest_image, state.guest_image / "packages", lambda text: print(text, flush=True))
    except (guest_image.BuildFailed, OSError) as error:
        state.guest_image_failed.write_text(str(error))
        return 1
    shutil.rmtree(state.guest_image / "packages", ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
