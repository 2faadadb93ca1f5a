"""Why not only one type: the loss, and which of stock, prices and whole machines it comes from."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.errors import UnknownNameError
from cuvee.plan.explain.why_not import why_not_only
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import prepare
from cuvee.plan.question.problem import Objective
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from cuvee.plan.solver.program import Termination
from cuvee.profile import AnalyticProvider, ChainProvider
from cuvee.profile.calibrated import CalibratedProvider, CalibratedReplica
from cuvee.profile.sensitivity import Resource
from tests.plan.brute_force import best_value
from tests.plan.generated import generate
from tests.plan.instances import check_tiny, demand, fleet, offer, prepare_tiny, problem

BEST = 100 / (1450 / 51)
"""Of the worked example [req/s]."""


def test_only_t2_is_held_back_by_stock(worked, worked_plan):
    """TP over both t2 serves 1 / (0.8 / 2.4 + 0.2 / 1.5) for 4 $/h; four t2 beat the plan. Tempting: t2 is too slow."""
    answer = why_not_only(worked, worked_plan, ["t2"])
    assert answer.gpus == ("t2",)
    assert fleet(answer.plan) == {"t2*2": 1}
    assert answer.plan.objective == pytest.approx(15 / 7)
    assert fleet(answer.unlimited) == {"t2*2": 2}
    assert answer.unlimited.objective == pytest.approx(30 / 7)
    assert answer.difference is not None
    assert answer.unlimited_difference is not None
    assert answer.difference.loss == pytest.approx(BEST - 15 / 7)
    assert answer.unlimited_difference.loss == pytest.approx(BEST - 30 / 7)
    assert answer.unspent_usd_per_hour == pytest.approx(4.0)
    assert answer.idle_usd_per_hour == 0.0


def test_only_t1_is_held_back_by_its_price(worked, worked_plan):
    """Two t1 spend the 8 $/h: 2 / (0.8 / 1.0 + 0.2 / 1.2). More stock buys nothing."""
    answer = why_not_only(worked, worked_plan, ["t1"])
    assert answer.plan.objective == answer.unlimited.objective == pytest.approx(60 / 29)
    assert answer.unspent_usd_per_hour == 0.0


def test_two_types_together(worked, worked_plan):
    """Without t3 the plan stays as it is."""
    answer = why_not_only(worked, worked_plan, ["t2", "t1"])
    assert answer.gpus == ("t1", "t2")
    assert answer.difference is not None
    assert answer.difference.loss == pytest.approx(0.0, abs=1e-9)
    assert answer.difference.offers == ()


def test_a_type_that_alone_is_too_few():
    """One t1 serves 1 of 2 req/s: no plan, and the message says that another is needed; with enough, 8 $/h."""
    asked = problem(
        [offer("t1", 4.0, 1), offer("t2", 1.0, 2)], [demand(1.0, rate_req_per_s=2.0)], objective=Objective.COST
    )
    prepared = prepare_tiny(asked, {"t1": [1.0], "t2": [1.0]})
    answer = why_not_only(prepared, plan_prepared(prepared), ["t1"])
    assert answer.plan.termination is Termination.INFEASIBLE
    assert "1 more GPU of s t1:1 is needed" in answer.plan.message
    assert "t2" not in answer.plan.message
    assert answer.difference is None
    assert answer.unlimited_difference is not None
    assert answer.unlimited_difference.loss == pytest.approx(6.0)
    assert [each.cost.single_type_usd_per_1000 for each in answer.types] == pytest.approx([1000 * 4 / 3600])


def test_machines_that_stand_idle():
    """Half of a machine of four is idle and paid: 2 of 4 $/h."""
    asked = problem(
        [offer("t1", 4.0, 1, num_gpus=4, machine_gpus=4), offer("t2", 1.0, 2)],
        [demand(1.0, rate_req_per_s=1.0)], objective=Objective.COST,
    )  # fmt: skip
    prepared = prepare_tiny(asked, {"t1*2": [1.0], "t2": [1.0]})
    answer = why_not_only(prepared, plan_prepared(prepared), ["t1"])
    assert (answer.idle_usd_per_hour, answer.unspent_usd_per_hour) == (2.0, None)


def test_a_type_nobody_offers(worked, worked_plan):
    """Refused by name."""
    with pytest.raises(UnknownNameError, match="'H100'"):
        why_not_only(worked, worked_plan, ["H100"])


def test_the_reason_is_what_costs_more(worked, worked_plan):
    """No reason is named where a type is as cheap or cheaper."""
    answer = why_not_only(worked, worked_plan, ["t2"])
    for each in answer.types:
        if each.cost.single_type_usd_per_1000 <= each.cost.plan_usd_per_1000:
            assert each.resource is None


A6000_AMONG_OTHERS = {
    "models": ["llama-3-8b"], "offers": "paper-avail-1", "budget_usd_per_hour": 12.0,
    "search": {"max_pipeline_stages": 1, "max_mixed_stages": 0},
}  # fmt: skip


def test_the_reason_has_its_price():
    """On A6000 alone some types are dearer, and what their rate hangs on costs more there than in the plan."""
    prepared = prepare_scenario(parse_scenario(A6000_AMONG_OTHERS, where="test"))
    answer = why_not_only(prepared, plan_prepared(prepared), ["A6000"])
    assert answer.difference is not None
    assert answer.difference.loss > 0
    named = [each for each in answer.types if each.resource is not None]
    assert named
    for each in named:
        assert each.unit.startswith("$/h per ")
        assert each.unit_price > each.plan_unit_price > 0


def test_progress_is_told(worked, worked_plan):
    """Two fleets are solved."""
    told: list[str] = []
    why_not_only(worked, worked_plan, ["t1"], progress=told.append)
    assert told == ["only t1", "only t1, as many as wanted"]


@settings(max_examples=20, deadline=None)
@given(st.integers(10**6, 10**9), st.sets(st.sampled_from(["t1", "t2"]), min_size=1))
def test_enumeration_agrees(seed, gpus):
    """The plan on some types is the best of all fleets without the others, and unlimited stock never hurts."""
    asked, rates = generate(seed)
    gpus = gpus & {each.gpu for each in asked.offers.offers}
    prepared = prepare_tiny(asked, rates)
    plan = plan_prepared(prepared, explain=False)
    if not plan.has_plan or not gpus:
        return
    answer = why_not_only(prepared, plan, sorted(gpus))

    def permits(units):
        return all(not count or each.gpu in gpus for count, each in zip(units, asked.offers.offers, strict=True))

    best = best_value(asked, prepared.candidates, permits=permits)
    assert answer.plan.has_plan is (best is not None)
    if best is None:
        return
    assert answer.plan.objective == pytest.approx(best, rel=1e-6)
    assert check_tiny(answer.plan).ok
    assert answer.difference is not None
    assert answer.unlimited_difference is not None
    assert answer.unlimited_difference.loss <= answer.difference.loss + 2e-6 * plan.objective
    assert answer.difference.loss >= -2e-6 * plan.objective
    assert {each.cost.workload for each in answer.types} == {row.workload for row in plan.assignment}
    assert replace(answer.plan.inputs.problem, offers=asked.offers) == asked


def test_the_reason_is_that_of_the_fitted_constants():
    """Half the arithmetic of a data sheet was measured on the A6000: what it sustains costs twice as much there.
    Tempting: the unit price of the data sheet, which the plan's rates are not those of.
    """
    prepared = prepare_scenario(parse_scenario(A6000_AMONG_OTHERS, where="test"))
    engine, models = prepared.inputs.engine, {entry.model.name: entry.model for entry in prepared.problem.models}
    fitted = tuple(
        CalibratedReplica("A6000", "llama-3-8b", "bf16", "bf16", size, 1, engine.name, {"compute": 0.5})
        for size in (1, 2, 4, 8)
    )
    chain = ChainProvider(
        CalibratedProvider(fitted, models, prepared.gpus, engine), AnalyticProvider(models, prepared.gpus, engine)
    )
    halved = prepare(prepared.problem, engine=engine, gpus=prepared.gpus, provider=chain)
    unit_prices = [
        {
            each.unit_price
            for each in why_not_only(asked, plan_prepared(asked), ["A6000"]).types
            if each.resource is Resource.COMPUTE and each.group == "1x A6000 TP1"
        }
        for asked in (prepared, halved)
    ]
    assert all(len(each) == 1 for each in unit_prices)
    assert unit_prices[1].pop() == pytest.approx(2 * unit_prices[0].pop())
