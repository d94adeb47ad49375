"""The cluster as a whole: up, status, down, reset."""

import concurrent.futures
import datetime as dt
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from lab import cgroups, checks, configs, facts, images, network, paths, pki, process, programs, report, workspace
from lab.api import Api
from lab.errors import Missing

PATIENCE = 120  # seconds until something that does not become ready is an error


@contextmanager
def alone() -> Iterator[None]:
    """One command at a time changes the cluster."""
    with open(paths.state() / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_up() -> bool:
    """True when it became ready, every process runs and the API answers."""
    if not network.exists() or not (paths.STATE / "run" / "ready").exists():
        return False
    return all(process.alive(part.name) for part in configs.parts()) and Api(timeout=2).ready()


def up(pull_images: bool = False) -> float | None:
    """Start what does not run, and wait until it is ready. Returns the seconds it took; None when all was up."""
    began = time.monotonic()
    with alone():
        if is_up():
            return None
        checks.require()
        programs.build_all(cluster_programs())
        lab = facts.lab()
        paths.write(paths.STATE / "name", lab.name + "\n")
        with report.step("network, certificates, configuration"):
            if not network.exists() and not network.foreign():
                end_everything()
            network.up()
            cgroups.create(lab.cgroup)
            pki.ensure()
            configs.write_all(snapshotter())
            for folder in ("volumes", "run", "log"):
                paths.state(folder)
            network.run(*network.inside("mkdir", "-p", "/etc/containerd/certs.d"))
        start_parts()
        with report.step("API server"):
            api = Api()
            wait_for("the API server", api.ready, "kube-apiserver")
            for manifest in configs.manifests():
                until_done(lambda manifest=manifest: api.apply(manifest))
            if not process.alive("second-kubelet"):  # a stop ended it too, and its pods would be waited for
                api.delete("Node", lab.second_name)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            importing = pool.submit(images.ensure, pull_images)
            with report.step("node"):
                wait_for("the node", lambda: node_ready(api), "kubelet")
            with report.step("name service"):
                name = f"kubernetes.default.svc.{facts.DOMAIN}"
                wait_for("the name service", lambda: resolve(name) == str(lab.apiserver), "coredns")
            importing.result()
        wait_for(
            "the default service account",
            lambda: api.get("ServiceAccount", "default", "default") is not None,
            "kube-controller-manager",
        )
        paths.write(paths.STATE / "run" / "ready", "")
    return time.monotonic() - began


def cluster_programs() -> list[str]:
    in_images = {program for image in images.IMAGES for program in image.programs.values()}
    return [
        name
        for name, program in programs.TABLE.items()
        if program.needed == "cluster" or name in in_images or name == "kubectl"
    ]


def start_parts() -> None:
    doors = cgroups.doors(facts.lab().cgroup)
    enter = "".join(f'echo $$ >"{door}"; ' for door in doors) + 'exec "$@"'
    for part in configs.parts():
        if process.alive(part.name):
            continue
        if part.name == "containerd":
            (paths.STATE / "run" / "containerd.sock").unlink(missing_ok=True)
        if part.name == "kubelet":  # it ends at once where nothing answers it
            wait_for("containerd", runtime_answers, "containerd")
        process.start(part.name, ["sh", "-euc", enter, "sh", *network.inside(*part.command)], part.environment)


def runtime_answers() -> bool:
    return subprocess.run(images.ctr("version"), capture_output=True).returncode == 0


def snapshotter() -> str:
    """overlayfs where it works on the state's file system, else native. What was chosen once stays."""
    chosen = paths.STATE / "snapshotter"
    if not chosen.exists():
        probe = paths.state("probe")
        for folder in ("lower", "upper", "work", "merged"):
            (probe / folder).mkdir(exist_ok=True)
        ended = subprocess.run(
            network.inside(
                "unshare",
                "--mount",
                "mount",
                "-t",
                "overlay",
                "-o",
                f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work",
                "probe",
                f"{probe}/merged",
            ),
            capture_output=True,
        )
        shutil.rmtree(probe, ignore_errors=True)
        paths.write(chosen, "native" if ended.returncode else "overlayfs")
    return chosen.read_text().strip()


def wait_for(what: str, ready: Callable[[], bool], part: str, limit: float = PATIENCE) -> None:
    end = time.monotonic() + limit
    while not ready():
        if not process.alive(part):
            raise Missing(f"{part} ended", f"see {process.log(part)}\n" + _tail(part))
        if time.monotonic() > end:
            raise Missing(f"{what} is not ready after {limit:.0f} s", f"see {process.log(part)}\n" + _tail(part))
        time.sleep(0.1)


def _tail(part: str, count: int = 5) -> str:
    file = process.log(part)
    return (
        "\n".join("    " + line[:300] for line in file.read_text(errors="replace").splitlines()[-count:])
        if file.exists()
        else ""
    )


def until_done(action: Callable[[], object], limit: float = 30) -> None:
    """The API server refuses some things for a moment after it says that it is ready."""
    end = time.monotonic() + limit
    while True:
        try:
            action()
            return
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def node_ready(api: Api) -> bool:
    """The node says that it is ready, since this start, and kubelet knows the pods that it is to run."""
    node = api.get("Node", facts.lab().name)
    ready = (
        next((each for each in node["status"].get("conditions", []) if each["type"] == "Ready"), None) if node else None
    )
    if not ready or ready["status"] != "True":
        return False
    told = dt.datetime.fromisoformat(ready["lastHeartbeatTime"].replace("Z", "+00:00")).timestamp()
    if told < int(process.record("kubelet").stat().st_mtime):
        return False
    try:
        known = {pod["metadata"]["uid"] for pod in api.kubelet_pods(facts.lab().name)}
    except httpx.HTTPError:
        return False
    wanted = api.get("Pod", fieldSelector=f"spec.nodeName={facts.lab().name},status.phase=Running")["items"]
    return all(pod["metadata"]["uid"] in known for pod in wanted)


def resolve(name: str) -> str | None:
    """Ask the cluster's name service, through its Service, for an address."""
    question = (
        b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(0.5)
        try:
            link.sendto(struct.pack(">HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + question, (str(facts.lab().dns), 53))
            answer = link.recv(2048)
        except OSError:
            return None
    count, _, _ = struct.unpack(">HHH", answer[6:12])
    return socket.inet_ntoa(answer[-4:]) if count else None  # with no further records the address stands last


def down() -> bool:
    """Stop everything and leave nothing; what the cluster knows stays. False when there was nothing to stop."""
    if not is_lab() or not (network.holder().exists() or any(paths.STATE.glob("run/*.pid"))):
        return False
    with alone(), report.step("stop"):
        if os.geteuid() != 0:
            checks.require()
        end_everything()
        shutil.rmtree(paths.STATE / "tmp", ignore_errors=True)
    return True


def is_lab() -> bool:
    """STATE holds a cluster, or did."""
    return (paths.STATE / "name").is_file() or (paths.STATE == paths.ROOT / ".lab" and paths.STATE.is_dir())


def end_everything() -> None:
    """In an order in which nothing restarts what was stopped: kubelet, pods, then the rest; the store comes last."""
    lab = facts.lab()
    known = {file.stem: found for file in (paths.STATE / "run").glob("*.pid") if (found := process.known(file.stem))}
    store = {name: known.pop(name) for name in ("etcd",) if name in known}
    runtime = {name: known.pop(name) for name in ("containerd",) if name in known}
    process.stop(list(known.values()), 4)
    if network.foreign():  # namespaces and control group of this name are another lab's
        process.stop([*runtime.values(), *store.values()], 5)
        return
    process.stop_pids(lambda: cgroups.members(lab.cgroup, "kubepods"), 4)
    process.stop([*runtime.values(), *store.values()], 5)
    process.stop_pids(lambda: {*cgroups.members(lab.cgroup), *network.users()}, 1)
    network.down()
    for _ in range(20):
        if not cgroups.remove(lab.cgroup):
            break
        time.sleep(0.1)
    for file in (paths.STATE / "run").glob("*"):
        file.unlink()


def reset() -> None:
    """Down, and forget everything."""
    if paths.STATE.exists() and not is_lab():
        raise Missing(f"{paths.STATE} is no lab's folder", "give the right one with --state")
    down()
    if paths.STATE.exists():
        shutil.rmtree(paths.STATE)


def status() -> int:
    """Print what runs. 1 when the cluster is not up."""
    lab = facts.lab()
    rows = []
    for part in configs.parts() if network.exists() else []:
        found = process.known(part.name)
        state = "[green]running[/green]" if found and found.alive else "[red]stopped[/red]"
        rows.append([part.name, state, str(found.pid) if found and found.alive else "", str(process.log(part.name))])
    if not rows:
        report.say("The cluster is down. `python -m lab up` starts it.")
        return 1
    report.table(f"{lab.name}: processes", ["name", "state", "pid", "log"], rows)
    api = Api(timeout=3)
    if not api.ready():
        report.say("The API server does not answer. `python -m lab up` restarts what has stopped.")
        return 1
    node = api.get("Node", lab.name) or {"status": {"conditions": []}}
    report.table(
        "\nnode",
        ["condition", "status", "reason"],
        [[each["type"], each["status"], each.get("reason", "")] for each in node["status"]["conditions"]],
    )
    pods = api.get("Pod")["items"]
    report.table(
        "\npods",
        ["namespace", "name", "phase", "ready", "restarts"],
        [
            [
                pod["metadata"]["namespace"],
                pod["metadata"]["name"],
                pod["status"]["phase"],
                f"{sum(each['ready'] for each in _containers(pod))}/{len(pod['spec']['containers'])}",
                str(sum(each["restartCount"] for each in _containers(pod))),
            ]
            for pod in pods
        ]
        or [["none", "", "", "", ""]],
    )
    if changed := workspace.local_changes():
        report.say(f"\nset in the lab's Pulumi workspace only ({workspace.folder()}): " + ", ".join(changed))
    return 0 if all("running" in row[1] for row in rows) and node_ready(api) else 1


def _containers(pod: dict) -> list[dict]:
    return pod["status"].get("containerStatuses", [])


def summary(took: float) -> None:
    lab = facts.lab()
    report.table(
        "",
        ["", ""],
        [
            ["cluster", f"Kubernetes {facts.KUBERNETES}, one node, ready after {took:.1f} s"],
            ["kubeconfig", str(paths.STATE / "kubeconfig")],
            ["API server", lab.url],
            ["node", lab.node],
            ["Services", f"{lab.services} (reachable from this machine)"],
            ["name service", str(lab.dns)],
            ["StorageClass", f"{facts.STORAGE_CLASS} (default, may grow)"],
        ],
    )
