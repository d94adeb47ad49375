"""Images for the cluster, assembled from the programs of this machine where public registries are out of reach.

Each has the programs, paths, user and capabilities of the published image it stands in for. Each holds a file
with its own name: kubelet takes two names with the same content for one image, and wants to pull the other.
"""

import hashlib
import io
import json
import os
import struct
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from lab import facts, paths, programs, report
from lab.errors import Missing

# VFS_CAP_REVISION_2 | effective; permitted: CAP_NET_BIND_SERVICE (10)
NET_BIND_SERVICE = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
FOLDERS = {
    "etc": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "usr/lib": 0o755,
    "usr/lib64": 0o755,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
    "var/lib": 0o755,
    "run": 0o755,
    "root": 0o700,
    "home": 0o755,
    "srv": 0o755,
    "config": 0o777,
    "data": 0o777,
    "etc/ssl/certs": 0o755,
    "etc/caddy": 0o755,
    "etc/distribution": 0o755,
    "var/lib/registry": 0o777,
    "etc/containers": 0o755,
    "usr/local/bin": 0o755,
}
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
SHELL = "sh cat ls sleep env id true echo mkdir rmdir rm cp mv chmod cmp head grep sed awk"  # of Alpine's busybox
TOOLS = (
    SHELL + " dd sha256sum tail wc date tr cut sort test seq base64 touch ln stat df du "
    "timeout printf mktemp tee tar gzip bash find xargs getent"
)
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
# As the published image has it: arguments that are none of a program are the registry's.
ENTRYPOINT = """\
#!/bin/sh
set -e
case "$1" in
  *.yaml|*.yml) set -- registry serve "$@";;
  serve|garbage-collect|help|-*) set -- registry "$@";;
esac
exec "$@"
"""
PROFILE = 'for script in /etc/profile.d/*.sh; do [ ! -r "$script" ] || . "$script"; done\n'  # as Alpine has it
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/tmp/containers-run"\ngraphroot = "/tmp/containers"\n'


@dataclass(frozen=True, kw_only=True)
class Image:
    """`programs`: path in the image -> program of the lab. `tools`: programs of this machine, where there are."""

    name: str
    programs: dict[str, str]
    tools: str = ""
    files: dict[str, str] = field(default_factory=dict)
    capable: frozenset[str] = frozenset()
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"


PAUSE = Image(name=facts.PAUSE_IMAGE, programs={"pause": "pause"}, entrypoint=["/pause"])
IMAGES = [
    PAUSE,
    Image(
        name=facts.REGISTRY_IMAGE,
        programs={"bin/registry": "registry"},
        tools=SHELL,
        files={"entrypoint.sh": ENTRYPOINT},
        entrypoint=["/entrypoint.sh"],
        cmd=["/etc/distribution/config.yml"],
        env={"OTEL_TRACES_EXPORTER": "none"},
    ),
    Image(
        name=facts.CADDY_IMAGE,
        programs={"usr/bin/caddy": "caddy"},
        tools=SHELL,
        capable=frozenset({"usr/bin/caddy"}),
        cmd=["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
        workdir="/srv",
        env={"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"},
    ),
    Image(
        name=facts.TOOLBOX_IMAGE,
        programs={f"usr/bin/{each}": each for each in ("crane", "oras", "skopeo", "buildah", "curl")},
        tools=TOOLS,
        cmd=["sleep", "infinity"],
        env={"HOME": "/tmp"},
        files={
            "etc/containers/policy.json": json.dumps({"default": [{"type": "insecureAcceptAnything"}]}) + "\n",
            "etc/profile": PROFILE,
            "etc/containers/registries.conf": "# short names have no registry here: write the full one\n",
            "etc/containers/storage.conf": STORAGE,
        },
    ),
]
HELLO = Image(name="demo/hello:1", programs={"hello": "hello"}, entrypoint=["/hello"])


def libraries(program: Path) -> set[Path]:
    """The shared libraries a program is linked against, its loader too."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return {
        Path(word)
        for line in told.splitlines()
        for word in line.split()
        if word.startswith("/") and not word.endswith(":")
    }


def placed(file: Path) -> str:
    """Where a file of this machine stands in an image, in which /bin, /lib, ... are links into /usr."""
    name = str(file).lstrip("/")
    top = name.split("/", 1)[0]
    return f"usr/{name}" if top in MERGED else name


def contents(image: Image) -> dict[str, Path | str]:
    """Path in the image -> a file of this machine, or a text."""
    held: dict[str, Path | str] = {name: programs.path(program).resolve() for name, program in image.programs.items()}
    for tool in image.tools.split():
        if there := programs.on_path(tool):
            held[f"usr/bin/{tool}"] = there.resolve()
    for file in [each for each in held.values() if isinstance(each, Path)]:
        for library in libraries(file):
            held[placed(library)] = library.resolve()
    if image.tools or len(held) > 1:
        if bundle := next((Path(each) for each in BUNDLES if Path(each).is_file()), None):
            held["etc/ssl/certs/ca-certificates.crt"] = bundle.resolve()
        held |= {
            "etc/passwd": PASSWD,
            "etc/group": "root:x:0:\nnobody:x:65534:\n",
            "etc/nsswitch.conf": "hosts: files dns\n",
        }
    return {**held, **image.files, "etc/image": image.name + "\n"}


def recipe(image: Image) -> str:
    """Changes when the image would: the programs are known by path, size and time."""
    digest = hashlib.sha256(repr(image).encode())
    for name, what in sorted(contents(image).items()):
        told = what if isinstance(what, str) else f"{what} {what.stat().st_size} {what.stat().st_mtime_ns}"
        digest.update(f"{name}\0{told}\0".encode())
    return digest.hexdigest()[:16]


def assemble(image: Image, archive: Path) -> None:
    """Write the image as a docker-archive with a single layer."""
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
        for folder, mode in FOLDERS.items():
            _add(tar, folder, tarfile.DIRTYPE, mode)
        for link, target in MERGED.items():
            _add(tar, link, tarfile.SYMTYPE, 0o777, link=target)
        for name, what in sorted(contents(image).items()):
            program = (
                name in image.programs or (isinstance(what, Path) and os.access(what, os.X_OK)) or name.endswith(".sh")
            )
            pax = {"SCHILY.xattr.security.capability": NET_BIND_SERVICE.decode("utf-8", "surrogateescape")}
            data = what.encode() if isinstance(what, str) else what.read_bytes()
            _add(
                tar,
                placed(Path(name)) if "/" in name else name,
                tarfile.REGTYPE,
                0o755 if program else 0o644,
                data,
                pax=pax if name in image.capable else {},
            )
    with open(layer, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **image.env}
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
                "Cmd": image.cmd,
                "WorkingDir": image.workdir,
                "Env": [f"{key}={value}" for key, value in env.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [image.name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, "layer.tar", filter=lambda entry: _plain(entry))
        for name, data in (("config.json", config), ("manifest.json", manifest)):
            _add(tar, name, tarfile.REGTYPE, 0o644, data)
    layer.unlink()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


def _add(
    tar: tarfile.TarFile, name: str, kind: bytes, mode: int, data: bytes = b"", link: str = "", pax: dict | None = None
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname, entry.pax_headers = kind, mode, len(data), link, pax or {}
    tar.addfile(entry, io.BytesIO(data) if data else None)


def ctr(*arguments: str) -> list[str]:
    return [
        str(programs.path("ctr")),
        "--address",
        str(paths.STATE / "run" / "containerd.sock"),
        "--namespace",
        "k8s.io",
        *arguments,
    ]


def ensure(pull: bool = False) -> None:
    """Import what containerd does not hold yet. `pull`: take the published images, where they can be had."""
    there = set(subprocess.run(ctr("images", "list", "--quiet"), capture_output=True, text=True).stdout.split())
    for image in IMAGES:
        mark = paths.state("images") / (image.name.replace("/", "_").replace(":", "_"))
        wanted = "pulled" if pull and not image.name.startswith("localhost/") else recipe(image)
        if image.name in there and mark.is_file() and mark.read_text() == wanted:
            continue
        if wanted == "pulled":
            _do(f"pull {image.name}", ctr("images", "pull", image.name))
        else:
            archive = mark.with_suffix(".tar")
            with report.step(f"assemble {image.name}"):
                assemble(image, archive)
                _do("", ctr("images", "import", str(archive)))
            archive.unlink()
        paths.write(mark, wanted)


def _do(step: str, command: list[str]) -> None:
    def run() -> None:
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            raise Missing(f"`ctr {' '.join(command[5:])}` failed", ended.stderr.strip()[-300:])

    if step:
        with report.step(step):
            run()
    else:
        run()
