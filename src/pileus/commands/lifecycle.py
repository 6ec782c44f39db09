"""pileus up, down, status, destroy."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import msgspec

from pileus.commands.trouble import Trouble
from pileus.kit.sockets import listen
from pileus.processes.build_guest_image import begin_build, end_build
from pileus.processes.state import Choices, StateFolder, default_folder
from pileus.sandbox import Sandbox, SandboxError
from pileus.sandbox.processes import Process

__all__ = ["Trouble", "destroy", "down", "status", "up"]
STOP_SECONDS = 90.0


def state_of(given: argparse.Namespace) -> StateFolder:
    return StateFolder(given.state or default_folder())


def base_url(choices: Choices) -> str:
    return f"http://127.0.0.1:{choices.port}"


# -- up -------------------------------------------------------------------------------------------


def up(given: argparse.Namespace) -> int:
    state = state_of(given)
    if running(state) is not None:
        mend(state)
        print(f"The cloud in {state.folder} runs already: {base_url(state.choices())}")
        return 0
    began = time.monotonic()
    choices = prepare(given, state)
    if given.detach:
        start_detached(state, choices)
        tell_ready(state, choices, time.monotonic() - began)
        return 0
    with locked(state):
        return serve(state, choices, ready=lambda: tell_ready(state, choices, time.monotonic() - began))


def mend(state: StateFolder) -> None:
    """Hold the networks of a running cloud, and link them to this machine, where whoever did so was killed."""
    try:
        Sandbox(state.folder).ensure([])
    except SandboxError as error:
        raise Trouble(str(error)) from error


def prepare(given: argparse.Namespace, state: StateFolder) -> Choices:
    """What was asked for this time or earlier, after a look at whether this machine can do it."""
    try:
        state.prepare()
    except OSError as error:
        raise Trouble(f"the state folder cannot be made: {error}. Name another one with --state DIR.") from error
    asked = {name: value for name in ("port", "hosts", "driver") if (value := getattr(given, name)) is not None}
    choices = msgspec.structs.replace(state.choices(), **asked)
    if not 1 <= choices.hosts <= 50:
        raise Trouble("--hosts takes 1 to 50")
    sandbox = Sandbox(state.folder)
    if lacking := sandbox.checks([choices.port]):
        raise Trouble("this machine is not ready:\n" + "\n".join(
            f"  {each.what}: {each.why}\n    cure: {each.cure}" for each in lacking)
            + "\n'pileus doctor' looks at everything.")
    state.keep(choices)
    return choices


@contextlib.contextmanager
def locked(state: StateFolder):
    """One cloud per state folder; the kernel takes the lock back from whoever is killed."""
    lock = os.open(state.run / "cloud.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Trouble(f"another pileus is just starting or stopping the cloud in {state.folder}") from None
    try:
        yield
    finally:
        os.close(lock)


def serve(state: StateFolder, choices: Choices, *, ready) -> int:
    """Enter the sandbox and be the cloud until told to stop."""
    if choices.driver != "fake":
        begin_build(state)
    try:
        # A socket belongs to the network it was made in: this one stays with the machine, and needs no forwarding.
        listener = listen("127.0.0.1", choices.port)
        sandbox = Sandbox(state.folder)
        sandbox.ensure([])
        sandbox.enter()
    except (OSError, SandboxError) as error:
        raise Trouble(str(error)) from error
    gc.disable()             # until the cloud answers: all that is made by then stays, and to look at it takes a second
    # Only now: libraries of the whole program start threads, and a process with threads cannot join a sandbox.
    from pileus.processes import embedded  # noqa: PLC0415
    try:
        return embedded.main(state, choices, listener, ready=ready)
    except embedded.CannotStart as error:
        raise Trouble(str(error)) from error


def start_detached(state: StateFolder, choices: Choices) -> None:
    """Fork the cloud off; return when it answers. Raises Trouble with what it said if it does not come up."""
    news, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(news)
        _become_daemon(state, choices, tell)
    os.close(tell)
    with os.fdopen(news) as reader:
        said = reader.read()
    if said != "ready":
        os.waitpid(child, 0)
        raise Trouble(said or f"the cloud ended while starting; {state.log / 'pileus.out'} tells more")


def _become_daemon(state: StateFolder, choices: Choices, tell: int) -> None:
    """Never returns."""
    status = 1
    try:
        os.setsid()
        out = os.open(state.log / "pileus.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(source, target)

        def ready() -> None:
            os.write(tell, b"ready")
            os.close(tell)
        with locked(state):
            status = serve(state, choices, ready=ready)
    except Trouble as trouble:
        os.write(tell, str(trouble).encode())
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def tell_ready(state: StateFolder, choices: Choices, seconds: float) -> None:
    print(f"The cloud answers at {base_url(choices)} after {seconds:.1f} s.\n"
          f"  export OS_CLIENT_CONFIG_FILE={state.folder}/clouds.yaml OS_CLOUD=pileus\n"
          f"  openstack server list", flush=True)


# -- down, status, destroy ------------------------------------------------------------------------


def running(state: StateFolder) -> Process | None:
    """The process of the cloud, if it is alive; known by more than its pid, which somebody else may have by now."""
    process = Process.read(state.process_file)
    return process if process is not None and process.alive else None


def down(given: argparse.Namespace) -> int:
    state = state_of(given)
    if not state.folder.is_dir():
        raise Trouble(f"there is no cloud in {state.folder}")
    stop(state)
    print("The cloud is down. 'pileus up' starts it again, with the servers that ran.")
    return 0


def stop(state: StateFolder) -> None:
    """Let guests shut down, end the cloud's process, then the sandbox and whatever is left in it."""
    process = running(state)
    if process is not None:
        state.stop_guests.touch()
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        give_up = time.monotonic() + STOP_SECONDS
        while process.alive and time.monotonic() < give_up:
            time.sleep(0.05)
    try:
        Sandbox(state.folder).stop()
    except SandboxError as error:
        raise Trouble(str(error)) from error
    for left in (state.pid_file, state.process_file, state.stop_guests):
        left.unlink(missing_ok=True)


def status(given: argparse.Namespace) -> int:
    state = state_of(given)
    process, sandbox = running(state), Sandbox(state.folder)
    if not state.exists:
        print(f"There is no cloud in {state.folder}. 'pileus up' makes one.")
        return 3
    choices = state.choices()
    print(f"state    {state.folder}")
    print(f"cloud    {f'runs, process {process.pid}, {base_url(choices)}' if process else 'does not run'}")
    print(f"network  {'up' if sandbox.alive else 'down'}")
    print(f"hosts    {choices.hosts}, driver {choices.driver}")
    return 0 if process else 3


def mounted_below(folder: Path) -> list[str]:
    """Where other file systems are mounted in the folder, such as shares for volumes."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [place for place in places if place.startswith(f"{folder.resolve()}/")]


def destroy(given: argparse.Namespace) -> int:
    state = state_of(given)
    if not state.folder.is_dir():
        print(f"There is no cloud in {state.folder}.")
        return 0
    if not state.exists:
        raise Trouble(f"{state.folder} is no state folder of Pileus; nothing was touched")
    if not given.yes:
        if not sys.stdin.isatty():
            raise Trouble("say --yes to delete every server, image and network of the cloud in " + str(state.folder))
        answer = input(f"Delete every server, image and network of the cloud in {state.folder}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return 1
    stop(state)
    end_build(state)
    if below := mounted_below(state.folder):
        raise Trouble(f"{below[0]} is a file system of its own, maybe shared with others; unmount it first")
    shutil.rmtree(state.folder)
    print(f"{state.folder} is gone, and the cloud with it.")
    return 0
