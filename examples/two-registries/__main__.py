"""Two registries in one namespace: one that all teams push to, one for releases on a volume of its own class."""

import pulumi
import pulumi_kubernetes as kubernetes

from components import Registry  # `from simple_registry import Registry` where it is installed with pip

cluster = kubernetes.Provider("cluster", enable_secret_mutable=True)
options = pulumi.ResourceOptions(providers=[cluster])

builds = Registry("builds", {"service": {"name": "builds"}}, options)
releases = Registry(
    "releases",
    {
        "service": {"name": "releases"},
        "storage": {"size": "100Gi", "class": "replicated"},
        "accounts": [{"name": "release", "repositories": ["products/*"]}],
    },
    options,
)
pulumi.export("builds", builds.host)
pulumi.export("releases", releases.host)
