"""What is left of a plan when the world is another, on the worked example."""

from dataclasses import replace

import pytest

from cuvee.evaluate import robustness
from cuvee.evaluate.robustness import Bursty, Met, lost_stock, wrong_rates
from cuvee.evaluate.robustness_means import mean_bursty, mean_met
from cuvee.plan.planner import plan_prepared
from cuvee.plan.solver.program import Termination
from tests.evaluate.made_up import SETTING
from tests.evaluate.test_ways import prepared


def test_better_answers_serve_more():
    """Kept shares, then the best shares, then the best fleet; wider errors cost kept shares more."""
    ours = {"plan": plan_prepared(prepared(), explain=False)}
    found = list(wrong_rates(SETTING, prepared(), ours))
    assert len(found) == len(robustness.ERRORS)
    for each in found:
        assert each.kept_req_per_s <= each.rebalanced_req_per_s * (1 + 1e-9)
        assert each.rebalanced_req_per_s <= each.anew_req_per_s * (1 + 1e-9), "the plan itself, not the better of both"
        assert each.replanned_req_per_s == pytest.approx(each.anew_req_per_s)
    assert found[-1].kept_req_per_s < found[0].kept_req_per_s < ours["plan"].rate_req_per_s


def test_lost_gpus_take_their_replicas(monkeypatch):
    """One t2 gone takes the pair: t1 alone serves 100 requests in 80 + 20 / 1.2 s. Tempting: half of the pair stays."""
    monkeypatch.setattr(robustness, "LOST_GPU", "t2")
    monkeypatch.setattr(robustness, "NUM_LOST", 1)
    ours = {"plan": plan_prepared(prepared(), explain=False)}
    (found,) = lost_stock(SETTING, prepared(), ours)
    assert found.rebalanced_req_per_s == pytest.approx(100 / (80 + 20 / 1.2))
    assert found.replanned_req_per_s == found.anew_req_per_s > found.rebalanced_req_per_s


def test_a_plan_that_is_not_found_is_told_and_the_old_one_kept(monkeypatch):
    """Nothing is found anew: 0 req/s of that, and what re-balancing leaves. Tempting: to tell the latter alone."""
    ours = {"plan": plan_prepared(prepared(), explain=False)}
    none = replace(ours["plan"], termination=Termination.NOTHING_FOUND, groups=(), assignment=())
    monkeypatch.setattr(robustness, "_ours", lambda _prepared: none)
    (found,) = lost_stock(SETTING, prepared(), ours)
    assert found.anew_req_per_s == 0
    assert found.replanned_req_per_s == found.rebalanced_req_per_s > 0


def test_means_are_over_settings_and_other_mixes():
    """Ours keeps 1/2 and 1/4 of what was foreseen: 3/8; it leads 4 to 2 and 2 to 2: by half. Two mixes are one case."""
    met = [
        Met("a", "mix of trace-2", "plan", 8.0, 4.0, 8.0, 8.0, 8.0),
        Met("a", "mix of trace-2", "even", 4.0, 2.0, 4.0, 4.0, 4.0),
        Met("b", "mix of trace-3", "plan", 8.0, 2.0, 4.0, 8.0, 8.0),
        Met("b", "mix of trace-3", "even", 4.0, 2.0, 4.0, 4.0, 4.0),
    ]
    ours, even = mean_met(met)
    assert (ours.case, ours.way, ours.num_settings) == ("another mix", "plan", 2)
    assert (ours.kept, ours.rebalanced, ours.replanned) == pytest.approx((0.375, 0.75, 1.0))
    assert ours.lead == pytest.approx((0.0, 0.0, 0.0))
    assert even.lead == pytest.approx((0.5, 0.5, 1.0))


def test_times_are_ratios_to_ours():
    """Twice as long in one setting and half as long in the other is as long: geometric, not 1.25."""
    bursts = [
        Bursty("a", "plan", 2.0, 1.0, 10.0),
        Bursty("a", "even", 2.0, 2.0, 10.0),
        Bursty("b", "plan", 2.0, 4.0, 10.0),
        Bursty("b", "even", 2.0, 2.0, 40.0),
    ]
    even = mean_bursty(bursts)[1]
    assert even.way == "even"
    assert (even.p50, even.p90) == pytest.approx((1.0, 2.0))
