"""`python -m components.clients`: the files that make a client know the registry, shown, installed and checked.

They are made of the stack's outputs, and are the same that its output `clients` holds. Exit status: 0 all well, 1 a
check failed or a file cannot be changed, 2 a wrong argument or no stack.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import outputs
from .install import Change, Refused, Root, plan, read
from .reach import SLOW_SECONDS, reach
from .render.clients import CLIENTS, Client, Login, Place
from .render.endpoint import FORWARDED, Endpoint

Outputs = Mapping[str, Any]


class Wrong(Exception):
    """An argument, or a stack, that will not do; with the remedy."""


def found(name: str) -> Client:
    """The client of that name. Raises Wrong."""
    if name in CLIENTS:
        return CLIENTS[name]
    near = difflib.get_close_matches(name, CLIENTS, n=1, cutoff=0.4)
    raise Wrong(
        f"no client {name!r}{f'; did you mean {near[0]}?' if near else ''}; known: {', '.join(sorted(CLIENTS))}"
    )


class Wanted:
    """A client as it was asked for on the command line."""

    def __init__(self, client: Client, options: argparse.Namespace, told: Outputs) -> None:
        self.client = client
        self.place = Place(options.place) if options.place else self.client.places[0]
        self.version = options.version
        try:
            endpoint = Endpoint.of(told["endpoint"])
            self.endpoint = endpoint.outside(options.host) if self.place is Place.OUTSIDE else endpoint
        except (KeyError, TypeError) as error:
            raise Wrong(f"the stack's output 'endpoint' lacks {error}: run `pulumi up`") from None

    def files(self, read: Any = None) -> dict[str, str]:
        return self.client.files(self.endpoint, self.place, self.version, read)

    def secret(self, told: Outputs, account: str | None) -> dict[str, str]:
        """The file with the credentials of `account`; none for None. Raises Wrong."""
        if account is None:
            return {}
        if self.client.login is None:
            raise Wrong(f"{self.client.name} keeps no credentials")
        accounts = told.get("accounts") or {}
        if account not in accounts:
            raise Wrong(f"no account {account!r}; known: {', '.join(sorted(accounts))}")
        held = accounts[account]
        return self.client.login(self.endpoint, Login(username=held["username"], password=held["password"]))


def listed(console: Console) -> int:
    table = Table("client", "what", "places", "formats from version", "proven with", box=None, header_style="bold")
    for client in CLIENTS.values():
        formats = ", ".join(client.formats) if len(client.formats) > 1 else "–"
        table.add_row(client.name, client.title, ", ".join(client.places), formats, ", ".join(client.proven) or "–")
    console.print(table)
    return 0


def shown(wanted: Wanted, path: str | None, console: Console) -> int:
    files = wanted.files()
    if path is not None:
        if path not in files:
            raise Wrong(f"{wanted.client.name} has no file {path!r}; it has: {', '.join(files) or 'none'}")
        sys.stdout.write(files[path])
        return 0
    for name, content in files.items():
        shared = "  (to be merged into what is there)" if name in wanted.client.shared else ""
        console.print(f"[bold cyan]{escape(name)}[/]{shared}", soft_wrap=True)
        console.print(escape(content), highlight=False, soft_wrap=True)
    if not files:
        console.print("It needs no file: the certificate is of a CA that it trusts already.")
    _finish(wanted.client, console)
    return 0


def installed(wanted: Wanted, root: Root, secret: Mapping[str, str], dry: bool, console: Console) -> int:
    client = wanted.client
    files = wanted.files(lambda path: read(root.place(path)))
    changes = plan(root, files, stale=client.others(wanted.endpoint), shared=client.shared, secret=dict(secret))
    return _applied(changes, client, dry, console)


def removed(wanted: Wanted, root: Root, dry: bool, console: Console) -> int:
    stale = wanted.client.others(wanted.endpoint)
    return _applied(plan(root, {}, stale=stale, shared=wanted.client.shared), wanted.client, dry, console)


def _applied(changes: list[Change], client: Client, dry: bool, console: Console) -> int:
    for change in changes:
        _print(change, console)
    if not changes:
        console.print(f"{client.name}: nothing to change")
        return 0
    if dry:
        console.print("Nothing was written: --dry-run.")
        return 0
    for change in changes:
        change.apply()
    _finish(client, console)
    return 0


def _print(change: Change, console: Console) -> None:
    if change.secret:
        console.print(f"[bold]{escape(str(change.path))}[/]: credentials, not shown")
        return
    before, after = ((text or "").splitlines(keepends=True) for text in (change.before, change.after))
    old = "/dev/null" if change.before is None else str(change.path)
    new = "/dev/null" if change.after is None else str(change.path)
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in difflib.unified_diff(before, after, old, new):
        console.print(line.rstrip("\n"), style=colours.get(line[0]), markup=False, highlight=False, soft_wrap=True)


def _finish(client: Client, console: Console) -> None:
    if client.finish:
        console.print(f"[yellow]Then:[/] {escape(client.finish)}", highlight=False, soft_wrap=True)


def checked(wanted: Wanted, console: Console) -> int:
    client = wanted.client
    if client.probe is None:
        raise Wrong(f"{client.name} has nothing that asks a registry and changes nothing: try it by hand")
    with console.status(f"{client.name} asks {wanted.endpoint.host}"):
        finding = reach(client, wanted.endpoint, wanted.place)
    if finding.cause is None:
        console.print(f"[green]✓[/] {client.name} reaches {wanted.endpoint.host} ({finding.seconds:.1f} s)")
        if finding.seconds > SLOW_SECONDS:
            console.print("  That is slow: it waits for a port that does not answer.")
        return 0
    console.print(f"[red]✗[/] {client.name}: {finding.cause} ({finding.seconds:.1f} s)")
    console.print(f"  it says: {escape(finding.said)}", highlight=False, soft_wrap=True)
    console.print(f"  remedy: {escape(finding.remedy)}", highlight=False, soft_wrap=True)
    return 1


def parser() -> argparse.ArgumentParser:
    own = argparse.ArgumentParser(prog="python -m components.clients", description=__doc__.split("\n")[0])
    commands = own.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="every client, where it can stand and what it was proven with")
    stack = argparse.ArgumentParser(add_help=False, parents=[outputs.arguments()])
    stack.add_argument("--place", choices=list(Place), help="where the client runs; default: where it usually does")
    stack.add_argument("--version", help="of the client, where its formats differ; default: the newest format")
    stack.add_argument(
        "--host",
        default=FORWARDED,
        metavar="NAME:PORT",
        help="outside: by what name it is reached; default: %(default)s",
    )
    show = commands.add_parser("show", parents=[stack], help="print a client's files")
    show.add_argument("client", metavar="CLIENT")
    show.add_argument("path", nargs="?", metavar="PATH", help="of one file, to be printed as it is")
    change = argparse.ArgumentParser(add_help=False)
    change.add_argument("client", metavar="CLIENT")
    change.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="stands for /; default: %(default)s"
    )
    change.add_argument(
        "--home", default=os.path.expanduser("~"), metavar="DIR", help="what ~ is; default: %(default)s"
    )
    change.add_argument("--dry-run", action="store_true", help="print what would change, and write nothing")
    install = commands.add_parser("install", parents=[stack, change], help="write them, merged with what is there")
    install.add_argument("--with-credentials", metavar="ACCOUNT", help="write this account's password as well")
    commands.add_parser("remove", parents=[stack, change], help="take them out again; credentials stay")
    check = commands.add_parser("check", parents=[stack], help="ask the client itself whether it reaches the registry")
    check.add_argument("client", metavar="CLIENT")
    return own


def run(options: argparse.Namespace, console: Console) -> int:
    if options.command == "list":
        return listed(console)
    client = found(options.client)  # before a stack is asked
    account = getattr(options, "with_credentials", None)
    told = outputs.outputs(options, "endpoint", secrets=account is not None)
    wanted = Wanted(client, options, told)
    if options.command == "show":
        return shown(wanted, options.path, console)
    if options.command == "check":
        return checked(wanted, console)
    root = Root(directory=options.root, home=options.home)
    if options.command == "remove":
        return removed(wanted, root, options.dry_run, console)
    return installed(wanted, root, wanted.secret(told, account), options.dry_run, console)


def main() -> int:
    options = parser().parse_args()
    try:
        return run(options, Console())
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    except (Wrong, outputs.NoStack, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
