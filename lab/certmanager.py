"""cert-manager on the lab's cluster, for tests: its own controllers, for Issuers of type selfSigned and ca."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lab import build, cluster, paths, process, programs, report
from lab.errors import Missing

NAME = "cert-manager"  # of the program, and of the namespace in which ClusterIssuers have their Secrets
MODULE = "github.com/cert-manager/cert-manager"
READY_SECONDS = 60


@contextmanager
def running() -> Iterator[None]:
    """The definitions are there and the controllers run; afterwards neither, and none of its objects.

    The Secrets of Certificates stay, as they do without cert-manager's owner references. A second one waits
    until the first has ended.
    """
    program, definitions = programs.path(NAME), str(_definitions())
    with _alone():
        _remove(definitions)  # of tests that were killed
        try:
            _kubectl("apply", "--server-side", "--force-conflicts", "-f", definitions)
            _kubectl("wait", "--for=condition=Established", f"--timeout={READY_SECONDS}s", "-f", definitions)
            _kubectl("create", "namespace", NAME)
            process.start(NAME, [str(program), "--kubeconfig", str(paths.STATE / "kubeconfig")])
            _wait_for_an_issuer()
            yield
        finally:
            _remove(definitions)


def renew(namespace: str, name: str) -> None:
    """Have a Certificate issued anew, as `cmctl renew` does: by the condition Issuing. Does not wait for it."""
    cluster.until_done(lambda: _renew(namespace, name), limit=5)  # the controllers write to it too


def _renew(namespace: str, name: str) -> None:
    held = json.loads(_kubectl("get", "certificate", "-n", namespace, name, "-o", "json"))
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "asked for by a test",
        "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "observedGeneration": held["metadata"]["generation"],
    }
    others = [each for each in held.get("status", {}).get("conditions", []) if each["type"] != "Issuing"]
    change = {
        "metadata": {"resourceVersion": held["metadata"]["resourceVersion"]},
        "status": {"conditions": [*others, condition]},
    }
    _kubectl(
        "patch", "certificate", "-n", namespace, name, "--subresource=status", "--type=merge", "-p", json.dumps(change)
    )


def _wait_for_an_issuer() -> None:
    """The controllers work when one of them says of an Issuer that it is ready."""
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "probe", "namespace": NAME},
        "spec": {"selfSigned": {}},
    }
    said = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    _kubectl("apply", "-f", "-", text=json.dumps(issuer))
    cluster.wait_for(
        "cert-manager",
        lambda: _kubectl("get", "issuer", "-n", NAME, "probe", "-o", said) == "True",
        NAME,
        READY_SECONDS,
    )
    _kubectl("delete", "issuer", "-n", NAME, "probe")


def _remove(definitions: str) -> None:
    """End the controllers, and delete definitions and namespace; returns when all of them are gone."""
    if found := process.known(NAME):
        process.stop([found], 10)
    _kubectl("delete", "--ignore-not-found", "-f", definitions)
    _kubectl("delete", "--ignore-not-found", "namespace", NAME)


@contextmanager
def _alone() -> Iterator[None]:
    with open(paths.state() / f".{NAME}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.say("  … waiting for other tests that use cert-manager")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _definitions() -> Path:
    """The custom resource definitions, out of the module that the program is built from."""
    source = programs.TABLE[NAME].source
    told = subprocess.run(
        [build.find_go(), "mod", "download", "-json", f"{MODULE}@v{source.version}"],
        cwd=source.folder,
        env={**os.environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        raise Missing("cert-manager's definitions cannot be had", told.stderr.strip() or told.stdout.strip())
    return Path(json.loads(told.stdout)["Dir"], "deploy", "crds")


def _kubectl(*arguments: str, text: str | None = None) -> str:
    command = [programs.path("kubectl"), "--kubeconfig", paths.STATE / "kubeconfig", *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"kubectl {arguments[0]}: {done.stderr.strip()}", "see `python -m lab status`")
    return done.stdout
