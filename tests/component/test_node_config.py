"""NodeConfig on a recording engine, alone and in the program."""

import json

import pytest

from components import ConfigError, NodeConfig, Registry
from components.render.endpoint import Endpoint
from tests.component.engine import build, secrets_in
from tests.component.test_program import run_program

ENDPOINT = Endpoint(host="registry.registry.svc.cluster.local", address="10.96.0.50")
ARGS = {"namespace": "registry-nodes", "labels": {"owner": "platform"}, "annotations": {"example.com/cost": "42"}}


def node_config(kind="k0s", endpoint=ENDPOINT, **more):
    return lambda: NodeConfig("registry-nodes", {**ARGS, "kind": kind, "endpoint": endpoint, **more})


@pytest.fixture(scope="module")
def engine():
    return build(node_config())[0]


def pod(engine):
    return engine.one("DaemonSet").inputs["spec"]["template"]["spec"]


def container(engine):
    [found] = pod(engine)["containers"]
    return found


def mounts(engine):
    """{folder of the node: (where in the pod, read-only, type)}."""
    paths = {v["name"]: v["hostPath"] for v in pod(engine)["volumes"] if "hostPath" in v}
    return {
        paths[m["name"]]["path"]: (m["mountPath"], m.get("readOnly", False), paths[m["name"]]["type"])
        for m in container(engine)["volumeMounts"]
        if m["name"] in paths
    }


def test_type_tokens_and_child_names_never_change(engine):
    assert {(r.type, r.name, r.parent) for r in engine.resources} == {
        ("registry:index:NodeConfig", "registry-nodes", "registry-test"),
        ("kubernetes:core/v1:ConfigMap", "registry-nodes-files", "registry-nodes"),
        ("kubernetes:core/v1:ConfigMap", "registry-nodes-script", "registry-nodes"),
        ("kubernetes:apps/v1:DaemonSet", "registry-nodes-daemonset", "registry-nodes"),
    }


def test_the_files_have_a_fixed_name_and_the_script_is_named_anew(engine):
    names = {r.name: r.inputs["metadata"].get("name") for r in engine.resources if "metadata" in r.inputs}
    assert names == {
        "registry-nodes-files": "registry",
        "registry-nodes-script": None,
        "registry-nodes-daemonset": "registry",
    }
    assert engine.one("ConfigMap", "registry-nodes-script").inputs["immutable"] is True
    assert "immutable" not in engine.one("ConfigMap", "registry-nodes-files").inputs


def test_another_address_changes_the_files_and_no_pod(engine):
    other, _ = build(node_config(endpoint=Endpoint(host=ENDPOINT.host, address="10.96.0.51")))
    assert other.one("DaemonSet").inputs == engine.one("DaemonSet").inputs
    files = [e.one("ConfigMap", "registry-nodes-files").inputs["data"] for e in (engine, other)]
    assert files[0] != files[1]


def test_labels_and_annotations_reach_every_object_and_the_selector_is_constant(engine):
    for resource in [r for r in engine.resources if "metadata" in r.inputs]:
        metadata = resource.inputs["metadata"]
        assert metadata["namespace"] == "registry-nodes"
        assert metadata["labels"]["owner"] == "platform"
        assert metadata["annotations"]["example.com/cost"] == "42"
    spec = engine.one("DaemonSet").inputs["spec"]
    selector = {"app.kubernetes.io/name": "registry-nodes", "app.kubernetes.io/instance": "registry"}
    assert spec["selector"]["matchLabels"] == selector, "another than the Service's, which would find these pods"
    assert selector.items() <= spec["template"]["metadata"]["labels"].items()


def test_the_pod_has_no_token_no_host_namespace_and_no_power_but_that_of_a_files_owner(engine):
    spec, context = pod(engine), container(engine)["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec)
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert context == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_linux_node_gets_a_pod_but_those_that_are_left_out(engine):
    spec = pod(engine)
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchExpressions": [{"key": "node-config.registry/skip", "operator": "DoesNotExist"}]}


def test_a_new_pod_is_there_before_the_old_one_goes(engine):
    strategy = engine.one("DaemonSet").inputs["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "k0s",
            {
                "/etc/k0s/containerd.d": ("/node/etc/k0s/containerd.d", False, "DirectoryOrCreate"),
                "/etc/containerd/certs.d": ("/node/etc/containerd/certs.d", False, "DirectoryOrCreate"),
                "/var/lib/k0s/bin": ("/node/var/lib/k0s/bin", True, "Directory"),
            },
        ),
        ("containerd", {"/etc/containerd": ("/node/etc/containerd", False, "DirectoryOrCreate")}),
        (
            "k3s",
            {
                "/var/lib/rancher/k3s/agent/etc/containerd": (
                    "/node/var/lib/rancher/k3s/agent/etc/containerd",
                    False,
                    "Directory",
                )
            },
        ),
    ],
)
def test_each_kind_mounts_what_it_needs_and_no_more(kind, expected):
    engine, _ = build(node_config(kind))
    assert mounts(engine) == expected
    told = {e["name"]: e.get("value") for e in container(engine)["env"]}
    assert told["WRITABLE"].split() == [path for path, (_, read_only, _) in expected.items() if not read_only]


def test_the_wanted_files_are_mounted_as_a_directory(engine):
    mounts = {m["name"]: m for m in container(engine)["volumeMounts"]}
    assert "subPath" not in mounts["wanted"], "a subPath never follows its ConfigMap"
    assert mounts["wanted"]["readOnly"]
    assert mounts["script"]["readOnly"]


def test_no_secret_is_in_any_of_it(engine):
    registry, _ = build(
        lambda: NodeConfig(
            "n", {**ARGS, "kind": "k0s", "endpoint": Registry("registry", {"tls": {"mode": "internal"}}).endpoint}
        )
    )
    files = registry.one("ConfigMap", "n-files").inputs["data"]
    assert "CERTIFICATE" in files["ca.crt"]
    for resource in registry.resources:
        if resource.parent == "n":
            assert not secrets_in(resource.inputs)
            assert "PRIVATE KEY" not in json.dumps(resource.inputs)


def test_preview_and_update_register_the_same():
    def program():
        NodeConfig("n", {**ARGS, "kind": "k0s", "endpoint": Registry("registry").endpoint})

    previewed, updated = build(program, preview=True)[0], build(program)[0]
    assert {(r.type, r.name) for r in previewed.resources} == {(r.type, r.name) for r in updated.resources}


@pytest.mark.parametrize("kind", ["k8s", "", None])
def test_an_unknown_kind_registers_nothing(kind):
    def program():
        with pytest.raises(ConfigError, match=r"registry:nodes: .*allowed: containerd, k0s, k3s"):
            NodeConfig("n", {**ARGS, "kind": kind, "endpoint": ENDPOINT})

    assert build(program)[0].resources == []


def test_the_program_configures_nodes_only_when_it_is_told_their_kind():
    without, _ = run_program({})
    assert without.of("NodeConfig") == without.of("DaemonSet") == []
    assert len(without.of("Namespace")) == 1
    told, _ = run_program({"registry:nodes": "k0s", "registry:namespace": "images", "registry:labels": {"owner": "x"}})
    [namespace] = [r for r in told.of("Namespace") if r.name == "nodes-namespace"]
    assert namespace.inputs["metadata"]["name"] == "images-nodes"
    labels = namespace.inputs["metadata"]["labels"]
    assert labels == {"pod-security.kubernetes.io/enforce": "privileged", "owner": "x"}
    assert not namespace.protect, "nothing in it is worth keeping"
    daemon_set = told.one("DaemonSet")
    assert daemon_set.inputs["metadata"]["namespace"] == "images-nodes"
    env = {e["name"]: e.get("value") for e in container(told)["env"]}
    assert env["HOST"] == "registry.images.svc.cluster.local"
    assert container(told)["image"] == "docker.io/library/caddy:2"


def test_a_pod_is_ready_by_a_file_that_the_script_writes(engine):
    assert container(engine)["readinessProbe"]["exec"]["command"] == ["cat", "/state/ready"]
