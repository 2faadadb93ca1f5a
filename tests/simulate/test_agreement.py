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
    """Seven in ten within 3 %, nine in ten within 7 %: the fullest micro-batch of a round sets the pace.

    Tempting: prefill at random in every micro-batch, as if prompts did not go to them in turn; nine in ten are then
    within 12 % only.
    """
    errors = np.array([each.error for each in agreement.rates((2, 4, 8))])
    assert abs(np.median(errors)) < 0.015
    assert np.mean(np.abs(errors) < 0.03) > 0.7
    assert np.percentile(np.abs(errors), 90) < 0.07
    assert np.abs(errors).max() < 0.35


def test_pipelines_serve_a_mix_at_least_as_fast_as_planned():
    """Nine in ten serve a mix as fast as its rates say or faster; the sum of types alone promises most of them more."""
    errors = np.array([errors for _, *errors in agreement.mixed_rates((2, 4, 8))])
    within, summed = errors.T
    assert np.mean(within > -0.03) > 0.9
    assert abs(np.median(within)) < 0.15
    assert np.mean(summed < -0.05) > 0.7


def test_one_stage_serves_a_mix_as_the_sum_of_its_types():
    """Steps are shared at no loss: the median is within 3 % of the sum, and rates in a mix are those alone."""
    within, summed = np.array([errors for _, *errors in agreement.mixed_rates((1,))]).T
    assert abs(np.median(summed)) < 0.03
    assert np.array_equal(within, summed)


def test_latency_curves_are_those_simulated():
    """Mean TTFT within +10 % and mean TPOT within -7 % at the median of the cases, at every load; p95 errs upward."""
    found = agreement.curves()
    for (name, load), errors in found.items():
        low, high = BOUNDS[name]
        assert low <= np.median(errors) <= high, (name, load)
