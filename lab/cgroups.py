"""The cluster's control groups: all below one of its own, so that everything in it can be found and removed.

It works on both versions: with the first, each controller has a tree; with the second there is one tree.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from lab.errors import CannotRun

UNIFIED = Path("/sys/fs/cgroup")


def unified() -> bool:
    return (UNIFIED / "cgroup.controllers").exists()


def trees() -> list[Path]:
    """The folder of each hierarchy that the cluster uses."""
    if unified():
        return [UNIFIED]
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2") and Path(mount[1]).is_dir()]


def create(name: str) -> None:
    """Make the group, with a group `node` in it for the cluster's own processes."""
    try:
        if unified():
            _delegate(UNIFIED)
        for tree in trees():
            for group in (tree / name, tree / name / "node"):
                group.mkdir(exist_ok=True)
                for key in ("cpuset.cpus", "cpuset.mems"):  # empty at first, and then no process may enter
                    if not unified() and (group / key).exists() and not (group / key).read_text().strip():
                        (group / key).write_text((group.parent / key).read_text())
            if unified():
                _delegate(tree / name)
    except OSError as error:
        raise CannotRun(
            f"no right to make control groups ({error.strerror}: {error.filename})",
            "run in a virtual machine or a privileged container, or use `make local`",
        ) from None


def _delegate(group: Path) -> None:
    """Hand all controllers down (cgroup v2). In a container the root group holds processes, which forbids that."""
    controllers = (group / "cgroup.controllers").read_text().split()
    wanted = set(controllers) - set((group / "cgroup.subtree_control").read_text().split())
    for controller in sorted(wanted):
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY:
                if controller in ("cpu", "memory", "pids"):
                    raise
                continue
            aside = group / "machine"
            aside.mkdir(exist_ok=True)
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (aside / "cgroup.procs").write_text(pid)
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def doors(name: str) -> list[str]:
    """The files that a process writes its id into to enter the group."""
    return [
        str(tree / name / "node" / "cgroup.procs") for tree in trees() if unified() or tree.name in ("pids", "freezer")
    ]


def members(name: str, part: str = "") -> list[int]:
    """Every process in the group, whoever started it."""
    found: set[int] = set()
    for tree in trees():
        for group in _below(tree / name / part):
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
    return sorted(found)


def remove(name: str) -> list[Path]:
    """Remove the group with all below it; what could not be removed is returned."""
    left = []
    for tree in trees():
        for group in _below(tree / name):
            try:
                group.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                left.append(group)
    return left


def _below(group: Path) -> Iterator[Path]:
    """The group and all below it, the deepest first."""
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)
