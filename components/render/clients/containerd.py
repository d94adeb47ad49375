"""containerd, as kubelet, nerdctl and k0s use it: one hosts.toml for each registry, read anew at each pull."""

import tomllib
from collections.abc import Callable

import tomli_w

from ..endpoint import Endpoint
from . import nodes
from .client import HOSTS, Client, Files, Place
from .go_containerregistry import AUTH_FILE, EVERYWHERE, login

DIRECTORY = "/etc/containerd/certs.d"
CONFIG = "/etc/containerd/config.toml"

# The table of containerd's configuration that holds config_path, by the configuration's version: 2 is containerd 1.x,
# 3 is 2.x (docs/cri/registry.md there). A colon list, the default since 2.2, does not work: containerd issue 12808.
CONFIG_PATH_TABLE = {2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
CONFIG_VERSIONS = {"2.0": 3, "1.5": 2}  # by the first version of containerd


def files(endpoint: Endpoint, place: Place = Place.NODE, directory: str = DIRECTORY) -> Files:
    """hosts.toml (containerd's docs/hosts.md). The image keeps its name; on a node the address is the Service's own.

    `server` names the same address, else containerd falls back to https://HOST when the registry does not answer. It is
    tried for what the registry does not have, too, and trusts the CA at the top alone: without it an absent image were
    "signed by unknown authority". Never skip_verify on an http host: with it https is tried first.
    """
    node = place is Place.NODE
    url, https = (endpoint.node_url, endpoint.node_https) if node else (endpoint.port_url, endpoint.https)
    folder = f"{directory}/{endpoint.host}"
    ca = endpoint.ca if https else None
    trust = {"ca": "ca.crt"} if ca else {}  # relative to hosts.toml
    host = {"capabilities": ["pull", "resolve", "push"], **trust}
    hosts = tomli_w.dumps({"server": url, **trust, "host": {url: host}})
    return {f"{folder}/hosts.toml": hosts, **({f"{folder}/ca.crt": ca} if ca else {})}


def drop_in(version: int) -> str:
    """The piece of containerd's configuration, of that version (2 or 3), which makes it read `DIRECTORY`."""
    return tomli_w.dumps(
        {"version": version, "plugins": {CONFIG_PATH_TABLE[version]: {"registry": {"config_path": DIRECTORY}}}}
    )


def with_config(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """hosts.toml, and in config.toml where it is looked for."""
    return {**files(endpoint, place), CONFIG: _piece(CONFIG_VERSIONS[format_]), **nodes.known(endpoint)}


def beside(endpoint: Endpoint, place: Place, format_: str, read: Callable[[str], str | None]) -> Files:
    """The same for a config.toml that is there: of its version, and into the folder that it names, if there is one."""
    try:
        config = tomllib.loads(read(CONFIG) or "")
    except tomllib.TOMLDecodeError:
        return with_config(endpoint, place, format_)  # whoever merges it will say what is wrong
    version = config.get("version", CONFIG_VERSIONS[format_])
    for table in CONFIG_PATH_TABLE.values():
        folder = config.get("plugins", {}).get(table, {}).get("registry", {}).get("config_path")
        if folder and ":" not in folder:
            return {**files(endpoint, place, folder), **nodes.known(endpoint)}
    piece = _piece(version if version in CONFIG_PATH_TABLE else 2)
    return {**files(endpoint, place), CONFIG: piece, **nodes.known(endpoint)}


def _piece(version: int) -> str:
    return "# A piece of config.toml, to be merged into what is there.\n" + drop_in(version)


CLIENTS = (
    Client(
        name="containerd",
        title="containerd, by kubelet (CRI)",
        render=with_config,
        places=(Place.NODE,),
        formats=tuple(CONFIG_VERSIONS),
        shared=(CONFIG, HOSTS),
        lasting=(CONFIG,),
        beside=beside,
        finish="systemctl restart containerd, where config.toml was changed: pods go on running",
        probe=lambda reference: ["crictl", "pull", reference],
    ),
    Client(
        name="nerdctl",
        title="nerdctl",
        render=lambda endpoint, place, format_: files(endpoint, place),
        places=EVERYWHERE,
        login=login,
        shared=(AUTH_FILE,),
        probe=lambda reference: ["nerdctl", "pull", "--quiet", reference],
    ),
)
