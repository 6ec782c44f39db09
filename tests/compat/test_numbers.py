"""Numbers too great, and words that are none, wherever a number may stand: never a 500."""

from __future__ import annotations

import json

from tests.compat.bad_input import NUMBERS, Generator
from tests.compat.test_bad_input import BY_THE_USER, HEADERS, SERVICES, complaint, known_of, victims


async def test_strange_numbers(cloud_on, database_kind):
    """Columns of 32 bits are only where servers keep them; what is no number of 64 bits comes to no database."""
    numbers = NUMBERS if database_kind == "sqlite" else NUMBERS[:1]
    asked, found = dict.fromkeys(SERVICES, 0), dict[str, str]()
    things = await victims(cloud_on, "n", volumes=True, balancers=True)
    known = known_of(things)
    for service, made in SERVICES.items():
        version = made.ledger.newest
        plain = {"openstack-api-version": f"{HEADERS[service]} {version}"} if service in HEADERS else {}
        generator = Generator(made, version, known, things[service].keys(), 1)
        for request in generator.strange_numbers(numbers):
            content = None if request.body is None else json.dumps(request.body).encode()
            headers = plain | ({"content-type": request.media} if content else {})
            answer = await cloud_on.call(request.method, f"/{service}{request.path}", content=content,
                                         headers=headers, token=known.get(BY_THE_USER.get(request.operation, "")))
            asked[service] += 1
            if wrong := complaint(service, answer):
                found.setdefault(wrong[:60] + request.operation,
                                 f"{request.method} {request.path[:200]} {(content or b'')[:300]!r}: {wrong}")
    print(asked)
    assert not found, "\n".join(found.values())
    assert min(asked.values()) > 100
