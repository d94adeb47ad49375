"""Registry: the pod of registry and front, its volume, its Service and its configuration."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from . import names, pod
from .accounts import PushAccounts, credentials
from .args import RegistryArgs
from .authority import InternalCA
from .encryption import Encryption, encryption
from .render import clients, distribution, front
from .render.clients import k0s
from .render.endpoint import Endpoint
from .resolve import resolve
from .settings import Settings


class Registry(pulumi.ComponentResource):
    """A container registry with anonymous pull and authenticated push.

    Owns its accounts, CA, Deployment, PersistentVolumeClaim, Service and configuration. Owns neither its namespace,
    which must exist (`opts=ResourceOptions(depends_on=[namespace])`), nor a provider. Give it one with
    `enable_secret_mutable=True`, so that the front's Secret is updated rather than replaced.
    """

    host: pulumi.Output[str]
    """The registry's name in every image's name: SERVICE.NAMESPACE.svc.DOMAIN, or `tls.host`."""
    url: pulumi.Output[str]
    """Where pods reach it."""
    cluster_ip: pulumi.Output[str]
    """Address of the Service, by which nodes reach it."""
    endpoint: pulumi.Output[Endpoint]
    """What the clients' files are made of, for a NodeConfig too. As a stack's output it is `.output`."""
    clients: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """Every client's files: {client: {path: content}}."""
    k0s: pulumi.Output[Mapping[str, Any]]
    """k0s's files by its version, the same for k0sctl, and a ClusterConfig."""
    certificate: pulumi.Output[Mapping[str, str]]
    """{mode}, and with TLS {notAfter, renewFrom, renewedBy}, as far as they are known (RFC 3339)."""
    ca_certificate: pulumi.Output[str | None]
    """PEM of the CA, or CAs, that clients are to trust; None without TLS and with a public CA."""
    policy: pulumi.Output[Mapping[str, Any]]
    """Who may do what: {anonymous, accounts: {account: {repositories, permissions}}}."""
    accounts: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """{account: {username, password, dockerConfigJson}}. Secret."""

    # Deliberate ways in for what no input covers.
    deployment: kubernetes.apps.v1.Deployment
    service: kubernetes.core.v1.Service
    ca: InternalCA
    """In every mode, so that a change of the mode never changes the CA."""
    claim: kubernetes.core.v1.PersistentVolumeClaim | None
    """None where `storage.claim` names an existing one."""

    def __init__(
        self, name: str, args: RegistryArgs | Settings | None = None, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Raises ConfigError, with every problem and before anything is registered, for a mistake in `args`."""
        settings = args if isinstance(args, Settings) else resolve(args)
        super().__init__(f"{names.TYPE_PREFIX}:Registry", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)

        # Not waited for: that would be until the pod is ready, which may itself wait for a certificate with the
        # Service's address in it; and a LoadBalancer may never get one.
        self.service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=pod.metadata(settings, settings.service.name, {**pod.SKIP_AWAIT, **settings.service.annotations}),
            spec=_service_spec(settings),
            opts=child,
        )
        self.cluster_ip = self.service.spec.cluster_ip
        self.ca = InternalCA(f"{name}-ca", settings.tls.ca, child, protect=settings.storage.retain)
        encrypted = encryption(name, settings, self, self.ca, self.cluster_ip)

        accounts = PushAccounts(f"{name}-accounts", settings.accounts, opts=child)
        certificate_path = random.RandomPassword(f"{name}-certificate-path", length=48, special=False, opts=child)
        front_secret = kubernetes.core.v1.Secret(
            f"{name}-front",
            # A fixed name and no checksum in the pod: the front reads it again when it changes.
            metadata=pod.metadata(settings, f"{settings.service.name}-front"),
            string_data=_front_files(settings, accounts, certificate_path.result, encrypted),
            opts=child,
        )
        http_secret = random.RandomPassword(f"{name}-http-secret", length=64, special=False, opts=child)
        # The registry reads its configuration once. So these two are named anew when they change, and the pod follows.
        config = kubernetes.core.v1.ConfigMap(
            f"{name}-config",
            metadata=pod.metadata(settings),
            immutable=True,
            data={names.REGISTRY_CONFIG_FILE: distribution.config()},
            opts=child,
        )
        upload_secret = kubernetes.core.v1.Secret(
            f"{name}-upload",
            metadata=pod.metadata(settings),
            immutable=True,
            string_data={names.HTTP_SECRET_KEY: http_secret.result},
            opts=child,
        )
        self.claim = _claim(name, settings, self) if settings.storage.claim is None else None
        self.deployment = kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=pod.metadata(settings, settings.service.name),
            spec=pod.deployment_spec(
                settings,
                front_secret=front_secret.metadata.name,
                config_map=config.metadata.name,
                http_secret=upload_secret.metadata.name,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.claim] if self.claim else None),
        )

        self.endpoint = pulumi.Output.all(
            address=self.cluster_ip, ca=encrypted.ca_certificate, verifies=encrypted.covers_address
        ).apply(lambda values: _endpoint(settings, **values))
        kubernetes.core.v1.ConfigMap(
            f"{name}-clients",
            metadata=pod.metadata(settings, names.CLIENTS_CONFIG_MAP.format(service=settings.service.name)),
            data=self.endpoint.apply(clients.config_map),
            opts=child,
        )
        self.host = pulumi.Output.from_input(settings.image_host)
        self.url = pulumi.Output.from_input(settings.url)
        self.clients = self.endpoint.apply(clients.files)
        self.k0s = self.endpoint.apply(k0s.outputs)
        self.certificate = encrypted.certificate
        self.ca_certificate = encrypted.ca_certificate
        self.policy = pulumi.Output.from_input(settings.policy)
        self.accounts = accounts.passwords.apply(
            lambda passwords: credentials([settings.image_host, settings.host], passwords)
        )
        self.register_outputs(
            {
                "host": self.host,
                "url": self.url,
                "clusterIp": self.cluster_ip,
                "endpoint": self.endpoint.apply(lambda endpoint: endpoint.output),
                "clients": self.clients,
                "k0s": self.k0s,
                "certificate": self.certificate,
                "caCertificate": self.ca_certificate,
                "policy": self.policy,
                "accounts": self.accounts,
            }
        )


def _front_files(
    settings: Settings, accounts: PushAccounts, certificate_path: pulumi.Output[str], encrypted: Encryption
) -> pulumi.Output[Mapping[str, str]]:
    """What the front's Secret holds."""
    eab = settings.tls.eab

    def render(values: Mapping[str, Any]) -> dict[str, str]:
        hashes = [values["hashes"][account.name] for account in settings.accounts]
        caddyfile = front.caddyfile(settings, hashes, certificate_path=values["path"], eab_mac_key=values["mac_key"])
        ca = settings.tls.directory_ca
        return {names.FRONT_CONFIG_FILE: caddyfile, **({names.DIRECTORY_CA_FILE: ca} if ca else {})}

    return pulumi.Output.all(
        hashes=accounts.hashes,
        path=certificate_path,
        mac_key=eab.mac_key if eab else "",
        checked=encrypted.covers_address,  # a certificate that cannot be used stops here
    ).apply(render)


def _endpoint(settings: Settings, *, address: str, ca: str | None, verifies: bool) -> Endpoint:
    return Endpoint(
        host=settings.image_host,
        address=address,
        https=settings.tls.on,
        ca=ca,
        verifies_address=verifies,
        http=settings.tls.plain_pulls,
        internal=settings.image_host == settings.host,
    )


def _claim(name: str, settings: Settings, parent: Registry) -> kubernetes.core.v1.PersistentVolumeClaim:
    storage = settings.storage
    return kubernetes.core.v1.PersistentVolumeClaim(
        f"{name}-data",
        # It may wait for its pod, which Pulumi sees only with the right to read StorageClasses; the Deployment's own
        # wait tells of a claim that is not bound.
        metadata=pod.metadata(settings, settings.claim, pod.SKIP_AWAIT),
        spec=kubernetes.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=[str(mode) for mode in storage.access_modes],
            storage_class_name=storage.class_,
            resources=kubernetes.core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage.size}),
        ),
        opts=pulumi.ResourceOptions(parent=parent, protect=storage.retain),
    )


def _service_spec(settings: Settings) -> kubernetes.core.v1.ServiceSpecArgs:
    service = settings.service
    return kubernetes.core.v1.ServiceSpecArgs(
        type=str(service.type),
        cluster_ip=service.cluster_ip,
        selector=pod.selector(settings),
        ports=[
            kubernetes.core.v1.ServicePortArgs(
                name="http", port=names.HTTP_PORT, target_port="http", node_port=service.node_port
            ),
            # Declared with TLS off as well: clients try https first, and to an undeclared port their packets are
            # dropped, which costs them 30 s. The pod refuses at once.
            kubernetes.core.v1.ServicePortArgs(name="https", port=names.HTTPS_PORT, target_port=names.FRONT_HTTPS_PORT),
        ],
    )
