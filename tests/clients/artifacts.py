"""Every client that a user may bring, each with a home, a configuration and a store of its own."""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from components import protocol
from components.render.clients import containerd, containers
from components.render.endpoint import Endpoint
from lab import programs

from .serving import Process

Login = tuple[str, str]
SECONDS = 90
LOCAL = "localhost/live/tiny:1"


class Refused(Exception):
    """What the client wrote when it failed."""


def found(name: str) -> Path:
    """A program: of the lab's, or what this machine has. Raises programs.Missing."""
    if name in programs.TABLE:
        return programs.path(name)
    # daemons stand in a folder of the superuser's
    there = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not there:
        raise programs.Missing(f"no {name} here, and the lab brings none", f"install {name}")
    return Path(there)


def tiny_image(path: Path) -> Path:
    """An image of one small layer, as `docker save` writes it: every client can load that."""
    layer = _tar({"hello": b"hello\n"})
    config = _config(layer)
    name = hashlib.sha256(config).hexdigest()
    manifest = json.dumps([{"Config": f"{name}.json", "RepoTags": [LOCAL], "Layers": ["layer/layer.tar"]}]).encode()
    path.write_bytes(_tar({f"{name}.json": config, "layer/layer.tar": layer, "manifest.json": manifest}))
    return path


def push_tiny(pusher: protocol.Client, repository: str, tag: str) -> None:
    """The same image as `tiny_image`, pushed without any of the clients under test; oras pulls it as well."""
    layer = _tar({"hello": b"hello\n"})
    packed = gzip.compress(layer, mtime=0)
    config = _config(layer)
    pusher.push_blob(repository, config)
    pusher.push_blob(repository, packed)
    manifest = {
        "schemaVersion": 2,
        "mediaType": protocol.MANIFEST_TYPE,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
    }
    headers = {"Content-Type": protocol.MANIFEST_TYPE}
    url = f"/v2/{repository}/manifests/{tag}"
    pusher.request("PUT", url, content=json.dumps(manifest).encode(), headers=headers)


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": protocol.digest(content), "size": len(content)}


def _config(layer: bytes) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [protocol.digest(layer)]},
            "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "test"}],
        }
    ).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class Client:
    """`host` is the registry's. Every method raises Refused when the client fails."""

    name: str
    checks_login = True  # asks the registry whether a password is right; else it only stores it

    def __init__(self, folder: Path, host: str, image: Path) -> None:
        self.folder, self.host, self.image = folder, host, image
        self.home = folder / "home"
        (self.home / ".docker").mkdir(parents=True)
        self.environment = {
            **{key: value for key, value in os.environ.items() if key in ("PATH", "LANG")},
            **{name: str(self.home) for name in ("HOME", "XDG_RUNTIME_DIR", "TMPDIR")},
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local"),
        }

    def run(self, program: str | Path, *arguments: str | Path, stdin: str | None = None) -> str:
        done = subprocess.run(
            [str(part) for part in (program, *arguments)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=self.environment,
            cwd=self.folder,
        )
        if done.returncode:
            raise Refused(f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def remember(self, login: Login) -> None:
        """Credentials as a Secret of type kubernetes.io/dockerconfigjson brings them, unchecked."""
        auth = base64.b64encode(":".join(login).encode()).decode()
        (self.home / ".docker" / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))

    def reference(self, repository: str) -> str:
        return f"{self.host}/{repository}:1"

    def prepare(self) -> None:
        """Gets `image` into the client's own store."""

    def login(self, login: Login) -> None:
        raise NotImplementedError

    def pull(self, repository: str) -> None:
        raise NotImplementedError

    def push(self, repository: str) -> None:
        raise NotImplementedError


class _Containers(Client):
    """The containers/image family, with the file that is rendered for it in its user's own folder."""

    def __init__(self, folder: Path, host: str, image: Path) -> None:
        super().__init__(folder, host, image)
        self.program = found(self.name)
        config = self.home / ".config" / "containers"
        for path, content in containers.files(Endpoint(host=host, address="127.0.0.1")).items():
            file = config / "registries.conf.d" / Path(path).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        (config / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))

    def login(self, login: Login) -> None:
        self.run(self.program, "login", "--username", login[0], "--password-stdin", self.host, stdin=login[1])


class Skopeo(_Containers):
    name = "skopeo"

    def pull(self, repository: str) -> None:
        target = self.folder / "pulled"
        self.run(self.program, "copy", f"docker://{self.reference(repository)}", f"dir:{target}")
        assert (target / "manifest.json").exists()

    def push(self, repository: str) -> None:
        self.run(self.program, "copy", f"docker-archive:{self.image}", f"docker://{self.reference(repository)}")


class _Stored(_Containers):
    """With a store of images."""

    def __init__(self, folder: Path, host: str, image: Path) -> None:
        super().__init__(folder, host, image)
        self.store = ("--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs")

    def pull(self, repository: str) -> None:
        self.run(self.program, *self.store, "pull", self.reference(repository))

    def push(self, repository: str) -> None:
        self.run(self.program, *self.store, "push", LOCAL, f"docker://{self.reference(repository)}")


class Buildah(_Stored):
    name = "buildah"

    def prepare(self) -> None:
        self.run(self.program, *self.store, "pull", f"docker-archive:{self.image}")


class Podman(_Stored):
    name = "podman"

    def __init__(self, folder: Path, host: str, image: Path) -> None:
        super().__init__(folder, host, image)
        self.store = (
            *self.store,
            "--tmpdir",
            folder / "tmp",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
        )

    def prepare(self) -> None:
        self.run(self.program, *self.store, "load", "--input", self.image)


class Crane(Client):
    name = "crane"
    checks_login = False

    def __init__(self, folder: Path, host: str, image: Path) -> None:
        super().__init__(folder, host, image)
        self.program = found(self.name)

    def login(self, login: Login) -> None:
        self.run(self.program, "auth", "login", self.host, "-u", login[0], "--password-stdin", stdin=login[1])

    def pull(self, repository: str) -> None:
        self.run(self.program, "pull", self.reference(repository), self.folder / "pulled.tar")

    def push(self, repository: str) -> None:
        self.run(self.program, "push", self.image, self.reference(repository))


class Oras(Client):
    name = "oras"

    def __init__(self, folder: Path, host: str, image: Path) -> None:
        super().__init__(folder, host, image)
        self.program = found(self.name)

    def login(self, login: Login) -> None:
        options = ("--plain-http", "--username", login[0], "--password-stdin")
        self.run(self.program, "login", *options, self.host, stdin=login[1])

    def pull(self, repository: str) -> None:
        self.run(self.program, "pull", "--plain-http", self.reference(repository), "--output", self.folder / "pulled")

    def push(self, repository: str) -> None:
        (self.folder / "file").write_text("an artifact")
        self.run(self.program, "push", "--plain-http", self.reference(repository), "file:text/plain")


class Containerd(Client):
    """containerd by its own ctr, which takes credentials by a flag only; with the rendered hosts.toml."""

    name = "containerd"
    checks_login = False
    IMAGE_HOST = "registry.registry.svc.cluster.local"  # which nothing here resolves: hosts.toml does

    def __init__(self, folder: Path, host: str, image: Path, address: Path) -> None:
        super().__init__(folder, host, image)
        self.program, self.address = found("ctr"), address
        self._user: tuple[str, ...] = ()
        endpoint = Endpoint(host=self.IMAGE_HOST, address="127.0.0.1")
        for path, content in containerd.files(endpoint).items():
            file = folder / "certs.d" / Path(path).relative_to(containerd.DIRECTORY)
            file.parent.mkdir(parents=True)
            file.write_text(content.replace(endpoint.node_url, f"http://{host}"))

    def remember(self, login: Login) -> None:
        self._user = ("--user", ":".join(login))

    login = remember

    def ctr(self, *arguments: str | Path) -> str:
        return self.run(self.program, "--address", self.address, "--namespace", "live", *arguments)

    def prepare(self) -> None:
        self.ctr("images", "import", "--no-unpack", self.image)

    def pull(self, repository: str) -> None:
        reference = f"{self.IMAGE_HOST}/{repository}:1"
        options = ("--hosts-dir", self.folder / "certs.d", "--snapshotter", "native", *self._user)
        self.ctr("images", "pull", *options, reference)
        self.ctr("images", "rm", "--sync", reference)

    def push(self, repository: str) -> None:
        self.ctr("images", "push", "--plain-http", *self._user, self.reference(repository), LOCAL)


class Docker(Client):
    """Docker with the image store that was its only one up to version 28."""

    name = "docker"

    def __init__(self, folder: Path, host: str, image: Path, address: Path) -> None:
        super().__init__(folder, host, image)
        self.program, self.address = found(self.name), address

    def docker(self, *arguments: str | Path, stdin: str | None = None) -> str:
        return self.run(self.program, "--host", f"unix://{self.address}", *arguments, stdin=stdin)

    def prepare(self) -> None:
        self.docker("load", "--input", self.image)

    def login(self, login: Login) -> None:
        self.docker("login", "--username", login[0], "--password-stdin", self.host, stdin=login[1])

    def pull(self, repository: str) -> None:
        reference = self.reference(repository)
        self.docker("pull", reference)
        self.docker("rmi", reference)

    def push(self, repository: str) -> None:
        self.docker("tag", LOCAL, self.reference(repository))
        try:
            self.docker("push", self.reference(repository))
        finally:
            self.docker("rmi", self.reference(repository))


def start_containerd(folder: Path) -> tuple[Process, Path]:
    address = folder / "containerd.sock"
    config = folder / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{address}"\n'
    )
    process = Process([found("containerd"), "--config", config], folder / "containerd.log")
    process.wait(address.exists)
    return process, address


def start_docker(folder: Path, containerd_address: Path) -> tuple[Process, Path]:
    address = folder / "docker.sock"
    config = folder / "daemon.json"
    config.write_text("{}")
    process = Process(
        [
            *(
                found("dockerd"),
                "--config-file",
                config,
                "--host",
                f"unix://{address}",
                "--containerd",
                containerd_address,
            ),
            *("--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "docker.pid"),
            *(
                "--storage-driver",
                "vfs",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ),
        ],
        folder / "docker.log",
        {"HOME": str(folder), "DOCKER_CONFIG": str(folder), "TMPDIR": str(folder)},
    )
    process.wait(address.exists)
    return process, address
