"""The unmodified plugins that log in with a certificate, through a proxy that ends TLS."""

import asyncio
import hashlib

import pytest
import requests
from keystoneauth1 import session
from keystoneauth1.exceptions import ClientException, Forbidden, Unauthorized
from keystoneauth1.identity import v3

from pileus.identity.federation.settings import FederationConfig
from pileus.kit.certificates import ClientCertificates, ProxyConfig
from tests.identity.test_auth_plugins import place, served
from tests.identity.test_certificates import DEMO, OWN
from tests.identity.test_federation import put
from tests.identity.tls_proxy import Authority, proxy

__all__ = ["place"]                    # a fixture
ISSUER = "CN=authority"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "authority")


@pytest.fixture
async def https(make_world, place, authority):
    """The address of identity, by TLS only."""
    listening, _ = place
    world = await make_world(federation=FederationConfig(trusted_issuers=[ISSUER]))
    world.site.certificates = ClientCertificates(ProxyConfig(client_certificate_header="Client-Cert"))
    admin, idp_id = await world.log_in("admin", scope="admin"), hashlib.sha256(ISSUER.encode()).hexdigest()
    local = OWN | {"local": [{"user": {"name": "{0}", "domain": {"name": "{1}"}, "type": "local"}}]}
    await put(world, admin, "mappings/oauth2_mapping", rules=[OWN])
    await put(world, admin, f"identity_providers/{idp_id}", enabled=True)
    await put(world, admin, "mappings/tokenless", rules=[local])
    await put(world, admin, f"identity_providers/{idp_id}/protocols/x509", mapping_id="tokenless")
    async with served(world, listening), proxy(authority, listening.getsockname()[1]) as root:
        yield f"{root}/identity/v3"


def asking(authority, auth, name=None):
    return session.Session(auth=auth, verify=str(authority.file), cert=authority.certificate(name) if name else None)


async def get(client, url):
    return (await asyncio.to_thread(client.get, url)).json()


async def test_a_token_for_a_certificate(https, authority):
    def plugin():
        return v3.OAuth2mTlsClientCredential(auth_url=https, oauth2_endpoint=f"{https}/OS-OAUTH2/token",
                                             oauth2_client_id=DEMO)
    client = asking(authority, plugin(), "demo")
    assert (await get(client, f"{https}/users/{DEMO}"))["user"]["name"] == "demo"
    stolen = client.get_token()
    for other in (asking(authority, None), asking(authority, None, "demo")):     # without one, and with a newer one
        with pytest.raises(Unauthorized):
            await asyncio.to_thread(other.get, f"{https}/users/{DEMO}", headers={"x-auth-token": stolen})
    for name in ("admin", None):
        with pytest.raises(ClientException):
            await asyncio.to_thread(asking(authority, plugin(), name).get_token)


async def test_no_token_at_all(https, authority, tmp_path):
    auth = v3.TokenlessAuth(https, project_name="demo", project_domain_name="Default")
    client = asking(authority, auth, "demo")
    found = await asyncio.to_thread(client.get, f"/users/{DEMO}", endpoint_filter={"service_type": "identity"})
    assert found.json()["user"]["name"] == "demo"
    with pytest.raises(Forbidden):
        await get(client, f"{https}/users")
    with pytest.raises(Unauthorized):
        await get(asking(authority, auth), f"{https}/users/{DEMO}")
    (tmp_path / "other").mkdir()
    forged = Authority(tmp_path / "other", "authority").certificate("demo")       # of the same name
    with pytest.raises(requests.exceptions.ConnectionError):
        await asyncio.to_thread(requests.get, f"{https}/users/{DEMO}", verify=str(authority.file), cert=forged,
                                headers={"x-project-id": "x"}, timeout=10)
