"""A SAML identity provider for tests, run by tools/servers: python saml-provider.py PORT PASSWORD SECRETS_FOLDER

Whoever asks is believed to be the user that HTTP's basic authentication names, with PASSWORD. It knows the service
providers whose metadata was put to /metadata, and it speaks to browsers and, by envelopes, to programs.
"""

import base64
import html
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, BINDING_PAOS, BINDING_SOAP
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.saml import NAME_FORMAT_URI, NAMEID_FORMAT_PERSISTENT, NameID
from saml2.server import Server
from saml2.soap import parse_soap_enveloped_saml_thingy
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

PORT, PASSWORD, FOLDER = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
ROOT = f"http://127.0.0.1:{PORT}"
PEOPLE = {"alice": ["engineers", "everybody"], "bob": ["everybody"]}
KEYS = {"key_file": str(FOLDER / "key.pem"), "cert_file": str(FOLDER / "certificate.pem")}
AUTHN_REQUEST = ["{urn:oasis:names:tc:SAML:2.0:protocol}AuthnRequest"]

ENVELOPE = """<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header><ecp:Response
xmlns:ecp="urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp" S:mustUnderstand="1"
S:actor="http://schemas.xmlsoap.org/soap/actor/next" AssertionConsumerServiceURL="{place}"/></S:Header>
<S:Body>{response}</S:Body></S:Envelope>"""


def idp(lifetime=15):
    known = FOLDER / "sp.xml"
    return Server(config=IdPConfig().load({
        "entityid": f"{ROOT}/idp", "xmlsec_binary": "/usr/bin/xmlsec1", **KEYS,

        "metadata": {"local": [str(known)] if known.exists() else []},
        "service": {"idp": {
            "endpoints": {"single_sign_on_service": [(f"{ROOT}/sso", BINDING_HTTP_REDIRECT),
                                                     (f"{ROOT}/ecp", BINDING_SOAP)]},
            "policy": {"default": {"lifetime": {"minutes": lifetime}, "attribute_restrictions": None,
                                   "name_form": NAME_FORMAT_URI}},
            "sign_assertion": True, "sign_response": False}}}))


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, text, kind="text/html"):
        raw = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(raw)))
        if status == 401:
            self.send_header("www-authenticate", 'Basic realm="idp"')
        self.end_headers()
        self.wfile.write(raw)

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", "0"))).decode()

    def user(self):
        _, _, told = self.headers.get("authorization", "").partition(" ")
        name, _, password = base64.b64decode(told).decode().partition(":")
        return name if name in PEOPLE and password == PASSWORD else None

    def response(self, server, request, user, binding, sign_all=False):
        about = server.response_args(request, [binding])
        return server.create_authn_response(
            {"uid": [user], "mail": [f"{user}@example.org"], "eduPersonAffiliation": PEOPLE[user]}, userid=user,
            name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=f"{user}@idp"),
            authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": ROOT},
            sign_assertion=not sign_all, sign_response=sign_all, sign_alg=SIG_RSA_SHA256, digest_alg=DIGEST_SHA256,
            **{key: about[key] for key in ("in_response_to", "destination", "sp_entity_id")})

    def do_PUT(self):
        (FOLDER / "sp.xml").write_text(self.body())
        self.answer(201, "")

    def do_GET(self):
        place = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(place.query).items()}
        if place.path == "/metadata":
            return self.answer(200, str(entity_descriptor(idp().config)), "text/xml")
        if place.path != "/sso" or (user := self.user()) is None:
            return self.answer(401, "")
        server = idp()
        asked = server.parse_authn_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT).message
        text = str(self.response(server, asked, user, BINDING_HTTP_POST, sign_all=user == "bob"))
        fields = {"SAMLResponse": base64.b64encode(text.encode()).decode(), "RelayState": query.get("RelayState", "")}
        inputs = "".join(f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
                         for name, value in fields.items())
        return self.answer(200, f'<form method="post" action="{asked.assertion_consumer_service_url}">{inputs}</form>')

    def do_POST(self):
        if self.path != "/ecp" or (user := self.user()) is None:
            return self.answer(401, "")
        server = idp()
        inner = parse_soap_enveloped_saml_thingy(self.body(), AUTHN_REQUEST)
        asked = server.parse_authn_request(base64.b64encode(inner if isinstance(inner, bytes) else inner.encode()),
                                           BINDING_HTTP_POST).message
        response = re.sub(r"^<\?.*?\?>", "", str(self.response(server, asked, user, BINDING_PAOS)))
        place = html.escape(asked.assertion_consumer_service_url)
        return self.answer(200, ENVELOPE.format(place=place, response=response), "text/xml")


HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
