"""The files that each client needs. One module a family, each with `files(endpoint) -> {path: content}`."""

from ..endpoint import Endpoint
from . import containerd, containers, docker

FAMILIES = {"containerd": containerd, "docker": docker, "podman": containers}


def files(endpoint: Endpoint) -> dict[str, dict[str, str]]:
    """Every client's files: {client: {path: content}}. None of them holds a secret."""
    return {client: module.files(endpoint) for client, module in FAMILIES.items()}
