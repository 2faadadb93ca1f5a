"""Simulations of plans: rates, shares, figures, failures, and what cannot be simulated."""

from dataclasses import replace

import numpy as np
import pytest

import cuvee
from cuvee.errors import InputError
from cuvee.plan.outcome.result import Plan
from cuvee.simulate.metrics import PERCENTILES, report
from cuvee.simulate.simulation import ReplicaEvent, simulate
from cuvee.workload.latency_limits import LatencyLimits
from cuvee.workload.records import Trace


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan for two types of requests to an 8B model."""
    return planned()


def planned(**changes) -> Plan:
    """Two GPU types at least: there is one 4090, on short and long answers."""
    kinds = (cuvee.WorkloadType("brief", 1000, 50), cuvee.WorkloadType("wordy", 300, 400))
    demand = cuvee.Demand(kinds, (60.0, 40.0))
    offers = cuvee.load_offers("paper-avail-1")
    limits = cuvee.Limits(1.7, max_gpus={"RTX4090": 1})
    problem = cuvee.PlanProblem((cuvee.ModelDemand(cuvee.load_model("llama-3-8b"), demand),), offers, limits, **changes)
    return cuvee.plan(problem)


def test_below_its_rate_a_plan_serves_what_arrives(plan):
    """At 60 % of the plan's rate everything is served, by the shares of the plan."""
    done = report(simulate(plan, num_requests=4000, load=0.6))
    assert done.lost == 0
    assert done.all.num_served == 4000
    assert done.all.rate_req_per_s == pytest.approx(done.offered_req_per_s, rel=0.05)
    assert done.offered_req_per_s == pytest.approx(0.6 * plan.rate_req_per_s, rel=0.05)
    assert all(abs(each.achieved - each.planned) < 0.005 for each in done.shares)


def test_above_its_rate_it_serves_the_rate(plan):
    """At 1.5 times the plan's rate about the plan's rate comes out, and requests wait."""
    done = report(simulate(plan, num_requests=6000, load=1.5))
    assert done.all.rate_req_per_s == pytest.approx(plan.rate_req_per_s, rel=0.1)
    assert done.all.ttft.at(95) > 10 * report(simulate(plan, num_requests=2000, load=0.3)).all.ttft.at(95)


def test_figures_are_those_of_the_requests(plan):
    """Means, percentiles, tokens and money against plain numpy."""
    simulation = simulate(plan, num_requests=3000, load=0.5, seed=4)
    done, requests = report(simulation), simulation.requests
    e2e_s = requests.finish_s - requests.arrival_s
    assert done.all.e2e.mean_s == pytest.approx(e2e_s.mean())
    assert done.all.e2e.percentiles_s == pytest.approx(np.percentile(e2e_s, PERCENTILES))
    assert done.all.ttft.at(100) == pytest.approx((requests.first_s - requests.arrival_s).max())
    assert sum(scope.num_requests for scope in done.scopes if scope.kind == "type") == 3000
    assert sum(scope.num_requests for scope in done.scopes if scope.kind == "group") == 3000
    expected = plan.cost_usd_per_hour / 3600 / done.all.output_tokens_per_s * 1e6
    assert done.usd_per_million_tokens == pytest.approx(expected)


def test_times_between_tokens(plan):
    """Their mean is the mean over tokens of what requests took per token, to the width of a bin."""
    simulation = simulate(plan, num_requests=2000, load=0.5)
    requests = simulation.requests
    mean_s = (requests.finish_s - requests.first_s).sum() / (requests.answer - 1).sum()
    uses = report(simulation).uses
    tokens = simulation.gaps.sum(axis=1)
    by_group = [tokens[simulation.fleet.group_of == index].sum() for index in range(len(uses))]
    assert np.average([use.itl.mean_s for use in uses], weights=by_group) == pytest.approx(mean_s, rel=0.02)


def test_limits_are_kept_or_not(plan):
    """Attainment and goodput: all of them under wide limits, none under impossible ones, by row."""
    simulation = simulate(plan, num_requests=1000, load=0.5)
    wide = report(simulation, limits=[LatencyLimits(e2e_s=1e6)] * 2)
    assert wide.all.attainment == 1.0
    assert wide.all.goodput_req_per_s == pytest.approx(wide.all.rate_req_per_s)
    half = report(simulation, limits=[LatencyLimits(ttft_s=1e-9), None])
    assert [scope.attainment for scope in half.scopes if scope.kind == "type"] == [0.0, 1.0]


def test_a_failure_costs_what_was_in_flight(plan):
    """The largest group fails in the middle: what it had begun is lost, what comes later goes to the others."""
    group = max(plan.groups, key=lambda each: each.cost_usd_per_hour)
    middle_s = 1000 / (0.3 * plan.rate_req_per_s)
    simulation = simulate(plan, num_requests=2000, load=0.3, events=[ReplicaEvent("fail", group.id, middle_s)])
    requests, done = simulation.requests, report(simulation)
    assert len(plan.groups) > 1
    assert 0 < done.lost < 200
    later = requests.arrival_s > middle_s
    gone = [index for index, each in enumerate(simulation.fleet.groups) if each.group.id == group.id]
    assert not np.isin(simulation.fleet.group_of[requests.replica[later]], gone).any()


def test_a_replica_that_starts_late_gets_nothing_before(plan):
    """Requests before its start go elsewhere or nowhere."""
    group = plan.groups[0]
    simulation = simulate(plan, num_requests=500, load=0.3, events=[ReplicaEvent("start", group.id, 20.0)])
    early = simulation.requests.arrival_s < 20
    served = early & (simulation.requests.replica >= 0)
    assert (simulation.fleet.group_of[simulation.requests.replica[served]] != 0).all()


def test_the_same_seed_gives_the_same_bytes(plan):
    """And another seed others."""
    one, two, other = (simulate(plan, num_requests=500, load=0.8, seed=seed) for seed in (1, 1, 2))
    assert one.requests.tobytes() == two.requests.tobytes() != other.requests.tobytes()


def test_a_trace_is_replayed_or_drawn_from(plan):
    """As it is, faster, or by lengths alone; its types are those of the plan."""
    trace = Trace("t", np.array([1000, 300, 900]), np.array([50, 400, 60]), np.array([0.0, 1.0, 2.0]))
    assert simulate(plan, trace).requests.arrival_s.tolist() == [0.0, 1.0, 2.0]
    assert simulate(plan, trace, rate_scale=2.0).requests.arrival_s.tolist() == [0.0, 0.5, 1.0]
    drawn = simulate(plan, trace, num_requests=300)
    assert set(zip(drawn.requests.prompt.tolist(), drawn.requests.answer.tolist(), strict=True)) == {
        (1000, 50), (300, 400), (900, 60)
    }  # fmt: skip
    assert simulate(plan, trace).row.tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="no times of arrival"):
        simulate(plan, replace(trace, arrival_s=None))


def test_requests_longer_than_the_model_takes_are_cut_and_counted(plan):
    """llama-3-8b takes 8,192 tokens."""
    trace = Trace("long", np.array([8000, 9000]), np.array([500, 500]), np.array([0.0, 1.0]))
    simulation = simulate(plan, trace)
    assert simulation.arrivals.num_shortened == 2
    assert (simulation.requests.prompt + simulation.requests.answer).max() == 8192


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"policy": "best"}, "policy 'best'"),
        ({"num_requests": 0}, "--requests 0"),
        ({"load": 0.5, "rate_scale": 1.0}, "--load and --rate-scale"),
        ({"load": float("nan")}, "--load nan"),
        ({"rate_scale": 2.0}, "without times of arrival"),
        ({"events": [ReplicaEvent("fail", "g99", 1.0)]}, "'g99'"),
        ({"events": [ReplicaEvent("fail", "g1", 1.0, 99)]}, "replica 99"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 10**30}, "seed 1000"),
        ({"load": 1e9}, "1000 at most"),
        ({"events": [ReplicaEvent("explode", "g1", 1.0)]}, "explode"),
    ],
)
def test_what_cannot_be_asked(plan, asked, message):
    """Each with what arrived."""
    with pytest.raises(InputError, match=message):
        simulate(plan, **{"num_requests": 10, **asked})


def test_a_plan_without_a_fleet_cannot_be_played(plan):
    """It says so."""
    with pytest.raises(InputError, match="without a fleet"):
        simulate(replace(plan, groups=(), assignment=()))
