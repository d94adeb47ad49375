"""Encryption on a real cluster: from every mode to every other under load, renewal, the next CA, and who trusts whom."""

import contextlib
import datetime
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from components.protocol import Client, digest
from lab import certmanager, demo, facts, node, programs
from tests.cluster.conftest import until
from tests.issuing import new_certificate, new_key

pytestmark = pytest.mark.cluster

NAMESPACE = "cluster-tls"
HOST = f"registry.{NAMESPACE}.svc.cluster.local"
BASE = {"namespace": NAMESPACE, "accounts": [{"name": "ci"}], "storage": {"size": "2Gi"}}
BLOB_BYTES = 1 << 30
CHUNK = os.urandom(1 << 20)
ACME_PORT = 14000
PROPAGATION_SECONDS = 150

MODES = {
    # mode: its keys, and the name of the CA whose certificate is then served
    "off": ({}, None),
    "internal": ({}, "registry-ca-1 internal CA"),
    "secret": ({}, "given CA"),
    "cert-manager": ({"issuer": {"name": "issued"}}, "issued CA"),
    "acme": (None, "Caddy Local Authority - ECC Intermediate"),
}
# every ordered pair once, as one walk
WALK = (
    "off internal off secret off cert-manager off acme internal secret internal cert-manager internal acme "
    "secret cert-manager secret acme cert-manager acme off"
).split()


class Site:
    """The stack, and what the tests want of it."""

    def __init__(self, stack, kubectl, acme) -> None:
        self.stack, self.kubectl, self.acme = stack, kubectl, acme
        self.nudges = 0

    def tls(self, mode: str, **more) -> dict:
        keys = self.acme if mode == "acme" else MODES[mode][0]
        return {"mode": mode, **keys, **more}

    def to(self, mode: str, **more) -> None:
        self.stack.configure(**{**BASE, "tls": self.tls(mode, **more)})
        self.stack.up()

    def pod(self) -> dict:
        pods = self.kubectl.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=registry")["items"]
        [pod] = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return pod

    def life(self) -> tuple:
        pod = self.pod()
        containers = sorted((c["name"], c["containerID"], c["restartCount"]) for c in pod["status"]["containerStatuses"])
        return pod["metadata"]["uid"], containers

    def nudge(self) -> None:
        """Has kubelet look at the pod now, which it does within a minute anyway: the tests would only wait."""
        self.nudges += 1
        self.kubectl.run(
            "annotate", "pod", "-n", NAMESPACE, self.pod()["metadata"]["name"], f"nudge={self.nudges}", "--overwrite"
        )

    @property
    def address(self) -> str:
        return self.outputs["clusterIp"]

    @property
    def outputs(self) -> dict:
        return self.stack.outputs()


def served(address: str) -> x509.Certificate | None:
    """The certificate that port 443 shows; None when the connection is refused. Raises OSError for a failed handshake."""
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


@pytest.fixture(scope="module")
def acme(environment, tmp_path_factory):
    """An ACME server on the node: Caddy's own. Its keys for the stack."""
    folder = tmp_path_factory.mktemp("acme")
    address = str(facts.lab().node)
    (folder / "Caddyfile").write_text(
        "{\n\tadmin off\n\tpersist_config off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
        f"https://{address}:{ACME_PORT} {{\n\ttls internal\n\tacme_server {{\n\t\tlifetime 3m\n\t}}\n}}\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            node.command(
                ["env", f"XDG_DATA_HOME={folder}", f"XDG_CONFIG_HOME={folder}", str(programs.path("caddy")), "run",
                 "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
            ),
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    root = folder / "caddy/pki/authorities/local/root.crt"
    url = f"https://{address}:{ACME_PORT}/acme/local/directory"

    def answers():
        with contextlib.suppress(httpx.HTTPError, OSError):
            return root.exists() and httpx.get(url, verify=str(root), trust_env=False).status_code == 200
        return False

    try:
        until(answers, seconds=30, what="the ACME server")
        yield {"host": HOST, "directory": url, "directoryCa": root.read_text(), "caCertificate": root.read_text()}
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def site(new_stack, kubectl, acme):
    with certmanager.running():
        stack = new_stack("cluster-tls")
        site = Site(stack, kubectl, acme)
        site.to("off")
        site.given = (new_key(), None)
        site.given = (site.given[0], new_certificate(site.given[0], "given CA"))
        give(site)
        issued = new_key()
        kubectl.apply(tls_secret("issued-ca", issued, new_certificate(issued, "issued CA")))
        kubectl.apply(
            {
                "apiVersion": "cert-manager.io/v1",
                "kind": "Issuer",
                "metadata": {"name": "issued", "namespace": NAMESPACE},
                "spec": {"ca": {"secretName": "issued-ca"}},
            }
        )
        yield site
        site.to("off", ca={"generation": 1})


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


class Load:
    """A push of 1 GB that does not end before it is told to, and pulls without a pause, each on a new connection."""

    def __init__(self, site: Site, https: bool) -> None:
        self.address, self.login = site.address, ("ci", site.outputs["accounts"]["ci"]["password"])
        self.push_url = f"{'https' if https else 'http'}://{self.address}"
        self.failures: list[str] = []
        self.pulls = self.pushed = 0
        self.done, self.release, self.full = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self):
        with Client(f"http://{self.address}", self.login) as client:
            self.small = client.push_blob("load/pulled", CHUNK)
        self.threads = [threading.Thread(target=self._push), threading.Thread(target=self._pull)]
        for thread in self.threads:
            thread.start()
        assert self.full.wait(120), f"the push has not come far: {self.failures}"
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.threads[0].join(120)
        self.done.set()
        self.threads[1].join(60)

    def _content(self):
        whole = BLOB_BYTES // len(CHUNK)
        for number in range(whole):
            if number == whole - 100:
                self.full.set()
            if number >= whole - 100 and not self.release.is_set():
                self.release.wait(0.2)  # on and on, but slowly
                if number == whole - 1:
                    self.release.wait(180)
            self.pushed += len(CHUNK)
            yield CHUNK

    def _push(self) -> None:
        try:
            with Client(self.push_url, self.login, timeout=200, verify=False) as client:
                location = httpx.URL(client.start_upload("load/pushed"))
                client.request(
                    "PUT",
                    str(location.copy_merge_params({"digest": BLOB_DIGEST})),
                    content=self._content(),
                    headers={"Content-Length": str(BLOB_BYTES)},
                )
        except Exception as error:  # every failure counts, of whatever kind
            self.failures.append(f"push: {error!r}")
            self.full.set()

    def _pull(self) -> None:
        while not self.done.is_set():
            try:
                with Client(f"http://{self.address}", timeout=30) as client:
                    if client.pull_blob("load/pulled", self.small) != CHUNK:
                        self.failures.append("pull: other content")
                self.pulls += 1
            except Exception as error:
                self.failures.append(f"pull: {error!r}")


def _blob_digest() -> str:
    import hashlib

    whole = hashlib.sha256()
    for _ in range(BLOB_BYTES // len(CHUNK)):
        whole.update(CHUNK)
    return f"sha256:{whole.hexdigest()}"


BLOB_DIGEST = _blob_digest()


@pytest.fixture(scope="module")
def table():
    rows: list[str] = []
    yield rows
    print("\n| from | to | push over | pulls meanwhile | failed | pod | served after |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


@pytest.mark.parametrize(("before", "after"), list(zip(WALK, WALK[1:], strict=False)), ids=lambda mode: mode)
def test_going_from_one_mode_to_another_loses_nothing(before, after, site, table):
    want = MODES[after][1]
    if (issuer(site.address) if before != "off" else served(site.address)) != MODES[before][1]:
        site.to(before)
        site.nudge()
        until(lambda: issuer(site.address) == MODES[before][1], seconds=PROPAGATION_SECONDS, what=before)
    life = site.life()
    with Load(site, https=before != "off") as load:
        site.to(after)
        start = time.monotonic()
        site.nudge()

        def arrived():
            with contextlib.suppress(OSError):
                return issuer(site.address) == want

        until(arrived, seconds=PROPAGATION_SECONDS, what=f"the certificate of {after}")
        took = time.monotonic() - start
    assert load.failures == []
    assert load.pushed == BLOB_BYTES
    assert site.life() == life, "a reload is enough: the pod stays"
    with Client(f"http://{site.address}", timeout=60) as client:
        assert client.request("HEAD", f"/v2/load/pushed/blobs/{BLOB_DIGEST}").headers["Content-Length"] == str(BLOB_BYTES)
    scheme = "https" if before != "off" else "http"
    table.append(f"| {before} | {after} | {scheme} | {load.pulls} | {len(load.failures)} | same | {took:.1f} s |")
