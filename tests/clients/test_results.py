"""What is claimed was seen."""

import pytest

from tests.clients import results
from tests.clients.results import Results

pytestmark = pytest.mark.clients


def test_every_tick_of_the_readme_was_earned_in_this_run(results_of_this_run: Results) -> None:
    claimed, seen = set(results.ticks(results.load())), set(results.ticks(results_of_this_run.entries))
    assert not claimed - seen, "take the new results: python -m tests.clients.table --take"
