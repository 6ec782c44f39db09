"""Signed images are verified while they come in, by keys of each type; what does not fit is refused."""

import base64
import datetime
import gzip
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.x509.oid import NameOID

from pileus.image.signatures import METHODS
from tests.image.conftest import OCTETS
from tests.image.test_imports import LOCAL, imported, task_of, web_server

DATA = os.urandom(150_000)
ONE, OLD, EC, DSS = (f"0000000{n}-0000-4000-8000-000000000000" for n in "1234")
RSA_KEY, EC_KEY = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())
SIGNER = rsa.generate_private_key(65537, 2048)            # whoever issues certificates


def certificate(key, until):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
    when = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(
        1).not_valid_before(when).not_valid_after(until).sign(SIGNER, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    late, early = (datetime.datetime(year, 1, 2, tzinfo=datetime.UTC) for year in (2100, 1970))
    dss = dsa.generate_private_key(2048)
    for name, key, until in ((ONE, RSA_KEY, late), (OLD, RSA_KEY, early), (EC, EC_KEY, late), (DSS, dss, late)):
        (folder / f"{name}.pem").write_bytes(certificate(key, until))
    (folder / "secret.pem").write_bytes(certificate(RSA_KEY, late))
    return str(folder), dss


def signed(signature, kind="RSA-PSS", method="SHA-256", certificate=ONE):
    return {"img_signature": base64.b64encode(signature).decode(), "img_signature_hash_method": method,
            "img_signature_key_type": kind, "img_signature_certificate_uuid": certificate}


def by_rsa(data, method="SHA-256", salt=padding.PSS.MAX_LENGTH):
    algorithm = METHODS[method]()
    return RSA_KEY.sign(data, padding.PSS(padding.MGF1(algorithm), salt), algorithm)


async def uploaded(world, data=DATA, **properties):
    image = await world.image(**properties)
    answer = await world.http.put(f"/v2/images/{image}/file", content=data, headers=OCTETS)
    return answer, await world.shown(image)


async def test_each_method_and_type(make_world, certificates):
    folder, dss = certificates
    world = await make_world(settings={"certificates": folder})
    good = [signed(by_rsa(DATA, method), method=method) for method in METHODS]
    good += [signed(EC_KEY.sign(DATA, ec.ECDSA(hashes.SHA512())), "ECC_SECP384R1", "SHA-512", EC),
             signed(dss.sign(DATA, hashes.SHA256()), "DSA", "SHA-256", DSS)]
    for properties in good:
        answer, shown = await uploaded(world, **properties)
        assert (answer.status_code, shown["status"]) == (204, "active"), answer.text
        answer, shown = await uploaded(world, DATA[:-1], **properties)
        assert answer.status_code == 400 and "not that of the content" in answer.text
        assert (shown["status"], shown["checksum"]) == ("queued", None)
    short = signed(by_rsa(b"short"))
    assert (await uploaded(world, b"short", **short))[0].status_code == 204
    assert (await uploaded(world, b"shorn", **short))[0].status_code == 400
    answer, _ = await uploaded(world, img_signature="not all of them")
    assert answer.status_code == 204


@pytest.mark.parametrize(("change", "why"), [
    ({"img_signature": "no!"}, "base64"), ({"img_signature_hash_method": "MD5"}, "hash method"),
    ({"img_signature_key_type": "ECC_SECP384R1"}, "none of type"), ({"img_signature_key_type": "x"}, "none of type"),
    ({"img_signature_certificate_uuid": EC}, "none of type"),
    ({"img_signature_certificate_uuid": OLD}, "not valid now"),
    ({"img_signature_certificate_uuid": "secret"}, "no certificate"),
    ({"img_signature_certificate_uuid": "0000000a-0000-4000-8000-000000000000"}, "no certificate")])
async def test_what_cannot_be_verified(make_world, certificates, change, why):
    world = await make_world(settings={"certificates": certificates[0]})
    world.clock.turn(10 * 86_400)
    answer, shown = await uploaded(world, **signed(by_rsa(DATA)) | change)
    assert answer.status_code == 400 and why in answer.text
    assert shown["status"] == "queued" and world.kept() == []


async def test_without_certificates_signed_images_are_refused(world):
    answer, shown = await uploaded(world, **signed(by_rsa(DATA)))
    assert answer.status_code == 400 and "no certificate" in answer.text and shown["status"] == "queued"


async def test_imports_are_verified_before_they_are_transformed(make_world, certificates):
    packed = gzip.compress(DATA)
    async with web_server({"/image": packed}) as (url, port, _):
        world = await make_world(settings=LOCAL | {"certificates": certificates[0], "import_ports": [port],
                                                   "import_plugins": ["image_decompression"]})
        for content, status in ((packed, "active"), (DATA, "queued")):
            image = await world.image(container_format="compressed", **signed(by_rsa(content)))
            await imported(world, image, {"name": "web-download", "uri": f"{url}/image"})
            shown = await world.shown(image)
            assert shown["status"] == status and ("img_signature" in shown) == (status == "queued")
        assert "Signature verification" in (await task_of(world, image))["message"]
