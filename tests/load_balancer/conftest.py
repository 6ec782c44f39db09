"""A whole load balancer service with two fake hosts, and a network of which only ports and subnets are there."""

from __future__ import annotations

import ipaddress
import itertools

import httpx
import pytest

from pileus.kit import faults
from pileus.kit.bus import MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.client import Refused, Reply
from pileus.kit.clock import TurnedClock
from pileus.kit.ids import new_uuid
from pileus.kit.saga_engine import Engine
from pileus.kit.web import WebApp
from pileus.load_balancer import migrations
from pileus.load_balancer.agent.agent import Agent, handlers
from pileus.load_balancer.config import LoadBalancerConfig
from pileus.load_balancer.drivers.fake import FakeDriver
from pileus.load_balancer.messages import CONDUCTOR, HOST, HostSeen
from pileus.load_balancer.runtime import LoadBalancers
from pileus.load_balancer.service import SERVICE
from pileus.network.client import AddressDetail, FixedIp, Network, Port, PortDetail, Subnet, SubnetDetail

ROLES = {"admin": ("admin", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",)}
BASE = "/v2.0/lbaas"
FRONT, BACK = "front-net", "back-net"
SUBNETS = {"front": Subnet(id="front", network_id=FRONT, cidr="10.1.0.0/24", ip_version=4),
           "front6": Subnet(id="front6", network_id=FRONT, cidr="fd01::/64", ip_version=6),
           "back": Subnet(id="back", network_id=BACK, cidr="10.2.0.0/24", ip_version=4)}


async def authenticate(token: str) -> Caller:
    """Tokens are written role@project."""
    role, _, project = token.partition("@")
    if role not in ROLES:
        raise faults.Unauthorized()
    return Caller(user_id=f"{role}-of-{project}", project_id=project, roles=ROLES[role], token=token)


def refused(status: int, text: str) -> Refused:
    return Refused("network", Reply(status, {}, b'{"NeutronError": {"message": "%s"}}' % text.encode()))


class Ports:
    """What the load balancer service needs of networks."""

    def __init__(self):
        self.known: dict[str, Port] = {}
        self.down: set[str] = set()                    # that do not come up
        self._numbers = itertools.count(10)

    def as_caller(self, token):
        return self

    async def subnet(self, subnet_id):
        return SUBNETS.get(subnet_id)

    async def subnets(self, network_id):
        return [subnet for subnet in SUBNETS.values() if subnet.network_id == network_id]

    async def network(self, network_id):
        return Network(id=network_id, name=network_id) if network_id in (FRONT, BACK) else None

    async def show_port(self, port_id):
        return self.known.get(port_id)

    async def ports(self, device_owner):
        return [port for port in self.known.values() if port.device_owner == device_owner]

    def _fixed(self, wanted):
        subnet = SUBNETS[wanted["subnet_id"]]
        ip = wanted.get("ip_address") or str(ipaddress.ip_network(subnet.cidr)[next(self._numbers)])
        if ipaddress.ip_address(ip) not in ipaddress.ip_network(subnet.cidr):
            raise refused(400, f"IP address {ip} is not a valid IP for the specified subnet.")
        if any(fixed.ip_address == ip for port in self.known.values() for fixed in port.fixed_ips):
            raise refused(409, f"IP address {ip} already allocated in subnet {subnet.id}.")
        return FixedIp(subnet_id=subnet.id, ip_address=ip)

    async def ensure_ports(self, wanted):
        return [await self.ensure_port(each) for each in wanted]

    async def ensure_port(self, wanted):
        host = wanted.host if isinstance(wanted.host, str) else ""
        port = self.known.get(wanted.id) or Port(
            id=wanted.id, network_id=wanted.network_id, mac_address="fa:16:3e:00:00:01", status="DOWN",
            name=wanted.name or "", created_at="2020-01-01T00:00:00Z", device_owner=wanted.device_owner,
            project_id=wanted.project_id or "", fixed_ips=[self._fixed(each) for each in wanted.fixed_ips or ()])
        return await self._bound(port, host, wanted.device_id, wanted.device_owner)

    async def _bound(self, port, host, device_id, device_owner):
        self.known[port.id] = Port(
            id=port.id, network_id=port.network_id, mac_address=port.mac_address, device_id=device_id, host=host,
            name=port.name, created_at=port.created_at, device_owner=device_owner, project_id=port.project_id,
            fixed_ips=port.fixed_ips, status="ACTIVE" if host else "DOWN")
        return self.known[port.id]

    async def bind_port(self, port_id, host, device_id, *, device_owner):
        return await self._bound(self.known[port_id], host, device_id, device_owner)

    async def unbind_port(self, port_id):
        if port_id in self.known:
            await self._bound(self.known[port_id], "", "", "")

    async def ensure_no_port(self, port_id):
        self.known.pop(port_id, None)

    async def call(self, method, path, body):
        assert (method, path.rpartition("/")[0]) == ("PUT", "/v2.0/ports")

    async def port_details(self, device_ids):
        return {device_id: [self._detail(port) for port in self.known.values() if port.device_id == device_id]
                for device_id in device_ids}

    def _detail(self, port):
        subnets = [SubnetDetail(id=subnet.id, cidr=subnet.cidr, ip_version=subnet.ip_version,
                                gateway_ip=str(ipaddress.ip_network(subnet.cidr)[1]))
                   for subnet in SUBNETS.values() if subnet.network_id == port.network_id]
        return PortDetail(
            id=port.id, device_id=port.device_id, network_id=port.network_id, network_name="", mtu=1450,
            mac_address=port.mac_address, status="DOWN" if port.id in self.down else port.status, host=port.host,
            device=f"tap{port.id[:11]}", subnets=subnets, addresses=[
                AddressDetail(ip_address=fixed.ip_address, subnet_id=fixed.subnet_id) for fixed in port.fixed_ips])


class World(LoadBalancers):
    """Also what `prove` calls a world: sagas of other engines find everything here."""

    def __init__(self, database, **config):
        clock = TurnedClock()
        super().__init__(SERVICE, db=database, bus=MemoryBus(), clock=clock, engine=Engine(database, clock=clock),
                         config=LoadBalancerConfig(driver="fake", **config), network=Ports())
        self.drivers = {name: FakeDriver() for name in ("one", "two")}
        self.agents = {name: Agent(name, driver=driver, bus=self.bus, look_seconds=1.0)
                       for name, driver in self.drivers.items()}
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(WebApp(self, authenticate)), base_url="http://lb")

    async def begin(self):
        await self.bus.listen(CONDUCTOR, SERVICE.handlers, self)
        for name, agent in self.agents.items():
            await self.bus.listen(HOST, handlers, agent, host=name)
        await self.seen("one", "two")

    async def seen(self, *hosts):
        for name in hosts:
            await self.bus.call(HostSeen(host=name, unable=self.drivers[name].unable))

    async def call(self, method, path, body=None, *, token="member@p1", base=BASE):
        return await self.http.request(method, f"{base}{path}", json=body, headers={"x-auth-token": token})

    async def ok(self, method, path, body=None, **more):
        answer = await self.call(method, path, body, **more)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def refused(self, method, path, body=None, **more):
        """The status and the sentence."""
        answer = await self.call(method, path, body, **more)
        assert answer.is_error and answer.status_code != 500, (answer.status_code, answer.text)
        fault = answer.json()
        assert set(fault) == {"faultcode", "faultstring", "debuginfo"}
        return answer.status_code, fault["faultstring"]

    async def made(self, path, key, /, token="member@p1", **body):
        """A new thing, once hosts have it."""
        found = (await self.ok("POST", path, {key: body}, token=token))[key]
        await self.sagas.drain()
        return found

    async def balancer(self, **body):
        made = await self.made("/loadbalancers", "loadbalancer", **{"vip_subnet_id": "front"} | body)
        return made["id"]

    async def change(self, path, key, /, **body):
        found = (await self.ok("PUT", path, {key: body}))[key]
        await self.sagas.drain()
        return found

    async def remove(self, path):
        await self.ok("DELETE", path)
        await self.sagas.drain()

    async def show(self, path, **more):
        (found,) = (await self.ok("GET", path, **more)).values()
        return found

    async def list(self, path, **more):
        return (await self.ok("GET", path, **more))[path.strip("/").partition("?")[0].rpartition("/")[2]]

    def carried(self, balancer_id):
        """(host, what it has of the load balancer) for every host that has it."""
        return [(name, driver.known[balancer_id]) for name, driver in self.drivers.items()
                if balancer_id in driver.known]

    def spec(self, balancer_id):
        ((_, found),) = self.carried(balancer_id)
        return found


@pytest.fixture
async def make_world(make_db):
    worlds = []

    async def make(**config):
        worlds.append(World(await make_db(migrations), **config))
        await worlds[-1].begin()
        return worlds[-1]

    yield make
    for world in worlds:
        await world.http.aclose()


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
def user_port():
    return Port(id=new_uuid(), network_id=FRONT, mac_address="fa:16:3e:00:00:02", status="DOWN",
                fixed_ips=[FixedIp(subnet_id="front", ip_address="10.1.0.200")])
