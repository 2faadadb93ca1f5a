"""The paper's worked example (section 4.2), whose answer is known to the last digit."""

from dataclasses import replace

import pytest

from cuvee.plan.problem import SearchOptions
from cuvee.plan.program import Termination
from tests.plan.instances import WORKED_RATES, check_tiny, fleet, label, solve_tiny, worked_problem

# Tempting: 44.06 s (t1 + t2 + t3, each type in proportion to the rates), 35.24 s (t1 + 2 x t2 as two replicas),
# 30.94 s (t1 + TP over 2 x t2, in proportion), 28.67 s (the same fleet, t1 takes 15 % of w1: the paper's best).
# The optimum lets both groups end together: 80 x + 20 / 1.2 = 80 (1 - x) / 2.4, x = 0.147059, T = 1450 / 51 s.
OPTIMUM_S = 1450 / 51


def test_optimum(worked_plan):
    """t1 beside TP over 2 x t2, 14.71 % of w1 and all of w2 on t1: 28.4314 s, proven and checked."""
    assert worked_plan.termination is Termination.OPTIMAL
    assert worked_plan.gap == pytest.approx(0.0, abs=2e-6)
    assert fleet(worked_plan) == {"t1": 1, "t2*2": 1}
    assert worked_plan.makespan_s == pytest.approx(28.4314, abs=5e-5)
    assert worked_plan.makespan_s == pytest.approx(OPTIMUM_S, rel=1e-9)
    assert worked_plan.rate_req_per_s == pytest.approx(100 / OPTIMUM_S)
    assert worked_plan.cost_usd_per_hour == 8.0
    first = next(group.id for group in worked_plan.groups if label(group.config) == "t1")
    shares = [row.shares.get(first, 0.0) for row in worked_plan.assignment]
    assert shares == pytest.approx([0.1471, 1.0], abs=5e-5)
    assert [group.utilization for group in worked_plan.groups] == pytest.approx([1.0, 1.0])
    assert check_tiny(worked_plan).ok


# Groups of the tempting plans: rates on (w1, w2), share of w1, share of w2.
TEMPTING = {
    # T = 80 / 2.2 + 20 / 2.6: the types one after the other.
    "one of each": (44.06, [((1.0, 1.2), 1 / 2.2, 1.2 / 2.6), ((0.9, 0.9), 0.9 / 2.2, 0.9 / 2.6),
                            ((0.3, 0.5), 0.3 / 2.2, 0.5 / 2.6)]),
    "two replicas of t2": (35.24, [((1.0, 1.2), 1 / 2.8, 1.2 / 3.0), ((1.8, 1.8), 1.8 / 2.8, 1.8 / 3.0)]),
    "TP over t2, in proportion": (30.94, [((1.0, 1.2), 1 / 3.4, 1.2 / 2.7), ((2.4, 1.5), 2.4 / 3.4, 1.5 / 2.7)]),
    "the paper's best": (28.67, [((1.0, 1.2), 0.15, 1.0), ((2.4, 1.5), 0.85, 0.0)]),
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPTING)
def test_tempting_plans_are_slower(name):
    """The makespan row, evaluated on the four plans the paper walks through, gives its figures: all above 28.43 s."""
    makespan_s, groups = TEMPTING[name]
    assert sum(share for _, share, _ in groups) == pytest.approx(1.0)
    assert sum(share for _, _, share in groups) == pytest.approx(1.0)
    busy_s = [80 * first / rate[0] + 20 * second / rate[1] for rate, first, second in groups]
    assert max(busy_s) == pytest.approx(makespan_s, abs=6e-3)
    assert max(busy_s) > OPTIMUM_S + 0.2


def test_check_evaluates_the_papers_best(worked_plan):
    """With 15 % of w1 on t1, `check` accepts 28.67 s and refuses 28.43 s: t1 would be busier than all the time."""
    first = next(group.id for group in worked_plan.groups if label(group.config) == "t1")
    second = next(group.id for group in worked_plan.groups if group.id != first)
    w1, w2 = worked_plan.assignment
    rows = (replace(w1, shares={first: 0.15, second: 0.85}), replace(w2, shares={first: 1.0}))

    def at(makespan_s: float):
        rate = 100 / makespan_s
        served = {first: rate * (0.8 * 0.15 + 0.2), second: rate * 0.8 * 0.85}
        groups = tuple(replace(group, rate_req_per_s=served[group.id]) for group in worked_plan.groups)
        gap = abs(worked_plan.bound - rate) / rate
        return replace(
            worked_plan, assignment=rows, groups=groups, rate_req_per_s=rate, makespan_s=makespan_s,
            objective=rate, gap=gap, termination=Termination.FEASIBLE,
        )  # fmt: skip

    assert check_tiny(at(0.15 * 80 + 20 / 1.2)).ok  # 28.67 s
    refused = check_tiny(at(OPTIMUM_S)).violations
    assert [line.split(":")[0] for line in refused] == ["load"]


@pytest.mark.parametrize(
    ("budget", "copies", "makespan_s"),
    [
        (2.0, {"t2": 1}, 100 / 0.9),  # tempting: t3, as cheap
        # Tempting: t1 at 96.7 s or 2 x t2 at 55.6 s; TP over 2 x t2 takes 80 / 2.4 + 20 / 1.5.
        (4.0, {"t2*2": 1}, 80 / 2.4 + 20 / 1.5),
        # Tempting: TP(2 x t2) and both t3, 20 + 80 x / 0.6 = 80 (1 - x) / 2.4: 30.67 s.
        (8.0, {"t1": 1, "t2*2": 1}, OPTIMUM_S),
        (16.0, {"t1": 2, "t2*2": 1, "t3": 2}, 18.471338),
        (1e9, {"t1": 2, "t2*2": 1, "t3": 2}, 18.471338),  # a budget far above the stock blurs nothing
    ],
)
def test_budgets(budget, copies, makespan_s):
    """The worked example at other budgets."""
    plan = solve_tiny(worked_problem(budget), WORKED_RATES)
    assert fleet(plan) == copies
    assert plan.makespan_s == pytest.approx(makespan_s, rel=1e-6)
    assert plan.gap is not None
    assert plan.gap <= 2e-6
    assert check_tiny(plan).ok


def test_another_seed_and_other_threads_agree():
    """Seed and threads change the search, not the optimum; two thread counts live in one process."""
    for search in (SearchOptions(seed=7), SearchOptions(threads=1), SearchOptions(threads=2), SearchOptions()):
        plan = solve_tiny(worked_problem(search=search), WORKED_RATES)
        assert plan.makespan_s == pytest.approx(OPTIMUM_S)
