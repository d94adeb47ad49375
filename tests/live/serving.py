"""The rendered front and the real registry as processes on loopback."""

import contextlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import httpx

from components import protocol
from components.accounts import BCRYPT_COST
from components.render import distribution, front
from components.render.front import Listen
from components.resolve import resolve
from components.settings import Settings
from lab import serve

START_SECONDS = 30.0
STOP_SECONDS = 15.0
CERTIFICATE_PATH = "a-path-that-nobody-guesses"


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(true: Callable[[], object], why: str, seconds: float = START_SECONDS) -> float:
    """Waits until `true()`. How many seconds it took; raises AssertionError with `why` when it takes too long."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, f"not within {seconds:.0f} s: {why}"
        time.sleep(0.02)
    return time.monotonic() - start


def answers(url: str) -> bool:
    """Whether anything but an error of the server's comes back."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code < 500
    except httpx.HTTPError:
        return False


class Process:
    """A program that runs until `stop`; what it writes is in `log`."""

    def __init__(self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def wait(self, ready: Callable[[], object]) -> None:
        def ready_or_dead() -> object:
            assert self.runs, f"{self._process.args[0]} ended at once:\n{self.text[-2000:]}"
            return ready()

        try:
            until(ready_or_dead, f"{self._process.args[0]} does not answer")
        except BaseException:
            self.stop()
            raise

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        if self.runs:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


@dataclass(kw_only=True)
class Site:
    """A registry behind its front. `environment` is the registry's."""

    folder: Path
    settings: Settings
    passwords: Mapping[str, str]
    listen: Listen
    own_registry: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    http_secret: str = field(default_factory=secrets.token_hex)
    registry: Process | None = None
    front: Process | None = None

    @property
    def host(self) -> str:
        return f"{self.listen.host}:{self.listen.http}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def registry_url(self) -> str:
        """Past the front."""
        return f"http://127.0.0.1:{self.listen.registry}"

    @property
    def storage(self) -> Path:
        return self.folder / "volume" / "data"

    @property
    def caddyfile(self) -> Path:
        return self.folder / "Caddyfile"

    def login(self, account: str) -> tuple[str, str]:
        return account, self.passwords[account]

    def client(self, account: str) -> protocol.Client:
        return protocol.Client(self.url, self.login(account))

    @property
    def outputs(self) -> dict[str, object]:
        """What a stack's outputs say of it, as far as the smoke test reads them."""
        return {
            "host": self.host,
            "url": self.url,
            "namespace": self.settings.namespace,
            "service": self.settings.service.name,
            "clusterIp": "127.0.0.1",
            "policy": self.settings.policy,
            "accounts": {name: {"username": name, "password": word} for name, word in self.passwords.items()},
        }

    def start(self) -> None:
        (self.folder / "config.yml").write_text(distribution.config(self.listen, str(self.storage)))
        self.storage.mkdir(parents=True)
        self.write_caddyfile()
        if self.own_registry:
            self.start_registry()
        self.start_front()

    def start_registry(self) -> None:
        self.registry = Process(
            serve.commands(self.folder)["registry"],
            self.folder / "registry.log",
            {"REGISTRY_HTTP_SECRET": self.http_secret, "OTEL_TRACES_EXPORTER": "none", **self.environment},
        )
        self.registry.wait(lambda: answers(self.registry_url))

    def start_front(self) -> None:
        self.front = Process(
            serve.commands(self.folder)["front"],
            self.folder / "front.log",
            {name: str(self.folder / "caddy") for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")},
        )
        self.front.wait(lambda: answers(f"{self.url}/livez"))

    def write_caddyfile(self) -> None:
        hashes = [hashed(self.passwords[account.name]) for account in self.settings.accounts]
        text = front.caddyfile(
            self.settings,
            hashes,
            self.listen,
            certificate_path=CERTIFICATE_PATH,
            certificates=str(self.folder / "certificates"),
        )
        beside = self.caddyfile.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.caddyfile)

    def stop(self) -> None:
        for process in (self.front, self.registry):
            if process:
                process.stop()


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()


def generated(settings: Settings) -> dict[str, str]:
    """A password for each account."""
    return {account.name: secrets.token_urlsafe(18) for account in settings.accounts}


@contextlib.contextmanager
def serving(folder: Path, args: Mapping[str, object], upstream: int | None = None, **options: object) -> Iterator[Site]:
    """A running registry of the given arguments. `upstream`: the port of what stands in for the registry."""
    settings = resolve(args)
    given = {"passwords": generated(settings), "listen": listen_on_loopback(upstream), **options}
    site = Site(folder=folder, settings=settings, own_registry=upstream is None, **given)
    try:
        site.start()
        yield site
    finally:
        site.stop()


def listen_on_loopback(registry: int | None = None) -> Listen:
    """Ports that nobody listens on. `registry`: of what is there already."""
    http, https, metrics, certificate, free, debug = free_ports(6)
    return Listen(
        host="127.0.0.1",
        http=http,
        https=https,
        metrics=metrics,
        certificate=certificate,
        redirect=https,
        registry=registry or free,
        registry_debug=debug,
    )
