"""The real cluster, the real engine and its providers, and everybody who issues certificates."""

import contextlib
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from lab import certmanager, cluster, facts, node, programs, workspace
from tests.cluster.encrypted import HOST, NAMESPACE, Acme, Site, give, tls_secret
from tests.cluster.harness import ROOT, Kubectl, Stack, until
from tests.issuing import new_certificate, new_key

ACME_PORT, SHORT_ACME_PORT = 14000, 14001


@pytest.fixture(scope="session")
def environment() -> Iterator[dict[str, str]]:
    """The lab's cluster is up; it is left as it was found."""
    was_up = cluster.is_up()
    done = subprocess.run([sys.executable, "-m", "lab", "up"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    yield workspace.environment()
    if not was_up:
        subprocess.run([sys.executable, "-m", "lab", "down"], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def kubectl(environment) -> Kubectl:
    return Kubectl(environment)


@pytest.fixture(scope="session")
def new_stack(environment, tmp_path_factory) -> Iterator[Callable[[str], Stack]]:
    made: list[Stack] = []

    def new(name: str) -> Stack:
        made.append(Stack(tmp_path_factory.mktemp(name), name, environment))
        return made[-1]

    yield new
    for stack in made:
        stack.remove()


@pytest.fixture(scope="session")
def on_node() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in the node's network, where cluster names resolve."""

    def run(*command: str, etc: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            node.command(list(command), etc), capture_output=True, text=True, timeout=120, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def acme(environment, tmp_path_factory):
    """An ACME server on the node: Caddy's own, at a second port with certificates that live for 5 minutes.

    Only who waits for a renewal asks there: a front renews a certificate of 5 minutes each minute, and what its Caddy
    gets while the mode changes stays in its memory and is served in the next mode (certmagic's `queueRenewalTask`).
    """
    folder = tmp_path_factory.mktemp("acme")
    address = str(facts.lab().node)
    (folder / "Caddyfile").write_text(
        "{\n\tadmin off\n\tpersist_config off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
        + "".join(
            f"https://{address}:{port} {{\n\ttls internal\n\tacme_server {{\n\t\tlifetime {lifetime}\n\t}}\n}}\n"
            for port, lifetime in ((ACME_PORT, "12h"), (SHORT_ACME_PORT, "5m"))
        )
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
    url, short = (f"https://{address}:{port}/acme/local/directory" for port in (ACME_PORT, SHORT_ACME_PORT))

    def answers():
        with contextlib.suppress(httpx.HTTPError, OSError):
            trusting = ssl.create_default_context(cafile=str(root)) if root.exists() else None
            return trusting and httpx.get(url, verify=trusting, trust_env=False).status_code == 200
        return False

    try:
        until(answers, seconds=30, what="the ACME server")
        ca = root.read_text()
        yield Acme({"host": HOST, "directory": url, "directoryCa": ca, "caCertificate": ca}, short)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
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
