"""Every verb that the unmodified client has for identity, and every method of the SDK's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compat.clients import CLIENTS, Cloud, programs

SILENT = {"delete", "set", "unset", "add", "remove", "revoke"}
# Words of each command; what to keep of its answer; what the answer must hold.
COMMANDS: list[tuple[str, dict[str, str], str]] = [
    ("domain create --description d shop", {"domain": "id"}, "shop"),
    ("domain set --description e shop", {}, ""),
    ("domain show shop", {}, '"e"'),
    ("domain list", {}, "shop"),
    ("project create --domain shop --tag red till", {"project": "id"}, "till"),
    ("project list --tags red", {}, "till"),
    ("project create --domain shop --parent till drawer", {}, "drawer"),
    ("project show --children till", {}, "subtree"),
    ("project set --description e --tag blue till", {}, ""),
    ("project show till", {}, "blue"),
    ("user create --domain shop --project till --password first-1 --email a@b ann", {"ann": "id"}, "a@b"),
    ("user create --domain shop --password first-1 --ignore-lockout-failure-attempts bob", {"bob": "id"}, "lockout"),
    ("user set --description tall ann", {}, ""),
    ("user show --domain shop ann", {}, "tall"),
    ("user list --domain shop", {}, "bob"),
    ("user set --disable {bob}", {}, ""),
    ("user list --domain shop --long", {}, "false"),
    ("user set --enable {bob}", {}, ""),
    ("group create --domain shop clerks", {"group": "id"}, "clerks"),
    ("group set --description e clerks", {}, ""),
    ("group add user clerks ann", {}, ""),
    ("group contains user clerks ann", {}, "ann in group"),
    ("group list --user ann", {}, "clerks"),
    ("user list --group clerks", {}, "ann"),
    ("group show clerks", {}, '"e"'),
    ("role create seller", {}, "seller"),
    ("role set --description e seller", {}, ""),
    ("role show seller", {}, '"e"'),
    ("role create --domain shop local", {}, "local"),
    ("role list --domain shop", {}, "local"),
    ("implied role create --implied-role reader seller", {}, "implies"),
    ("implied role list", {}, "seller"),
    ("role add --user {ann} --project {project} seller", {}, ""),
    ("role add --group {group} --domain {domain} seller", {}, ""),
    ("role add --user {bob} --system all reader", {}, ""),
    ("role add --user {bob} --project {project} --inherited seller", {}, ""),
    ("role assignment list --user {ann} --effective --names", {}, "reader@|reader"),
    ("role assignment list --system all --names", {}, "bob"),
    ("role list", {}, "seller"),
    ("role remove --user {bob} --system all reader", {}, ""),
    ("implied role delete --implied-role reader seller", {}, ""),
    ("region create --description d north", {}, "north"),
    ("region set --description e north", {}, ""),
    ("region list", {}, "north"),
    ("region show north", {}, '"e"'),
    ("service create --name till-service till", {"service": "id"}, "till"),
    ("service set --description e {service}", {}, ""),
    ("service list --long", {}, "till-service"),
    ("service show till", {}, '"e"'),
    ("endpoint create --region north till public http://till", {"endpoint": "id"}, "http://till"),
    ("endpoint set --url http://other {endpoint}", {}, ""),
    ("endpoint list --service till", {}, "http://other"),
    ("endpoint show {endpoint}", {}, "north"),
    ("endpoint add project {endpoint} {project}", {}, ""),
    ("endpoint list --project {project}", {}, "till"),
    ("endpoint remove project {endpoint} {project}", {}, ""),
    ("policy create --type application/json /dev/null", {"policy": "id"}, "application/json"),
    ("policy set --type text/plain {policy}", {}, ""),
    ("policy list", {}, "text/plain"),
    ("policy show {policy}", {}, "text/plain"),
    ("registered limit create --service till --default-limit 5 drawers", {"registered": "id"}, "drawers"),
    ("registered limit set --default-limit 6 {registered}", {}, ""),
    ("registered limit list", {}, "drawers"),
    ("registered limit show {registered}", {}, "6"),
    ("limit create --project {project} --service till --resource-limit 3 drawers", {"limit": "id"}, "3"),
    ("limit set --resource-limit 4 {limit}", {}, ""),
    ("limit list", {}, "drawers"),
    ("limit show {limit}", {}, "4"),
    ("credential create --type cert {ann} blob", {"credential": "id"}, "cert"),
    ("credential list --type cert", {}, "blob"),
    ("credential set --user {ann} --type cert --data other {credential}", {}, ""),
    ("credential show {credential}", {}, "other"),
    ("ec2 credentials create --user {ann} --project {project}", {"access": "access"}, "secret"),
    ("ec2 credentials list --user {ann}", {}, "Secret"),
    ("ec2 credentials show --user {ann} {access}", {}, "secret"),
    ("application credential create --role admin robot", {}, "Secret"),
    ("application credential list", {}, "robot"),
    ("application credential show robot", {}, "admin"),
    ("application credential create --role reader --access-rules {ruled} ruled", {}, "/v3/users"),
    ("access rule list", {"rule": "ID"}, "/v3/users"),
    ("access rule show {rule}", {}, "/v3/users"),
    ("--os-username ann --os-user-domain-name shop --os-password first-1 --os-project-name till"
     " --os-project-domain-name shop user password set --original-password first-1 --password second-2", {}, ""),
    ("endpoint group create tills {filters}", {"tills": "id"}, "tills"),
    ("endpoint group set --description e {tills}", {}, ""),
    ("endpoint group add project {tills} {project}", {}, ""),
    ("endpoint group list --project {project}", {}, "tills"),
    ("endpoint group show {tills}", {}, "tills"),
    ("identity provider create --remote-id https://idp example", {}, "https://idp"),
    ("identity provider set --description e --authorization-ttl 5 example", {}, ""),
    ("identity provider list", {}, "example"),
    ("identity provider show example", {}, '"e"'),
    ("mapping create --rules {rules} example", {}, "REMOTE_USER"),
    ("mapping set --rules {rules} example", {}, ""),
    ("mapping list", {}, "example"),
    ("mapping show example", {}, "REMOTE_USER"),
    ("federation protocol create --identity-provider example --mapping example saml2", {}, "saml2"),
    ("federation protocol set --identity-provider example --mapping example saml2", {}, ""),
    ("federation protocol list --identity-provider example", {}, "saml2"),
    ("federation protocol show --identity-provider example saml2", {}, "example"),
    ("federation domain list", {}, "Default"),
    ("federation project list", {}, "admin"),
    ("service provider create --auth-url https://there/v3 --service-provider-url https://there/sp there", {}, "there"),
    ("service provider set --description e --disable there", {}, ""),
    ("service provider list", {}, "there"),
    ("service provider show there", {}, '"e"'),
    ("consumer create --description d", {"consumer": "id", "secret": "secret"}, "secret"),
    ("consumer set --description e {consumer}", {}, ""),
    ("consumer list", {}, '"e"'),
    ("consumer show {consumer}", {}, '"e"'),
    ("request token create --consumer-key {consumer} --consumer-secret {secret} --project admin",
     {"request": "id", "request_secret": "secret"}, "secret"),
    ("request token authorize --role admin --request-key {request}", {"verifier": "oauth_verifier"}, "verifier"),
    ("access token create --consumer-key {consumer} --consumer-secret {secret} --request-key {request}"
     " --request-secret {request_secret} --verifier {verifier}", {}, "secret"),
    ("trust create --project admin --role admin admin demo", {"trust": "id"}, "admin"),
    ("trust list", {}, "true|false|admin|id"),
    ("trust show {trust}", {}, "admin"),
    ("catalog list", {}, "keystone"),
    ("catalog show identity", {}, "5000|http"),
    ("token issue", {"token": "id"}, "expires"),
]
REMOVALS = [
    "consumer delete {consumer}", "service provider delete there",
    "federation protocol delete --identity-provider example saml2", "mapping delete example",
    "identity provider delete example", "endpoint group remove project {tills} {project}",
    "endpoint group delete {tills}", "application credential delete ruled", "access rule delete {rule}",
    "token revoke {token}", "trust delete {trust}", "application credential delete robot",
    "ec2 credentials delete --user {ann} {access}", "credential delete {credential}", "limit delete {limit}",
    "registered limit delete {registered}", "policy delete {policy}", "endpoint delete {endpoint}",
    "service delete till", "region delete north", "role remove --group {group} --domain {domain} seller",
    "role delete seller", "group remove user clerks ann", "group delete clerks", "user delete {bob} {ann}",
    "project delete drawer", "project delete till", "domain set --disable shop", "domain delete shop"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("identity-clients")
    made = Cloud(folder, programs("clients", *CLIENTS))
    made.pileus("up", "--detach", "--driver", "fake", "--port", str(made.port))
    yield made
    made.pileus("destroy", "--yes")
    shutil.rmtree(folder)


def silent(words: list[str]) -> bool:
    return bool(SILENT & set(words)) or words[:2] == ["group", "contains"]


def files(folder: Path) -> dict[str, str]:
    """What some verbs read."""
    holds: dict[str, Any] = {
        "ruled": [{"service": "identity", "method": "GET", "path": "/v3/users"}], "filters": {"region_id": "north"},
        "rules": [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]}
    for name, content in holds.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {name: str(folder / f"{name}.json") for name in holds}


def test_every_verb_is_among_them(cloud: Cloud):
    """Those that ended above, and those that the client says it has."""
    told = json.loads(cloud.run("openstack", "command", "list", "--group", "openstack.identity.v3", "-f", "json"))
    lines = [f" {line} " for line, *_ in COMMANDS] + [f" {line} " for line in REMOVALS]
    assert [verb for each in told for verb in each["Commands"]
            if not any(f" {verb} " in line for line in lines)] == []


def test_every_verb(cloud: Cloud, tmp_path: Path):
    asked = [(line, keep) for line, keep, _ in COMMANDS] + [(line, {}) for line in REMOVALS]
    done = cloud.openstack_verbs(asked, silent, files(tmp_path))
    lacking = [(line, expected, each["out"]) for (line, _, expected), each in zip(COMMANDS, done, strict=False)
               if not any(text in each["out"] + each["err"] for text in expected.split("|"))]
    assert not lacking, lacking


def test_every_method_of_the_sdk(cloud: Cloud):
    told = cloud.run("python", str(Path(__file__).with_name("sdk_identity.py")), cloud="pileus-admin")
    assert json.loads(told) == ["wait_for_status"]                     # which is for what has one


def test_policy_explained(cloud: Cloud):
    told = cloud.pileus("policy", "explain", "demo", "demo", "os_compute_api:servers:create")
    assert told.startswith("demo on demo may os_compute_api:servers:create\nbecause: role:member")
    system = cloud.pileus("policy", "explain", "admin", "system", "identity:create_user")
    assert system.startswith("admin on system may identity:create_user\nbecause: role:admin")
    refused = cloud.pileus("policy", "explain", "demo", "demo", "identity:get_project", "target.project.id=x", status=2)
    assert refused.startswith("demo on demo may not identity:get_project\n")
    assert "the target's is x" in refused


def test_a_policy_file_counts_from_the_next_start(cloud: Cloud):
    file = cloud.state / "policy.yaml"
    file.write_text("identity:list_users: '@'\nidentity:no_such_rule: '@'\n")
    cloud.pileus("down")
    said = cloud.pileus("up", "--detach", status=1)
    assert "identity:no_such_rule" in said
    file.write_text("identity:list_users: '@'\n")
    cloud.pileus("up", "--detach")
    assert "admin" in {each["Name"] for each in cloud.openstack("user", "list")}
    assert "policy.yaml" in cloud.pileus("policy", "explain", "demo", "demo", "identity:list_users")


def test_the_doctor_knows_a_directory_that_cannot_be_read(cloud: Cloud):
    domain = cloud.openstack("domain", "create", "far", cloud="pileus-admin")
    token = cloud.openstack("token", "issue", cloud="pileus-admin")["id"]
    config = {"config": {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://127.0.0.1:1"}}}
    made = httpx.put(f"http://127.0.0.1:{cloud.port}/identity/v3/domains/{domain['id']}/config", json=config,
                     headers={"x-auth-token": token})
    assert made.status_code == 201, made.text
    assert "identity: the directory ldap://127.0.0.1:1 of domain far cannot be read" in cloud.pileus("doctor", status=1)
    cloud.run("openstack", "domain", "set", "--disable", "far", cloud="pileus-admin")
    cloud.run("openstack", "domain", "delete", "far", cloud="pileus-admin")


def test_an_administrator_gets_back_in(cloud: Cloud):
    cloud.run("openstack", "user", "set", "--password", "lost", "admin", cloud="pileus-admin")
    told = cloud.pileus("bootstrap")
    assert "mended: the password of admin" in told
    assert cloud.openstack("token", "issue", cloud="pileus-admin")["user_id"]
    before = cloud.openstack("token", "issue")["id"]
    assert "tokens stay valid" in cloud.pileus("keys", "rotate")
    assert cloud.openstack("token", "issue")["id"] != before
