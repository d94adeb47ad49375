"""k3s and RKE2: registries.yaml, of which both make the hosts.toml of their containerd when they start.

Both run the same code (k3s pkg/agent/containerd/config.go, rancher/wharfie pkg/registries). `mirrors` has the endpoints
of a name in images; `configs` what is known of an endpoint, by its host and port as the endpoint's URL spells them: a
key without the port is another one. https://HOST stays the last resort, which only the server's and agent's flag
--disable-default-registry-endpoint takes away (since 1.26.13; docs.k3s.io, "Private Registry Configuration").
"""

from functools import partial

from ..endpoint import Endpoint
from . import nodes
from .client import HOSTS, Client, Files, Place
from .readable import dumped

K3S, RKE2 = "/etc/rancher/k3s", "/etc/rancher/rke2"
PIECE = "# A piece of registries.yaml, to be merged into what is there. An endpoint may stand there once only.\n"


def registries(endpoint: Endpoint, place: Place, format_: str, folder: str = K3S) -> Files:
    """`folder`: where the distribution looks. The CA stands beside, since `ca_file` is a path."""
    ca_file = f"{folder}/registry-ca/{endpoint.host}/ca.crt"
    piece: dict[str, object] = {"mirrors": {endpoint.host: {"endpoint": [endpoint.node_url]}}}
    found = {}
    if ca := nodes.ca(endpoint):
        piece["configs"] = {nodes.authority(endpoint): {"tls": {"ca_file": ca_file}}}
        found[ca_file] = ca
    return {f"{folder}/registries.yaml": PIECE + dumped(piece), **found, **nodes.known(endpoint)}


CLIENTS = (
    Client(
        name="k3s",
        title="k3s",
        render=registries,
        places=(Place.NODE,),
        shared=(f"{K3S}/registries.yaml", HOSTS),
        finish="systemctl restart k3s, or k3s-agent: it reads registries.yaml when it starts, and pods go on running",
        probe=lambda reference: ["k3s", "crictl", "pull", reference],
    ),
    Client(
        name="rke2",
        title="RKE2",
        render=partial(registries, folder=RKE2),
        places=(Place.NODE,),
        shared=(f"{RKE2}/registries.yaml", HOSTS),
        finish="systemctl restart rke2-server, or rke2-agent: it reads registries.yaml when it starts",
    ),
)
