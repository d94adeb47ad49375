"""kubectl, stacks and pods of the tests on the cluster."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lab import node, programs, workspace

ROOT = Path(__file__).parents[2]
Value = TypeVar("Value")


def until(get: Callable[[], Value], *, seconds: float, what: str) -> Value:
    """What `get` gives as soon as it is something. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = get()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.25)


class Kubectl:
    """kubectl on the lab's cluster."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def run(self, *arguments: str, text: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(programs.path("kubectl")), *arguments],
            env=self._environment, input=text, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done

    def get(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self.run("get", "-o", "json", *arguments).stdout)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.run("apply", "-f", "-", text=json.dumps(manifest))

    def execute(self, namespace: str, pod: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "-n", namespace, pod, "--", *command, check=check)


def registry_pod(kubectl: Kubectl, namespace: str) -> dict[str, Any]:
    """The registry's one pod, an ending one aside."""
    pods = kubectl.get("pods", "-n", namespace, "-l", "app.kubernetes.io/name=registry")["items"]
    [pod] = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return pod


def life(pod: dict[str, Any]) -> tuple[str, list[tuple]]:
    """What changes when a pod or one of its containers is started anew."""
    return pod["metadata"]["uid"], sorted(
        (c["name"], c.get("containerID"), c["restartCount"]) for c in pod["status"]["containerStatuses"]
    )


def run_pod(kubectl, name, image, *, namespace="default", pull_secret=None):
    """Runs a pod that has its image pulled by kubelet; gives its state and its events."""
    kubectl.run("delete", "pod", name, "-n", namespace, "--ignore-not-found", "--now", "--wait")
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "imagePullSecrets": [{"name": pull_secret}] if pull_secret else [],
                "containers": [{"name": "main", "image": image, "imagePullPolicy": "Always"}],
            },
        }
    )

    def settled():
        pod = kubectl.get("pod", name, "-n", namespace)
        status = pod["status"].get("containerStatuses", [{"state": {}}])[0]["state"]
        reason = status.get("waiting", {}).get("reason", "")
        if pod["status"]["phase"] in ("Succeeded", "Failed"):
            return pod["status"]["phase"]
        return reason if reason in ("ErrImagePull", "ImagePullBackOff") else None

    state = until(settled, seconds=60, what=f"the pod {name}")
    events = kubectl.get("events", "-n", namespace, "--field-selector", f"involvedObject.name={name}")["items"]
    kubectl.run("delete", "pod", name, "-n", namespace, "--now")
    return state, " ".join(event.get("message", "") for event in events)


def installed(outputs: Mapping[str, Any], client: str, root: Path, *arguments: str) -> None:
    """A client's files below `root`, written by the command that users have."""
    done = subprocess.run(
        [sys.executable, "-m", "components.clients", "install", client, "--outputs", "-", "--root", str(root),
         "--home", "/root", *arguments],
        input=json.dumps(outputs), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def forwarded(environment: Mapping[str, str], namespace: str, port: int) -> Iterator[None]:
    """Port 5000 of the node's loopback leads to the Service's `port`, as it would on anybody's machine.

    kubectl ends when the pod resets one connection of many (kubernetes/kubernetes#111825), and is then started anew.
    """
    kubectl = [str(programs.path("kubectl")), "--namespace", namespace, "port-forward", "service/registry"]
    process = subprocess.Popen(
        node.command(["sh", "-c", 'while :; do "$@"; sleep 0.1; done', "forward", *kubectl, f"5000:{port}"]),
        env=dict(environment), stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert "Forwarding from" in process.stdout.readline()
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def through_forwarded(on_node: Callable[..., Any], *command: str, etc: Path) -> subprocess.CompletedProcess[str]:
    """How a command ended that goes through `forwarded`; it is run again where it met kubectl starting anew."""

    def ended():
        done = on_node(*command, etc=etc, check=False)
        return None if re.search("connection re(set|fused)|EOF", done.stderr) else done

    return until(ended, seconds=60, what=f"a forwarded port for {command}")


def pushes_from_outside(outputs: Mapping[str, Any], on_node: Callable[..., Any], folder: Path, source: str) -> None:
    """skopeo copies `source`, a repository and tag, under the name that a forwarded port gives the registry."""
    installed(outputs, "skopeo", folder, "--place", "outside", "--with-credentials", "ci")
    (folder / "etc/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    home = ["env", f"HOME={folder / 'root'}", "XDG_RUNTIME_DIR=/nowhere"]
    target = "docker://localhost:5000/outside/copy:1"
    for arguments in (["copy", f"docker://localhost:5000/{source}", target], ["inspect", target]):
        done = through_forwarded(on_node, *home, "skopeo", *arguments, etc=folder / "etc")
        assert done.returncode == 0, done.stderr


class Stack:
    """A stack of the committed program, in a folder of its own, so that no committed file is written to."""

    def __init__(self, folder: Path, name: str, environment: Mapping[str, str]) -> None:
        self.name, self.folder, self.environment = name, folder, dict(environment)
        (folder / "Pulumi.yaml").write_text(workspace.project((ROOT / "Pulumi.yaml").read_text(), ROOT))
        self._file = folder / f"Pulumi.{name}.yaml"
        self.pulumi("stack", "init", name)

    def configure(self, **values: Any) -> None:
        """The whole configuration, in a stack file's shape below `registry:`."""
        held = yaml.safe_load(self._file.read_text())
        held["config"] = {f"registry:{key}": value for key, value in values.items()}
        self._file.write_text(yaml.safe_dump(held))

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(programs.path("pulumi")), "--cwd", str(self.folder), "--non-interactive", "--color=never", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"pulumi {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", self.name, check=check)

    def outputs(self) -> dict[str, Any]:
        shown = self.pulumi("stack", "output", "--json", "--show-secrets", "--stack", self.name)
        return json.loads(shown.stdout)

    def remove(self) -> None:
        """All of it, the protected too: only for what a test has made."""
        self.pulumi("state", "unprotect", "--all", "--yes", "--stack", self.name, check=False)
        self.pulumi("destroy", "--yes", "--skip-preview", "--stack", self.name)
        self.pulumi("stack", "rm", "--yes", "--stack", self.name)
