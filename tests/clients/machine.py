"""A machine on which one client is used, as its user has it: installed files, home, stores, daemons."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import build, programs
from tests.clients import namespaces
from tests.live.serving import Process

LIMIT = 60.0  # a client that hangs; what an action may take says the matrix
SECRETS = ("*shadow*", "ssh", "sudoers*")


class Failed(Exception):
    """What a command wrote when it failed."""


@dataclass(frozen=True)
class Done:
    seconds: float
    output: str


@dataclass
class Machine:
    """`folder`: everything that is written is below it. `folder/etc` stands in for /etc, `folder/root` is the home."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    daemons: list[Process] = field(default_factory=list)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """On the machine, which is gone afterwards with its daemons. Raises OSError where that is not allowed."""
        with namespaces.mounts():
            namespaces.run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", self.folder)
            shutil.copytree("/etc", self.folder / "etc", symlinks=True, ignore=shutil.ignore_patterns(*SECRETS))
            for name in ("bin", "root", "var/lib", "work"):
                (self.folder / name).mkdir(parents=True)
            for path in ("/etc", "/var/lib"):
                namespaces.run("mount", "--bind", self.folder / path.lstrip("/"), path)
            namespaces.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
            self._set_path()
            try:
                yield
            finally:
                for daemon in reversed(self.daemons):
                    daemon.stop()

    def _set_path(self) -> None:
        path = f"{self.folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin"  # daemons stand in the superuser's folders
        self.write("/etc/profile.d/00-path.sh", f'PATH="{path}"\n')  # a login shell, as it is here, sets it anew
        self.variables = {"HOME": str(self.folder / "root"), "LANG": "C.UTF-8", "PATH": path}

    def write(self, path: str, text: str) -> None:
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def provide(self, commands: Mapping[str, str]) -> None:
        """Programs under the names that users call them by: {command: the lab's program}. Raises programs.Missing."""
        for command, program in commands.items():
            found = build.find_go() if program == "go" else programs.path(program)
            (self.folder / "bin" / command).symlink_to(found)

    def start(self, command: Sequence[str], ready: str) -> None:
        """A daemon; it is there when the command line `ready` works."""

        def is_ready() -> bool:
            with contextlib.suppress(Failed):
                self.do(ready)
                return True
            return False

        self.daemons.append(Process(command, self.folder / f"{command[0]}.log", self.variables))
        self.daemons[-1].wait(is_ready)

    def do(self, line: str, stdin: str = "") -> Done:
        """A command line typed in a login shell; whatever it asks for is answered by `stdin`. Raises Failed."""
        began = time.monotonic()
        done = subprocess.run(
            ["sh", "-lc", line],
            input=f"{stdin}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            env=self.variables,
            cwd=self.folder / "work",
        )
        if done.returncode:
            raise Failed(done.stdout)
        return Done(seconds=time.monotonic() - began, output=done.stdout)

    def log_out(self) -> None:
        """No credentials are left in the home, nor where podman keeps them until the next start."""
        for folder in (self.folder / "root", Path("/run/containers/0")):
            shutil.rmtree(folder, ignore_errors=True)
        (self.folder / "root").mkdir()
