"""A registry's life on a real cluster, from its first `pulumi up` to its end. The tests build on each other."""

import json
import re
import subprocess
import sys
import threading
import time

import pytest

from components.protocol import Client, Refused
from lab import demo
from tests.cluster.harness import forwarded, life, pushes_from_outside, registry_pod, run_pod, until

pytestmark = pytest.mark.cluster

NAMESPACE = "cluster-test"
HOST = f"registry.{NAMESPACE}.svc.cluster.local"
CONFIG = {
    "namespace": NAMESPACE,
    "accounts": [
        {"name": "ci"},
        {"name": "team", "repositories": ["team/*"], "permissions": ["push", "delete"]},
    ],
    "storage": {"size": "2Gi"},
}
# requirements.md's own way: the name, insecure, nothing else
REGISTRIES_CONF = f'[[registry]]\nlocation = "{HOST}"\ninsecure = true\n'
TOOLBOX = "localhost/lab/toolbox:1"
PROPAGATION_SECONDS = 150  # kubelet reads a Secret again within its sync period and its cache's age


@pytest.fixture(scope="module")
def stack(new_stack):
    stack = new_stack("cluster-test")
    stack.configure(**CONFIG)
    stack.up()
    return stack


@pytest.fixture(scope="module")
def outputs(stack):
    return stack.outputs()


@pytest.fixture(scope="module")
def url(outputs):
    return f"http://{outputs['clusterIp']}"


@pytest.fixture(scope="module")
def toolbox(kubectl):
    """A pod with clients in it."""
    kubectl.run("delete", "pod", "toolbox", "--ignore-not-found", "--now", "--wait")
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "toolbox", "namespace": "default"},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "toolbox",
                        "image": TOOLBOX,
                        "imagePullPolicy": "Never",
                        "command": ["sleep", "86400"],
                        "securityContext": {"privileged": True},  # buildah mounts
                    }
                ],
            },
        }
    )
    kubectl.run("wait", "--for=condition=Ready", "pod/toolbox", "--timeout=60s")
    yield lambda *command, check=True: kubectl.execute("default", "toolbox", *command, check=check)
    kubectl.run("delete", "pod", "toolbox", "--now")


def login(outputs, name):
    account = outputs["accounts"][name]
    return account["username"], account["password"]


def the_pod(kubectl):
    return registry_pod(kubectl, NAMESPACE)


def test_the_first_up_makes_a_working_registry(stack, outputs, kubectl):
    assert outputs["host"] == HOST
    assert life(the_pod(kubectl))[1]


def test_a_second_preview_shows_no_change(stack):
    stack.pulumi("preview", "--expect-no-changes", "--stack", stack.name)


def test_an_unchanged_up_after_a_refresh_shows_no_change(stack):
    stack.pulumi("up", "--yes", "--refresh", "--expect-no-changes", "--stack", stack.name)


def test_the_smoke_test_passes_against_the_stack(stack, outputs, environment):
    done = subprocess.run(
        [sys.executable, "-m", "components.smoke", "--outputs", "-"],
        input=json.dumps(outputs), env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout
    for account in outputs["accounts"].values():
        assert account["password"] not in done.stdout + done.stderr


def test_the_outputs_keep_passwords_secret(stack):
    shown = json.loads(stack.pulumi("stack", "output", "--json", "--stack", stack.name).stdout)
    assert shown["accounts"] == "[secret]"
    assert shown["host"] == HOST, "what is public is readable without --show-secrets"


def test_nothing_secret_is_in_the_state_in_clear_text(stack, outputs):
    state = stack.pulumi("stack", "export", "--stack", stack.name).stdout
    for account in outputs["accounts"].values():
        assert account["password"] not in state
    clear = re.sub(r'"ciphertext": *"[^"]*"', "", state)
    assert not re.search(r"\$2[aby]\$\d\d\$", clear), "no hash of bcrypt's either"


def test_the_pods_meet_the_restricted_level(kubectl):
    namespace = kubectl.get("namespace", NAMESPACE)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("client", ["crane", "oras", "skopeo", "buildah"])
def test_a_pod_pushes_and_pulls_through_the_name(client, toolbox, outputs):
    toolbox("sh", "-c", "mkdir -p /etc/containers/registries.conf.d /tmp/work")
    toolbox("sh", "-c", f"printf '%s' '{REGISTRIES_CONF}' > /etc/containers/registries.conf.d/50-test.conf")
    image, layout = f"{HOST}/pod/{client}:1", "/tmp/work"
    docker_config = outputs["accounts"]["ci"]["dockerConfigJson"]
    toolbox("sh", "-c", f"mkdir -p ~/.docker; printf '%s' '{docker_config}' > ~/.docker/config.json")
    commands = {
        "crane": (
            f"cd {layout} && echo hello > f && tar -cf l.tar f && crane append --insecure -f l.tar -t {image}",
            f"crane manifest --insecure {image}",
        ),
        "oras": (
            f"cd {layout} && echo hello > o.txt && oras push --plain-http {image} o.txt",
            f"cd {layout} && rm o.txt && oras pull --plain-http {image} && cat o.txt",
        ),
        "skopeo": (
            f"skopeo copy --authfile ~/.docker/config.json docker://{HOST}/pod/crane:1 docker://{image}",
            f"rm -rf {layout}/s && skopeo copy docker://{image} dir:{layout}/s",
        ),
        "buildah": (
            f"buildah --storage-driver vfs pull -q {HOST}/pod/crane:1 && "
            f"buildah --storage-driver vfs push --authfile ~/.docker/config.json {HOST}/pod/crane:1 docker://{image}",
            f"buildah --storage-driver vfs pull -q {image}",
        ),
    }
    push, pull = commands[client]
    toolbox("sh", "-euc", push)
    toolbox("sh", "-c", "mv ~/.docker/config.json ~/.docker/away.json")
    toolbox("sh", "-euc", pull)
    # another repository and other content, so that something is left to push
    refused = push.replace(" --authfile ~/.docker/config.json", "").replace(image, f"{HOST}/refused/{client}:1")
    refused = toolbox("sh", "-c", refused.replace("echo hello", "echo other"), check=False)
    assert refused.returncode != 0, f"{client} pushed without an account"
    assert re.search(r"(?i)unauthorized|authentication required|denied", refused.stderr + refused.stdout)


def test_buildah_does_not_wait_for_https(toolbox):
    times = []
    for _ in range(3):
        start = time.monotonic()
        toolbox("buildah", "--storage-driver", "vfs", "pull", "-q", "--policy", "always", f"{HOST}/pod/crane:1")
        times.append(time.monotonic() - start)
    print(f"buildah pull with insecure = true: {min(times):.2f} s, kubectl exec included")
    assert min(times) < 10, "where port 443 is not declared it waits for 30 s"


def test_in_the_debug_pod_every_client_pulls_without_a_flag(toolbox, outputs, kubectl, environment):
    command = ["--outputs", "-", "--keep", "--image", "localhost/lab/no-such-image:1", "--image", TOOLBOX]
    done = subprocess.run(
        [sys.executable, "-m", "components.debug_pod", *command],
        input=json.dumps(outputs), env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"registry-debug runs {TOOLBOX}" in done.stdout, "the first image cannot be pulled, the second is there"
    try:
        for pull in (
            f"buildah --storage-driver vfs pull {HOST}/pod/crane:1",
            f"skopeo inspect docker://{HOST}/pod/crane:1",
            f"crane manifest {HOST}/pod/crane:1",
            f"oras manifest fetch {HOST}/pod/oras:1",
            f"curl --fail --silent --show-error http://{HOST}/v2/pod/crane/tags/list",
        ):
            kubectl.execute("default", "registry-debug", "sh", "-lc", pull)
    finally:
        kubectl.run("delete", "pod", "registry-debug", "--now")


def test_a_machine_outside_pushes_by_a_forwarded_port_and_a_pod_pulls_it(
    outputs, toolbox, environment, on_node, tmp_path
):
    with forwarded(environment, NAMESPACE, 80):
        pushes_from_outside(outputs, on_node, tmp_path, "pod/crane:1")
    toolbox("crane", "manifest", "--insecure", f"{HOST}/outside/copy:1")


def test_kubelet_pulls_by_the_same_name(outputs, kubectl, tmp_path):
    demo.configure_node(outputs["clients"]["containerd"])
    reference = demo.push(HOST, outputs["accounts"], tmp_path)
    state, events = run_pod(kubectl, "pull-test", reference)
    assert state == "Succeeded", events
    print(re.search(r"pulled image .*? in \S+", events)[0])


def test_rotation_holds_without_a_restart_and_drops_nothing(stack, outputs, kubectl, url):
    before = life(the_pod(kubectl))
    old = login(outputs, "ci")
    with Client(url, old, timeout=60) as client:
        digest = client.push_blob("rotation/big", b"x" * (64 << 20))
    failures, stop = [], threading.Event()

    def pull():
        while not stop.is_set():
            try:
                with Client(url, timeout=60) as client:
                    if len(client.pull_blob("rotation/big", digest)) != 64 << 20:
                        failures.append("short")
            except Exception as error:  # every failure counts, of whatever kind
                failures.append(repr(error))

    puller = threading.Thread(target=pull)
    puller.start()
    try:
        accounts = [{"name": "ci", "rotation": 2}, CONFIG["accounts"][1], {"name": "new", "repositories": ["new/*"]}]
        stack.configure(**{**CONFIG, "accounts": accounts})
        stack.up()
        start = time.monotonic()
        fresh = stack.outputs()
        new = login(fresh, "ci")
        assert new[1] != old[1]
        assert login(fresh, "team") == login(outputs, "team"), "the others keep theirs"

        def holds():
            try:
                with Client(url, new) as client:
                    return client.login()
            except Refused:
                return None

        until(holds, seconds=PROPAGATION_SECONDS, what="the new password")
        print(f"the new password held {time.monotonic() - start:.0f} s after `pulumi up` had ended")
        with pytest.raises(Refused), Client(url, old) as client:
            client.login()
        with Client(url, login(fresh, "new")) as client:
            client.cancel_upload(client.start_upload("new/app"))
    finally:
        stop.set()
        puller.join()
    assert failures == []
    assert life(the_pod(kubectl)) == before, "no pod and no container was started anew"


def test_a_removed_account_is_refused(stack, url, kubectl):
    before = life(the_pod(kubectl))
    gone = login(stack.outputs(), "new")
    stack.configure(**CONFIG)
    stack.up()

    def refused():
        try:
            with Client(url, gone) as client:
                client.login()
        except Refused:
            return True
        return False

    until(refused, seconds=PROPAGATION_SECONDS, what="the removed account's refusal")
    assert life(the_pod(kubectl)) == before


def test_the_volume_grows_in_place(stack, kubectl):
    def claim():
        return kubectl.get("pvc", "registry-data", "-n", NAMESPACE)

    before, pod = claim(), life(the_pod(kubectl))
    stack.configure(**{**CONFIG, "storage": {"size": "3Gi"}})
    stack.up()
    until(lambda: claim()["status"]["capacity"]["storage"] == "3Gi", seconds=60, what="the grown volume")
    assert claim()["metadata"]["uid"] == before["metadata"]["uid"]
    assert life(the_pod(kubectl)) == pod


def test_a_registrys_own_setting_rolls_the_pod(stack, kubectl):
    before = the_pod(kubectl)["metadata"]["uid"]
    requests = {"cpu": "50m", "memory": "96Mi"}
    stack.configure(**{**CONFIG, "storage": {"size": "3Gi"}, "resources": {"registry": {"requests": requests}}})
    stack.up()

    def rolled():
        pods = kubectl.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=registry")["items"]
        ready = [
            pod
            for pod in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        ]
        return [pod["metadata"]["uid"] for pod in ready] not in ([], [before])

    until(rolled, seconds=120, what="the new pod, once the old one has let go of the volume")


def test_every_mistake_is_told_at_once_and_nothing_is_touched(stack, kubectl):
    before = kubectl.get("all,cm,secret,pvc", "-n", NAMESPACE)
    stack.configure(
        **{
            **CONFIG,
            "anonymus": "none",
            "namespace": "Other",
            "storage": {"size": "3"},
            "replicas": "two",
            "accounts": "ci",
        }
    )
    done = stack.up(check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "5 problems in the registry's settings" in said
    for line in (
        "did you mean anonymous?",
        'registry:namespace: given "Other"',
        'registry:storage.size: given "3"',
        'registry:replicas: given "two"',
        "registry:accounts: given a text",
    ):
        assert line in said, said
    assert "Traceback" not in said, "a mistake of the user's is no failure of the program"
    after = kubectl.get("all,cm,secret,pvc", "-n", NAMESPACE)
    assert [i["metadata"]["uid"] for i in after["items"]] == [i["metadata"]["uid"] for i in before["items"]]


def test_a_second_stack_lives_beside_it(new_stack, stack, url):
    second = new_stack("cluster-test-2")
    second.configure(namespace="cluster-test-2", storage={"size": "1Gi"})
    second.up()
    other = second.outputs()
    assert other["host"] == "registry.cluster-test-2.svc.cluster.local"
    with Client(f"http://{other['clusterIp']}", login(other, "push")) as client:
        client.push_image("only/here", "1", b"layer")
    with pytest.raises(Refused), Client(url) as client:
        client.pull_manifest("only/here", "1")


def test_without_anonymous_pull_only_credentials_pull(stack, kubectl, url, tmp_path):
    stack.configure(**{**CONFIG, "storage": {"size": "3Gi"}, "anonymous": "none"})
    stack.up()
    outputs = stack.outputs()

    def closed():
        try:
            with Client(url) as client:
                client.request("GET", "/v2/_catalog")
        except Refused as refused:
            return refused.status == 401
        return False

    until(closed, seconds=PROPAGATION_SECONDS, what="closed reads")
    reference = f"{HOST}/demo/hello:1"
    demo.configure_node(outputs["clients"]["containerd"])
    kubectl.run("delete", "secret", "pull", "--ignore-not-found")
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "pull", "namespace": "default"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": outputs["accounts"]["ci"]["dockerConfigJson"]},
        }
    )
    try:
        state, events = run_pod(kubectl, "closed-without", reference)
        assert state in ("ErrImagePull", "ImagePullBackOff"), events
        assert re.search(r"(?i)unauthorized|authorization failed|401", events), events
        state, events = run_pod(kubectl, "closed-with", reference, pull_secret="pull")
        assert state == "Succeeded", events
    finally:
        kubectl.run("delete", "secret", "pull", "--ignore-not-found")


def test_destroy_refuses_while_the_volume_is_kept_and_says_how_to_remove_it(stack, kubectl):
    done = stack.pulumi("destroy", "--yes", "--skip-preview", "--stack", stack.name, check=False)
    assert done.returncode != 0
    assert "protect" in done.stdout + done.stderr
    assert "pulumi state unprotect" in done.stdout + done.stderr
    assert kubectl.get("pvc", "registry-data", "-n", NAMESPACE)["status"]["phase"] == "Bound"


def test_destroy_keeps_the_images_and_up_serves_them_again(stack, kubectl):
    claim = kubectl.get("pvc", "registry-data", "-n", NAMESPACE)["metadata"]["uid"]
    stack.pulumi("destroy", "--yes", "--skip-preview", "--exclude-protected", "--stack", stack.name)
    assert kubectl.get("deployments,services", "-n", NAMESPACE)["items"] == []
    stack.configure(**{**CONFIG, "storage": {"size": "3Gi"}})
    stack.up()
    assert kubectl.get("pvc", "registry-data", "-n", NAMESPACE)["metadata"]["uid"] == claim
    with Client(f"http://{stack.outputs()['clusterIp']}") as client:
        assert client.pull_manifest("demo/hello", "1"), "the image that was pushed before"


def test_without_retain_destroy_removes_everything(stack, kubectl):
    stack.configure(**{**CONFIG, "storage": {"size": "3Gi", "retain": False}})
    stack.up()
    stack.pulumi("destroy", "--yes", "--skip-preview", "--stack", stack.name)
    gone = kubectl.run("get", "namespace", NAMESPACE, check=False)
    assert "NotFound" in gone.stderr
