"""Whether any fleet serves a given load: refuted above the best fleet, answered at it."""

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.formulation import rough_load_factor
from cuvee.plan.question.problem import PlanProblem, SearchOptions
from cuvee.plan.search import search as search_module
from cuvee.plan.search.pricing import Pricing, price
from cuvee.plan.search.projection import Projected
from cuvee.plan.search.targets import Target, beyond
from cuvee.plan.solver.program import StopReason, Termination, solve
from tests.plan.brute_force import best_value
from tests.plan.instances import Rates, check_tiny, demand, offer, prepare_tiny, problem

GAP = 1e-3


def generate_two(seed: int) -> tuple[PlanProblem, Rates]:
    """Most throughput of two models on up to three offers, one of them perhaps of machines of four GPUs."""
    random = Random(seed)
    machines = {"num_gpus": 4, "machine_gpus": 4} if random.random() < 0.4 else {}
    size = machines.get("num_gpus", 1)
    offers = [
        offer("t1", round(random.uniform(1, 4) * size, 2), random.randint(1, 3 // size + 1), **machines),
        offer("t2", round(random.uniform(1, 4), 2), random.randint(1, 4)),
        offer("t2", round(random.uniform(1, 4), 2), random.randint(1, 2), seller="other"),
    ][: random.choice((2, 3))]
    rates = {
        f"{name}:{label}": [round(random.uniform(0.5, 1.7) * gpus, 3) for _ in range(2)]
        for name in ("tiny", "tiny-2")
        for label, gpus in (("t1", 1), ("t2", 1), random.choice([("t1*2", 2), ("t2+t2", 2)]))
    }
    demands = [demand(random.choice((1.0, 5.0)), 3.0) for _ in ("tiny", "tiny-2")]
    budget = round(random.uniform(4, 12), 2)
    return problem(offers, demands, budget=budget, search=SearchOptions(relative_gap=GAP)), rates


def ask(asked: PlanProblem, candidates: CandidateSet, load_factor: float, unit: float) -> Projected:
    """The answer to a target over all candidates, at the charges of the relaxation."""
    pricing = price(asked, candidates, unit)
    assert isinstance(pricing, Pricing)
    rows = np.arange(len(candidates))
    charged = pricing.charged / max(pricing.per_dollar, 1e-9)
    return Target(asked, candidates, unit, load_factor, rows, charged, np.inf).answer()


def test_targets_by_hand():
    """Two models, one offer at 2 $/h with a budget of 6: three replicas of 1 req/s each, two of them for one model.

    The demand is 1 req/s of each model at theta = 1, so whole fleets serve 1 times. In fractions, 1.5 replicas each
    serve 1.5 times: the tempting bound.
    """
    asked = problem([offer("t1", 2.0, 4)], [demand(1.0), demand(1.0)], budget=6.0)
    prepared = prepare_tiny(asked, {"tiny:t1": [1.0], "tiny-2:t1": [1.0]})
    candidates = prepared.candidates
    share = 1.0 / max(sum(rates) for rates in asked.rates_req_per_s)
    fits = ask(asked, candidates, share, 1.0)
    assert fits.objective == pytest.approx(share, rel=1e-4)
    assert 2 <= fits.copies.sum() <= 3
    above = ask(asked, candidates, 1.01 * share, 1.0)
    assert not above.copies.any()
    assert above.bound == pytest.approx(1.01 * share)


@pytest.mark.parametrize("seed", range(60))
def test_targets_agree_with_enumeration(seed):
    """What the best of all fleets serves is answered, anything above it refuted."""
    asked, rates = generate_two(seed)
    prepared = prepare_tiny(asked, rates)
    candidates = prepared.candidates
    best = best_value(asked, candidates)
    if best is None:
        return
    unit = rough_load_factor(asked, candidates)
    load_factor = best / sum(map(sum, asked.rates_req_per_s)) / unit
    below = ask(asked, candidates, load_factor * (1 - 1e-4), unit)
    assert load_factor * (1 - 1e-4) <= below.objective + 2e-6
    assert below.objective <= load_factor * (1 + 1e-6)
    above = ask(asked, candidates, load_factor * (1 + 1e-4), unit)
    assert above.objective == -np.inf
    assert above.bound == pytest.approx(load_factor * (1 + 1e-4))


@pytest.mark.parametrize("seed", range(60))
def test_searches_with_targets_agree_with_enumeration(seed, monkeypatch):
    """With a core too small for the best plan, targets find it or prove that what was found is as good."""
    monkeypatch.setattr(search_module, "CORE_SIZE", 2)
    asked, rates = generate_two(seed)
    prepared = prepare_tiny(asked, rates)
    best = best_value(asked, prepared.candidates)
    plan = plan_prepared(prepared, explain=False)
    assert plan.has_plan == (best is not None)
    if best is not None:
        assert plan.termination is Termination.OPTIMAL
        assert best * (1 - 1.1 * GAP) <= plan.rate_req_per_s <= best * (1 + 1e-6)
        assert check_tiny(plan).ok


@pytest.mark.parametrize("seed", [0, 2, 25])
def test_ctrl_c_while_targets_are_asked_keeps_the_best_fleet(monkeypatch, seed):
    """At any call of the solver: what comes later is no worse, and the last is what an uninterrupted search gives."""
    monkeypatch.setattr(search_module, "CORE_SIZE", 2)
    monkeypatch.setattr(search_module, "CORE_GAP", 0.9)
    asked, rates = generate_two(seed)
    whole = plan_prepared(prepare_tiny(asked, rates), explain=False)
    found: list[float] = []
    while True:
        left = len(found)

        def interrupted(*arguments, left=left, calls=[0], **options):  # noqa: B006 counts its calls
            calls[0] += 1
            if calls[0] > left:
                raise KeyboardInterrupt
            return solve(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr("cuvee.plan.search.targets.solve", interrupted)
            plan = plan_prepared(prepare_tiny(asked, rates), explain=False)
        assert check_tiny(plan).ok
        found.append(plan.rate_req_per_s)
        if plan.stopped_by is None:
            break
        assert plan.stopped_by is StopReason.INTERRUPTED
    assert len(found) > 1
    assert all(later >= earlier * (1 - 1e-6) for earlier, later in pairwise(found))
    assert found[-1] == pytest.approx(whole.rate_req_per_s)


def test_an_interrupted_search_asks_no_target():
    """What Ctrl-C stopped is given back at once."""
    best = Projected(np.zeros(1), 1.0, 2.0, StopReason.INTERRUPTED)
    assert beyond(best, lambda *_: pytest.fail("asked"), SearchOptions(relative_gap=GAP), np.inf) is best


def test_reasons_of_the_search_before_stay():
    """A target that is refuted does not hide that the search before it ran out of time."""
    best = Projected(np.zeros(1), 1.0, 2.0, StopReason.TIME_LIMIT)

    class Refuted:
        def answer(self):
            return Projected(np.zeros(1), -np.inf, 1.0005)

    ask: Any = lambda *_: Refuted()  # noqa: E731
    found = beyond(best, ask, SearchOptions(relative_gap=GAP), np.inf)
    assert (found.stopped_by, found.bound) == (StopReason.TIME_LIMIT, 1.0005)
