"""How far the roofline is from public measurements that it can be held against."""

import numpy as np
import pytest

from tests.profile.public_figures import COLLECTION, Comparison, error_summary, tensorrt_llm_offline, vllm_runs

pytestmark = pytest.mark.skipif(
    not COLLECTION.is_file(),
    reason="the collection of public figures (measured_throughput.csv) is not beside this checkout",
)


def test_tensorrt_llm_offline_within_15_percent():
    """268 offline rows of TensorRT-LLM 0.14 on five GPU types: median error at most 15 %."""
    count, median, _, _ = error_summary(tensorrt_llm_offline())
    assert count == 268
    assert median <= 0.15


def test_vllm_within_10_percent():
    """22 vLLM runs on four GPU types: median error at most 10 %."""
    count, median, _, _ = error_summary(vllm_runs())
    assert count == 22
    assert median <= 0.10


def test_faster_configurations_are_ranked_faster():
    """Of pairs of TensorRT-LLM rows whose rates differ by more than 20 %, at least 97 % are ordered right."""
    rows: list[Comparison] = tensorrt_llm_offline()
    measured = np.log([row.measured for row in rows])
    predicted = np.log([row.predicted for row in rows])
    gap = measured[:, None] - measured[None, :]
    apart = gap > np.log(1.2)
    right = (predicted[:, None] > predicted[None, :])[apart].mean()
    assert right >= 0.97
