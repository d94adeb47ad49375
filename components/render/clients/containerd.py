"""containerd, as kubelet, nerdctl and k0s use it: one hosts.toml for each registry, read anew at each pull."""

import tomli_w

from ..endpoint import Endpoint

DIRECTORY = "/etc/containerd/certs.d"

# The table of containerd's configuration that holds config_path, by the configuration's version: 2 is containerd 1.x,
# 3 is 2.x (docs/cri/registry.md there). A colon list, the default since 2.2, does not work: containerd issue 12808.
CONFIG_PATH_TABLE = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}


def files(endpoint: Endpoint) -> dict[str, str]:
    """hosts.toml (containerd's docs/hosts.md). The image keeps its name; only the address is the Service's own.

    `server` names the same address, else containerd falls back to https://HOST when the registry does not answer.
    Never skip_verify on an http host: with it https is tried first.
    """
    folder = f"{DIRECTORY}/{endpoint.host}"
    host: dict[str, object] = {"capabilities": ["pull", "resolve"]}
    found = {}
    if endpoint.node_https and endpoint.ca:
        host["ca"] = "ca.crt"  # relative to hosts.toml
        found[f"{folder}/ca.crt"] = endpoint.ca
    hosts = {"server": endpoint.node_url, "host": {endpoint.node_url: host}}
    return {f"{folder}/hosts.toml": tomli_w.dumps(hosts), **found}


def drop_in(version: int) -> str:
    """The piece of containerd's configuration, of that version (2 or 3), which makes it read `DIRECTORY`."""
    return tomli_w.dumps(
        {"version": version, "plugins": {CONFIG_PATH_TABLE[version]: {"registry": {"config_path": DIRECTORY}}}}
    )
