"""This process, and whatever it starts, in namespaces of its own for a while: nothing of them stays behind."""

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

MOUNTS, NETWORK = ("mnt", 0x00020000), ("net", 0x40000000)  # CLONE_NEWNS, CLONE_NEWNET of unshare(2)

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def own(kind: tuple[str, int]) -> Iterator[None]:
    """Raises OSError where that is not allowed."""
    name, flag = kind
    before, folder = os.open(f"/proc/self/ns/{name}", os.O_RDONLY), Path.cwd()
    try:
        _call(_libc.unshare, flag)
        try:
            yield
        finally:
            _call(_libc.setns, before, flag)
            os.chdir(folder)  # of mounts, one comes back to /
    finally:
        os.close(before)


@contextlib.contextmanager
def network(*addresses: str) -> Iterator[None]:
    """A loopback with these addresses on it, and nothing else."""
    with own(NETWORK):
        run("ip", "link", "set", "lo", "up")
        for address in addresses:
            run("ip", "address", "add", f"{address}/32", "dev", "lo")
        yield


@contextlib.contextmanager
def mounts() -> Iterator[None]:
    """What is mounted in it is seen by nobody else."""
    with own(MOUNTS):
        run("mount", "--make-rprivate", "/")
        yield


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


def _call(function: object, *arguments: int) -> None:
    if function(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
