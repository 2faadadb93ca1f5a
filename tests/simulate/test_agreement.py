"""The planner's figures against the simulator's: both rest on the same step times."""

import numpy as np
import pytest

from cuvee.profile import find_engine
from tests.simulate import agreement

BOUNDS = {"mean TTFT": (0, 0.12), "mean TPOT": (-0.08, 0.03), "p95 TTFT": (0, 0.35), "p95 TPOT": (-0.1, 0.03)}
"""Of the median error of the latency curve [-]."""


@pytest.fixture(scope="module")
def one_stage() -> np.ndarray:
    """Errors of the rates of all replicas of one stage [-]."""
    return np.array([each.error for each in agreement.rates()])


def test_rates_of_one_stage_are_those_simulated(one_stage):
    """Of the paper's GPU types, sizes and workload types nine in ten rates are within 3 %, and the median within 1 %.

    Beyond are replicas of few sequences, of which a fraction cannot run.
    """
    assert len(one_stage) > 300
    assert abs(np.median(one_stage)) < 0.01
    assert np.mean(np.abs(one_stage) < 0.03) > 0.9
    assert np.abs(one_stage).max() < 0.15


def test_rates_of_an_engine_that_finds_cache_again():
    """The same of vLLM 0.19: what the planner reckons as computed anew is less, by what the simulator finds again.

    Tempting: as much as vLLM 0.11 computes anew; then two in ten are 5 to 8 % too low.
    """
    errors = np.array([each.error for each in agreement.rates(engine=find_engine("vllm-0.19"))])
    assert abs(np.median(errors)) < 0.01
    assert np.mean(np.abs(errors) < 0.03) > 0.9
    assert np.mean(np.abs(errors) < 0.05) > 0.97


def test_rates_of_pipelines_are_near_those_simulated():
    """Half within 3 %, nine in ten within 13 %: how prompts hold up micro-batches is reckoned on average only."""
    errors = np.array([each.error for each in agreement.rates((2, 4, 8))])
    assert abs(np.median(errors)) < 0.01
    assert np.mean(np.abs(errors) < 0.03) > 0.55
    assert np.percentile(np.abs(errors), 90) < 0.13


def test_latency_curves_are_those_simulated():
    """Mean TTFT within +10 % and mean TPOT within -7 % at the median of the cases, at every load; p95 errs upward."""
    found = agreement.curves()
    for (name, load), errors in found.items():
        low, high = BOUNDS[name]
        assert low <= np.median(errors) <= high, (name, load)
