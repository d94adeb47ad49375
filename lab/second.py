"""A second node for tests: one of the next generation, with containerd 2.x, run as k0s runs it.

It has a network and a mount namespace of its own, held by nothing but its processes, and a cable to the first node,
which routes for it. k0s' part is `supervise`: it writes containerd.toml, runs containerd, and restarts it when
/etc/k0s/containerd.d changes (k0s pkg/component/worker/containerd/component.go, pkg/supervisor).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from lab import cgroups, cluster, configs, facts, images, network, paths, pki, process, programs, report
from lab.api import Api
from lab.errors import Missing

CABLE = "second"  # its end on the first node
TAINT = {"key": "lab/second", "effect": "NoSchedule"}  # only pods that are meant for it
DROP_INS = Path("/etc/k0s/containerd.d")
CONFIG = Path("/etc/k0s/containerd.toml")
BINARIES = Path("/var/lib/k0s/bin")
SOCKET = "/run/k0s/containerd.sock"
DEBOUNCE, RESPAWN = 3, 5  # seconds: k0s waits so long after the last change, and before it starts a program anew
PROGRAMS = {"containerd": "containerd2", "containerd-shim-runc-v2": "containerd-shim2", "runc": "runc"}


def folder(*parts: str) -> Path:
    return paths.state("second", *parts)


@contextmanager
def running() -> Iterator[str]:
    """The node is up and ready; its name. Afterwards nothing is left of it."""
    down()  # of a test that was killed
    try:
        up()
        yield facts.lab().second_name
    finally:
        down()


def up() -> None:
    lab = facts.lab()
    with report.step("second node"):
        cgroups.create(_cgroup())
        _write_files()
        unshare = [programs.path("unshare"), "--net", "--mount", "--propagation=private", sys.executable]
        _start("second-containerd", [*map(str, unshare), "-m", "lab.second"])
        cluster.wait_for("the second node's network", _apart, "second-containerd")
        _cable()
        cluster.wait_for("the second containerd", lambda: _ctr("version").returncode == 0, "second-containerd")
        for image in images.IMAGES:
            if image.name in (facts.PAUSE_IMAGE, facts.CADDY_IMAGE):
                archive = folder() / "image.tar"
                images.assemble(image, archive)
                network.run(*inside(programs.path("ctr2"), "-a", SOCKET, "-n", "k8s.io", "images", "import", archive))
                archive.unlink()
        node = programs.path("node")
        _start(
            "second-kubelet",
            inside(node, "kubelet", f"--config={folder()}/kubelet.yaml", f"--kubeconfig={folder()}/kubeconfig",
                   f"--hostname-override={lab.second_name}", f"--node-ip={lab.second}",
                   "--root-dir=/var/lib/k0s/kubelet"),
        )  # fmt: skip
        api = Api()
        cluster.wait_for("the second node", lambda: _ready(api), "second-kubelet")


def down() -> None:
    """Stop it and forget it; also what was left by a process that was killed."""
    known = [found for part in ("second-kubelet", "second-containerd") if (found := process.known(part))]
    process.stop(known, 5)
    process.stop_pids(lambda: cgroups.members(_cgroup()), 1)  # with its last process a namespace and its cable go
    for _ in range(20):
        if not cgroups.remove(_cgroup()):
            break
        time.sleep(0.1)
    if network.exists():
        network.run(*network.inside("ip", "link", "delete", CABLE), check=False)
        api = Api()
        if api.ready():
            api.delete("Node", facts.lab().second_name)
    shutil.rmtree(paths.STATE / "second", ignore_errors=True)


def _ready(api: Api) -> bool:
    node = api.get("Node", facts.lab().second_name)
    conditions = node["status"].get("conditions", []) if node else []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def inside(*command: str | os.PathLike) -> list[str]:
    """The command line that runs a command in the node."""
    if not (holder := process.known("second-containerd")):
        raise Missing("the second node is down", "use it within lab.second.running()")
    return [str(programs.path("nsenter")), f"--target={holder.pid}", "--net", "--mount", "--", *map(str, command)]


def _cgroup() -> str:
    """Within the lab's, so that `lab down` ends this node too."""
    return f"{facts.lab().cgroup}/second"


def _start(part: str, command: list[str]) -> None:
    enter = "".join(f'echo $$ >"{door}"; ' for door in cgroups.doors(_cgroup())) + 'exec "$@"'
    environment = {"PYTHONPATH": str(paths.ROOT), "LAB_STATE": str(paths.STATE), "LAB_NAME": facts.lab().name}
    process.start(part, ["sh", "-euc", enter, "sh", *command], environment)


def _apart() -> bool:
    holder = process.known("second-containerd")
    return bool(holder) and os.stat(f"/proc/{holder.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino


def _cable() -> None:
    """The first node routes for the second, to itself and to its Services."""
    lab, pid = facts.lab(), process.known("second-containerd").pid
    network.run(*network.inside("ip", "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", str(pid)))
    network.run(
        *network.inside(
            "sh", "-euc", f"ip link set {CABLE} up; ip route add {lab.second}/32 dev {CABLE} src {lab.node}"
        )
    )
    network.run(
        *inside(
            "sh",
            "-euc",
            f"""
        ip link set lo up; ip address add {lab.second}/32 dev eth0; ip link set eth0 up
        ip route add {lab.node}/32 dev eth0; ip route add default via {lab.node}
        sysctl -qw net.ipv4.ip_forward=1""",
        )
    )


def _ctr(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(inside(programs.path("ctr2"), "--address", SOCKET, *arguments), capture_output=True)


def _write_files() -> None:
    lab, user = facts.lab(), "second-kubelet"
    pki.kubelet(user, lab.second_name, lab.second)
    paths.write(folder() / "kubeconfig", configs.kubeconfig(user), 0o600)
    kubelet = {
        **configs.kubelet(),
        "tlsCertFile": f"{paths.STATE}/pki/{user}.crt",
        "tlsPrivateKeyFile": f"{paths.STATE}/pki/{user}.key",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupRoot": f"/{_cgroup()}",
        "registerWithTaints": [TAINT],
    }
    paths.write(folder() / "kubelet.yaml", yaml.safe_dump(kubelet))
    cni = configs.cni()
    cni["plugins"][0]["ipam"]["ranges"] = [[{"subnet": f"10.244.{100 + lab.number}.0/24"}]]
    paths.write(folder("cni") / "10-lab.conflist", json.dumps(cni))
    binaries = folder("node") / BINARIES.relative_to("/")
    binaries.mkdir(parents=True, exist_ok=True)
    for program, source in PROGRAMS.items():
        shutil.copy2(programs.path(source), binaries / program)  # k0s unpacks its own, so they are files here too


def containerd(snapshotter: str) -> str:
    """containerd.toml as k0s 1.36 writes it, with what the lab's first node has as well."""
    bridge = programs.path("bridge").parent
    return f"""\
# k0s_managed=true
version = 3
imports = ["{DROP_INS}/*.toml"]
disabled_plugins = ["io.containerd.internal.v1.opt"]
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{facts.PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{bridge}"]
    conf_dir = "{paths.STATE}/second/cni"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux"
  snapshotter = "{snapshotter}"
"""


def supervise() -> None:
    """k0s' part, in the node: containerd runs, and runs anew when a drop-in has changed."""
    network.run(*network.own_folders(folder("node")))
    DROP_INS.mkdir(parents=True, exist_ok=True)
    paths.write(CONFIG, containerd(cluster.snapshotter()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, and by containerd as well
    command = [BINARIES / "containerd", "--root=/var/lib/k0s/containerd", "--state=/run/k0s/containerd",
               f"--address={SOCKET}", "--log-level=info", f"--config={CONFIG}"]  # fmt: skip
    environment = {**os.environ, "PATH": f"{BINARIES}:{programs.path('iptables').parent}:{os.environ['PATH']}"}
    while True:
        child = subprocess.Popen(command, env=environment)
        try:
            _until_ended(child)
        finally:
            child.terminate()
            child.wait()
        time.sleep(RESPAWN)


def _until_ended(child: subprocess.Popen[bytes]) -> None:
    """A change among the drop-ins ends it: containerd has no handler for SIGHUP."""
    seen, changed = _drop_ins(), None
    while child.poll() is None:
        if (now := _drop_ins()) != seen:
            seen, changed = now, time.monotonic()
        if changed and time.monotonic() - changed > DEBOUNCE:
            print("the drop-ins have changed: SIGHUP", flush=True)
            child.send_signal(signal.SIGHUP)
            changed = None
        time.sleep(0.1)


def _drop_ins() -> set[tuple[str, int, int]]:
    return {(each.name, each.stat().st_ino, each.stat().st_mtime_ns) for each in os.scandir(DROP_INS)}


if __name__ == "__main__":
    supervise()
