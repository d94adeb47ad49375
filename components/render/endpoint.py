"""Where clients find the registry, and how they trust it."""

import ipaddress
from dataclasses import dataclass

from .. import names


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What a client's files are made of.

    `host`: the registry's name in the names of images. `address`: its Service's IP address, for nodes, which resolve
    no cluster names. `https`: whether it speaks TLS. `ca`: PEM of the CA to trust, None for a public one.
    `verifies_address`: whether the certificate is for the address too. `http`: whether port 80 serves.
    """

    host: str
    address: str
    https: bool = False
    ca: str | None = None
    verifies_address: bool = False
    http: bool = True

    @property
    def url(self) -> str:
        return f"{'https' if self.https else 'http'}://{self.host}"

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
