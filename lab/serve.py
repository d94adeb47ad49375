"""Registry and front as two processes on loopback, from rendered files: `make local` and the live tests."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lab import programs, report
from lab.errors import Missing


def commands(folder: Path) -> dict[str, list[str]]:
    """The two command lines, as in the pod."""
    for name in ("config.yml", "Caddyfile"):
        if not (folder / name).is_file():
            raise Missing(f"{folder} holds no {name}", "give the folder with the rendered files")
    return {
        "registry": [str(programs.path("registry")), "serve", str(folder / "config.yml")],
        "front": [
            str(programs.path("caddy")),
            "run",
            "--config",
            str(folder / "Caddyfile"),
            "--adapter",
            "caddyfile",
            "--watch",
        ],
    }


def _start(folder: Path, output: object, name: str, command: list[str]) -> subprocess.Popen:
    environment = {
        **os.environ,
        "OTEL_TRACES_EXPORTER": "none",
        "XDG_CONFIG_HOME": str(folder / "caddy-config"),
        "XDG_DATA_HOME": str(folder / "caddy-data"),
    }
    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def _stop(children: list[subprocess.Popen]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def answers(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


@contextmanager
def running(folder: Path, *ports: int, limit: float = 20) -> Iterator[dict[str, subprocess.Popen]]:
    """Both processes, for as long as the block lasts; it begins when every given port answers.
    Their logs are DIR/registry.log and DIR/front.log."""
    folder = Path(folder).resolve()
    taken = [port for port in ports if answers(port)]
    if taken:
        raise Missing(f"port {taken[0]} is taken", "stop what listens there, or render with another port")
    children = {}
    try:
        for name, command in commands(folder).items():
            with open(folder / f"{name}.log", "w") as log:
                children[name] = _start(folder, log, name, command)
        end = time.monotonic() + limit
        while not all(answers(port) for port in ports):
            for name, child in children.items():
                if child.poll() is not None:
                    raise Missing(
                        f"{name} ended with status {child.returncode}", (folder / f"{name}.log").read_text()[-800:]
                    )
            if time.monotonic() > end:
                raise Missing(f"nothing answers at port {ports}", (folder / "front.log").read_text()[-800:])
            time.sleep(0.05)
        yield children
    finally:
        _stop(list(children.values()))


def foreground(folder: Path, check: str = "") -> int:
    """Run both until SIGINT or SIGTERM; 1 when one of them ends by itself.

    `check`: a command line to run once, when all ports answer.
    """
    folder = Path(folder).resolve()
    lines = commands(folder)
    for port in sorted(listened(folder)):
        if answers(port):
            raise Missing(f"port {port} is taken", "stop what listens there, or render with another port")
    stopped = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stopped.set())
    children = {name: _start(folder, subprocess.PIPE, name, command) for name, command in lines.items()}
    colours = {"registry": "cyan", "front": "magenta"}
    readers = [
        threading.Thread(target=_prefix, args=(name, child.stdout, colours[name]), daemon=True)
        for name, child in children.items()
    ]
    for reader in readers:
        reader.start()
    checking = threading.Thread(target=_check, args=(sorted(listened(folder)), check, stopped), daemon=True)
    checking.start()
    ended = None
    while not stopped.wait(0.1):
        ended = next((name for name, child in children.items() if child.poll() is not None), None)
        if ended:
            break
    _stop(list(children.values()))
    for reader in readers:
        reader.join(2)
    if ended:
        report.err.print(
            f"[red]error:[/red] {ended} ended with status {children[ended].returncode}: its last lines are above"
        )
        return 1
    return 0


def _check(ports: list[int], command: str, stopped: threading.Event) -> None:
    while not all(answers(port) for port in ports):
        if stopped.wait(0.1):
            return
    if command:
        subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, check=False)
    report.say("It runs until Ctrl-C.")


def listened(folder: Path) -> set[int]:
    """The loopback ports that config.yml and Caddyfile name."""
    return {
        int(port)
        for name in ("config.yml", "Caddyfile")
        for port in re.findall(
            r"^\s*(?:addr:\s*\S*?|https?://\S*?|bind \S*?)?:(\d{2,5})(?=[\s{,]|$)", (folder / name).read_text(), re.M
        )
    }


def _prefix(name: str, stream: BinaryIO, colour: str) -> None:
    for line in iter(stream.readline, b""):
        if report.out.is_terminal:
            report.out.print(f"[{colour}]{name:8}[/{colour}] ", end="")
        else:
            sys.stdout.write(f"{name:8} ")
        sys.stdout.write(line.decode(errors="replace"))
        sys.stdout.flush()
