"""The outputs of a stack, for the commands that work with a deployed registry."""

import argparse
import contextlib
import json
import subprocess
import sys
from typing import Any


class NoStack(Exception):
    """No stack, or one without an output that is needed; the text says what to do."""


def arguments() -> argparse.ArgumentParser:
    """The options that say which stack, as a parent of a command's own parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--stack", help="default: the selected one")
    parser.add_argument(
        "--outputs", metavar="FILE", help="read `pulumi stack output --json` from a file, - for standard input"
    )
    return parser


def outputs(options: argparse.Namespace, *needed: str, secrets: bool = False) -> dict[str, Any]:
    """What the stack says. `secrets`: with the passwords. Raises NoStack where one of `needed` is not there."""
    if options.outputs:
        with contextlib.nullcontext(sys.stdin) if options.outputs == "-" else open(options.outputs) as file:
            found = json.load(file)
    else:
        command = ["pulumi", "stack", "output", "--json", *(["--stack", options.stack] if options.stack else [])]
        try:
            done = subprocess.run(
                [*command, *(["--show-secrets"] if secrets else [])], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise NoStack("no pulumi on PATH: install it, or give --outputs FILE") from None
        if done.returncode:
            raise NoStack(f"pulumi stack output: {done.stderr.strip()}")
        found = json.loads(done.stdout)
    missing = [key for key in needed if not isinstance(found, dict) or key not in found]
    if missing:
        raise NoStack(f"the stack has no output {', '.join(missing)}: run `pulumi up` first")
    return found
