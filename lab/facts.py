"""One place for the cluster's names, addresses and the versions of what it runs."""

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab import paths
from lab.errors import Missing

KUBERNETES = "1.36.3"
PULUMI = "3.259.0"
REGISTRY = "3.1.1"
CADDY = "2.11.7"
COREDNS = "1.14.3"
CRANE = "0.22.1"
ORAS = "1.3.6"
CERT_MANAGER = "1.21.2"
CONTAINERD2 = "2.4.2"  # beside the Debian package's 1.x: a second generation of nodes
BUILDKIT = "0.34.2"
COSIGN = "3.1.3"
CRANE_BEFORE = "0.21.5"
CRI_TOOLS = "1.37.0"
MOBY = "2.0.0-beta.24"  # the engine of Docker 29
HELM_3, HELM_4 = "3.22.0", "4.3.1"
KO = "0.19.1"
GO = "1.27.3"

DOMAIN = "cluster.local"
STORAGE_CLASS = "lab-local"
PROVISIONER = "lab.local/folder"
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
REGISTRY_IMAGE = "docker.io/library/registry:3"
CADDY_IMAGE = "docker.io/library/caddy:2"
TOOLBOX_IMAGE = "localhost/lab/toolbox:1"


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The names and addresses of one cluster. The name's number keeps two clusters on a machine apart."""

    name: str
    number: int

    @property
    def machine(self) -> str:
        """The machine's end of the cable to the node."""
        return f"10.99.{self.number}.1"

    @property
    def node(self) -> str:
        return f"10.99.{self.number}.10"

    @property
    def second(self) -> str:
        """Address of the second node, where there is one: behind the first."""
        return f"10.99.{self.number}.20"

    @property
    def second_name(self) -> str:
        return f"{self.name}-second"

    @property
    def node_network(self) -> IPv4Network:
        return IPv4Network(f"10.99.{self.number}.0/24")

    @property
    def services(self) -> IPv4Network:
        return IPv4Network(f"10.{96 if self.number == 0 else 128 + self.number}.0.0/16")

    @property
    def pods(self) -> IPv4Network:
        return IPv4Network(f"10.244.{self.number}.0/24")

    @property
    def apiserver(self) -> IPv4Address:
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        return self.services[53]

    @property
    def interface(self) -> str:
        return f"{self.name}-host"

    @property
    def cgroup(self) -> str:
        """Whatever is in this control group is the lab's, and may be killed."""
        return f"registry-{self.name}"

    @property
    def url(self) -> str:
        return f"https://{self.node}:6443"


def named(name: str) -> Lab:
    """`lab` is the first cluster of a machine, `lab1` to `lab9` are further ones beside it."""
    match = re.fullmatch(r"[a-z]{1,9}([1-9]?)", name)
    if not match:
        raise Missing(f"'{name}' is no name for a lab", "use up to nine small letters and at most one digit, like lab1")
    return Lab(name=name, number=int(match[1] or 0))


def lab() -> Lab:
    """The cluster that STATE holds."""
    known = paths.STATE / "name"
    return named(os.environ.get("LAB_NAME") or (known.read_text().strip() if known.is_file() else "lab"))
