from collections.abc import Iterator

import pytest

from lab import programs

from .serving import Site, serving
from .wire import Recorder, recording

ACCOUNTS = [
    {"name": "ci", "repositories": ["team/*", "exact"]},
    {"name": "ci2", "repositories": ["other/*"], "permissions": ["push", "delete"]},
    {"name": "a.b", "repositories": ["dots/*"]},
    {"name": "axb", "repositories": ["x.y/*"]},
    {"name": "all", "permissions": ["push", "delete"]},
    {"name": "reader", "permissions": ["pull"]},
]


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    """Registry and Caddy are there: found, or built now."""
    for name in ("registry", "caddy"):
        try:
            programs.path(name)
        except programs.Missing as missing:
            pytest.skip(f"live tests need {name}: {missing}")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Anonymous pull, and accounts with all kinds of rights."""
    with serving(tmp_path_factory.mktemp("site"), {"accounts": ACCOUNTS}) as running:
        yield running


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same without anonymous pull."""
    with serving(tmp_path_factory.mktemp("closed"), {"accounts": ACCOUNTS, "anonymous": "none"}) as running:
        yield running


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    with recording() as running:
        yield running


@pytest.fixture(scope="session")
def _recorded_site(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("recorded"), {"accounts": ACCOUNTS}, upstream=recorder.port) as running:
        yield running


@pytest.fixture
def recorded(_recorded_site: Site, recorder: Recorder) -> Site:
    """A front before `recorder`, which has nothing in it yet."""
    recorder.take()
    return _recorded_site
