"""Certificates for the tests, made at run time."""

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime.now(datetime.UTC)


def new_key() -> str:
    """An ECDSA P-256 key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def new_certificate(
    key: str, name: str, hosts: Sequence[str] = (), *, issuer: tuple[str, str] | None = None,
    days: tuple[float, float] = (-1, 90),
) -> str:  # fmt: skip
    """A certificate, PEM, signed by `issuer` (key, certificate), or else a CA that signs itself.

    `days`: the first and the last of its life, from now.
    """
    own = _load(key)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer = _load(issuer[0]) if issuer else own
    by = x509.load_pem_x509_certificate(issuer[1].encode()).subject if issuer else subject
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=by, public_key=own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(NOW + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(h) for h in hosts]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _load(key: str) -> ec.EllipticCurvePrivateKey:
    return serialization.load_pem_private_key(key.encode(), password=None)
