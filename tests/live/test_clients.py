"""Anonymous pull and authenticated push with the programs that users have."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components import protocol
from lab import programs

from . import clients
from .clients import Client, Refused
from .serving import Site

ORDINARY = re.compile(r"unauthori[sz]ed|authentication required|denied|forbidden|invalid username/password", re.I)
SIMPLE = {each.name: each for each in (clients.Skopeo, clients.Buildah, clients.Podman, clients.Crane, clients.Oras)}
DAEMONS = {each.name: each for each in (clients.Containerd, clients.Docker)}
WRONG = ("ci", "not-the-password")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clients.tiny_image(tmp_path_factory.mktemp("image") / "tiny.tar")


@pytest.fixture(scope="module")
def containerd_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("containerd and dockerd need root")
    process, address = clients.start_containerd(tmp_path_factory.mktemp("containerd"))
    yield address
    process.stop()


@pytest.fixture(scope="module")
def docker_address(tmp_path_factory: pytest.TempPathFactory, containerd_address: Path) -> Iterator[Path]:
    process, address = clients.start_docker(tmp_path_factory.mktemp("docker"), containerd_address)
    yield address
    process.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Podman refuses a run folder whose path is longer than 50 characters, as pytest's are."""
    with tempfile.TemporaryDirectory(prefix="live-", ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture(params=[*SIMPLE, *DAEMONS])
def new_client(request: pytest.FixtureRequest, folder: Path, image: Path) -> Callable[[Site], Client]:
    """Makes the client, with an empty home and store, for a registry."""

    def new(site: Site) -> Client:
        name = request.param
        try:
            if name in SIMPLE:
                return SIMPLE[name](folder, site.host, image)
            return DAEMONS[name](folder, site.host, image, request.getfixturevalue(f"{name}_address"))
        except programs.Missing as missing:
            pytest.skip(str(missing))

    return new


@pytest.fixture
def client(new_client: Callable[[Site], Client], site: Site) -> Client:
    return new_client(site)


@pytest.fixture(scope="module")
def pushed(site: Site) -> str:
    """A repository with something in it that every client pulls."""
    with protocol.Client(site.url, site.login("ci")) as pusher:
        clients.push_tiny(pusher, "team/tiny", "1")
    return "team/tiny"


def refuses(action: Callable[[], None]) -> None:
    with pytest.raises(Refused, match=ORDINARY) as refused:
        action()
    assert "Retrying in" not in str(refused.value), "it must not take the refusal for a passing failure"


def test_pull_without_login(client: Client, pushed: str) -> None:
    client.pull(pushed)


def test_login_then_push_then_pull(client: Client, site: Site) -> None:
    client.prepare()
    client.login(site.login("ci"))
    client.push(f"team/by-{client.name}")
    client.pull(f"team/by-{client.name}")
    with protocol.Client(site.url) as anyone:
        assert anyone.pull_manifest(f"team/by-{client.name}", "1")


def test_push_with_the_credentials_of_a_pull_secret(client: Client, site: Site) -> None:
    client.prepare()
    client.remember(site.login("ci"))
    client.push(f"team/secret-{client.name}")


def test_push_without_login_is_refused(client: Client) -> None:
    client.prepare()
    refuses(lambda: client.push("team/refused"))


def test_push_with_a_wrong_password_is_refused(client: Client) -> None:
    client.prepare()
    client.remember(WRONG)
    refuses(lambda: client.push("team/refused"))


def test_push_elsewhere_is_refused(client: Client, site: Site) -> None:
    client.prepare()
    client.remember(site.login("ci"))
    refuses(lambda: client.push("other/refused"))


def test_login_with_a_wrong_password_is_refused(client: Client) -> None:
    if not client.checks_login:
        pytest.skip(f"{client.name} asks nobody at login")
    refuses(lambda: client.login(WRONG))


@pytest.mark.parametrize("new_client", ["skopeo", "podman", "crane", "containerd", "docker"], indirect=True)
def test_without_anonymous_pull_a_login_is_needed(new_client: Callable[[Site], Client], closed: Site) -> None:
    with protocol.Client(closed.url, closed.login("ci")) as pusher:
        clients.push_tiny(pusher, "team/tiny", "1")
    client = new_client(closed)
    refuses(lambda: client.pull("team/tiny"))
    client.login(closed.login("reader"))
    client.pull("team/tiny")


def test_nothing_was_left_of_what_was_refused(site: Site) -> None:
    with protocol.Client(site.url) as anyone:
        found = anyone.request("GET", "/v2/_catalog").json()["repositories"]
    assert not [name for name in found if "refused" in name]
