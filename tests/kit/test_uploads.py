"""Bodies in pieces through a client, refusals that depend on the request, and rules beside those of the routes."""

import dataclasses

import pytest

from pileus.kit import faults
from pileus.kit.client import AsgiTransport
from pileus.kit.config import BadConfig
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx, WebApp
from tests.kit.toys import boxes

routes = Routes()


@routes.put("/count", policy=None, stream=True)
async def count(ctx: Ctx) -> dict[str, int]:
    sizes = [len(piece) async for piece in ctx.request.stream() if piece]
    if len(sizes) > 3:
        raise faults.BadRequest(reason="more than three")
    return {"pieces": len(sizes), "bytes": sum(sizes)}


def refusal(ctx: Ctx, fault: faults.Fault) -> tuple[bytes, str]:
    return f"{ctx.request.headers.get('accept')}: {fault}".encode(), "text/plain"


async def pieces(number):
    for _ in range(number):
        yield b"1234"


@pytest.fixture
def transport(world):
    world.service = dataclasses.replace(boxes.SERVICE, routes=routes, refusal=refusal)
    return AsgiTransport(WebApp(world, boxes.authenticate))


async def test_upload_in_pieces(transport):
    reply = await transport.upload("/count", {}, pieces(3))
    assert reply.status == 200 and reply.json() == {"pieces": 3, "bytes": 12}


async def test_refusals_may_depend_on_the_request(transport):
    reply = await transport.upload("/count", {"accept": "a/b"}, pieces(4))
    assert (reply.status, reply.body) == (400, b"a/b: more than three")


def test_extra_rules_are_known_to_policy():
    service = dataclasses.replace(boxes.SERVICE, rules=(Rule("toys:extra", "role:admin"),))
    assert service.policy().allows("toys:extra", {"roles": ["admin"]}, {})
    assert service.policy({"toys:extra": "@"}).allows("toys:extra", {"roles": []}, {})
    with pytest.raises(BadConfig):
        boxes.SERVICE.policy({"toys:extra": "@"})
