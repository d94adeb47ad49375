"""Accounts change while the front runs: nothing under way is cut off, and no process starts anew."""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from components.protocol import Client, Refused
from components.resolve import resolve

from .serving import Site, answers, generated, serving, until
from .wire import ask, basic, bearer, receive, request

SIZE = 64 * 1024 * 1024
PIECE = b"0123456789abcdef" * 4096
RELOAD_SECONDS = 15  # it takes about 1


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    accounts = [{"name": "old"}, {"name": "stays"}]
    with serving(tmp_path_factory.mktemp("reload"), {"accounts": accounts}) as running:
        yield running


def change_accounts(site: Site, *names: str) -> None:
    site.settings = resolve({"accounts": [{"name": name} for name in names]})
    site.passwords = {**generated(site.settings), **{k: v for k, v in site.passwords.items() if k in names}}
    site.write_caddyfile()


def status(site: Site, method: str, path: str, header: tuple[str, str]) -> int:
    """Asks again after a reset. Caddy listens on a new socket at each reload and closes the old one: what the kernel
    had put into that one's queue in the same millisecond, before anything accepted it, is reset."""
    for _ in range(3):
        with contextlib.suppress(ConnectionError):
            return ask(site.listen.http, method, path, [header]).status
    raise AssertionError("the front does not answer")


def accepts(site: Site, login: tuple[str, str]) -> bool:
    return status(site, "GET", "/token", basic(login)) == 200


class Slow(threading.Thread):
    """A transfer that stops half-way until it is told to go on."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.site, self.half, self.go_on = site, threading.Event(), threading.Event()
        self.result: object = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.transfer()
        except Exception as error:
            self.result = error
        self.half.set()

    def pause(self, done: int) -> None:
        if done >= SIZE // 2 and not self.half.is_set():
            self.half.set()
            self.go_on.wait(60)

    def transfer(self) -> object:
        raise NotImplementedError


class Upload(Slow):
    """By the account "old", which is gone when it goes on. The result is the status and the digest."""

    def transfer(self) -> tuple[int, str]:
        login, digest, done = self.site.login("old"), hashlib.sha256(), 0
        with Client(self.site.url, login) as client:
            location = httpx.URL(client.start_upload("big"))
        with socket.create_connection(("127.0.0.1", self.site.listen.http), timeout=60) as connection:
            whole = hashlib.sha256(PIECE * (SIZE // len(PIECE))).hexdigest()
            target = location.copy_merge_params({"digest": f"sha256:{whole}"}).raw_path.decode()
            head = request("PUT", target, [bearer(login), ("Content-Length", str(SIZE))])
            connection.sendall(head.replace(b"Content-Length: 0\r\n", b""))
            while done < SIZE:
                connection.sendall(PIECE)
                digest.update(PIECE)
                done += len(PIECE)
                self.pause(done)
            return receive(connection, "PUT").status, f"sha256:{digest.hexdigest()}"


class Download(Slow):
    """The result is the digest of what came."""

    def __init__(self, site: Site, blob: str) -> None:
        self.blob = blob
        super().__init__(site)

    def transfer(self) -> str:
        digest, done = hashlib.sha256(), 0
        url = f"{self.site.url}/v2/big/blobs/{self.blob}"
        with httpx.stream("GET", url, timeout=60, trust_env=False) as response:
            for piece in response.iter_bytes(len(PIECE)):
                digest.update(piece)
                done += len(piece)
                self.pause(done)
        return f"sha256:{digest.hexdigest()}"


def test_an_account_comes_and_one_goes_while_transfers_are_under_way(site: Site) -> None:
    pid, old = site.front.pid, site.login("old")
    with Client(site.url, site.login("stays")) as client:
        blob = client.push_blob("big", PIECE * (SIZE // len(PIECE)))
    download, upload = Download(site, blob), Upload(site)
    assert download.half.wait(60)
    assert upload.half.wait(60)
    assert download.result is None, "it must be under way"
    assert upload.result is None, "it must be under way"

    change_accounts(site, "stays", "new")
    until(lambda: accepts(site, site.login("new")), "the new account is not served", RELOAD_SECONDS)
    until(lambda: not accepts(site, old), "the removed account is still served", RELOAD_SECONDS)
    assert accepts(site, site.login("stays"))

    for transfer in (download, upload):
        transfer.go_on.set()
        transfer.join(60)
    assert download.result == blob, "the download was cut off"
    assert upload.result == (201, blob), "the upload was cut off"
    assert site.front.runs
    assert site.front.pid == pid
    with Client(site.url, old) as client, pytest.raises(Refused):
        client.start_upload("big")


def test_a_changed_password_holds_and_the_old_one_does_not(site: Site) -> None:
    old = site.login("stays")
    site.passwords = {**site.passwords, "stays": "another password"}
    site.write_caddyfile()
    until(lambda: accepts(site, ("stays", "another password")), "the new password is refused", RELOAD_SECONDS)
    assert not accepts(site, old)
    assert status(site, "POST", "/v2/a/blobs/uploads/", bearer(old)) == 401, "tokens end as well"


def test_a_changed_right_holds(site: Site) -> None:
    accounts = [{"name": "old", "repositories": ["mine/*"]}, {"name": "stays"}]
    site.settings = resolve({"accounts": accounts})
    site.write_caddyfile()

    def refused() -> bool:
        return status(site, "POST", "/v2/other/blobs/uploads/", bearer(site.login("old"))) == 403

    until(refused, "the account still pushes where it may no more", RELOAD_SECONDS)
    assert status(site, "POST", "/v2/mine/a/blobs/uploads/", bearer(site.login("old"))) == 202


def test_a_caddyfile_that_does_not_parse_leaves_the_old_one_serving(site: Site) -> None:
    """Caddy then reads no further one before it is started anew (watchConfigFile in its cmd/main.go)."""
    pid = site.front.pid
    site.caddyfile.write_text(site.caddyfile.read_text().replace("basic_auth bcrypt registry", "no_such_directive"))
    until(lambda: "no_such_directive" in site.front.text, "the front does not say what is wrong", RELOAD_SECONDS)
    assert answers(f"{site.url}/livez")
    assert accepts(site, site.login("old"))
    assert (site.front.pid, site.front.runs) == (pid, True)


def test_a_caddyfile_that_cannot_be_applied_leaves_the_old_one_serving_until_a_good_one_comes(site: Site) -> None:
    text = site.caddyfile.read_text()
    impossible = f"{site.caddyfile}/log"  # below what is no folder
    assert "output stdout" in text
    site.caddyfile.write_text(text.replace("output stdout", f"output file {impossible}"))
    until(lambda: "applying latest config" in site.front.text, "the front does not say what is wrong", RELOAD_SECONDS)
    assert accepts(site, site.login("old"))
    change_accounts(site, "stays", "later")
    until(lambda: accepts(site, site.login("later")), "the good file is not read", RELOAD_SECONDS)
    assert not accepts(site, ("old", "x"))
