"""The program: settings -> provider -> namespace -> Registry -> outputs."""

import pulumi
import pulumi_kubernetes as kubernetes

from components import ConfigError, NodeConfig, Registry
from components.stack import load

try:
    stack = load(pulumi.get_project())
except ConfigError as error:
    raise pulumi.RunError(str(error)) from None  # the message, without a trace of calls

settings = stack.settings
provider = kubernetes.Provider(
    "cluster",
    context=stack.context,
    # what has a fixed name and is read while the pod runs must be updated, not replaced
    enable_secret_mutable=True,
    enable_config_map_mutable=True,
)
namespace = kubernetes.core.v1.Namespace(
    "namespace",
    metadata=kubernetes.meta.v1.ObjectMetaArgs(
        name=settings.namespace, labels={"pod-security.kubernetes.io/enforce": "restricted", **settings.labels}
    ),
    # with the namespace the volume would go
    opts=pulumi.ResourceOptions(provider=provider, protect=settings.storage.retain),
)
registry = Registry("registry", settings, opts=pulumi.ResourceOptions(providers=[provider], depends_on=[namespace]))
if stack.nodes:
    nodes = kubernetes.core.v1.Namespace(
        "nodes-namespace",
        metadata=kubernetes.meta.v1.ObjectMetaArgs(
            name=f"{settings.namespace}-nodes",
            # its pods mount folders of the nodes, which no other level allows
            labels={"pod-security.kubernetes.io/enforce": "privileged", **settings.labels},
        ),
        opts=pulumi.ResourceOptions(provider=provider),
    )
    NodeConfig(
        "registry-nodes",
        {**stack.node_config, "endpoint": registry.endpoint, "namespace": nodes.metadata.name},
        opts=pulumi.ResourceOptions(providers=[provider]),
    )

pulumi.export("host", registry.host)
pulumi.export("url", registry.url)
pulumi.export("namespace", settings.namespace)
pulumi.export("service", settings.service.name)
pulumi.export("clusterIp", registry.cluster_ip)
pulumi.export("endpoint", registry.endpoint.apply(lambda endpoint: endpoint.output))
pulumi.export("clients", registry.clients)
pulumi.export("k0s", registry.k0s)
pulumi.export("certificate", registry.certificate)
pulumi.export("caCertificate", registry.ca_certificate)
pulumi.export("policy", registry.policy)
pulumi.export("accounts", registry.accounts)
