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


class CAArgs(TypedDict, total=False):
    """The internal CA, which is there in every mode. See docs/tls.md for the change from one to the next."""

    generation: int
    """Number of the present CA. Default: 1."""
    next: str
    """`off`, `trusted` (clients are given both) or `serving` (the leaf is the next one's). Default: off."""


class IssuerArgs(TypedDict, total=False):
    """cert-manager's."""

    name: str
    kind: str
    """Issuer or ClusterIssuer. Default: Issuer."""


class EabArgs(TypedDict, total=False):
    """An ACME server's external account binding."""

    keyId: str
    macKey: pulumi.Input[str]
    """In base64url, as the server's owner gives it. A secret."""


class TlsArgs(TypedDict, total=False):
    """Encryption. `mode` decides which of the other keys may be given."""

    mode: str
    """`off`, `internal`, `secret`, `cert-manager` or `acme`. Default: off."""
    plaintext: str
    """What port 80 does while TLS is on: `serve`, `redirect` or `closed`. Default: serve."""
    ca: CAArgs
    """The internal CA. In every mode."""
    hosts: list[str]
    """internal, cert-manager: further names and addresses for the certificate."""
    secret: str
    """secret: an existing Secret of type kubernetes.io/tls. Default: SERVICE-tls, which the pod follows without a
    restart; another name costs one when it is given first."""
    issuer: IssuerArgs
    """cert-manager: who issues."""
    host: str
    """acme, secret, cert-manager: the name that the certificate is for, where that is not the Service's. Images bear
    it then. An ACME server must reach it on port 80 or 443."""
    directory: str
    """acme: the server's directory URL. Default: Let's Encrypt."""
    directoryCa: str
    """acme: PEM of the CA that the server itself is trusted by, where it is not a public one."""
    email: str
    """acme: where the server writes to."""
    eab: EabArgs
    """acme: external account binding, where the server asks for one."""
    caCertificate: str
    """secret, cert-manager, acme: PEM of the CA to hand to clients, where it is not a public one."""


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
    tls: TlsArgs
    """Encryption, now or later. Default: off."""
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
