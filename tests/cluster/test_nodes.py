"""Nodes that the cluster itself configures: nobody writes a file on any of them. The tests build on each other."""

import re
import subprocess
import time

import pytest

from lab import demo, facts, network, paths, second
from tests.cluster.harness import until

pytestmark = pytest.mark.cluster

NAMESPACE, NODES = "cluster-nodes", "cluster-nodes-nodes"
HOST = f"registry.{NAMESPACE}.svc.cluster.local"
CONFIG = {"namespace": NAMESPACE, "accounts": [{"name": "ci"}], "storage": {"size": "1Gi", "retain": False}}
FOLDER = f"/etc/containerd/certs.d/{HOST}"
SKIP = "node-config.registry/skip"
SYNC_SECONDS = 150  # kubelet brings a changed ConfigMap within its sync period and its cache's age


class Machine:
    """A node as an administrator sees it: read here, never written to, but for what makes it the node that it is."""

    def __init__(self, name, inside, containerd_log):
        self.name, self._inside, self.containerd_log = name, inside, containerd_log

    def run(self, *command, check=True):
        done = subprocess.run(self._inside(*command), capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def read(self, path):
        return self.run("cat", path, check=False)

    def files(self):
        """Of ours."""
        found = self.run("grep", "-rls", "NodeConfig", "/etc/containerd", "/etc/k0s", check=False).split()
        return sorted(found)


@pytest.fixture(scope="module")
def first(environment):
    """Its containerd's configuration is where a node has it."""
    config, there = "/etc/containerd/config.toml", "/etc/containerd/config.toml.before"
    network.run(*network.inside("sh", "-euc", f"! [ -e {config} ] || mv {config} {there}; cp $1 {config}", "sh",
                                f"{paths.STATE}/etc/containerd.toml"))  # fmt: skip
    yield Machine(facts.lab().name, network.inside, paths.STATE / "log/containerd.log")
    network.run(*network.inside("sh", "-euc", f"rm {config}; ! [ -e {there} ] || mv {there} {config}"))


@pytest.fixture(scope="module")
def stack(new_stack):
    return new_stack("cluster-nodes")


@pytest.fixture(scope="module")
def image(stack, tmp_path_factory):
    stack.configure(**CONFIG)
    stack.up()
    return demo.push(HOST, stack.outputs()["accounts"], tmp_path_factory.mktemp("image"))


def pods(kubectl):
    """{node: the pods on it that are not ending}."""
    found = {}
    for pod in kubectl.get("pods", "-n", NODES)["items"]:
        if "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["spec"].get("nodeName"), []).append(pod)
    return found


def ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def log_of(kubectl, node):
    [pod] = pods(kubectl)[node]
    return kubectl.run("logs", "-n", NODES, pod["metadata"]["name"]).stdout


def wait_ready(kubectl, node, *, but=None, seconds=60):
    """The one pod of the node, once it is ready; another than `but`."""

    def one():
        found = pods(kubectl).get(node, [])
        return found[0] if len(found) == 1 and ready(found[0]) and found[0]["metadata"]["uid"] != but else None

    return until(one, seconds=seconds, what=f"the ready pod on {node}")


def pull_on(kubectl, node, image):
    """Runs a pod on that node; its phase, or why its image could not be pulled, and its events."""
    name = f"pull-on-{node}"
    kubectl.run("delete", "pod", name, "--ignore-not-found", "--now", "--wait")
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": image, "imagePullPolicy": "Always"}],
            },
        }
    )

    def settled():
        status = kubectl.get("pod", name)["status"]
        waiting = (status.get("containerStatuses") or [{"state": {}}])[0]["state"].get("waiting", {}).get("reason", "")
        return status["phase"] if status["phase"] in ("Succeeded", "Failed") else "Pull" in waiting and waiting

    state = until(settled, seconds=60, what=f"the pod on {node}")
    events = kubectl.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    kubectl.run("delete", "pod", name, "--now")
    return state, " ".join(event.get("message", "") for event in events)


def test_without_nodes_a_node_does_not_find_the_registry(first, image, kubectl):
    assert first.files() == []
    state, events = pull_on(kubectl, first.name, image)
    assert state in ("ErrImagePull", "ImagePullBackOff"), events


def test_with_nodes_it_pulls_and_nobody_has_written_a_file(first, image, stack, kubectl):
    stack.configure(**CONFIG, nodes="containerd")
    began = time.monotonic()
    stack.up()
    wait_ready(kubectl, first.name)
    print(f"ready {time.monotonic() - began:.1f} s after `pulumi up` was started")
    assert first.files() == [f"{FOLDER}/hosts.toml"], "its containerd has a config_path, so there is no drop-in"
    state, events = pull_on(kubectl, first.name, image)
    assert state == "Succeeded", events
    print(re.search(r"pulled image .*? in \S+", events)[0])


def test_a_second_preview_shows_no_change(stack):
    stack.pulumi("preview", "--expect-no-changes", "--stack", stack.name)


def test_a_file_that_is_lost_comes_back(first, kubectl):
    network.run(*network.inside("rm", f"{FOLDER}/hosts.toml"))
    until(lambda: first.files(), seconds=20, what="hosts.toml")


def test_a_rolling_update_never_removes_the_files(first, stack, kubectl):
    before = wait_ready(kubectl, first.name)["metadata"]["uid"]
    inode = first.run("stat", "-c", "%i %Y", f"{FOLDER}/hosts.toml")
    stack.configure(**CONFIG, nodes="containerd", labels={"roll": "1"})
    stack.up()
    wait_ready(kubectl, first.name, but=before)
    until(
        lambda: before not in [pod["metadata"]["uid"] for pod in kubectl.get("pods", "-n", NODES)["items"]],
        seconds=60,
        what="the old pod's end",
    )
    assert first.run("stat", "-c", "%i %Y", f"{FOLDER}/hosts.toml") == inode


def test_with_tls_the_node_follows_without_another_pod(first, image, stack, kubectl):
    before = wait_ready(kubectl, first.name)["metadata"]["uid"]
    stack.configure(**CONFIG, nodes="containerd", labels={"roll": "1"}, tls={"mode": "internal"})
    stack.up()
    [pod] = pods(kubectl)[first.name]
    kubectl.run("annotate", "pod", "-n", NODES, pod["metadata"]["name"], "nudge=1")
    until(lambda: "https://" in first.read(f"{FOLDER}/hosts.toml"), seconds=SYNC_SECONDS, what="https on the node")
    assert first.files() == [f"{FOLDER}/ca.crt", f"{FOLDER}/hosts.toml"]
    assert wait_ready(kubectl, first.name)["metadata"]["uid"] == before
    # the front itself follows its Secret a little later
    until(lambda: pull_on(kubectl, first.name, image)[0] == "Succeeded", seconds=SYNC_SECONDS, what="a pull by TLS")


def test_a_node_that_is_left_out_is_as_it_was(first, kubectl):
    kubectl.run("label", "node", first.name, f"{SKIP}=")
    try:
        until(lambda: first.files() == [], seconds=60, what="the files' end")
        assert first.run("ls", "-A", "/etc/containerd/certs.d").split().count(HOST) == 0
    finally:
        kubectl.run("label", "node", first.name, f"{SKIP}-")
    wait_ready(kubectl, first.name)


@pytest.fixture(scope="module")
def fresh(first, image, stack, kubectl):
    """A node that joins a cluster in which `nodes: k0s` is set, and the time at which its kubelet was started."""
    stack.configure(**CONFIG, nodes="k0s")
    stack.up()
    kubectl.run("label", "node", first.name, f"{SKIP}=")  # it is no k0s node
    try:
        with second.running() as name:
            log = paths.STATE / "log/second-containerd.log"
            began = (paths.STATE / "run/second-kubelet.pid").stat().st_mtime
            yield Machine(name, second.inside, log), began
    finally:
        kubectl.run("label", "node", first.name, f"{SKIP}-")


def test_a_fresh_node_with_containerd_2_pulls_with_no_hand_on_it(fresh, image, kubectl):
    node, began = fresh
    wait_ready(kubectl, node.name, seconds=120)
    configured = time.time() - began
    until(lambda: node.containerd_log.read_text().count("successfully booted") == 2, seconds=30, what="the restart")
    restarted = time.time() - began
    _, events = until(
        lambda: (got := pull_on(kubectl, node.name, image))[0] == "Succeeded" and got, seconds=60, what="the pull"
    )
    pulled = time.time() - began
    print(f"after its kubelet's start: {configured=:.1f} s, containerd {restarted=:.1f} s, {pulled=:.1f} s")
    print(re.search(r"pulled image .*? in \S+", events)[0])

    def version() -> str:
        """Unknown, where kubelet happened to ask while containerd was down, until it asks again."""
        return kubectl.get("node", node.name)["status"]["nodeInfo"]["containerRuntimeVersion"]

    until(lambda: version().startswith("containerd://2."), seconds=90, what="kubelet's word of containerd 2")


def test_it_got_the_drop_in_of_version_3_and_containerd_reads_it(fresh, kubectl):
    node, _ = fresh
    drop_in = "/etc/k0s/containerd.d/registry.toml"
    assert node.files() == [f"{FOLDER}/hosts.toml", drop_in]
    assert "version = 3" in node.read(drop_in)
    dumped = node.run("/var/lib/k0s/bin/containerd", "--config", "/etc/k0s/containerd.toml", "config", "dump")
    images = dumped[dumped.index("io.containerd.cri.v1.images") :]
    assert re.search(r"config_path = '([^']*)'", images)[1] == "/etc/containerd/certs.d"
    assert facts.PAUSE_IMAGE in images, "the rest of the table is as it was"


def test_containerd_was_restarted_once(fresh, kubectl):
    node, _ = fresh
    before = node.containerd_log.read_text().count("SIGHUP")
    assert before == 1
    log = log_of(kubectl, node.name)
    assert log.count("wrote /etc/k0s/containerd.d/registry.toml") == 1, log


def test_a_k0s_node_that_is_left_out_is_as_it_was(fresh, kubectl):
    """So is a node given back before an upgrade that refuses the older drop-in."""
    node, _ = fresh
    kubectl.run("label", "node", node.name, f"{SKIP}=")
    until(lambda: node.files() == [], seconds=60, what="the files' end")
    kubectl.run("label", "node", node.name, f"{SKIP}-")
    wait_ready(kubectl, node.name, seconds=90)


def test_destroy_leaves_nothing_on_the_nodes(fresh, first, stack, kubectl):
    node, _ = fresh
    assert node.files()
    stack.configure(**CONFIG)
    stack.up()
    until(lambda: node.files() == [], seconds=30, what="the files' end")
    assert "NotFound" in kubectl.run("get", "namespace", NODES, check=False).stderr
    assert node.run("ls", "-A", "/etc/containerd/certs.d", "/etc/k0s/containerd.d").split() == [
        "/etc/containerd/certs.d:",
        "/etc/k0s/containerd.d:",
    ]
    assert first.files() == []
