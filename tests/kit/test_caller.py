"""What tokens with access rules are good for."""

import pytest

from pileus.kit.caller import AccessRule, Caller


@pytest.mark.parametrize(("rule", "path", "allowed"), [
    ("/v2.1/servers", "/v2.1/servers", True), ("/v2.1/servers", "/v2.1/servers/", True),
    ("/v2.1/servers", "/v2.1/servers/1", False), ("/v2.1/servers/{server_id}", "/v2.1/servers/1", True),
    ("/v2.1/servers/{server_id}", "/v2.1/servers/1/action", False), ("/v2.1/*/1", "/v2.1/servers/1", True),
    ("/v2.1/**", "/v2.1/servers/1/action", True), ("/v2.1/**", "/v2.1", False), ("**", "/anything/at/all", True),
    ("/v2.1/s.rvers", "/v2.1/servers", False), ("/v2.1/(servers", "/v2.1/(servers", True)])
def test_paths(rule, path, allowed):
    caller = Caller(user_id="u", access_rules=(AccessRule("compute", "GET", rule),))
    assert caller.may_ask("compute", "GET", (path,)) is allowed
    assert not caller.may_ask("compute", "POST", (path,))
    assert not caller.may_ask("network", "GET", (path,))


def test_without_rules_everything():
    assert Caller(user_id="u").may_ask("compute", "DELETE", ("/v2.1/servers/1",))
