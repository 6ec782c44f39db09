"""What a SAML response must look like before anybody looks at what it says: nothing but plain, bounded XML in which no
second assertion can hide behind the signature of the first.

Signatures name what they sign by an ID. Forgers move what was signed elsewhere in the document and put their own where
readers look. In what passes here there is one response, one assertion right below it, no ID twice, and each signature
is right below what it signs.
"""

from __future__ import annotations

from xml.parsers import expat

import msgspec

MOST_BYTES = 256 * 1024
DEEPEST = 40
MOST_ELEMENTS = 5_000
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
ECP = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
RESPONSE, ASSERTION, SIGNATURE = f"{SAMLP} Response", f"{SAML} Assertion", f"{DSIG} Signature"
RELAY_STATE, ISSUER = f"{ECP} RelayState", f"{SAML} Issuer"
_STRONG = tuple(f"http://www.w3.org/2001/04/xmldsig-more#{kind}-sha{size}" for kind in ("rsa", "ecdsa")
                for size in (256, 384, 512))
_DIGESTS = ("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384",
            "http://www.w3.org/2001/04/xmlenc#sha512")
_ABOVE = {"post": (RESPONSE, ASSERTION), "soap": (f"{SOAP} Envelope", f"{SOAP} Body", RESPONSE, ASSERTION)}


class NotPlain(Exception):
    """No response that can be believed, whatever its signatures are; the text says why."""


class Plain(msgspec.Struct, kw_only=True):
    """The response alone, byte for byte as it came, and what stood in the envelope around it."""

    text: str
    issuer: str                                        # as the assertion tells it
    relay_state: str = ""


class _Reader:
    def __init__(self, binding: str):
        self.path: list[str] = []
        self.ids: list[str] = []
        self.signed: list[tuple[str, str]] = []        # (ID of what a signature is right below, what it refers to)
        self.assertions = self.elements = 0
        self.wanted = _ABOVE[binding]
        self.spaces: dict[str, list[str]] = {}         # what prefixes mean where the response begins
        self.begins = self.ends = -1
        self.relay_state = self.issuer = ""
        self.id_at: list[str] = []
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self.start, self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartNamespaceDeclHandler, self.parser.EndNamespaceDeclHandler = self.declare, self.undeclare
        for name in ("StartDoctypeDeclHandler", "EntityDeclHandler", "ProcessingInstructionHandler", "CommentHandler"):
            setattr(self.parser, name, self.refuse)

    def refuse(self, *_: object) -> None:
        raise NotPlain("it has a document type, entities, comments or processing instructions")

    def declare(self, prefix: str | None, uri: str | None) -> None:
        if self.begins < 0:
            self.spaces.setdefault(prefix or "", []).append(uri or "")

    def undeclare(self, prefix: str | None) -> None:
        if self.begins < 0:
            self.spaces[prefix or ""].pop()

    def characters(self, text: str) -> None:
        if self.path and self.path[-1] == RELAY_STATE and RESPONSE not in self.path:
            self.relay_state += text
        elif self.path[-2:] == [ASSERTION, ISSUER]:
            self.issuer += text

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if len(self.path) >= DEEPEST or self.elements > MOST_ELEMENTS:
            raise NotPlain("it is too deep or too long")
        self.path.append(name)
        own = [value for key, value in attributes.items() if key.rpartition(" ")[2].lower() == "id"]
        if len(own) > 1:
            raise NotPlain("an element has several IDs")
        self.ids += own
        self.id_at.append(own[0] if own else "")
        if name == RESPONSE:
            if tuple(self.path) != self.wanted[:-1] or self.begins >= 0:
                raise NotPlain("its response is not where it belongs")
            self.begins = self.parser.CurrentByteIndex
        elif name == ASSERTION:
            self.assertions += 1
            if tuple(self.path) != self.wanted:
                raise NotPlain("its assertion is not where it belongs")
        elif name == SIGNATURE:
            if self.path[-2:-1] not in ([RESPONSE], [ASSERTION]):
                raise NotPlain("a signature is not where it belongs")
        elif name == f"{SAML} EncryptedAssertion":
            raise NotPlain("its assertion is encrypted")
        elif name in (f"{DSIG} Reference", f"{DSIG} SignatureMethod", f"{DSIG} DigestMethod"):
            self.signature_part(name.rpartition(" ")[2], attributes)

    def signature_part(self, name: str, attributes: dict[str, str]) -> None:
        algorithm = attributes.get("Algorithm", "")
        if name == "Reference":
            above = next((at for at in range(len(self.path) - 1, -1, -1) if self.path[at] == SIGNATURE), 0)
            self.signed.append((self.id_at[above - 1], attributes.get("URI", "")))
        elif algorithm not in (_STRONG if name == "SignatureMethod" else _DIGESTS):
            raise NotPlain("it is signed by a weak algorithm")

    def end(self, name: str) -> None:
        self.path.pop()
        self.id_at.pop()
        if name == RESPONSE:
            self.ends = self.parser.CurrentByteIndex


def plain(raw: bytes, binding: str) -> Plain:
    """The response in a document; `binding` says whether it is all of it (post) or in an envelope (soap). Raises
    NotPlain."""
    if len(raw) > MOST_BYTES:
        raise NotPlain("it is too long")
    reader = _Reader(binding)
    try:
        raw.decode()
        reader.parser.Parse(raw, True)
    except (expat.ExpatError, UnicodeDecodeError, ValueError) as error:
        raise NotPlain(f"it is no XML in UTF-8: {error}") from error
    if reader.begins < 0 or reader.assertions != 1:
        raise NotPlain("it has not exactly one response with one assertion")
    if len(set(reader.ids)) != len(reader.ids):
        raise NotPlain("an ID is there twice")
    if not reader.signed or any(not id or uri != f"#{id}" for id, uri in reader.signed):
        raise NotPlain("a signature does not sign what it is in, or there is none")
    if len({id for id, _ in reader.signed}) != len(reader.signed):
        raise NotPlain("something is signed twice")
    return Plain(text=_alone(raw, reader), issuer=reader.issuer.strip(), relay_state=reader.relay_state.strip())


def _alone(raw: bytes, reader: _Reader) -> str:
    """The response's own bytes, with the prefixes that its ancestors gave it. Exclusive canonicalization, the only one
    that signatures in SAML may use, does not see the difference."""
    end = raw.index(b">", reader.ends) + 1 if raw[reader.ends:reader.ends + 2] == b"</" else reader.ends
    text = raw[reader.begins:end].decode()
    head = text[:text.index(">")]
    cut = len(head.split(None, 1)[0])
    added = ""
    for prefix, uris in reader.spaces.items():
        name = f"xmlns:{prefix}" if prefix else "xmlns"
        if uris and uris[-1] and f"{name}=" not in head:
            quoted = uris[-1].replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
            added += f' {name}="{quoted}"'
    return text[:cut] + added + text[cut:]
