"""A client's files on a machine: what would change, and the change itself.

A file of ours is written as a whole. One that holds other things as well is merged into (`components.merge`). What an
earlier run wrote for another mode, such as a CA after TLS was turned off, is taken away again.
"""

import contextlib
import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from .merge import Malformed, merged
from .render.clients import Files


class Refused(Exception):
    """A file that cannot be changed, with the reason and the remedy. Nothing was written."""


@dataclass(frozen=True, kw_only=True)
class Root:
    """The file system that is written to: `directory` stands for /, `home` is the user's in it."""

    directory: Path
    home: str

    def place(self, path: str) -> Path:
        """Where a client's path is. Raises Refused for one that leads out of `directory`."""
        if path.startswith("~/"):
            path = f"{self.home}/{path[2:]}"
        elif not path.startswith("/") and self.directory == Path("/"):
            return Path(path)
        found = self.directory / path.lstrip("/")
        inside = self.directory.resolve()
        if ".." in Path(path).parts or not found.resolve().is_relative_to(inside):
            raise Refused(f"{found} leads to {found.resolve()}, out of {inside}: nothing was written")
        return found


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file. `before` or `after` None: there is none. `secret`: not to be shown."""

    path: Path
    before: str | None
    after: str | None
    secret: bool = False

    def apply(self) -> None:
        """Writes the file at once as a whole, with the mode and the owner that it had. Raises Refused."""
        target = self.path.resolve()  # a link stays one
        try:
            if self.after is None:
                target.unlink()
                return
            target.parent.mkdir(mode=0o700 if self.secret else 0o777, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=target.parent, prefix=f".{target.name}.", delete=False) as beside:
                beside.write(self.after)
            if self.before is not None:
                there = target.stat()
                os.chmod(beside.name, there.st_mode & 0o7777)
                with contextlib.suppress(PermissionError):
                    os.chown(beside.name, there.st_uid, there.st_gid)
            else:
                os.chmod(beside.name, 0o600 if self.secret else 0o644)
            os.replace(beside.name, target)
        except OSError as error:
            raise Refused(f"{self.path}: {error.strerror}; are you root?") from None


def plan(
    root: Root,
    wanted: Files,
    *,
    stale: Sequence[Files] = (),
    shared: Collection[str] = (),
    secret: Files | None = None,
) -> list[Change]:
    """What is to change: `wanted` and `secret` there, and of `stale` nothing but what is wanted.

    `shared`: the paths of files that are merged into. Raises Refused, before anything is written.
    """
    secret = secret or {}
    changes = []
    for path in dict.fromkeys([*(path for files in stale for path in files), *wanted, *secret]):
        place = root.place(path)
        before = read(place)
        piece = wanted.get(path, secret.get(path))
        if path in shared:
            try:
                after = merged(path, before, piece, [files[path] for files in stale if path in files])
            except Malformed as malformed:
                line = f", line {malformed.line}" if malformed.line else ""
                raise Refused(f"{place}{line}: {malformed}; repair it first, nothing was written") from None
        else:
            after = piece
        if before != after:
            changes.append(Change(path=place, before=before, after=after, secret=path in secret))
    return changes


def read(place: Path) -> str | None:
    """The file's text, None where there is none. Raises Refused."""
    try:
        return place.read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise Refused(f"{place} is no text: nothing was written") from None
    except OSError as error:
        raise Refused(f"{place}: {error.strerror}; nothing was written") from None
