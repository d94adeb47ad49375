"""kaniko, which takes all by its command line and by mounts: the piece of a Pod, and the ConfigMap it mounts."""

from ..endpoint import Endpoint
from . import kubernetes
from .client import Client, Files, Place
from .readable import dumped

POD = "kaniko.yaml"
CA = "kaniko-ca.yaml"
CERTIFICATES = "/kaniko/registry-ca"
PIECE = "# A piece of a Pod: these args, mounts and volumes go to those of the Pod that builds.\n"


def files(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """`--insecure-registry` is for pulls and pushes, `--registry-certificate` too (kaniko's README, cmd/executor/cmd).

    The Secret is the one of the client `kubernetes`; a Pod without it only pulls.
    """
    name = kubernetes.object_name(endpoint)
    secret = {"secretName": name, "optional": True, "items": [{"key": ".dockerconfigjson", "path": "config.json"}]}
    container: dict[str, list[object]] = {
        "args": [],
        "volumeMounts": [{"name": "registry-login", "mountPath": "/kaniko/.docker", "readOnly": True}],
    }
    volumes: list[object] = [{"name": "registry-login", "secret": secret}]
    found = {}
    if not endpoint.https:
        container["args"].append(f"--insecure-registry={endpoint.host}")
    elif endpoint.ca:
        container["args"].append(f"--registry-certificate={endpoint.host}={CERTIFICATES}/ca.crt")
        container["volumeMounts"].append({"name": "registry-ca", "mountPath": CERTIFICATES, "readOnly": True})
        volumes.append({"name": "registry-ca", "configMap": {"name": name}})
        found[CA] = dumped(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": endpoint.ca}}
        )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"containers": [{"name": "kaniko", **container}], "volumes": volumes},
    }
    return {POD: PIECE + dumped(pod), **found}


CLIENTS = (
    Client(
        name="kaniko",
        title="kaniko",
        render=files,
        places=(Place.POD,),
        login=kubernetes.login,
        finish=f"kubectl apply -f {kubernetes.CREDENTIALS} and, with a CA, -f {CA} in the namespace of the build",
    ),
)
