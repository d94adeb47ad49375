"""What the front costs: the registry behind it against the registry alone, in one run on loopback.

Both are the same process with the same storage; each figure is taken in turns (alone, front, alone, front, …), and its
middle value counts. The machine's own noise is in both. Needs curl.
"""

import argparse
import hashlib
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from components.protocol import Client
from lab import programs
from tests.live.serving import Site, serving
from tests.live.wire import encoded

AIM = 1.15  # of a large pull and push
REPOSITORY = "bench/app"
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Figure:
    title: str
    unit: str
    measure: Callable[[int], float]  # of the port
    more_is_better: bool
    aim: float | None = None


def requests_per_second(port: int, path: str, connections: int, count: int) -> float:
    """GETs over kept connections, each with a process of its own, so that the load is not the limit."""
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(connections + 1)
    share = count // connections
    workers = [context.Process(target=_get_many, args=(port, path, share, gate)) for _ in range(connections)]
    for worker in workers:
        worker.start()
    gate.wait(30)
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    if any(worker.exitcode for worker in workers):
        raise RuntimeError(f"GET {path} failed at port {port}")
    return share * connections / seconds


def _get_many(port: int, path: str, count: int, gate: Barrier) -> None:
    accept = "application/vnd.oci.image.manifest.v1+json"
    request = (
        f"GET {path} HTTP/1.1\r\nHost: registry\r\nAccept: {accept}\r\nAuthorization: Bearer anonymous\r\n\r\n".encode()
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        first = b""
        while b"\r\n\r\n" not in first:
            first += connection.recv(65536)
        head, _, body = first.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(head.decode())
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        left = length - len(body)
        while left:
            left -= len(connection.recv(left))
        size = len(head) + 4 + length
        gate.wait(30)
        for _ in range(count):
            connection.sendall(request)
            left = size
            while left > 0:
                left -= len(connection.recv(65536))


def pull_seconds(port: int, blob: str) -> float:
    return _curl("--output", os.devnull, f"http://127.0.0.1:{port}/v2/{REPOSITORY}/blobs/{blob}")


def checked_pull_seconds(port: int, blob: str) -> float:
    """As every client pulls: it computes the digest of what comes."""
    began = time.perf_counter()
    command = ["curl", "--silent", "--show-error", "--fail", f"http://127.0.0.1:{port}/v2/{REPOSITORY}/blobs/{blob}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        found = subprocess.run(["sha256sum"], stdin=curl.stdout, capture_output=True, text=True, check=True).stdout
    if found.split()[0] != blob.removeprefix("sha256:"):
        raise RuntimeError(f"port {port} gave another blob")
    return time.perf_counter() - began


def push_seconds(port: int, blob: str, file: Path, header: str) -> float:
    """PATCH and PUT, as docker and containers/image push."""
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": header}
    started = httpx.post(f"{url}/v2/{REPOSITORY}/blobs/uploads/", headers=headers, trust_env=False)
    began = time.perf_counter()
    location = _location(f"{url}{started.headers['Location']}", file, header)
    done = httpx.put(
        httpx.URL(f"{url}{location}").copy_merge_params({"digest": blob}), headers=headers, timeout=300, trust_env=False
    )
    done.raise_for_status()
    return time.perf_counter() - began


def _location(url: str, file: Path, header: str) -> str:
    """The Location that the answer to a PATCH with the file's content names."""
    command = ["curl", "--silent", "--show-error", "--fail", "--request", "PATCH", "--upload-file", file]
    command += ["--header", f"Authorization: {header}", "--header", "Expect:", "--output", os.devnull]
    done = subprocess.run([*command, "--dump-header", "-", url], capture_output=True, text=True, check=True)
    return next(line.split()[1] for line in done.stdout.splitlines() if line.lower().startswith("location:"))


def _curl(*arguments: str) -> float:
    command = ["curl", "--silent", "--show-error", "--fail", "--write-out", "%{time_total}", *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def random_file(folder: Path, mebibytes: int) -> tuple[Path, str]:
    """A file that does not compress, and its digest."""
    path, digest = folder / "blob", hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(mebibytes):
            piece = os.urandom(MEBIBYTE)
            digest.update(piece)
            file.write(piece)
    return path, f"sha256:{digest.hexdigest()}"


def figures(site: Site, file: Path, blob: str, requests: int) -> list[Figure]:
    header = f"Bearer {encoded(site.login('push'))}"
    size = f"{file.stat().st_size / MEBIBYTE / 1024:.3g} GiB"
    with Client(site.url, site.login("push")) as client:
        client.push_image(REPOSITORY, "1", b"a layer")
    push_seconds(site.listen.registry, blob, file, header)  # so that no run is the first one
    path = f"/v2/{REPOSITORY}/manifests/1"

    def rate(connections: int) -> Figure:
        return Figure(
            title=f"GET a manifest, {connections} connection{'s' if connections > 1 else ''}",
            unit="1/s",
            measure=lambda port: requests_per_second(port, path, connections, requests),
            more_is_better=True,
        )

    return [
        rate(1),
        rate(8),
        Figure(
            title=f"pull {size} and throw it away",
            unit="s",
            measure=lambda port: pull_seconds(port, blob),
            more_is_better=False,
        ),
        Figure(
            title=f"pull {size} and check its digest",
            unit="s",
            measure=lambda port: checked_pull_seconds(port, blob),
            more_is_better=False,
            aim=AIM,
        ),
        Figure(
            title=f"push {size}",
            unit="s",
            measure=lambda port: push_seconds(port, blob, file, header),
            more_is_better=False,
            aim=AIM,
        ),
    ]


def compare(figure: Figure, site: Site, rounds: int) -> tuple[float, float, float]:
    """Alone, behind the front, and how much dearer the latter is (1 = not at all)."""
    alone, front = [], []
    for _ in range(rounds):
        alone.append(figure.measure(site.listen.registry))
        front.append(figure.measure(site.listen.http))
    middle, middle_front = statistics.median(alone), statistics.median(front)
    return middle, middle_front, middle / middle_front if figure.more_is_better else middle_front / middle


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.front", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the blob; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of each figure; default: %(default)s")
    parser.add_argument("--requests", type=int, default=8000, help="in each round; default: %(default)s")
    options = parser.parse_args()
    console = Console()
    table = Table(
        "", "registry alone", "behind the front", "ratio", "aim", title="the front's cost", title_justify="left"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    try:
        programs.path("curl")
        with tempfile.TemporaryDirectory(prefix="bench-") as name, console.status("starting …") as status:
            folder = Path(name)
            (folder / "site").mkdir()
            file, blob = random_file(folder, options.size)
            with serving(folder / "site", {}) as site:
                for figure in figures(site, file, blob, options.requests):
                    status.update(f"{figure.title} …")
                    alone, front, ratio = compare(figure, site, options.rounds)
                    digits = 0 if figure.more_is_better else 2
                    table.add_row(
                        figure.title,
                        f"{alone:,.{digits}f} {figure.unit}",
                        f"{front:,.{digits}f} {figure.unit}",
                        f"{ratio:.2f}",
                        f"≤ {figure.aim}" if figure.aim else "",
                    )
    except programs.Missing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    console.print(table)
    console.print("ratio: how much dearer; 1 is free")
    return 0


if __name__ == "__main__":
    sys.exit(main())
