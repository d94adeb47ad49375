"""Processes of the lab, remembered by process id and start time, so that a reused id is never taken for ours."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import paths


def started_at(pid: int) -> str | None:
    """When the process began, in clock ticks since boot; None when there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    started: str
    boot: str

    @property
    def alive(self) -> bool:
        return self.boot == boot() and started_at(self.pid) == self.started

    def send(self, sign: int) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sign)


def record(name: str) -> Path:
    return paths.STATE / "run" / f"{name}.pid"


def log(name: str) -> Path:
    return paths.STATE / "log" / f"{name}.log"


def known(name: str) -> Process | None:
    try:
        pid, started, booted = record(name).read_text().split()
        return Process(name, int(pid), started, booted)
    except (OSError, ValueError):
        return None


def alive(name: str) -> bool:
    return bool((process := known(name)) and process.alive)


def start(name: str, command: list[str], environment: dict[str, str] | None = None) -> Process:
    """Start a process that outlives the lab's command; what it writes goes to its log."""
    paths.state("run"), paths.state("log")
    file = log(name)
    if file.exists():
        file.replace(file.with_suffix(".log.1"))
    with open(file, "w") as stream:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    process = Process(name, child.pid, started_at(child.pid) or "0", boot())
    paths.write(record(name), f"{process.pid} {process.started} {process.boot}\n")
    return process


def stop(processes: list[Process], grace: float) -> None:
    """Ask them all to end; kill those that have not ended after `grace` seconds."""
    for process in processes:
        process.send(signal.SIGTERM)
    if not wait_gone(processes, grace):
        for process in processes:
            process.send(signal.SIGKILL)
        wait_gone(processes, 5)
    for process in processes:
        record(process.name).unlink(missing_ok=True)


def wait_gone(processes: list[Process], limit: float) -> bool:
    end = time.monotonic() + limit
    while any(process.alive for process in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def stop_pids(pids_of: Callable[[], Iterable[int]], grace: float) -> None:
    """End whatever `pids_of()` lists, for as long as it lists something. Children of this process are collected."""
    end, sign = time.monotonic() + grace, signal.SIGTERM
    signalled: set[tuple[int, str | None]] = set()
    while pids := [pid for pid in pids_of() if pid != os.getpid() and started_at(pid)]:
        if sign == signal.SIGTERM and time.monotonic() > end:
            sign, end = signal.SIGKILL, time.monotonic() + 10
            signalled.clear()
        elif time.monotonic() > end:
            return
        for pid in pids:
            if (key := (pid, started_at(pid))) not in signalled:
                signalled.add(key)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
        time.sleep(0.05)
