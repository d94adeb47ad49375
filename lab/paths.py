"""Where the lab keeps things: STATE (one cluster, in the repository) and CACHE (programs, for every clone)."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("LAB_STATE") or ROOT / ".lab").resolve()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "registry-lab"


def use(state: str | os.PathLike) -> None:
    """Work on another cluster's state; child processes follow."""
    global STATE
    STATE = Path(state).resolve()
    os.environ["LAB_STATE"] = str(STATE)


def state(*parts: str) -> Path:
    """A folder in STATE, made when absent. STATE holds keys and passphrases: for its owner alone."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = STATE.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(file: Path, text: str, mode: int = 0o644) -> bool:
    """Write text to file in one step; True when that changed it."""
    if file.is_file() and file.read_text() == text and file.stat().st_mode & 0o777 == mode:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
    part.replace(file)
    return True
