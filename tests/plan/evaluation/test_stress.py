"""Draws and what a plan serves under them: distributions, losses by hand, percentiles in closed form, equal luck."""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.plan.check.check import check
from cuvee.plan.evaluation.draws import (
    SHARED_VARIANCE,
    SIGMAS_PER_BAND,
    error_normals,
    list_hosts,
    rate_factors,
    surviving_copies,
)
from cuvee.plan.evaluation.stress import stress
from cuvee.plan.outcome.files import load_plan, plan_to_json
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import prepare
from cuvee.plan.question.aim import Aim, Serve
from cuvee.plan.question.caution import Caution, StressReport
from cuvee.plan.question.problem import Objective
from cuvee.plan.question.risk import Risk
from cuvee.profile.replica import ReplicaConfig, Stage
from tests.plan.generated import LABELS, generate
from tests.plan.instances import GPUS, HandProvider, check_tiny, demand, offer, problem, solve_tiny

SEEDS = st.integers(10**6, 10**9)
SAFE = Caution(host_loss_chance=0.0, spot_loss_chance=0.0)


def one_gpu(band: float, caution: Caution, copies: int = 1) -> Plan:
    """GPUs of 1 req/s that are rented for `copies` req/s."""
    asked = problem([offer("t1", 1.0, 9)], [demand(1.0, rate_req_per_s=float(copies))], objective=Objective.COST)
    provider = HandProvider({"t1": [1.0]}, {"t1": band})
    return plan_prepared(prepare(replace(asked, caution=caution), provider=provider, gpus=GPUS))


def with_losses(plan: Plan, host: float, spot: float = 0.0, seed: int = 0) -> Plan:
    caution = Caution(seed=seed, host_loss_chance=host, spot_loss_chance=spot)
    return replace(plan, inputs=replace(plan.inputs, problem=replace(plan.inputs.problem, caution=caution)))


def test_percentiles_of_one_gpu():
    """One GPU of 1 req/s +-35 %: the rate drawn is exp(sigma e) itself, with sigma = ln 1.35 / 1.2816 = 0.234.

    Its mean is exp(sigma^2 / 2) = 1.028 and its 5th percentile exp(-1.645 sigma) = 0.680; not 0.65, which only one in
    thirty falls below.
    """
    plan = one_gpu(0.35, SAFE)
    report = stress(plan, num_draws=20_000)
    drawn = np.exp(
        math.log(1.35) / SIGMAS_PER_BAND
        * error_normals([plan.groups[0].config], seed=0, num_draws=20_000)[:, 0]
    )  # fmt: skip
    for withstood in (report.rebalanced, report.kept_shares):
        rate = withstood.rate_req_per_s
        assert (rate.mean, rate.percentile_5, rate.worst) == pytest.approx(
            (drawn.mean(), np.percentile(drawn, 5), drawn.min())
        )
        assert (rate.mean, rate.percentile_5) == pytest.approx((1.028, 0.680), rel=0.01)
        assert withstood.served_share.mean == pytest.approx(np.minimum(drawn, 1).mean())
        assert withstood.whole_chance == pytest.approx(0.5, abs=0.01)


def test_losses_of_equal_gpus_are_binomial():
    """Three GPUs of 1 req/s each lost in 20 %, 3 req/s arrive: all in 0.8^3, none in 0.2^3, 80 % on average."""
    report = stress(one_gpu(0.0, replace(SAFE, host_loss_chance=0.2), copies=3), num_draws=20_000)
    withstood = report.rebalanced
    assert withstood.whole_chance == pytest.approx(0.512, abs=0.01)
    assert withstood.served_share.mean == pytest.approx(0.8, abs=0.01)
    assert withstood.served_share.worst == 0.0
    assert withstood.served_share.percentile_5 == pytest.approx(1 / 3)  # 0.8 % none, 9.6 % one, 38.4 % two
    assert report.arriving_req_per_s == 3.0


def test_four_errors_of_five_are_within_the_band():
    """Of the drawn factors 80 % lie between 1 / (1 + band) and 1 + band, and half above 1."""
    factors = rate_factors(one_gpu(0.35, SAFE), 20_000)[:, 0, 0]
    assert (np.abs(np.log(factors)) <= math.log(1.35)).mean() == pytest.approx(0.8, abs=0.01)
    assert (factors > 1).mean() == pytest.approx(0.5, abs=0.01)
    assert NormalDist().cdf(SIGMAS_PER_BAND) == pytest.approx(0.9, abs=1e-4)


def test_pessimism_does_not_move_what_is_drawn():
    """A plan on lowered rates meets the same GPUs: its promise is exceeded by as much as it was lowered."""
    estimated, lowered = (rate_factors(one_gpu(0.4, replace(SAFE, pessimism=share)), 100) for share in (0.0, 0.5))
    assert lowered == pytest.approx(estimated * 1.4**0.5)


def test_errors_of_one_gpu_type_move_together():
    """Two configurations on t1 share s of their variance, one on t1 and t2 the root of half of that, t1 and t3 none."""
    stages = {name: Stage(name, 1, 1) for name in ("t1", "t2", "t3")}
    configs = [
        ReplicaConfig("tiny", (stages["t1"],)),
        ReplicaConfig("tiny", (Stage("t1", 2, 1),)),
        ReplicaConfig("tiny", (stages["t1"], stages["t2"])),
        ReplicaConfig("tiny", (stages["t3"],)),
    ]
    normals = error_normals(configs, seed=3, num_draws=40_000)
    expected = [1.0, SHARED_VARIANCE, SHARED_VARIANCE / math.sqrt(2), 0.0]
    correlation = [np.corrcoef(normals[:, 0], other)[0, 1] for other in normals.T]
    assert correlation == pytest.approx(expected, abs=0.015)
    assert normals.std(axis=0) == pytest.approx(1.0, abs=0.015)


def test_luck_belongs_to_names():
    """A configuration's errors are the same beside others, and the first of many draws are the draws of few."""
    one, other = ReplicaConfig("tiny", (Stage("t1", 1, 2),)), ReplicaConfig("tiny", (Stage("t2", 1, 2),))
    alone = error_normals([one], seed=1, num_draws=10)[:, 0]
    assert (error_normals([other, one], seed=1, num_draws=1000)[:10, 1] == alone).all()
    assert (error_normals([one], seed=2, num_draws=10)[:, 0] != alone).all()


@pytest.fixture(scope="module")
def machines() -> Plan:
    """Two machines of four t2 hold three TP2 replicas; two single t1 one replica each, on spot."""
    offers = [offer("t2", 8.0, 2, num_gpus=4, machine_gpus=4), offer("t1", 1.0, 2, spot=True)]
    asked = problem(offers, [demand(1.0)], budget=18.0, max_gpus={"t2": 8})
    return solve_tiny(asked, {"t2*2": [2.0], "t1": [1.0]})


def test_replicas_stand_on_machines(machines):
    """Blocks of two fill machines of four: four TP2 replicas on two hosts; each single GPU has a host of its own."""
    standing = [(host.offer, host.replicas) for host in list_hosts(machines)]
    assert [(group.config.num_gpus, group.copies) for group in machines.groups] == [(2, 4), (1, 2)]
    assert standing == [(0, (0, 1)), (0, (2, 3)), (1, (4,)), (1, (5,))]


def test_a_lost_machine_takes_all_its_replicas(machines):
    """Pairs of TP2 replicas are lost together: 0, 2 or 4 are left, never an odd number; 75 % of hosts survive."""
    copies = surviving_copies(with_losses(machines, 0.25), 4000)
    assert set(copies[:, 0]) == {0.0, 2.0, 4.0}
    assert set(copies[:, 1]) == {0.0, 1.0, 2.0}
    assert (copies[:, 0] == 4).mean() == pytest.approx(0.75**2, abs=0.03)
    assert copies.mean(axis=0) == pytest.approx([3.0, 1.5], abs=0.06)


def test_a_spot_offer_is_taken_back_as_a_whole(machines):
    """Both spot GPUs or none, three times in ten; the machines, which are not spot, stay."""
    copies = surviving_copies(with_losses(machines, 0.0, spot=0.3), 4000)
    assert set(copies[:, 0]) == {4.0}
    assert set(copies[:, 1]) == {0.0, 2.0}
    assert (copies[:, 1] == 0).mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("robust_draws", [0, 3])
def test_stated_interruptions_are_drawn_and_not_counted_twice(robust_draws):
    """Spot t1 of 2 req/s, interrupted once an hour for an hour: planned at 1 req/s, drawn at 2 or, half the time, at 0.

    Tempting: 1 or 0, which would take the interruptions off twice. A robust plan of it alone serves nobody at worst.
    """
    risk = Risk(spot_interruptions_per_hour=1.0, recovery_minutes=60.0)
    asked = problem([offer("t1", 1.0, 1, spot=True)], [demand(1.0)], budget=1.0)
    asked = replace(asked, risk=risk, caution=replace(SAFE, robust_draws=robust_draws))
    plan = plan_prepared(prepare(asked, provider=HandProvider({"t1": [2.0]}), gpus=GPUS))
    if robust_draws:
        assert not plan.has_plan
        return
    assert plan.rate_req_per_s == pytest.approx(1.0)
    rate = stress(plan, num_draws=4000).rebalanced.rate_req_per_s
    assert (rate.mean, rate.worst) == pytest.approx((1.0, 0.0), abs=0.05)
    assert set(rate_factors(plan, 10).ravel()) == {2.0}


def test_a_pipeline_over_machines_needs_all_of_them():
    """A pipeline of t1 and t2 on two offers has a host for each stage, and is lost with either: 0.8^2 stay."""
    asked = problem([offer("t1", 1.0, 1), offer("t2", 1.0, 1)], [demand(1.0)], budget=2.0)
    plan = solve_tiny(asked, {"t1+t2": [1.0]})
    assert [(host.offer, host.replicas) for host in list_hosts(plan)] == [(0, (0,)), (1, (0,))]
    assert surviving_copies(with_losses(plan, 0.2), 4000).mean() == pytest.approx(0.64, abs=0.03)


@settings(max_examples=15)
@given(SEEDS, st.integers(0, 1000))
def test_any_plan_under_stress(seed, luck):
    """Figures are in order, re-balancing serves no less, they come again from a file and pass `check`."""
    asked, rates = generate(seed)
    asked = replace(asked, caution=Caution(seed=luck, host_loss_chance=0.1))
    bands = {name: 0.1 * (number % 8) for number, name in enumerate(LABELS)}
    plan = plan_prepared(prepare(asked, provider=HandProvider(rates, bands), gpus=GPUS), explain=False)
    assume(plan.has_plan)
    report = stress(plan, num_draws=50)
    assert report == stress(plan, num_draws=50)
    for name in ("rate_req_per_s", "served_share"):
        balanced, kept = (getattr(each, name) for each in (report.rebalanced, report.kept_shares))
        for figure in ("mean", "percentile_5", "worst"):
            assert getattr(balanced, figure) >= getattr(kept, figure) * (1 - 1e-6)
        assert balanced.worst <= min(balanced.mean, balanced.percentile_5)
    assert 0 <= report.kept_shares.whole_chance <= report.rebalanced.whole_chance <= 1
    found = check_tiny(replace(plan, stress=report))
    assert found.ok
    assert "draws" in found.passed


def test_check_draws_again(machines, tmp_path):
    """A stress report is kept in the plan's file; a figure that the draws do not give is found."""
    plan = replace(machines, stress=stress(machines, num_draws=30))
    assert isinstance(plan.stress, StressReport)
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    again = load_plan(tmp_path / "plan.json")
    assert again.stress == plan.stress
    assert check(again, gpus=GPUS).ok
    better = replace(plan.stress, rebalanced=replace(plan.stress.rebalanced, whole_chance=0.999))
    report = check_tiny(replace(plan, stress=better))
    assert len(report.violations) == 1
    assert report.violations[0].startswith("draws: stress: rebalanced whole_chance 0.999, the draws give ")


def test_requests_served_apart_are_refused(machines):
    """Draws are compared by how much of the mix is served, which a plan for models apart does not promise."""
    apart = replace(machines.inputs.problem, aim=Aim(serve=Serve.MODELS))
    with pytest.raises(InputError, match="serves models apart"):
        stress(replace(machines, inputs=replace(machines.inputs, problem=apart)), num_draws=10)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Caution(host_loss_chance=1.5),
        lambda: Caution(spot_loss_chance=float("nan")),
        lambda: Caution(seed=-1),
        lambda: stress(one_gpu(0.1, SAFE), num_draws=0),
    ],
)
def test_refused(build):
    """Chances outside [0, 1], a seed below 0, no draws."""
    with pytest.raises(InputError):
        build()
