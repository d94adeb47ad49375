"""k0s: the drop-ins that make its containerd read hosts.toml, and the same for k0sctl.

k0s reads /etc/k0s/containerd.d/*.toml alone (k0s docs/runtime.md). Up to 1.35 it carries containerd 1.7, from 1.36
containerd 2.3, and no file serves both: 1.36 refuses to start on one of version 2.
"""

from ..endpoint import Endpoint
from . import containerd, nodes
from .client import HOSTS, Client, Files, Place
from .readable import dumped

DROP_IN = "/etc/k0s/containerd.d/registry.toml"
UP_TO_1_35, FROM_1_36 = "upTo1.35", "from1.36"
CONFIG_VERSIONS = {UP_TO_1_35: 2, FROM_1_36: 3}
RANGES = {"1.36": FROM_1_36, "1.27": UP_TO_1_35}  # by the first version; before 1.27 there are no drop-ins


def outputs(endpoint: Endpoint) -> dict[str, object]:
    """{"upTo1.35": {path: content}, "from1.36": {…}, "k0sctl": {"upTo1.35": YAML, …}, "clusterConfig": YAML}."""
    return {
        **{range_: files(endpoint, range_) for range_ in CONFIG_VERSIONS},
        "k0sctl": {range_: k0sctl(endpoint, range_) for range_ in CONFIG_VERSIONS},
        "clusterConfig": cluster_config(),
    }


def files(endpoint: Endpoint, k0s: str) -> dict[str, str]:
    """The files of every node that runs pods. `k0s` is one of CONFIG_VERSIONS."""
    return {DROP_IN: containerd.drop_in(CONFIG_VERSIONS[k0s]), **containerd.files(endpoint)}


def k0sctl(endpoint: Endpoint, k0s: str) -> str:
    """`files` as a list for `spec.hosts[*].files` of a k0sctl Cluster (k0sctl README, "spec.hosts[*].files")."""
    return dumped(
        {
            "files": [
                # without perm k0sctl passes mode 0
                {"name": path.rsplit("/", 1)[1], "dst": path, "perm": "0644", "data": content}
                for path, content in files(endpoint, k0s).items()
            ]
        }
    )


def cluster_config() -> str:
    """A ClusterConfig (k0s pkg/apis/k0s/v1beta1), as small as can be: it has no key for a registry or a CA."""
    return (
        "# A ClusterConfig has nothing that configures containerd: what a node needs to pull are its own two files.\n"
        + dumped(
            {
                "apiVersion": "k0s.k0sproject.io/v1beta1",
                "kind": "ClusterConfig",
                "metadata": {"name": "k0s"},
                "spec": {},
            }
        )
    )


def of_version(endpoint: Endpoint, place: Place, format_: str) -> Files:
    return {**files(endpoint, RANGES[format_]), **nodes.known(endpoint)}


CLIENTS = (
    Client(
        name="k0s",
        title="k0s",
        render=of_version,
        places=(Place.NODE,),
        formats=tuple(RANGES),
        shared=(HOSTS,),
        finish="nothing: k0s restarts its containerd by itself; but the drop-in of 1.35 must go before 1.36 comes",
    ),
)
