"""Clients that prove by a certificate who they are: OAuth 2.0's (RFC 8705), and those without any token."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pileus.identity.federation.settings import FederationConfig
from pileus.identity.service_tokens import ServiceTokens, fixed_id
from pileus.identity.validator import caller_of
from pileus.kit.certificates import ClientCertificates, ProxyConfig
from tests.identity.test_federation import put

DEMO = fixed_id("user", "demo")
OWN = {"local": [{"user": {"name": "{0}", "domain": {"name": "{1}"}}}],
       "remote": [{"type": "SSL_CLIENT_SUBJECT_DN_CN"}, {"type": "SSL_CLIENT_SUBJECT_DN_O"},
                  {"type": "SSL_CLIENT_ISSUER_DN_CN", "any_one_of": ["authority"]}]}


def certificate(name, organization="Default", issuer="authority"):
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                         x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(
        subject_name=subject, issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]),
        public_key=key.public_key(), serial_number=1, not_valid_before=now, not_valid_after=now + timedelta(days=1))
    return made.sign(key, hashes.SHA256())


def shown(made):
    return {"client-cert": f":{base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()}:"}


@pytest.fixture
async def cloud(make_world):
    """One behind a proxy."""
    world = await make_world(federation=FederationConfig(trusted_issuers=["CN=authority"]))
    world.site.certificates = ClientCertificates(ProxyConfig(client_certificate_header="Client-Cert"))
    admin = await world.log_in("admin", scope="admin")
    assert (await put(world, admin, "mappings/oauth2_mapping", rules=[OWN])).status_code == 201
    return world


async def asked(world, headers, client_id=DEMO, **more):
    return await world.http.post("/v3/OS-OAUTH2/token", headers=headers, data={
        "grant_type": "client_credentials", "client_id": client_id} | more)


async def test_a_token_is_good_with_its_certificate_only(cloud):
    mine = certificate("demo")
    answer = await asked(cloud, shown(mine))
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    headers = {"x-auth-token": token, "x-subject-token": token}
    seen = await cloud.http.get("/v3/auth/tokens", headers=headers | shown(mine))
    assert seen.status_code == 200
    body, print = seen.json()["token"], hashlib.sha256(mine.public_bytes(serialization.Encoding.DER)).digest()
    wanted = base64.urlsafe_b64encode(print).decode().rstrip("=")
    assert (body["methods"], body["oauth2_credential"]) == (["oauth2_credential"], {"x5t#S256": wanted})
    assert body["project"]["name"] == "demo" and caller_of(body, token).thumbprint == wanted
    for wrong in ({}, shown(certificate("demo"))):
        assert (await cloud.http.get("/v3/auth/tokens", headers=headers | wrong)).status_code == 401
    again = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}
    assert (await cloud.http.post("/v3/auth/tokens", json=again, headers=shown(mine))).status_code == 403
    service = await ServiceTokens(cloud.keys, "compute").token()               # which looks into what it was shown
    assert (await cloud.see(service, token)).status_code == 200


async def test_whose_certificate_it_is(cloud):
    admin = fixed_id("user", "admin")
    for made, client_id in ((certificate("demo"), admin), (certificate("other"), DEMO), (certificate("demo"), "none"),
                            (certificate("demo", "Elsewhere"), DEMO), (certificate("demo", issuer="other"), DEMO)):
        assert (await asked(cloud, shown(made), client_id)).status_code == 401
    assert (await asked(cloud, shown(certificate("demo")), grant_type="password")).status_code == 400
    token = await cloud.log_in("admin", scope="admin")
    await cloud.ask(token, "PATCH", f"/v3/users/{DEMO}", {"user": {"default_project_id": None}})
    assert (await asked(cloud, shown(certificate("demo")))).status_code == 401       # a token of which project?


async def test_whose_word_on_certificates_counts(cloud):
    mine = certificate("demo")
    pem = quote(mine.public_bytes(serialization.Encoding.PEM).decode())
    assert (await asked(cloud, {"client-cert": pem})).status_code == 200
    for wrong in ("", "x", "::", ":eA==:", pem[:-20], ":" + "A" * 20_000 + ":"):
        assert (await asked(cloud, {"client-cert": wrong})).status_code == 401
    double = [*shown(mine).items(), *shown(certificate("demo")).items()]
    assert (await asked(cloud, double)).status_code == 401
    for config in (ProxyConfig(), ProxyConfig(client_certificate_header="Client-Cert", trusted_proxies=("192.0.2.1",))):
        cloud.site.certificates = ClientCertificates(config)
        assert (await asked(cloud, shown(mine))).status_code == 401


async def test_a_certificate_instead_of_a_token(cloud):
    admin, idp_id = await cloud.log_in("admin", scope="admin"), hashlib.sha256(b"CN=authority").hexdigest()
    local = OWN | {"local": [{"user": {"name": "{0}", "domain": {"name": "{1}"}, "type": "local"}}]}
    await put(cloud, admin, f"identity_providers/{idp_id}", enabled=True)
    await put(cloud, admin, "mappings/tokenless", rules=[local])
    await put(cloud, admin, f"identity_providers/{idp_id}/protocols/x509", mapping_id="tokenless")
    place = {"x-project-name": "demo", "x-project-domain-name": "Default"}

    async def own(made, headers=place):
        return (await cloud.http.get(f"/v3/users/{DEMO}", headers=shown(made) | headers)).status_code
    assert await own(certificate("demo")) == 200
    assert await own(certificate("demo"), {"x-project-id": fixed_id("project", "demo")}) == 200
    assert await own(certificate("demo"), {}) == 401
    assert await own(certificate("demo"), {"x-project-id": fixed_id("project", "admin")}) == 401
    assert await own(certificate("demo", issuer="other")) == 401
    assert await own(certificate("nobody")) == 401
    assert (await cloud.http.get("/v3/users", headers=shown(certificate("demo")) | place)).status_code == 403
    assert (await cloud.http.get(f"/v3/users/{DEMO}", headers=place)).status_code == 401
