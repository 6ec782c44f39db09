"""The messages of SAML 2.0 between us as a service provider and identity providers, by pysaml2."""

from __future__ import annotations

import base64
import calendar
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from saml2 import (
    BINDING_HTTP_POST,
    BINDING_HTTP_REDIRECT,
    BINDING_PAOS,
    BINDING_SOAP,
    SAMLError,
    element_to_extension_element,
    saml,
    samlp,
)
from saml2.client import Saml2Client
from saml2.client_base import ACTOR
from saml2.config import SPConfig
from saml2.ecp_client import SERVICE
from saml2.metadata import entity_descriptor
from saml2.profile import ecp, paos
from saml2.schema import soapenv
from saml2.time_util import str_to_time
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

from pileus.identity.federation.saml_keys import xmlsec
from pileus.kit.faults import Unauthorized, Unavailable

if TYPE_CHECKING:
    from pileus.identity.federation.saml import SamlProvider

logging.getLogger("saml2").setLevel(logging.CRITICAL + 1)        # it logs whole assertions
log = logging.getLogger(__name__)
LEEWAY = 60                            # seconds by which clocks may differ
NAMES = ("REMOTE_USER", "MELLON_NAME_ID")
ISSUERS = ("Shib-Identity-Provider", "MELLON_IDP")


class Said(msgspec.Struct, kw_only=True):
    """What a response that was verified says."""

    attributes: dict[str, str]
    issuer: str
    assertion_id: str
    ends_at: float


class Messages:
    """For one call: a client of pysaml2 remembers whom it saw."""

    def __init__(self, provider: SamlProvider):
        self.provider, self.settings = provider, provider.settings

    def request(self, relay_state: str) -> tuple[str, str]:
        client = self._client("post")
        try:
            id, sent = client.prepare_for_authenticate(
                self._idp(client), relay_state=relay_state, binding=BINDING_HTTP_REDIRECT,
                response_binding=BINDING_HTTP_POST, sign=self.settings.sign_requests)
        except SAMLError as error:
            raise Unavailable(reason="The identity provider takes no requests from browsers.") from error
        return id, dict(sent["headers"])["Location"]

    def enveloped_request(self, relay_state: Callable[[str], str]) -> str:
        client = self._client("soap")
        places: Any = client.metadata.single_sign_on_service(self._idp(client), BINDING_SOAP) or ()
        location = next((place["location"] for place in places), None)
        if location is None:
            raise Unavailable(reason="The identity provider takes no requests from programs.")
        id, asked = client.create_authn_request(location, binding=BINDING_PAOS, service_url_binding=BINDING_PAOS,
                                                sign=self.settings.sign_requests)
        if isinstance(asked, str):                            # which it is if it is signed
            asked = samlp.authn_request_from_string(asked)
        parts = (
            paos.Request(must_understand="1", actor=ACTOR, response_consumer_url=self.provider.places["soap"],
                         service=SERVICE),
            ecp.Request(actor=ACTOR, must_understand="1", issuer=saml.Issuer(text=self.provider.entity_id)),
            ecp.RelayState(actor=ACTOR, must_understand="1", text=relay_state(id)))
        head = soapenv.Header(extension_elements=[element_to_extension_element(part) for part in parts])
        body = soapenv.Body(extension_elements=[element_to_extension_element(asked)])
        return str(soapenv.Envelope(header=head, body=body))

    def issuer(self) -> str:
        return self._idp(self._client("soap"))

    def metadata(self) -> str:
        places = self.provider.places
        return str(entity_descriptor(self._config((places["post"], BINDING_HTTP_POST), (places["soap"], BINDING_PAOS))))

    def verified(self, text: str, binding: str, request_id: str | None) -> Said:
        client, place = self._client(binding), self.provider.places[binding]
        idp = self._idp(client)
        try:
            found = client.parse_authn_request_response(
                base64.b64encode(text.encode()).decode(), BINDING_HTTP_POST,
                outstanding={request_id: place} if request_id else None)
        except Exception as error:           # pysaml2 raises bare ones as well; whichever it is, nobody is let in
            raise _refused(type(error).__name__) from error
        if found is None or found.assertion is None or found.assertion.subject is None:
            raise _refused("it says nothing")
        assertion, answer = found.assertion, found.response
        if {(issuer.text or "").strip() for issuer in (assertion.issuer, answer.issuer) if issuer is not None} != {idp}:
            raise _refused("it is somebody else's")
        confirmed = [part.subject_confirmation_data for part in assertion.subject.subject_confirmation]
        if any(not data.not_on_or_after or data.recipient != place for data in confirmed) \
                or (answer.destination or place) != place:
            raise _refused("it is for another address, or for ever")
        if {answer.in_response_to, *(data.in_response_to for data in confirmed)} - {None} != {request_id} - {None}:
            raise _refused("it answers another request")
        ends = max(calendar.timegm(str_to_time(data.not_on_or_after) or (0,) * 9) for data in confirmed)
        return Said(attributes=_attributes(assertion, idp), issuer=idp, assertion_id=assertion.id,
                    ends_at=float(ends + 2 * LEEWAY))

    def _config(self, *places: tuple[str, str]) -> SPConfig:
        file = self.provider.keys.prepare()
        key = {"key_file": file} if self.settings.sign_requests else {}        # reading one takes long
        return SPConfig().load(key | {
            "entityid": self.provider.entity_id, "xmlsec_binary": xmlsec(), "cert_file": file,
            "signing_algorithm": SIG_RSA_SHA256, "digest_algorithm": DIGEST_SHA256, "accepted_time_diff": LEEWAY,
            "allow_unknown_attributes": True,
            "metadata": {"inline": [_read(self.settings.metadata)]},
            "service": {"sp": {
                "endpoints": {"assertion_consumer_service": list(places)},
                "allow_unsolicited": self.settings.unsolicited, "authn_requests_signed": self.settings.sign_requests,
                "want_assertions_signed": False, "want_response_signed": False,
                "want_assertions_or_response_signed": True}}})

    def _client(self, binding: str) -> Any:
        """Responses are read as those of a form, whatever brought them: the envelope is gone by then."""
        place = self.provider.places[binding]
        kinds = (BINDING_PAOS, BINDING_HTTP_POST) if binding == "soap" else (BINDING_HTTP_POST,)
        return Saml2Client(config=self._config(*((place, kind) for kind in kinds)))

    def _idp(self, client: Any) -> str:
        if self.settings.idp_entity_id:
            return self.settings.idp_entity_id
        known = list(client.metadata.with_descriptor("idpsso"))
        if len(known) != 1:
            raise Unavailable(reason=f"The metadata of the identity provider describes {len(known)} of them.")
        return known[0]


def _refused(why: str) -> Unauthorized:
    """What pysaml2 says of errors may hold all of the document."""
    log.warning("a SAML response was refused: %s", why)
    return Unauthorized()


def _attributes(assertion: Any, issuer: str) -> dict[str, str]:
    """As mappings know them: by their names, by their friendly names, and as a web server's module calls them."""
    found: dict[str, str] = {}
    for statement in assertion.attribute_statement:
        for attribute in statement.attribute:
            text = ";".join((value.text or "").strip() for value in attribute.attribute_value)
            for name in filter(None, (attribute.name, attribute.friendly_name)):
                found[name] = found[f"MELLON_{name}"] = text
    name_id = assertion.subject.name_id
    text = (name_id.text or "").strip() if name_id is not None else ""
    return found | dict.fromkeys(NAMES, text) | dict.fromkeys(ISSUERS, issuer)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise Unavailable(reason=f"The metadata of the identity provider cannot be read: {error.strerror}.") from error
