"""Settings: a registry as it was asked for, with every default applied. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from . import names


class Permission(StrEnum):
    """What an account may do in its repositories. Whoever may push may pull as well."""

    PULL = "pull"  # reads only: for imagePullSecrets where `anonymous` is `none`
    PUSH = "push"
    DELETE = "delete"


class Anonymous(StrEnum):
    """What a client without an account may do."""

    PULL = "pull"
    NONE = "none"


class AccessMode(StrEnum):
    """Kubernetes' PersistentVolumeClaim access modes that a registry can use."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_WRITE_ONCE_POD = "ReadWriteOncePod"
    READ_WRITE_MANY = "ReadWriteMany"


class ServiceType(StrEnum):
    """Kubernetes' Service types that a registry can use."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TlsMode(StrEnum):
    """Who makes the certificate."""

    OFF = "off"  # nobody: plain HTTP
    INTERNAL = "internal"  # a CA of the program's own
    SECRET = "secret"  # whoever writes an existing Secret
    CERT_MANAGER = "cert-manager"
    ACME = "acme"  # the front itself, from an ACME server such as Let's Encrypt


class Plaintext(StrEnum):
    """What port 80 does while TLS is on."""

    SERVE = "serve"
    REDIRECT = "redirect"
    CLOSED = "closed"


class NextCA(StrEnum):
    """How far the change to the next internal CA has come."""

    OFF = "off"
    TRUSTED = "trusted"  # clients are given both CAs; the leaf is still the present one's
    SERVING = "serving"  # clients are given both CAs; the leaf is the next one's


class NodeKind(StrEnum):
    """How nodes run containerd, which decides where its files are."""

    CONTAINERD = "containerd"
    K0S = "k0s"
    K3S = "k3s"


class IssuerKind(StrEnum):
    ISSUER = "Issuer"
    CLUSTER_ISSUER = "ClusterIssuer"


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who may do what, where."""

    name: str
    repositories: tuple[str, ...] = ("*",)
    permissions: tuple[Permission, ...] = (Permission.PUSH,)
    rotation: int = 1
    password: Any = field(default=None, repr=False)  # an Input[str], or None for a generated one


@dataclass(frozen=True, kw_only=True)
class Storage:
    size: str = "20Gi"
    class_: str | None = None
    access_modes: tuple[AccessMode, ...] = (AccessMode.READ_WRITE_ONCE,)
    claim: str | None = None
    retain: bool = True

    @property
    def shared(self) -> bool:
        """Whether pods on several nodes can use it at a time. An existing claim is taken to be what was said of it."""
        return AccessMode.READ_WRITE_MANY in self.access_modes


@dataclass(frozen=True, kw_only=True)
class Service:
    name: str = "registry"
    type: ServiceType = ServiceType.CLUSTER_IP
    cluster_ip: str | None = None
    node_port: int | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CA:
    """Which of the internal CAs are there: number `generation`, and the one after it while `next` is not off."""

    generation: int = 1
    next: NextCA = NextCA.OFF

    @property
    def trusted(self) -> tuple[int, ...]:
        """The generations that clients are given."""
        return (self.generation,) if self.next is NextCA.OFF else (self.generation, self.generation + 1)

    @property
    def serving(self) -> int:
        """The generation that signs the leaf."""
        return self.generation + 1 if self.next is NextCA.SERVING else self.generation


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """cert-manager's."""

    name: str = ""
    kind: IssuerKind = IssuerKind.ISSUER


@dataclass(frozen=True, kw_only=True)
class Eab:
    """An ACME server's external account binding (RFC 8555, section 7.3.4)."""

    key_id: str = ""
    mac_key: Any = field(default=None, repr=False)  # an Input[str]


@dataclass(frozen=True, kw_only=True)
class Tls:
    mode: TlsMode = TlsMode.OFF
    plaintext: Plaintext = Plaintext.SERVE
    ca: CA = CA()  # of every mode: the CA stays when the mode changes, so that clients need not be told twice
    hosts: tuple[str, ...] = ()
    secret: str | None = None
    issuer: Issuer = Issuer()
    host: str | None = None
    directory: str = "https://acme-v02.api.letsencrypt.org/directory"
    directory_ca: str | None = None
    email: str | None = None
    eab: Eab | None = None
    ca_certificate: str | None = None

    @property
    def on(self) -> bool:
        return self.mode is not TlsMode.OFF

    @property
    def plain_pulls(self) -> bool:
        """Whether port 80 answers as a registry."""
        return not self.on or self.plaintext is Plaintext.SERVE


@dataclass(frozen=True, kw_only=True)
class ContainerResources:
    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Resources:
    # No limit of CPU: it would only make a push slower. Memory: both stream, and hold no image in it.
    registry: ContainerResources = ContainerResources(
        requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"}
    )
    front: ContainerResources = ContainerResources(
        requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "512Mi"}
    )


@dataclass(frozen=True, kw_only=True)
class Images:
    registry: str = names.REGISTRY_IMAGE
    front: str = names.FRONT_IMAGE


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A registry, with every default applied and everything checked."""

    accounts: tuple[Account, ...] = (Account(name="push"),)
    anonymous: Anonymous = Anonymous.PULL
    tls: Tls = Tls()
    namespace: str = "registry"
    cluster_domain: str = "cluster.local"
    storage: Storage = Storage()
    service: Service = Service()
    replicas: int = 1
    resources: Resources = Resources()
    images: Images = Images()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The Service's whole name."""
        return f"{self.service.name}.{self.namespace}.svc.{self.cluster_domain}"

    @property
    def image_host(self) -> str:
        """The registry's name in every image's name: the Service's, unless the certificate is for another."""
        return self.tls.host or self.host

    @property
    def url(self) -> str:
        """Where pods reach it."""
        return f"{'https' if self.tls.on else 'http'}://{self.image_host}"

    @property
    def service_names(self) -> tuple[str, ...]:
        """Every name by which the Service is known in the cluster, and localhost for a forwarded port."""
        short = f"{self.service.name}.{self.namespace}"
        return (self.service.name, short, f"{short}.svc", self.host, "localhost")

    @property
    def policy(self) -> dict[str, Any]:
        """Who may do what, without a secret: {anonymous, http, accounts: {account: {repositories, permissions}}}."""
        return {
            "anonymous": str(self.anonymous),
            "http": self.tls.plain_pulls,
            "accounts": {
                account.name: {
                    "repositories": list(account.repositories),
                    "permissions": [str(permission) for permission in account.permissions],
                }
                for account in self.accounts
            },
        }

    @property
    def claim(self) -> str:
        """Name of the PersistentVolumeClaim."""
        return self.storage.claim or f"{self.service.name}-data"
