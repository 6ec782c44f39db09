"""The configuration of single domains: what it takes, shows, and keeps to itself."""

import sqlalchemy as sa

from pileus.identity.model.domain_options import domain_options, of_domain
from pileus.identity.model.oauth import get_consumer
from pileus.identity.rotation import rotate_credential_keys
from pileus.kit import db

CONFIG = {"identity": {"driver": "ldap"},
          "ldap": {"url": "ldap://nowhere", "user": "cn=x", "password": "hush-hush", "page_size": 5}}
SHOWN = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://nowhere", "user": "cn=x", "page_size": 5}}


async def config(world, token, method, domain_id, path="", body=None):
    return await world.ask(token, method, f"/v3/domains/{domain_id}/config{path}",
                           None if body is None else {"config": body})


async def test_life_of_a_configuration(world, admin):
    id = (await world.make(admin, "domains", name="d"))["id"]
    assert (await config(world, admin, "GET", id)).status_code == 404
    made = await config(world, admin, "PUT", id, body=CONFIG)
    assert (made.status_code, made.json()) == (201, {"config": SHOWN})
    assert (await config(world, admin, "PUT", id, body=CONFIG)).status_code == 200
    for path, shown in (("", SHOWN), ("/ldap", {"ldap": SHOWN["ldap"]}), ("/ldap/url", {"url": "ldap://nowhere"})):
        assert (await config(world, admin, "GET", id, path)).json() == {"config": shown}
        assert (await config(world, admin, "HEAD", id, path)).status_code == 200
    changed = await config(world, admin, "PATCH", id, "/ldap/url", {"url": "ldap://there"})
    assert changed.json()["config"]["ldap"]["url"] == "ldap://there"
    changed = await config(world, admin, "PATCH", id, "/ldap", {"ldap": {"use_tls": True}})
    assert changed.json()["config"]["ldap"] == SHOWN["ldap"] | {"url": "ldap://there", "use_tls": True}
    assert (await config(world, admin, "PATCH", id, body={"identity": {"list_limit": 5}})).status_code == 200
    for path, left in (("/ldap/url", "/ldap/url"), ("/ldap", "/ldap"), ("", "")):
        assert (await config(world, admin, "DELETE", id, path)).status_code == 204
        assert (await config(world, admin, "GET", id, left)).status_code == 404
        assert (await config(world, admin, "DELETE", id, path)).status_code == 404


async def test_the_password_is_neither_shown_nor_stored_as_it_is(world, admin):
    id = (await world.make(admin, "domains", name="d"))["id"]
    await config(world, admin, "PUT", id, body=CONFIG)
    for path in ("", "/ldap", "/ldap/password"):
        assert "hush-hush" not in (await config(world, admin, "GET", id, path)).text
    assert (await config(world, admin, "GET", id, "/ldap/password")).status_code == 404
    assert "password" not in (await world.ask(admin, "GET", "/v3/domains/config/ldap/default")).json()["config"]["ldap"]
    assert (await world.ask(admin, "GET", "/v3/domains/config/ldap/password/default")).status_code == 403
    assert (await config(world, admin, "PATCH", id, "/ldap/password", {"password": "other"})).status_code == 200
    async with world.db.read() as reader:
        stored = await db.scalars(reader, sa.select(domain_options.c.value))
    assert not any("hush-hush" in value or "other" in value for value in stored)


async def test_the_password_survives_the_rotation_of_keys(world, admin):
    id = (await world.make(admin, "domains", name="d"))["id"]
    await config(world, admin, "PUT", id, body=CONFIG)
    consumer = await world.make(admin, "OS-OAUTH1/consumers", description="c")
    for _ in range(4):
        await rotate_credential_keys(world)
    async with world.db.read() as reader:
        stored = [option for option in await of_domain(reader, id) if option.sensitive]
        kept = await get_consumer(reader, consumer["id"])
    assert [world.directories.value(option) for option in stored] == ["hush-hush"]
    assert world.credential_keys.decrypt(kept.secret).decode() == consumer["secret"]


async def test_only_known_options_are_taken(world, admin):
    id = (await world.make(admin, "domains", name="d"))["id"]
    for body in ({}, {"other": {"x": 1}}, {"ldap": {"x": 1}}, {"ldap": {}}, {"ldap": 5}, {"ldap": None}):
        assert (await config(world, admin, "PUT", id, body=body)).status_code == 403, body
    await config(world, admin, "PUT", id, body=CONFIG)
    for path, body in (("/other", {"other": {"x": 1}}), ("/ldap", {"identity": {"driver": "sql"}}),
                       ("/ldap/x", {"x": 1}), ("/ldap/url", {"user": "x"}), ("/ldap", {"ldap": {"x": 1}})):
        assert (await config(world, admin, "PATCH", id, path, body)).status_code == 403, path
    assert (await config(world, admin, "PATCH", id, "/ldap/suffix", {"suffix": "x"})).status_code == 404
    assert (await config(world, admin, "GET", id, "/other")).status_code == 403
    assert (await config(world, admin, "PUT", "nowhere", body=CONFIG)).status_code == 404


async def test_defaults(world, admin):
    found = (await world.ask(admin, "GET", "/v3/domains/config/default")).json()["config"]
    assert found["identity"] == {"driver": "sql", "list_limit": None} and found["ldap"]["user_objectclass"]
    assert (await world.ask(admin, "GET", "/v3/domains/config/identity/driver/default")).json() == {
        "config": {"driver": "sql"}}
    assert (await world.ask(admin, "GET", "/v3/domains/config/other/default")).status_code == 403


async def test_it_is_for_administrators(world, admin, demo):
    id = (await world.make(admin, "domains", name="d"))["id"]
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = await config(world, demo, method, id, body=CONFIG if method in ("PUT", "PATCH") else None)
        assert answer.status_code == 403
    assert (await world.ask(demo, "GET", "/v3/domains/config/default")).status_code == 403
