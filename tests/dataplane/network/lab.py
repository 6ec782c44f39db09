"""Two hosts, an outside and guests as network namespaces of one machine, all under a prefix of their own."""

import asyncio
import os
import re
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from pileus.kit.child import child
from pileus.network.engine.linux import names
from pileus.network.engine.linux.agent import HostAgent, HostSettings
from pileus.network.engine.linux.engine import LinuxEngine
from pileus.network.engine.linux.external import external_bridge
from pileus.network.engine.linux.metadata import MetadataRequest, MetadataResponse
from pileus.network.engine.linux.wiring import PhysicalBridge
from pileus.network.engine.records import Port, State, Status

HERE = Path(__file__).parent
PATIENCE = 15.0           # seconds within which what is so must show
SILENCE = ("TimeoutError", "Error")


async def run(*command: str, check: bool = True, text: str = "") -> str:
    """Standard output and errors of a program."""
    with os.fdopen(os.memfd_create("input"), "w+b") as given:
        given.write(text.encode())
        given.seek(0)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert not check or process.returncode == 0, f"{command}: {output.decode()}"
    return output.decode()


async def batch(*lines: str, namespace: str | None = None) -> None:
    inside = ["-n", namespace] if namespace else []
    await run("ip", *inside, "-batch", "-", text="\n".join(lines) + "\n")


async def answer_metadata(request: MetadataRequest) -> MetadataResponse:
    body = f"{request.method} {request.path} {request.port_id} {request.device_id} {request.body.decode()}"
    return MetadataResponse(status=200, headers={"content-type": "text/plain"}, body=body.encode())


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


class Space:
    """A namespace that asks others for an answer."""

    def __init__(self, namespace: str):
        self.namespace = namespace

    async def exec(self, *command: str, check: bool = True) -> str:
        return await run("ip", "netns", "exec", self.namespace, *command, check=check)

    async def probe(self, *words: str) -> str:
        return (await self.exec(sys.executable, str(HERE / "probe.py"), *words)).strip()

    async def ask(self, address: str, port: int) -> str:
        """As whom the server there sees us, or how it refuses; silence and unreachable neighbours are asked again."""
        return await self.probe("ask", address, str(port), str(PATIENCE))

    async def reaches(self, address: str, *, source: str = "") -> bool:
        """Whether a ping is answered, in time: a kernel whose neighbour was silent asks for it again each second only,
        and keeps back till then what it is to send there."""
        give_up = asyncio.get_running_loop().time() + PATIENCE
        while not await self.ping(address, 1, source=source, seconds=2):
            if asyncio.get_running_loop().time() > give_up:
                return False
        return True

    async def misses(self, address: str, port: int = 0, *, alive: str = "", source: str = "") -> bool:
        """Whether no ping (or no TCP connection) is answered, though `alive` answers before and after. What is to hold
        holds at once, so once is enough; without `alive` the test itself shows that the way is one at other times."""
        assert not alive or await self.reaches(alive), f"{alive} is not there"
        if port:
            silent = await self.probe("ask", address, str(port), "0") in SILENCE
        else:
            silent = not await self.ping(address, 2, source=source)
        assert not alive or await self.reaches(alive), f"{alive} is there no more"
        return silent

    async def ping(self, address: str, count: int = 2, *, source: str = "", seconds: int = 1, size: int = 56) -> int:
        """How many answers came to so many pings. It says little of whether there is a way: see `reaches`."""
        own = ("-I", source) if source else ()
        output = await self.exec("ping", "-n", "-c", str(count), "-i", "0.2", "-W", str(seconds), "-s", str(size),
                                 "-M", "do", *own, address, check=False)
        return sum("bytes from" in line for line in output.splitlines())

    async def pings(self, address: str, answers: int) -> int:
        """How many were sent until so many were answered."""
        output = await self.exec("ping", "-n", "-c", str(answers), "-i", "0.2", "-w", str(int(PATIENCE)), address)
        return int(output.split(" packets transmitted")[0].split()[-1])


class Pinging:
    """A ping that goes on, and the file it writes to."""

    def __init__(self, process: asyncio.subprocess.Process, told: IO[bytes]):
        self.process, self.told = process, told

    def _answered(self) -> set[int]:
        return {int(number) for number in re.findall(rb"seq=(\d+) ttl", os.pread(self.told.fileno(), 1 << 24, 0))}

    async def lost(self) -> list[int]:
        """Ends it: those without an answer, once there are twenty more; the very last may be on their way still."""
        enough = len(self._answered()) + 20

        async def told() -> bool:
            return len(self._answered()) >= enough
        await eventually(told, PATIENCE)
        self.process.send_signal(signal.SIGINT)
        await self.process.wait()
        answered = self._answered()
        return sorted(set(range(1, max(answered))) - answered)


@asynccontextmanager
async def pinging(space: Space, address: str) -> AsyncIterator[Pinging]:
    """A ping every 10 ms for as long as the block lasts; one has been answered before that begins."""
    assert await space.reaches(address)
    with tempfile.TemporaryFile() as told:
        async with child("ip", "netns", "exec", space.namespace, "ping", "-n", "-i", "0.01", address,
                         stdout=told) as process:
            yield Pinging(process, told)


class Guest(Space):
    """A namespace with one link whose other end is named like the tap of a port."""

    def __init__(self, lab: "Lab", port: Port):
        super().__init__(f"{lab.prefix}g{port.id[:8]}")
        self.lab, self.port = lab, port
        self.tap = names.link(names.TAP, port.id)
        self.ip = port.fixed_ips[0].ip

    async def make(self) -> None:
        await run("ip", "netns", "add", self.namespace)
        await batch(
            "link set lo up", f"link add eth0 address {self.port.mac} type veth peer name {self.tap} netns {self.host}",
            "link set eth0 up", namespace=self.namespace)

    @property
    def host(self) -> str:
        return self.lab.host_namespace(str(self.port.host))

    async def lease(self) -> str:
        options = [word for option in ("mtu", "staticroutes", "hostname", "domain", "tftp", "bootfile",
                                               "ntpsrv") for word in ("-O", option)]
        output = await self.exec(
            "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "10", "-T", "1", *options,
            "-s", str(HERE / "udhcpc.sh"), check=False)
        return next((line for line in output.splitlines() if line.startswith("LEASE")), output)

    async def six(self, kind: str, tries: int = 8) -> str:
        """What a DHCPv6 server says: 'solicit' asks for an address and takes it, 'inform' for the rest only."""
        return await self.probe("six", kind, str(tries))

    async def fetch(self, path: str, *body: str) -> str:
        return await self.probe("fetch", "169.254.169.254", path, *body)


class Program:
    """A probe that stays, inside a namespace."""

    def __init__(self, process: asyncio.subprocess.Process):
        self.process = process

    @classmethod
    async def start(cls, namespace: str, *arguments: str, ready: bool = True) -> "Program":
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", namespace, sys.executable, str(HERE / "probe.py"), *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        program = cls(process)
        if ready:
            assert await program.line() == "ready"
        return program

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().strip()

    async def say(self, text: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        return await self.line()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.wait()


class Lab:
    def __init__(self) -> None:
        self.prefix = f"t{os.getpid() % 100000}{uuid.uuid4().hex[:3]}-"
        self.hosts = {"h1": "192.0.2.1", "h2": "192.0.2.2"}
        self.outside, self.world, self.underlay = (self.prefix + name for name in ("out", "world", "ul"))
        self.agents: dict[str, HostAgent] = {}
        self.programs: list[Program] = []
        self.seen: list[Status] = []
        self.logs = tempfile.TemporaryDirectory()
        self.engine = LinuxEngine(lambda host: self.agents[host])

    def beyond(self) -> Space:
        """Whoever is on the external network."""
        return Space(self.outside)

    def host_name(self, host: str) -> str:
        """Hosts of two labs on one machine must not share namespaces of routers and services."""
        return self.prefix + host

    def host_namespace(self, host: str) -> str:
        return host if host.startswith(self.prefix) else self.prefix + host

    def packet_log(self, host: str) -> Path:
        return Path(self.logs.name) / f"{host}.log"

    def meter_log(self, host: str) -> Path:
        return Path(self.logs.name) / f"{host}-meters.log"

    async def make(self) -> None:
        spaces = [self.host_namespace(host) for host in self.hosts] + [self.outside, self.world, self.underlay]
        await batch(*(f"netns add {space}" for space in spaces))
        await batch(
            "link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set br0 up", namespace=self.underlay)
        for host, address in self.hosts.items():
            space = self.host_namespace(host)
            await batch(
                f"link add {host} type veth peer name eth0 netns {space}", f"link set {host} master br0 up",
                namespace=self.underlay)
            await batch("link set lo up", f"address add {address}/24 dev eth0", "link set eth0 up", namespace=space)
        await batch(
            "link set lo up", f"link add up0 type veth peer name eth0 netns {self.world}",
            "address add 203.0.113.1/24 dev up0", "link set up0 up", namespace=self.outside)
        await batch("address add 203.0.113.2/24 dev eth0", "link set eth0 up", namespace=self.world)
        external_bridge("br-ex", ["198.51.100.1/24"], namespace=self.outside)
        for host in self.hosts:
            await self.start_agent(host)

    async def start_agent(self, host: str) -> HostAgent:
        name = self.host_name(host)
        settings = HostSettings(
            name=name, namespace=self.host_namespace(host),
            physical={"public": PhysicalBridge(bridge="br-ex", namespace=self.outside)},
            packet_log=self.packet_log(host), meter_log=self.meter_log(host), meter_seconds=0.0)
        agent = HostAgent(settings, answer_metadata, self.engine.feed)
        await agent.start()
        self.agents[name] = agent
        return agent

    async def serve(self, namespace: str, port: int) -> None:
        program = await Program.start(namespace, "serve", str(port))
        self.programs.append(program)

    async def close(self) -> None:
        for program in self.programs:
            await program.stop()
        for agent in self.agents.values():
            await agent.close()
        await self.engine.close()
        self.logs.cleanup()
        spaces = [line.split()[0] for line in (await run("ip", "netns", "list")).splitlines()]
        await batch(*(f"netns delete {space}" for space in spaces if space.startswith(self.prefix)))

    async def until(self, kind: str, record_id: str, state: State, seconds: float = 10) -> Status:
        """The status, once it is known."""
        async with asyncio.timeout(seconds):
            while True:
                for status in self.engine.feed.known.values():
                    if (status.kind, status.id, status.state) == (kind, record_id, state):
                        return status
                await asyncio.sleep(0.005)
