"""The files that each client needs. One module a family, each with its `CLIENTS`."""

from ..endpoint import Endpoint
from . import (
    buildkit,
    containerd,
    containers,
    docker,
    go_containerregistry,
    k0s,
    k3s,
    kaniko,
    kubernetes,
    local_clusters,
    oras,
    talos,
)
from .client import Client, Files, Login, Place, UnknownVersion

__all__ = ["CLIENTS", "Client", "Files", "Login", "Place", "UnknownVersion", "files"]

FAMILIES = (
    containers,
    docker,
    containerd,
    go_containerregistry,
    oras,
    k0s,
    k3s,
    talos,
    local_clusters,
    buildkit,
    kaniko,
    kubernetes,
)
CLIENTS = {client.name: client for family in FAMILIES for client in family.CLIENTS}


def config_map(endpoint: Endpoint) -> dict[str, str]:
    """The files that pods need, as a ConfigMap's data: {"CLIENT.NAME": content}, such as `podman.ca.crt`."""
    return {
        config_map_key(client.name, path): content
        for client in CLIENTS.values()
        if client.places[0] is Place.POD
        for path, content in client.files(endpoint).items()
        if path.startswith("/")  # the others are for whoever applies them, not to be mounted
    }


def config_map_key(client: str, path: str) -> str:
    return f"{client}.{path.rpartition('/')[2]}"


def files(endpoint: Endpoint) -> dict[str, Files]:
    """Every client's files, where it usually stands and in its newest format: {client: {path: content}}."""
    return {name: client.files(endpoint) for name, client in CLIENTS.items()}
