"""What this cloud says of its users to other clouds, as their identity provider: signed SAML assertions, by pysaml2."""

from __future__ import annotations

import logging
import re
from typing import Any

from saml2 import BINDING_SOAP, element_to_extension_element, md, saml, samlp, xmldsig
from saml2.client_base import ACTOR
from saml2.profile import ecp
from saml2.saml import AUTHN_PASSWORD, NAMEID_FORMAT_PERSISTENT, SCM_BEARER
from saml2.saml import NAME_FORMAT_URI as URI
from saml2.schema import soapenv
from saml2.sigver import CryptoBackendXmlSec1, pre_signature_part
from saml2.time_util import instant
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

from pileus.identity.contexts import Context
from pileus.identity.federation.saml_keys import SamlKeys, xmlsec
from pileus.identity.model.federation import ServiceProvider
from pileus.kit.ids import new_hex

logging.getLogger("saml2").setLevel(logging.CRITICAL + 1)        # it logs whole assertions
ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion:Assertion"


class Statements:
    """By one identity provider, at one moment."""

    def __init__(self, entity_id: str, keys: SamlKeys, now: float):
        self.entity_id, self.keys, self.now = entity_id, keys, now

    def metadata(self, sso_url: str) -> str:
        key = xmldsig.KeyInfo(x509_data=xmldsig.X509Data(
            x509_certificate=xmldsig.X509Certificate(text=self.keys.certificate())))
        described = md.IDPSSODescriptor(
            protocol_support_enumeration=samlp.NAMESPACE, want_authn_requests_signed="false",
            key_descriptor=md.KeyDescriptor(use="signing", key_info=key),
            name_id_format=md.NameIDFormat(text=NAMEID_FORMAT_PERSISTENT),
            single_sign_on_service=md.SingleSignOnService(binding=BINDING_SOAP, location=sso_url))
        return str(md.EntityDescriptor(entity_id=self.entity_id, idpsso_descriptor=described))

    def response(self, found: Context, groups: list[str], provider: ServiceProvider, ends_at: float) -> str:
        """What `provider` may believe of whoever has the token; only it may, and only until then."""
        assertion = self._assertion(found, groups, provider, ends_at)
        assertion.signature = pre_signature_part(assertion.id, self.keys.certificate(), digest_alg=DIGEST_SHA256,
                                                 sign_alg=SIG_RSA_SHA256)
        signed = CryptoBackendXmlSec1(xmlsec()).sign_statement(
            str(assertion), ASSERTION, self.keys.prepare(), assertion.id)
        answer = str(samlp.Response(
            id=f"id{new_hex()}", version="2.0", issue_instant=_iso(self.now), destination=provider.sp_url,
            issuer=saml.Issuer(text=self.entity_id),
            status=samlp.Status(status_code=samlp.StatusCode(value=samlp.STATUS_SUCCESS))))
        return _within(answer, "Response", signed)

    def _assertion(self, found: Context, groups: list[str], provider: ServiceProvider, ends_at: float) -> Any:
        ends, began = _iso(ends_at), _iso(found.token.issued_at)
        context = saml.AuthnContext(authn_context_class_ref=saml.AuthnContextClassRef(text=AUTHN_PASSWORD),
                                    authenticating_authority=saml.AuthenticatingAuthority(text=self.entity_id))
        return saml.Assertion(
            id=f"id{new_hex()}", version="2.0", issue_instant=_iso(self.now), issuer=saml.Issuer(text=self.entity_id),
            subject=saml.Subject(
                name_id=saml.NameID(format=NAMEID_FORMAT_PERSISTENT, text=found.caller.user_name),
                subject_confirmation=saml.SubjectConfirmation(
                    method=SCM_BEARER, subject_confirmation_data=saml.SubjectConfirmationData(
                        recipient=provider.sp_url, not_on_or_after=ends))),
            conditions=saml.Conditions(not_on_or_after=ends),
            authn_statement=saml.AuthnStatement(authn_instant=began, session_not_on_or_after=ends,
                                                authn_context=context),
            attribute_statement=saml.AttributeStatement(
                attribute=[_attribute(name, values) for name, values in _facts(found, groups).items() if values]))

    @staticmethod
    def enveloped(response: str, provider: ServiceProvider) -> str:
        """For programs that carry it to the other cloud."""
        state = ecp.RelayState(actor=ACTOR, must_understand="1", text=f"{provider.relay_state_prefix}{new_hex()}")
        envelope = soapenv.Envelope(
            header=soapenv.Header(extension_elements=[element_to_extension_element(state)]),
            body=soapenv.Body(text=" "))
        return _within(str(envelope), "Body", response)


def _within(text: str, name: str, part: str) -> str:
    """What was signed must stay as it is, letter by letter, so it is put into the text of what goes around it."""
    before, ending, after = re.split(rf"(</\w+:{name}>)", text)
    return before + re.sub(r"^\s*<\?.*?\?>\s*", "", part).strip() + ending + after


def _facts(found: Context, groups: list[str]) -> dict[str, list[str]]:
    """By the names that other clouds' mappings know."""
    caller = found.caller
    return {"openstack_user": [caller.user_name], "openstack_user_domain": [caller.user_domain_name],
            "openstack_roles": [role.name for role in found.roles],
            "openstack_project": [caller.project_name or ""],
            "openstack_project_domain": [caller.project_domain_name or ""], "openstack_groups": groups}


def _attribute(name: str, values: list[str]) -> Any:
    return saml.Attribute(name=name, name_format=URI, attribute_value=[
        saml.AttributeValue(text=value) for value in values])


def _iso(seconds: float) -> str:
    return instant(time_stamp=int(seconds))
