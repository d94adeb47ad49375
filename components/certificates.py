"""Reading certificates: what a PEM text holds, and whether a server can use it. Pure."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization

FORMAT = "%Y-%m-%dT%H:%M:%SZ"  # RFC 3339, in UTC, as every output has it


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """What is said about a server's certificate."""

    subject: str
    names: tuple[str, ...]
    not_before: datetime.datetime
    not_after: datetime.datetime


def normal(pem: str) -> str:
    """The certificates of a PEM text, one after the other and nothing else. Raises ValueError where there is none."""
    if not isinstance(pem, str):
        raise ValueError("a text is needed")
    found = x509.load_pem_x509_certificates(pem.encode())
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in found)


def leaf(pem: str) -> Leaf:
    """The first certificate of a PEM text. Raises ValueError where there is none."""
    return _leaf(x509.load_pem_x509_certificates(pem.encode())[0])


def faults(certificate: str, key: str, hosts: Sequence[str], now: datetime.datetime) -> list[str]:
    """Why a server cannot use this certificate, each with both facts: what it has and what is needed.

    `certificate` and `key` are PEM texts; of `hosts`, names and addresses, it must cover every one.
    """
    try:
        first = x509.load_pem_x509_certificates(certificate.encode())[0]
    except ValueError:
        return ["tls.crt is no certificate in PEM"]
    found = _leaf(first)
    problems = []
    try:
        own = serialization.load_pem_private_key(key.encode(), password=None).public_key()
        if own != first.public_key():
            problems.append(f"tls.key is not the key of tls.crt ({found.subject}): it is another certificate's")
    except (ValueError, TypeError):
        problems.append("tls.key is no unencrypted private key in PEM")
    if found.not_after <= now:
        problems.append(f"tls.crt has expired: valid until {found.not_after:{FORMAT}}, now it is {now:{FORMAT}}")
    if found.not_before > now:
        problems.append(f"tls.crt is not valid yet: from {found.not_before:{FORMAT}}, now it is {now:{FORMAT}}")
    missing = [host for host in hosts if not _covers(found.names, host)]
    if missing:
        problems.append(f"tls.crt is for {', '.join(found.names) or 'no name'}, and not for {', '.join(missing)}")
    return problems


def covers(pem: str, host: str) -> bool:
    """Whether the first certificate is for this name or address. Raises ValueError where there is none."""
    return _covers(leaf(pem).names, host)


def _leaf(certificate: x509.Certificate) -> Leaf:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        texts = tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress))
    except x509.ExtensionNotFound:
        texts = ()
    return Leaf(
        subject=certificate.subject.rfc4514_string() or "no subject",
        names=texts,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _covers(names: Sequence[str], host: str) -> bool:
    """RFC 6125, section 6.4: a star stands for one whole first label, and for no address."""
    if is_address(host):
        return str(ipaddress.ip_address(host)) in names
    wildcard = f"*.{host.partition('.')[2]}"
    return any(name.lower() in (host.lower(), wildcard.lower()) for name in names)
