"""How compute and network speak to placement: every call may be repeated and then does nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from pileus.kit.client import Client, Headers, Refused

Resources = Mapping[str, Mapping[str, int]]              # provider -> resource class -> amount
_RETRIES = 10                                            # of writes that lost against another writer


class Conflict(Exception):
    """What was asked does not fit any more, or the consumer has something else already."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = 0x7FFFFFFF
    step_size: int = 1
    allocation_ratio: float = 1.0


class Stock(msgspec.Struct, frozen=True):
    capacity: int
    used: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    resources: dict[str, Stock]
    traits: list[str] = []
    parent: str | None = msgspec.field(name="parent_provider_uuid", default=None)
    root: str = msgspec.field(name="root_provider_uuid", default="")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What is to come from one provider, which need not be the one that gives the rest. Parts that name each other in
    `together` are given by providers of which one is above the others."""

    id: str
    resources: dict[str, int]
    required: list[str] = []
    together: list[str] = []

    @property
    def suffix(self) -> str:
        return suffix_of(self.id)


def suffix_of(part_id: str) -> str:
    return f"_{part_id}"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider is to give; under the empty suffix, what the providers of a tree may give together."""

    resources: dict[str, int] = {}
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


class _Amounts(msgspec.Struct, frozen=True):
    resources: dict[str, int]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve what was asked for."""

    allocations: dict[str, _Amounts]
    mappings: dict[str, list[str]] = {}

    @property
    def resources(self) -> dict[str, dict[str, int]]:
        """What `claim` takes."""
        return {provider: amounts.resources for provider, amounts in self.allocations.items()}

    def provider_of(self, part: Part) -> str:
        return self.mappings[part.suffix][0]


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    requests: list[Request] = msgspec.field(name="allocation_requests", default_factory=list)
    summaries: dict[str, Summary] = msgspec.field(name="provider_summaries", default_factory=dict)


class Allocations(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer has; nothing at all, and no generation, when it is unknown."""

    allocations: dict[str, _Amounts] = {}
    project_id: str = ""
    user_id: str = ""
    consumer_generation: int | None = None
    consumer_type: str = ""

    @property
    def total(self) -> dict[str, int]:
        """Of each resource class, whoever gives it."""
        found: dict[str, int] = {}
        for amounts in self.allocations.values():
            for name, amount in amounts.resources.items():
                found[name] = found.get(name, 0) + amount
        return found

    @property
    def resources(self) -> dict[str, dict[str, int]]:
        return {provider: amounts.resources for provider, amounts in self.allocations.items()}


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    id: str = msgspec.field(name="uuid")
    name: str
    parent: str | None = msgspec.field(name="parent_provider_uuid", default=None)


class PlacementClient(Client):
    service: ClassVar[str] = "placement"
    headers: ClassVar[Headers] = {"openstack-api-version": "placement 1.39"}

    async def candidates(self, resources: Mapping[str, int], *, required: Iterable[str] = (),
                         forbidden: Iterable[str] = (), member_of: Iterable[str | Iterable[str]] = (),
                         in_tree: str | None = None, limit: int | None = None) -> Candidates:
        """Providers that have `resources` free. Each of `member_of` is an aggregate or several of which one will do."""
        query = _question({"": Group(resources=dict(resources), required=tuple(required), forbidden=tuple(forbidden))})
        query["member_of"] = [each if isinstance(each, str) else "in:" + ",".join(each) for each in member_of]
        return await self._candidates(query, in_tree, limit)

    async def candidates_of_groups(self, groups: Mapping[str, Group], *, policy: str = "none",
                                   together: Iterable[Iterable[str]] = (), in_tree: str | None = None,
                                   limit: int | None = None) -> Candidates:
        """Trees that can serve all groups, by their suffixes. `policy`: none, or isolate for a provider each;
        `together`: suffixes of groups of which one's provider is above those of the others."""
        query = _question(groups) | {"same_subtree": [",".join(each) for each in together]}
        if len(groups.keys() - {""}) > 1:
            query["group_policy"] = policy
        suffixes = [suffix for suffix in sorted(groups) if groups[suffix].resources]
        query |= {f"in_tree{suffix}": in_tree for suffix in suffixes if in_tree is not None}
        return await self._candidates(query, None, limit)

    async def _candidates(self, query: dict[str, Any], in_tree: str | None, limit: int | None) -> Candidates:
        query |= {name: value for name, value in (("in_tree", in_tree), ("limit", limit)) if value is not None}
        return msgspec.convert(await self.call("GET", "/allocation_candidates", query=query), Candidates)

    async def tree_of(self, provider_id: str) -> set[str]:
        """The ids of all providers of a provider's tree."""
        found = await self.call("GET", "/resource_providers", query={"in_tree": provider_id})
        return {each["uuid"] for each in found["resource_providers"]}

    # -- claims -----------------------------------------------------------------------------

    async def claim(self, consumer_id: str, resources: Resources, *, project_id: str, user_id: str,
                    consumer_type: str = "INSTANCE") -> bool:
        """Take `resources` for a consumer that has nothing yet. Whether that was new: the same claim again is not.

        Raises Conflict when they are not free any more (choose again), or the consumer has something else.
        """
        had = await self._put(consumer_id, resources, None, (project_id, user_id, consumer_type))
        if had is None:
            return True
        if had.resources != {provider: dict(amounts) for provider, amounts in resources.items()}:
            raise Conflict(f"{consumer_id} has other allocations already")
        return False

    async def change_claim(self, consumer_id: str, resources: Resources, *, project_id: str, user_id: str,
                           consumer_type: str = "INSTANCE") -> None:
        """Give the consumer exactly `resources`, in place of what it has (a resize, a move)."""
        wanted = {provider: dict(amounts) for provider, amounts in resources.items()}
        for _ in range(_RETRIES):
            had = await self.allocations(consumer_id)
            if had.resources == wanted or await self._put(
                    consumer_id, resources, had.consumer_generation, (project_id, user_id, consumer_type)) is None:
                return
        raise Conflict(f"{consumer_id} is changed by others all the time")

    async def add_to_claim(self, consumer_id: str, more: Resources) -> None:
        """Give the consumer so much more of each, or less where that is negative. Raises Conflict where it does not
        fit. Not to be repeated."""
        for _ in range(_RETRIES):
            had = await self.allocations(consumer_id)
            wanted = total(had.resources, more)
            if any(amount < 0 for amounts in wanted.values() for amount in amounts.values()):
                raise Conflict(f"{consumer_id} has less than it is to give back")
            if await self._put(consumer_id, wanted, had.consumer_generation,
                               (had.project_id, had.user_id, had.consumer_type)) is None:
                return
        raise Conflict(f"{consumer_id} is changed by others all the time")

    async def take_over(self, from_id: str, to_id: str, *, project_id: str, user_id: str) -> None:
        """Give one consumer what another has, in place of what it had itself, in one request. Already so: nothing."""
        for _ in range(_RETRIES):
            given, had = await self.allocations(from_id), await self.allocations(to_id)
            if not given.allocations or await self._post(
                    {to_id: (had, given.resources), from_id: (given, {})}, (project_id, user_id)):
                return
        raise Conflict(f"{to_id} is changed by others all the time")

    async def distribute(self, wanted: Mapping[str, Resources], *, project_id: str, user_id: str) -> None:
        """Give several consumers exactly this, in place of what they have, in one request. Already so: nothing."""
        for _ in range(_RETRIES):
            had = {consumer_id: await self.allocations(consumer_id) for consumer_id in wanted}
            if all(had[consumer_id].resources == resources for consumer_id, resources in wanted.items()):
                return
            if await self._post({consumer_id: (had[consumer_id], resources)
                                 for consumer_id, resources in wanted.items()}, (project_id, user_id)):
                return
        raise Conflict(f"{', '.join(wanted)} are changed by others all the time")

    async def _post(self, wanted: Mapping[str, tuple[Allocations, Resources]], owner: tuple[str, str]) -> bool:
        """Whether each consumer still was as it had been found, and now has what is wanted."""
        try:
            await self.call("POST", "/allocations", {consumer_id: {
                "project_id": owner[0], "user_id": owner[1], "consumer_type": had.consumer_type or "INSTANCE",
                "consumer_generation": had.consumer_generation,
                "allocations": {provider: {"resources": amounts} for provider, amounts in resources.items()},
            } for consumer_id, (had, resources) in wanted.items()})
        except Refused as error:
            if error.status != 409:
                raise
            return False
        return True

    async def _put(self, consumer_id: str, resources: Resources, generation: int | None,
                   owner: tuple[str, str, str]) -> Allocations | None:
        """None when written; what the consumer has if that is not at `generation`."""
        body = {"allocations": {provider: {"resources": amounts} for provider, amounts in resources.items()},
                "project_id": owner[0], "user_id": owner[1], "consumer_type": owner[2],
                "consumer_generation": generation}
        try:
            await self.call("PUT", f"/allocations/{consumer_id}", body)
        except Refused as error:
            if error.status != 409:
                raise
            if _code(error) != "placement.concurrent_update":
                raise Conflict(error.message) from error
            return await self.allocations(consumer_id)
        return None

    async def allocations(self, consumer_id: str) -> Allocations:
        return msgspec.convert(await self.call("GET", f"/allocations/{consumer_id}"), Allocations)

    async def release(self, consumer_id: str) -> None:
        await self.call("DELETE", f"/allocations/{consumer_id}", expect=(404,))

    async def claims(self, page: int = 1000) -> AsyncIterator[dict[str, list[str]]]:
        """Page by page, by consumer the roots of the trees that it has something of."""
        marker = ""
        while True:
            found = (await self.call("GET", "/pileus/claims", query={"marker": marker, "limit": page}))["claims"]
            if found:
                yield found
            if len(found) < page:
                return
            marker = max(found)

    async def consumers_of(self, provider_id: str) -> dict[str, dict[str, int]]:
        """What each consumer has of a provider; nothing if there is no such provider."""
        found = await self.call("GET", f"/resource_providers/{provider_id}/allocations", expect=(404,))
        return {consumer: each["resources"] for consumer, each in found["allocations"].items()} if found else {}

    # -- providers --------------------------------------------------------------------------

    async def tree(self, name: str) -> list[Provider]:
        """The provider of this name and all below it, itself first; nothing if there is none."""
        found = await self.call("GET", "/resource_providers", query={"name": name})
        if not found["resource_providers"]:
            return []
        root = msgspec.convert(found["resource_providers"][0], Provider)
        found = await self.call("GET", "/resource_providers", query={"in_tree": root.id})
        every = msgspec.convert(found["resource_providers"], list[Provider])
        return [root, *(each for each in every if each.id != root.id)]

    async def ensure_provider(self, provider_id: str, name: str, *, parent: str | None = None) -> None:
        """Make the provider; one that is there gets this name and parent."""
        path = f"/resource_providers/{provider_id}"
        found = await self.call("GET", path, expect=(404,))
        if found is None:
            body = {"uuid": provider_id, "name": name, "parent_provider_uuid": parent}
            try:
                await self.call("POST", "/resource_providers", body)
            except Refused as error:
                found = await self.call("GET", path, expect=(404,)) if error.status == 409 else None
                if found is None:
                    raise
        if found is not None and (found["name"], found["parent_provider_uuid"]) != (name, parent):
            await self.call("PUT", path, {"name": name, "parent_provider_uuid": parent})

    async def ensure_class(self, name: str) -> None:
        """Know a resource class of one's own."""
        await self.call("PUT", f"/resource_classes/{name}")

    async def set_inventory(self, provider_id: str, wanted: Mapping[str, Inventory]) -> None:
        """Give the provider these inventories and no other; a class consumers still have stays until they let go."""
        path = f"/resource_providers/{provider_id}/inventories"
        inventories = {name: msgspec.structs.asdict(each) for name, each in wanted.items()}
        for _ in range(_RETRIES):
            now = await self.call("GET", path)
            if now["inventories"] == inventories:
                return
            try:
                await self.call("PUT", path, {"resource_provider_generation": now["resource_provider_generation"],
                                              "inventories": inventories})
                return
            except Refused as error:
                if _code(error) == "placement.inventory.inuse":
                    used = (await self.call("GET", f"/resource_providers/{provider_id}/usages"))["usages"]
                    inventories |= {name: now["inventories"][name] for name, amount in used.items()
                                    if amount and name not in inventories and name in now["inventories"]}
                elif error.status != 409:
                    raise
        raise Conflict(f"the inventories of {provider_id} are changed by others all the time")

    async def set_traits(self, provider_id: str, wanted: Iterable[str]) -> None:
        """Give the provider these traits and no other; custom ones are made."""
        traits = sorted(set(wanted))
        path = f"/resource_providers/{provider_id}/traits"
        for _ in range(_RETRIES):
            now = await self.call("GET", path)
            if now["traits"] == traits:
                return
            try:
                if await self._written("PUT", path, now, {"traits": traits}):
                    return
            except Refused as error:
                if error.status != 400:
                    raise
                for name in traits:                      # the first host that has one
                    if name.startswith("CUSTOM_"):
                        await self.call("PUT", f"/traits/{name}")
        raise Conflict(f"the traits of {provider_id} are changed by others all the time")

    async def set_aggregates(self, provider_id: str, wanted: Iterable[str]) -> None:
        """Make the provider a member of these aggregates and no other."""
        aggregates = sorted(set(wanted))
        path = f"/resource_providers/{provider_id}/aggregates"
        for _ in range(_RETRIES):
            now = await self.call("GET", path)
            if sorted(now["aggregates"]) == aggregates or await self._written(
                    "PUT", path, now, {"aggregates": aggregates}):
                return
        raise Conflict(f"the aggregates of {provider_id} are changed by others all the time")

    async def _written(self, method: str, path: str, now: dict[str, Any], body: dict[str, Any]) -> bool:
        """Whether nobody was faster."""
        generation = {"resource_provider_generation": now["resource_provider_generation"]}
        try:
            await self.call(method, path, body | generation)
        except Refused as error:
            if error.status != 409:
                raise
            return False
        return True

    async def remove_provider(self, provider_id: str) -> None:
        """Forget the provider. Raises Conflict while consumers have something of it, or it has children."""
        try:
            await self.call("DELETE", f"/resource_providers/{provider_id}", expect=(404,))
        except Refused as error:
            if error.status != 409:
                raise
            raise Conflict(error.message) from error


def total(one: Resources, more: Resources) -> dict[str, dict[str, int]]:
    """Both together, without what comes to nothing."""
    found: dict[str, dict[str, int]] = {}
    for provider, amounts in (*one.items(), *more.items()):
        of_provider = found.setdefault(provider, {})
        for name, amount in amounts.items():
            of_provider[name] = of_provider.get(name, 0) + amount
    found = {provider: {name: amount for name, amount in amounts.items() if amount}
             for provider, amounts in found.items()}
    return {provider: amounts for provider, amounts in found.items() if amounts}


def _question(groups: Mapping[str, Group]) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for suffix, group in groups.items():
        traits = [*group.required, *(f"!{name}" for name in group.forbidden)]
        if group.resources:
            query[f"resources{suffix}"] = ",".join(f"{name}:{amount}" for name, amount in group.resources.items())
        if traits:
            query[f"required{suffix}"] = ",".join(traits)
    return query


def _code(error: Refused) -> str:
    """Placement's word for what is wrong."""
    try:
        return error.reply.json()["errors"][0].get("code", "")
    except (msgspec.DecodeError, KeyError, TypeError, IndexError):
        return ""
