"""Every client that is tried: what its user types, with no flag that is about the registry's kind."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from components.render.clients import Place

LOCAL = "localhost/live/tiny:1"  # the image's name in a client's own store


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One version of one client. Its command lines name in braces what `Use.words` has.

    `client`: its name in the installer. `programs`: {command: the lab's program}. `version`: prints it.
    `own`: files that the user had before. `daemon`, `ready`: what runs beside it, and a command that works then.
    `prepare`: once, before the rest. `pull`: brings {source}. `push`: brings something to {target}, or below
    {repository}. `proof`: works when that is there, where its name alone does not tell. `login`: with {user}, and with
    {password} where that is not read from standard input.
    `asks`: a wrong password is refused at the login already. `trusts`: works with TLS, too. `falls_back`: takes plain
    HTTP where it does not trust the CA.
    """

    name: str
    client: str
    programs: Mapping[str, str]
    version: str
    pull: str
    push: str = ""
    proof: str = ""
    login: str = ""
    prepare: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    daemon: str = ""
    ready: str = ""
    place: Place = Place.POD
    artifact: str = "team/tiny:1"
    asks: bool = True
    trusts: bool = True
    falls_back: bool = False


KO_MODULE = """
printf 'module tiny\\n\\ngo 1.24\\n' >go.mod
printf 'package main\\n\\nfunc main() {{}}\\n' >main.go
echo defaultBaseImage: {source} >.ko.yaml
"""
GO_CACHE = os.environ.get("GOCACHE") or str(Path.home() / ".cache" / "go-build")
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'
POLICY = json.dumps({"default": [{"type": "insecureAcceptAnything"}]})
CONTAINERS = {
    "/etc/containers/storage.conf": STORAGE,
    "/etc/containers/policy.json": POLICY,
    "/etc/containers/containers.conf": '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n',
}
CRICTL = {"/etc/crictl.yaml": "runtime-endpoint: unix:///run/containerd/containerd.sock\n"}
DOCKER_DAEMON = {"bridge": "none", "iptables": False, "ip6tables": False, "ip-forward": False}

PODMAN = Subject(
    name="Podman",
    client="podman",
    programs={"podman": "podman"},
    version="podman --version",
    prepare="podman load --input {folder}/tiny.tar",
    pull="podman pull {source}",
    push=f"podman push {LOCAL} {{target}}",
    login="podman login --username {user} --password-stdin {host}",
    own=CONTAINERS,
)
BUILDAH = Subject(
    name="Buildah",
    client="buildah",
    programs={"buildah": "buildah"},
    version="buildah --version",
    prepare="buildah pull docker-archive:{folder}/tiny.tar",
    pull="buildah pull {source}",
    push=f"buildah push {LOCAL} {{target}}",
    login="buildah login --username {user} --password-stdin {host}",
    own=CONTAINERS,
)
SKOPEO = Subject(
    name="Skopeo",
    client="skopeo",
    programs={"skopeo": "skopeo"},
    version="skopeo --version",
    pull="skopeo copy docker://{source} dir:pulled",
    push="skopeo copy docker-archive:{folder}/tiny.tar docker://{target}",
    login="skopeo login --username {user} --password-stdin {host}",
    own=CONTAINERS,
)
DOCKER = Subject(
    name="Docker 20",
    client="docker",
    programs={"docker": "docker", "dockerd": "dockerd"},
    version="dockerd --version",
    place=Place.NODE,
    prepare="docker load --input {folder}/tiny.tar",
    pull="docker pull {source}",
    push=f"docker tag {LOCAL} {{target}} && docker push {{target}}",
    login="docker login --username {user} --password-stdin {host}",
    daemon="dockerd",
    ready="docker info",
    own={"/etc/docker/daemon.json": json.dumps({**DOCKER_DAEMON, "storage-driver": "vfs"})},
)
DOCKER29 = replace(
    DOCKER,
    name="Docker 29",
    programs={"docker": "docker", "dockerd": "dockerd29"},
    own={"/etc/docker/daemon.json": json.dumps(DOCKER_DAEMON)},
    variables={"DOCKER_MIN_API_VERSION": "1.41"},  # of the client that the tests have
)
CONTAINERD = Subject(
    name="containerd 1.x, by CRI",
    client="containerd",
    programs={"containerd": "containerd", "crictl": "crictl"},
    version="containerd --version",
    place=Place.NODE,
    pull="crictl pull {source}",
    login="crictl pull --creds {user}:{password} {source}",
    asks=False,
    daemon="containerd",
    ready="crictl info",
    own={
        **CRICTL,
        "/etc/containerd/config.toml": 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\n'
        'snapshotter = "native"\n',
    },
)
CONTAINERD2 = replace(
    CONTAINERD,
    name="containerd 2.x, by CRI",
    programs={"containerd": "containerd2", "crictl": "crictl"},
    own={**CRICTL, "/etc/containerd/config.toml": "version = 3\n[grpc]\nmax_recv_message_size = 16777216\n"},
)
BUILD = "buildctl build --no-cache --frontend dockerfile.v0 --local context=. --local dockerfile=. --output "
BUILDKIT = Subject(
    name="BuildKit",
    client="buildkit",
    programs={"buildkitd": "buildkitd", "buildctl": "buildctl"},
    version="buildctl --version",
    prepare="echo hello >file && printf 'FROM %s\\nCOPY file /\\n' {source} >Dockerfile",
    pull=BUILD + "type=tar,dest=built.tar",
    push=BUILD + "type=image,name={target},push=true",
    daemon="buildkitd",
    ready="buildctl debug workers",
    own={"/etc/buildkit/buildkitd.toml": '[worker.oci]\nsnapshotter = "native"\n'},
)
CRANE = Subject(
    name="crane",
    client="crane",
    programs={"crane": "crane"},
    version="crane version",
    pull="crane pull {source} pulled.tar",
    push="crane push {folder}/tiny.tar {target}",
    login="crane auth login {host} --username {user} --password-stdin",
    asks=False,
)
COSIGN = Subject(
    name="cosign",
    client="cosign",
    programs={"cosign": "cosign"},
    version="cosign version",
    prepare="cosign generate-key-pair",
    pull="cosign save {source} --dir pulled",
    push="cosign sign --key cosign.key --use-signing-config=false --tlog-upload=false --yes {image}",
    proof="cosign verify --key cosign.pub --insecure-ignore-tlog {image}",
    login="cosign login {host} --username {user} --password-stdin",
    asks=False,
    variables={"COSIGN_PASSWORD": "x"},
)
KO = Subject(
    name="ko",
    client="ko",
    programs={"ko": "ko", "go": "go"},
    version="ko version",
    prepare=KO_MODULE,
    pull="KO_DOCKER_REPO={host}/team ko build --push=false .",
    push="KO_DOCKER_REPO={repository} ko build --bare .",
    login="ko login {host} --username {user} --password-stdin",
    asks=False,
    variables={"GOCACHE": GO_CACHE},
)
ORAS = Subject(
    name="oras",
    client="oras",
    programs={"oras": "oras"},
    version="oras version",
    prepare="echo an artifact >file",
    pull="oras pull {source} --output pulled",
    push="oras push {target} file:text/plain",
    login="oras login --username {user} --password-stdin {host}",
)
HELM = Subject(
    name="Helm 3",
    client="helm",
    programs={"helm": "helm"},
    version="helm version --short",
    artifact="team/charts/tiny:0.1.0",
    prepare="helm package {folder}/tiny",
    pull="helm pull oci://{host}/team/charts/tiny --version 0.1.0",
    push="helm push tiny-0.1.0.tgz oci://{repository}",
    login="helm registry login {host} --username {user} --password-stdin",
)

SUBJECTS = (
    PODMAN,
    BUILDAH,
    # it is of no use to `buildah login`
    replace(BUILDAH, name="Buildah, by BUILD_REGISTRY_SOURCES", client="buildah-env", login="", trusts=False),
    SKOPEO,
    DOCKER,
    DOCKER29,
    CONTAINERD,
    CONTAINERD2,
    BUILDKIT,
    CRANE,
    replace(CRANE, name="crane up to 0.21.5", programs={"crane": "crane-before"}, falls_back=True),
    COSIGN,
    KO,
    ORAS,
    HELM,
    replace(HELM, name="Helm 4", programs={"helm": "helm4"}),
)
