"""What encryption costs: the front with TLS against the same front without, in one run on loopback.

New connections are counted with a request on each (python -m bench.tls needs openssl and curl); the large pull goes
over one connection. Figures are taken in turns, and their middle value counts.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.front import MEBIBYTE, random_file
from components.protocol import Client
from components.render import front
from lab import programs, serve
from tests.live.encrypting import render_encrypted

REPOSITORY = "bench/app"


def plain_connections(port: int, seconds: int) -> float:
    """New connections a second, each with one GET."""
    request = b"GET /livez HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n"
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            while connection.recv(4096):
                pass
        count += 1
    return count / seconds


def tls_connections(port: int, seconds: int, resumed: bool) -> float:
    """Handshakes a second, each with one GET; `resumed`: with a ticket of an earlier one."""
    kind = "-reuse" if resumed else "-new"
    command = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", kind, "-time", str(seconds), "-www", "/livez"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(re.findall(r"([\d.]+) connections in \d+ real seconds", done.stdout)[-1].split()[0]) / (seconds + 1)


def pull_seconds(url: str, ca: Path) -> float:
    command = ["curl", "--silent", "--show-error", "--fail", "--cacert", str(ca), "--output", os.devnull]
    done = subprocess.run([*command, "--write-out", "%{time_total}", url], capture_output=True, text=True, check=True)
    return float(done.stdout)


def push_past_the_front(listen: front.Listen, file: Path, digest: str) -> None:
    with Client(f"http://127.0.0.1:{listen.registry}", timeout=300) as client:
        client._token = "none"  # the registry itself asks for none
        location = client.start_upload(REPOSITORY)
        with file.open("rb") as content:
            client.request("PUT", f"{location}&digest={digest}", content=content)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.tls", description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the blob; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of each figure; default: %(default)s")
    parser.add_argument("--seconds", type=int, default=3, help="of each count of connections; default: %(default)s")
    options = parser.parse_args()
    console = Console()
    table = Table("", "plain", "TLS", "ratio", title="the cost of TLS", title_justify="left")
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name, console.status("measuring …"):
            folder = Path(name)
            listen = render_encrypted(folder)
            file, digest = random_file(folder, options.size)
            with serve.running(folder, listen.http, listen.https, listen.registry):
                push_past_the_front(listen, file, digest)
                rounds = range(options.rounds)
                counts = [
                    (
                        plain_connections(listen.http, options.seconds),
                        tls_connections(listen.https, options.seconds, False),
                        tls_connections(listen.https, options.seconds, True),
                    )
                    for _ in rounds
                ]
                plain, new, resumed = (statistics.median(values) for values in zip(*counts, strict=True))
                table.add_row("new connections, one GET each", f"{plain:,.0f}/s", f"{new:,.0f}/s", f"{plain / new:.2f}")
                table.add_row(
                    "  resumed with a ticket", f"{plain:,.0f}/s", f"{resumed:,.0f}/s", f"{plain / resumed:.2f}"
                )
                path = f"/v2/{REPOSITORY}/blobs/{digest}"
                pulls = [
                    (
                        pull_seconds(f"http://127.0.0.1:{listen.http}{path}", folder / "ca.crt"),
                        pull_seconds(f"https://127.0.0.1:{listen.https}{path}", folder / "ca.crt"),
                    )
                    for _ in rounds
                ]
                plain, encrypted = (statistics.median(values) for values in zip(*pulls, strict=True))
                size = f"{file.stat().st_size / MEBIBYTE / 1024:.3g} GiB"
                table.add_row(f"pull {size}", f"{plain:.2f} s", f"{encrypted:.2f} s", f"{encrypted / plain:.2f}")
    except programs.Missing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    console.print(table)
    console.print("ratio: how much dearer; 1 is free")
    return 0


if __name__ == "__main__":
    sys.exit(main())
