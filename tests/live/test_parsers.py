"""The files of programs that do not run here, read by the code of those programs (lab/go/parsers).

k3s and BuildKit ask a registry for an image by their file alone; kind starts its nodes by way of a stand-in for Docker.
"""

import dataclasses
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components import protocol
from components.render import clients
from components.render.clients import k3s
from components.render.endpoint import Endpoint
from lab import programs, serve
from tests.clients.artifacts import push_image

from .encrypting import render_encrypted

NAME = "registry.registry.svc.cluster.local"  # which nothing here resolves


@dataclasses.dataclass(frozen=True)
class Served:
    """A registry on loopback, with an image in it."""

    http: int
    https: int
    ca: str
    digest: str


class Inside(protocol.Client):
    """Past the front, where there are no accounts."""

    def login(self) -> str:
        return "of nobody"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("parsed")
    listen = render_encrypted(folder)
    with serve.running(folder, listen.http, listen.https, listen.registry):
        with Inside(f"http://127.0.0.1:{listen.registry}") as inside:
            push_image(inside, "team/tiny", "1")
            digest = protocol.digest(inside.pull_manifest("team/tiny", "1"))
        yield Served(listen.http, listen.https, (folder / "ca.crt").read_text(), digest)


Read = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        try:
            reader = programs.path(program)
        except programs.Missing as missing:
            pytest.skip(str(missing))
        return subprocess.run(
            [reader, *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "KUBECONFIG": str(tmp_path / "kubeconfig"),
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def put(folder: Path, files: clients.Files, exchanged: dict[str, str]) -> None:
    """The files below a folder; in their texts, some addresses are those of the test."""
    for path, text in files.items():
        for old, new in exchanged.items():
            text = text.replace(old, new)
        file = folder / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def endpoint(served: Served, https: bool) -> Endpoint:
    return Endpoint(
        host=NAME, address="127.0.0.1", https=https, ca=served.ca if https else None, verifies_address=https
    )


@pytest.mark.parametrize("https", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("client", ["k3s", "rke2"])
def test_k3s_finds_the_registry_by_the_file_alone(served, read, tmp_path, client, https):
    made = endpoint(served, https)
    folder = k3s.RKE2 if client == "rke2" else k3s.K3S
    port = served.https if https else served.http
    exchanged = {made.node_url.partition("://")[2]: f"127.0.0.1:{port}", "ca_file: /": f"ca_file: {tmp_path}/"}
    put(tmp_path, clients.CLIENTS[client].files(made), exchanged)
    found = read("parse-k3s", f".{folder}/registries.yaml", f"{NAME}/team/tiny:1")
    assert found.stdout.strip() == served.digest, found.stderr


def test_k3s_does_not_trust_a_ca_that_stands_under_another_port(served, read, tmp_path):
    """So `configs` needs the port, as the endpoint has it."""
    made = endpoint(served, https=True)
    exchanged = {made.node_url: f"https://127.0.0.1:{served.https}", "ca_file: /": f"ca_file: {tmp_path}/"}
    put(tmp_path, clients.CLIENTS["k3s"].files(made), exchanged)
    found = read("parse-k3s", f".{k3s.K3S}/registries.yaml", f"{NAME}/team/tiny:1")
    assert found.returncode
    assert "certificate signed by unknown authority" in found.stderr


def test_k3s_refuses_a_broken_file(read, tmp_path):
    (tmp_path / "registries.yaml").write_text("mirrors: [")
    assert "yaml" in read("parse-k3s", "registries.yaml", f"{NAME}/x:1").stderr


def buildkit(served: Served, folder: Path, https: bool, **changes: object) -> str:
    """Writes BuildKit's files, for a registry that is known by its address and port. Gives the image's name."""
    host = f"127.0.0.1:{served.https if https else served.http}"
    made = dataclasses.replace(endpoint(served, https), host=host, **changes)
    put(folder, clients.CLIENTS["buildkit"].files(made), {'"/etc': f'"{folder}/etc'})
    return f"{host}/team/tiny:1"


@pytest.mark.parametrize("https", [False, True], ids=["plain", "TLS"])
def test_buildkit_finds_the_registry_as_the_file_says(served, read, tmp_path, https):
    reference = buildkit(served, tmp_path, https)
    found = read("parse-buildkit", "etc/buildkit/buildkitd.toml", reference)
    assert found.stdout.strip() == served.digest, found.stderr


def test_buildkit_without_the_ca_does_not_trust_and_does_not_turn_to_plain_http(served, read, tmp_path):
    reference = buildkit(served, tmp_path, https=True, ca=None)
    found = read("parse-buildkit", "etc/buildkit/buildkitd.toml", reference)
    assert "certificate signed by unknown authority" in found.stderr


def test_buildkit_takes_a_localhost_of_which_nothing_is_said_for_plain_http(served, read, tmp_path):
    """So `http = false` is said."""
    reference = buildkit(served, tmp_path, https=True)
    file = tmp_path / "etc/buildkit/buildkitd.toml"
    file.write_text(file.read_text().replace("http = false\n", ""))
    found = read("parse-buildkit", file, reference)
    assert f"http://{reference.partition('/')[0]}/" in found.stderr, found


def test_buildkit_refuses_a_broken_file(read, tmp_path):
    (tmp_path / "buildkitd.toml").write_text('[registry."x"]\nhttp = "yes"\n')
    assert "failed to parse config" in read("parse-buildkit", "buildkitd.toml", "x/y:1").stderr


# It has no network and no image, and starts nothing: what kind asks of it is in docker.log.
DOCKER = """#!/bin/sh
echo "$*" >> docker.log
case "$1" in
    info) echo '{"CgroupVersion": "2", "MemoryLimit": true, "PidsLimit": true, "CPUShares": true}' ;;
    run) exit 1 ;;
esac
"""


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    return tmp_path / "docker.log"


@pytest.mark.parametrize("version", clients.CLIENTS["kind"].formats)
@pytest.mark.parametrize("https", [False, True], ids=["plain", "TLS"])
def test_kind_gives_its_node_the_folder(served, read, tmp_path, docker, https, version):
    put(tmp_path, clients.CLIENTS["kind"].files(endpoint(served, https), version=version), {})
    read("parse-kind", "kind-registry.yaml")
    [started] = [line for line in docker.read_text().splitlines() if line.startswith("run ")]
    [mount] = [word for word in started.split() if word.endswith(":/etc/containerd/certs.d:ro")]
    folder = Path(mount.removeprefix("--volume=").split(":")[0])
    assert (folder / NAME / "hosts.toml").is_file()
    assert (folder / NAME / "ca.crt").is_file() is https


def test_kind_refuses_a_key_that_it_does_not_know_before_it_starts_anything(served, read, tmp_path, docker):
    put(tmp_path, clients.CLIENTS["kind"].files(endpoint(served, https=False)), {"readOnly": "readonly"})
    assert "field readonly not found" in read("parse-kind", "kind-registry.yaml").stderr
    assert not docker.exists() or "run " not in docker.read_text()
