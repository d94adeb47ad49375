"""The smoke test itself, against registries that are as their stack says, and against those that are not."""

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from components.resolve import resolve
from components.smoke import main

from .serving import Site, free_ports, generated, serving

ROOT = Path(__file__).parents[2]
ACCOUNTS = [
    {"name": "push"},
    {"name": "team", "repositories": ["team/*", "exact"]},
    {"name": "cleaner", "repositories": ["old/*"], "permissions": ["push", "delete"]},
    {"name": "reader", "permissions": ["pull"]},
]


@dataclasses.dataclass(frozen=True)
class Done:
    status: int
    out: str
    error: str

    def shows(self, passwords: Mapping[str, str]) -> list[str]:
        """Accounts whose password stands in what was printed."""
        return [name for name, word in passwords.items() if word in self.out + self.error]


Smoke = Callable[[Mapping[str, object], str], Done]


@pytest.fixture
def smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smoke:
    monkeypatch.setenv("COLUMNS", "160")

    def run(outputs: Mapping[str, object], url: str) -> Done:
        file = tmp_path / "outputs.json"
        file.write_text(json.dumps(outputs))
        monkeypatch.setattr("sys.argv", ["smoke", "--outputs", str(file), "--url", url])
        status = main()
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("smoke"), {"accounts": ACCOUNTS}) as running:
        yield running


def files(site: Site) -> set[str]:
    return {str(path.relative_to(site.storage)) for path in site.storage.rglob("*") if path.is_file()}


def test_all_is_well_where_the_registry_is_as_its_outputs_say_and_nothing_is_left(site: Site, smoke: Smoke) -> None:
    done = smoke(site.outputs, site.url)
    assert done.status == 0, done.out + done.error
    assert "✗" not in done.out
    for account in ACCOUNTS:
        assert f"{account['name']}: a wrong password is refused" in done.out
    assert done.shows(site.passwords) == []

    repositories = httpx.get(f"{site.registry_url}/v2/_catalog", trust_env=False).json()["repositories"]
    assert repositories, "else it has pushed nothing"
    for repository in repositories:
        answer = httpx.get(f"{site.registry_url}/v2/{repository}/tags/list", trust_env=False)
        assert answer.status_code == 404 or not answer.json()["tags"], repository
    left = files(site)
    assert [path for path in left if re.search("/_uploads/|/_layers/.*/link$|/current/link$", path)] == []

    assert smoke(site.outputs, site.url).status == 0
    assert files(site) == left, "a second run must not make the volume grow"


def test_all_is_well_without_anonymous_pull(tmp_path: Path, smoke: Smoke) -> None:
    with serving(tmp_path, {"accounts": ACCOUNTS, "anonymous": "none"}) as site:
        done = smoke(site.outputs, site.url)
    assert done.status == 0, done.out
    assert "anonymous pull is refused" in done.out


def test_it_is_a_program_of_its_own(site: Site, tmp_path: Path) -> None:
    """With outputs as the engine prints them, on standard input; on a narrow terminal."""
    command = [sys.executable, "-m", "components.smoke", "--outputs", "-", "--url", site.url]
    outputs = json.dumps(site.outputs)
    done = subprocess.run(command, input=outputs, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓" in done.stdout


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"accounts": ACCOUNTS[1:]}, "push: pushes to"),
        ({"accounts": [{"name": "push", "repositories": ["less/*"]}, *ACCOUNTS[1:]]}, "push: pushes to"),
        ({"accounts": [*ACCOUNTS[:1], {"name": "team"}, *ACCOUNTS[2:]]}, "team: cannot push elsewhere"),
        ({"accounts": [*ACCOUNTS[:3], {"name": "reader"}]}, "reader: cannot push"),
        ({"accounts": ACCOUNTS, "anonymous": "none"}, "anonymous pull works"),
    ],
)
def test_it_tells_where_the_registry_is_not_as_its_outputs_say(
    tmp_path: Path, smoke: Smoke, change: Mapping[str, object], complaint: str
) -> None:
    said = resolve({"accounts": ACCOUNTS})
    passwords = generated(said)
    real = {account["name"]: passwords[account["name"]] for account in change["accounts"]}
    with serving(tmp_path, change, passwords=real) as site:
        claimed = dataclasses.replace(site, settings=said, passwords=passwords)
        done = smoke(claimed.outputs, site.url)
    assert done.status == 1, done.out + done.error
    assert [line for line in done.out.splitlines() if "✗" in line and complaint in line], done.out
    assert done.shows(passwords) == []


def test_a_registry_that_takes_any_password_fails(site: Site, smoke: Smoke) -> None:
    """The registry itself, without its front, lets everyone in."""
    done = smoke(site.outputs, site.registry_url)
    assert done.status == 1
    assert "✗" in done.out


def test_where_nothing_listens_it_says_in_one_line_what_to_do(site: Site, smoke: Smoke) -> None:
    done = smoke(site.outputs, f"http://127.0.0.1:{free_ports(1)[0]}")
    assert done.status == 2, done.out + done.error
    assert "kubectl" in done.error
    assert len(done.error.strip().splitlines()) == 1, done.error
    assert done.shows(site.passwords) == []


@pytest.mark.parametrize("outputs", [{}, {"policy": {}, "accounts": {}}])
def test_outputs_of_something_else_are_refused_in_one_line(smoke: Smoke, outputs: Mapping[str, object]) -> None:
    done = smoke(outputs, "http://127.0.0.1:1")
    assert done.status == 2
    assert "pulumi up" in done.error
    assert len(done.error.strip().splitlines()) == 1
