"""The end of `make up`: a small image goes to the deployed registry, and the node pulls it for a pod."""

import datetime as dt
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lab import images, network, node, paths, programs, report, workspace
from lab.api import Api
from lab.errors import Missing

POD = "lab-demo"
CERTS = "/etc/containerd/certs.d/"


def main() -> int:
    if not network.exists():
        raise Missing("the cluster is down", "python -m lab up")
    given = outputs()
    host = given["host"]
    configure_node(given["clients"]["containerd"])
    with tempfile.TemporaryDirectory(dir=paths.state("run")) as folder:
        reference = push(host, given["accounts"], Path(folder))
    said, pulled = pull(reference)
    report.table("", ["", ""], [["pushed", reference], ["pulled by the node in", pulled], ["the pod says", said]])
    return 0


def outputs() -> dict:
    """The outputs of the selected stack."""
    environment = workspace.environment()
    ended = subprocess.run(
        [paths.STATE / "bin" / "pulumi", "stack", "output", "--json", "--show-secrets"],
        cwd=paths.ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise Missing(
            "no stack outputs: " + (ended.stderr.strip().splitlines() or ["?"])[-1],
            "deploy one: python -m lab run -- pulumi up",
        )
    given = json.loads(ended.stdout)
    for key in ("host", "clients", "accounts"):
        if key not in given:
            raise Missing(f"the stack has no output '{key}'", "deploy it: python -m lab run -- pulumi up")
    return given


def configure_node(files: dict[str, str]) -> None:
    """Install the containerd files on the node. The node's /etc is its own: the machine's stays as it is."""
    for name, content in files.items():
        if not name.startswith(CERTS) or ".." in name:
            continue
        network.run(*network.inside("sh", "-euc", 'mkdir -p "${1%/*}"; cat >"$1"', "sh", name), text=content)


def push(host: str, accounts: dict, folder: Path) -> str:
    """Push the sample image with the first account that may write it. The password is in a file for its owner alone."""
    reference, errors = f"{host}/demo/hello:1", []
    archive = folder / "hello.tar"
    images.assemble(images.HELLO, archive)
    for name, account in sorted(accounts.items()):
        login = folder / "auth.json"
        wanted = account["dockerConfigJson"]
        paths.write(login, wanted if isinstance(wanted, str) else json.dumps(wanted), 0o600)
        command = [
            str(programs.path("skopeo")),
            "--insecure-policy",
            "copy",
            "--quiet",
            "--authfile",
            str(login),
            "--dest-tls-verify=false",
            f"docker-archive:{archive}",
            f"docker://{reference}",
        ]
        ended = subprocess.run(node.command(command), capture_output=True, text=True)
        if ended.returncode == 0:
            return reference
        errors.append(f"{name}: {ended.stderr.strip().splitlines()[-1] if ended.stderr.strip() else 'failed'}")
    raise Missing("no account could push " + reference, "; ".join(errors))


def pull(reference: str) -> tuple[str, str]:
    """Run a pod from the image; returns what it printed, and how long the node took to pull."""
    api = Api()
    api.delete("Pod", POD, "default", grace=0)
    _wait(lambda: api.get("Pod", POD, "default") is None, "the former pod to go", 30)
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": "default"},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "hello", "image": reference, "imagePullPolicy": "Always"}],
            },
        }
    )
    try:

        def state() -> str:
            return (api.get("Pod", POD, "default") or {}).get("status", {}).get("phase", "")

        def events() -> list[str]:
            found = api.get("Event", namespace="default", fieldSelector=f"involvedObject.name={POD}")["items"]
            return [
                each["message"]
                for each in found
                if dt.datetime.fromisoformat(
                    (each.get("lastTimestamp") or each["metadata"]["creationTimestamp"]).replace("Z", "+00:00")
                )
                >= began.replace(microsecond=0)
            ]

        _wait(
            lambda: state() in ("Succeeded", "Failed"),
            "the pod to end",
            60,
            lambda: next((each for each in events() if each.startswith(("Failed", "Error"))), ""),
        )
        said = api.text("Pod", POD, "default", "log").strip()
        if state() != "Succeeded":
            raise Missing("the pod failed", said[-300:])
        times: list[str] = []
        _wait(
            lambda: bool(
                times.extend(match[1] for each in events() if (match := re.search(r"pulled image .*? in (\S+)", each)))
                or times
            ),
            "the pull event",
            10,
        )
        return said, times[-1]
    finally:
        api.delete("Pod", POD, "default", grace=0)


def _wait(done: Callable[[], bool], what: str, limit: float, detail: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + limit
    while not done():
        if time.monotonic() > end:
            raise Missing(f"waited {limit:.0f} s for {what}", detail() or "see `python -m lab status`")
        time.sleep(0.1)
