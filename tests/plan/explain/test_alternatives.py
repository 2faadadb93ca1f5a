"""Alternatives: the best plans that do without something, in their order, each proven."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.plan.explain.alternatives import DifferBy, find_alternatives
from cuvee.plan.outcome.differences import CountChange
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.problem import Objective
from cuvee.plan.solver.program import Termination
from tests.plan.brute_force import best_value
from tests.plan.generated import generate
from tests.plan.instances import check_tiny, demand, fleet, offer, prepare_tiny, problem


def alternatives_of(prepared, differ_by=DifferBy.GPUS, count=3):
    return list(islice(find_alternatives(prepared, plan_prepared(prepared), differ_by=differ_by), count))


def units_of(plan):
    """Units rented of each offer, counted from groups and machines."""
    offers = plan.inputs.problem.offers.offers
    units = [0] * len(offers)
    for group in plan.groups:
        for part in group.rented:
            if offers[part.offer].num_gpus == 1:
                units[part.offer] += part.num_gpus * group.copies
    for machines in plan.machines:
        units[machines.offer] = machines.units
    return units


def gpus_of(units, offers):
    counts: Counter[str] = Counter()
    for count, each in zip(units, offers, strict=True):
        counts[each.gpu] += count * each.num_gpus
    return counts


def test_the_worked_example(worked):
    """The plan rents one t1 and both t2 for 3.517 req/s. Tempting: t1 and t2 kept, and a t3 added.

    Fewer t1 leaves TP over t2 beside both t3. These take w2 and a share x of w1: T = 80 (1 - x) / 2.4 =
    80 x / 0.6 + 20 / 1.0, so x = 0.08 and T = 30.67 s. Fewer t2 leaves t1 with one t2 and one t3, or two t1: slower.
    """
    first, second = alternatives_of(worked, count=2)
    assert fleet(first.plan) == {"t2*2": 1, "t3": 2}
    share = (80 / 2.4 - 20) / (80 / 0.6 + 80 / 2.4)
    assert share == pytest.approx(0.08)
    assert first.plan.makespan_s == pytest.approx(80 * (1 - share) / 2.4)
    assert first.plan.objective == pytest.approx(100 / (80 * 0.92 / 2.4))
    assert first.difference.loss == pytest.approx(100 / (1450 / 51) - 100 / (80 * 0.92 / 2.4))
    assert set(first.difference.gpus) == {CountChange("t1", 1, 0), CountChange("t3", 0, 2)}
    assert first.plan.termination is Termination.OPTIMAL
    assert second.plan.objective <= first.plan.objective


def test_more_of_everything_is_no_alternative():
    """2 req/s cost 2 $/h on t1; the runner-up is t2 alone for 3. Tempting: a t1 more than needed, for 3 as well."""
    asked = problem(
        [offer("t1", 1.0, 9), offer("t2", 1.5, 9)], [demand(1.0, rate_req_per_s=2.0)], objective=Objective.COST
    )
    prepared = prepare_tiny(asked, {"t1": [1.0], "t2": [1.0]})
    assert [fleet(each.plan) for each in alternatives_of(prepared)] == [{"t1": 1, "t2": 1}, {"t2": 2}]
    assert [each.difference.loss for each in alternatives_of(prepared)] == pytest.approx([0.5, 1.0])


def test_without_a_type():
    """By types, a t1 less is not different enough: t2 alone, 3 $/h. After that nothing is left."""
    asked = problem(
        [offer("t1", 1.0, 9), offer("t2", 1.5, 9)], [demand(1.0, rate_req_per_s=2.0)], objective=Objective.COST
    )
    prepared = prepare_tiny(asked, {"t1": [1.0], "t2": [1.0]})
    assert [fleet(each.plan) for each in alternatives_of(prepared, DifferBy.TYPES)] == [{"t2": 2}]


def test_without_an_offer():
    """By offers, the dearer seller of the same GPUs is an alternative: 3.2 $/h. By GPUs it is not."""
    asked = problem(
        [offer("t1", 1.0, 2), offer("t1", 1.6, 9, seller="other")],
        [demand(1.0, rate_req_per_s=2.0)], objective=Objective.COST,
    )  # fmt: skip
    prepared = prepare_tiny(asked, {"t1": [1.0]})
    assert alternatives_of(prepared, DifferBy.GPUS) == []
    costs = [each.plan.cost_usd_per_hour for each in alternatives_of(prepared, DifferBy.OFFERS)]
    assert costs == pytest.approx([2.6, 3.2])


def test_without_the_only_offer():
    """The last unit of all that is in stock has no alternative, whatever is counted."""
    prepared = prepare_tiny(problem([offer("t1", 1.0, 1)], [demand(1.0)], budget=3.0), {"t1": [1.0]})
    assert [alternatives_of(prepared, each) for each in DifferBy] == [[], [], []]


def test_idle_gpus_count():
    """A machine of four for one pair is four GPUs: fewer of them are none."""
    asked = problem(
        [offer("t1", 4.0, 1, num_gpus=4, machine_gpus=4), offer("t2", 5.0, 2)],
        [demand(1.0, rate_req_per_s=1.0)], objective=Objective.COST,
    )  # fmt: skip
    prepared = prepare_tiny(asked, {"t1*2": [1.0], "t2": [1.0]})
    (only,) = alternatives_of(prepared)
    assert only.difference.gpus == (CountChange("t1", 4, 0), CountChange("t2", 0, 1))


def test_the_callers_caps_stay():
    """A cap of one t2 holds in every alternative."""
    asked = problem([offer("t1", 1.0, 3), offer("t2", 1.0, 3)], [demand(1.0)], budget=3.0, max_gpus={"t2": 1})
    prepared = prepare_tiny(asked, {"t1": [1.0], "t2": [0.9]})
    found = alternatives_of(prepared)
    assert found
    assert all(fleet(each.plan).get("t2", 0) <= 1 for each in found)
    assert all(each.plan.inputs.problem == asked for each in found)


def test_what_nothing_proves_has_no_bound(worked, worked_plan, monkeypatch):
    """Where a region was stopped before anything was found, an alternative is no more than the best that was found."""
    solve = plan_prepared

    def stopped(prepared, *, explain=True):
        plan = solve(prepared, explain=explain)
        if prepared.problem.limits.max_gpus.get("t1") == 0:
            return replace(plan, groups=(), termination=Termination.NOTHING_FOUND, bound=None, gap=None)
        return plan

    monkeypatch.setattr("cuvee.plan.explain.alternatives.plan_prepared", stopped)
    first = next(find_alternatives(worked, worked_plan))
    assert (first.plan.termination, first.plan.bound, first.plan.gap) == (Termination.FEASIBLE, None, None)


def test_progress_is_told(worked, worked_plan):
    """Every region that is solved is announced by its caps."""
    told: list[str] = []
    next(find_alternatives(worked, worked_plan, progress=told.append))
    assert told == ["alternatives: no t1", "alternatives: at most 1 t2"]


@settings(max_examples=20, deadline=None)
@given(st.integers(10**6, 10**9), st.sampled_from(list(DifferBy)))
def test_enumeration_agrees(seed, differ_by):
    """Each alternative is the best of all fleets that have less of something than the plan and those before it."""
    asked, rates = generate(seed)
    prepared = prepare_tiny(asked, rates)
    plan = plan_prepared(prepared, explain=False)
    if not plan.has_plan:
        return
    offers = asked.offers.offers

    def counts(units):
        if differ_by is DifferBy.OFFERS:
            return dict(enumerate(units))
        gpus = gpus_of(units, offers)
        return {name: min(count, 1) for name, count in gpus.items()} if differ_by is DifferBy.TYPES else gpus

    earlier = [counts(units_of(plan))]

    def permits(units):
        mine = counts(units)
        return all(any(mine[name] < count for name, count in each.items()) for each in earlier)

    found = islice(find_alternatives(prepared, plan, differ_by=differ_by), 3)
    for each in [*found, None][:3]:
        best = best_value(asked, prepared.candidates, permits=permits)
        if each is None:
            assert best is None
            break
        assert each.plan.objective == pytest.approx(best, rel=1e-6)
        assert permits(units_of(each.plan))
        assert check_tiny(each.plan).ok
        earlier.append(counts(units_of(each.plan)))
