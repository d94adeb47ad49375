"""The pod: registry and front side by side, under the restricted Pod Security level."""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.apps.v1 import DeploymentSpecArgs, DeploymentStrategyArgs
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    HTTPGetActionArgs,
    KeyToPathArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ProjectedVolumeSourceArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretKeySelectorArgs,
    SecretProjectionArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from . import names
from .render.front import CERTIFICATE_FOLDERS
from .settings import ContainerResources, Settings, TlsMode

SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}  # an annotation, of objects that Pulumi is not to wait for
GRACE_SECONDS = names.DRAIN_SECONDS + 15


def selector(settings: Settings) -> dict[str, str]:
    """Constant for ever: a Deployment's selector cannot change, and no version or user's label belongs in it."""
    return {names.NAME_LABEL: names.APPLICATION, names.INSTANCE_LABEL: settings.service.name}


def labels(settings: Settings) -> dict[str, str]:
    """Of every object."""
    own = {names.MANAGED_BY_LABEL: "pulumi", names.PART_OF_LABEL: names.APPLICATION}
    return {**settings.labels, **own, **selector(settings)}


def metadata(
    settings: Settings, name: str | None = None, annotations: Mapping[str, str] | None = None
) -> ObjectMetaArgs:
    """Of every object. Without a name Pulumi makes one with a random end."""
    return ObjectMetaArgs(
        name=name,
        namespace=settings.namespace,
        labels=labels(settings),
        annotations={**settings.annotations, **(annotations or {})} or None,
    )


def deployment_spec(
    settings: Settings,
    *,
    front_secret: pulumi.Input[str],
    config_map: pulumi.Input[str],
    http_secret: pulumi.Input[str],
) -> DeploymentSpecArgs:
    """The Deployment of a registry whose configuration is in the objects of these names."""
    return DeploymentSpecArgs(
        replicas=settings.replicas,
        selector=LabelSelectorArgs(match_labels=selector(settings)),
        # A volume for one node cannot be handed over while the old pod has it.
        strategy=DeploymentStrategyArgs(type="RollingUpdate" if settings.storage.shared else "Recreate"),
        template=PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels=labels(settings)),
            spec=PodSpecArgs(
                automount_service_account_token=False,
                enable_service_links=False,
                termination_grace_period_seconds=GRACE_SECONDS,
                security_context=PodSecurityContextArgs(
                    run_as_non_root=True,
                    run_as_user=names.USER_ID,
                    run_as_group=names.USER_ID,
                    fs_group=names.USER_ID,
                    # the default would walk through every blob at each start
                    fs_group_change_policy="OnRootMismatch",
                    seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
                ),
                containers=[_registry(settings, http_secret), _front(settings)],
                volumes=[
                    VolumeArgs(
                        name="data",
                        persistent_volume_claim=PersistentVolumeClaimVolumeSourceArgs(claim_name=settings.claim),
                    ),
                    VolumeArgs(name="config", config_map=ConfigMapVolumeSourceArgs(name=config_map)),
                    VolumeArgs(name="front", secret=SecretVolumeSourceArgs(secret_name=front_secret)),
                    VolumeArgs(name="certificates", projected=_certificates(settings)),
                    VolumeArgs(name="front-config", empty_dir=EmptyDirVolumeSourceArgs(size_limit="16Mi")),
                ],
            ),
        ),
    )


def _registry(settings: Settings, http_secret: pulumi.Input[str]) -> ContainerArgs:
    return ContainerArgs(
        name="registry",
        image=settings.images.registry,
        command=["registry", "serve", f"{names.REGISTRY_CONFIG_DIRECTORY}/{names.REGISTRY_CONFIG_FILE}"],
        env=[
            # signs the state of uploads, so it must be the same in every pod and after a restart
            EnvVarArgs(
                name="REGISTRY_HTTP_SECRET",
                value_from=EnvVarSourceArgs(
                    secret_key_ref=SecretKeySelectorArgs(name=http_secret, key=names.HTTP_SECRET_KEY)
                ),
            ),
            EnvVarArgs(name="OTEL_TRACES_EXPORTER", value="none"),  # distribution's default is localhost:4318
        ],
        resources=_resources(settings.resources.registry),
        security_context=_security_context(),
        volume_mounts=[
            VolumeMountArgs(name="data", mount_path=names.DATA_DIRECTORY),
            VolumeMountArgs(name="config", mount_path=names.REGISTRY_CONFIG_DIRECTORY, read_only=True),
        ],
    )


def _front(settings: Settings) -> ContainerArgs:
    config = f"{names.FRONT_DIRECTORY}/{names.FRONT_CONFIG_FILE}"
    return ContainerArgs(
        name="front",
        image=settings.images.front,
        command=["caddy", "run", "--config", config, "--adapter", "caddyfile", "--watch"],
        env=[EnvVarArgs(name="XDG_DATA_HOME", value="/data"), EnvVarArgs(name="XDG_CONFIG_HOME", value="/config")],
        ports=[
            ContainerPortArgs(name="http", container_port=names.FRONT_HTTP_PORT),
            ContainerPortArgs(name="https", container_port=names.FRONT_HTTPS_PORT),
            ContainerPortArgs(name="metrics", container_port=names.METRICS_PORT),
        ],
        # Ready when the registry can read and write its volume. Alive when the front answers: a full disk is no
        # reason to restart.
        readiness_probe=_probe(names.READY_PATH, period_seconds=5),
        liveness_probe=_probe(names.LIVE_PATH, period_seconds=20),
        startup_probe=_probe(names.LIVE_PATH, period_seconds=1, failure_threshold=60),
        resources=_resources(settings.resources.front),
        # The official program carries this file capability, and cannot be executed without it.
        security_context=_security_context(add=["NET_BIND_SERVICE"]),
        volume_mounts=[
            # the directory, never a subPath of it, which would not follow the Secret
            VolumeMountArgs(name="front", mount_path=names.FRONT_DIRECTORY, read_only=True),
            VolumeMountArgs(name="certificates", mount_path=names.CERTIFICATES_DIRECTORY, read_only=True),
            # on the volume, since an ACME account and its certificates must outlive the pod
            VolumeMountArgs(name="data", mount_path="/data", sub_path=names.FRONT_DATA_DIRECTORY),
            VolumeMountArgs(name="front-config", mount_path="/config"),
        ],
    )


def certificate_secrets(settings: Settings) -> dict[TlsMode, str]:
    """The Secret that holds the certificate, for each mode that has one in a Secret."""
    service = settings.service.name
    return {
        TlsMode.INTERNAL: f"{service}-internal-tls",
        TlsMode.CERT_MANAGER: f"{service}-issued-tls",
        TlsMode.SECRET: settings.tls.secret or f"{service}-tls",
    }


def _certificates(settings: Settings) -> ProjectedVolumeSourceArgs:
    """All of them in every mode, and none of them needed: no change of the mode changes the pod."""
    return ProjectedVolumeSourceArgs(
        sources=[
            VolumeProjectionArgs(
                secret=SecretProjectionArgs(
                    name=secret,
                    optional=True,
                    items=[
                        KeyToPathArgs(key=key, path=f"{CERTIFICATE_FOLDERS[mode]}/{key}")
                        for key in ("tls.crt", "tls.key")
                    ],
                )
            )
            for mode, secret in certificate_secrets(settings).items()
        ]
    )


def _probe(path: str, *, period_seconds: int, failure_threshold: int = 3) -> ProbeArgs:
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path=path, port="http"),
        period_seconds=period_seconds,
        timeout_seconds=5,
        failure_threshold=failure_threshold,
    )


def _security_context(add: list[str] | None = None) -> SecurityContextArgs:
    return SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=CapabilitiesArgs(drop=["ALL"], add=add),
    )


def _resources(resources: ContainerResources) -> ResourceRequirementsArgs:
    def texts(quantities: Mapping[str, str]) -> dict[str, pulumi.Input[str]]:
        return dict(quantities)

    return ResourceRequirementsArgs(requests=texts(resources.requests), limits=texts(resources.limits))
