"""The Docker daemon."""

import json

from ..endpoint import Endpoint

DAEMON = "/etc/docker/daemon.json"
CERTIFICATES = "/etc/docker/certs.d"


def files(endpoint: Endpoint) -> dict[str, str]:
    """daemon.json's key for plain HTTP, or the CA, which needs no restart (Docker docs, "Verify repository client").

    A CA is not read for a registry that is listed as insecure, so with TLS that key must go.
    """
    if not endpoint.https:
        return {DAEMON: json.dumps({"insecure-registries": [endpoint.host]}, indent=2) + "\n"}
    return {f"{CERTIFICATES}/{endpoint.host}/ca.crt": endpoint.ca} if endpoint.ca else {}
