"""Effective assignments against a naive model, for random trees, groups and implied roles; and how they look."""

import asyncio
import itertools

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pileus.identity import migrations
from pileus.identity.model import assignments, projects, roles
from pileus.identity.model.assignments import Wanted
from pileus.identity.model.projects import new_domain, new_project
from pileus.identity.model.tables import (
    SYSTEM,
    groups,
    implied_roles,
    memberships,
    users,
)
from pileus.identity.model.tables import assignments as assignment_table
from pileus.identity.model.tables import roles as role_table
from pileus.identity.model.users import Group, User
from pileus.identity.service_tokens import fixed_id
from pileus.kit import db, migrate
from pileus.kit.db import Db
from tests.examples import examples

USERS, GROUPS, ROLES = ("u0", "u1", "u2"), ("g0", "g1"), ("r0", "r1", "r2", "r3")
PARENTS = {"p0": "d0", "p1": "p0", "p2": "p1", "p3": "d0", "q0": "d1"}
PLACES = ("d0", "d1", *PARENTS)


@st.composite
def worlds(draw):
    members = draw(st.sets(st.tuples(st.sampled_from(USERS), st.sampled_from(GROUPS)), max_size=4))
    implied = draw(st.sets(st.tuples(st.sampled_from(ROLES), st.sampled_from(ROLES)), max_size=4))
    given_ = draw(st.sets(st.tuples(st.sampled_from(USERS + GROUPS), st.sampled_from((*PLACES, SYSTEM)),
                                    st.sampled_from(ROLES), st.booleans()), max_size=6))
    return members, implied, {g for g in given_ if not (g[1] == SYSTEM and g[3])}


def naive(members, implied, given_):
    """All (user, place, role) that hold, by the words of the specification."""
    held = set()
    for actor, place, role, inherited in given_:
        people = [actor] if actor in USERS else [u for u, g in members if g == actor]
        places = [place]
        if inherited:
            places = [p for p in PARENTS if place in ancestors(p)]
        held |= set(itertools.product(people, places, [role]))
    while True:
        more = {(u, p, b) for u, p, r in held for a, b in implied if a == r} - held
        if not more:
            return held
        held |= more


def ancestors(place):
    while place in PARENTS:
        place = PARENTS[place]
        yield place


async def fill(tx, members, implied, given_):
    for table in (assignment_table, memberships, implied_roles):
        await tx.execute(table.delete())
    for user, group in sorted(members):
        await tx.execute(memberships.insert().values(user_id=user, group_id=group))
    for prior, implies in sorted(implied):
        await tx.execute(implied_roles.insert().values(prior_id=prior, implied_id=implies))
    for actor, place, role, inherited in sorted(given_):
        named = {"user_id": actor} if actor in USERS else {"group_id": actor}
        await db.add(tx, assignment_table, roles.assignment(
            target_id=place, role_id=role, inherited=inherited, **named))


async def make_places(database):
    await migrate.bring_up_to_date(database, migrations)
    async with database.write() as tx:
        known = {name: new_domain(name, name) for name in ("d0", "d1")}
        for name, parent in PARENTS.items():
            known[name] = new_project(name, name, known[parent])
        for place in known.values():
            await projects.add(tx, place)
        await db.add(tx, users, *(User(id=u, domain_id="d0", name=u) for u in USERS))
        await db.add(tx, groups, *(Group(id=g, domain_id="d0", name=g) for g in GROUPS))
        await db.add(tx, role_table, *(roles.Role(id=r, name=r) for r in ROLES))


def test_effective_assignments_are_those_of_the_naive_model(tmp_path):
    loop = asyncio.new_event_loop()
    database = Db(f"sqlite:///{tmp_path}/model.db")
    loop.run_until_complete(make_places(database))

    async def check(members, implied, given_):
        async with database.write() as tx:
            await fill(tx, members, implied, given_)
        expected = naive(members, implied, given_)
        async with database.read() as reader:
            graph = await roles.graph(reader)

            async def found(**wanted):
                rows = await assignments.effective(reader, Wanted(**wanted), graph)
                return {(row.user_id, row.target_id, row.role_id) for row in rows}
            assert await found() == expected
            for user in USERS:
                assert await found(user_id=user) == {e for e in expected if e[0] == user}
            for place in (*PLACES, SYSTEM):
                assert await found(target_id=place) == {e for e in expected if e[1] == place}
                chain = list(ancestors(place))
                held = graph.effective(await roles.held(reader, "u0", place, chain))
                assert {role.id for role in held} == {r for u, p, r in expected if (u, p) == ("u0", place)}

    @settings(max_examples=examples(60), deadline=None, derandomize=True, database=None,
              phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
    @given(worlds())
    def holds(world):
        loop.run_until_complete(check(*world))

    holds()
    loop.run_until_complete(database.close())
    loop.close()


async def test_how_assignments_look(world, admin):
    demo, project = fixed_id("user", "demo"), fixed_id("project", "demo")
    url = f"/v3/role_assignments?user.id={demo}"
    plain = (await world.ask(admin, "GET", url)).json()["role_assignments"]
    assert plain == [{
        "role": {"id": fixed_id("role", "member")}, "user": {"id": demo}, "scope": {"project": {"id": project}},
        "links": {"assignment": f"http://cloud:5000/identity/v3/projects/{project}/users/{demo}/roles/"
                                f"{fixed_id('role', 'member')}"}}]
    named = (await world.ask(admin, "GET", f"{url}&include_names")).json()["role_assignments"][0]
    assert named["user"] == {"id": demo, "name": "demo", "domain": {"id": "default", "name": "Default"}}
    assert named["role"]["name"] == "member" and named["scope"]["project"]["name"] == "demo"
    effective = (await world.ask(admin, "GET", f"{url}&effective")).json()["role_assignments"]
    assert {a["role"]["id"] for a in effective} == {fixed_id("role", "member"), fixed_id("role", "reader")}
    assert any("prior_role" in a["links"] for a in effective)
    system = (await world.ask(admin, "GET", "/v3/role_assignments?scope.system=all")).json()["role_assignments"]
    assert [a["scope"] for a in system] == [{"system": {"all": True}}]
    for bad in ("effective&group.id=x", "user.id=a&group.id=b", "scope.project.id=a&scope.domain.id=b",
                "include_subtree=true"):
        assert (await world.ask(admin, "GET", f"/v3/role_assignments?{bad}")).status_code == 400, bad
    inherit = f"/v3/OS-INHERIT/domains/default/users/{demo}/roles/{fixed_id('role', 'reader')}/inherited_to_projects"
    assert (await world.ask(admin, "PUT", inherit)).status_code == 204
    given_ = (await world.ask(admin, "GET", f"{url}&scope.OS-INHERIT:inherited_to=projects")).json()
    assert [a["scope"] for a in given_["role_assignments"]] == [
        {"domain": {"id": "default"}, "OS-INHERIT:inherited_to": "projects"}]
    assert (await world.post_auth("demo", scope="admin")).status_code == 201


async def test_a_role_of_one_domain_is_not_given_on_projects_of_another(world, admin):
    domain = await world.make(admin, "domains", name="own")
    role = await world.make(admin, "roles", name="own", domain_id=domain["id"])
    project = await world.make(admin, "projects", name="p", domain_id=domain["id"])
    user = fixed_id("user", "demo")
    grant = f"/v3/projects/{{}}/users/{user}/roles/{role['id']}"
    assert (await world.ask(admin, "PUT", grant.format(project["id"]))).status_code == 204
    refused = await world.ask(admin, "PUT", grant.format(fixed_id("project", "demo")))
    assert refused.status_code == 403
    assert "same domain" in refused.json()["error"]["message"]
