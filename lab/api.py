"""A small client for the Kubernetes API, enough for the lab: get, apply, patch, watch."""

import json
import ssl
from collections.abc import Iterator

import httpx

from lab import facts, paths

KINDS = {  # kind -> (prefix, plural)
    "Namespace": ("/api/v1", "namespaces"),
    "Node": ("/api/v1", "nodes"),
    "Pod": ("/api/v1", "pods"),
    "Event": ("/api/v1", "events"),
    "Service": ("/api/v1", "services"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
}


class Api:
    def __init__(self, timeout: float = 10) -> None:
        pki = paths.STATE / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(str(pki / "admin.crt"), str(pki / "admin.key"))
        self._http = httpx.Client(base_url=facts.lab().url, verify=context, timeout=timeout, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def path(self, kind: str, name: str = "", namespace: str = "", part: str = "") -> str:
        prefix, plural = KINDS[kind]
        return "/".join(filter(None, (prefix, f"namespaces/{namespace}" if namespace else "", plural, name, part)))

    def get(self, kind: str, name: str = "", namespace: str = "", **query: str) -> dict | None:
        """One object, or with no name the list; None when it is not there."""
        answer = self._http.get(self.path(kind, name, namespace), params=query)
        return None if answer.status_code == 404 else _read(answer)

    def text(self, kind: str, name: str, namespace: str, part: str) -> str:
        answer = self._http.get(self.path(kind, name, namespace, part))
        answer.raise_for_status()
        return answer.text

    def kubelet_pods(self, node: str) -> list[dict]:
        """The pods that the node's kubelet knows of."""
        return _read(self._http.get(self.path("Node", node, part="proxy/pods"))).get("items") or []

    def apply(self, manifest: dict) -> dict:
        meta = manifest["metadata"]
        return _read(
            self._http.patch(
                self.path(manifest["kind"], meta["name"], meta.get("namespace", "")),
                params={"fieldManager": "lab", "force": "true"},
                content=json.dumps(manifest),
                headers={"Content-Type": "application/apply-patch+yaml"},
            )
        )

    def patch(self, kind: str, name: str, change: dict, namespace: str = "", part: str = "") -> dict:
        return _read(
            self._http.patch(
                self.path(kind, name, namespace, part),
                content=json.dumps(change),
                headers={"Content-Type": "application/merge-patch+json"},
            )
        )

    def delete(self, kind: str, name: str, namespace: str = "", grace: int | None = None) -> None:
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        answer = self._http.delete(self.path(kind, name, namespace), params=query)
        if answer.status_code != 404:
            _read(answer)

    def changes(self, kind: str, seconds: int = 240) -> Iterator[dict]:
        """The objects of a kind, and then each one that is added or modified, until the server ends the watch."""
        listed = self.get(kind)
        yield from listed["items"]
        query = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": str(seconds)}
        with self._http.stream(
            "GET", self.path(kind), params=query, timeout=httpx.Timeout(10, read=seconds + 10)
        ) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] in ("ADDED", "MODIFIED"):
                    yield event["object"]


def _read(answer: httpx.Response) -> dict:
    if answer.is_error:
        try:
            message = answer.json()["message"]
        except (ValueError, KeyError):
            message = answer.text
        raise httpx.HTTPStatusError(message, request=answer.request, response=answer)
    return answer.json()
