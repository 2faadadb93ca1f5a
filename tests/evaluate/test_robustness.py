"""What is left of a plan when the world is another, on the worked example."""

import pytest

from cuvee.evaluate import robustness
from cuvee.evaluate.robustness import lost_stock, wrong_rates
from cuvee.plan.planner import plan_prepared
from tests.evaluate.made_up import SETTING
from tests.evaluate.test_ways import prepared


def test_better_answers_serve_more():
    """Kept shares, then the best shares, then the best fleet; wider errors cost kept shares more."""
    ours = {"plan": plan_prepared(prepared(), explain=False)}
    found = list(wrong_rates(SETTING, prepared(), ours))
    assert len(found) == len(robustness.ERRORS)
    for each in found:
        assert each.kept_req_per_s <= each.rebalanced_req_per_s * (1 + 1e-9)
        assert each.rebalanced_req_per_s <= each.replanned_req_per_s * (1 + 1e-9)
    assert found[-1].kept_req_per_s < found[0].kept_req_per_s < ours["plan"].rate_req_per_s


def test_lost_gpus_take_their_replicas(monkeypatch):
    """One t2 gone takes the pair: t1 alone serves 100 requests in 80 + 20 / 1.2 s. Tempting: half of the pair stays."""
    monkeypatch.setattr(robustness, "LOST_GPU", "t2")
    monkeypatch.setattr(robustness, "NUM_LOST", 1)
    ours = {"plan": plan_prepared(prepared(), explain=False)}
    (found,) = lost_stock(SETTING, prepared(), ours)
    assert found.rebalanced_req_per_s == pytest.approx(100 / (80 + 20 / 1.2))
    assert found.replanned_req_per_s > found.rebalanced_req_per_s
