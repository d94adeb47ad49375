"""podman, buildah, skopeo and CRI-O, which share the containers/image library and its files."""

import tomli_w

from ..endpoint import Endpoint

DIRECTORY = "/etc/containers/registries.conf.d"


def files(endpoint: Endpoint) -> dict[str, str]:
    """A drop-in of containers-registries.conf.d(5): only files that end in .conf are read, in version 2's syntax."""
    registry = {"location": endpoint.host, "insecure": True}
    return {f"{DIRECTORY}/50-{endpoint.host}.conf": tomli_w.dumps({"registry": [registry]})}
