"""The roofline gives what its formulas say, by hand, and refuses what it cannot model."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from cuvee.catalog import GpuType, ModelSpec
from cuvee.errors import DoesNotFitError, InputError, UnknownNameError
from cuvee.profile import (
    AnalyticProvider,
    EngineSettings,
    Provenance,
    ReplicaConfig,
    Stage,
    ThroughputTable,
    kv_capacity_tokens,
    require_fit,
    split_layers,
)
from cuvee.profile.hardware import link_bytes_per_s, sustained_efficiency
from cuvee.profile.step_time import decode_attention_width, mean_tokens_seen
from tests.profile.setups import GPUS, MODELS, VLLM, changed, even_config, rate_of, workload

TOY_MODEL = ModelSpec("toy", 2, 1000, 10, 2, 100, 3000, 10_000, 4096)
TOY_GPU = GpuType("TOY", "", "Toy", "", 24, 24, 1000, {"bf16": 100.0}, link_gb_per_s=32)
TOY_ENGINE = EngineSettings(
    "toy",
    compute_efficiency=0.5,
    memory_efficiency=0.8,
    cache_efficiency=0.5,
    attention_efficiency=0.5,
    element_bytes=20,
    unhidden_share=0.5,
    collective_latency_s=1e-5,
    hop_latency_s=1.5e-5,
    step_overhead_s=1e-3,
    sequence_overhead_s=1e-5,
    scheduling_s=2e-6,
    bubble_per_stage=0.07,
    pcie_efficiency=0.5,
    reserved_gb=1.0,
    activation_copies=3,
    max_num_seqs=4,
    max_num_tokens=1000,
    max_req_per_s=1000,
)


def toy_table(
    *stages: tuple[int, int], engine: EngineSettings = TOY_ENGINE, spans_machines: bool = False
) -> ThroughputTable:
    """Toy model with stages of (GPUs, layers) on 100 prompt and 50 answer tokens."""
    config = ReplicaConfig(
        "toy", tuple(Stage("TOY", size, layers) for size, layers in stages), spans_machines=spans_machines
    )
    return AnalyticProvider({"toy": TOY_MODEL}, {"TOY": TOY_GPU}, engine).table([config], [workload(100, 50)])


def test_one_gpu_by_hand():
    """Rate, TPOT and TTFT of one GPU equal the hand computation to 1e-9."""
    # A layer has 1000*(10 + 2*2)*100 + 10*100*1000 + 3*1000*3000 = 11.4e6 weights; two have 22.8e6.
    # Batch: 4 sequences (max_num_seqs) owe 4 * 100/50 = 8 prompt tokens a step: a chunk of 100 in 8 % of the steps.
    # Decode step, 4 tokens [us]: weights 45.6e6 B / 0.8e12 = 57 and half of the arithmetic's 3.648: 58.824;
    #   cache 2*800*4*125 B / 0.5e12 = 1.6; elements 2*1000*20*4 B / 0.8e12 = 0.2;
    #   head 2e7 B / 0.8e12 = 25 and half of its arithmetic's 1.6: 25.8.                                Sum 86.424
    # Mixed step, 104 tokens [us]: arithmetic 2*22.8e6*104 / 50e12 = 94.848 and half of 57: 123.348; cache 1.6;
    #   scores 2*2*2000*100*50 / 50e12 = 0.8; elements 5.2; head 25.8.                                  Sum 156.748
    # Mean 86.424 + 0.08 * 70.324 = 92.04992; host 1000 + 4*10 + 4*2 = 1048.
    table = toy_table((1, 2))
    cycle_s = (92.04992 + 1048) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(4 / (50 * cycle_s), rel=1e-9)
    assert table.tpot_s[0, 0] == pytest.approx(cycle_s, rel=1e-9)
    assert table.ttft_s[0, 0] == pytest.approx((156.748 + 1048) * 1e-6, rel=1e-9)
    assert table.num_sequences[0, 0] == pytest.approx(4, rel=1e-9)


def test_two_stages_by_hand():
    """A pipeline's cycle is its slowest stage, at the pace of the fuller micro-batch, and the bubble."""
    # Batch: 2 micro-batches of 2; 4 of 50 answers end in a round, so K prompts begin, Poisson of mean 0.08.
    # The fuller has ceil(K / 2): on average 0.04 + (1 - e^-0.16) / 4; some has one in 1 - e^-0.08 of the rounds.
    rounds = 1 - exp(-0.08)
    chunk = 100 * (0.04 + (1 - exp(-0.16)) / 4) / rounds
    # Stage 2, decode [us]: weights 28.5 and half of 0.912, cache 0.4, elements 0.05, head 25 and half of 0.8 = 54.806.
    # Stage 2, mixed [us]: arithmetic 2*11.4e6 / 50e12 = 0.456 a token and half of 28.5, cache 0.4, scores 0.004 and
    #   elements 0.025 a token, head 25.4.  Stage 1 has no head and sends little: faster.
    mixed = 0.456 * (2 + chunk) + 14.25 + 0.4 + 0.004 * chunk + 0.025 * (2 + chunk) + 25.4
    # Bubble 1.07; host 1000 + 2*10, and 2 for each of all 4.  The tempting wrong answer adds the stages.
    table = toy_table((1, 1), (1, 1))
    cycle_s = ((54.806 + rounds * (mixed - 54.806)) * 1.07 + 1028) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(2 / (50 * cycle_s), rel=1e-9)
    assert table.tpot_s[0, 0] == pytest.approx(2 * cycle_s, rel=1e-9)


def test_prefill_in_step_holds_up_nothing():
    """Where all micro-batches take their prompts at once, a stage pays for prefill what it takes: 4 %, no bubble."""
    engine = replace(TOY_ENGINE, held_up_share=0.0, bubble_per_stage=0.0)
    cycle_s = (54.806 + 0.04 * 34.706 + 1028) * 1e-6
    table = toy_table((1, 1), (1, 1), engine=engine)
    assert table.rate_req_per_s[0, 0] == pytest.approx(2 / (50 * cycle_s), rel=1e-9)


def test_a_pipeline_with_one_sequence_is_latency_bound():
    """One sequence on two stages takes the sum of the stages, not the slowest."""
    # 1 sequence owes 2 prompt tokens a step: 2 % are mixed.  Stage 1 decode [us]: 28.5 + 0.228 + 0.2 + 0.025 = 28.953,
    # mixed 2*11.4e6*101 / 50e12 = 46.056 + 14.25 + 0.2 + 0.4 + 2.525 = 63.431; sends (1 + 2)*2000 B / 16e9 = 0.375.
    # Stage 2 adds the head, 25.2, to both. Trip: 28.953 + 54.153 + 2 * 0.02 * 34.478 + 0.375 = 84.86012.
    table = toy_table((1, 1), (1, 1), engine=replace(TOY_ENGINE, max_num_seqs=1))
    cycle_s = (84.86012 * 1.07 + 1012) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(1 / (50 * cycle_s), rel=1e-9)


def test_tensor_parallelism_adds_two_all_reduces_a_layer():
    """Two GPUs halve the GPU work and pay the faster of two all-reduces twice per layer, by hand."""
    # Decode [us]: 86.424 / 2 = 43.212; one shot 10 + 4*1000*2 B / 8e9 = 11, ring 2*15 + 4*1000*2 B / 16e9 = 30.5.
    # Mixed [us]: 156.748 / 2 = 78.374; one shot 10 + 104*1000*2 B / 8e9 = 36, ring 30 + 13 = 43.
    # Mean 43.212 + 4*11 + 0.08 * (78.374 + 4*36 - 87.212) = 98.02496.
    table = toy_table((2, 2))
    cycle_s = (98.02496 + 1048) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(4 / (50 * cycle_s), rel=1e-9)


def test_large_messages_go_around_a_ring():
    """Hops of 1 us make the ring the faster one for the mixed step: 2*1 + 13 = 15 us instead of 36, by hand."""
    # Decode: ring 2 + 0.5 = 2.5.  Mean 43.212 + 4*2.5 + 0.08 * (78.374 + 4*15 - 53.212) = 60.02496.
    table = toy_table((2, 2), engine=replace(TOY_ENGINE, hop_latency_s=1e-6))
    cycle_s = (60.02496 + 1048) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(4 / (50 * cycle_s), rel=1e-9)
    # 500 tokens: decode as at first, mixed: one shot 10 + 502*2000/8e9 = 135.5, ring with hops of 15 us 92.75.
    config = ReplicaConfig("toy", (Stage("TOY", 2, 2),))
    long = AnalyticProvider({"toy": TOY_MODEL}, {"TOY": TOY_GPU}, replace(TOY_ENGINE, max_num_seqs=2)).table(
        [config], [workload(500, 50)]
    )
    gpu_us = 2 * 22.8e6 * 502 / 50e6 / 2 + 57 / 4 + (2 * 800 * 2 * 525 / 0.5e6 + 500 * 2 * 2 * 2000 * 250 / 50e6) / 2
    rest_us = (2 * 20 * 502 * 1000 / 0.8e6 + 25 + 0.4) / 2
    assert long.ttft_s[0, 0] == pytest.approx((gpu_us + rest_us + 4 * 92.75 + 1000 + 2 * 12) * 1e-6, rel=1e-9)


def test_stages_in_other_machines_talk_over_the_network():
    """0.625 GB/s between stages makes the one that sends the slowest: all wait for what a prompt sends, too."""
    inside, across = toy_table((1, 1), (1, 1)), toy_table((1, 1), (1, 1), spans_machines=True)
    # Stage 1 decodes in 29.406 us and sends 2000 B a token at 0.625e9 B/s, 3.2 us: the mean 6 tokens of a step take
    # 19.2 us, which would leave stage 2 the slowest, but 102 tokens in the fuller micro-batch take 326.
    rounds = 1 - exp(-0.08)
    chunk = 100 * (0.04 + (1 - exp(-0.16)) / 4) / rounds
    decode = 29.406 + 2 * 3.2
    mixed = 0.456 * (2 + chunk) + 14.25 + 0.4 + 0.004 * chunk + (0.025 + 3.2) * (2 + chunk)
    cycle_s = ((decode + rounds * (mixed - decode)) * 1.07 + 1028) * 1e-6
    assert across.rate_req_per_s[0, 0] == pytest.approx(2 / (50 * cycle_s), rel=1e-9)
    assert across.rate_req_per_s[0, 0] < inside.rate_req_per_s[0, 0]
    assert across.ttft_s[0, 0] > inside.ttft_s[0, 0]


def test_the_server_bounds_the_rate():
    """No replica answers more requests than the server process accepts."""
    assert toy_table((1, 2), engine=replace(TOY_ENGINE, max_req_per_s=7)).rate_req_per_s[0, 0] == 7


# -- memory -----------------------------------------------------------------------------------


def test_cache_of_an_rtx_4090_as_the_engine_reported_it():
    """Llama-3 8B in bf16 leaves an RTX 4090 within 5 % of the 41,408 tokens a vLLM 0.19 server reported."""
    # 24478 MiB * 0.9 - 1e9 - 0.76e9 of activations - 16.06e9 B of weights = 5.28e9 B at 131,072 B a token: 40,285.
    tokens = kv_capacity_tokens(MODELS["llama-3-8b"], even_config("llama-3-8b", "RTX4090"), GPUS, VLLM)
    assert tokens == pytest.approx(41_408, rel=0.05)
    activations = 3 * 2048 * 2 * (2 * 4096 + 3 * 14_336) + 256 * 4 * 128_256
    by_hand = (24478 * 2**20 * 0.9 - 1e9 - activations - 2 * 8_030_257_152 + 532_480) / 131_072
    assert tokens == pytest.approx(by_hand, rel=1e-4)  # norm weights are left out


def test_tied_embeddings_are_held_once_on_one_stage_and_twice_on_two():
    """Splitting a model with tied embeddings puts a copy of them on the last stage."""
    model = replace(TOY_MODEL, tied_embeddings=True)
    gpus = {"TOY": TOY_GPU}
    one = kv_capacity_tokens(model, ReplicaConfig("toy", (Stage("TOY", 1, 2),)), gpus, TOY_ENGINE)
    untied = kv_capacity_tokens(TOY_MODEL, ReplicaConfig("toy", (Stage("TOY", 1, 2),)), gpus, TOY_ENGINE)
    assert one - untied == pytest.approx(2e7 / 1600)
    two = ReplicaConfig("toy", (Stage("TOY", 1, 1), Stage("TOY", 1, 1)))
    assert kv_capacity_tokens(model, two, gpus, TOY_ENGINE) == kv_capacity_tokens(TOY_MODEL, two, gpus, TOY_ENGINE)


def test_heads_beyond_the_kv_heads_are_copies():
    """With 2 KV heads, 4 GPUs hold no more than 2 distinct shards; latent attention has one."""
    gpus, size = {"TOY": TOY_GPU}, 4
    tokens = kv_capacity_tokens(TOY_MODEL, ReplicaConfig("toy", (Stage("TOY", size, 2),)), gpus, TOY_ENGINE)
    weights = (22.8e6 + 2e7) * 2
    fixed, split = 3 * 1000 * 2 * 2 * 1000 + 4 * 4 * 10_000, 3 * 1000 * 2 * 3 * 3000
    assert tokens == pytest.approx((24e9 * 0.9 - 1e9 - fixed - (split + weights) / size) * 2 / 1600)
    assert MODELS["deepseek-v3"].kv_shards(8) == 1


def test_a_model_too_large_fits_nowhere_and_says_so():
    """Llama-3 70B in bf16 on one A40: no rate in the table, and an error that names the gigabytes."""
    config = even_config("llama-3-70b", "A40")
    table = AnalyticProvider(MODELS, GPUS, VLLM).table([config], [workload(496, 18)])
    assert not table.fits.any()
    assert table.rate_req_per_s[0, 0] == table.ttft_s[0, 0] == table.tpot_s[0, 0] == 0
    with pytest.raises(DoesNotFitError, match=r"needs 14\d\.\d GB") as caught:
        require_fit(MODELS["llama-3-70b"], config, GPUS, VLLM, 514)
    assert caught.value.needed_gb > caught.value.available_gb


def test_a_request_longer_than_the_context_does_not_fit():
    """Llama-3 reads 8,192 tokens: a longest request of one more has no rate."""
    config = even_config("llama-3-8b", "H100-SXM")
    assert rate_of(config, (8000, 192)) > 0
    assert rate_of(config, (8000, 193)) == 0


# -- model families and precisions --------------------------------------------------------------


def test_a_sliding_window_bounds_what_a_prompt_token_sees():
    """gpt-oss: half the layers see all before a token, half at most 128 tokens; by counting, and the plain half."""
    model, prompt = MODELS["gpt-oss-20b"], 2000
    counted = sum(position + min(position, 128) for position in range(1, prompt + 1)) / (2 * prompt)
    assert mean_tokens_seen(model, prompt) == pytest.approx(counted, rel=2e-3)
    assert mean_tokens_seen(model, 100) == pytest.approx(50)
    assert mean_tokens_seen(MODELS["llama-3-8b"], prompt) == prompt / 2


def test_latent_attention_decodes_on_the_latent_vector():
    """DeepSeek-V3: 128 heads times (512 + 64 for scores, 512 for values), 3.4 times what prefill multiplies."""
    assert decode_attention_width(MODELS["deepseek-v3"]) == 128 * (512 + 64 + 512)
    assert MODELS["deepseek-v3"].attention_width == 128 * (128 + 64 + 128)


def test_8_bit_weights_speed_up_prefill_only_where_the_gpu_multiplies_them():
    """fp8 nearly doubles an H100's prefill-heavy rate; an A100 multiplies in 16 bit and pays for dequantising."""
    gains = {
        gpu: rate_of(even_config("llama-3-8b", gpu, precision="fp8"), (2455, 18))
        / rate_of(even_config("llama-3-8b", gpu), (2455, 18))
        for gpu in ("H100-SXM", "A100-80GB-SXM")
    }
    assert gains["H100-SXM"] > 1.5
    assert VLLM.dequantized_efficiency < gains["A100-80GB-SXM"] < 0.9


def test_4_bit_experts_leave_room_for_the_cache():
    """gpt-oss-120b in mxfp4 fits one 80 GB GPU, in bf16 it does not."""
    assert rate_of(even_config("gpt-oss-120b", "H100-SXM", precision="mxfp4"), (496, 253)) > 0
    assert rate_of(even_config("gpt-oss-120b", "H100-SXM"), (496, 253)) == 0


def test_few_tokens_read_few_experts():
    """One sequence of Qwen3-30B-A3B reads a fraction of its weights: it decodes over 3 times as fast as a dense 32B."""
    single = replace(VLLM, max_num_seqs=1)
    sparse = rate_of(even_config("qwen3-30b-a3b", "A100-80GB-SXM"), (10, 500), single)
    dense = rate_of(even_config("qwen3-32b", "A100-80GB-SXM"), (10, 500), single)
    assert sparse > 3 * dense


def test_a_low_power_limit_caps_the_matrix_rate():
    """An L4 holds 30 % of its 121 TFLOPS at 72 W; an RTX 4090 at 450 W is not power-bound."""
    assert sustained_efficiency(GPUS["L4"], "bf16", VLLM) == pytest.approx(0.50 * 72 / 121)
    assert sustained_efficiency(GPUS["RTX4090"], "bf16", VLLM) == VLLM.compute_efficiency
    hopper = 0.82 * 700 / 989.4 * 0.65
    assert sustained_efficiency(GPUS["H100-SXM"], "bf16", VLLM) == pytest.approx(hopper)


def test_geforce_cards_exchange_activations_through_the_host():
    """RTX 3090, 4090 and 5090 have no peer-to-peer driver: half of what other PCIe cards reach."""
    assert {name for name, gpu in GPUS.items() if not gpu.peer_to_peer} == {"RTX3090", "RTX4090", "RTX5090"}
    assert link_bytes_per_s(GPUS["RTX4090"], VLLM) == 0.25 * 32e9
    assert link_bytes_per_s(GPUS["L40"], VLLM) == 0.50 * 32e9
    assert link_bytes_per_s(GPUS["H100-SXM"], VLLM) == 0.65 * 450e9


# -- the table ----------------------------------------------------------------------------------


def test_every_value_is_estimated_and_unvalidated_gpus_have_no_band():
    """No accuracy is stated for A40, A6000 and L40, nor for a pipeline that holds one."""
    mixed = ReplicaConfig("llama-3-8b", (Stage("A40", 1, 16), Stage("H100-SXM", 1, 16)))
    names = ("A40", "A6000", "L40", "MI300X", "H100-SXM", "RTX4090")
    configs = [*(even_config("llama-3-8b", gpu) for gpu in names), mixed]
    table = AnalyticProvider(MODELS, GPUS, VLLM).table(configs, [workload(496, 253)])
    assert set(table.provenance.flat) == {Provenance.ESTIMATED}
    assert np.isinf(table.relative_error[:, 0]).tolist() == [True] * 4 + [False] * 2 + [True]
    assert table.relative_error[4, 0] == VLLM.relative_error


def test_a_cache_of_a_few_sequences_doubles_the_band():
    """Where a few GB decide the batch, the error band says so: an 8B model in 16 bit on one GPU of 24 GB."""
    table = AnalyticProvider(MODELS, GPUS, VLLM).table([even_config("llama-3-8b", "RTX4090", 1)], [workload(2455, 253)])
    assert table.num_sequences[0, 0] < 16
    assert table.relative_error[0, 0] == 2 * VLLM.relative_error


@pytest.mark.parametrize(("gpu", "size", "known"), [("H100-SXM", 1, True), ("H100-SXM", 4, False), ("A40", 1, False)])
def test_a_band_is_stated_for_replicas_that_were_compared(gpu, size, known):
    """vLLM was compared with public figures on one GPU of four types: of four H100 no error is known."""
    table = AnalyticProvider(MODELS, GPUS, VLLM).table([even_config("llama-3-8b", gpu, size)], [workload(496, 253)])
    assert np.isfinite(table.relative_error[0, 0]) == known


def test_models_mix_in_one_table_without_touching_each_other():
    """The row of a configuration is the same alone and among other models and depths."""
    configs = [even_config("llama-3-8b", "L4"), even_config("llama-3-70b", "A40", 1, 4), even_config("phi-4", "L40S")]
    kinds = [workload(496, 18), workload(824, 253)]
    together = AnalyticProvider(MODELS, GPUS, VLLM).table(configs, kinds)
    for row, config in enumerate(configs):
        alone = AnalyticProvider(MODELS, GPUS, VLLM).table([config], kinds)
        assert alone.rate_req_per_s[0] == pytest.approx(together.rate_req_per_s[row])
        assert together.select([row]).configs == (config,)


def test_no_configuration_makes_an_empty_table():
    """Nothing to profile is not an error."""
    table = AnalyticProvider(MODELS, GPUS, VLLM).table([], [workload(1, 1)])
    assert table.rate_req_per_s.shape == table.relative_error.shape == (0, 1)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (ReplicaConfig("nobody", (Stage("A40", 1, 32),)), UnknownNameError, "nobody"),
        (ReplicaConfig("llama-3-8b", (Stage("A4000", 1, 32),)), UnknownNameError, "A4000"),
        (ReplicaConfig("llama-3-8b", (Stage("A40", 1, 31),)), InputError, "31 layers"),
        (ReplicaConfig("llama-3-8b", (Stage("A40", 1, 32),), precision="fp3"), InputError, "fp3"),
        (ReplicaConfig("llama-3-8b", (Stage("A40", 1, 32),), kv_precision="fp3"), InputError, "fp3"),
    ],
)
def test_what_cannot_be_modelled_is_refused(config, error, message):
    """Unknown names, layers that do not add up and unknown precisions are errors, not zeros."""
    with pytest.raises(error, match=message):
        AnalyticProvider(MODELS, GPUS, VLLM).table([config], [workload(496, 18)])


def test_a_network_of_no_speed_and_a_gpu_without_16_bit_are_refused():
    """Neither may become an infinite time."""
    with pytest.raises(InputError, match="network_gb_per_s"):
        AnalyticProvider(MODELS, GPUS, VLLM, network_gb_per_s=0)
    with pytest.raises(InputError, match="16-bit"):
        rate_of(even_config("llama-3-8b", "L4"), (1, 1), gpus=changed("L4", tflops={"fp8": 242.0}))


def test_stages_and_splits():
    """80 layers over 3 stages are 27, 27, 26, and labels say so."""
    assert split_layers(80, 3) == (27, 27, 26)
    assert even_config("llama-3-70b", "A40", 2, 3).parallel_label == "TP2 PP3 [2x27,26]"
    with pytest.raises(InputError, match="at least 1"):
        Stage("A40", 0, 1)
    with pytest.raises(InputError, match="without stages"):
        ReplicaConfig("toy", ())
