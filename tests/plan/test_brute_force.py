"""The program against enumeration of every fleet, over the candidates before any pruning."""

import pytest

from tests.plan.agreement import assert_enumeration_agrees

SEEDS_PER_TEST = 20
BATCHES = [range(start, start + SEEDS_PER_TEST) for start in range(0, 400, SEEDS_PER_TEST)]


@pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_enumeration_agrees(seeds):
    """Objective and feasibility are those of enumeration; every plan passes `check`."""
    for seed in seeds:
        assert_enumeration_agrees(seed)
