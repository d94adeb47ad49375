"""Where clients find the registry, and how they trust it."""

import dataclasses
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import names
from ..reader import camel

FORWARDED = "localhost:5000"  # `kubectl port-forward service/registry 5000:80`, or 5000:443 with TLS


def checked_host(host: str) -> str:
    """A name or address with or without a port, as it stands in images, paths and scripts. Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?", host):
        raise ValueError(f"{host!r} is no name of a registry; allowed: NAME or NAME:PORT, such as {FORWARDED}")
    return host


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What a client's files are made of.

    `host`: the registry's name in the names of images. `address`: its Service's IP address, for nodes, which resolve
    no cluster names. `https`: whether it speaks TLS. `ca`: PEM of the CA to trust, None for a public one.
    `verifies_address`: whether the certificate is for the address too. `http`: whether port 80 serves. `internal`:
    whether none but the cluster's DNS knows `host`.
    """

    host: str
    address: str
    https: bool = False
    ca: str | None = None
    verifies_address: bool = False
    http: bool = True
    internal: bool = True

    @classmethod
    def of(cls, output: Mapping[str, Any]) -> "Endpoint":
        """Out of a stack's output `endpoint`. Raises KeyError for what it lacks, ValueError for a name that is none."""
        endpoint = cls(**{field.name: output[camel(field.name)] for field in dataclasses.fields(cls)})
        checked_host(endpoint.host)
        ipaddress.ip_address(endpoint.address)
        return endpoint

    @property
    def output(self) -> dict[str, Any]:
        """As the stack's output `endpoint`."""
        return {camel(field.name): getattr(self, field.name) for field in dataclasses.fields(self)}

    def outside(self, host: str = FORWARDED) -> "Endpoint":
        """The same by way of a forwarded port, or of whatever else leads to it: `host` is a name or NAME:PORT.

        A registry with a name of its own (`tls.host`) is known by it everywhere. Raises ValueError for no such name.
        """
        if not self.internal:
            return self
        return dataclasses.replace(self, host=checked_host(host), address="127.0.0.1", internal=False)

    @property
    def url(self) -> str:
        """Where whoever resolves the name finds it."""
        return f"{'https' if self.https else 'http'}://{self.host}"

    @property
    def port_url(self) -> str:
        """`url` with its port: containerd tries https first on one that is not spelled out (its hosts.go)."""
        port = names.HTTPS_PORT if self.https else names.HTTP_PORT
        return self.url if ":" in self.host else f"{self.url}:{port}"

    @property
    def node_https(self) -> bool:
        """Whether nodes speak TLS: where they can verify, or where there is nothing else."""
        return self.https and (self.verifies_address or not self.http)

    @property
    def node_url(self) -> str:
        """With its port: containerd tries https first on one that is not spelled out (its docker/config/hosts.go)."""
        address = f"[{self.address}]" if ipaddress.ip_address(self.address).version == 6 else self.address
        if not self.node_https:
            return f"http://{address}:{names.HTTP_PORT}"
        return f"https://{address if self.verifies_address else self.host}:{names.HTTPS_PORT}"
