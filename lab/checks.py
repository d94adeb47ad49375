"""Can a cluster run here? Says in one line which right is missing, before anything is changed."""

import os
import subprocess
from pathlib import Path

from lab import network
from lab.errors import CannotRun

LOCAL = "or use `make local`: registry and front as two processes, without a cluster"


def problems() -> list[CannotRun]:
    """Every missing right, the first one first."""
    if os.uname().sysname != "Linux":
        return [CannotRun("a cluster runs on Linux only", LOCAL)]
    if os.geteuid() != 0:
        return [CannotRun("not root", f"run it as root (sudo), {LOCAL}")]
    found = []
    if not network.exists():
        for name, flags in (("network namespaces", ["--net"]), ("mounts", ["--mount", "--propagation=private"])):
            command = ["unshare", *flags, "sh", "-c", "true" if name != "mounts" else "mount -t tmpfs none /mnt"]
            try:
                ended = subprocess.run(command, capture_output=True, text=True)
            except FileNotFoundError:
                return [CannotRun("no program unshare", f"apt-get install util-linux, {LOCAL}")]
            if ended.returncode:
                found.append(
                    CannotRun(f"no right to make {name}", f"use a virtual machine or a privileged container, {LOCAL}")
                )
    if not os.access("/sys/fs/cgroup", os.W_OK):
        found.append(
            CannotRun("/sys/fs/cgroup can't be written", f"use a virtual machine or a privileged container, {LOCAL}")
        )
    if not Path("/proc/sys/net/ipv4/ip_forward").exists() or not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK):
        found.append(
            CannotRun("/proc/sys can't be written", f"use a virtual machine or a privileged container, {LOCAL}")
        )
    return found


def require() -> None:
    for problem in problems():
        raise problem
