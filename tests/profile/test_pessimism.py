"""Pessimism lowers each rate by a share of its error band, and nothing else of the table."""

import numpy as np
import pytest

from cuvee.profile import AnalyticProvider
from cuvee.profile.pessimism import PessimisticProvider, assumed_band, lowered, lowering
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

CONFIGS = [even_config("llama-3-8b", "A100-80GB-SXM"), even_config("llama-3-8b", "A40")]
TYPES = [workload(500, 50), workload(2000, 200)]


@pytest.mark.parametrize(
    ("band", "pessimism", "left"),
    [
        (0.35, 1.0, 1 / 1.35),
        (0.35, 0.5, 1.35**-0.5),
        (0.0, 1.0, 1.0),
        (
            np.inf,
            1.0,
            1 / 1.7,
        ),  # unknown: twice the engine's 0.35; not 1 / 1.35, as of a known one
        (np.inf, 0.5, 1.7**-0.5),
        (3.0, 1.0, 1 / 1.9),  # half stays of whatever band a table states
    ],
)
def test_what_is_left_of_a_rate(band, pessimism, left):
    """(1 + band)^-pessimism, a stand-in for an unknown band and a largest one. Tempting: 1 - band, soon below 0."""
    assert VLLM.relative_error == 0.35
    assert lowering(np.array([band]), pessimism, VLLM) == pytest.approx([left])


def test_only_rates_are_lowered():
    """Band, latencies, provenance and sources are those of the estimate."""
    estimate = AnalyticProvider(MODELS, GPUS, VLLM)
    before, after = (provider.table(CONFIGS, TYPES) for provider in (estimate, lowered(estimate, 1.0, VLLM)))
    assert np.isinf(before.relative_error[1]).all()
    band = assumed_band(before.relative_error, VLLM)
    assert after.rate_req_per_s == pytest.approx(before.rate_req_per_s / (1 + band))
    for name in ("relative_error", "ttft_s", "tpot_s", "fits", "provenance"):
        assert (getattr(after, name) == getattr(before, name)).all()
    assert after.sources == before.sources


def test_rates_are_lowered_once():
    """Lowering what was lowered before starts from the estimates; a pessimism of 0 gives them back."""
    estimate = AnalyticProvider(MODELS, GPUS, VLLM)
    half = lowered(estimate, 0.5, VLLM)
    assert lowered(half, 1.0, VLLM) == PessimisticProvider(estimate, 1.0, VLLM)
    assert lowered(half, 0.0, VLLM) is estimate
