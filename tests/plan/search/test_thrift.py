"""No replica that nobody needs: of a plan's own replicas the cheapest that reach as much."""

import numpy as np
import pytest

from cuvee.plan.program.formulation import build_program, rough_load_factor
from cuvee.plan.search.best_so_far import Found
from cuvee.plan.search.thrift import spent_least
from cuvee.plan.solver.program import Answer, Termination
from tests.plan.instances import demand, offer, prepare_tiny, problem


def test_replicas_that_nobody_needs_are_given_back():
    """One t1 for 4 $/h serves the first model's 1 req/s; of three t2 at 1 $/h the second model needs one.

    Tempting: 7 $/h within a budget of 7, which serve no more than 5 do.
    """
    asked = problem([offer("t1", 4.0, 1), offer("t2", 1.0, 3)], [demand(1.0), demand(1.0)], budget=7.0)
    prepared = prepare_tiny(asked, {"tiny:t1": [1.0], "tiny-2:t2": [1.0]})
    candidates = prepared.candidates
    unit = rough_load_factor(asked, candidates)
    program, layout = build_program(asked, candidates, load_factor_unit=unit)
    copies = np.where([label == "tiny" for label in _models(candidates)], 1.0, 3.0)
    x = np.zeros(layout.size)
    x[layout.copies] = copies
    wasteful = Answer(Termination.OPTIMAL, x, 1 / unit - 1e-6, 1 / unit, np.zeros(0), 0.0)
    found = Found(np.arange(len(candidates)), program, layout, wasteful, None)
    spared = spent_least(found, asked, candidates, (), unit, np.inf)
    assert np.round(spared.answer.x[spared.layout.copies]).tolist() == [1, 1]
    assert spared.answer.objective == pytest.approx(wasteful.objective, abs=1e-12)
    assert (spared.answer.bound, spared.answer.termination) == (wasteful.bound, wasteful.termination)


def _models(candidates):
    return [candidates.tables[index].configs[0].model for index in candidates.model_index]
