"""`python -m components.smoke`: proves that a deployed registry does what its settings say.

Anonymous pull, refused anonymous push, refused wrong password, and each account where it may push and where it may
not. What it pushes it deletes again. Exit status: 0 all well, 1 a check failed, 2 the registry or its stack not found.
"""

import argparse
import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from . import names
from .protocol import Client, Refused, digest
from .render.front import smoke_repositories
from .settings import Account, Permission

ELSEWHERE = f"{names.SMOKE_REPOSITORY}/elsewhere"
TAG = "smoke"
CONNECT_SECONDS = 2.0


class NotFound(Exception):
    """No stack or no registry to test; the text says what to do."""


class Failed(Exception):
    """A check's finding."""


@dataclass(frozen=True, kw_only=True)
class Check:
    title: str
    run: Callable[[], str | None]
    """Gives a remark for the table; raises Failed, Refused or httpx.HTTPError."""


def checks(url: str, outputs: Mapping[str, Any]) -> list[Check]:
    """What there is to prove of the registry at `url`, by the stack's outputs."""
    policy = outputs["policy"]
    open_ = policy["anonymous"] == "pull"
    result = [
        Check(title="asks for a token on the host that was asked", run=lambda: _challenge(url)),
        Check(
            title="anonymous pull works" if open_ else "anonymous pull is refused",
            run=lambda: _anonymous_pull(url, open_),
        ),
        Check(title="anonymous push is refused", run=lambda: _anonymous_push(url, open_)),
    ]
    for name, rights in policy["accounts"].items():
        account = Account(
            name=name,
            repositories=tuple(rights["repositories"]),
            permissions=tuple(Permission(p) for p in rights["permissions"]),
        )
        login = (name, outputs["accounts"][name]["password"])
        result += _account_checks(url, account, login, open_)
    return result


def _account_checks(url: str, account: Account, login: tuple[str, str], open_: bool) -> list[Check]:
    name = account.name
    found = [Check(title=f"{name}: a wrong password is refused", run=lambda: _wrong_password(url, name))]
    if Permission.PUSH not in account.permissions:
        found.append(
            Check(title=f"{name}: cannot push", run=lambda: _expect(403, lambda: _client_upload(url, login, ELSEWHERE)))
        )
        return found
    for repository in smoke_repositories(account):
        found.append(
            Check(
                title=f"{name}: pushes to {repository}, and it comes back the same",
                run=lambda repository=repository: _round_trip(url, login, repository, open_),
            )
        )
    for repository in account.repositories:
        if not repository.endswith("*"):
            found.append(
                Check(
                    title=f"{name}: may push to {repository}",
                    run=lambda repository=repository: _client_upload(url, login, repository),
                )
            )
    if "*" not in account.repositories:
        found.append(
            Check(
                title=f"{name}: cannot push elsewhere",
                run=lambda: _expect(403, lambda: _client_upload(url, login, ELSEWHERE)),
            )
        )
    return found


def _challenge(url: str) -> str:
    with Client(url) as client:
        realm = httpx.URL(client.challenge())
    if realm.netloc != httpx.URL(url).netloc:
        raise Failed(f"the realm is {realm}")
    return str(realm)


def _anonymous_pull(url: str, open_: bool) -> None:
    def pull() -> None:
        with Client(url) as client:
            client.request("GET", "/v2/_catalog", params={"n": 1})

    if open_:
        pull()
    else:
        _expect(401, pull)


def _anonymous_push(url: str, open_: bool) -> str | None:
    def push() -> None:
        with Client(url) as client:
            client.start_upload(names.SMOKE_REPOSITORY)

    return _expect(401, push)


def _wrong_password(url: str, name: str) -> str | None:
    def login() -> None:
        with Client(url, (name, secrets.token_urlsafe(16))) as client:
            client.login()

    return _expect(401, login)


def _client_upload(url: str, login: tuple[str, str], repository: str) -> str:
    """Starts an upload and takes it back: proves the right to push, and leaves nothing."""
    with Client(url, login) as client:
        client.cancel_upload(client.start_upload(repository))
    return "an upload, taken back"


def _round_trip(url: str, login: tuple[str, str], repository: str, open_: bool) -> str:
    # The same bytes at every run: what deleting leaves on the volume until a garbage collection does not grow.
    layer = f"{repository} by {login[0]}\n".encode() * 1000
    with Client(url, login) as pusher, Client(url, None if open_ else login) as puller:
        image = pusher.push_image(repository, TAG, layer)
        try:
            if digest(puller.pull_manifest(repository, TAG)) != image:
                raise Failed("the manifest came back with another digest")
            if puller.pull_blob(repository, digest(layer)) != layer:
                raise Failed("the layer came back with another digest")
        finally:
            pusher.delete(repository, "manifests", image)
            for blob in (layer, b"{}"):
                pusher.delete(repository, "blobs", digest(blob))
        _expect(404, lambda: puller.pull_blob(repository, digest(layer)))
    return image[: len("sha256:") + 12]


def _expect(status: int, action: Callable[[], object]) -> str:
    try:
        action()
    except Refused as refused:
        if refused.status == status:
            return str(status)
        raise
    raise Failed(f"it was let through, where {status} was due")


def run(url: str, outputs: Mapping[str, Any], console: Console) -> bool:
    """Runs every check, prints them as a table, and tells whether all are well."""
    table = Table("", "check", "", "ms", title=f"smoke test of {url}", title_justify="left")
    well = True
    with console.status("testing …"):
        for check in checks(url, outputs):
            start = time.monotonic()
            try:
                mark, remark = "[green]✓[/]", check.run() or ""
            except (Failed, Refused, httpx.HTTPError) as error:
                mark, remark, well = "[red]✗[/]", str(error) or type(error).__name__, False
            table.add_row(mark, check.title, remark, f"{(time.monotonic() - start) * 1000:.0f}")
    console.print(table)
    return well


def stack_outputs(stack: str | None) -> dict[str, Any]:
    """Outputs of the selected (or the given) stack, with the passwords. Raises NotFound."""
    command = ["pulumi", "stack", "output", "--json", "--show-secrets", *(["--stack", stack] if stack else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotFound("no pulumi on PATH: install it, or give --outputs FILE") from None
    if done.returncode:
        raise NotFound(f"pulumi stack output: {done.stderr.strip()}")
    return _checked(json.loads(done.stdout))


def _checked(outputs: Any) -> dict[str, Any]:
    missing = [key for key in ("policy", "accounts", "clusterIp", "namespace") if key not in outputs]
    if missing:
        raise NotFound(f"the stack has no output {', '.join(missing)}: run `pulumi up` first")
    return outputs


@contextlib.contextmanager
def reached(outputs: Mapping[str, Any], context: str | None) -> Iterator[str]:
    """A URL of the registry from here: its Service's address, or else a port that kubectl forwards to it."""
    address = outputs["clusterIp"]
    with contextlib.suppress(OSError):
        socket.create_connection((address, names.HTTP_PORT), timeout=CONNECT_SECONDS).close()
        yield f"http://[{address}]" if ":" in address else f"http://{address}"
        return
    service, namespace = outputs["host"].split(".")[0], outputs["namespace"]
    command = ["kubectl", "--namespace", namespace, "port-forward", f"service/{service}", f":{names.HTTP_PORT}"]
    command += ["--context", context] if context else []
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise NotFound(f"{address} cannot be reached from here and there is no kubectl: give --url") from None
    try:
        line = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 8080
        if not line.startswith("Forwarding from 127.0.0.1:"):
            raise NotFound(f"kubectl port-forward: {process.stderr.read().strip() or line.strip()}")
        yield f"http://127.0.0.1:{line.split(':')[1].split()[0]}"
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m components.smoke", description=__doc__.split("\n")[0])
    parser.add_argument("--stack", help="default: the selected one")
    parser.add_argument("--url", help="where the registry is; default: its Service's address, else a port-forward")
    parser.add_argument(
        "--outputs",
        metavar="FILE",
        help="read `pulumi stack output --json --show-secrets` from a file, - for standard input",
    )
    parser.add_argument("--context", help="of the kubeconfig, for the port-forward")
    options = parser.parse_args()
    console = Console()
    try:
        if options.outputs:
            with contextlib.nullcontext(sys.stdin) if options.outputs == "-" else open(options.outputs) as file:
                outputs = _checked(json.load(file))
        else:
            outputs = stack_outputs(options.stack)
        where = contextlib.nullcontext(options.url) if options.url else reached(outputs, options.context)
        with where as url:
            return 0 if run(url, outputs, console) else 1
    except (NotFound, OSError, ValueError) as error:
        print(f"smoke test: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
