"""Two hosts, an outside and guests as network namespaces of one machine, all under a prefix of their own."""

import asyncio
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from pileus.network.engine.linux import names
from pileus.network.engine.linux.agent import HostAgent, HostSettings
from pileus.network.engine.linux.engine import LinuxEngine
from pileus.network.engine.linux.external import external_bridge
from pileus.network.engine.linux.metadata import MetadataRequest, MetadataResponse
from pileus.network.engine.linux.wiring import PhysicalBridge
from pileus.network.engine.records import Port, State, Status

HERE = Path(__file__).parent


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


class Guest:
    """A namespace with one link whose other end is named like the tap of a port."""

    def __init__(self, lab: "Lab", port: Port):
        self.lab, self.port = lab, port
        self.namespace = f"{lab.prefix}g{port.id[:8]}"
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

    async def exec(self, *command: str, check: bool = True) -> str:
        return await run("ip", "netns", "exec", self.namespace, *command, check=check)

    async def ping(self, address: str, count: int = 2) -> int:
        """How many answers came."""
        output = await self.exec("ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", address, check=False)
        return sum("bytes from" in line for line in output.splitlines())

    async def lease(self) -> str:
        options = [word for option in ("mtu", "staticroutes", "hostname", "domain", "tftp", "bootfile",
                                               "ntpsrv") for word in ("-O", option)]
        output = await self.exec(
            "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "4", "-T", "1", *options,
            "-s", str(HERE / "udhcpc.sh"), check=False)
        return next((line for line in output.splitlines() if line.startswith("LEASE")), output)

    async def ask(self, address: str, port: int) -> str:
        return (await self.exec(sys.executable, str(HERE / "probe.py"), "ask", address, str(port))).strip()

    async def six(self, kind: str) -> str:
        """What a DHCPv6 server says: 'solicit' asks for an address and takes it, 'inform' for the rest only."""
        return (await self.exec(sys.executable, str(HERE / "probe.py"), "six", kind)).strip()

    async def fetch(self, path: str, *body: str) -> str:
        return await self.exec(sys.executable, str(HERE / "probe.py"), "fetch", "169.254.169.254", path, *body)


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

    async def until(self, kind: str, record_id: str, state: State, seconds: float = 5) -> Status:
        """The status, once it is known."""
        async with asyncio.timeout(seconds):
            while True:
                for status in self.engine.feed.known.values():
                    if (status.kind, status.id, status.state) == (kind, record_id, state):
                        return status
                await asyncio.sleep(0.005)
