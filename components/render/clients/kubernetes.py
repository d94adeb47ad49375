"""Kubernetes itself: how pods pull with an account, and how tools find the registry. All is for `kubectl`."""

from ..endpoint import Endpoint
from .auths import auths
from .client import Client, Files, Login, Place
from .readable import dumped

SERVICE_ACCOUNT = "registry-service-account.yaml"
HOSTING = "registry-hosting.yaml"
CREDENTIALS = "registry-credentials.yaml"
FORWARDING = "https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/"


def object_name(endpoint: Endpoint) -> str:
    """What the objects are called that are about this registry: its name, which no other registry has."""
    return endpoint.host.replace(":", "-").lower()


def files(endpoint: Endpoint, place: Place, format_: str) -> Files:
    """A patch of a ServiceAccount, and with plain HTTP KEP-1755's ConfigMap, which is for insecure registries only."""
    account = {"imagePullSecrets": [{"name": object_name(endpoint)}]}
    return {SERVICE_ACCOUNT: dumped(account), **({} if endpoint.https else {HOSTING: _hosting(endpoint)})}


def _hosting(endpoint: Endpoint) -> str:
    """KEP-1755's LocalRegistryHosting v1: where tools outside push, where pods do, and what images are called."""
    forwarded = {"help": FORWARDING} if endpoint.internal else {}
    hosting = {
        "host": endpoint.outside().host,
        "hostFromClusterNetwork": endpoint.host,
        "hostFromContainerRuntime": endpoint.host,
        **forwarded,
    }
    return dumped(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-registry-hosting", "namespace": "kube-public"},
            "data": {"localRegistryHosting.v1": dumped(hosting)},
        }
    )


def login(endpoint: Endpoint, account: Login) -> Files:
    """The Secret, in whose key kubelet looks the image's name up (Kubernetes pkg/credentialprovider/keyring.go)."""
    return {
        CREDENTIALS: dumped(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": object_name(endpoint)},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": auths(endpoint.host, account)},
            }
        )
    }


CLIENTS = (
    Client(
        name="kubernetes",
        title="Kubernetes: imagePullSecrets, and where tools find the registry",
        render=files,
        places=(Place.NODE,),
        login=login,
        # the ServiceAccount's list has no merge key (Kubernetes core/v1, ServiceAccount.imagePullSecrets)
        finish=(
            f"kubectl apply -f {CREDENTIALS} -n NAMESPACE, kubectl patch serviceaccount default -n NAMESPACE "
            f"--patch-file {SERVICE_ACCOUNT}, which replaces the list that is there; kubectl apply -f {HOSTING}, if any"
        ),
    ),
)
