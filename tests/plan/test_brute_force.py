"""The program against enumeration of every fleet, over the candidates before any pruning."""

import pytest

from cuvee.plan.planner import plan_prepared
from cuvee.plan.problem import Objective
from cuvee.plan.program import Termination
from tests.plan.brute_force import best_value
from tests.plan.generated import generate
from tests.plan.instances import check_tiny, prepare_tiny

SEEDS_PER_TEST = 20
BATCHES = [range(start, start + SEEDS_PER_TEST) for start in range(0, 400, SEEDS_PER_TEST)]


@pytest.mark.parametrize("seeds", BATCHES, ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_enumeration_agrees(seeds):
    """Objective and feasibility are those of enumeration; every plan passes `check`."""
    for seed in seeds:
        asked, rates = generate(seed)
        prepared = prepare_tiny(asked, rates)
        plan = plan_prepared(prepared, explain=False)
        best = best_value(asked, prepared.fitting)
        if best is None:
            assert plan.termination is Termination.INFEASIBLE, seed
            continue
        assert plan.termination is Termination.OPTIMAL, seed
        assert plan.objective == pytest.approx(best, rel=1e-6), seed
        assert plan.bound is not None
        assert (plan.bound - best) * (1 if asked.objective is Objective.THROUGHPUT else -1) > -1e-6 * best, seed
        assert check_tiny(plan).ok, seed
