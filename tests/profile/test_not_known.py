"""Where only measured rates are known, every figure is 0, and nothing is estimated from it."""

from dataclasses import replace

import pytest

from cuvee.catalog import GpuType, ModelSpec
from cuvee.errors import InputError
from cuvee.profile import AnalyticProvider, ReplicaConfig, Stage
from cuvee.workload.records import WorkloadType
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

UNKNOWN = ModelSpec.without_shape("x")


def test_a_model_without_a_shape_takes_no_memory():
    """It is one layer that cannot be split, of size 0."""
    assert not UNKNOWN.shape_known
    assert UNKNOWN.weight_bytes("bf16") == 0
    assert (UNKNOWN.num_layers, UNKNOWN.num_heads, UNKNOWN.num_kv_heads) == (1, 1, 1)


@pytest.mark.parametrize(
    "changes",
    [{"hidden_size": 64}, {"max_context": 10}, {"num_layers": 2}, {"num_heads": 4}],
    ids=lambda each: next(iter(each)),
)
def test_half_a_shape_is_refused(changes):
    """Dimensions are all known, or none is."""
    with pytest.raises(InputError, match="expected: a whole number of at least 1"):
        replace(UNKNOWN, **changes)


def test_nothing_is_estimated_for_it():
    """The roofline refuses it, whatever the GPU."""
    config = ReplicaConfig("x", (Stage("A40", 1, 1),))
    with pytest.raises(InputError, match="model 'x' without a shape"):
        AnalyticProvider({"x": UNKNOWN}, GPUS, VLLM).table([config], [workload(500, 50)])
    with pytest.raises(InputError, match="'w' without lengths"):
        AnalyticProvider(MODELS, GPUS, VLLM).table([even_config("llama-3-8b", "A40")], [WorkloadType("w", 0, 0)])


def test_a_gpu_without_figures():
    """All are 0; some of them alone are a mistake."""
    gpu = GpuType.without_figures("gpu7")
    assert (gpu.memory_gb, gpu.bandwidth_gb_per_s, gpu.compute_tflops("bf16")) == (0, 0, 0)
    with pytest.raises(InputError, match="usable_memory_gb = 0"):
        replace(gpu, memory_gb=80.0)
    with pytest.raises(InputError, match="memory_gb = 0"):
        replace(gpu, tflops={"bf16": 100.0})


@pytest.mark.parametrize(("lengths", "known"), [((0, 0), False), ((1, 1), True)])
def test_lengths_are_known_or_not(lengths, known):
    """0 tokens in and out say that neither is known."""
    assert WorkloadType("w", *lengths).lengths_known is known


@pytest.mark.parametrize("lengths", [(0, 5), (5, 0), (-1, 0), (0, float("nan"))])
def test_one_length_alone_is_refused(lengths):
    """Half a pair of lengths says nothing."""
    with pytest.raises(InputError, match="a finite number of tokens above 0"):
        WorkloadType("w", *lengths)
