"""oras and helm, which share the oras-go library. Both take plain HTTP by a flag alone, oras but for localhost."""

from ..endpoint import Endpoint
from .auths import auths
from .client import HOSTS, Client, Files, Login, Place, named
from .go_containerregistry import EVERYWHERE
from .go_containerregistry import login as docker_login
from .profile import Script

HELM_AUTH_FILE = "~/.config/helm/registry/config.json"  # before Docker's own, which it reads as well


def oras(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """Without `cp`, which has a flag for each of its ends, and of which only the user knows which end this is."""
    cases = (("cp|copy|logout|version", '"$@"'), ("*", '"$@" --plain-http'))
    return {**Script(endpoint.host, "oras").wrapped(endpoint, *cases), **named(endpoint, place)}


def helm(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """`--plain-http` since 3.13; `registry login` has it since 3.18, and before only `--insecure`."""
    login_flag = "--plain-http" if format_ == "3.18" else "--insecure"
    cases = (
        ('"registry logout"', '"$@"'),
        ('"registry login"', f'"$@" {login_flag}'),
        ("*", '"$@" --plain-http'),
    )
    return {**Script(endpoint.host, "helm").wrapped(endpoint, *cases, by="$1 $2"), **named(endpoint, place)}


def helm_login(endpoint: Endpoint, account: Login) -> Files:
    return {HELM_AUTH_FILE: auths(endpoint.host, account)}


CLIENTS = (
    Client(
        name="oras",
        title="oras",
        render=oras,
        places=EVERYWHERE,
        login=docker_login,
        shared=("~/.docker/config.json", HOSTS),
        probe=lambda reference: ["oras", "manifest", "fetch", reference],
    ),
    Client(
        name="helm",
        title="Helm",
        render=helm,
        places=EVERYWHERE,
        formats=("3.18", "3.13"),
        login=helm_login,
        shared=(HELM_AUTH_FILE, HOSTS),
        probe=lambda reference: [
            "helm",
            "show",
            "chart",
            f"oci://{reference.rpartition(':')[0]}",
            "--version",
            "0.0.0",
        ],
    ),
)
