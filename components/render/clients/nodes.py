"""What the distributions of Kubernetes share: their nodes reach the Service at its address, under `node_url`."""

from ..endpoint import Endpoint
from .client import Files, Place, named


def authority(endpoint: Endpoint) -> str:
    """Host and port, as `node_url` spells them."""
    return endpoint.node_url.partition("://")[2]


def ca(endpoint: Endpoint) -> str | None:
    """What nodes are to trust: None where they speak plain HTTP, or the CA is a public one."""
    return endpoint.ca if endpoint.node_https else None


def by_name(endpoint: Endpoint) -> bool:
    """Whether nodes must know the registry's name, which no DNS tells them: its certificate is for that alone."""
    return endpoint.node_https and not endpoint.verifies_address and endpoint.internal


def known(endpoint: Endpoint) -> Files:
    """The line of /etc/hosts, where it is needed."""
    return named(endpoint, Place.NODE) if by_name(endpoint) else {}
