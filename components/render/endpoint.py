"""Where clients find the registry."""

import ipaddress
from dataclasses import dataclass

from .. import names


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`host` is the registry's name in the names of images; `address` its Service's IP address, for nodes,
    which resolve no cluster names."""

    host: str
    address: str

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def node_url(self) -> str:
        """With its port: containerd tries https first on one that is not spelled out (its docker/config/hosts.go)."""
        address = f"[{self.address}]" if ipaddress.ip_address(self.address).version == 6 else self.address
        return f"http://{address}:{names.HTTP_PORT}"
