"""What NodeConfig runs and mounts on each node, and the files that it puts there."""

from dataclasses import dataclass
from pathlib import Path

from .. import names
from ..settings import NodeKind
from .clients import containerd
from .endpoint import Endpoint

SCRIPT = Path(__file__).with_name("node_config.sh").read_text()


@dataclass(frozen=True, kw_only=True)
class Node:
    """Folders of a node.

    `writable`: those that the script writes into, and whether the node's own program always makes them; where it does
    not, kubelet does. `readable`: those that it only reads. `certs`: where the hosts' folders are, unless the node's
    containerd is told otherwise.
    """

    writable: dict[str, bool]
    readable: tuple[str, ...] = ()
    certs: str = containerd.DIRECTORY


NODES = {
    # its containerd.toml is its own, and imports containerd.d/*.toml (k0s docs/runtime.md)
    NodeKind.K0S: Node(
        writable={"/etc/k0s/containerd.d": False, containerd.DIRECTORY: False}, readable=("/var/lib/k0s/bin",)
    ),
    NodeKind.CONTAINERD: Node(writable={"/etc/containerd": False}),
    # config_path is always set, to certs.d there (k3s pkg/agent/templates); the parent, since k3s may remake certs.d
    NodeKind.K3S: Node(
        writable={"/var/lib/rancher/k3s/agent/etc/containerd": True},
        certs="/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    ),
}


def files(endpoint: Endpoint) -> dict[str, str]:
    """{name: content} of what the script may put on a node, each with the mark by which it knows its own.

    A comment before a certificate is no part of it (RFC 7468, section 2).
    """
    hosts = {path.rsplit("/", 1)[1]: content for path, content in containerd.files(endpoint).items()}
    drop_ins = {f"drop-in-{version}.toml": containerd.drop_in(version) for version in containerd.CONFIG_PATH_TABLE}
    return {name: f"{names.NODE_FILE_MARK}\n{content}" for name, content in sorted((hosts | drop_ins).items())}


def environment(kind: NodeKind) -> dict[str, str]:
    """What the script is told, the registry's name and the pod's UID aside."""
    node = NODES[kind]
    return {
        "KIND": str(kind),
        "MARK": names.NODE_FILE_MARK,
        "CERTS": node.certs,
        "WRITABLE": " ".join(node.writable),
    }
