"""What holds for every GPU, model, engine and length: better hardware never slows a replica down."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cuvee.errors import DoesNotFitError
from cuvee.profile import ENGINES, AnalyticProvider, ReplicaConfig, Stage, kv_capacity_tokens, require_fit
from tests.profile.setups import GPUS, MODELS, VLLM, changed, even_config, rate_of, scaled_tflops, workload

GPU_NAMES = st.sampled_from(sorted(GPUS))
MODEL_NAMES = st.sampled_from(sorted(MODELS))
ENGINE_CHOICES = st.sampled_from(list(ENGINES.values()))
PRECISIONS = st.sampled_from(["bf16", "fp8", "int4"])
LENGTHS = st.tuples(st.integers(1, 20_000), st.integers(1, 5_000))
FACTORS = st.floats(1.0, 3.0)
SAME = 1 - 1e-9

config_choices = st.builds(
    even_config, MODEL_NAMES, GPU_NAMES, st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 3, 5, 8]), PRECISIONS
)
single_gpu_choices = st.builds(even_config, MODEL_NAMES, GPU_NAMES, precision=PRECISIONS)
thorough = settings(deadline=None, max_examples=60)


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS)
def test_no_value_is_nan_infinite_or_negative(config, engine, lengths):
    """Rates and latencies are finite everywhere, above 0 exactly where the replica fits."""
    table = AnalyticProvider(MODELS, GPUS, engine).table([config], [workload(*lengths), workload(1, 1)])
    for values in (table.rate_req_per_s, table.ttft_s, table.tpot_s, table.num_sequences):
        assert np.isfinite(values).all()
        assert ((values > 0) == table.fits).all()


@thorough
@given(st.floats(1e-300, 1e8), st.floats(1e-300, 1e8))
def test_absurd_lengths_are_still_finite(input_tokens, output_tokens):
    """From 1e-300 to 1e8 tokens nothing overflows."""
    assert np.isfinite(rate_of(even_config("llama-3-8b", "H100-SXM"), (input_tokens, output_tokens)))


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS)
def test_fits_agrees_with_the_memory_check(config, engine, lengths):
    """A rate stands exactly where `require_fit` raises nothing and the context is long enough."""
    model = MODELS[config.model]
    try:
        require_fit(model, config, GPUS, engine, sum(lengths))
        fits = sum(lengths) <= model.max_context
    except DoesNotFitError:
        fits = False
    assert (rate_of(config, lengths, engine) > 0) == fits


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS, FACTORS)
def test_more_bandwidth_never_lowers_the_rate(config, engine, lengths, factor):
    """Any replica."""
    gpu = config.stages[0].gpu
    faster = changed(gpu, bandwidth_gb_per_s=GPUS[gpu].bandwidth_gb_per_s * factor)
    assert rate_of(config, lengths, engine, faster) >= rate_of(config, lengths, engine) * SAME


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS, FACTORS)
def test_more_compute_never_lowers_the_rate(config, engine, lengths, factor):
    """Any replica, even at the same power limit."""
    gpu = config.stages[0].gpu
    faster = changed(gpu, tflops=scaled_tflops(gpu, factor))
    assert rate_of(config, lengths, engine, faster) >= rate_of(config, lengths, engine) * SAME


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS, FACTORS)
def test_more_memory_never_lowers_the_rate(config, engine, lengths, factor):
    """Any replica, also a pipeline with fewer sequences than stages."""
    gpu = config.stages[0].gpu
    larger = changed(gpu, usable_memory_gb=GPUS[gpu].usable_memory_gb * factor)
    assert rate_of(config, lengths, engine, larger) >= rate_of(config, lengths, engine) * SAME


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS)
def test_nvlink_never_hurts(config, engine, lengths):
    """A 450 GB/s fabric in place of whatever links the GPUs."""
    gpu = config.stages[0].gpu
    linked = changed(gpu, link_kind="nvlink", link_gb_per_s=max(450.0, GPUS[gpu].link_gb_per_s))
    assert rate_of(config, lengths, engine, linked) >= rate_of(config, lengths, engine) * SAME


@thorough
@given(single_gpu_choices, ENGINE_CHOICES, LENGTHS, FACTORS)
def test_longer_answers_and_prompts_never_raise_the_rate(config, engine, lengths, factor):
    """On one GPU, requests per second fall with either length."""
    base = rate_of(config, lengths, engine)
    assert rate_of(config, (lengths[0], lengths[1] * factor), engine) <= base / SAME
    assert rate_of(config, (lengths[0] * factor, lengths[1]), engine) <= base / SAME


@thorough
@given(MODEL_NAMES, GPU_NAMES, st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]))
def test_twice_the_gpus_of_every_stage_never_hold_less(model, gpu, size, depth):
    """Doubling tensor parallelism leaves more cache on every stage, even where KV heads are copied."""
    tokens = [
        kv_capacity_tokens(MODELS[model], even_config(model, gpu, factor * size, depth), GPUS, VLLM)
        for factor in (1, 2)
    ]
    assume(tokens[0] > 0)
    assert tokens[1] >= tokens[0]


@thorough
@given(st.sampled_from(["L40", "RTX4090", "A100-80GB-SXM"]), LENGTHS)
def test_a_stage_with_a_slower_gpu_never_makes_a_pipeline_faster(gpu, lengths):
    """Replacing the first of two stages by an L4, lower in every respect, costs or leaves the rate."""
    equal = ReplicaConfig("llama-3-8b", (Stage(gpu, 1, 16), Stage(gpu, 1, 16)))
    mixed = ReplicaConfig("llama-3-8b", (Stage("L4", 1, 16), Stage(gpu, 1, 16)))
    assume(GPUS[gpu].usable_memory_gb >= GPUS["L4"].usable_memory_gb)
    assert rate_of(mixed, lengths) <= rate_of(equal, lengths) / SAME


@pytest.mark.parametrize("lengths", [(2455, 18), (496, 510)])
def test_tensor_parallelism_scales_better_over_nvlink_than_over_pcie(lengths):
    """Four A100 SXM gain more over two than four A100 PCIe do; their memory and compute are alike."""
    gains = {
        gpu: rate_of(even_config("llama-3-70b", gpu, 4), lengths) / rate_of(even_config("llama-3-70b", gpu, 2), lengths)
        for gpu in ("A100-80GB-SXM", "A100-80GB-PCIe")
    }
    assert gains["A100-80GB-SXM"] > gains["A100-80GB-PCIe"]


@pytest.mark.parametrize("gpu", ["L40", "A40", "A6000", "L40S"])
def test_over_pcie_pipelines_suit_prefill_and_tensor_parallelism_suits_decode(gpu):
    """PP4 gains on TP4 as the load turns from decode to prefill: all-reduces move every prompt token."""
    ratio = {
        lengths: rate_of(even_config("llama-3-70b", gpu, 1, 4), lengths)
        / rate_of(even_config("llama-3-70b", gpu, 4, 1), lengths)
        for lengths in ((2455, 18), (496, 510))
    }
    assert ratio[2455, 18] > 1.5 * ratio[496, 510]
