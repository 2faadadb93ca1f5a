"""What groups did over time: requests held and waiting, whatever became of them."""

import numpy as np
import pytest

import cuvee
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.report.request_files import request_columns
from cuvee.simulate.metrics import report
from cuvee.simulate.simulation import ReplicaEvent, simulate

FAILS_S = 20.0
"""When replicas fail in these tests [s]."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    """A plan of several groups for two types of requests to an 8B model."""
    kinds = (cuvee.WorkloadType("brief", 1000, 50), cuvee.WorkloadType("wordy", 300, 400))
    demand = cuvee.Demand(kinds, (60.0, 40.0))
    limits = cuvee.Limits(1.7, max_gpus={"RTX4090": 1})
    entry = cuvee.ModelDemand(cuvee.load_model("llama-3-8b"), demand)
    return cuvee.plan(cuvee.PlanProblem((entry,), cuvee.load_offers("paper-avail-1"), limits))


def test_what_is_lost_counts_until_it_is_lost(plan):
    """All groups fail at 20 s: until then each holds what it holds without the failures, and nothing afterwards.

    Tempting: nothing of what was lost, before the failure too, as it was not served in the end.
    """
    events = [ReplicaEvent("fail", group.id, FAILS_S) for group in plan.groups]
    whole, failed = (simulate(plan, num_requests=1000, load=0.9, events=each) for each in ((), events))
    as_it_was, seen = report(whole), report(failed)
    before = np.array(seen.series_s) < FAILS_S
    assert before.sum() > 10
    for one, other in zip(as_it_was.uses, seen.uses, strict=True):
        for name in ("series_requests", "series_waiting"):
            expected, found = (np.array(getattr(use, name)) for use in (one, other))
            assert found[before].tolist() == expected[before].tolist(), name
            assert not found[~before].any(), name
        assert max(other.series_requests) > 0
        assert other.running > 0
    lost = failed.requests.first_s > 0
    columns = request_columns(failed)
    assert np.all(columns["group"][lost] != "")
    assert np.all(columns["replica"][lost] >= 0)
    assert sum(each.achieved or 0.0 for each in seen.shares if each.workload == "brief") == pytest.approx(1)
    assert seen.lost_by_reason["their replica was gone"] == (lost & np.isnan(failed.requests.finish_s)).sum()


def test_who_is_routed_anew_counts_where_it_was(plan):
    """All replicas but the last fail, one after the other: some requests are routed anew twice.

    Held requests of all groups together are those that have arrived, have not ended, and are not lost.
    """
    places = [(group.id, place) for group in plan.groups for place in range(group.copies)][:-1]
    events = [
        ReplicaEvent("interrupt", group, 20 + 0.3 * order, place, delay_s=9.0)
        for order, (group, place) in enumerate(places)
    ]
    simulation = simulate(plan, num_requests=1500, load=3.0, events=events)
    done, requests = report(simulation), simulation.requests
    assert len(simulation.stays) > 0, "otherwise nothing is tested"
    assert len(set(simulation.stays.request)) < len(simulation.stays), "one was routed anew twice"
    end_s = np.where(np.isfinite(requests.finish_s), requests.finish_s, requests.last_s)
    for place, time_s in enumerate(done.series_s):
        held = (requests.arrival_s <= time_s) & (end_s > time_s)
        assert sum(use.series_requests[place] for use in done.uses) == held.sum()
    copies = np.array([each.copies for each in plan.groups])
    got_s = np.where(requests.first_s > 0, requests.first_s, end_s)
    queued_s = (np.minimum(got_s, done.arriving_s) - requests.arrival_s).sum()
    assert copies @ [use.waiting for use in done.uses] * done.arriving_s == pytest.approx(queued_s)
    whole_s = (np.minimum(end_s, done.arriving_s) - requests.arrival_s).sum()
    assert copies @ [use.running for use in done.uses] * done.arriving_s == pytest.approx(whole_s)


@pytest.mark.parametrize("load", [0.6, 2.0])
def test_the_cache_in_use_is_what_sequences_hold(plan, load):
    """Nothing at the start, never more than the whole cache, and nearly all of it only where sequences are put back.

    Tempting: of a request its prompt at once and its answer bit by bit until its last token, though it was put back.
    """
    done = report(simulate(plan, num_requests=5000, load=load))
    cached = np.array([use.series_cache for use in done.uses])
    assert (cached[:, 0] == 0).all()
    assert (cached[:, 1:] > 0).any()
    assert ((cached >= 0) & (cached <= 1)).all()
    assert [use.preemptions > 0 for use in done.uses] == (cached.max(axis=1) > 0.97).tolist()
    assert any(use.preemptions for use in done.uses) == (load > 1)


def test_prompts_that_are_computed_take_cache():
    """Replicas that only prefill hold the prompts they compute. Tempting: none, as their last token is their first."""
    asked = cuvee.prepare_scenario(cuvee.load_scenario("examples/prefill_decode.yaml"))
    simulation = simulate(plan_prepared(asked), num_requests=2000, load=1.3)
    uses = report(simulation).uses
    assert any(each.sending is not None for each in simulation.fleet.groups)
    assert all(0 < max(use.series_cache) <= 1 for use in uses)
