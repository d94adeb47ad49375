"""What each client did in a run, as `.lab/clients.json`; `docs/clients.json` is such a file, committed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import paths

RUN = paths.STATE / "clients.json"
COMMITTED = paths.ROOT / "docs" / "clients.json"

Entry = dict[str, Any]
"""{client, version, place, modes: {mode: {action: {ok, seconds, message}}}}"""


class Results:
    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def entry(self, name: str, **about: str) -> None:
        self.entries.setdefault(name, {**about, "modes": {}})

    def record(self, name: str, mode: str, action: str, ok: bool, seconds: float, message: str = "") -> None:
        told = {"ok": ok, "seconds": round(seconds, 2), **({"message": message} if message else {})}
        self.entries[name]["modes"].setdefault(mode, {})[action] = told

    def write(self) -> None:
        paths.write(RUN, json.dumps(self.entries, indent=2) + "\n")


def load(path: Path = COMMITTED) -> dict[str, Entry]:
    return json.loads(path.read_text())


def ticks(entries: dict[str, Entry]) -> Iterator[tuple[str, str, str, str]]:
    """What was seen to work: name, version, mode, action."""
    for name, entry in entries.items():
        for mode, actions in entry["modes"].items():
            for action, result in actions.items():
                if result["ok"]:
                    yield name, entry["version"], mode, action
