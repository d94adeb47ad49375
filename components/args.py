"""What a user of the components writes: one TypedDict for each group of inputs, every key optional.

A stack's configuration has the same shape below `registry:`. Every value is plain, since it decides which resources
exist or must be checked before any is registered; only a password may be a Pulumi Input.
`components.resolve.resolve` turns these into Settings, whose fields hold the defaults.
"""

from typing import TypedDict

import pulumi


class AccountArgs(TypedDict, total=False):
    """One account. `name` is the only required key."""

    name: str
    """Lower-case letters, digits and . _ - between them; at most 64 characters."""
    repositories: list[str]
    """Names of repositories, or prefixes that end in *; case-sensitive. Default: every repository, `["*"]`."""
    permissions: list[str]
    """`pull`, `push`, or `push` and `delete`. Default: `["push"]`."""
    rotation: int
    """A higher number makes a new password. Default: 1."""
    password: pulumi.Input[str]
    """A password of one's own, at most 72 bytes (bcrypt's limit). Default: 32 generated letters and digits."""


StorageArgs = TypedDict(
    "StorageArgs",
    {
        "size": str,  # a Kubernetes quantity; grows in place. Default: 20Gi
        "class": str,  # StorageClass. Default: the cluster's own
        "accessModes": list[str],  # Default: [ReadWriteOnce]
        "claim": str,  # an existing PersistentVolumeClaim, used instead of a new one
        "retain": bool,  # whether `pulumi destroy` refuses to delete the claim. Default: true
    },
    total=False,
)
"""Where the images are kept."""


class ServiceArgs(TypedDict, total=False):
    """The Service, whose name is part of every image's name."""

    name: str
    """Default: registry. Every other object's name begins with it."""
    type: str
    """ClusterIP, NodePort or LoadBalancer. Default: ClusterIP."""
    clusterIp: str
    """A fixed address out of the cluster's Service range. Default: Kubernetes picks one and keeps it."""
    nodePort: int
    """For port 80, 30000 to 32767, with type NodePort or LoadBalancer. Default: Kubernetes picks one."""
    annotations: dict[str, str]
    """Of the Service only."""


class ContainerResourcesArgs(TypedDict, total=False):
    """Kubernetes' own shape: {"cpu": "100m", "memory": "128Mi"} each."""

    requests: dict[str, str]
    limits: dict[str, str]


class ResourcesArgs(TypedDict, total=False):
    """Resources of each of the pod's two containers."""

    registry: ContainerResourcesArgs
    front: ContainerResourcesArgs


class ImagesArgs(TypedDict, total=False):
    """The images of the pod's two containers, for mirrors and pins."""

    registry: str
    front: str


class RegistryArgs(TypedDict, total=False):
    """Everything a Registry can be told. An empty one makes a working registry with one push account."""

    accounts: list[AccountArgs]
    """Who may write. Default: one account `push`, which may push to every repository."""
    anonymous: str
    """What a client without an account may do: `pull` or `none`. Default: pull."""
    namespace: str
    """An existing namespace; part of every image's name. Default: registry."""
    clusterDomain: str
    """The cluster's DNS domain. Default: cluster.local."""
    storage: StorageArgs
    service: ServiceArgs
    replicas: int
    """More than 1 needs storage with ReadWriteMany. Default: 1."""
    resources: ResourcesArgs
    images: ImagesArgs
    labels: dict[str, str]
    """Added to every object. Never part of a selector."""
    annotations: dict[str, str]
    """Added to every object."""
