"""Who trusts whom: the emitted files with the real clients, the next CA, and what is kept secret."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from components.protocol import Client
from lab import demo, images, node, programs
from tests.cluster.encrypted import BASE, HOST, NAMESPACE, PROPAGATION_SECONDS, give, ready, tls_secret
from tests.cluster.harness import forwarded, pushes_from_outside, run_pod, through_forwarded, until
from tests.issuing import new_certificate, new_key

pytestmark = pytest.mark.cluster


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

    site.to("internal", ca={"generation": 1, "next": "trusted"})
    both = site.outputs["caCertificate"]
    assert both.startswith(first)
    assert both.count("BEGIN CERTIFICATE") == 2
    second = both.removeprefix(first)
    assert both in site.outputs["clients"]["containerd"][f"/etc/containerd/certs.d/{HOST}/ca.crt"]
    assert [verifies(site, bundle) for bundle in (first, both, second)] == [True, True, False], "the old one serves"

    site.to("internal", ca={"generation": 1, "next": "serving"})
    site.nudge()
    until(lambda: verifies(site, second), seconds=PROPAGATION_SECONDS, what="the new leaf")
    assert [verifies(site, bundle) for bundle in (first, both, second)] == [False, True, True], "the new one serves"

    site.generation = 2
    site.to("internal")
    assert site.outputs["caCertificate"] == second, "the old one is dropped, with no hand on the state"
    assert [verifies(site, bundle) for bundle in (first, both, second)] == [False, True, True]


@pytest.fixture(scope="module")
def encrypted(site, tmp_path_factory):
    """The registry with its internal CA, and two folders that stand in for /etc: with the CA and without."""
    site.to("internal", plaintext="closed")
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


@pytest.fixture
def short_path():
    """podman takes no folder for its state that is longer than 50 characters."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.parametrize("client", ["skopeo", "buildah", "podman", "crane", "oras"])
def test_a_client_verifies_with_the_ca_and_refuses_without_it(client, encrypted, on_node, short_path):
    images.assemble(images.HELLO, short_path / "hello.tar")
    push, pull = commands(client, encrypted["with"], short_path)
    on_node(*push, etc=encrypted["with"])
    on_node(*pull, etc=encrypted["with"])
    for command in commands(client, encrypted["without"], short_path):
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


def test_a_machine_outside_verifies_a_forwarded_port(encrypted, site, environment, on_node, tmp_path):
    with forwarded(environment, NAMESPACE, 443):
        pushes_from_outside(site.outputs, on_node, tmp_path, "trust/skopeo:1")
        (tmp_path / "etc/containers/certs.d/localhost:5000/ca.crt").unlink()
        target = "docker://localhost:5000/trust/skopeo:1"
        refused = through_forwarded(on_node, "skopeo", "inspect", target, etc=tmp_path / "etc")
    assert "certificate" in refused.stderr


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
    site.to("internal", plaintext="redirect")
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
        site.stack.configure(**{**BASE, "tls": site.tls("secret")})
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
