"""The Docker daemon, with either of its image stores."""

import json

from ..endpoint import Endpoint
from .client import HOSTS, Client, Files, Place, named
from .go_containerregistry import AUTH_FILE, EVERYWHERE, login

DAEMON = "/etc/docker/daemon.json"
CERTIFICATES = "/etc/docker/certs.d"


def files(endpoint: Endpoint, place: Place = Place.POD, format_: str = "0") -> Files:
    """daemon.json's key for plain HTTP, or the CA, which needs no restart (Docker docs, "Verify repository client").

    A CA is not read for a registry that is listed as insecure, so with TLS that key must go.
    """
    if not endpoint.https:
        daemon = json.dumps({"insecure-registries": [endpoint.host]}, indent=2) + "\n"
        return {DAEMON: daemon, **named(endpoint, place)}
    ca = {f"{CERTIFICATES}/{endpoint.host}/ca.crt": endpoint.ca} if endpoint.ca else {}
    return {**ca, **named(endpoint, place)}


CLIENTS = (
    Client(
        name="docker",
        title="Docker",
        render=files,
        places=EVERYWHERE,
        login=login,
        shared=(DAEMON, AUTH_FILE, HOSTS),
        finish="systemctl reload docker: it reads insecure-registries anew without a restart",
        probe=lambda reference: ["docker", "pull", "--quiet", reference],
    ),
)
