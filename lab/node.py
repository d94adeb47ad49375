"""A shell on the node: its network with the cluster's name service, and client configuration files to try."""

import shlex
from pathlib import Path

from lab import facts, network
from lab.errors import Missing


def command(argv: list[str], etc: Path | None = None) -> list[str]:
    """The command line that runs argv in the node's network, where cluster names resolve.

    `etc`: a folder whose containers/, docker/, ... stand in for those in /etc, for this command alone.
    """
    if not network.exists():
        raise Missing("the cluster is down", "python -m lab up")
    if etc is not None and not etc.is_dir():
        raise Missing(f"{etc} is no folder", "--etc takes a folder with containers/ or docker/ in it")
    lines = [
        "mount --make-rprivate /",
        "mount -t tmpfs -o size=1m none /mnt",
        f"echo nameserver {facts.lab().dns} >/mnt/resolv.conf",
        "mount --bind /mnt/resolv.conf /etc/resolv.conf",
    ]
    for folder in sorted(each for each in (etc.resolve().iterdir() if etc else []) if each.is_dir()):
        target = shlex.quote(f"/etc/{folder.name}")
        lines += [f"mkdir -p {target}", f"mount --bind {shlex.quote(str(folder))} {target}"]
    lines += ["umount /mnt", 'exec "$@"']
    return network.inside("unshare", "--mount", "--propagation=private", "sh", "-euc", "\n".join(lines), "sh", *argv)
