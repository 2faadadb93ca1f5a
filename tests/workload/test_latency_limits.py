"""Latency limits are checked where they are made, and a type's own come before those of the model."""

import math

import pytest

from cuvee.errors import InputError
from cuvee.workload import LatencyLimits, LatencyObjective


@pytest.mark.parametrize(
    ("changes", "arrived"),
    [
        ({"ttft_s": 0}, "ttft_s = 0"),
        ({"tpot_s": -0.1}, "tpot_s = -0.1"),
        ({"e2e_s": math.inf}, "e2e_s = inf"),
        ({"ttft_s": math.nan}, "ttft_s = nan"),
        ({"ttft_s": "fast"}, "ttft_s = 'fast'"),
        ({"statistic": "p49"}, "p49"),
        ({"statistic": "p100"}, "p100"),
        ({"statistic": "95"}, "'95'"),
        ({"statistic": "median"}, "median"),
        ({"statistic": 95}, "95"),
    ],
)
def test_what_is_no_limit_is_refused(changes, arrived):
    """The message says what arrived."""
    with pytest.raises(InputError, match="expected") as caught:
        LatencyLimits(**changes)
    assert arrived in caught.value.arrived


@pytest.mark.parametrize(("text", "percentile"), [("mean", None), ("p50", 50.0), ("p99.9", 99.9)])
def test_a_statistic_is_a_mean_or_a_percentile(text, percentile):
    """`mean` has no percentile; `p95` has 95."""
    assert LatencyLimits(ttft_s=1.0, statistic=text).percentile == percentile


def test_a_type_has_its_own_limits_or_those_of_the_model():
    """Own limits stand in place of the model's, all of them."""
    usual, own = LatencyLimits(ttft_s=0.5, tpot_s=0.05), LatencyLimits(ttft_s=5.0)
    objective = LatencyObjective(usual, {"long": own})
    assert objective.of("long") is own
    assert objective.of("short") is usual
    assert objective.of("long").as_dict() == {"ttft_s": 5.0}
    assert objective.limits_anything
    assert not LatencyObjective().limits_anything
    assert LatencyObjective(by_type={"long": own}).limits_anything


def test_something_else_than_limits_is_refused():
    """A number in place of a record."""
    with pytest.raises(InputError, match="records of LatencyLimits"):
        LatencyObjective(by_type={"long": 0.5})  # type: ignore[dict-item]
