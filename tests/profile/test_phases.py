"""Replicas of one phase: what the formulas give by hand, what bounds them, and what never makes them slower."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.catalog import GpuType
from cuvee.errors import InputError, UnknownNameError
from cuvee.profile import AnalyticProvider, EngineSettings, ReplicaConfig, Stage, ThroughputTable, kv_capacity_tokens
from cuvee.profile.phases import AnalyticPhases, Phase, links_of
from tests.profile.setups import GPUS, MODELS, VLLM, changed, even_config, rate_of, scaled_tflops, workload
from tests.profile.test_analytic import TOY_ENGINE, TOY_GPU, TOY_MODEL

TOY = replace(TOY_ENGINE, max_req_per_s=1e6)
ONE = ReplicaConfig("toy", (Stage("TOY", 1, 2),))
PREFILL, DECODE = Phase.PREFILL, Phase.DECODE
SAME = 1 - 1e-9


def toy_table(
    phase: Phase,
    config: ReplicaConfig = ONE,
    *,
    gpu: GpuType = TOY_GPU,
    network_gb_per_s: float = 1.6,
    links: float = 1.0,
    engine: EngineSettings = TOY,
) -> ThroughputTable:
    """Toy model on 100 prompt and 50 answer tokens; a prompt's cache is 100 * 2 * 800 = 160,000 B."""
    provider = AnalyticProvider({"toy": TOY_MODEL}, {"TOY": gpu}, engine, network_gb_per_s)
    return AnalyticPhases(provider).phase_table(phase, [config], [links], [workload(100, 50)])


def toy_gpu_with_cache(tokens: float) -> GpuType:
    """The toy GPU with memory for so many tokens of cache."""
    room = kv_capacity_tokens(TOY_MODEL, ONE, {"TOY": TOY_GPU}, TOY)
    spare_gb = (room - tokens) * 1600 / TOY.memory_utilization / 1e9
    return replace(TOY_GPU, usable_memory_gb=TOY_GPU.usable_memory_gb - spare_gb)


def test_prefill_by_hand():
    """Rate and TTFT of a replica that only prefills equal the hand computation to 1e-9."""
    # 4 prompts (max_num_seqs) of 100 tokens make a step of 400; the 1000 of the budget are not reached.
    # [us]: arithmetic 2*22.8e6*400 / 50e12 = 364.8 and half of the reads' 57; scores 2*2*2000*396*50 / 50e12 = 3.168;
    # cache of the 4 last tokens 2*800*4*100 B / 0.5e12 = 1.28; elements 2*1000*20*400 B / 0.8e12 = 20; head
    # 2e7 B / 0.8e12 = 25 and half of 1.6.  Sum 443.548; host 1000 + 4*10 + 4*2.  Sending 160,000 B at 1.6 GB/s: 100.
    table = toy_table(PREFILL)
    cycle_s = (443.548 + 1048) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(4 / cycle_s, rel=1e-9)
    assert table.ttft_s[0, 0] == pytest.approx(cycle_s + 100e-6, rel=1e-9)
    assert table.tpot_s[0, 0] == 0


def test_decode_by_hand():
    """Rate and TPOT of a replica that only decodes: the decode step of the mixed replica, never held up."""
    # 4 sequences: 86.424 us as in the mixed replica, host 1048.  Tempting: the mixed replica's 92.05 us.
    table = toy_table(DECODE)
    step_s = (86.424 + 1048) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(4 / (50 * step_s), rel=1e-9)
    assert table.tpot_s[0, 0] == table.ttft_s[0, 0] == pytest.approx(step_s, rel=1e-9)
    assert table.num_sequences[0, 0] == 4


def test_two_stages_prefill_by_hand():
    """A pipeline that prefills is as fast as its slowest stage, and a prompt passes both."""
    # 2 micro-batches of 2 prompts, 200 tokens.  Stage 2 [us]: arithmetic 2*11.4e6*200 / 50e12 = 91.2 and half of 28.5;
    # scores 2*2000*198*50 / 50e12 = 0.792; cache 800*2*100 / 0.5e12 = 0.32; elements 5; head 25.4: 136.962.  Stage 1
    # sends 200*2000 B at 16 GB/s in 25 instead of the head: 136.562.  Bubble 1.07; host 1000 + 2*10 + 2*4.
    config = ReplicaConfig("toy", (Stage("TOY", 1, 1), Stage("TOY", 1, 1)))
    table = toy_table(PREFILL, config)
    cycle_s = (136.962 * 1.07 + 1028) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(2 / cycle_s, rel=1e-9)
    assert table.ttft_s[0, 0] == pytest.approx(2 * cycle_s + 100e-6, rel=1e-9)


def test_a_pipeline_sends_every_token_of_its_prompts():
    """Over a tenth of the link stage 1 is the slowest: 250 us instead of 25. Tempting: all but the last of each."""
    config = ReplicaConfig("toy", (Stage("TOY", 1, 1), Stage("TOY", 1, 1)))
    gpu = replace(TOY_GPU, link_gb_per_s=TOY_GPU.link_gb_per_s / 10)
    cycle_s = ((136.562 + 225) * 1.07 + 1028) * 1e-6
    assert toy_table(PREFILL, config, gpu=gpu).rate_req_per_s[0, 0] == pytest.approx(2 / cycle_s, rel=1e-9)


def test_prompts_above_the_budget_take_several_steps():
    """A prompt of 2.5 budgets ends in every 2.5th step and reaches its first token after the third."""
    engine = replace(TOY, max_num_tokens=40)
    table = toy_table(PREFILL, engine=engine)
    # 40 tokens [us]: arithmetic 36.48, below the reads of 57, half of it beside them; scores 2*2*2000*39.6*50 / 50e12 =
    # 0.3168; cache of 0.4 last tokens 0.128; elements 2; head 25 and half of 0.16.  Host 1000 + 10 + 2: at least one
    # prompt is under way.
    cycle_s = (57 + 18.24 + 0.3168 + 0.128 + 2 + 25.08 + 1012) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(0.4 / cycle_s, rel=1e-9)
    assert table.ttft_s[0, 0] == pytest.approx(3 * cycle_s + 100e-6, rel=1e-9)


def test_a_small_cache_holds_prompts_until_they_are_sent():
    """With room for two prompts, the next two wait until these are computed and sent."""
    # 200 tokens [us]: arithmetic 182.4 and half of 57; scores 1.584; cache 0.64; elements 10; head 25.4; host 1024.
    # Transfer 100.  Tempting: 2 / 1272.524 us, as if the cache were free once the prompt is done.
    table = toy_table(PREFILL, gpu=toy_gpu_with_cache(200))
    assert table.rate_req_per_s[0, 0] == pytest.approx(2 / 1372.524e-6, rel=1e-9)
    assert table.num_sequences[0, 0] == pytest.approx(2)


def test_a_small_cache_holds_what_arrives_for_decoding():
    """A decode replica's cache is taken from the first byte that arrives."""
    # Held per request: 100 + 0.55 * 50 = 127.5 tokens; two fit.  Step [us]: weights 57, cache 0.8, elements 0.1,
    # head 25, half of the arithmetic's 1.824 and 0.8, host 1024; 50 steps for each answer, then 100 for the transfer of
    # the next.
    table = toy_table(DECODE, gpu=toy_gpu_with_cache(255), engine=replace(TOY, recomputed_share=0.0))
    assert table.rate_req_per_s[0, 0] == pytest.approx(2 / (50 * 1108.212e-6 + 100e-6), rel=1e-9)


def test_a_decode_replica_computes_anew_what_it_loses():
    """Answers that outgrow its cache cost it prefill, though prompts come with their cache."""
    # 1 / (1 + 2 / 50) tokens for each of the answers, 1.923 a step, in chunks of 100: one step in 52 is mixed.  Its 102
    # tokens [us]: arithmetic 93.024 and half of 57; scores 0.8; cache 0.8; elements 5.1; head 25.4: 69.412 above the
    # 84.212 of a decode step.  Tempting: no prefill at all, 1108.212 a step.
    table = toy_table(DECODE, gpu=toy_gpu_with_cache(255))
    step_s = (1108.212 + 69.412 / 52) * 1e-6
    assert table.rate_req_per_s[0, 0] == pytest.approx(2 / (50 * step_s + 100e-6), rel=1e-9)
    assert table.tpot_s[0, 0] == pytest.approx(step_s, rel=1e-9)


@pytest.mark.parametrize("phase", [PREFILL, DECODE])
@pytest.mark.parametrize(("links", "rate"), [(1.0, 50.0), (0.25, 12.5), (2.0, 100.0)])
def test_the_link_bounds_both_ends(phase, links, rate):
    """At 8 MB/s a cache of 160,000 B takes 20 ms: 50 requests a second over one link, sent or received."""
    fast = replace(TOY, step_overhead_s=1e-6)  # no slower than the link by itself
    table = toy_table(phase, links=links, network_gb_per_s=0.008, engine=fast)
    assert table.rate_req_per_s[0, 0] == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("phase", [PREFILL, DECODE])
def test_the_server_process_bounds_each_phase(phase):
    """A replica of one phase accepts no more requests than a whole one."""
    engine = replace(TOY, max_req_per_s=7.0)
    assert toy_table(phase, engine=engine).rate_req_per_s[0, 0] == 7.0


def test_links_by_hand():
    """A replica has the share of its machines' links that it has of their GPUs; each stage sends its own layers."""
    assert links_of(even_config("llama-3-70b", "A40", 2), {"A40": 8}) == 0.25
    assert links_of(even_config("llama-3-70b", "A40", 8, 2), {"A40": 8}) == 2.0
    assert links_of(even_config("llama-3-70b", "A40", 1, 4), {"A40": 1}) == 4.0
    # 60 of 80 layers leave an eighth of a machine: 1/8 / (60/80).  Tempting: 1/8 + 1/2.
    uneven = ReplicaConfig("llama-3-70b", (Stage("A40", 1, 60), Stage("L40", 1, 20)))
    assert links_of(uneven, {"A40": 8, "L40": 2}) == pytest.approx(1 / 6)


def test_latent_attention_and_windows_send_less():
    """What crosses the link is what the model keeps: bytes of one prompt over the link's rate."""
    provider = AnalyticProvider(MODELS, GPUS, VLLM, 0.001)
    for name in ("llama-3.1-8b", "deepseek-v3", "gemma-3-27b"):
        config = even_config(name, "H200-SXM", 8, precision="fp8")
        table = AnalyticPhases(provider).phase_table(PREFILL, [config], [1.0], [workload(8000, 100)])
        assert table.rate_req_per_s[0, 0] == pytest.approx(1e6 / MODELS[name].kv_bytes(8000), rel=1e-9)


def rates_of(phase, config, lengths, engine=VLLM, gpus=GPUS, *, network_gb_per_s=1e6, links=1.0):
    provider = AnalyticProvider(MODELS, gpus, engine, network_gb_per_s)
    table = AnalyticPhases(provider).phase_table(phase, [config], [links], [workload(*lengths)])
    return float(table.rate_req_per_s[0, 0])


@pytest.mark.parametrize("lengths", [(2455, 253), (2455, 510), (824, 510), (6000, 400)])
@pytest.mark.parametrize("gpu", ["A100-80GB-SXM", "L40S", "A40", "RTX4090"])
def test_both_phases_together_take_about_the_time_of_one_replica(gpu, lengths):
    """On one GPU and over a link of no cost 1/h_P + 1/h_D is 1/h and up to 6 % more: mixed steps share their reads."""
    config = even_config("llama-3-8b", gpu)
    apart = 1 / rates_of(PREFILL, config, lengths) + 1 / rates_of(DECODE, config, lengths)
    assert 1.0 <= apart * rate_of(config, lengths) < 1.06


def test_compute_prefills_and_bandwidth_decodes():
    """Twice the bandwidth helps decoding alone, twice the compute prefilling alone, on long prompts and answers; where
    decoding loses cache and computes it anew, compute helps it a little.
    """
    config, lengths = even_config("llama-3-8b", "A100-80GB-SXM"), (4000, 400)
    engine = replace(VLLM, sequence_overhead_s=0.0, recomputed_share=0.0)
    bandwidth = changed("A100-80GB-SXM", bandwidth_gb_per_s=2 * GPUS["A100-80GB-SXM"].bandwidth_gb_per_s)
    compute = changed("A100-80GB-SXM", tflops=scaled_tflops("A100-80GB-SXM", 2.0), tdp_w=800)
    gains = {
        (phase, name): rates_of(phase, config, lengths, engine, gpus) / rates_of(phase, config, lengths, engine)
        for phase in (PREFILL, DECODE)
        for name, gpus in (("bandwidth", bandwidth), ("compute", compute))
    }
    assert min(gains[PREFILL, "compute"], gains[DECODE, "bandwidth"]) > 1.6
    assert max(gains[PREFILL, "bandwidth"], gains[DECODE, "compute"]) < 1.1
    losing = replace(engine, recomputed_share=1.0)
    losing_gain = rates_of(DECODE, config, lengths, losing, compute) / rates_of(DECODE, config, lengths, losing)
    assert gains[DECODE, "compute"] < losing_gain < 1.2


thorough = settings(deadline=None, max_examples=60)
CONFIGS = st.builds(
    even_config,
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(sorted(GPUS)),
    st.sampled_from([1, 2, 4, 8]),
    st.sampled_from([1, 2, 3, 8]),
)
LENGTHS = st.tuples(st.integers(1, 20_000), st.integers(1, 5_000))
PHASES = st.sampled_from([PREFILL, DECODE])
LINKS = st.sampled_from([0.125, 1.0])
NETWORKS = st.sampled_from([0.625, 50.0])


@thorough
@given(PHASES, CONFIGS, LENGTHS, LINKS, NETWORKS)
def test_every_value_is_finite_and_within_link_and_server(phase, config, lengths, links, network):
    """Rates and latencies are finite, above 0 where the replica fits, and within what link and server allow."""
    provider = AnalyticProvider(MODELS, GPUS, VLLM, network)
    table = AnalyticPhases(provider).phase_table(phase, [config], [links], [workload(*lengths), workload(1, 1)])
    for values in (table.rate_req_per_s, table.ttft_s, table.num_sequences):
        assert np.isfinite(values).all()
        assert ((values > 0) == table.fits).all()
    assert np.isinf(table.relative_error).all()
    sent_bytes = MODELS[config.model].kv_bytes(lengths[0])
    assert table.rate_req_per_s[0, 0] * sent_bytes <= links * network * 1e9 / SAME
    assert table.rate_req_per_s.max() <= VLLM.max_req_per_s


@thorough
@given(PHASES, CONFIGS, LENGTHS, LINKS, NETWORKS, st.floats(1.0, 3.0))
def test_better_hardware_never_slows_a_phase(phase, config, lengths, links, network, factor):
    """Compute, bandwidth, memory, links and network: more of each costs nothing."""
    gpu = GPUS[config.stages[0].gpu]
    base = rates_of(phase, config, lengths, links=links, network_gb_per_s=network)
    for better in (
        changed(gpu.name, tflops=scaled_tflops(gpu.name, factor)),
        changed(gpu.name, bandwidth_gb_per_s=gpu.bandwidth_gb_per_s * factor),
        changed(gpu.name, usable_memory_gb=gpu.usable_memory_gb * factor),
    ):
        assert rates_of(phase, config, lengths, gpus=better, links=links, network_gb_per_s=network) >= base * SAME
    assert rates_of(phase, config, lengths, links=links * factor, network_gb_per_s=network) >= base * SAME
    assert rates_of(phase, config, lengths, links=links, network_gb_per_s=network * factor) >= base * SAME


@thorough
@given(PHASES, CONFIGS, LENGTHS, NETWORKS, st.floats(1.0, 3.0))
def test_longer_prompts_never_raise_the_rate_of_a_phase(phase, config, lengths, network, factor):
    """On one GPU, requests per second fall with the prompt."""
    single = ReplicaConfig(config.model, (Stage(config.stages[0].gpu, 1, config.num_layers),))
    base = rates_of(phase, single, lengths, network_gb_per_s=network)
    assert rates_of(phase, single, (lengths[0] * factor, lengths[1]), network_gb_per_s=network) <= base / SAME


def test_what_cannot_be_modelled_is_refused():
    """Unknown names and layers that do not add up are errors, as for whole replicas."""
    provider = AnalyticPhases(AnalyticProvider(MODELS, GPUS, VLLM))
    with pytest.raises(UnknownNameError, match="nobody"):
        provider.phase_table(PREFILL, [ReplicaConfig("nobody", (Stage("A40", 1, 32),))], [1.0], [workload(1, 1)])
    with pytest.raises(InputError, match="31 layers"):
        provider.phase_table(DECODE, [ReplicaConfig("llama-3-8b", (Stage("A40", 1, 31),))], [1.0], [workload(1, 1)])


def test_models_mix_in_one_table():
    """The row of a configuration is the same alone and among other models."""
    provider = AnalyticPhases(AnalyticProvider(MODELS, GPUS, VLLM))
    configs = [even_config("llama-3-8b", "L4"), even_config("llama-3-70b", "A40", 1, 4), even_config("phi-4", "L40S")]
    together = provider.phase_table(DECODE, configs, [0.5, 1.0, 2.0], [workload(496, 18)])
    for row, (config, links) in enumerate(zip(configs, [0.5, 1.0, 2.0], strict=True)):
        alone = provider.phase_table(DECODE, [config], [links], [workload(496, 18)])
        assert alone.rate_req_per_s[0] == pytest.approx(together.rate_req_per_s[row])
