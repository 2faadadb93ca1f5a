"""Plans that lower their rates: what changes, what is kept, and that `check` recomputes it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.plan.check.check import check
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import prepare
from cuvee.plan.question.caution import Caution
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from tests.plan.brute_force import best_value
from tests.plan.generated import LABELS, generate
from tests.plan.instances import GPUS, HandProvider, Rates, check_tiny, demand, fleet, offer, problem

SEEDS = st.integers(10**6, 10**9)
BANDS = {name: 0.1 * (number % 8) for number, name in enumerate(LABELS)}


def solve(asked: PlanProblem, rates: Rates, bands: dict[str, float], pessimism: float) -> Plan:
    cautious = replace(asked, caution=Caution(pessimism=pessimism))
    return plan_prepared(prepare(cautious, provider=HandProvider(rates, bands), gpus=GPUS), explain=False)


def test_the_surer_gpu_wins():
    """1.0 +-50 % against 0.9 +-5 % at the same price: estimates alone choose t1, lowered rates 0.667 against 0.857 t2.

    Half of the band leaves 0.816 against 0.878. Tempting: 0.9, the estimate of the GPU that pessimism chose.
    """
    asked = problem([offer("t1", 1.0, 1), offer("t2", 1.0, 1)], [demand(1.0)], budget=1.0)
    rates, bands = {"t1": [1.0], "t2": [0.9]}, {"t1": 0.5, "t2": 0.05}
    trusting, half, full = (solve(asked, rates, bands, share) for share in (0.0, 0.5, 1.0))
    assert (fleet(trusting), fleet(half), fleet(full)) == ({"t1": 1}, {"t2": 1}, {"t2": 1})
    assert [each.objective for each in (trusting, half, full)] == pytest.approx([1.0, 0.9 / 1.05**0.5, 0.9 / 1.05])
    assert full.groups[0].cells[0].relative_error == 0.05
    assert full.groups[0].cells[0].rate_req_per_s == pytest.approx(0.9 / 1.05)


def test_a_known_demand_takes_more_gpus():
    """1.5 req/s on GPUs of 1.0 +-40 %: two by the estimates, three by 0.714 each (2.14)."""
    asked = problem([offer("t1", 2.0, 4)], [demand(1.0, rate_req_per_s=1.5)], objective=Objective.COST, budget=None)
    assert solve(asked, {"t1": [1.0]}, {"t1": 0.4}, 0.0).cost_usd_per_hour == 4.0
    assert solve(asked, {"t1": [1.0]}, {"t1": 0.4}, 1.0).cost_usd_per_hour == 6.0


@settings(max_examples=25)
@given(SEEDS, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_more_pessimism_never_promises_more(seed, first, second):
    """The optimum does not rise with pessimism, agrees with enumeration of lowered rates, and passes `check`."""
    asked, rates = generate(seed)
    little, much = sorted((first, second))
    before, after = (solve(asked, rates, BANDS, share) for share in (little, much))
    if after.has_plan:
        sign = 1 if asked.objective is Objective.THROUGHPUT else -1
        assert before.has_plan
        assert sign * before.objective >= sign * after.objective - 2e-6 * after.objective
        assert check_tiny(after).ok
    lowered = {name: [rate / (1 + BANDS[name.split(":")[1]]) ** much for rate in row] for name, row in rates.items()}
    best = best_value(asked, prepare(asked, provider=HandProvider(lowered), gpus=GPUS).candidates)
    assert (best is not None) == after.has_plan
    if best is not None:
        assert after.objective == pytest.approx(best, rel=1e-5)


@pytest.fixture(scope="module")
def cautious_plan() -> Plan:
    """Llama-3 8B on the paper's second stock at 3 $/h, every rate lowered by its whole band."""
    record = {
        "models": ["llama-3-8b"],
        "offers": "paper-avail-2",
        "budget_usd_per_hour": 3.0,
        "caution": {"pessimism": 1.0},
        "search": {"max_pipeline_stages": 1, "max_mixed_stages": 0},
    }
    return plan_prepared(prepare_scenario(parse_scenario(record, where="test")))


def test_check_recomputes_lowered_rates(cautious_plan):
    """Estimated rates must be the analytic model's, lowered as the inputs say."""
    assert cautious_plan.inputs.problem.caution.pessimism == 1.0
    assert check(cautious_plan).ok


def test_check_finds_rates_that_were_not_lowered(cautious_plan):
    """A plan that claims another pessimism than its rates have breaks the check of rates, and no other."""
    claimed = replace(cautious_plan.inputs.problem, caution=Caution(pessimism=0.5))
    report = check(replace(cautious_plan, inputs=replace(cautious_plan.inputs, problem=claimed)))
    assert report.violations
    assert all(line.startswith("rates: ") and "rate_req_per_s" in line for line in report.violations)


@pytest.mark.parametrize("pessimism", [-0.1, 1.1, float("nan")])
def test_refused(pessimism):
    """A share of the band outside [0, 1] is refused."""
    with pytest.raises(InputError, match="pessimism"):
        Caution(pessimism=pessimism)
