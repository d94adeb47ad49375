"""A registry in a namespace of another stack's own."""

import pulumi
import pulumi_kubernetes as kubernetes

from components import Registry  # `from simple_registry import Registry` where it is installed with pip

cluster = kubernetes.Provider("cluster", enable_secret_mutable=True)
namespace = kubernetes.core.v1.Namespace(
    "images", metadata={"name": "images"}, opts=pulumi.ResourceOptions(provider=cluster, protect=True)
)
registry = Registry(
    "registry",
    {"namespace": "images"},
    pulumi.ResourceOptions(providers=[cluster], depends_on=[namespace]),
)
pulumi.export("host", registry.host)
pulumi.export("accounts", registry.accounts)
