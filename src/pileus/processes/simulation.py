"""The real control plane over fake hosts in virtual time: work and failures by a seed, and what must hold meanwhile.

Users boot, stop, start, resize and delete servers. Hosts die and come back, messages are lost, repeated and late,
hypervisors refuse and dawdle, and the worker of sagas is ended and begins anew. Networks are left out: servers have
no cards. The work and the failures come from the seed; ids do not, so two runs are alike but not the same.

A real cloud of ten thousand hosts does in a day what takes a processor days. So there is a limit to what is asked for
and to what fails, which is spread over the hours; more hosts then mean more to choose from and to look at.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from pileus.compute.client import ComputeClient
from pileus.compute.config import ComputeConfig
from pileus.image.client import ImageClient
from pileus.kit.bus import ChaosBus
from pileus.kit.client import Refused
from pileus.kit.virtual_time import LoopClock
from pileus.network.config import NetworkConfig
from pileus.processes.audit import Audit
from pileus.processes.services import Services
from pileus.processes.settings import Settings
from pileus.processes.simulated_host import SimulatedHost
from pileus.processes.state import Passwords, StateFolder

HOUR = 3600.0
BOOTS_PER_HOST_AND_HOUR = 3.0
DEATHS_PER_HOST_AND_DAY, DEAD_SECONDS = 10.0, 1200.0
MOST_DEATHS = 500
IDLE_SECONDS = 30.0                  # nobody else starts sagas
SERVERS_PER_BOOT = 2.0               # on average
AUDITS = 300
CONDUCTOR_SECONDS = 1800.0           # between its ends
AUDIT_SECONDS = 300.0                # at least
CALM_SECONDS = 4 * HOUR              # that unfinished work may take once nothing fails any more
NAME = {"flavorRef": "1", "name": "sim", "networks": "none"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    hosts: int = 50
    hours: float = 1.0
    seed: int = 1
    quota: int = 0                   # of servers; 0 is about a quarter of what is booted
    servers: int = 1000              # that are asked for at most
    signs: int = 60_000              # of life that hosts give at most

    @property
    def boots(self) -> float:
        """Requests an hour."""
        return min(BOOTS_PER_HOST_AND_HOUR * self.hosts, self.servers / SERVERS_PER_BOOT / self.hours)

    @property
    def deaths(self) -> float:
        """Of hosts, an hour."""
        return min(DEATHS_PER_HOST_AND_DAY * self.hosts / 24, MOST_DEATHS / self.hours)

    @property
    def sign_seconds(self) -> float:
        """Between signs of life of a host."""
        return max(15.0, self.hosts * self.hours * HOUR / self.signs)


class Report(msgspec.Struct, kw_only=True):
    counts: collections.Counter[str]
    boot_seconds: list[float]        # virtual ones
    broken: list[str]                # what did not hold

    def lines(self) -> list[str]:
        said = [f"{name:28} {count:8}" for name, count in sorted(self.counts.items())]
        if self.boot_seconds:
            said.append(f"{'seconds to ACTIVE, median':28} {statistics.median(self.boot_seconds):8.1f}")
            said.append(f"{'seconds to ACTIVE, worst':28} {max(self.boot_seconds):8.1f}")
        return [*said, *(f"BROKEN: {each}" for each in self.broken)]


class Simulation:
    def __init__(self, folder: Path, plan: Plan):
        self.plan, self.chance = plan, random.Random(plan.seed)
        random.seed(plan.seed)
        state = StateFolder(folder)
        state.prepare()
        plain = Settings()
        self.every = plan.sign_seconds
        settings = msgspec.structs.replace(
            plain, compute=ComputeConfig(driver="fake", host_silent_after=4 * self.every),
            network=NetworkConfig(engine="fake", host_dead_after=1e9),
            image=msgspec.structs.replace(plain.image, directory=str(state.images)))
        self.bus = ChaosBus(plan.seed, loss=0.0, repeat=0.0, delay=0.0)
        self.services = Services(state, settings, self.bus)
        self.compute = self.services.compute
        self.compute.clock = LoopClock()
        self.compute.sagas.use_clock(self.compute.clock)
        self.compute.sagas.idle = IDLE_SECONDS
        self.api = self.services.client(ComputeClient, "/compute", "compute")
        self.hosts = [SimulatedHost(f"host-{number}", self.services, self.bus, self.every)
                      for number in range(1, plan.hosts + 1)]
        self.counts: collections.Counter[str] = collections.Counter()
        self.audit = Audit(self.services, self.hosts)
        self.broken: list[str] = []
        self.image = ""
        self._conductor: asyncio.Task[None] | None = None

    async def run(self) -> Report:
        await self._prepare()
        self._conductor = asyncio.create_task(self.compute.sagas.run())
        reconcilers = asyncio.create_task(self.compute.reconcilers.run())
        self.bus.loss, self.bus.repeat, self.bus.delay = 0.02, 0.02, 0.2
        end = asyncio.get_running_loop().time() + self.plan.hours * HOUR
        work = [asyncio.create_task(each) for each in (
            self._repeat(end, HOUR / self.plan.boots, self._boot),
            self._repeat(end, HOUR / (3 * self.plan.boots), self._change),
            self._repeat(end, HOUR / self.plan.deaths, self._kill_host),
            self._repeat(end, 600.0, self._spoil_host), self._repeat(end, CONDUCTOR_SECONDS, self._end_conductor),
            self._repeat(end, max(AUDIT_SECONDS, self.plan.hours * HOUR / AUDITS), self._check))]
        await asyncio.gather(*work)
        await self._calm_down()
        for task in (self._conductor, reconcilers):
            task.cancel()
        await asyncio.gather(self._conductor, reconcilers, return_exceptions=True)
        for host in self.hosts:
            await host.die()
        report = Report(counts=self.counts, boot_seconds=await self.audit.boot_seconds(), broken=self.broken)
        await self.services.close()
        return report

    async def _prepare(self) -> None:
        await self.services.prepare("http://127.0.0.1:5000", Passwords(admin="admin", demo="demo"))
        path = self.services.state.folder / "disk"
        await asyncio.to_thread(path.write_bytes, bytes(512))
        images = self.services.client(ImageClient, "/image", "image")
        await images.ensure_image("small", path)
        found = await images.find_by_name("small")
        assert found is not None
        self.image = found.id
        self.quota = self.plan.quota or max(2, int(self.plan.boots * self.plan.hours / 2))
        limits = {"instances": self.quota, "cores": -1, "ram": -1}
        await self.api.call("PUT", "/v2.1/os-quota-class-sets/default", {"quota_class_set": limits})
        for host in self.hosts:
            await host.rise()

    async def _repeat(self, end: float, pause: float, what: Callable[[], Awaitable[None]]) -> None:
        """Again and again until `end`, with pauses of `pause` seconds on average."""
        loop = asyncio.get_running_loop()
        while True:
            seconds = self.chance.expovariate(1 / pause)
            if loop.time() + seconds > end:
                return
            await asyncio.sleep(seconds)
            await what()

    # -- what users do ----------------------------------------------------------------------

    async def _boot(self) -> None:
        count = self.chance.choice([1, 1, 1, 5])
        body = {"server": NAME | {"imageRef": self.image, "min_count": count}}
        if await self._asked("boot", "POST", "/v2.1/servers", body):
            self.counts["servers booted"] += count

    async def _change(self) -> None:
        """Something at random to a server at random, which it may refuse."""
        found = await self.audit.servers()
        if not found:
            return
        server = found[self.chance.randrange(len(found))]
        path = f"/v2.1/servers/{server.id}"
        name = self.chance.choice(["delete", "delete", "stop", "start", "reboot", "resize", "settle"])
        if name == "delete":
            await self._asked(name, "DELETE", path)
        elif name == "settle":
            await self._asked("confirm", "POST", f"{path}/action", {"confirmResize": None})
        else:
            bodies = {"stop": {"os-stop": None}, "start": {"os-start": None}, "reboot": {"reboot": {"type": "HARD"}},
                      "resize": {"resize": {"flavorRef": self.chance.choice(["1", "2"])}}}
            await self._asked(name, "POST", f"{path}/action", bodies[name])

    async def _asked(self, name: str, method: str, path: str, body: object = None) -> bool:
        try:
            await self.api.call(method, path, body)
        except Refused as error:
            self.counts[f"{name}, refused {error.status}"] += 1
            if error.status >= 500:
                self.broken.append(f"{name} was answered {error.status}: {error.message}")
            return False
        self.counts[f"{name}, taken"] += 1
        return True

    # -- what fails -------------------------------------------------------------------------

    async def _kill_host(self) -> None:
        host = self.chance.choice(self.hosts)
        if host.alive:
            self.counts["hosts died"] += 1
            await host.die()
            asyncio.get_running_loop().call_later(self.chance.expovariate(1 / DEAD_SECONDS), host.rise_later)

    async def _spoil_host(self) -> None:
        """For a while its hypervisor refuses, or takes its time."""
        knobs = self.chance.choice(self.hosts).driver.knobs
        if self.chance.random() < 0.5:
            knobs.fail["ensure"] = "no"
        else:
            knobs.slow["*"] = 30.0
        self.counts["hypervisors spoiled"] += 1
        asyncio.get_running_loop().call_later(900.0, lambda: (knobs.fail.clear(), knobs.slow.clear()))

    async def _end_conductor(self) -> None:
        assert self._conductor is not None
        self._conductor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._conductor
        self.counts["conductor ended"] += 1
        self._conductor = asyncio.create_task(self.compute.sagas.run())

    # -- what must hold ---------------------------------------------------------------------

    async def _check(self) -> None:
        self.counts["audits"] += 1
        self.broken += await self.audit.always(self.quota)

    async def _calm_down(self) -> None:
        """Nothing fails any more: all work has to end, and everything has to agree."""
        self.bus.loss = self.bus.repeat = 0.0
        for host in self.hosts:
            host.driver.knobs.fail.clear()
            host.driver.knobs.slow.clear()
            if not host.alive:
                await host.rise()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + CALM_SECONDS
        while left := [*await self.audit.always(self.quota), *await self.audit.settled()]:
            if loop.time() > give_up:
                self.broken += left
                return
            await asyncio.sleep(60.0)
