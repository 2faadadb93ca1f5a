"""The verdict: what follows, what drifts and why, and when it is too early to say."""

import math
from dataclasses import replace

import pytest

import cuvee
from cuvee.control.advice import advice_on
from cuvee.control.drift import Kind, Tolerances, Verdict, drift_of
from cuvee.control.intervals import State
from cuvee.control.observed import Spread, read_observed
from cuvee.errors import InputError
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from tests.control.made import reading, times
from tests.serve.world import MODEL, two_types


@pytest.fixture(scope="module")
def plan():
    """Two groups, of two replicas and of one: brief requests go to both, wordy ones to the first alone."""
    return two_types()


@pytest.fixture(scope="module")
def least_cost():
    """A plan that is paid for a known rate."""
    kinds = (cuvee.WorkloadType("brief", 1000, 50), cuvee.WorkloadType("wordy", 300, 400))
    demand = cuvee.Demand(kinds, (60.0, 40.0), rate_req_per_s=2.0)
    models = (cuvee.ModelDemand(cuvee.load_model(MODEL), demand),)
    problem = cuvee.PlanProblem(
        models, cuvee.load_offers("paper-avail-1"), cuvee.Limits(), objective=cuvee.Objective.COST
    )
    return cuvee.plan(problem)


def test_what_follows_the_plan_follows(plan):
    """Ten thousand requests as planned, at nine tenths of the rate: every figure follows, with nothing to do."""
    observed = reading(plan, time_s=10_000 / plan.served_req_per_s, load=0.9)
    drift = drift_of(plan, observed)
    assert drift.verdict is Verdict.FOLLOWS
    assert {each.state for each in drift.figures} == {State.FOLLOWS}
    assert advice_on(drift, plan, observed, "plan.json") == ()


def test_few_requests_are_not_enough(plan):
    """Forty requests exactly as planned say neither that the plan is followed nor that it is not."""
    drift = drift_of(plan, reading(plan, time_s=40 / plan.served_req_per_s, load=0.9))
    assert drift.verdict is Verdict.NOT_ENOUGH
    assert drift_of(plan, reading(plan, time_s=40.0, load=0.0)).verdict is Verdict.NOT_ENOUGH


def test_shares_that_are_off_drift(plan):
    """Seven of ten where five were planned: both groups drift, the mix does not; a little off is tolerated."""
    observed = reading(plan, time_s=10_000 / plan.served_req_per_s, load=0.9)

    def moved(part):
        """Brief requests that go to the first group in place of the second."""
        first, second = ((MODEL, "brief", group.id) for group in plan.groups)
        number = part * (observed.placed[first] + observed.placed[second])
        placed = {**observed.placed, first: observed.placed[first] + number, second: observed.placed[second] - number}
        return replace(observed, placed=placed)

    off = drift_of(plan, moved(0.15))
    assert off.verdict is Verdict.DRIFTS
    assert [each.name for each in off.of(State.DRIFTS) if each.kind is Kind.SHARE] == ["brief to g1", "brief to g2"]
    assert not off.drifting & {Kind.MIX, Kind.RATE}
    assert drift_of(plan, moved(0.01)).verdict is Verdict.FOLLOWS


def test_another_mix_drifts_and_is_planned_for_by_its_trace(plan):
    """Brief and wordy requests the other way round drift in the mix; the command plans for the gateway's trace."""
    observed = reading(plan, time_s=10_000 / plan.served_req_per_s, load=0.5)
    placed = {key: number * {"brief": 2 / 3, "wordy": 3 / 2}[key[1]] for key, number in observed.placed.items()}
    observed = replace(observed, placed=placed)
    drift = drift_of(plan, observed)
    assert Kind.MIX in drift.drifting
    (advice,) = advice_on(drift, plan, observed, "plans/today/plan.json")
    assert advice.command.startswith("cuvee plan scenario.yaml --from plans/today/plan.json --trace trace.csv")
    assert "--rate" not in advice.command  # a plan for most throughput has no rate


def test_less_than_a_plan_for_most_throughput_can_take_is_no_drift(plan, least_cost):
    """A tenth of the rate: money lost where a rate was paid for, nothing where as much as can be was asked for."""
    assert drift_of(plan, reading(plan, time_s=1e5, load=0.1)).verdict is Verdict.FOLLOWS
    drift = drift_of(least_cost, reading(least_cost, time_s=1e5, load=0.1))
    assert drift.drifting == {Kind.RATE}
    (advice,) = advice_on(drift, least_cost, reading(least_cost, load=0.1), "plan.json")
    assert advice.command.endswith("--rate 0.2")
    assert drift_of(least_cost, reading(least_cost, time_s=1e5, load=1.1)).verdict is Verdict.FOLLOWS
    assert Kind.RATE in drift_of(least_cost, reading(least_cost, time_s=1e5, load=1.5)).drifting


def test_requests_without_a_replica_were_asked_for_all_the_same(least_cost):
    """What waited in vain counts in rate and mix: half served and half refused is the planned rate."""
    observed = reading(least_cost, time_s=1e5, load=0.5)
    refused: dict[tuple[str, str], float] = {}
    for (model, workload, _), number in observed.placed.items():
        refused[model, workload] = refused.get((model, workload), 0.0) + number
    drift = drift_of(least_cost, replace(observed, waited_in_vain=refused))
    assert Kind.RATE not in drift.drifting
    assert drift.unserved == pytest.approx(drift.num_requests / 2)


def test_a_missing_replica_drifts_at_once(plan):
    """One that is down needs no statistics; the command plans with the GPUs that are left."""
    observed = replace(reading(plan, time_s=1.0, load=0.0), up={plan.groups[0].id: plan.groups[0].copies})
    drift = drift_of(plan, observed)
    assert drift.verdict is Verdict.DRIFTS
    (advice,) = advice_on(drift, plan, observed, "plan.json")
    gpu = next(iter(plan.groups[1].config.gpu_counts))
    assert f"limits.max_gpus.{gpu}=" in advice.command


def test_longer_answers_drift(plan):
    """Answers of twice the planned length drift, and only where there are enough of them."""
    observed = reading(plan, time_s=10_000 / plan.served_req_per_s, load=0.4)
    twice = {key: Spread({2 * each.mean: each.number}, 2 * each.total) for key, each in observed.lengths.items()}
    drift = drift_of(plan, replace(observed, lengths=twice))
    assert drift.drifting == {Kind.LENGTH}
    key, spread = next(iter(twice.items()))
    wide = Spread({1.0: 2.0, 16 * spread.mean: 2.0}, 8 * spread.mean)
    assert drift_of(plan, replace(observed, lengths={key: wide})).verdict is Verdict.FOLLOWS


def test_latency_beside_what_the_plan_foretells(plan):
    """Tokens that take three times as long drift; without limits a time to first token is told and not judged."""
    cell = plan.groups[0].cells[0]
    key = (MODEL, cell.workload, plan.groups[0].id)
    observed = reading(plan, time_s=10_000 / plan.served_req_per_s, load=0.5)
    slow = drift_of(plan, replace(observed, tpot={key: times(1000, 3 * cell.tpot_s)}, ttft={key: times(1000, 4.0)}))
    assert slow.drifting == {Kind.TPOT}
    assert [each.state for each in slow.figures if each.kind is Kind.TTFT] == [State.TOLD]
    assert drift_of(plan, replace(observed, tpot={key: times(1000, cell.tpot_s)})).verdict is Verdict.FOLLOWS


def test_limits_are_held_by_as_many_as_were_promised(plan):
    """Of a p95 of 0.5 s, 97 % kept follow and 80 % drift; what falls into the bucket of the limit may be either."""
    problem = plan.inputs.problem
    (entry,) = problem.models

    def limited(limit_s):
        objective = LatencyObjective(LatencyLimits(ttft_s=limit_s, statistic="p95"))
        asked = replace(problem, models=(replace(entry, latency=objective),))
        return replace(plan, inputs=replace(plan.inputs, problem=asked))

    key = (MODEL, plan.groups[0].cells[0].workload, plan.groups[0].id)
    observed = reading(plan, time_s=10_000 / plan.served_req_per_s, load=0.5)

    def kept(share, limit_s=0.5):
        spread = times(10_000 * share, 0.3).plus(times(10_000 * (1 - share), 0.9))
        found = drift_of(limited(limit_s), replace(observed, ttft={key: spread}))
        return next(each for each in found.figures if each.kind is Kind.TTFT)

    assert kept(0.97).state is State.FOLLOWS
    assert kept(0.8).state is State.DRIFTS
    assert (kept(0.8).planned, kept(0.8).found) == (0.95, pytest.approx(0.8))
    between = kept(0.8, 0.7)  # 0.9 s is counted from 0.5 to 1 s: it may be under 0.7
    assert between.state is State.OPEN
    assert between.high == 1.0


def test_rare_types_hold_up_no_verdict(plan):
    """A type of 4 % of the requests that is still open leaves the verdict; at 40 % it does not."""
    rows = tuple(replace(row, demand_req_per_s=share) for row, share in zip(plan.assignment, (0.96, 0.04), strict=True))
    uneven = replace(plan, assignment=rows)
    drift = drift_of(uneven, reading(uneven, time_s=3000 / uneven.served_req_per_s, load=0.5))
    assert drift.of(State.OPEN)
    assert drift.verdict is Verdict.FOLLOWS
    strict = Tolerances(open_share=0.01)
    assert drift_of(uneven, reading(uneven, time_s=3000 / uneven.served_req_per_s, load=0.5), strict).verdict is (
        Verdict.NOT_ENOUGH
    )


def test_another_plan_is_refused(plan):
    """Metrics of another plan are no reading of this one, and the message says what to do."""
    with pytest.raises(InputError, match="SIGHUP"):
        drift_of(plan, replace(reading(plan), fingerprint="0" * 12))


def test_two_readings_are_what_came_between(plan):
    """The second less the first; a counter that went back, or another plan, is refused."""
    first, second = reading(plan, time_s=1000.0), reading(plan, time_s=3000.0)
    between = second.since(first)
    assert between.served_s == 2000.0
    assert sum(between.placed.values()) == pytest.approx(sum(first.placed.values()) * 2, rel=0.01)
    assert all(each.mean == pytest.approx(first.lengths[key].mean) for key, each in between.lengths.items())
    for now, then in ((first, second), (second, replace(first, fingerprint="other")),
                      (second, replace(first, placed=dict.fromkeys(first.placed, 1000000000.0)))):  # fmt: skip
        with pytest.raises(InputError, match="restarted"):
            now.since(then)


def test_spreads_by_hand():
    """Mean, deviation and what is surely below a limit of a histogram; the last bucket has no end."""
    spread = Spread({1.0: 2.0, 2.0: 2.0, math.inf: 0.0}, 4.0)
    assert (spread.number, spread.mean) == (4.0, 1.0)
    assert spread.deviation == pytest.approx(0.5)
    assert spread.at_most(1.0) == (2.0, 2.0)
    assert spread.at_most(1.5) == (2.0, 4.0)
    assert spread.at_most(9.0) == (4.0, 4.0)


@pytest.mark.parametrize("text", ["<html>no</html>", "up 1\n", '{"detail":"Not Found"}', ""])
def test_what_is_no_reading_is_refused(text):
    """A page, JSON, or the metrics of something else end in a message that names where they came from."""
    with pytest.raises(InputError, match=r"somewhere"):
        read_observed(text, "somewhere")


def test_answers_that_were_cut_off_have_failed():
    """They begin with 200 and count as 2xx; what a check calls failed has them, and errors, all the same."""
    text = (
        'cuvee_plan_info{fingerprint="f"} 1\ncuvee_plan_served_seconds 60\n'
        'cuvee_requests_total{model="m",workload="a",group="g",status="2xx"} 30\n'
        'cuvee_requests_total{model="m",workload="a",group="g",status="5xx"} 2\n'
        'cuvee_broken_answers_total{model="m",workload="a",group="g"} 3\n'
    )
    assert read_observed(text, "here").failed == 5
