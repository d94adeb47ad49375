"""`python -m components.smoke`: proves that a deployed registry does what its settings say.

Anonymous pull, refused anonymous push, refused wrong password, and each account where it may push and where it may
not. What it pushes it deletes again. Exit status: 0 all well, 1 a check failed, 2 the registry or its stack not found.
"""

import argparse
import contextlib
import secrets
import socket
import ssl
import string
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
from . import outputs as stack
from .protocol import MANIFEST_TYPE, Client, Refused, digest
from .render.front import smoke_repositories
from .settings import Account, Permission

TAG = "smoke"
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0
NEEDED = ("policy", "accounts", "clusterIp", "namespace", "service", "host", "url")


class NotFound(Exception):
    """No registry to test; the text says what to do."""


class Failed(Exception):
    """A check's finding."""


@dataclass(frozen=True, kw_only=True)
class Check:
    title: str
    run: Callable[[], str | None]
    """Gives a remark for the table; raises Failed, Refused or httpx.HTTPError."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The registry as it is reached from here. `server_name`: what its certificate is for, where `url` has an address.

    `encrypted`: the same with TLS, where `url` is without.
    """

    url: str
    verify: ssl.SSLContext | bool = True
    server_name: str | None = None
    encrypted: "Target | None" = None

    def client(self, login: tuple[str, str] | None = None) -> Client:
        return Client(self.url, login, timeout=ANSWER_SECONDS, verify=self.verify, server_name=self.server_name)


def checks(target: Target, outputs: Mapping[str, Any]) -> list[Check]:
    """What there is to prove of the registry, by the stack's outputs."""
    policy = outputs["policy"]
    open_ = policy["anonymous"] == "pull"
    result = [
        Check(title="asks for a token on the host that was asked", run=lambda: _challenge(target)),
        Check(
            title="anonymous pull works" if open_ else "anonymous pull is refused",
            run=lambda: _anonymous_pull(target, open_),
        ),
        Check(title="anonymous push is refused", run=lambda: _anonymous_push(target, open_)),
    ]
    if target.encrypted:
        result.append(Check(title="speaks TLS, with a certificate that clients trust", run=lambda: _encrypted(target)))
    for name, rights in policy["accounts"].items():
        account = Account(
            name=name,
            repositories=tuple(rights["repositories"]),
            permissions=tuple(Permission(p) for p in rights["permissions"]),
        )
        login = (name, outputs["accounts"][name]["password"])
        result += _account_checks(target, account, login, open_)
    return result


def _account_checks(target: Target, account: Account, login: tuple[str, str], open_: bool) -> list[Check]:
    name = account.name
    found = [Check(title=f"{name}: a wrong password is refused", run=lambda: _wrong_password(target, name))]
    if Permission.PUSH not in account.permissions:
        found.append(
            Check(
                title=f"{name}: cannot push",
                run=lambda: _expect(403, lambda: _may_push(target, login, names.SMOKE_REPOSITORY)),
            )
        )
        return found
    for repository in smoke_repositories(account):
        found.append(
            Check(
                title=f"{name}: pushes to {repository}, and it comes back the same",
                run=lambda repository=repository: _round_trip(target, login, repository, open_),
            )
        )
    for repository in account.repositories:
        if not repository.endswith("*"):
            found.append(
                Check(
                    title=f"{name}: may push to {repository}",
                    run=lambda repository=repository: _may_push(target, login, repository),
                )
            )
    if elsewhere := _elsewhere(account):
        found.append(
            Check(
                title=f"{name}: cannot push elsewhere",
                run=lambda: _expect(403, lambda: _may_push(target, login, elsewhere)),
            )
        )
    return found


def _elsewhere(account: Account) -> str | None:
    """A repository in which the account may not push; None where there is no such one."""

    def covers(pattern: str, repository: str) -> bool:
        return repository.startswith(pattern[:-1]) if pattern.endswith("*") else repository == pattern

    for first in string.ascii_lowercase + string.digits:
        repository = f"{first}-{names.SMOKE_REPOSITORY}"
        if not any(covers(pattern, repository) for pattern in account.repositories):
            return repository
    return None


def _challenge(target: Target) -> str:
    with target.client() as client:
        realm = httpx.URL(client.challenge())
    if realm.netloc != httpx.URL(target.url).netloc:
        raise Failed(f"the realm is {realm}")
    return str(realm)


def _encrypted(target: Target) -> str:
    return _challenge(target.encrypted)


def _anonymous_pull(target: Target, open_: bool) -> None:
    def pull() -> None:
        with target.client() as client:
            client.request("GET", "/v2/_catalog", params={"n": 1})

    if open_:
        pull()
    else:
        _expect(401, pull)


def _anonymous_push(target: Target, open_: bool) -> str | None:
    return _expect(401, lambda: _may_push(target, None, names.SMOKE_REPOSITORY))


def _wrong_password(target: Target, name: str) -> str | None:
    def login() -> None:
        with target.client((name, secrets.token_urlsafe(16))) as client:
            client.login()

    return _expect(401, login)


def _may_push(target: Target, login: tuple[str, str] | None, repository: str) -> str:
    """Proves the right to push by what the registry then refuses, so that it leaves nothing.

    A started upload would: the registry keeps a file of each, also when it is taken back (distribution 3.1).
    """

    def push() -> None:
        with target.client(login) as client:
            headers = {"Content-Type": MANIFEST_TYPE}
            client.request("PUT", f"/v2/{repository}/manifests/{TAG}", content=b"no manifest", headers=headers)

    _expect(400, push)
    return "let through, with a manifest that is none"


def _round_trip(target: Target, login: tuple[str, str], repository: str, open_: bool) -> str:
    # The same bytes at every run: what deleting leaves on the volume until a garbage collection does not grow.
    layer = f"{repository} by {login[0]}\n".encode() * 1000
    with target.client(login) as pusher, target.client(None if open_ else login) as puller:
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


def run(target: Target, outputs: Mapping[str, Any], console: Console) -> bool:
    """Runs every check, prints them as a table, and tells whether all are well."""
    table = Table("", "check", "", "ms", title=f"smoke test of {target.url}", title_justify="left")
    well = True
    with console.status("testing …"):
        for check in checks(target, outputs):
            start = time.monotonic()
            try:
                mark, remark = "[green]✓[/]", check.run() or ""
            except (Failed, Refused, httpx.HTTPError) as error:
                mark, remark, well = "[red]✗[/]", str(error) or type(error).__name__, False
            table.add_row(mark, check.title, remark, f"{(time.monotonic() - start) * 1000:.0f}")
    console.print(table)
    return well


def _present(target: Target, namespace: str) -> None:
    """Raises NotFound where nothing answers."""
    try:
        with target.client() as client:
            client.challenge()
    except Refused:
        pass  # a check says so
    except httpx.TransportError as error:
        remedy = f"kubectl --namespace {namespace} get pods"
        raise NotFound(f"nothing answers at {target.url} ({error}); is its pod ready? {remedy}") from None


def trust(outputs: Mapping[str, Any]) -> ssl.SSLContext | bool:
    """What the stack says that clients are to trust."""
    ca = outputs.get("caCertificate")
    return ssl.create_default_context(cadata=ca) if ca else True


@contextlib.contextmanager
def reached(outputs: Mapping[str, Any], context: str | None) -> Iterator[Target]:
    """The registry from here: by its Service's address, or else by a port that kubectl forwards to it."""
    address = f"[{outputs['clusterIp']}]" if ":" in outputs["clusterIp"] else outputs["clusterIp"]
    encrypted = outputs["url"].startswith("https:")
    plain = outputs["policy"].get("http", True)
    tls = {"verify": trust(outputs), "server_name": outputs["host"]} if encrypted else {}
    port = names.HTTP_PORT if plain else names.HTTPS_PORT
    with contextlib.suppress(OSError):
        socket.create_connection((outputs["clusterIp"], port), timeout=CONNECT_SECONDS).close()
        by_tls = Target(url=f"https://{address}", **tls) if encrypted else None
        yield Target(url=f"http://{address}", encrypted=by_tls) if plain else by_tls
        return
    service, namespace = outputs["service"], outputs["namespace"]
    command = ["kubectl", "--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
    command += ["--context", context] if context else []
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise NotFound(f"{address} cannot be reached from here and there is no kubectl: give --url") from None
    try:
        line = process.stdout.readline()  # Forwarding from 127.0.0.1:PORT -> 8080
        if not line.startswith("Forwarding from 127.0.0.1:"):
            raise NotFound(f"kubectl port-forward: {process.stderr.read().strip() or line.strip()}")
        local = f"127.0.0.1:{line.split(':')[1].split()[0]}"
        yield Target(url=f"http://{local}") if plain else Target(url=f"https://{local}", **tls)
    finally:
        process.terminate()
        process.wait()


def _tested(options: argparse.Namespace, outputs: Mapping[str, Any], console: Console) -> int:
    given = contextlib.nullcontext(Target(url=options.url, verify=trust(outputs)) if options.url else None)
    with given if options.url else reached(outputs, options.context) as target:
        _present(target, outputs["namespace"])
        return 0 if run(target, outputs, console) else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m components.smoke", description=__doc__.split("\n")[0], parents=[stack.arguments()]
    )
    parser.add_argument("--url", help="where the registry is; default: its Service's address, else a port-forward")
    parser.add_argument(
        "--wait", type=float, default=0, metavar="SECONDS", help="for the registry to come up; default: 0"
    )
    parser.add_argument("--context", help="of the kubeconfig, for the port-forward")
    options = parser.parse_args()
    console = Console()
    try:
        outputs = stack.outputs(options, *NEEDED, secrets=True)
        end = time.monotonic() + options.wait
        while True:
            try:
                return _tested(options, outputs, console)
            except NotFound:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
    except (NotFound, stack.NoStack, OSError, ValueError) as error:
        print(f"smoke test: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
