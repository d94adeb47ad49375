"""The cluster's certificates: a CA, the API server's, the node's and the administrator's. Valid for ten years."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import facts, paths

YEARS = 10
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def ensure() -> Path:
    """Make whatever is not there. Without the CA everything is made anew: the old ones are of another CA."""
    folder = paths.state("pki")
    ca = folder / "ca"
    if not (ca.with_suffix(".crt").exists() and ca.with_suffix(".key").exists()):
        for old in folder.iterdir():
            old.unlink()
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("lab-ca")
        _save(
            ca,
            key,
            _builder(name, name, key).add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()),
        )
    lab = facts.lab()
    service = "kubernetes.default.svc"
    for stem, subject, names in (
        (
            "apiserver",
            _name("kube-apiserver"),
            [
                "localhost",
                "kubernetes",
                "kubernetes.default",
                service,
                f"{service}.{facts.DOMAIN}",
                str(lab.apiserver),
                lab.node,
                "127.0.0.1",
            ],
        ),
        ("admin", _name("admin", "system:masters"), []),
    ):
        if not (folder / f"{stem}.crt").exists() or not (folder / f"{stem}.key").exists():
            _leaf(folder, stem, subject, names)
    kubelet("kubelet", lab.name, lab.node)
    if not (folder / "sa.key").exists() or not (folder / "sa.pub").exists():
        key = rsa.generate_private_key(65537, 2048)
        _private(folder / "sa.key", key)
        paths.write(
            folder / "sa.pub",
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        )
    return folder


def kubelet(stem: str, node: str, address: str) -> None:
    """A node's certificate, for its kubelet as a client and as a server."""
    folder = paths.STATE / "pki"
    if not (folder / f"{stem}.crt").exists() or not (folder / f"{stem}.key").exists():
        _leaf(folder, stem, _name(f"system:node:{node}", "system:nodes"), [node, address])


def _leaf(folder: Path, stem: str, subject: x509.Name, names: list[str]) -> None:
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    ca = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(subject, ca.subject, key).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
    _save(folder / stem, key, builder.sign(ca_key, hashes.SHA256()))


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365 * YEARS))
    )


def _name(common: str, organization: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(file: Path, key: Key) -> None:
    paths.write(
        file,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        0o600,
    )


def _save(stem: Path, key: Key, certificate: x509.Certificate) -> None:
    _private(stem.with_suffix(".key"), key)
    paths.write(stem.with_suffix(".crt"), certificate.public_bytes(serialization.Encoding.PEM).decode())
