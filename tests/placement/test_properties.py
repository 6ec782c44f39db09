"""Random clients at once: capacity is never exceeded, no generation is lost, candidates equal a naive model's."""

import asyncio
import random
import uuid
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pileus.kit.db import Db
from pileus.placement import migrations
from pileus.placement.client import Conflict, Inventory
from tests.databases import Spares
from tests.examples import examples
from tests.placement.conftest import World

CLASSES = ("VCPU", "MEMORY_MB")
INVENTORIES = st.builds(
    Inventory, total=st.integers(1, 20), reserved=st.just(0), min_unit=st.integers(1, 2), max_unit=st.integers(2, 20),
    step_size=st.sampled_from([1, 1, 2]), allocation_ratio=st.sampled_from([0.5, 1.0, 1.5, 4.0]))
AMOUNTS = st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 6), min_size=1)


class Claims(RuleBasedStateMachine):
    """Two processes on one database; the model is what each call said it did."""

    spares: Spares
    folder: Path

    @initialize(inventories=st.lists(st.dictionaries(st.sampled_from(CLASSES), INVENTORIES, min_size=1), min_size=1,
                                     max_size=4))
    def begin(self, inventories):
        self.loop = asyncio.new_event_loop()
        self.inventories, self.claims = {}, {}
        self.loop.run_until_complete(self._begin(inventories))

    async def _begin(self, inventories):
        url = await self.spares.copy(self.folder, migrations)
        self.databases = [Db(url), Db(url)]
        self.worlds = [World(database) for database in self.databases]
        for each in inventories:
            self.inventories[await self.worlds[0].provider(**each)] = each

    def provider(self, number):
        """One of the providers. Draws depend neither on ids nor on who wins a race, else they cannot be replayed."""
        return list(self.inventories)[number % len(self.inventories)]

    @rule(amounts=st.lists(st.tuples(st.integers(0, 3), AMOUNTS), min_size=1, max_size=5))
    def claim_at_once(self, amounts):
        wanted = [(str(uuid.uuid4()), {self.provider(number): each}) for number, each in amounts]
        self.loop.run_until_complete(self._claim_all(wanted))

    async def _claim_all(self, wanted):
        results = await asyncio.gather(*(
            self.worlds[n % 2].client.claim(consumer, resources, project_id="p", user_id="u")
            for n, (consumer, resources) in enumerate(wanted)), return_exceptions=True)
        for (consumer, resources), result in zip(wanted, results, strict=True):
            assert result is True or isinstance(result, Conflict), result
            if result is True:
                self.claims[consumer] = resources

    @rule(goes=st.lists(st.booleans(), max_size=8))
    def release(self, goes):
        for consumer in [consumer for consumer, gone in zip(list(self.claims), goes, strict=False) if gone]:
            self.loop.run_until_complete(self.worlds[1].client.release(consumer))
            del self.claims[consumer]

    @rule(number=st.integers(0, 3), wanted=st.dictionaries(st.sampled_from(CLASSES), INVENTORIES, min_size=2))
    def change_inventory(self, number, wanted):
        provider = self.provider(number)
        self.loop.run_until_complete(self.worlds[0].client.set_inventory(provider, wanted))
        self.inventories[provider] = wanted

    @rule(number=st.integers(0, 3), writers=st.integers(2, 4))
    def generations_are_not_lost(self, number, writers):
        """Of several writers who read the same generation one wins."""
        provider = self.provider(number)
        url = f"/resource_providers/{provider}"

        async def race():
            before = (await self.worlds[0].http.get(url)).json()["generation"]
            body = {"resource_provider_generation": before, "traits": []}
            answers = await asyncio.gather(*(
                self.worlds[n % 2].http.put(url + "/traits", json=body) for n in range(writers)))
            assert sorted(each.status_code for each in answers) == [200] + [409] * (writers - 1)
            assert (await self.worlds[1].http.get(url)).json()["generation"] == before + 1
        self.loop.run_until_complete(race())

    def used(self, provider, name):
        return sum(each.get(provider, {}).get(name, 0) for each in self.claims.values())

    def fits(self, provider, name, amount):
        inventory = self.inventories[provider].get(name)
        return (inventory is not None and inventory.min_unit <= amount <= inventory.max_unit
                and amount % inventory.step_size == 0
                and self.used(provider, name) + amount <= int(inventory.total * inventory.allocation_ratio))

    @rule(amounts=AMOUNTS, which=st.integers(0, 1))
    def candidates_equal_the_model(self, amounts, which):
        found = self.loop.run_until_complete(self.worlds[which].client.candidates(amounts))
        assert {next(iter(each.allocations)) for each in found.requests} == {
            provider for provider in self.inventories
            if all(self.fits(provider, name, amount) for name, amount in amounts.items())}

    @invariant()
    def usages_equal_the_model(self):
        for provider in getattr(self, "inventories", {}):
            shown = self.loop.run_until_complete(self.worlds[0].http.get(f"/resource_providers/{provider}/usages"))
            assert {name: amount for name, amount in shown.json()["usages"].items() if amount} == {
                name: used for name in CLASSES if (used := self.used(provider, name))}

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        for world in self.worlds:
            self.loop.run_until_complete(world.http.aclose())
        for database in self.databases:
            self.loop.run_until_complete(database.close())
        self.loop.close()


def test_claims(spare_databases, tmp_path):
    machine = type("Claims", (Claims,), {"spares": spare_databases, "folder": tmp_path})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=examples(20), stateful_step_count=12, database=None, deadline=None,
        suppress_health_check=list(HealthCheck)))


async def test_many_clients_never_take_more_than_there_is(make_world):
    first = await make_world()
    worlds = [first, await make_world(first.db)]
    providers = [await first.provider(VCPU=5, MEMORY_MB=5) for _ in range(3)]
    chance = random.Random(7)

    async def live(number):
        client = worlds[number % 2].client
        for _ in range(5):
            consumer, provider = str(uuid.uuid4()), chance.choice(providers)
            try:
                await client.claim(consumer, {provider: {"VCPU": chance.randint(1, 3), "MEMORY_MB": 1}},
                                   project_id="p", user_id="u")
            except Conflict:
                continue
            if chance.random() < 0.5:
                await client.release(consumer)

    await asyncio.gather(*(live(number) for number in range(12)))
    for provider in providers:
        usages = (await first.http.get(f"/resource_providers/{provider}/usages")).json()["usages"]
        consumers = await first.client.consumers_of(provider)
        assert usages["VCPU"] == sum(each["VCPU"] for each in consumers.values()) <= 5
        assert usages["MEMORY_MB"] == len(consumers) <= 5
