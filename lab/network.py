"""The node's namespaces, and the cable between the machine and the node.

The node has its own network namespace, so every rule, bridge and address of Kubernetes stays in it, and its own
mount namespace with its own /etc, /run and /var, so nothing is written into the machine's. Both are held by two
files on a small file system of their own: as long as it is mounted the node exists, whatever process is killed.
"""

import ipaddress
import json
import os
import subprocess
from pathlib import Path

from lab import facts, paths, programs
from lab.errors import CannotRun, Missing

HOLDERS = Path("/run/registry-lab")


def run(*command: str | os.PathLike, check: bool = True, text: str | None = None) -> str:
    """Run a short command and return what it prints; its own message is the error."""
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, input=text)
    if check and ended.returncode:
        raise Missing(f"`{' '.join(map(str, command[:6]))}` failed", (ended.stderr or ended.stdout).strip()[-400:])
    return ended.stdout


def holder() -> Path:
    return HOLDERS / facts.lab().name


def exists() -> bool:
    """The namespaces are there, and are those of this STATE."""
    return os.path.ismount(holder() / "net") and os.path.ismount(holder() / "mnt") and owner() == paths.STATE


def owner() -> Path | None:
    """The STATE of the lab that has this name on this machine."""
    try:
        return Path((holder() / "state").read_text())
    except OSError:
        return None


def foreign() -> bool:
    """Another lab has this name. (When its folder was deleted, nobody can stop it any more but we.)"""
    return (there := owner()) is not None and there != paths.STATE and there.exists()


def inside(*command: str | os.PathLike) -> list[str]:
    """The command line that runs a command in the node. (`ip netns exec` would put another /sys over the node's.)"""
    return [str(programs.path("nsenter")), f"--net={holder()}/net", f"--mount={holder()}/mnt", "--", *map(str, command)]


def up() -> None:
    """Make namespaces and cable, unless they are there."""
    if foreign():
        name = facts.lab().name
        raise Missing(
            f"another lab of the name {name} is up ({owner()})",
            f"stop it (python -m lab --state {owner()} down), or choose another --name",
        )
    if not exists():
        down()
        free()
        _namespaces()
    if not Path("/sys/class/net", facts.lab().interface).exists():
        _cable()


def _namespaces() -> None:
    home = holder()
    home.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "registry-lab", home)
    run("mount", "--make-private", home)  # a mount namespace can only be held where mounts are private
    (home / "net").touch(), (home / "mnt").touch()
    (home / "state").write_text(str(paths.STATE))
    try:
        run("unshare", f"--net={home}/net", f"--mount={home}/mnt", "--propagation=private", "--", "true")
    except Missing as error:
        down()
        raise CannotRun(
            "this machine allows no network and mount namespaces",
            f"run in a virtual machine or a privileged container, or use `make local` ({error.remedy})",
        ) from None
    run(*inside(*own_folders(paths.state("node"))))


def own_folders(own: Path) -> list[str | os.PathLike]:
    """The command line that gives the mount namespace it is run in an /etc, /run and /var of its own, kept in `own`."""
    for folder in ("etc", "etc-work", "var/lib", "var/log", "var/tmp", "var/cache"):
        (own / folder).mkdir(parents=True, exist_ok=True)
    for link, target in (("var/run", "/run"), ("var/lock", "/run/lock"), ("var/lib/cni", "/run/cni")):
        if not (own / link).is_symlink():
            (own / link).symlink_to(target)
    return ["sh", "-euc", _SETUP, "sh", own, paths.STATE, paths.CACHE, paths.ROOT]


# $1: the node's own folder; further: folders that must stay in sight although they may lie in /var.
_SETUP = r"""
own=$1; shift
mount --make-rshared /
for keep in "$@"; do case $keep in
  /run/*) echo "$keep lies in /run, which the node has for itself" >&2; exit 1;;
  /var/*) mkdir -p "$own$keep" && mount --bind "$keep" "$own$keep";;
esac; done
mount --rbind "$own/var" /var
if ! mount -t overlay -o lowerdir=/etc,upperdir="$own/etc",workdir="$own/etc-work" node-etc /etc 2>/dev/null; then
  tmp=$(mktemp -d); mount -t tmpfs -o mode=755 node-etc "$tmp"; cp -a /etc/. "$tmp" 2>/dev/null || :
  rm -f "$tmp/shadow" "$tmp/gshadow"; mount --move "$tmp" /etc; rmdir "$tmp"
fi
mount -t tmpfs -o mode=755 node-run /run
mkdir -p /run/lock /run/netns /run/cni /run/containerd
rm -f /etc/resolv.conf
echo 'nameserver 127.0.0.1' >/etc/resolv.conf # nobody answers there: a name that is not known fails at once
"""


def _cable() -> None:
    lab, net = facts.lab(), f"{holder()}/net"
    run("ip", "link", "add", lab.interface, "type", "veth", "peer", "name", "eth0", "netns", net)
    run("ip", "address", "add", f"{lab.machine}/24", "dev", lab.interface)
    run("ip", "link", "set", lab.interface, "up")
    run("ip", "route", "replace", str(lab.services), "via", lab.node, "dev", lab.interface, "onlink")
    run(
        *inside(
            "sh",
            "-euc",
            f"""
        ip link set lo up; ip address add {lab.node}/24 dev eth0; ip link set eth0 up
        ip route add default via {lab.machine} dev eth0
        sysctl -qw net.ipv4.ip_forward=1; sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || :""",
        )
    )


def free() -> None:
    """Refuse to start where the lab's names or addresses belong to something else."""
    lab = facts.lab()
    for route in json.loads(run("ip", "-json", "route", "show", "table", "all") or "[]"):
        if route.get("dst", "default") == "default" or route.get("dev") == lab.interface or ":" in route["dst"]:
            continue
        there = ipaddress.ip_network(route["dst"], strict=False)
        for mine in (lab.node_network, lab.services):
            if there.overlaps(mine) and there.prefixlen >= 8:
                raise Missing(
                    f"{mine} overlaps {there}, which this machine has at {route.get('dev', 'a route')}",
                    f"free that network, or use other addresses with --name {lab.name.rstrip('123456789')}"
                    f"{lab.number % 9 + 1}",
                )
    if Path("/sys/class/net", lab.interface).exists():
        raise Missing(
            f"a network interface {lab.interface} exists already and is not the lab's",
            f"remove it (ip link delete {lab.interface}), or choose another --name",
        )


def down() -> None:
    """Remove cable and namespaces: what was mounted or ruled in them goes with them."""
    lab, home = facts.lab(), holder()
    if home.exists():
        run("ip", "link", "delete", lab.interface, check=False)
        for mount in (home / "mnt", home / "net", home):
            while os.path.ismount(mount):
                run("umount", "--lazy", mount)
        home.rmdir()
    if HOLDERS.exists() and not any(HOLDERS.iterdir()):
        HOLDERS.rmdir()


def users() -> list[int]:
    """Every process in the node's network or mount namespace."""
    if not exists():
        return []
    ours = {(kind, os.stat(holder() / kind).st_ino) for kind in ("net", "mnt")}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any((kind, os.stat(entry / "ns" / kind).st_ino) in ours for kind in ("net", "mnt")):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found
