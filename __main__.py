"""The program: settings -> provider -> namespace -> Registry -> outputs."""

import pulumi
import pulumi_kubernetes as kubernetes

from components import ConfigError, Registry
from components.stack import load

try:
    stack = load(pulumi.get_project())
except ConfigError as error:
    raise pulumi.RunError(str(error)) from None  # the message, without a trace of calls

settings = stack.settings
provider = kubernetes.Provider(
    "cluster",
    context=stack.context,
    # the front's Secret has a fixed name and is read while the pod runs: it must be updated, not replaced
    enable_secret_mutable=True,
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

pulumi.export("host", registry.host)
pulumi.export("url", registry.url)
pulumi.export("namespace", settings.namespace)
pulumi.export("service", settings.service.name)
pulumi.export("clusterIp", registry.cluster_ip)
pulumi.export("endpoint", registry.endpoint)
pulumi.export("clients", registry.clients)
pulumi.export("k0s", registry.k0s)
pulumi.export("certificate", registry.certificate)
pulumi.export("caCertificate", registry.ca_certificate)
pulumi.export("policy", registry.policy)
pulumi.export("accounts", registry.accounts)
