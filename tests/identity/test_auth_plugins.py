"""The plugins by which unmodified programs log in with other clouds and identity providers, over real sockets."""

import asyncio
import contextlib
import logging
import re
import socket
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import uvicorn
from keystoneauth1 import session
from keystoneauth1.exceptions import BadRequest, Unauthorized
from keystoneauth1.extras._saml2 import V3Saml2Password
from keystoneauth1.identity import v3
from keystoneauth1.identity.v3.oidc import OidcDeviceAuthorization

from pileus.identity.federation.settings import FederationConfig, OidcConfig, SamlConfig
from tests.identity.test_federation import RULES as OIDC_RULES
from tests.identity.test_federation import TOKEN, browse, grant, issuer, make_example, put
from tests.identity.test_saml import CLOUD_RULES, RULES, idp, told

__all__ = ["idp", "issuer"]            # fixtures
CALLBACK = "http://cloud:5000/identity/v3/auth/OS-FEDERATION/callback"
PROTOCOL = "OS-FEDERATION/identity_providers/example/protocols"


@contextlib.asynccontextmanager
async def served(world, listening):
    """At a socket that is there already, since what is signed names its address."""
    server = uvicorn.Server(uvicorn.Config(world.site, lifespan="off", log_level="error"))
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


@pytest.fixture
def place():
    """A listening socket, and the address of identity there."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening, f"http://127.0.0.1:{listening.getsockname()[1]}/identity"


async def token_of(plugin):
    return await asyncio.to_thread(lambda: plugin.get_access(session.Session()))


async def test_openid_connect(make_world, issuer, place):
    url, secret = issuer
    listening, root = place
    world = await make_world(federation=FederationConfig(providers={"example/openid": OidcConfig(
        issuer=url, client_id="cloud", client_secret=secret, audiences=["urn:pileus:cloud"])}))
    admin = await world.log_in("admin", scope="admin")
    await put(world, admin, "identity_providers/example", enabled=True, remote_ids=[url])
    await put(world, admin, "mappings/claims", rules=OIDC_RULES)
    await put(world, admin, "identity_providers/example/protocols/openid", mapping_id="claims")
    same = {"auth_url": f"{root}/v3", "identity_provider": "example", "protocol": "openid"}
    client = {"client_id": "cloud", "discovery_endpoint": f"{url}/.well-known/openid-configuration", "scope": "use"}
    program = v3.OidcClientCredentials(**same, **client, client_secret=secret)
    form = {"grant_type": "client_credentials", "scope": "use", "resource": "urn:pileus:cloud"}
    async with served(world, listening), httpx.AsyncClient(trust_env=False, timeout=60) as http:
        assert (await token_of(program)).username == "program cloud"
        given = (await http.post(f"{url}{TOKEN}", data=form, auth=("cloud", secret))).json()["access_token"]
        bearer = await token_of(v3.OidcAccessToken(**same, access_token=given))
        assert bearer.username == "program cloud" and bearer.is_federated
        with pytest.raises(Unauthorized):
            await token_of(v3.OidcAccessToken(**same, access_token=given[:-4]))


class Visitor(logging.Handler):
    """Whoever reads on a terminal where to go, and does all that is asked for there."""

    def emit(self, record):
        if found := re.search(r"go to: (\S+)", record.getMessage()):
            asyncio.run(self.visit(found[1]))

    @staticmethod
    async def visit(url):
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            await browse(http, url)


@pytest.fixture
def visitor():
    log, handler = logging.getLogger("keystoneauth"), Visitor()
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


async def code_for(url, client_id):
    """What a person's browser brings back who logs in for a client."""
    query = urlencode({"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK,
                       "scope": "openid email profile"})
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        back = await browse(http, f"{url}/protocol/openid-connect/auth?{query}")
    return parse_qs(urlsplit(back).query)["code"][0]


async def test_people_by_openid_connect(make_world, issuer, place, visitor):
    """By their password, by a code of their browser, and by another device than the one they are at."""
    url, secret = issuer
    listening, root = place
    world = await make_world(federation=FederationConfig(providers={"example/openid": OidcConfig(
        issuer=url, client_id="cloud", client_secret=secret, audiences=["other"])}))
    admin = await make_example(world, remote_ids=[url])
    _, project_id = await grant(world, admin)
    same = {"auth_url": f"{root}/v3", "identity_provider": "example", "protocol": "openid", "client_id": "cloud",
            "client_secret": secret, "discovery_endpoint": f"{url}/.well-known/openid-configuration",
            "scope": "openid email profile", "project_id": project_id}
    async with served(world, listening):
        found = await token_of(v3.OidcPassword(**same, username="alice", password=secret))
        assert (found.username, found.project_id, found.role_names) == ("alice", project_id, ["member", "reader"])
        with pytest.raises(BadRequest):                                   # the provider's
            await token_of(v3.OidcPassword(**same, username="alice", password="wrong"))
        device = await token_of(OidcDeviceAuthorization(**same))
        assert (device.user_id, device.project_id) == (found.user_id, project_id)
        code = await token_of(v3.OidcAuthorizationCode(**same | {
            "client_id": "other", "redirect_uri": CALLBACK, "code": await code_for(url, "other")}))
        assert (code.user_id, code.project_id) == (found.user_id, project_id)


async def test_saml_with_a_password(make_world, idp, place, tmp_path):
    provider, password = idp
    listening, root = place
    world = await make_world(federation=FederationConfig(identity_url=root, saml={
        "example/saml2": SamlConfig(metadata=tmp_path / "idp.xml")}))
    admin = await world.log_in("admin", scope="admin")
    await told(world, admin, rules=RULES)
    group = await world.make(admin, "groups", name="engineers")
    role = (await world.ask(admin, "GET", "/v3/roles?name=reader")).json()["roles"][0]
    project = (await world.ask(admin, "GET", "/v3/projects?name=demo")).json()["projects"][0]
    await world.ask(admin, "PUT", f"/v3/projects/{project['id']}/groups/{group['id']}/roles/{role['id']}")
    async with served(world, listening), httpx.AsyncClient(trust_env=False, timeout=60) as http:
        (tmp_path / "idp.xml").write_text((await http.get(f"{provider}/metadata")).text)
        ours = await http.get(f"{root}/v3/{PROTOCOL}/saml2/auth/saml2")
        await http.put(f"{provider}/metadata", content=ours.content)
        found = await token_of(V3Saml2Password(
            auth_url=f"{root}/v3", identity_provider="example", protocol="saml2",
            identity_provider_url=f"{provider}/ecp", username="alice", password=password,
            project_name="demo", project_domain_name="Default"))
    assert (found.username, found.project_name, found.role_names) == ("alice", "demo", ["reader"])


async def test_from_cloud_to_cloud(make_world, idp, place, tmp_path):
    """To itself, which is as good as another one."""
    listening, root = place
    world = await make_world(federation=FederationConfig(identity_url=root, saml={
        "example/saml2": SamlConfig(metadata=tmp_path / "own.xml", unsolicited=True)}))
    admin = await world.log_in("admin", scope="admin")
    await told(world, admin, rules=CLOUD_RULES)
    group = await world.make(admin, "groups", name="guests")
    user = (await world.ask(admin, "GET", "/v3/users?name=demo")).json()["users"][0]
    await world.ask(admin, "PUT", f"/v3/groups/{group['id']}/users/{user['id']}")
    there = f"{root}/v3/{PROTOCOL}/saml2/auth"
    await put(world, admin, "service_providers/there", auth_url=there, sp_url=f"{there}/saml2/ecp", enabled=True)
    own = v3.Password(f"{root}/v3", username="demo", password="d-secret", user_domain_name="Default",
                      project_name="demo", project_domain_name="Default")
    async with served(world, listening), httpx.AsyncClient(trust_env=False, timeout=60) as http:
        (tmp_path / "own.xml").write_text((await http.get(f"{root}/v3/OS-FEDERATION/saml2/metadata")).text)
        found = await token_of(v3.Keystone2Keystone(own, "there"))
    assert found.is_federated and found.user_id != user["id"]
