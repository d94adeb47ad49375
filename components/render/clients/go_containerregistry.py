"""crane, ko and cosign, which share the go-containerregistry library. They read no file but Docker's config.json.

The library tries http by itself for localhost and private addresses (its pkg/name/registry.go), and up to 0.21.5 for
names in .local as well.
"""

from ..endpoint import Endpoint
from .auths import auths
from .client import HOSTS, Client, Files, Login, Place, named
from .profile import Script

AUTH_FILE = "~/.docker/config.json"
EVERYWHERE = (Place.POD, Place.NODE, Place.OUTSIDE)


def login(endpoint: Endpoint, account: Login) -> Files:
    return {AUTH_FILE: auths(endpoint.host, account)}


def crane(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """`--insecure` where the registry is named; versions that need none take it as well."""
    return {
        **Script(endpoint.host, "crane").wrapped(endpoint, ("*", '--insecure "$@"')),
        **named(endpoint, place),
    }


def ko(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """ko names the registry in KO_DOCKER_REPO. Its flag stands after the subcommand."""
    takes = ("build|publish|resolve|apply|create|run", '"$@" --insecure-registry')
    script = Script(endpoint.host, "ko").wrapped(endpoint, takes, subject="${KO_DOCKER_REPO-} $*")
    return {**script, **named(endpoint, place)}


def cosign(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """`login` asks nobody, and knows no such flag."""
    cases = (("login", '"$@"'), ("*", '"$@" --allow-http-registry'))
    return {**Script(endpoint.host, "cosign").wrapped(endpoint, *cases), **named(endpoint, place)}


CLIENTS = (
    Client(
        name="crane",
        title="crane",
        render=crane,
        places=EVERYWHERE,
        login=login,
        shared=(AUTH_FILE, HOSTS),
        probe=lambda reference: ["crane", "manifest", reference],
    ),
    Client(
        name="ko",
        title="ko",
        render=ko,
        places=EVERYWHERE,
        login=login,
        shared=(AUTH_FILE, HOSTS),
    ),
    Client(
        name="cosign",
        title="cosign",
        render=cosign,
        places=EVERYWHERE,
        login=login,
        shared=(AUTH_FILE, HOSTS),
        probe=lambda reference: ["cosign", "triangulate", reference],
    ),
)
