"""`python -m tests.clients.table`: docs/clients.json as the README's table of clients.

--take: the last run's results become docs/clients.json first. --check: only says whether the README is as it should be.
"""

import argparse
import re
import sys
from collections.abc import Mapping

from components.render.clients import CLIENTS
from lab import paths
from tests.clients import results
from tests.clients.results import Entry

README = paths.ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- clients -->\n).*(?=<!-- /clients -->)", re.S)
ACTIONS = ("pull", "login", "push", "refused")
HEADER = """\
| client | version | plain HTTP | internal CA | wrong CA | slowest |
|---|---|---|---|---|---|
"""
LEGEND = """
Plain HTTP and internal CA: pull, login, push, and a push without a login that is refused. Wrong CA: everything is
refused. – is what the client does not have. Slowest: of all that it did, with an image of one small layer.
*parsed*: its own code reads the file; *schema*: the file is what its documentation allows.
"""
# Their own code is run, without the program around it: tests/live/test_parsers.py.
PARSED = ("k3s", "rke2", "kind")
NO_PROGRAM = ("kubernetes",)  # objects, which the tests on the cluster use


def table(entries: Mapping[str, Entry]) -> str:
    return HEADER + "".join(_row(name, entry) for name, entry in entries.items()) + _not_run(entries) + LEGEND


def _row(name: str, entry: Entry) -> str:
    modes = entry["modes"]
    slowest = max(result["seconds"] for actions in modes.values() for result in actions.values())
    served = [" ".join(_mark(modes.get(mode, {}).get(action)) for action in ACTIONS) for mode in ("plain", "internal")]
    wrong = modes.get("wrong", {}).values()
    refused = next((result["message"] for result in wrong if not result["ok"]), "✓" if wrong else "–")
    cells = [name, entry["version"], *(cell if "✓" in cell else "–" for cell in served), refused, f"{slowest:.1f} s"]
    return f"| {' | '.join(cells)} |\n"


def _mark(result: Mapping[str, object] | None) -> str:
    if result is None:
        return "–"
    return "✓" if result["ok"] else "✗"


def _not_run(entries: Mapping[str, Entry]) -> str:
    run = {entry["client"] for entry in entries.values()} | set(NO_PROGRAM)
    rest = [name for name in CLIENTS if name not in run]
    schema = [name for name in rest if name not in PARSED]
    groups = ((how, ", ".join(names)) for how, names in (("parsed", PARSED), ("schema", schema)))
    return "".join(f"| {names} | | {how} | {how} | | |\n" for how, names in groups)


def rendered(readme: str) -> str:
    return BLOCK.sub(lambda _: table(results.load()), readme)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.clients.table", description=__doc__.split("\n")[0])
    parser.add_argument("--take", action="store_true", help="the last run's results become docs/clients.json first")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    if options.take:
        results.COMMITTED.write_text(results.RUN.read_text())
    before = README.read_text()
    after = rendered(before)
    if options.check:
        print("README.md is as docs/clients.json says" if before == after else "README.md is not: run without --check")
        return int(before != after)
    README.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
