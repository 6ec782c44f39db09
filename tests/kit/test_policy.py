"""Policy files, and what is said about why policy decides as it does."""

import pytest

from pileus.kit.caller import Caller
from pileus.kit.config import BadConfig
from pileus.kit.explain import explain
from pileus.kit.policy import Policy, Rule, read_overrides

OWN = "role:admin or (role:member and project_id:%(project_id)s)"
RULES = [Rule("toys:paint", OWN), Rule("toys:burn", "not role:reader"), Rule("toys:see", "rule:toys:paint or @"),
         Rule("toys:never", "!"), Rule("toys:named", "'red':%(color)s")]
MEMBER = Caller(user_id="u", project_id="p", roles=("member", "reader"))


def verdict(rule, target, **overrides):
    found = explain(Policy(RULES, overrides), rule, MEMBER.credentials, target)
    assert found.allowed == Policy(RULES, overrides).allows(rule, MEMBER.credentials, target)
    return found.allowed, [leaf.text for leaf in found.deciding()]


def test_what_decides():
    held = "(held: member, reader)"
    assert verdict("toys:paint", {"project_id": "p"}) == (True, [
        f"role:member {held}", "project_id:%(project_id)s (the caller's is p, the target's is p)"])
    assert verdict("toys:paint", {"project_id": "q"}) == (False, [
        f"role:admin {held}", "project_id:%(project_id)s (the caller's is p, the target's is q)"])
    assert verdict("toys:paint", {})[1][1] == "project_id:%(project_id)s (the caller's is p, the target's is not given)"
    assert verdict("toys:burn", {}) == (False, [f"role:reader {held}"])
    assert verdict("toys:see", {}) == (True, ["anybody may"])
    assert verdict("toys:never", {}) == (False, ["nobody may"])
    assert verdict("toys:named", {"color": "red"}) == (True, ["'red':%(color)s (the target's is red)"])
    assert verdict("toys:burn", {}, **{"toys:burn": "user_id:u"})[0]


def test_the_whole_tree():
    lines = explain(Policy(RULES), "toys:see", MEMBER.credentials, {"project_id": "p"}).lines()
    assert [line.split(" (")[0] for line in lines] == [
        "yes or", "yes   rule toys:paint", "yes     or", "no        role:admin", "yes       and",
        "yes         role:member", "yes         project_id:%(project_id)s", "yes   anybody may"]


@pytest.mark.parametrize(("overrides", "said"), [
    ({"toys:bend": "@"}, "toys:bend"), ({"toys:paint": "role:admin or or"}, "cannot be read"),
    ({"toys:paint": "rule:toys:lost"}, "toys:lost"), ({"toys:paint": "not rule:lost"}, "lost")])
def test_overrides_that_mean_nothing(overrides, said):
    with pytest.raises(BadConfig, match=said):
        Policy(RULES, overrides)


@pytest.mark.parametrize("text", ["[1, 2]", "toys:paint: [role]", "a: b: c"])
def test_files_that_are_none(tmp_path, text):
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(BadConfig, match=r"policy\.yaml"):
        read_overrides(tmp_path / "policy.yaml")


def test_no_file_changes_nothing(tmp_path):
    assert read_overrides(tmp_path / "policy.yaml") == {}
    (tmp_path / "policy.yaml").write_text("# nothing\n")
    assert read_overrides(tmp_path / "policy.yaml") == {}
