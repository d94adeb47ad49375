"""The default StorageClass: a folder for each claim, as a `local` PersistentVolume.

kubelet gives a `local` volume the group of the pod's fsGroup (a hostPath one it does not), so a pod that is not
root can write. Three things happen here: a claim that the scheduler has placed gets a volume; a claim that asks
for more gets it; a volume that was released is removed with its folder. `python -m lab.storage` runs it.
"""

import os
import re
import shutil
import threading
import time
import traceback
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from lab import facts, paths
from lab.api import Api

SELECTED = "volume.kubernetes.io/selected-node"
PROVISIONED = "pv.kubernetes.io/provisioned-by"
SUFFIXES = {
    "": 1,
    "m": Decimal("0.001"),
    **{s: 1000 ** (n + 1) for n, s in enumerate("kMGTPE")},
    **{s + "i": 1024 ** (n + 1) for n, s in enumerate("KMGTPE")},
}


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number: 1Gi is 1073741824."""
    match = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", quantity)
    if not match or match[2] not in SUFFIXES:
        raise ValueError(f"no quantity: {quantity}")
    return Decimal(match[1]) * SUFFIXES[match[2]]


def volume_for(claim: dict, node: str, policy: str) -> dict:
    """The PersistentVolume that a claim gets."""
    meta, spec = claim["metadata"], claim["spec"]
    folder = f"{meta['namespace']}-{meta['name']}-{meta['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pvc-{meta['uid']}", "annotations": {PROVISIONED: facts.PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": policy,
            "local": {"path": str(paths.STATE / "volumes" / folder)},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
                    ]
                }
            },
        },
    }


def serve_claim(api: Api, claim: dict) -> None:
    """Give a claim its volume, or more of it."""
    meta, spec, status = claim["metadata"], claim["spec"], claim.get("status", {})
    if meta.get("deletionTimestamp"):
        return
    sort = api.get("StorageClass", spec["storageClassName"]) if spec.get("storageClassName") else None
    if not sort or sort["provisioner"] != facts.PROVISIONER:
        return
    if not spec.get("volumeName"):
        node = meta.get("annotations", {}).get(SELECTED)
        if sort["volumeBindingMode"] == "Immediate":
            node = facts.lab().name
        if (
            node
            and spec.get("volumeMode", "Filesystem") == "Filesystem"
            and not api.get("PersistentVolume", f"pvc-{meta['uid']}")
        ):
            volume = volume_for(claim, node, sort["reclaimPolicy"])
            folder = Path(volume["spec"]["local"]["path"])
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)  # as provisioners of folders do; fsGroup narrows it
            api.apply(volume)
            print(f"made {volume['metadata']['name']} for {meta['namespace']}/{meta['name']}", flush=True)
        return
    wanted, has = spec["resources"]["requests"]["storage"], status.get("capacity", {}).get("storage")
    if has and amount(wanted) > amount(has):
        volume = api.get("PersistentVolume", spec["volumeName"])
        if volume and amount(volume["spec"]["capacity"]["storage"]) < amount(wanted):
            api.patch("PersistentVolume", spec["volumeName"], {"spec": {"capacity": {"storage": wanted}}})
        api.patch(
            "PersistentVolumeClaim",
            meta["name"],
            {
                "status": {
                    "capacity": {"storage": wanted},
                    "conditions": None,
                    "allocatedResourceStatuses": None,
                    "allocatedResources": None,
                }
            },
            meta["namespace"],
            "status",
        )
        print(f"grew {spec['volumeName']} from {has} to {wanted}", flush=True)


def serve_volume(api: Api, volume: dict) -> None:
    """Remove a volume that its claim has let go, when its policy says so."""
    meta, spec = volume["metadata"], volume["spec"]
    if (
        meta.get("annotations", {}).get(PROVISIONED) != facts.PROVISIONER
        or spec["persistentVolumeReclaimPolicy"] != "Delete"
    ):
        return
    if volume.get("status", {}).get("phase") not in ("Released", "Failed"):
        return
    folder = Path(spec["local"]["path"])
    if folder.parent == paths.STATE / "volumes":
        shutil.rmtree(folder, ignore_errors=True)
    api.delete("PersistentVolume", meta["name"])
    print(f"removed {meta['name']} and {folder}", flush=True)


def forever(kind: str, serve: Callable[[Api, dict], None]) -> None:
    while True:
        try:
            watching, acting = Api(), Api()
            for each in watching.changes(kind):
                for _attempt in range(3):  # something else may have changed it in the meantime
                    try:
                        serve(acting, each)
                        break
                    except Exception as error:
                        print(f"{kind} {each['metadata']['name']}: {error}", flush=True)
                        time.sleep(0.5)
        except Exception as error:  # the server is not up yet, or went away
            print(f"{kind}: {type(error).__name__} {error}", flush=True)
            if os.environ.get("LAB_DEBUG"):
                traceback.print_exc()
            time.sleep(0.5)


def main() -> None:
    threading.Thread(target=forever, args=("PersistentVolume", serve_volume), daemon=True).start()
    forever("PersistentVolumeClaim", serve_claim)


if __name__ == "__main__":
    main()
