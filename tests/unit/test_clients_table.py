"""The README's table of clients, and what the components say of the same."""

from components.render.clients import CLIENTS
from tests.clients import results, table


def test_the_readmes_table_is_that_of_the_committed_results() -> None:
    readme = table.README.read_text()
    assert table.rendered(readme) == readme, "python -m tests.clients.table"


def test_the_proven_versions_are_those_of_the_committed_results() -> None:
    for name, client in CLIENTS.items():
        entries = [entry for entry in results.load().values() if entry["client"] == name]
        assert client.proven == tuple(entry["version"] for entry in entries), name


def test_no_tick_stands_for_a_client_that_did_nothing() -> None:
    for name, entry in results.load().items():
        assert entry["modes"]["plain"]["pull"]["ok"], name
