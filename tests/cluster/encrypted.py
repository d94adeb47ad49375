"""An encrypted registry on the cluster: its stack, its certificates, and what port 443 shows."""

import contextlib
import functools
import socket
import ssl
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.cluster.harness import life, registry_pod, until
from tests.issuing import new_certificate, new_key

NAMESPACE = "cluster-tls"
HOST = f"registry.{NAMESPACE}.svc.cluster.local"
BASE = {"namespace": NAMESPACE, "accounts": [{"name": "ci"}], "storage": {"size": "2Gi"}}
PROPAGATION_SECONDS = 150

MODES = {
    # mode: its keys, and the name of the CA whose certificate is then served
    "off": ({}, None),
    "internal": ({}, "registry-ca-1 internal CA"),
    "secret": ({}, "given CA"),
    "cert-manager": ({"issuer": {"name": "issued"}}, "issued CA"),
    "acme": (None, "Caddy Local Authority - ECC Intermediate"),
}


class Acme(NamedTuple):
    """The stack's keys for an ACME server, and the directory of one whose certificates live for 5 minutes."""

    keys: dict[str, str]
    short: str


class Site:
    """The stack, and what the tests want of it."""

    def __init__(self, stack, kubectl, acme) -> None:
        self.stack, self.kubectl, self.acme = stack, kubectl, acme
        self.nudges, self.generation = 0, 1

    def tls(self, mode: str, **more) -> dict:
        keys = self.acme.keys if mode == "acme" else MODES[mode][0]
        return {"mode": mode, "ca": {"generation": self.generation}, **keys, **more}

    def to(self, mode: str, **more) -> None:
        self.stack.configure(**{**BASE, "tls": self.tls(mode, **more)})
        self.stack.up()

    def pod(self) -> dict:
        return registry_pod(self.kubectl, NAMESPACE)

    def life(self) -> tuple:
        return life(self.pod())

    def nudge(self) -> None:
        """Has kubelet look at the pod now, which it does within a minute anyway: the tests would only wait."""
        self.nudges += 1
        self.kubectl.run(
            "annotate", "pod", "-n", NAMESPACE, self.pod()["metadata"]["name"], f"nudge={self.nudges}", "--overwrite"
        )

    @functools.cached_property
    def address(self) -> str:
        """The Service's, which no change of the mode replaces; asked for once, since tests look at it all the time."""
        return self.outputs["clusterIp"]

    @property
    def outputs(self) -> dict:
        return self.stack.outputs()


def served(address: str) -> x509.Certificate | None:
    """The certificate that port 443 shows; None when it is refused. Raises OSError for a failed handshake."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        plain = socket.create_connection((address, 443), timeout=5)
    except ConnectionRefusedError:
        return None
    with plain, context.wrap_socket(plain, server_hostname=HOST) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))


def issuer(address: str) -> str | None:
    certificate = served(address)
    return certificate and certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value


def tls_secret(name: str, key: str, certificate: str, **more: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key, **more},
    }


def give(site) -> str:
    """A new certificate by the outside CA in the Secret of mode `secret`."""
    key = new_key()
    certificate = new_certificate(key, "registry", [HOST, site.address], issuer=site.given)
    site.kubectl.apply(tls_secret("registry-tls", key, certificate, **{"ca.crt": site.given[1]}))
    return certificate


def fingerprint(address: str) -> bytes:
    return served(address).fingerprint(hashes.SHA256())


def ready(site, mode: str, **more) -> None:
    """The mode is switched to, with more keys where they are given, and serves its own certificate."""
    site.to(mode, **more)
    site.nudge()

    def there():
        with contextlib.suppress(OSError):
            return issuer(site.address) == MODES[mode][1]

    until(there, seconds=PROPAGATION_SECONDS, what=mode)
