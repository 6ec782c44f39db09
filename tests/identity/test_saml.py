"""People who come by SAML 2.0, from a provider or from another cloud; and what forgers try."""

import base64
import os
import re
import time
from urllib.parse import urlsplit

import httpx
import pytest

from pileus.identity.api.saml import SHIBBOLETH
from pileus.identity.federation.settings import FederationConfig, SamlConfig
from pileus.kit.clock import TurnedClock
from tests.identity.conftest import BASE
from tests.identity.test_federation import put

SERVER = os.environ.get("PILEUS_TEST_SAML")
URL = f"{BASE}/identity"
AUTH = "/v3/OS-FEDERATION/identity_providers/example/protocols/saml2/auth"
SSO = "/v3/auth/OS-FEDERATION/websso/saml2"
DASHBOARD = "https://dashboard.example.org/auth/websso/"
PAOS = {"accept": "text/html, application/vnd.paos+xml",
        "paos": 'ver="urn:liberty:paos:2003-08";"urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"'}
RULES = [{"local": [{"user": {"name": "{0}", "email": "{1}"}}, {"groups": "{2}", "domain": {"name": "Default"}}],
          "remote": [{"type": "uid"}, {"type": "MELLON_mail"}, {"type": "eduPersonAffiliation"}]}]
CLOUD_RULES = [{"local": [{"user": {"name": "{0}"}}, {"groups": "{1}"}],
                "remote": [{"type": "openstack_user"}, {"type": "openstack_groups"},
                           {"type": "openstack_roles", "any_one_of": ["member"]}]}]


@pytest.fixture(params=["saml"] if SERVER else [])
def idp(request):
    """Address and password."""
    place = urlsplit(SERVER)
    return f"http://127.0.0.1:{place.port}", place.password


async def told(world, admin, idp_id="example", rules=RULES, **fields):
    """An identity provider that administrators have described, and a group that it may fill."""
    domain = await put(world, admin, f"identity_providers/{idp_id}", enabled=True, domain_id="default", **fields)
    assert domain.status_code == 201
    await put(world, admin, f"mappings/{idp_id}", rules=rules)
    await put(world, admin, f"identity_providers/{idp_id}/protocols/saml2", mapping_id=idp_id)


@pytest.fixture
def clock():
    return TurnedClock(time.time())


async def make_cloud(make_world, idp, tmp_path, clock, **more):
    """One that trusts the provider, which knows it."""
    root, _ = idp
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        (tmp_path / "idp.xml").write_text((await client.get(f"{root}/metadata")).text)
        world = await make_world(clock, federation=FederationConfig(
            identity_url=URL, trusted_dashboards=[DASHBOARD],
            saml={"example/saml2": SamlConfig(metadata=tmp_path / "idp.xml", **more)}))
        admin = await world.log_in("admin", scope="admin")
        await told(world, admin, remote_ids=[f"{root}/idp"])
        await world.make(admin, "groups", name="engineers")
        ours = await world.http.get(f"{AUTH}/saml2")
        assert ours.status_code == 200, ours.text
        assert (f"{BASE}{SHIBBOLETH}/SAML2/ECP" if more else f"{URL}{AUTH}/saml2/ecp") in ours.text
        await client.put(f"{root}/metadata", content=ours.content)
    world.site.mount_at_root(SHIBBOLETH, world.site.mounts["/identity"])
    return world


@pytest.fixture
async def cloud(make_world, idp, tmp_path, clock):
    return await make_cloud(make_world, idp, tmp_path, clock)


async def asked(root, path, user="alice", password=None, **more):
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.request("POST" if more else "GET", f"{root}{path}", auth=(user, password or ""), **more)


async def by_browser(world, idp, user="alice"):
    """What a browser brings back, not yet delivered: the address, the fields, the cookies."""
    begun = await world.http.get(SSO, params={"origin": DASHBOARD})
    assert begun.status_code == 302
    place = urlsplit(begun.headers["location"])
    page = await asked(idp[0], f"{place.path}?{place.query}", user, idp[1])
    assert page.status_code == 200, page.text
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    return re.findall(r'action="([^"]*)"', page.text)[0], fields


async def delivered(world, url, fields):
    return await world.http.post(url, data=fields)


async def by_program(world, idp, user="alice"):
    """The envelope that a program brings back, with the state that it was given."""
    begun = await world.http.get(AUTH, headers=PAOS)
    assert begun.status_code == 200 and begun.headers["content-type"] == "application/vnd.paos+xml"
    state = re.findall(r"<(\w+):RelayState .*?</\1:RelayState>", begun.text)
    assert len(state) == 1
    relay = re.findall(r">([^<]*)</\w+:RelayState>", begun.text)[0]
    body = re.sub(r"<(\w+):Header.*</\1:Header>", "", begun.text, flags=re.DOTALL)
    answer = await asked(idp[0], "/ecp", user, idp[1], content=body)
    assert answer.status_code == 200, answer.text
    return with_state(answer.text, relay)


def with_state(envelope, state):
    kept = f'<e:RelayState xmlns:e="urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp">{state}</e:RelayState>'
    return re.sub(r"(<(\w+):Header>)", rf"\1{kept}", envelope, count=1)


async def brought(world, envelope, path=f"{AUTH}/saml2/ecp"):
    """What a program has for it, which goes where it is sent."""
    headers = {"content-type": "application/vnd.paos+xml"}
    answer = await world.http.post(path, content=envelope, headers=headers)
    return await world.http.get(answer.headers["location"], headers=headers) if answer.is_redirect else answer


async def test_a_browser_comes_from_the_provider_and_goes_on_with_a_token(cloud, idp):
    for user, groups in (("alice", 1), ("bob", 0)):          # bob's response is signed, alice's assertion
        url, fields = await by_browser(cloud, idp, user)
        assert url == f"{URL}{AUTH}/saml2/post"
        page = await delivered(cloud, url, fields)
        assert page.status_code == 200 and f'action="{DASHBOARD}"' in page.text
        token = re.findall(r'name="token" value="([^"]*)"', page.text)[0]
        seen = (await cloud.see(token, token)).json()["token"]
        assert (seen["user"]["name"], seen["methods"]) == (user, ["mapped"])
        assert len(seen["user"]["OS-FEDERATION"]["groups"]) == groups
        again = await delivered(cloud, url, fields)
        assert again.status_code == 401


async def test_only_the_browser_that_asked_comes_back(cloud, idp):
    url, fields = await by_browser(cloud, idp)
    assert (await delivered(cloud, url, fields | {"RelayState": "other"})).status_code == 401
    cloud.http.cookies.clear()
    assert (await delivered(cloud, url, fields)).status_code == 401
    await by_browser(cloud, idp)                              # another request's cookie
    assert (await delivered(cloud, url, fields)).status_code == 401
    assert (await cloud.http.get(SSO, params={"origin": "https://elsewhere"})).status_code == 401


async def test_a_program_comes_with_an_envelope(cloud, idp):
    answer = await brought(cloud, await by_program(cloud, idp))
    assert answer.status_code == 201, answer.text
    assert answer.json()["token"]["user"]["name"] == "alice" and answer.headers["x-subject-token"]
    envelope = await by_program(cloud, idp)
    for other in (with_state(envelope.replace("RelayState", "Other"), ""), with_state(envelope, "ss:mem:1"),
                  re.sub(r">[^<]*</e:RelayState>", "></e:RelayState>", envelope)):
        assert (await brought(cloud, other)).status_code == 401
    assert (await brought(cloud, envelope)).status_code == 201
    assert (await brought(cloud, envelope)).status_code == 401            # once
    assert (await cloud.http.get(AUTH)).status_code == 401                # neither a browser nor such a program


async def test_a_program_fetches_its_token_at_once_and_once(cloud, idp, clock):
    async def begun():
        cloud.http.cookies.clear()
        return await cloud.http.post(f"{AUTH}/saml2/ecp", content=await by_program(cloud, idp))
    answer = await begun()
    assert (answer.status_code, answer.headers["location"]) == (303, f"{URL}{AUTH}")
    assert (await cloud.http.get(AUTH, headers=PAOS)).status_code == 201
    assert (await cloud.http.get(AUTH, headers=PAOS)).status_code == 200  # it begins anew
    await begun()
    assert (await cloud.http.get(AUTH.replace("example", "other"))).status_code == 404
    clock.turn(61)
    assert (await cloud.http.get(AUTH)).status_code == 401


def wrapped(text):
    """The signed assertion is put aside, and a forged one where readers look."""
    assertion = re.findall(r"<\w+:Assertion .*</\w+:Assertion>", text, flags=re.DOTALL)[0]
    id = re.findall(r'ID="([^"]*)"', assertion)[0]
    same = re.sub(r"<(\w+):Signature.*</\1:Signature>", "", assertion, flags=re.DOTALL).replace("alice", "root")
    forged = same.replace(id, "forged")
    inside = re.sub(r"</\w+:Assertion>$", lambda end: assertion + end[0], forged)
    return {"before": text.replace(assertion, forged + assertion), "after": text.replace(assertion, assertion + forged),
            "aside": text.replace(assertion, f"<x>{assertion}</x>{forged}"), "inside": text.replace(assertion, inside),
            "same id": text.replace(assertion, same + assertion)}


BILLION = '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;&a;">]>'
FORGED = {
    "another name": lambda text: text.replace("alice", "root"),
    "no signature": lambda text: re.sub(r"<(\w+):Signature.*</\1:Signature>", "", text, flags=re.DOTALL),
    "another reference": lambda text: re.sub(r'URI="#[^"]*"', 'URI=""', text),
    "a weak algorithm": lambda text: text.replace("xmldsig-more#rsa-sha256", "rsa-sha1"),
    "entities": lambda text: BILLION + re.sub(r"<\?.*?\?>", "", text).replace("alice", "alice&c;"),
    "a comment": lambda text: text.replace("alice", "al<!-- -->ice"),
    "another key": lambda text: re.sub(r"(<\w+:SignatureValue>)....", r"\1AAAA", text),
    "another place": lambda text: re.sub(r'Destination="[^"]*"', 'Destination="http://evil/"', text),
    "another issuer": lambda text: re.sub(r"(Issuer[^>]*>)http[^<]*", r"\1http://evil/idp", text),
    "too long": lambda text: text + " " * 300_000,
    "nothing": lambda text: "",
    "no XML": lambda text: "<<<",
}


async def test_forged_responses_let_nobody_in(cloud, idp):
    url, fields = await by_browser(cloud, idp)
    text = base64.b64decode(fields["SAMLResponse"]).decode()
    forged = {how: change(text) for how, change in FORGED.items()} | wrapped(text)
    for how, after in forged.items():
        assert after != text, how
        answer = await delivered(cloud, url, fields | {"SAMLResponse": base64.b64encode(after.encode()).decode()})
        assert answer.status_code == 401, (how, answer.text)
    assert (await delivered(cloud, url, fields)).status_code == 200       # it was the forgeries


async def test_what_was_said_for_another_address_does_not_count_here(cloud, idp):
    """Neither a provider's word to another service nor the name by which we are called decides where we are."""
    url, fields = await by_browser(cloud, idp)
    answer = await cloud.http.post(url, data=fields, headers={"host": "evil.example.org"})
    assert answer.status_code == 200
    envelope = await by_program(cloud, idp)
    inner = re.findall(r"<(\w+):Body>(.*)</\1:Body>", envelope, flags=re.DOTALL)[0][1]
    begun = await by_browser(cloud, idp)
    crossed = begun[1] | {"SAMLResponse": base64.b64encode(inner.encode()).decode()}
    assert (await delivered(cloud, begun[0], crossed)).status_code == 401


async def test_at_the_addresses_that_providers_knew_before(make_world, idp, tmp_path, clock):
    """Those of Shibboleth's module are the same for all providers."""
    cloud = await make_cloud(make_world, idp, tmp_path, clock, shibboleth=True)
    ecp = f"{BASE}{SHIBBOLETH}/SAML2/ECP"
    answer = await brought(cloud, await by_program(cloud, idp), ecp)
    assert answer.status_code == 201, answer.text
    url, fields = await by_browser(cloud, idp)
    assert url == f"{BASE}{SHIBBOLETH}/SAML2/POST"
    assert (await delivered(cloud, url, fields)).status_code == 200
    envelope = await by_program(cloud, idp)
    for wrong in (with_state(envelope.replace("RelayState", "Other"), ""), with_state(envelope, "ss:mem:1"), "<x/>"):
        assert (await brought(cloud, wrong, ecp)).status_code == 401
    assert (await delivered(cloud, url, fields)).status_code == 401


# -- clouds -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def clouds(make_world, idp, tmp_path):
    """One whose users come to another."""
    here = await make_world(federation=FederationConfig(identity_url="http://here/identity"))
    told_of = await here.http.get("/v3/OS-FEDERATION/saml2/metadata")
    assert told_of.status_code == 200 and told_of.headers["content-type"].startswith("text/xml")
    (tmp_path / "here.xml").write_text(told_of.text)
    there = await make_world(federation=FederationConfig(identity_url=URL, saml={
        "here/saml2": SamlConfig(metadata=tmp_path / "here.xml", unsolicited=True),
        "keystone/saml2": SamlConfig(metadata=tmp_path / "here.xml", unsolicited=True, shibboleth=True),
        "strict/saml2": SamlConfig(metadata=tmp_path / "here.xml")}))
    admin = await there.log_in("admin", scope="admin")
    await told(there, admin, "here", CLOUD_RULES)
    await told(there, admin, "strict", CLOUD_RULES)
    await told(there, admin, "keystone", CLOUD_RULES)
    there.site.mount_at_root(SHIBBOLETH, there.site.mounts["/identity"])
    await there.make(admin, "groups", name="guests")
    own = await here.log_in("admin", scope="admin")
    group = await here.make(own, "groups", name="guests", domain_id="default")
    user = (await here.ask(own, "GET", "/v3/users?name=demo")).json()["users"][0]
    await here.ask(own, "PUT", f"/v3/groups/{group['id']}/users/{user['id']}")
    for name, idp_id in (("there", "here"), ("strict", "strict")):
        place = f"{URL}{AUTH.replace('example', idp_id)}"
        await put(here, own, f"service_providers/{name}", auth_url=place, sp_url=f"{place}/saml2/ecp", enabled=True)
    await put(here, own, "service_providers/keystone", auth_url=f"{URL}{AUTH.replace('example', 'keystone')}",
              sp_url=f"{BASE}{SHIBBOLETH}/SAML2/ECP", enabled=True)
    return here, there


def of_cloud(token, provider="there"):
    return {"auth": {"identity": {"methods": ["token"], "token": {"id": token}},
                     "scope": {"service_provider": {"id": provider}}}}


async def test_a_user_of_one_cloud_comes_to_another(clouds):
    here, there = clouds
    token = await here.log_in("demo", scope="demo")
    given = await here.http.post("/v3/auth/OS-FEDERATION/saml2/ecp", json=of_cloud(token))
    assert given.status_code == 200 and given.headers["x-auth-url"].endswith("/protocols/saml2/auth")
    place = given.headers["x-sp-url"].removeprefix(URL)
    answer = await brought(there, given.text, place)
    assert answer.status_code == 201, answer.text
    user = answer.json()["token"]["user"]
    assert user["name"] == "demo" or user["name"] == user["id"]          # there is a demo there as well
    assert len(user["OS-FEDERATION"]["groups"]) == 1
    assert (await brought(there, given.text, place)).status_code == 401   # once
    plain = await here.http.post("/v3/auth/OS-FEDERATION/saml2", json=of_cloud(token))
    assert plain.status_code == 200 and "openstack_project_domain" in plain.text and "Envelope" not in plain.text
    strict = await here.http.post("/v3/auth/OS-FEDERATION/saml2/ecp", json=of_cloud(token, "strict"))
    assert (await brought(there, strict.text, strict.headers["x-sp-url"].removeprefix(URL))).status_code == 401
    other = await here.http.post("/v3/auth/OS-FEDERATION/saml2/ecp", json=of_cloud(token))
    assert (await brought(there, other.text, AUTH.replace("example", "strict") + "/saml2/ecp")).status_code == 401


async def test_a_cloud_that_is_known_by_the_address_of_its_web_server(clouds):
    here, there = clouds
    token = await here.log_in("demo", scope="demo")
    given = await here.http.post("/v3/auth/OS-FEDERATION/saml2/ecp", json=of_cloud(token, "keystone"))
    answer = await brought(there, given.text, given.headers["x-sp-url"])
    assert answer.status_code == 201, answer.text
    assert answer.json()["token"]["user"]["OS-FEDERATION"]["identity_provider"] == {"id": "keystone"}
    other = await here.http.post("/v3/auth/OS-FEDERATION/saml2/ecp", json=of_cloud(token))
    assert (await brought(there, other.text, given.headers["x-sp-url"])).status_code == 401


async def test_only_who_works_in_a_project_is_vouched_for(clouds):
    here, _ = clouds
    path = "/v3/auth/OS-FEDERATION/saml2"
    token, unscoped = await here.log_in("demo", scope="demo"), await here.log_in("demo", scope="unscoped")
    assert (await here.http.post(path, json=of_cloud(unscoped))).status_code == 403
    assert (await here.http.post(path, json=of_cloud("x"))).status_code == 404
    assert (await here.http.post(path, json=of_cloud(token, "nowhere"))).status_code == 404
    assert (await here.http.post(path, json={"auth": {}})).status_code == 400
    admin = await here.log_in("admin", scope="admin")
    off = {"service_provider": {"enabled": False}}
    await here.ask(admin, "PATCH", "/v3/OS-FEDERATION/service_providers/there", off)
    assert (await here.http.post(path, json=of_cloud(token))).status_code == 403
