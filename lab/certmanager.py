"""cert-manager on the lab's cluster, for tests: its own controllers, for Issuers of type selfSigned and ca."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lab import paths, programs
from lab.build import SOURCES
from lab.errors import Missing

MODULE = "github.com/cert-manager/cert-manager"
READY_SECONDS = 60


@contextmanager
def running() -> Iterator[None]:
    """The definitions are there and the controllers run; afterwards neither, and none of its objects."""
    definitions = sorted(str(file) for file in _definitions().glob("*.yaml"))
    for file in definitions:
        _kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    _kubectl("wait", "--for=condition=Established", f"--timeout={READY_SECONDS}s", "crd/certificates.cert-manager.io")
    log = paths.STATE / "log" / "cert-manager.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [programs.path("cert-manager"), "--kubeconfig", paths.STATE / "kubeconfig"],
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + READY_SECONDS
        while "certificates-trigger" not in log.read_text():
            if process.poll() is not None or time.monotonic() > end:
                raise Missing("cert-manager did not start", f"see {log}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()
        for file in definitions:
            _kubectl("delete", "--ignore-not-found", "--wait=false", "-f", file)


def renew(namespace: str, name: str) -> None:
    """Have a Certificate issued anew, as `cmctl renew` does: by the condition Issuing."""
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "asked for by a test",
        "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    held = json.loads(_kubectl("get", "certificate", "-n", namespace, name, "-o", "json"))["status"]
    others = [each for each in held.get("conditions", []) if each["type"] != "Issuing"]
    change = json.dumps({"status": {"conditions": [*others, condition]}})
    _kubectl("patch", "certificate", "-n", namespace, name, "--subresource=status", "--type=merge", "-p", change)


def _definitions() -> Path:
    """The custom resource definitions, out of the module that the program is built from."""
    command = ["go", "mod", "download", "-json", f"{MODULE}@v{programs.TABLE['cert-manager'].source.version}"]
    told = subprocess.run(command, cwd=SOURCES / "cert-manager", capture_output=True, text=True, check=False)
    if told.returncode:
        raise Missing("cert-manager's definitions cannot be had", told.stderr.strip() or told.stdout.strip())
    return Path(json.loads(told.stdout)["Dir"], "deploy", "crds")


def _kubectl(*arguments: str) -> str:
    command = [programs.path("kubectl"), "--kubeconfig", paths.STATE / "kubeconfig", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"kubectl {arguments[0]}: {done.stderr.strip()}", "see `python -m lab status`")
    return done.stdout
