"""The mapping engine: what rules find, and that no rules and no assertions can break it or keep it busy."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.identity.federation.mapping import BadRules, LocalProject, MappingFailed, RoleRef, apply, parsed
from tests.examples import examples

USER = {"user": {"name": "{0}"}}
NAME = {"type": "NAME"}


def mapped(local, remote, said):
    return apply(parsed([{"local": local, "remote": remote}]), said)


def test_values_are_handed_on():
    found = mapped([{"user": {"name": "{0}", "email": "{1}", "id": "x-{0}"}}], [NAME, {"type": "MAIL"}],
                   {"NAME": "alice", "MAIL": "a@b"})
    assert (found.user.name, found.user.email, found.user.id) == ("alice", "a@b", "x-alice")
    assert found.user.type == "ephemeral"


@pytest.mark.parametrize(("condition", "counts"), [
    ({"any_one_of": ["staff", "boss"]}, True), ({"any_one_of": ["boss"]}, False),
    ({"not_any_of": ["boss"]}, True), ({"not_any_of": ["staff", "boss"]}, False),
    ({"any_one_of": ["^st.*f$"], "regex": True}, True), ({"any_one_of": ["^x"], "regex": True}, False),
    ({"not_any_of": ["taf"], "regex": True}, False), ({"any_one_of": []}, False), ({"not_any_of": []}, True)])
def test_conditions(condition, counts):
    said = {"NAME": "alice", "KIND": "guest;staff"}
    remote = [NAME, {"type": "KIND"} | condition]
    if counts:
        assert mapped([USER], remote, said).user.name == "alice"
    else:
        with pytest.raises(MappingFailed):
            mapped([USER], remote, said)


@pytest.mark.parametrize(("condition", "names"), [
    ({}, ["a", "b1", "b2"]), ({"whitelist": ["a", "z"]}, ["a"]), ({"blacklist": ["a", "z"]}, ["b1", "b2"]),
    ({"whitelist": ["^b"], "regex": True}, ["b1", "b2"]), ({"blacklist": ["1$"], "regex": True}, ["a", "b2"]),
    ({"whitelist": []}, []), ({"blacklist": []}, ["a", "b1", "b2"])])
def test_groups_are_filtered(condition, names):
    found = mapped([USER, {"groups": "{1}", "domain": {"name": "Default"}}], [NAME, {"type": "GROUPS"} | condition],
                   {"NAME": "alice", "GROUPS": "a;b1;b2"})
    assert [group.name for group in found.groups] == names
    assert all(group.domain.name == "Default" for group in found.groups)


def test_groups_of_other_clouds_tell_their_domain():
    told = 'JSON:{"name":"admins","domain":{"name":"Default"}};JSON:{"name":"b","domain":{"id":"d"}}'
    found = mapped([USER, {"groups": "{1}"}], [NAME, {"type": "GROUPS"}], {"NAME": "alice", "GROUPS": told})
    assert [(group.name, group.domain.name or group.domain.id) for group in found.groups] == [
        ("admins", "Default"), ("b", "d")]
    kept = mapped([USER, {"groups": "{1}", "domain": {"name": "Other"}}], [NAME, {"type": "GROUPS"}],
                  {"NAME": "alice", "GROUPS": told})
    assert {group.domain.name for group in kept.groups} == {"Other"}
    with pytest.raises(MappingFailed):
        mapped([USER, {"groups": "{1}"}], [NAME, {"type": "GROUPS"}], {"NAME": "alice", "GROUPS": "admins"})


def test_ids_of_groups_and_projects():
    found = mapped([USER, {"group_ids": "{1}"}, {"group": {"id": "x"}}, {"group": {"id": "x"}},
                    {"projects": [{"name": "of {0}", "roles": [{"name": "member"}]}]}],
                   [NAME, {"type": "IDS"}], {"NAME": "alice", "IDS": "1;2"})
    assert found.group_ids == ["1", "2", "x"]
    assert found.projects == [LocalProject(name="of alice", roles=[RoleRef(name="member")])]


def test_all_rules_that_count_add_up_and_the_first_user_wins():
    rules = parsed([
        {"local": [{"group": {"id": "everybody"}}], "remote": [NAME]},
        {"local": [USER], "remote": [NAME]},
        {"local": [{"user": {"name": "other"}}, {"group": {"id": "never"}}], "remote": [{"type": "ABSENT"}]},
        {"local": [{"user": {"name": "second"}}, {"group": {"id": "also"}}], "remote": [NAME]}])
    found = apply(rules, {"NAME": "alice"})
    assert (found.user.name, found.group_ids) == ("alice", ["everybody", "also"])


def test_who_has_no_name_is_called_as_the_provider_does():
    found = mapped([{"group": {"id": "g"}}], [NAME], {"NAME": "x", "REMOTE_USER": "alice"})
    assert (found.user.name, found.group_ids) == ("alice", ["g"])
    with pytest.raises(MappingFailed):
        mapped([{"group": {"id": "g"}}], [NAME], {"NAME": "x"})


@pytest.mark.parametrize("name", ["{1}", "{999}"])
def test_what_is_not_handed_on_cannot_be_used(name):
    with pytest.raises(MappingFailed):
        mapped([{"user": {"name": name}}], [NAME], {"NAME": "alice"})


def test_texts_are_no_formats():
    found = mapped([{"user": {"name": "{0.__class__}{x}{0!r}{{0}}"}}], [NAME], {"NAME": "{0}{1}"})
    assert found.user.name == "{0.__class__}{x}{0!r}{{0}{1}}"


@pytest.mark.parametrize("rules", [
    [], [{}], [{"local": [USER]}], [{"remote": [NAME]}], [{"local": [USER], "remote": []}],
    [{"local": [USER], "remote": [{}]}], [{"local": [USER], "remote": [NAME | {"other": 1}]}],
    [{"local": [USER], "remote": [NAME | {"any_one_of": ["("], "regex": True}]}],
    [{"local": [USER], "remote": [NAME | {"any_one_of": [r"(?=a)"], "regex": True}]}],
    [{"local": [USER], "remote": [NAME | {"any_one_of": [r"(a)\1"], "regex": True}]}],
    [{"local": [USER], "remote": [NAME | {"any_one_of": ["((a{99}){99}){99}"], "regex": True}]}],
    [{"local": [USER], "remote": [NAME | {"regex": True}]}],
    [{"local": [USER], "remote": [NAME | {"any_one_of": ["x"], "not_any_of": ["y"]}]}],
    [{"local": [{"user": {"type": "strange"}}], "remote": [NAME]}],
    [{"local": [{"group": {"name": "x"}}], "remote": [NAME]}],
    [{"local": [{"other": 1}], "remote": [NAME]}], [{"local": "x", "remote": "y"}], ["x"], [None]])
def test_what_is_no_rules(rules):
    with pytest.raises(BadRules):
        parsed(rules)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "(a|a)*b", "(x+x+)+y"])
def test_no_pattern_takes_long(pattern):
    """Each of these takes a backtracking engine longer than the sun will last."""
    condition = {"type": "A", "any_one_of": [pattern] * 20, "regex": True}
    rules = parsed([{"local": [USER], "remote": [NAME, condition]}])
    began = time.process_time()
    for text in ("a" * 16_000 + "!", "x" * 16_000):
        try:
            apply(rules, {"NAME": "alice", "A": text})
        except MappingFailed as error:
            assert "who this is" in str(error)
    assert time.process_time() - began < 2.0


texts = st.text(max_size=12) | st.sampled_from(["{0}", "{1}", "{0}{0}", "(", "a*", "NAME", "A", ";", "{9}"])
lists = st.lists(texts, max_size=3)
domains = st.fixed_dictionaries({}, optional={"id": texts, "name": texts})
remotes = st.fixed_dictionaries({"type": texts}, optional={
    "any_one_of": lists, "not_any_of": lists, "blacklist": lists, "whitelist": lists, "regex": st.booleans()})
users = st.fixed_dictionaries({}, optional={
    "name": texts, "id": texts, "email": texts, "domain": domains,
    "type": st.sampled_from(["local", "ephemeral", "x"])})
groups = st.fixed_dictionaries({}, optional={"id": texts, "name": texts, "domain": domains})
projects = st.lists(st.fixed_dictionaries({"name": texts, "roles": st.lists(st.just({"name": "member"}), max_size=2)}),
                    max_size=2)
locals_ = st.fixed_dictionaries({}, optional={
    "user": users, "group": groups, "groups": texts, "group_ids": texts, "domain": domains, "projects": projects})
anything = st.recursive(st.none() | st.booleans() | st.integers() | texts,
                        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
rule_lists = st.lists(st.fixed_dictionaries({
    "local": st.lists(locals_, max_size=3), "remote": st.lists(remotes, min_size=1, max_size=3)}), max_size=3)
assertions = st.dictionaries(st.sampled_from(["NAME", "A", "REMOTE_USER"]) | texts, st.text(max_size=40), max_size=5)


@settings(deadline=1000, max_examples=examples(400))
@given(rules=rule_lists | st.lists(anything, max_size=3), said=assertions)
def test_nothing_else_than_a_refusal_comes_out(rules, said):
    try:
        found = apply(parsed(rules), said)
    except (BadRules, MappingFailed) as error:
        assert str(error)
    else:
        assert found.user.name or found.user.id
