"""NodeConfig: every node of a cluster told where the registry is, by a DaemonSet."""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi
from pulumi_kubernetes.apps.v1 import (
    DaemonSet,
    DaemonSetSpecArgs,
    DaemonSetUpdateStrategyArgs,
    RollingUpdateDaemonSetArgs,
)
from pulumi_kubernetes.core.v1 import (
    AffinityArgs,
    CapabilitiesArgs,
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    EmptyDirVolumeSourceArgs,
    EnvVarArgs,
    EnvVarSourceArgs,
    ExecActionArgs,
    HostPathVolumeSourceArgs,
    NodeAffinityArgs,
    NodeSelectorArgs,
    NodeSelectorRequirementArgs,
    NodeSelectorTermArgs,
    ObjectFieldSelectorArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecurityContextArgs,
    TolerationArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from . import names, pod
from .reader import ConfigError, Reader
from .render import node_config
from .render.endpoint import Endpoint
from .settings import NodeKind

SCRIPT_FILE = "node-config.sh"


class NodeConfigArgs(TypedDict):
    """`kind`, `endpoint` and `namespace` are required."""

    kind: str
    """How the nodes run containerd: `containerd`, `k0s` or `k3s`. Plain: it decides what is mounted."""
    endpoint: pulumi.Input[Endpoint]
    """A Registry's `endpoint`."""
    namespace: pulumi.Input[str]
    """An existing one, whose Pod Security level lets pods mount folders of the node: `privileged`."""
    name: NotRequired[str]
    """Of every object, and of the registry that they are for. Default: registry."""
    image: NotRequired[str]
    """One with a POSIX shell and its tools, run as root. Default: the front's, which the nodes have already."""
    labels: NotRequired[Mapping[str, str]]
    annotations: NotRequired[Mapping[str, str]]


class NodeConfig(pulumi.ComponentResource):
    """A DaemonSet that writes hosts.toml, the CA and where needed a drop-in for containerd on every Linux node.

    It asks nothing of the API server, keeps the files as they are wanted and removes them when it goes. Owns its
    DaemonSet and two ConfigMaps; neither its namespace nor a provider. Give it one with
    `enable_config_map_mutable=True`, so that the files are updated rather than replaced. docs/nodes.md has what is
    written where.
    """

    daemon_set: DaemonSet
    """Its pod on a node is ready while the node has what it needs; its log says why not."""

    def __init__(self, name: str, args: NodeConfigArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Raises ConfigError, before anything is registered, for an unknown kind."""
        kind = _kind(args.get("kind") or "")
        object_name = args.get("name", "registry")
        super().__init__(f"{names.TYPE_PREFIX}:NodeConfig", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        selector = {names.NAME_LABEL: names.NODES_APPLICATION, names.INSTANCE_LABEL: object_name}
        labels = {
            **args.get("labels", {}),
            names.MANAGED_BY_LABEL: "pulumi",
            names.PART_OF_LABEL: names.APPLICATION,
            **selector,
        }

        def metadata(fixed: str | None = None, annotations: Mapping[str, str] | None = None) -> ObjectMetaArgs:
            return ObjectMetaArgs(
                name=fixed,
                namespace=args["namespace"],
                labels=labels,
                annotations={**args.get("annotations", {}), **(annotations or {})} or None,
            )

        # One name, updated in place: the script follows it, and no pod is started anew for another address or CA.
        files = ConfigMap(
            f"{name}-files",
            metadata=metadata(object_name),
            data=pulumi.Output.from_input(args["endpoint"]).apply(node_config.files),
            opts=child,
        )
        # Named anew when it changes, so that the pods follow.
        script = ConfigMap(
            f"{name}-script", metadata=metadata(), immutable=True, data={SCRIPT_FILE: node_config.SCRIPT}, opts=child
        )
        host = pulumi.Output.from_input(args["endpoint"]).apply(lambda endpoint: endpoint.host)
        self.daemon_set = DaemonSet(
            f"{name}-daemonset",
            # Pulumi would wait until every node is ready, those too that are switched off.
            metadata=metadata(object_name, pod.SKIP_AWAIT),
            spec=DaemonSetSpecArgs(
                selector=LabelSelectorArgs(match_labels=selector),
                # The new pod claims the node before the old one ends, which then leaves the files alone.
                update_strategy=DaemonSetUpdateStrategyArgs(
                    type="RollingUpdate", rolling_update=RollingUpdateDaemonSetArgs(max_surge=1, max_unavailable=0)
                ),
                template=PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels=labels),
                    spec=_pod(
                        kind,
                        host=host,
                        image=args.get("image", names.FRONT_IMAGE),
                        files=object_name,
                        script=script.metadata.name,
                    ),
                ),
            ),
            # by its name alone, so that a ConfigMap that is replaced takes no pod along
            opts=pulumi.ResourceOptions(parent=self, depends_on=[files]),
        )
        self.register_outputs({"daemonSet": self.daemon_set.metadata.name})


def _kind(given: str) -> NodeKind:
    reader = Reader()
    kind = reader.choice("nodes", given, NodeKind)
    if reader.problems:
        raise ConfigError(reader.problems)
    return kind


def _pod(kind: NodeKind, *, host: pulumi.Input[str], image: str, files: str, script: pulumi.Input[str]) -> PodSpecArgs:
    node = node_config.NODES[kind]
    folders = [(path, False, "Directory" if there else "DirectoryOrCreate") for path, there in node.writable.items()]
    folders += [(path, True, "Directory") for path in node.readable]
    return PodSpecArgs(
        automount_service_account_token=False,
        enable_service_links=False,
        tolerations=[TolerationArgs(operator="Exists")],  # every node pulls, whatever it is kept free for
        node_selector={"kubernetes.io/os": "linux"},
        affinity=_but_for_skipped(),
        security_context=PodSecurityContextArgs(seccomp_profile=SeccompProfileArgs(type="RuntimeDefault")),
        containers=[
            ContainerArgs(
                name="node-config",
                image=image,
                command=["sh", f"{names.NODE_SCRIPT_DIRECTORY}/{SCRIPT_FILE}"],
                env=[
                    *(EnvVarArgs(name=key, value=value) for key, value in node_config.environment(kind).items()),
                    EnvVarArgs(name="HOST", value=host),
                    EnvVarArgs(
                        name="POD_UID",
                        value_from=EnvVarSourceArgs(field_ref=ObjectFieldSelectorArgs(field_path="metadata.uid")),
                    ),
                ],
                readiness_probe=ProbeArgs(
                    exec_=ExecActionArgs(command=["cat", f"{names.NODE_STATE_DIRECTORY}/ready"]), period_seconds=5
                ),
                resources=ResourceRequirementsArgs(
                    requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "128Mi"}
                ),
                # root, since the node's folders are root's; nothing of what else makes root powerful
                security_context=SecurityContextArgs(
                    run_as_user=0,
                    run_as_group=0,
                    allow_privilege_escalation=False,
                    read_only_root_filesystem=True,
                    capabilities=CapabilitiesArgs(drop=["ALL"]),
                ),
                volume_mounts=[
                    VolumeMountArgs(name="script", mount_path=names.NODE_SCRIPT_DIRECTORY, read_only=True),
                    # the directory, never a subPath of it, which would not follow the ConfigMap
                    VolumeMountArgs(name="wanted", mount_path=names.NODE_WANTED_DIRECTORY, read_only=True),
                    VolumeMountArgs(name="state", mount_path=names.NODE_STATE_DIRECTORY),
                    *(
                        VolumeMountArgs(
                            name=f"node-{number}", mount_path=f"{names.NODE_DIRECTORY}{path}", read_only=read_only
                        )
                        for number, (path, read_only, _) in enumerate(folders)
                    ),
                ],
            )
        ],
        volumes=[
            VolumeArgs(name="script", config_map=ConfigMapVolumeSourceArgs(name=script)),
            VolumeArgs(name="wanted", config_map=ConfigMapVolumeSourceArgs(name=files)),
            VolumeArgs(name="state", empty_dir=EmptyDirVolumeSourceArgs(size_limit="1Mi")),
            *(
                VolumeArgs(name=f"node-{number}", host_path=HostPathVolumeSourceArgs(path=path, type=type_))
                for number, (path, _, type_) in enumerate(folders)
            ),
        ],
    )


def _but_for_skipped() -> AffinityArgs:
    """A node with the label is left out, and given back as it was: its pod ends."""
    skipped = NodeSelectorRequirementArgs(key=names.NODE_SKIP_LABEL, operator="DoesNotExist")
    return AffinityArgs(
        node_affinity=NodeAffinityArgs(
            required_during_scheduling_ignored_during_execution=NodeSelectorArgs(
                node_selector_terms=[NodeSelectorTermArgs(match_expressions=[skipped])]
            )
        )
    )
