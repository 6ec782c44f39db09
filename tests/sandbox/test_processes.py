"""Processes are told apart from what is left of them."""

import subprocess

from pileus.sandbox.processes import Process
from tests.sandbox.conftest import wait_for


def test_one_that_is_taken_apart_is_ending() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        process = Process.of(sleeper.pid)
        assert process.alive and not process.is_ending
        sleeper.kill()
        assert wait_for(lambda: process.is_ending or None)          # nobody has collected it yet
        assert wait_for(lambda: not process.alive or None)
    assert process.is_ending and not process.alive
