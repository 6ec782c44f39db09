"""A program that uses everything openstacksdk has for identity. Prints, as JSON, which methods it did not call."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import openstack
from openstack import proxy
from openstack.identity.v3._proxy import Proxy


class Noted:
    """The proxy; remembers what was called of it."""

    def __init__(self, identity: Any):
        self.identity, self.called = identity, set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self.identity, name)

    def left(self) -> list[str]:
        own = {name for name in set(dir(Proxy)) - set(dir(proxy.Proxy)) if callable(getattr(Proxy, name))}
        return sorted(name for name in own - self.called if name[0] != "_")


def ids(found: Iterable[Any]) -> set[str]:
    return {each.id for each in found}


class Program:
    def __init__(self, cloud: Any):
        self.sdk, self.cloud, self.ends = Noted(cloud.identity), cloud, []
        self.me = cloud.current_user_id

    def of(self, verb: str, kind: str) -> Callable[..., Any]:
        return getattr(self.sdk, f"{verb}_{kind}")

    def life(self, kind: str, change: dict[str, Any], within: tuple[Any, ...] = (),
             listed: dict[str, Any] | None = None, **fields: Any) -> Any:
        """A thing that is made, changed, shown, found and listed, and removed when all is over."""
        made = self.of("create", kind)(*within, **fields)
        if kind not in ("application_credential", "trust"):
            self.of("update", kind)(*within, made.id, **change)
        shown = self.of("get", kind)(*within, made.id) if kind != "endpoint" else self.sdk.find_endpoint(made.id)
        assert all(getattr(shown, name) == value for name, value in change.items()), (kind, shown)
        if kind not in ("limit", "registered_limit", "endpoint"):
            assert self.of("find", kind)(*within, made.id).id == made.id
            assert self.of("find", kind)(*within, "nothing-of-that-name") is None
        several = f"{kind[:-1]}ies" if kind == "policy" else f"{kind}s"
        assert made.id in ids(getattr(self.sdk, several)(*within, **listed or {})), kind
        self.ends.append(lambda: self.of("delete", kind)(*within, made.id, ignore_missing=False))
        return shown

    def people(self) -> None:
        sdk, change = self.sdk, {"description": "changed"}
        self.domain = self.life("domain", change, name="sdk-shop")
        self.ends.append(lambda: sdk.update_domain(self.domain, is_enabled=False))
        in_domain = {"domain_id": self.domain.id}
        self.project = self.life("project", change, name="sdk-till", **in_domain)
        self.user = self.life("user", change, name="sdk-ann", password="first-1", listed=in_domain, **in_domain)
        self.group = self.life("group", change, name="sdk-clerks", listed=in_domain, **in_domain)
        self.role = self.life("role", change, name="sdk-seller")
        assert sdk.find_user("sdk-ann", domain_id=self.domain.id).id == self.user.id
        sdk.add_user_to_group(self.user, self.group)
        assert sdk.check_user_in_group(self.user, self.group)
        assert ids(sdk.group_users(self.group)) == {self.user.id} and ids(sdk.user_groups(self.user)) == {self.group.id}
        sdk.remove_user_from_group(self.user, self.group)
        assert not sdk.check_user_in_group(self.user, self.group)
        sdk.create_domain_config(self.domain, identity={"driver": "ldap"}, ldap={"url": "ldap://127.0.0.1:1"})
        sdk.update_domain_config(self.domain, ldap={"url": "ldap://127.0.0.1:2"})
        assert sdk.get_domain_config(self.domain).ldap["url"] == "ldap://127.0.0.1:2"
        sdk.delete_domain_config(self.domain)

    def roles(self) -> None:
        """By user and by group, on a project, on a domain and on the system."""
        sdk = self.sdk
        for kind, who in (("user", self.user), ("group", self.group)):
            for where, place in (("project", self.project), ("domain", self.domain)):
                words = (place, who, self.role)
                holds = getattr(sdk, f"validate_{kind}_has_{where}_role")
                for inherited in (False, True):
                    assert not holds(*words, inherited=inherited)
                    getattr(sdk, f"assign_{where}_role_to_{kind}")(*words, inherited=inherited)
                    assert holds(*words, inherited=inherited)
                held = sdk.role_assignments_filter(**{where: place.id, kind: who.id})
                assert [each.id for each in held] == [self.role.id]
                listed = list(sdk.role_assignments(**{f"{kind}_id": who.id, "role_id": self.role.id}))
                assert len(listed) == 2, listed
                if kind == "user" and where == "project":
                    assert ids(sdk.user_projects(who)) == {place.id}
                for inherited in (False, True):
                    getattr(sdk, f"unassign_{where}_role_from_{kind}")(*words, inherited=inherited)
                    assert not holds(*words, inherited=inherited)
            getattr(sdk, f"assign_system_role_to_{kind}")(who, self.role, "all")
            assert getattr(sdk, f"validate_{kind}_has_system_role")(who, self.role, "all")
            assert ids(sdk.role_assignments_filter(**{"system": "all", kind: who.id})) == {self.role.id}
            getattr(sdk, f"unassign_system_role_from_{kind}")(who, self.role, "all")
            assert not getattr(sdk, f"validate_{kind}_has_system_role")(who, self.role, "all")

    def catalog(self) -> None:
        sdk, change = self.sdk, {"description": "changed"}
        region = self.life("region", change, id="sdk-north")
        service = self.life("service", change, name="sdk-service", type="sdk-till")
        endpoint = self.life("endpoint", {"url": "http://changed"}, service_id=service.id, interface="public",
                             url="http://till", region_id=region.id)
        sdk.associate_endpoint_with_project(self.project, endpoint)
        assert ids(sdk.endpoint_projects(endpoint)) == {self.project.id}
        assert endpoint.id in ids(sdk.project_endpoints(self.project))
        sdk.disassociate_endpoint_from_project(self.project, endpoint)
        group = self.life("endpoint_group", {"description": "changed"}, name="sdk-tills",
                          filters={"region_id": region.id})
        sdk.associate_project_with_endpoint_group(group, self.project)
        assert ids(sdk.endpoint_group_projects(group)) == {self.project.id}
        assert ids(sdk.endpoint_group_endpoints(group)) == {endpoint.id}
        assert ids(sdk.project_endpoint_groups(self.project)) == {group.id}
        sdk.disassociate_project_from_endpoint_group(group, self.project)
        self.life("registered_limit", {"default_limit": 6}, service_id=service.id, resource_name="sdk-drawers",
                  default_limit=5)
        self.life("limit", {"resource_limit": 4}, service_id=service.id, project_id=self.project.id,
                  resource_name="sdk-drawers", resource_limit=3)

    def secrets(self) -> None:
        sdk = self.sdk
        self.life("policy", {"type": "text/plain"}, blob="{}", type="application/json")
        self.life("credential", {"blob": "changed"}, user_id=self.user.id, type="cert", blob="x")
        made = self.life("application_credential", {}, within=(self.me,), name="sdk-robot", access_rules=[
            {"service": "identity", "method": "GET", "path": "/v3/sdk"}])
        rule = next(each for each in sdk.access_rules(self.me) if each.path == "/v3/sdk")
        assert sdk.get_access_rule(self.me, rule.id).method == "GET"
        self.ends.insert(0, lambda: sdk.delete_access_rule(self.me, rule.id, ignore_missing=False))
        assert made.name == "sdk-robot"
        demo = sdk.find_user("demo")
        self.life("trust", {}, trustor_user_id=self.me, trustee_user_id=demo.id, is_impersonation=False,
                  project_id=self.cloud.current_project_id, roles=[{"name": "reader"}])

    def federation(self) -> None:
        rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]
        mapping = self.life("mapping", {"rules": rules}, id="sdk-mapping", rules=rules)
        idp = self.life("identity_provider", {"description": "changed"}, id="sdk-idp")
        self.life("federation_protocol", {"mapping_id": mapping.id}, within=(idp.id,), id="saml2",
                  mapping_id=mapping.id)
        self.life("service_provider", {"description": "changed"}, id="sdk-there", auth_url="https://there/v3",
                  sp_url="https://there/sp")

    def tokens(self) -> None:
        """Of another user, whose password changes."""
        sdk = self.sdk
        reader = next(each for each in sdk.roles(name="reader"))
        sdk.assign_project_role_to_user(self.project, self.user, reader)
        ann = {"username": "sdk-ann", "user_domain_id": self.domain.id, "project_id": self.project.id}
        first = self.cloud.connect_as(password="first-1", **ann)
        token = first.auth_token
        assert sdk.check_token(token) and sdk.validate_token(token, nocatalog=True).user["id"] == self.user.id
        sdk.revoke_token(token)
        assert not sdk.check_token(token)
        Noted(self.cloud.connect_as(password="first-1", **ann).identity).update_password(
            self.user.id, "first-1", "second-2")
        sdk.update_password(self.user.id, "second-2", "third-3")
        assert self.cloud.connect_as(password="third-3", **ann).auth_token
        sdk.unassign_project_role_from_user(self.project, self.user, reader)

    def run(self) -> None:
        for part in (self.people, self.roles, self.catalog, self.secrets, self.federation, self.tokens):
            part()
        while self.ends:
            self.ends.pop()()
        user = self.sdk.create_user(name="sdk-last")
        self.sdk.delete_user(user)
        self.sdk.wait_for_delete(user, interval=0.1, wait=10)


def main() -> None:
    program = Program(openstack.connect())
    program.run()
    print(json.dumps(program.sdk.left()))


main()
