"""Talos Linux: a patch of the machine configuration, out of which Talos makes hosts.toml and the CA's file.

Since 1.12 it is documents of their own (pkg/machinery/config/types/cri/registry_mirror.go and registry_tls.go there,
types/network/static_host.go), before that keys of `machine`, where the CA is base64 (types/v1alpha1, `Base64Bytes`).
What is known of an endpoint goes by its host and port as its URL spells them (internal/pkg/containers/cri/containerd,
GenerateHosts).
"""

import base64

from ..endpoint import Endpoint
from . import nodes
from .client import Client, Files, Place
from .readable import dumped

FILE = "talos-registry.yaml"
DOCUMENTS, KEYS = "1.12", "1.0"  # first versions of Talos


def patch(endpoint: Endpoint, place: Place, format_: str) -> Files:
    return {FILE: dumped(*_documents(endpoint)) if format_ == DOCUMENTS else dumped(_keys(endpoint))}


def _documents(endpoint: Endpoint) -> list[dict[str, object]]:
    """`skipFallback`: without it https://HOST is asked after the registry, and its error is the one that is shown."""
    mirror = {"endpoints": [{"url": endpoint.node_url}], "skipFallback": True}
    documents = [_document("RegistryMirrorConfig", endpoint.host, mirror)]
    if ca := nodes.ca(endpoint):
        documents.append(_document("RegistryTLSConfig", nodes.authority(endpoint), {"ca": ca}))
    if nodes.by_name(endpoint):
        documents.append(_document("StaticHostConfig", endpoint.address, {"hostnames": [endpoint.host]}))
    return documents


def _document(kind: str, name: str, values: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": "v1alpha1", "kind": kind, "name": name, **values}


def _keys(endpoint: Endpoint) -> dict[str, object]:
    registries: dict[str, object] = {"mirrors": {endpoint.host: {"endpoints": [endpoint.node_url]}}}
    machine: dict[str, object] = {"registries": registries}
    if ca := nodes.ca(endpoint):
        encoded = base64.b64encode(ca.encode()).decode()
        registries["config"] = {nodes.authority(endpoint): {"tls": {"ca": encoded}}}
    if nodes.by_name(endpoint):
        machine["network"] = {"extraHostEntries": [{"ip": endpoint.address, "aliases": [endpoint.host]}]}
    return {"machine": machine}


CLIENTS = (
    Client(
        name="talos",
        title="Talos Linux",
        render=patch,
        places=(Place.NODE,),
        formats=(DOCUMENTS, KEYS),
        # docs.siderolabs.com, "Patching": the patch's values are appended to a list that is there
        finish=f"talosctl patch mc --patch @{FILE}; a patch appends to lists: take an older endpoint out first",
        probe=lambda reference: ["talosctl", "image", "pull", reference],
    ),
)
