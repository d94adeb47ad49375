"""podman, buildah, skopeo and CRI-O, which share the containers/image library and its files."""

import tomli_w

from ..endpoint import Endpoint

DIRECTORY = "/etc/containers/registries.conf.d"
CERTIFICATES = "/etc/containers/certs.d"


def files(endpoint: Endpoint) -> dict[str, str]:
    """A drop-in of containers-registries.conf.d(5): only files that end in .conf are read, in version 2's syntax.

    With TLS the same file says that nothing is insecure any more, and the CA goes where containers-certs.d(5) says.
    """
    table = tomli_w.dumps({"location": endpoint.host, "insecure": not endpoint.https})
    found = {f"{DIRECTORY}/50-{endpoint.host}.conf": f"[[registry]]\n{table}"}
    if endpoint.ca:
        found[f"{CERTIFICATES}/{endpoint.host}/ca.crt"] = endpoint.ca
    return found
