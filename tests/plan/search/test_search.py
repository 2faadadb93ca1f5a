"""The search over a core and by reduced costs against the whole program, and against enumeration."""

from dataclasses import replace

import numpy as np
import pytest

from cuvee.catalog import load_model, load_offers
from cuvee.plan.candidates.dominance import prune_dominated
from cuvee.plan.planner import solve_prepared
from cuvee.plan.program.formulation import build_program, rough_load_factor
from cuvee.plan.program.preparation import prepare
from cuvee.plan.question.problem import Limits, ModelDemand, Objective, PlanProblem, SearchOptions
from cuvee.plan.search import pricing as pricing_module
from cuvee.plan.search import search as search_module
from cuvee.plan.search.pricing import Pricing, price
from cuvee.plan.search.search import search
from cuvee.plan.solver.program import Termination, solve
from cuvee.workload import load_mix
from tests.plan.agreement import assert_enumeration_agrees
from tests.plan.brute_force import best_value
from tests.plan.generated import generate
from tests.plan.instances import demand, offer, prepare_tiny, problem


@pytest.mark.parametrize("seeds", [range(1000, 1040), range(1040, 1080)], ids=["first", "second"])
def test_core_of_one_candidate_agrees_with_enumeration(seeds, monkeypatch):
    """With a core so small that almost every plan needs the second step, the optimum is still that of enumeration."""
    monkeypatch.setattr(search_module, "CORE_SIZE", 1)
    for seed in seeds:
        assert_enumeration_agrees(seed)


@pytest.fixture(scope="module")
def paper():
    """The program of the embedded question, some 400 candidates that no other replaces."""
    demand = ModelDemand(load_model("llama-3-70b"), load_mix("trace-3"))
    found = prepare(PlanProblem((demand,), load_offers("paper-avail-3"), Limits(30.0)))
    return replace(found, candidates=prune_dominated(found.candidates))


def test_search_agrees_with_the_whole_program(paper):
    """Over hundreds of candidates both ways reach the same value, and both bounds lie above both values."""
    outcome = search(paper.problem, paper.candidates)
    program, _ = build_program(paper.problem, paper.candidates)
    whole, found = solve(program, SearchOptions()), outcome.answer
    assert found.termination is whole.termination is Termination.OPTIMAL
    assert found.objective == pytest.approx(whole.objective, rel=2e-4)
    assert min(found.bound, whole.bound) >= max(found.objective, whole.objective) * (1 - 1e-9)
    assert found.gap <= SearchOptions().relative_gap


def test_loss_bounds_every_plan(paper):
    """Weak duality: forcing one copy of a candidate costs at least its loss against the relaxation."""
    program, layout = build_program(paper.problem, paper.candidates)
    pricing = price(paper.problem, paper.candidates, rough_load_factor(paper.problem, paper.candidates))
    assert isinstance(pricing, Pricing)
    for row in np.linspace(0, layout.num_candidates - 1, 12).astype(int):
        forced = program.relaxed()
        forced.lower = program.lower.copy()
        forced.lower[row] = 1.0
        answer = solve(forced, SearchOptions())
        if answer.termination is Termination.OPTIMAL:
            assert answer.objective <= pricing.objective - pricing.loss[row] + 1e-7


def test_relaxation_rents_what_is_worth_its_price(paper):
    """Complementary slackness: whatever the relaxation rents earns what it is charged."""
    pricing = price(paper.problem, paper.candidates, rough_load_factor(paper.problem, paper.candidates))
    assert isinstance(pricing, Pricing)
    assert pricing.worth[pricing.copies > 1e-6] == pytest.approx(1.0, abs=1e-5)


def test_stopped_search_claims_the_relaxation_only(paper):
    """Out of time after the core, the answer is `feasible` or nothing, never `optimal`, and its bound is honest."""
    stopped = replace(paper.problem, search=SearchOptions(time_limit_s=1e-3))
    outcome = search(stopped, paper.candidates)
    program, _ = build_program(paper.problem, paper.candidates)
    found = outcome.answer
    whole = solve(program, SearchOptions())
    assert found.termination in (Termination.FEASIBLE, Termination.NOTHING_FOUND)
    if found.termination is Termination.FEASIBLE:
        assert found.bound >= whole.objective * (1 - 1e-9)


def test_column_generation_gives_the_whole_relaxation(paper, monkeypatch):
    """Prices found column by column: the value of the relaxation over all candidates, and nobody underpaid."""
    unit = rough_load_factor(paper.problem, paper.candidates)
    whole = price(paper.problem, paper.candidates, unit)
    monkeypatch.setattr(pricing_module, "ALL_AT_ONCE", 0)
    monkeypatch.setattr(pricing_module, "JOIN_PER_WORKLOAD", 1)
    by_columns = price(paper.problem, paper.candidates, unit)
    assert isinstance(whole, Pricing)
    assert isinstance(by_columns, Pricing)
    assert by_columns.objective == pytest.approx(whole.objective, rel=1e-7)
    assert (by_columns.earned <= by_columns.charged * (1 + 1e-6)).all()


@pytest.mark.parametrize("seeds", [range(2000, 2040)], ids=["machines, caps, two models"])
def test_column_generation_agrees_with_enumeration(seeds, monkeypatch):
    """With candidates joining one at a time, plans are still those of enumeration, machines and caps among them."""
    monkeypatch.setattr(search_module, "CORE_SIZE", 1)
    monkeypatch.setattr(pricing_module, "ALL_AT_ONCE", 0)
    monkeypatch.setattr(pricing_module, "JOIN_PER_WORKLOAD", 1)
    monkeypatch.setattr(pricing_module, "NEARLY_BEST", 1.0)
    for seed in seeds:
        assert_enumeration_agrees(seed)


def test_the_value_of_a_dollar_bounds_other_budgets(paper):
    """The relaxation at 30 $/h and the price of its budget: at 20 to 45 $/h the relaxation is not above the line."""
    unit = rough_load_factor(paper.problem, paper.candidates)
    here = price(paper.problem, paper.candidates, unit)
    assert isinstance(here, Pricing)
    assert here.per_dollar > 0
    for budget in (20.0, 28.0, 32.0, 45.0):
        there = price(replace(paper.problem, limits=Limits(budget)), paper.candidates, unit)
        assert isinstance(there, Pricing)
        assert there.objective <= here.objective + here.per_dollar * (budget - 30.0) + 2e-6  # e of the tie-break


def test_the_value_of_the_demand_bounds_other_rates(paper):
    """Least money for 5 req/s: a tenth more demand costs at least a tenth of `per_demand` more."""

    def at(rate_req_per_s: float) -> Pricing:
        entry = paper.problem.models[0]
        demanded = replace(entry, demand=replace(entry.demand, rate_req_per_s=rate_req_per_s))
        asked = replace(paper.problem, models=(demanded,), objective=Objective.COST, limits=Limits())
        priced = price(asked, paper.candidates, 1.0)
        assert isinstance(priced, Pricing)
        return priced

    here = at(5.0)
    for more in (-0.5, -0.1, 0.1, 1.0, 2.0):
        assert at(5.0 * (1 + more)).objective >= here.objective + more * here.per_demand - 1e-6


@pytest.mark.parametrize("seeds", [range(3000, 3015)], ids=["any start"])
def test_any_start_leads_to_the_optimum(seeds, monkeypatch):
    """From the best fleet, from a poor one, and from one beyond every limit: the value is that of enumeration."""
    monkeypatch.setattr(search_module, "CORE_SIZE", 1)
    for seed in seeds:
        asked, rates = generate(seed)
        prepared = prepare_tiny(asked, rates)
        best = best_value(asked, prepared.candidates)
        if best is None or len(prepared.candidates) < 2:
            continue
        ones = np.ones(len(prepared.candidates))
        found = solve_prepared(prepared)
        for start in (found.copies, np.eye(1, len(ones))[0], ones, 50 * ones):
            again = solve_prepared(prepared, known=start).plan
            assert again.termination is Termination.OPTIMAL, seed
            assert again.objective == pytest.approx(best, rel=1e-6), seed


def test_a_dear_machine_is_not_as_good():
    """A machine at ten times the price of one just as fast is worth a tenth. Tempting: the solver's price of its
    empty stock row, which is just low enough to make it look even.
    """
    offers = [offer("t1", 2.0, 8, num_gpus=2, machine_gpus=2), offer("t2", 20.0, 8, num_gpus=2, machine_gpus=2)]
    asked = problem(offers, [demand(1.0)], budget=10.0)
    prepared = prepare_tiny(asked, {"t1*2": [1.0], "t2*2": [1.0]})
    prices = price(asked, prepared.candidates, rough_load_factor(asked, prepared.candidates))
    assert isinstance(prices, Pricing)
    on_second = prepared.candidates.stands_on(np.array([False, True]))
    assert prices.worth[on_second] == pytest.approx(0.1, rel=1e-3)


def test_copies_that_cannot_be_whole_are_infeasible(monkeypatch):
    """Three GPUs in pairs of 1 req/s: one and a half replicas would serve 1.5 req/s, one serves too little.

    Tempting: numerical trouble, since the program over copies alone has no answer though its relaxation has.
    """
    for limit in ("CORE_SIZE", "MOST_PAIRS", "MOST_CORE_PAIRS"):
        monkeypatch.setattr(search_module, limit, 1)
    offers = [offer("t1", 1.0, 3), offer("t2", 9.0, 0)]
    asked = problem(offers, [demand(1.0, 1.0, rate_req_per_s=1.5)], objective=Objective.COST)
    prepared = prepare_tiny(asked, {"t1*2": [1.0, 1.0], "t1+t1": [0.9, 0.9]})
    answer = search(asked, prepared.candidates).answer
    assert (answer.termination, answer.stopped_by) == (Termination.INFEASIBLE, None)
