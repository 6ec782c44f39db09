"""The columns in memory are exactly what is in the database, and candidates are what plain SQL finds."""

import asyncio
import uuid

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pileus.kit import migrate
from pileus.kit.db import Db
from pileus.placement import migrations
from pileus.placement.client import Conflict
from pileus.placement.columns import Columns
from tests.examples import examples
from tests.placement.conftest import World
from tests.placement.test_properties import AMOUNTS, CLASSES, INVENTORIES

TRAITS = ("CUSTOM_A", "CUSTOM_B", "HW_CPU_X86_AVX")
AGGREGATES = tuple(str(uuid.UUID(int=number)) for number in (1, 2, 3))
NUMBER = st.integers(0, 7)
TRAIT_SETS, AGGREGATE_SETS = st.sets(st.sampled_from(TRAITS)), st.sets(st.sampled_from(AGGREGATES))


def plain_sql(amounts, required, forbidden, member_of):
    """Providers that serve all of it alone, each condition as a subquery."""
    where, values = ["1 = 1"], {}
    for number, (name, amount) in enumerate(amounts.items()):
        values |= {f"class{number}": name, f"amount{number}": amount}
        where.append(f"""EXISTS (SELECT 1 FROM inventory i WHERE i.provider_id = p.id
            AND i.resource_class = :class{number} AND :amount{number} BETWEEN i.min_unit AND i.max_unit
            AND :amount{number} % i.step_size = 0
            AND CAST((i.total - i.reserved) * i.allocation_ratio AS INTEGER) >= :amount{number} + COALESCE((
                SELECT SUM(a.used) FROM allocation a WHERE a.provider_id = p.id
                AND a.resource_class = :class{number}), 0))""")
    for word, names in (("EXISTS", required), ("NOT EXISTS", forbidden)):
        for number, name in enumerate(sorted(names)):
            key = f"{word.split()[0].lower()}{number}"
            values[key] = name
            where.append(f"{word} (SELECT 1 FROM provider_trait t WHERE t.provider_id = p.id AND t.trait = :{key})")
    if member_of:
        named = ", ".join(f"'{each}'" for each in sorted(member_of))
        where.append(f"""EXISTS (SELECT 1 FROM provider_aggregate g WHERE g.provider_id IN (p.id, p.root_id)
            AND g.aggregate_id IN ({named}))""")
    return sa.text("SELECT p.id FROM provider p WHERE " + " AND ".join(where)), values


class Steps(RuleBasedStateMachine):
    """Two processes on one database; each writes, and both have to know."""

    folder = ""

    @initialize()
    def begin(self):
        self.loop = asyncio.new_event_loop()
        self.providers, self.turn = [], 0
        url = f"sqlite:///{self.folder}/{uuid.uuid4().hex}.db"
        self.databases = [Db(url), Db(url)]
        self.run(migrate.bring_up_to_date(self.databases[0], migrations))
        self.worlds = [World(database) for database in self.databases]

    def run(self, work):
        return self.loop.run_until_complete(work)

    @property
    def client(self):
        self.turn += 1
        return self.worlds[self.turn % 2].client

    def one(self, number):
        return self.providers[number % len(self.providers)] if self.providers else None

    @rule(amounts=st.dictionaries(st.sampled_from(CLASSES), INVENTORIES), traits=TRAIT_SETS, aggregates=AGGREGATE_SETS,
          below=st.none() | NUMBER)
    def add(self, amounts, traits, aggregates, below):
        parent = None if below is None else self.one(below)
        world = self.worlds[self.turn % 2]
        self.providers.append(self.run(world.provider(parent=parent, traits=traits, aggregates=aggregates, **amounts)))

    @rule(number=NUMBER, amounts=st.dictionaries(st.sampled_from(CLASSES), INVENTORIES), traits=TRAIT_SETS,
          aggregates=AGGREGATE_SETS)
    def change(self, number, amounts, traits, aggregates):
        if provider := self.one(number):
            self.run(self.client.set_inventory(provider, amounts))
            self.run(self.client.set_traits(provider, traits))
            self.run(self.client.set_aggregates(provider, aggregates))

    @rule(number=NUMBER)
    def remove(self, number):
        if provider := self.one(number):
            try:
                self.run(self.client.remove_provider(provider))
            except Conflict:
                return
            self.providers.remove(provider)

    @rule(number=NUMBER, amounts=AMOUNTS)
    def claim(self, number, amounts):
        if provider := self.one(number):
            try:
                self.run(self.client.claim(str(uuid.uuid4()), {provider: amounts}, project_id="p", user_id="u"))
            except Conflict:
                return

    @rule(amounts=AMOUNTS, required=TRAIT_SETS, forbidden=TRAIT_SETS, member_of=AGGREGATE_SETS)
    def candidates_are_what_sql_finds(self, amounts, required, forbidden, member_of):
        forbidden -= required
        for name in TRAITS[:2]:
            self.run(self.worlds[0].http.put(f"/traits/{name}"))
        found = self.run(self.client.candidates(
            amounts, required=required, forbidden=forbidden, member_of=[sorted(member_of)] if member_of else ()))
        alone = {next(iter(each.allocations)) for each in found.requests if len(each.allocations) == 1}
        assert alone == self.run(self._plain(amounts, required, forbidden, member_of))

    async def _plain(self, *question):
        statement, values = plain_sql(*question)
        async with self.databases[0].read() as reader:
            return {row.id for row in await reader.execute(statement, values)}

    @invariant()
    def columns_are_in_step(self):
        for world in getattr(self, "worlds", ()):
            fresh = Columns(world.db)
            self.run(fresh.refresh())
            self.run(world.columns.refresh())
            assert told(world.columns) == told(fresh)

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        for world in self.worlds:
            self.run(world.http.aclose())
        for database in self.databases:
            self.run(database.close())
        self.loop.close()


def told(columns):
    """All that columns say of each provider, whatever rows they have."""
    names = [entry.id for entry in columns.entries]
    return {entry.id: {
        "name": entry.name, "parent": entry.parent_id, "root": names[columns.root[row]],
        "tree": sorted(names[each] for each in columns.tree(int(columns.root[row]))),
        "traits": {name for name in TRAITS if columns.with_trait(name)[row]},
        "aggregates": {each for each in AGGREGATES if columns.in_any_aggregate(frozenset({each}))[row]},
        "stock": entry.stock,
        "fits": [bool(columns.fits(name, amount)[row]) for name in CLASSES for amount in (1, 2, 6)],
        "generation": entry.generation} for row, entry in enumerate(columns.entries)}


def test_columns_are_in_step(tmp_path):
    machine = type("Steps", (Steps,), {"folder": str(tmp_path)})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=examples(8), stateful_step_count=12, database=None, deadline=None,
        suppress_health_check=list(HealthCheck)))
