"""`python -m components.debug_pod`: a shell in the cluster, in a pod whose clients know the registry already.

The pod has curl, crictl, podman, buildah and skopeo, with the files of the ConfigMap that the stack made. It lives in a
namespace of its own choice, so the ConfigMap is copied there. Exit status: 0 all well, 2 no pod or no stack.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from . import names
from . import outputs as stack
from .render.clients import CLIENTS, config_map_key
from .render.endpoint import Endpoint

IMAGE = "docker.io/library/alpine:latest"
# fuse-overlayfs: else podman and buildah fail with "'overlay' is not supported over overlayfs"
PACKAGES = "curl mount cri-tools podman buildah skopeo fuse-overlayfs vim"
CONFIGURED = ("podman", "crane", "oras", "helm")
WAIT_SECONDS = 120


class NoPod(Exception):
    """It could not be started; the text says what to do."""


def manifest(endpoint: Endpoint, config_map: str, namespace: str, image: str) -> dict[str, Any]:
    """The pod. Every file of the ConfigMap that concerns a client in it is where that client looks."""
    mounts = {path: config_map_key(name, path) for name in CONFIGURED for path in CLIENTS[name].files(endpoint)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": names.DEBUG_POD,
            "namespace": namespace,
            "labels": {names.PART_OF_LABEL: names.APPLICATION},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "shell",
                    "image": image,
                    "command": ["sleep", "86400"],
                    "securityContext": {"privileged": True},  # buildah and podman mount
                    # single files, so that what the image has beside them stays
                    "volumeMounts": [
                        {"name": "clients", "mountPath": path, "subPath": key, "readOnly": True}
                        for path, key in mounts.items()
                    ],
                }
            ],
            "volumes": [{"name": "clients", "configMap": {"name": config_map}}],
        },
    }


class Kubectl:
    def __init__(self, context: str | None) -> None:
        self._command = ["kubectl", *(["--context", context] if context else [])]

    def run(self, *arguments: str, text: str | None = None) -> str:
        """What it printed. Raises NoPod with what it complains of."""
        try:
            done = subprocess.run([*self._command, *arguments], input=text, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise NoPod("no kubectl on PATH: install it") from None
        if done.returncode:
            raise NoPod(f"kubectl {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        return json.loads(self.run("get", "-o", "json", *arguments))

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self.run("apply", "-f", "-", text=json.dumps(manifest))

    def interactive(self, *arguments: str) -> int:
        return subprocess.run([*self._command, *arguments], check=False).returncode


def start(kubectl: Kubectl, outputs: Mapping[str, Any], namespace: str, images: list[str]) -> str:
    """A running pod, of the first image that can be pulled: which one it was. Raises NoPod."""
    config_map = names.CLIENTS_CONFIG_MAP.format(service=outputs["service"])
    data = kubectl.get("configmap", config_map, "--namespace", outputs["namespace"])["data"]
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": config_map, "namespace": namespace},
            "data": data,
        }
    )
    for image in images:
        stop(kubectl, namespace)
        kubectl.apply(manifest(Endpoint.of(outputs["endpoint"]), config_map, namespace, image))
        if _runs(kubectl, namespace):
            return image
    raise NoPod(f"none of these images could be pulled: {', '.join(images)}; give another one with --image")


def _runs(kubectl: Kubectl, namespace: str) -> bool:
    """Waits until the pod runs, or its image cannot be pulled."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        status = kubectl.get("pod", names.DEBUG_POD, "--namespace", namespace)["status"]
        if status.get("phase") == "Running":
            return True
        [waiting] = [each["state"].get("waiting", {}) for each in status.get("containerStatuses", [])] or [{}]
        if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff"):
            return False
        if time.monotonic() > end:
            raise NoPod(
                f"the pod does not run after {WAIT_SECONDS} s: kubectl -n {namespace} describe pod {names.DEBUG_POD}"
            )
        time.sleep(0.5)


def stop(kubectl: Kubectl, namespace: str) -> None:
    kubectl.run("delete", "pod", names.DEBUG_POD, "--namespace", namespace, "--ignore-not-found", "--now", "--wait")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m components.debug_pod", description=__doc__.split("\n")[0], parents=[stack.arguments()]
    )
    parser.add_argument("--context", help="of the kubeconfig")
    parser.add_argument("--namespace", default="default", help="where privileged pods may run; default: %(default)s")
    parser.add_argument(
        "--image", action="append", help=f"tried in this order, where there are several; default: {IMAGE}"
    )
    parser.add_argument("--keep", action="store_true", help="start it, print how to use it, and leave it running")
    options = parser.parse_args()
    kubectl = Kubectl(options.context)
    shell = ["exec", "--namespace", options.namespace, names.DEBUG_POD]
    try:
        outputs = stack.outputs(options, "endpoint", "service", "namespace", "url")
        image = start(kubectl, outputs, options.namespace, options.image or [IMAGE])
        print(f"{names.DEBUG_POD} runs {image}; the registry is {outputs['url']}")
        install = f"if command -v apk >/dev/null; then apk add --no-cache {PACKAGES}; fi"
        if kubectl.interactive(*shell, "--", "sh", "-c", install):
            print("its packages could not be installed: is there a way to a mirror?", file=sys.stderr)
        if options.keep or not sys.stdin.isatty():
            print(f"kubectl {' '.join(shell)} -it -- sh -l")
            return 0
        kubectl.interactive(*shell, "--stdin", "--tty", "--", "sh", "-l")
        stop(kubectl, options.namespace)
    except (NoPod, stack.NoStack, KeyError, OSError, ValueError) as error:
        print(f"debug pod: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
