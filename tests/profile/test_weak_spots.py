"""Where rooflines go wrong: few GB left, links, deep pipelines, short answers, and versions without figures."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cuvee.errors import UnknownNameError
from cuvee.profile import AnalyticProvider, find_engine, kv_capacity_tokens
from cuvee.profile.memory import activation_bytes
from tests.profile.setups import GPUS, MODELS, VLLM, changed, even_config, rate_of, workload
from tests.profile.test_properties import ENGINE_CHOICES, FACTORS, LENGTHS, SAME, config_choices, thorough

TENSORRT = find_engine("tensorrt-llm")
LARGE = MODELS["llama-3-70b"]


def test_activations_by_hand():
    """70B with 8,192 tokens a step: 0.81 GB on every GPU, 1.05 GB of scores beside it, and 4.2 GB that GPUs share."""
    fixed, split = activation_bytes(LARGE, GPUS["H100-SXM"], TENSORRT)
    assert fixed == 3 * 8192 * 2 * 2 * 8192 + 2048 * 128_256 * 4
    assert split == 3 * 8192 * 2 * 3 * 28_672


def test_activations_of_experts_are_those_a_token_uses():
    """Mixtral runs two experts of 14,336 a token, DeepSeek-V3 nine of 2,048 and three dense layers of 18,432."""
    assert MODELS["mixtral-8x7b"].widest_ffn == 2 * 14_336
    assert MODELS["deepseek-v3"].widest_ffn == 18_432
    assert LARGE.widest_ffn == 28_672


def test_large_steps_cost_a_tight_replica_its_cache():
    """70B in fp8 on one H100: a fifth of the cache or more hangs on whether a step holds 2,048 or 8,192 tokens."""
    config = even_config("llama-3-70b", "H100-SXM", precision="fp8")
    tokens = [
        kv_capacity_tokens(LARGE, config, GPUS, replace(TENSORRT, max_num_tokens=budget)) for budget in (2048, 8192)
    ]
    assert 0 < tokens[1] < 0.8 * tokens[0]


def test_more_gpus_over_pcie_gain_little():
    """70B in fp8 on eight L40S over four, long answers: within 0.9 and 1.4; the memory alone would give over 2."""
    rates = [
        rate_of(even_config("llama-3-70b", "L40S", size, precision="fp8"), (128, 2048), TENSORRT) for size in (4, 8)
    ]
    assert 0.9 < rates[1] / rates[0] < 1.4


def test_eight_gpus_over_nvlink_are_not_twice_four():
    """70B in bf16 on eight H100 over four, long answers: 1.4 to 1.9; 1.53 was measured."""
    rates = [rate_of(even_config("llama-3-70b", "H100-SXM", size), (128, 2048), TENSORRT) for size in (4, 8)]
    assert 1.4 < rates[1] / rates[0] < 1.9


@pytest.mark.parametrize(("lengths", "low", "high"), [((128, 2048), 3.5, 7.0), ((5000, 500), 5.5, 8.0)])
def test_deep_pipelines_pay_by_the_sequence_not_by_the_prompt(lengths, low, high):
    """Eight stages over one, 70B on RTX PRO 6000: about 4 was measured on long answers, over 6 on long prompts."""
    rates = [
        rate_of(even_config("llama-3-70b", "RTXPRO6000-Server", 1, depth, "fp8"), lengths, TENSORRT) for depth in (2, 8)
    ]
    assert low < 2 * rates[1] / rates[0] < high


@pytest.mark.parametrize(
    ("gpu", "size", "model", "measured"),
    [
        ("H100-SXM", 1, "llama-3.1-8b", 79),
        ("H200-SXM", 1, "llama-3.1-8b", 81),
        ("H100-SXM", 4, "llama-3.1-70b", 28),
        ("H200-SXM", 4, "llama-3.1-70b", 29),
    ],
)
def test_short_answers_from_a_tensorrt_llm_server(gpu, size, model, measured):
    """467 and 16 tokens in bf16, online rows of the perf-overview of TensorRT-LLM 0.14 at full load: within 15 %."""
    assert rate_of(even_config(model, gpu, size), (467, 16), TENSORRT) == pytest.approx(measured, rel=0.15)


def test_short_answers_meet_the_server():
    """128 and 4 tokens, 8B under vLLM: its 45 req/s, not the rate of the GPU; 44 were seen on an H100."""
    config = even_config("llama-3-8b", "H100-SXM")
    assert rate_of(config, (128, 4)) == VLLM.max_req_per_s == 45
    assert rate_of(config, (128, 4), replace(VLLM, max_req_per_s=1e6)) > 100


def test_one_sequence_is_served_in_one_shot():
    """70B in bf16 on four H100 at two requests a second: 16 to 20 ms a token; 18 ms was measured, a ring takes 30."""
    engine = replace(TENSORRT, max_num_seqs=9)
    config = even_config("llama-3-70b", "H100-SXM", 4)
    table = AnalyticProvider(MODELS, GPUS, engine).table([config], [workload(467, 256)])
    assert 0.016 < table.tpot_s[0, 0] < 0.020


@thorough
@given(config_choices, ENGINE_CHOICES, LENGTHS, FACTORS)
def test_a_faster_link_never_lowers_the_rate(config, engine, lengths, factor):
    """Any replica, whichever kind of all-reduce its messages take."""
    gpu = config.stages[0].gpu
    faster = changed(gpu, link_gb_per_s=GPUS[gpu].link_gb_per_s * factor)
    assert rate_of(config, lengths, engine, faster) >= rate_of(config, lengths, engine) * SAME


@thorough
@given(config_choices, ENGINE_CHOICES, st.tuples(st.integers(64, 4000), st.integers(16, 1000)), st.floats(1.5, 4.0))
def test_longer_answers_never_raise_the_rate_of_any_replica(config, engine, lengths, factor):
    """Tensor and pipeline parallel too."""
    base = rate_of(config, lengths, engine)
    assume(base > 0)
    assert rate_of(config, (lengths[0], lengths[1] * factor), engine) <= base / SAME


def test_steps_by_hand_are_never_below_their_parts():
    """A step with more prefill is never shorter, over the point where the ring takes over."""
    provider = AnalyticProvider(MODELS, GPUS, VLLM)
    config = even_config("llama-3-70b", "A40", 8)
    table = provider.table([config], [workload(tokens, 100) for tokens in range(16, 2000, 16)])
    assert (np.diff(table.rate_req_per_s[0]) <= 0).all()


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ("vllm-0.12", "vllm-0.11"),
        ("vllm-0.11.2", "vllm-0.11"),
        ("vLLM-v0.6.3", "vllm-0.5"),
        ("sglang-0.5.7", "sglang-0.5.6"),
        ("trtllm-1.0", "tensorrt-llm-0.14"),
        ("tensorrt-llm-1.3", "tensorrt-llm-1.2"),
    ],
)
def test_a_version_without_figures_takes_the_nearest_earlier_one(asked, taken):
    """Its constants are those of the one named in its source, and no GPU counts as compared with figures."""
    found = find_engine(asked)
    assert found.source.startswith(f"no figures of this version are known: constants of {taken};")
    assert replace(found, name=taken, source="", measured_sizes={}) == replace(
        find_engine(taken), source="", measured_sizes={}
    )


@pytest.mark.parametrize("name", ["vllm-0.4", "vllm-next", "sglang-0.4.9", "llama.cpp-1.0", "-1", ""])
def test_versions_before_all_figures_are_refused(name):
    """Nothing earlier is known, or nothing at all."""
    with pytest.raises(UnknownNameError):
        find_engine(name)
