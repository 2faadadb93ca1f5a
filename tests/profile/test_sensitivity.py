"""What a rate hangs on, by hand where the roofline has one term, and what a replica owns."""

from dataclasses import replace
from math import log

import pytest

from cuvee.catalog import GpuType, load_gpu_types, load_model
from cuvee.profile import AnalyticProvider
from cuvee.profile.engine import EngineSettings, find_engine
from cuvee.profile.memory import activation_bytes
from cuvee.profile.replica import ReplicaConfig, Stage
from cuvee.profile.sensitivity import Resource, owned_amount, rate_elasticities
from cuvee.workload.records import WorkloadType

MODEL, GPUS, ENGINE = load_model("llama-3-8b"), load_gpu_types(), find_engine("vllm")
LONG_PROMPT, LONG_ANSWER = WorkloadType("prompt", 4000.0, 1.0), WorkloadType("answer", 100.0, 4000.0)


def replica(gpu: str, size: int = 1) -> ReplicaConfig:
    return ReplicaConfig(MODEL.name, (Stage(gpu, size, MODEL.num_layers),))


def analytic(engine: EngineSettings = ENGINE, gpus: dict[str, GpuType] = GPUS) -> AnalyticProvider:
    return AnalyticProvider({MODEL.name: MODEL}, gpus, engine)


def elasticities(
    gpu: str, workload: WorkloadType, size: int = 1, engine: EngineSettings = ENGINE
) -> dict[Resource, float]:
    return rate_elasticities(analytic(engine), replica(gpu, size), workload)


def test_long_prompts_hang_on_compute():
    """Nearly all of the time is arithmetic, on every generation. Tempting: the data sheet's rate without its watts."""
    for gpu in ("H100-SXM", "A100-80GB-SXM", "A40"):
        found = elasticities(gpu, LONG_PROMPT)
        assert found[Resource.COMPUTE] > 0.85
        assert max(found, key=lambda each: found[each]) is Resource.COMPUTE


def test_long_answers_hang_on_bandwidth_and_cache():
    """Decode reads the cache; a larger one shares the weights among more sequences."""
    found = elasticities("A40", LONG_ANSWER, engine=replace(ENGINE, recomputed_share=0.0))
    assert found[Resource.BANDWIDTH] > 0.5
    assert found[Resource.CACHE] > 0.05
    assert found[Resource.COMPUTE] < 0.1


def test_answers_that_outgrow_the_cache_hang_on_compute_as_well():
    """What is lost is computed anew, a token for each of the answer: arithmetic counts, below bandwidth."""
    found = elasticities("A40", LONG_ANSWER)
    assert 0.2 < found[Resource.COMPUTE] < found[Resource.BANDWIDTH]


def test_links_count_where_there_are_some():
    """One GPU has no links; eight over PCIe hang on them."""
    assert elasticities("A40", LONG_PROMPT)[Resource.LINKS] == 0.0
    assert elasticities("A40", LONG_PROMPT, 8)[Resource.LINKS] > 0.2


def test_links_count_behind_the_cap_over_pcie():
    """vLLM 0.19 reaches 16 GB/s over PCIe of any generation: faster links are those where it reaches more."""
    found = elasticities("RTXPRO6000-Server", LONG_PROMPT, 4, find_engine("vllm-0.19"))
    assert found[Resource.LINKS] > 0.2


def test_a_pipeline_amid_its_mix():
    """Types that share a pipeline hold each other up: what hangs on bandwidth is the rate beside the others, to a tenth
    more of it. Tempting: that of the type alone.
    """
    kinds = (LONG_PROMPT, LONG_ANSWER)
    amid = replace(analytic(), mixes={MODEL.name: {each.name: 0.5 for each in kinds}})
    config = ReplicaConfig(MODEL.name, (Stage("A40", 1, 16), Stage("A40", 1, 16)))
    more = {"A40": replace(GPUS["A40"], bandwidth_gb_per_s=GPUS["A40"].bandwidth_gb_per_s * 1.1)}
    before, after = (replace(amid, gpus=gpus).table([config], kinds).rate_req_per_s[0, 0] for gpus in (GPUS, more))
    found = rate_elasticities(amid, config, LONG_PROMPT, beside=kinds)[Resource.BANDWIDTH]
    assert found == pytest.approx(log(after / before) / log(1.1))
    assert found < 0.6 * rate_elasticities(amid, config, LONG_PROMPT)[Resource.BANDWIDTH]


def test_what_does_not_fit_hangs_on_nothing():
    """16 GB do not hold 8 billion weights in 16 bit."""
    assert set(elasticities("T4", LONG_PROMPT).values()) == {0.0}


def test_amounts_by_hand():
    """Two H100: twice the bandwidth; the cache is 90 % of the memory less reserve, activations and weights."""
    pair = replica("H100-SXM", 2)
    gpu = GPUS["H100-SXM"]
    amounts = {each: owned_amount(analytic(), pair, each) for each in Resource}
    assert amounts[Resource.BANDWIDTH] == pytest.approx(2 * gpu.bandwidth_gb_per_s / 1000)
    fixed, split = activation_bytes(MODEL, gpu, ENGINE)
    free = 2 * (gpu.usable_memory_gb * ENGINE.memory_utilization - ENGINE.reserved_gb) - (2 * fixed + split) / 1e9
    assert amounts[Resource.CACHE] == pytest.approx(free - MODEL.weight_bytes("bf16") / 1e9, rel=1e-3)
    assert amounts[Resource.LINKS] == pytest.approx(2 * gpu.link_gb_per_s * ENGINE.link_efficiency)
    assert 0 < amounts[Resource.COMPUTE] < 2 * gpu.compute_tflops("bf16") / 1000
    assert owned_amount(analytic(), replica("H100-SXM"), Resource.LINKS) == 0.0
    assert owned_amount(analytic(), replica("T4"), Resource.CACHE) == 0.0


def test_a_gpu_whose_watts_are_not_known():
    """Then the engine's own share of the matrix rate counts alone."""
    unknown = {"A40": replace(GPUS["A40"], tdp_w=None)}
    found = rate_elasticities(analytic(gpus=unknown), replica("A40"), LONG_PROMPT)
    assert found[Resource.COMPUTE] > 0.8
