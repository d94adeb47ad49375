"""MicroK8s, kind and minikube: hosts.toml, each in the place where its nodes come to read it.

The nodes of kind and minikube are containers or machines with an /etc/hosts of their own, which nothing here writes:
where the certificate is for the registry's name alone, and that name is internal, the line goes there by hand.
"""

from ..endpoint import Endpoint
from . import containerd, containers, nodes
from .client import HOSTS, Client, Files, Place
from .readable import dumped

MICROK8S = "/var/snap/microk8s/current/args/certs.d"
KIND, KIND_FOLDER = "kind-registry.yaml", "kind-registry"
MINIKUBE = "~/.minikube/files"

# By kind's first version: patches for which versions of containerd's configuration. All images up to 0.33 have one of
# version 2 (kind images/base/files/etc/containerd/config.toml). Since 0.32 kind leaves out a patch that names another
# version than the image has; before, it merged it all the same (its pkg/internal/patch/toml.go).
KIND_PATCHES = {"0.32": (2, 3), "0.11": (2,)}


def microk8s(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """From 1.23 on MicroK8s' containerd reads its own certs.d (microk8s.io, "Working with a private registry")."""
    return {**containerd.files(endpoint, place, MICROK8S), **nodes.known(endpoint)}


def kind(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """A cluster whose node has the folder mounted, relative to where kind is started (its providers make it absolute).

    Always with the patch: no image sets config_path. kind's documentation calls it needless from 0.27 on; but those of
    0.27 to 0.30 read no certs.d (kind issue 3918), and those since do so by a default of containerd's.
    """
    mount = {"hostPath": KIND_FOLDER, "containerPath": containerd.DIRECTORY, "readOnly": True}
    cluster = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraMounts": [mount]}],
        "containerdConfigPatches": [containerd.drop_in(version) for version in KIND_PATCHES[format_]],
    }
    return {KIND: dumped(cluster), **containerd.files(endpoint, place, KIND_FOLDER)}


def minikube(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """What is below ~/.minikube/files is copied to the node's root at each start (pkg/minikube/machine/filesync.go).

    containerd reads the one, CRI-O the other. Docker finds the registry by its name alone, which the node does not
    know. --insecure-registry would write another hosts.toml over ours, with skip_verify (pkg/minikube/cruntime).
    """
    found = {**containerd.files(endpoint, place), **containers.crio(endpoint, place, format_)}
    # a whole /etc/hosts would be put in the place of the node's own
    return {MINIKUBE + path: content for path, content in found.items() if path != HOSTS}


CLIENTS = (
    Client(
        name="microk8s",
        title="MicroK8s",
        render=microk8s,
        places=(Place.NODE,),
        formats=("1.23",),
        shared=(HOSTS,),
        probe=lambda reference: ["microk8s", "ctr", "images", "pull", "--hosts-dir", MICROK8S, reference],
    ),
    Client(
        name="kind",
        title="kind",
        render=kind,
        places=(Place.NODE,),
        formats=tuple(KIND_PATCHES),
        finish=f"kind create cluster --config {KIND}, in this folder; a config of your own takes these keys",
        probe=lambda reference: ["docker", "exec", "kind-control-plane", "crictl", "pull", reference],
    ),
    Client(
        name="minikube",
        title="minikube, with containerd or CRI-O",
        render=minikube,
        places=(Place.NODE,),
        finish="minikube start --container-runtime=containerd (or cri-o), without --insecure-registry",
        probe=lambda reference: ["minikube", "ssh", "--", "sudo", "crictl", "pull", reference],
    ),
)
