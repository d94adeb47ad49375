"""podman, buildah, skopeo and CRI-O, which share the containers/image library and its files."""

import json
from collections.abc import Mapping

import tomli_w

from ..endpoint import Endpoint
from .auths import auths
from .client import HOSTS, Client, Files, Login, Place, named
from .profile import Script

DIRECTORY = "/etc/containers/registries.conf.d"
CERTIFICATES = "/etc/containers/certs.d"
AUTH_FILE = "~/.config/containers/auth.json"  # the second place that is looked at: the first one is gone at logout


def files(endpoint: Endpoint, place: Place = Place.POD, format_: str = "0") -> Files:
    """A drop-in of containers-registries.conf.d(5): only files that end in .conf are read, in version 2's syntax.

    With TLS the same file says that nothing is insecure any more, and the CA goes where containers-certs.d(5) says.
    """
    table = {"location": endpoint.host, "insecure": not endpoint.https}
    return {**_drop_in(endpoint.host, table), **_ca(endpoint.host, endpoint), **named(endpoint, place)}


def crio(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """The name is mapped to the Service's address, which holds for pulls alone (containers-registries.conf(5)).

    CRI-O reads the files anew on SIGHUP. Where the certificate is not for the address, the node must know the name.
    """
    if endpoint.node_https and not endpoint.verifies_address:
        return files(endpoint, place)
    location = endpoint.node_url.partition("://")[2]
    table = {"prefix": endpoint.host, "location": location, "insecure": not endpoint.node_https}
    return {**_drop_in(endpoint.host, table), **(_ca(location, endpoint) if endpoint.node_https else {})}


def sources(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """BUILD_REGISTRY_SOURCES, for builds that may write no file in /etc.

    Its matches are exact, and buildah then takes every destination of a push for an insecure one (its commit.go). So
    it is given for plain HTTP only.
    """
    if endpoint.https:
        return {}
    value = json.dumps({"insecureRegistries": [endpoint.host]})
    return Script(endpoint.host, "buildah").exported({"BUILD_REGISTRY_SOURCES": value})


def login(endpoint: Endpoint, account: Login) -> Files:
    """containers-auth.json(5)."""
    return {AUTH_FILE: auths(endpoint.host, account)}


def _drop_in(host: str, table: Mapping[str, object]) -> Files:
    return {f"{DIRECTORY}/50-{host}.conf": f"[[registry]]\n{tomli_w.dumps(table)}"}


def _ca(host: str, endpoint: Endpoint) -> Files:
    return {f"{CERTIFICATES}/{host}/ca.crt": endpoint.ca} if endpoint.ca else {}


def _reader(name: str, *probe: str) -> Client:
    """One of the three programs that read these files and keep credentials in the same place."""
    return Client(
        name=name,
        title=name.capitalize(),
        render=files,
        places=(Place.POD, Place.NODE, Place.OUTSIDE),
        login=login,
        shared=(AUTH_FILE, HOSTS),
        probe=lambda reference: [name, *probe[:-1], probe[-1] + reference],
    )


CLIENTS = (
    _reader("podman", "pull", "--quiet", ""),
    _reader("buildah", "pull", "--quiet", ""),
    _reader("skopeo", "inspect", "docker://"),
    Client(
        name="buildah-env",
        title="Buildah, by BUILD_REGISTRY_SOURCES",
        render=sources,
        places=(Place.POD, Place.OUTSIDE),
        login=login,
        shared=(AUTH_FILE,),
        probe=lambda reference: ["buildah", "pull", "--quiet", reference],
    ),
    Client(
        name="cri-o",
        title="CRI-O",
        render=crio,
        places=(Place.NODE,),
        shared=(HOSTS,),
        finish="systemctl reload crio",
        probe=lambda reference: ["crictl", "pull", reference],
    ),
)
