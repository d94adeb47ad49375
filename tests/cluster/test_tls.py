"""Encryption on a real cluster: from every mode to every other under load, renewal, the next CA, and who trusts."""

import contextlib
import datetime
import functools
import hashlib
import itertools
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from components.protocol import Client
from lab import certmanager, demo, facts, images, node, programs
from tests.cluster.conftest import run_pod, until
from tests.issuing import NOW, new_certificate, new_key

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
    *("off", "internal", "off", "secret", "off", "cert-manager", "off", "acme", "internal", "secret", "internal"),
    *("cert-manager", "internal", "acme", "secret", "cert-manager", "secret", "acme", "cert-manager", "acme", "off"),
)


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
        containers = sorted(
            (c["name"], c.get("containerID"), c["restartCount"]) for c in pod["status"]["containerStatuses"]
        )
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


@pytest.fixture(scope="module")
def acme(environment, tmp_path_factory):
    """An ACME server on the node: Caddy's own. Its keys for the stack."""
    folder = tmp_path_factory.mktemp("acme")
    address = str(facts.lab().node)
    (folder / "Caddyfile").write_text(
        "{\n\tadmin off\n\tpersist_config off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
        f"https://{address}:{ACME_PORT} {{\n\ttls internal\n\tacme_server {{\n\t\tlifetime 5m\n\t}}\n}}\n"
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
            trusting = ssl.create_default_context(cafile=str(root)) if root.exists() else None
            return trusting and httpx.get(url, verify=trusting, trust_env=False).status_code == 200
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
                    str(location.copy_merge_params({"digest": blob_digest()})),
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


@functools.cache
def blob_digest() -> str:
    whole = hashlib.sha256()
    for _ in range(BLOB_BYTES // len(CHUNK)):
        whole.update(CHUNK)
    return f"sha256:{whole.hexdigest()}"


@pytest.fixture(scope="module")
def table():
    rows: list[str] = []
    yield rows
    print("\n| from | to | push over | pulls meanwhile | failed | pod | served after |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


@pytest.mark.parametrize(("before", "after"), list(itertools.pairwise(WALK)), ids=lambda mode: mode)
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
        assert client.request("HEAD", f"/v2/load/pushed/blobs/{blob_digest()}").headers["Content-Length"] == str(
            BLOB_BYTES
        )
    scheme = "https" if before != "off" else "http"
    table.append(f"| {before} | {after} | {scheme} | {load.pulls} | {len(load.failures)} | same | {took:.1f} s |")


# -- renewal -----------------------------------------------------------------------------------------------------------


class Handshakes:
    """Handshakes without a pause; every failed one is kept."""

    def __init__(self, address: str) -> None:
        self.address, self.count, self.failures, self._done = address, 0, [], threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            try:
                assert served(self.address), "refused"
                self.count += 1
            except Exception as error:  # every failure counts, of whatever kind
                self.failures.append(repr(error))


def fingerprint(address: str) -> bytes:
    return served(address).fingerprint(hashes.SHA256())


def ready(site, mode: str) -> None:
    site.to(mode)
    site.nudge()

    def there():
        with contextlib.suppress(OSError):
            return issuer(site.address) == MODES[mode][1]

    until(there, seconds=PROPAGATION_SECONDS, what=mode)


def test_a_changed_secret_is_served_within_90_seconds_without_a_restart_or_a_failed_handshake(site):
    ready(site, "secret")
    life, before = site.life(), fingerprint(site.address)
    with Handshakes(site.address) as handshakes:
        new = x509.load_pem_x509_certificate(give(site).encode()).fingerprint(hashes.SHA256())
        start = time.monotonic()
        until(lambda: fingerprint(site.address) == new, seconds=PROPAGATION_SECONDS, what="the changed Secret")
        took = time.monotonic() - start
    print(f"a changed Secret was served after {took:.0f} s; {handshakes.count} handshakes meanwhile")
    assert before != new
    assert handshakes.failures == []
    assert took <= 90
    assert site.life() == life


def test_a_certificate_that_cert_manager_renews_is_followed(site):
    ready(site, "cert-manager")
    life, before = site.life(), fingerprint(site.address)
    with Handshakes(site.address) as handshakes:
        certmanager.renew(NAMESPACE, "registry-issued-tls")
        start = time.monotonic()
        until(lambda: fingerprint(site.address) != before, seconds=PROPAGATION_SECONDS, what="the renewed certificate")
        print(f"a renewed Certificate was served after {time.monotonic() - start:.0f} s")
    assert handshakes.failures == []
    assert site.life() == life


def test_the_front_renews_its_acme_certificate_by_itself(site):
    ready(site, "acme")
    life, before = site.life(), served(site.address)
    with Handshakes(site.address) as handshakes:
        until(
            lambda: fingerprint(site.address) != before.fingerprint(hashes.SHA256()),
            seconds=420,
            what="the renewed ACME certificate, which lives for 5 minutes",
        )
    assert issuer(site.address) == MODES["acme"][1]
    assert handshakes.failures == []
    assert site.life() == life


def test_a_leaf_inside_its_renewal_window_is_replaced_by_the_next_up_and_the_ca_stays(site):
    ready(site, "internal")
    life, before, ca = site.life(), fingerprint(site.address), site.outputs["caCertificate"]
    certificate = site.outputs["certificate"]
    assert certificate["renewFrom"] < certificate["notAfter"]
    site.stack.pulumi("preview", "--expect-no-changes", "--stack", site.stack.name)
    # what time would do: the state says that the leaf ends tomorrow
    state = json.loads(site.stack.pulumi("stack", "export", "--stack", site.stack.name).stdout)
    [leaf] = [r for r in state["deployment"]["resources"] if r["urn"].endswith("::registry-leaf-certificate")]
    soon = (NOW + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    leaf["outputs"] |= {"validityEndTime": soon, "readyForRenewal": True}
    file = site.stack.folder / "state.json"
    file.write_text(json.dumps(state))
    site.stack.pulumi("stack", "import", "--file", str(file), "--stack", site.stack.name)
    file.unlink()
    shown = site.stack.pulumi("preview", "--stack", site.stack.name, "--json").stdout
    changed = {s["urn"].split("::")[-1] for s in json.loads(shown)["steps"] if s["op"] not in ("same", "read")}
    assert "registry-leaf-certificate" in changed
    assert not {name for name in changed if name.startswith("registry-ca")}
    site.stack.up()
    site.nudge()
    until(lambda: fingerprint(site.address) != before, seconds=PROPAGATION_SECONDS, what="the renewed leaf")
    assert site.outputs["caCertificate"] == ca
    assert site.life() == life
    site.stack.pulumi("preview", "--expect-no-changes", "--stack", site.stack.name)


# -- trust -------------------------------------------------------------------------------------------------------------


def verifies(site, bundle: str) -> bool:
    """Whether a client that trusts this bundle alone accepts the certificate, by the Service's name."""
    context = ssl.create_default_context(cadata=bundle)
    try:
        with socket.create_connection((site.address, 443), timeout=5) as plain:
            context.wrap_socket(plain, server_hostname=HOST).close()
    except ssl.SSLCertVerificationError:
        return False
    return True


def test_the_next_ca_comes_without_anybody_losing_trust(site):
    ready(site, "internal")
    first = site.outputs["caCertificate"]
    assert verifies(site, first)

    site.to("internal", ca={"next": "trusted"})
    both = site.outputs["caCertificate"]
    assert both.startswith(first)
    assert both.count("BEGIN CERTIFICATE") == 2
    second = both.removeprefix(first)
    assert both in site.outputs["clients"]["containerd"][f"/etc/containerd/certs.d/{HOST}/ca.crt"]
    assert [verifies(site, bundle) for bundle in (first, both, second)] == [True, True, False], "the old one serves"

    site.to("internal", ca={"next": "serving"})
    site.nudge()
    until(lambda: verifies(site, second), seconds=PROPAGATION_SECONDS, what="the new leaf")
    assert [verifies(site, bundle) for bundle in (first, both, second)] == [False, True, True], "the new one serves"

    site.to("internal", ca={"generation": 2})
    assert site.outputs["caCertificate"] == second, "the old one is dropped, with no hand on the state"
    assert [verifies(site, bundle) for bundle in (first, both, second)] == [False, True, True]


@pytest.fixture(scope="module")
def encrypted(site, tmp_path_factory):
    """The registry with its internal CA, and two folders that stand in for /etc: with the CA and without."""
    site.stack.configure(**{**BASE, "tls": {"mode": "internal", "plaintext": "closed", "ca": {"generation": 2}}})
    site.stack.up()
    site.nudge()
    outputs = site.outputs
    context = ssl.create_default_context(cadata=outputs["caCertificate"])
    login = ("ci", outputs["accounts"]["ci"]["password"])

    def closed():
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://{site.address}/v2/", trust_env=False).status_code == 426

    until(closed, seconds=PROPAGATION_SECONDS, what="closed plain HTTP")
    until(lambda: verifies(site, outputs["caCertificate"]), seconds=PROPAGATION_SECONDS, what="the internal CA's leaf")
    with Client(f"https://{site.address}", login, verify=context, server_name=HOST, timeout=60) as client:
        assert client.login()
    folders = {}
    for name in ("with", "without"):
        folders[name] = tmp_path_factory.mktemp(name)
        for client in ("podman", "docker"):
            for path, content in outputs["clients"][client].items():
                if name == "without" and path.endswith("ca.crt"):
                    continue
                target = folders[name] / Path(path).relative_to("/etc")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(content)
        (folders[name] / "containers").mkdir(exist_ok=True)
        (folders[name] / "docker").mkdir(exist_ok=True)
        (folders[name] / "containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        auth = folders[name] / "auth"
        auth.mkdir()
        (auth / "config.json").write_text(outputs["accounts"]["ci"]["dockerConfigJson"])
        (auth / "config.json").chmod(0o600)
    (folders["with"] / "auth/ca.crt").write_text(outputs["caCertificate"])
    return folders


def commands(client: str, etc: Path, tmp: Path) -> tuple[list[str], list[str]]:
    """Push and pull, each as one command."""
    auth, image = str(etc / "auth/config.json"), f"{HOST}/trust/{client}:1"
    ca = etc / "auth/ca.crt"
    environment = ["env", f"DOCKER_CONFIG={etc / 'auth'}", f"HOME={tmp}", f"XDG_RUNTIME_DIR={tmp}"]
    if ca.exists():
        environment += [f"SSL_CERT_FILE={ca}", "SSL_CERT_DIR=/nonexistent"]
    else:
        environment += ["SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"]
    archive = f"docker-archive:{tmp}/hello.tar"
    store = ["--root", f"{tmp}/store", "--runroot", f"{tmp}/run", "--storage-driver", "vfs"]
    plain = ["env", "-u", "SSL_CERT_FILE", "-u", "SSL_CERT_DIR", f"HOME={tmp}", f"XDG_RUNTIME_DIR={tmp}"]
    ca_flag = ["--ca-file", str(ca)] if ca.exists() else []
    table = {
        "skopeo": (
            [*plain, "skopeo", "copy", "--authfile", auth, archive, f"docker://{image}"],
            [*plain, "skopeo", "inspect", "--raw", f"docker://{image}"],
        ),
        "buildah": (
            [*plain, "sh", "-euc", 'id=$(buildah "$@" pull -q ' + archive + "); buildah \"$@\" push "
             f"--authfile {auth} $id docker://{image}", "sh", *store],
            [*plain, "buildah", *store, "pull", "-q", "--policy", "always", image],
        ),
        "podman": (
            [*plain, "sh", "-euc", 'id=$(podman "$@" pull -q ' + archive + "); podman \"$@\" push "
             f"--authfile {auth} $id {image}", "sh", *store],
            [*plain, "podman", *store, "pull", "-q", image],
        ),
        "crane": (
            [*environment, str(programs.path("crane")), "push", f"{tmp}/hello.tar", image],
            [*environment, str(programs.path("crane")), "manifest", image],
        ),
        "oras": (
            [*environment, "sh", "-euc", f"cd {tmp}; echo x > o.txt; {programs.path('oras')} push "
             f"{' '.join(ca_flag)} {image} o.txt"],
            [*environment, str(programs.path("oras")), "manifest", "fetch", *ca_flag, image],
        ),
    }  # fmt: skip
    return table[client]


@pytest.mark.parametrize("client", ["skopeo", "buildah", "podman", "crane", "oras"])
def test_a_client_verifies_with_the_ca_and_refuses_without_it(client, encrypted, on_node, tmp_path):
    images.assemble(images.HELLO, tmp_path / "hello.tar")
    push, pull = commands(client, encrypted["with"], tmp_path)
    on_node(*push, etc=encrypted["with"])
    on_node(*pull, etc=encrypted["with"])
    for command in commands(client, encrypted["without"], tmp_path):
        refused = on_node(*command, etc=encrypted["without"], check=False)
        assert refused.returncode != 0, f"{client} took a certificate of a CA that it does not know"
        assert re.search(r"(?i)unknown authority|certificate", refused.stdout + refused.stderr)


@pytest.mark.parametrize("trusting", ["with", "without"])
def test_docker_verifies_with_the_ca_and_refuses_without_it(trusting, encrypted, tmp_path):
    images.assemble(images.HELLO, tmp_path / "hello.tar")
    etc, socket_ = encrypted[trusting], tmp_path / "docker.sock"
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(
            node.command(
                ["env", "-u", "SSL_CERT_FILE", "-u", "SSL_CERT_DIR", "dockerd", "--host", f"unix://{socket_}",
                 "--data-root", str(tmp_path / "data"), "--exec-root", str(tmp_path / "exec"), "--pidfile",
                 str(tmp_path / "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false",
                 "--storage-driver=vfs"],
                etc,
            ),
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", "--host", f"unix://{socket_}", "--config", str(etc / "auth"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    try:
        until(lambda: docker("info").returncode == 0, seconds=60, what="dockerd")
        image = f"{HOST}/trust/docker:1"
        loaded = docker("load", "--quiet", "--input", str(tmp_path / "hello.tar"))
        assert loaded.returncode == 0, loaded.stderr
        docker("tag", loaded.stdout.split(": ", 1)[1].strip(), image)
        for command in (("push", image), ("pull", image)):
            done = docker(*command)
            if trusting == "with":
                assert done.returncode == 0, done.stderr
            else:
                assert done.returncode != 0
                assert re.search(r"unknown authority|certificate|x509", done.stderr), done.stderr
    finally:
        daemon.terminate()
        daemon.wait()


def test_kubelet_pulls_over_https_by_the_address_and_verifies(encrypted, site, on_node, kubectl, tmp_path):
    files = site.outputs["clients"]["containerd"]
    hosts = files[f"/etc/containerd/certs.d/{HOST}/hosts.toml"]
    assert f"https://{site.address}:443" in hosts
    assert "skip_verify" not in hosts
    images.assemble(images.HELLO, tmp_path / "hello.tar")
    push, _ = commands("skopeo", encrypted["with"], tmp_path)
    on_node(*push, etc=encrypted["with"])
    demo.configure_node(files)
    state, events = run_pod(kubectl, "tls-pull", f"{HOST}/trust/skopeo:1")
    assert state == "Succeeded", events
    wrong = new_certificate(new_key(), "another CA")
    demo.configure_node({path: wrong if path.endswith("ca.crt") else text for path, text in files.items()})
    state, events = run_pod(kubectl, "tls-refused", f"{HOST}/trust/skopeo:1")
    assert state in ("ErrImagePull", "ImagePullBackOff")
    assert "certificate" in events, events
    demo.configure_node(files)


def test_the_smoke_test_passes_over_https_alone(encrypted, site):
    done = subprocess.run(
        [sys.executable, "-m", "components.smoke", "--outputs", "-"],
        input=json.dumps(site.outputs), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "https://" in done.stdout


def test_clients_that_are_told_insecure_work_in_every_mode(encrypted, on_node, tmp_path):
    etc = tmp_path / "etc/containers/registries.conf.d"
    etc.mkdir(parents=True)
    (etc / "50-test.conf").write_text(f'[[registry]]\nlocation = "{HOST}"\ninsecure = true\n')
    (tmp_path / "etc/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    on_node("skopeo", "inspect", "--raw", f"docker://{HOST}/trust/skopeo:1", etc=tmp_path / "etc")


def test_plain_http_is_redirected_when_it_is_to_be(site):
    site.stack.configure(**{**BASE, "tls": {"mode": "internal", "plaintext": "redirect", "ca": {"generation": 2}}})
    site.stack.up()
    site.nudge()

    def redirected():
        answer = httpx.get(f"http://{site.address}/v2/_catalog?n=1", trust_env=False)
        return answer.status_code == 308 and answer.headers["Location"]

    where = until(redirected, seconds=PROPAGATION_SECONDS, what="the redirect")
    assert where == f"https://{site.address}/v2/_catalog?n=1"
    until(lambda: site.pod()["status"]["conditions"], seconds=5, what="the pod")
    ready_ = [c["status"] for c in site.pod()["status"]["conditions"] if c["type"] == "Ready"]
    assert ready_ == ["True"], "kubelet's probes are answered on the same port"


def test_a_certificate_that_cannot_be_used_is_refused_at_preview_with_both_facts(site):
    key = new_key()
    other = new_certificate(key, "registry", ["other.example"], issuer=site.given, days=(-9, -1))
    site.kubectl.apply(tls_secret("registry-tls", new_key(), other))
    try:
        site.stack.configure(**{**BASE, "tls": {"mode": "secret", "ca": {"generation": 2}}})
        done = site.stack.pulumi("preview", "--stack", site.stack.name, check=False)
        said = done.stdout + done.stderr
        assert done.returncode != 0
        for fact in (
            "is not the key of tls.crt",
            "has expired: valid until",
            "is for other.example",
            f"not for {HOST}",
        ):
            assert fact in said, said
        assert "PRIVATE KEY" not in said
    finally:
        give(site)


def test_no_private_key_is_outside_its_secret(site, kubectl):
    state = site.stack.pulumi("stack", "export", "--stack", site.stack.name).stdout
    assert "PRIVATE KEY" not in state, "in the state it is encrypted"
    shown = site.stack.pulumi("stack", "output", "--json", "--show-secrets", "--stack", site.stack.name).stdout
    assert "PRIVATE KEY" not in shown
    assert (
        "PRIVATE KEY"
        not in kubectl.run("get", "configmap,deployment,pod,service", "-n", NAMESPACE, "-o", "json").stdout
    )
    logs = kubectl.run("logs", "-n", NAMESPACE, "deployment/registry", "--all-containers", "--tail=-1").stdout
    assert "PRIVATE KEY" not in logs


def test_a_forwarded_port_does_not_give_the_key_away(site, kubectl):
    pod = site.pod()["metadata"]["name"]
    process = subprocess.Popen(
        [str(programs.path("kubectl")), "port-forward", "-n", NAMESPACE, f"pod/{pod}", ":9181"],
        env=site.stack.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        port = process.stdout.readline().split(":")[1].split()[0]
        for path in ("/", "/internal", "/x/internal", "/tls.key", "/..%2finternal"):
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
            assert answer.status_code == 404
            assert "PRIVATE" not in answer.text
    finally:
        process.terminate()
        process.wait()
