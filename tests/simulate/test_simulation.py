"""Simulations of plans: rates, shares, figures, failures, and what cannot be simulated."""

from dataclasses import replace

import numpy as np
import pytest

import cuvee
from cuvee.errors import InputError
from cuvee.plan.outcome.result import Plan
from cuvee.simulate.latencies import PERCENTILES
from cuvee.simulate.metrics import Report, other_mix, report
from cuvee.simulate.simulation import ReplicaEvent, simulate
from cuvee.workload.latency_limits import LatencyLimits
from cuvee.workload.prefixes import Prefixes
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
    assert all(each.achieved == pytest.approx(each.planned, abs=0.005) for each in done.shares)


def test_above_its_rate_it_serves_the_rate(plan):
    """At 1.5 times the plan's rate about the plan's rate comes out, and requests wait."""
    done = report(simulate(plan, num_requests=6000, load=1.5))
    assert done.all.rate_req_per_s == pytest.approx(plan.rate_req_per_s, rel=0.1)
    assert done.all.ttft.at(95) > 10 * report(simulate(plan, num_requests=2000, load=0.3)).all.ttft.at(95)


def test_a_run_that_ends_while_the_fleet_fills_up_says_so(plan):
    """Long answers take minutes: what ends in the first of them is no rate. Tempting: 0 req/s and no cost, as a fact.

    Once as much again arrives after the fleet is full, the rate is the plan's, as after the first tenth it is not.
    """
    short, long = (report(simulate(plan, num_requests=number, load=1.5)) for number in (30, 6000))
    assert short.is_short
    assert not long.is_short
    assert short.filling_s > short.arriving_s / 2
    assert long.all.rate_req_per_s == pytest.approx(plan.rate_req_per_s, rel=0.1)


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
    ended = (requests.finish_s > 0.1 * done.arriving_s) & (requests.finish_s <= done.arriving_s)
    assert done.all.input_tokens_per_s == pytest.approx(requests.prompt[ended].sum() / (0.9 * done.arriving_s))
    expected = plan.cost_usd_per_hour / 3600 / done.all.output_tokens_per_s * 1e6
    assert done.usd_per_million_tokens == pytest.approx(expected)


def test_times_between_tokens(plan):
    """Their mean is the mean over tokens of what requests took per token, to the width of a bin."""
    simulation = simulate(plan, num_requests=2000, load=0.5)
    requests = simulation.requests
    mean_s = (requests.finish_s - requests.first_s).sum() / (requests.answer - 1).sum()
    done = report(simulation)
    tokens = simulation.gaps.sum(axis=2)
    for kind, weights in (("group", tokens.sum(axis=1)), ("type", tokens.sum(axis=0))):
        means = [scope.itl.mean_s for scope in done.scopes if scope.kind == kind]
        assert np.average(means, weights=weights) == pytest.approx(mean_s, rel=0.02)
    assert done.all.itl.mean_s == pytest.approx(mean_s, rel=0.02)
    assert done.scopes[1].itl.at(50) != done.scopes[2].itl.at(50), "types differ in what they wait for"


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
        ({"load": 1e9}, "to 1000"),
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


def alike(number: int, *, prefixes: int, seed: int = 0) -> Trace:
    """A trace of requests whose prompts are one of some prefixes of 2,048 tokens, and 100 tokens of their own."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, prefixes, number)[:, None] * 4 + np.arange(4)
    ids = np.hstack([blocks, 4 * prefixes + np.arange(number)[:, None]]).ravel()
    told = Prefixes(ids, np.arange(number + 1) * 5, 512)
    arrival_s = np.cumsum(rng.exponential(1.0, number))
    return Trace("alike", np.full(number, 2148), np.full(number, 20), arrival_s, prefixes=told)


def found_share(done: Report) -> float:
    """Share of all prompt tokens that were in the cache."""
    assert done.all.found_share is not None
    return done.all.found_share


def test_a_prefix_cache_saves_prompts_and_time(plan):
    """With it most prompt tokens are found and first tokens come sooner; without, nothing is said of any."""
    trace = alike(1500, prefixes=20)
    without, found = (report(simulate(plan, trace, load=0.5, prefix_cache=cached)) for cached in (False, True))
    assert without.all.found_share is None
    assert 0.7 < found_share(found) < 2048 / 2148
    assert found.all.ttft.mean_s < 0.6 * without.all.ttft.mean_s


def test_prefix_affinity_is_worth_something(plan):
    """More prefixes than one cache holds: by prefix each replica sees its part of them, in turn each sees all."""
    trace = alike(3000, prefixes=150)
    by_turns, by_prefix = (
        report(simulate(plan, trace, load=0.25, prefix_cache=True, policy=policy)) for policy in ("plan", "prefix")
    )
    assert found_share(by_prefix) > found_share(by_turns) + 0.1
    assert by_prefix.all.ttft.mean_s < by_turns.all.ttft.mean_s


def test_a_request_that_is_drawn_twice_is_two_requests(plan):
    """Drawn ten times as often as there are requests: each draw of a request has a prompt of its own.

    All prompts of the trace differ, so nothing is found. Tempting: nine of ten prompts found, as they came before.
    """
    trace = alike(50, prefixes=50)
    numbers = np.arange(250)
    apart = replace(trace, prefixes=Prefixes(numbers, np.arange(51) * 5, 512))
    assert found_share(report(simulate(plan, apart, num_requests=500, prefix_cache=True))) == 0.0
    once = replace(trace, prefixes=Prefixes(numbers % 5, np.arange(51) * 5, 512))
    assert found_share(report(simulate(plan, once, num_requests=500, prefix_cache=True))) > 0.5


def test_a_trace_without_prefixes_has_none_to_find(plan):
    """It says so, and what to give."""
    with pytest.raises(InputError, match=r"nothing of prefixes.*\n.*hash_ids"):
        simulate(plan, replace(alike(5, prefixes=2), prefixes=None), prefix_cache=True)
    with pytest.raises(InputError, match="the plan's mix"):
        simulate(plan, num_requests=10, prefix_cache=True)


def test_cost_per_percentile_counts_only_what_came_in_time(plan):
    """$ of the window over tokens of requests within each percentile; at p100 what is printed for all of them."""
    simulation = simulate(plan, num_requests=2000, load=0.5)
    done, requests = report(simulation), simulation.requests
    within = done.all.usd_per_million_tokens_within
    assert within["e2e"][-1] == within["ttft"][-1] == pytest.approx(done.usd_per_million_tokens)
    until_s = requests.arrival_s[-1]
    counted = (requests.finish_s > 0.1 * until_s) & (requests.finish_s <= until_s)
    e2e_s = requests.finish_s - requests.arrival_s
    tokens = requests.answer[counted & (e2e_s <= done.all.e2e.at(50))].sum()
    cost = plan.cost_usd_per_hour / 3600 * 0.9 * until_s
    assert within["e2e"][PERCENTILES.index(50)] == pytest.approx(cost / tokens * 1e6)
    groups = {scope.name: scope.cost_usd_per_hour for scope in done.scopes if scope.kind == "group"}
    assert groups == {group.id: group.cost_usd_per_hour for group in plan.groups}
    assert {scope.cost_usd_per_hour for scope in done.scopes if scope.kind == "type"} == {None}


def test_an_interruption_is_a_failure_and_a_start(plan):
    """Gone at 20 s, back after 30 s: nothing is sent there in between, and something after."""
    group = plan.groups[0].id
    events = [ReplicaEvent("interrupt", group, 20.0, 0, delay_s=30.0)]
    simulation = simulate(plan, num_requests=1000, load=0.5, events=events)
    requests = simulation.requests
    arrived = requests.arrival_s[requests.replica == 0]
    assert not ((arrived > 20) & (arrived < 50)).any()
    assert arrived.min() < 20
    assert arrived.max() > 50
    same = [ReplicaEvent("fail", group, 20.0, 0), ReplicaEvent("start", group, 50.0, 0)]
    assert simulate(plan, num_requests=1000, load=0.5, events=same).requests.tobytes() == requests.tobytes()


def test_interruptions_that_overlap_are_one(plan):
    """100 s for 60 s and 130 s for 60 s: away until 190 s. Tempting: back at 160 s, when the first is over."""
    group = plan.groups[0].id
    away = [ReplicaEvent("interrupt", group, time_s, 0, delay_s=60.0) for time_s in (130.0, 100.0)]
    one = [ReplicaEvent("interrupt", group, 100.0, 0, delay_s=90.0)]
    both, single = (simulate(plan, num_requests=1500, load=0.5, events=each).requests for each in (away, one))
    arrived = both.arrival_s[both.replica == 0]
    assert arrived.max() > 190
    assert not ((arrived > 100) & (arrived < 190)).any()
    assert both.finish_s.tobytes() == single.finish_s.tobytes()


@pytest.mark.parametrize("delay_s", [0.0, -1.0, 1e-9])
def test_an_interruption_takes_time(plan, delay_s):
    """One of no time is refused: the start would come before the failure, which is then for good."""
    event = ReplicaEvent("interrupt", plan.groups[0].id, 1e9, 0, delay_s=delay_s)
    with pytest.raises(InputError):
        simulate(plan, num_requests=10, load=0.5, events=[event])


def of_lengths(*pairs, arrival_s=None) -> Trace:
    """A trace of (prompt, answer) lengths, a second apart unless said otherwise."""
    prompt, answer = np.array(pairs).T
    return Trace("t", prompt, answer, np.arange(float(len(pairs))) if arrival_s is None else np.asarray(arrival_s))


def test_why_requests_got_no_last_token():
    """One longer than the cache is refused, one is lost with its replica, one comes when nobody is there.

    The fleet is of one RTX 4090, whose cache holds some 26,000 tokens, with a model that takes 131,072.
    """
    kinds = (cuvee.WorkloadType("brief", 1000, 50),)
    demand = cuvee.Demand(kinds, (1.0,))
    offers, limits = cuvee.load_offers("paper-avail-1"), cuvee.Limits(0.54, max_gpus={"A40": 0, "A6000": 0})
    problem = cuvee.PlanProblem((cuvee.ModelDemand(cuvee.load_model("llama-3.1-8b"), demand),), offers, limits)
    small = cuvee.plan(problem)
    group = small.groups[0].id
    trace = of_lengths((1000, 5), (100_000, 10), (1000, 20_000), (1000, 10), arrival_s=[0.0, 5.0, 9.0, 20.0])
    done = report(simulate(small, trace, events=[ReplicaEvent("fail", group, 10.0)]))
    assert done.lost == 3
    assert done.lost_by_reason == {
        "their replica was gone": 1,
        "they exceed the cache of every replica that may take them": 1,
        "no replica was open": 1,
    }


def test_all_at_once_is_one_burst(plan):
    """Every request at 0 s: all are served, the rate is that over the time until the last has ended."""
    done = report(simulate(plan, of_lengths(*[(500, 50)] * 300, arrival_s=[0.0] * 300)))
    assert done.all.num_served == 300
    assert done.offered_req_per_s == 0
    assert done.all.rate_req_per_s == pytest.approx(300 / done.duration_s)
    assert max(use.busy for use in done.uses) == pytest.approx(1.0, abs=0.01), (
        "of the time until the group's last token"
    )


def test_busy_is_of_the_time_until_the_last_arrival_or_token(plan):
    """One request at 0 s, and the next to the same group at 1000 s: as good as idle. Tempting: busy until its end."""
    simulation = simulate(plan, of_lengths((500, 50), (500, 50), arrival_s=[0.0, 1000.0]))
    done, busy_s = report(simulation), simulation.replicas.busy_s
    of_replicas = [share for use in done.uses for share in use.busy_of_replicas]
    assert of_replicas == pytest.approx(busy_s / 1000, rel=0.02)
    assert 0 < max(of_replicas) < 0.01


def test_what_of_a_trace_was_left_out_is_told(plan):
    """Rows without answers, and requests that stood in another order."""
    trace = replace(of_lengths((500, 50)), num_skipped={"zero output tokens": 3}, notes=("1 row was sorted",))
    notes = simulate(plan, trace).arrivals.notes
    assert notes == ("3 rows of the trace left out: 3 with zero output tokens", "1 row was sorted")


def test_requests_of_another_mix_are_known(plan):
    """All brief where 60 of 100 are planned: 40 % apart; of 99 requests it may be chance."""
    found = other_mix(simulate(plan, of_lengths(*[(1000, 50)] * 100)))
    assert found is not None
    planned = {"brief": 0.6, "wordy": 0.4}[found.workload]
    assert found.arrived == (found.workload == "brief")
    assert found.planned == pytest.approx(planned)
    assert other_mix(simulate(plan, of_lengths(*[(1000, 50)] * 99))) is None
    assert other_mix(simulate(plan, of_lengths(*[(1000, 50)] * 69, *[(300, 400)] * 31))) is None


def test_events_at_one_time(plan):
    """A replica starts as another one of its group drains: requests of that very time go to the first."""
    group = next(group for group in plan.groups if group.copies == 2)
    events = [ReplicaEvent("drain", group.id, 5.0, 0), ReplicaEvent("start", group.id, 5.0, 1)]
    requests = simulate(plan, of_lengths(*[(300, 400)] * 11), events=events).requests
    first = int(np.flatnonzero([each.id == group.id for each in plan.groups for _ in range(each.copies)])[0])
    assert not (requests.replica[:5] == first + 1).any()
    assert not (requests.replica[5:] == first).any()
    assert np.isfinite(requests.finish_s).all()
