"""pileus simulate: the control plane over fake hosts in virtual time, with failures. Needs no cloud and leaves none."""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
import time
from pathlib import Path

from pileus.commands.trouble import Trouble
from pileus.kit.virtual_time import VirtualLoop
from pileus.processes.simulation import Plan, Report, Simulation

__all__ = ["Trouble", "simulate", "simulated"]


def simulated(plan: Plan) -> Report:
    with tempfile.TemporaryDirectory(prefix="pileus-simulate-") as folder, \
            asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(Simulation(Path(folder), plan).run())


def simulate(given: argparse.Namespace) -> int:
    """0: everything held; 1: something did not."""
    logging.disable(logging.ERROR)
    began, spent = time.monotonic(), time.process_time()
    report = simulated(Plan(hosts=given.hosts, hours=given.hours, seed=given.seed, servers=given.servers))
    took, spent = time.monotonic() - began, time.process_time() - spent
    print("\n".join(report.lines()))
    print(f"{given.hosts} hosts, {given.hours:g} hours in {took:.1f} s ({spent:.1f} s of processor time): "
          f"{report.counts['servers booted'] / max(took, 0.001):.1f} servers a second")
    print("everything held" if not report.broken else f"{len(report.broken)} times something did not hold")
    return 1 if report.broken else 0
