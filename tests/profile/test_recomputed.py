"""Cache that answers outgrow: what is lost by hand, where nothing is, and an event simulation beside it."""

from dataclasses import replace

import numpy as np
import pytest

from cuvee.catalog import ModelSpec
from cuvee.profile import ENGINES, AnalyticProvider, EngineSettings, kv_capacity_tokens
from cuvee.profile.batch import recomputed_share, steady_batch
from tests.profile.event_simulation import simulate
from tests.profile.saturation_comparison import saturated
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

LLAMA = MODELS["llama-3-8b"]


def lost(
    capacity: float,
    most: float,
    lengths: tuple[float, float] = (100, 100),
    *,
    sequences: float = 10,
    model: ModelSpec = LLAMA,
    engine: EngineSettings = VLLM,
) -> float:
    """Tokens computed anew per token of the answers, of a cache for `capacity` tokens."""
    limit, running = np.array([[most]]), np.array([[sequences]])
    return float(recomputed_share(model, np.array([capacity]), [workload(*lengths)], limit, running, engine)[0, 0])


def test_a_full_cache_by_hand():
    """Each token of an answer costs one elsewhere, but for the room that sequences ending beside it leave."""
    # 10 sequences, one of which ends every 10 rounds.  Tempting: 1, or a whole sequence for each answer.
    assert lost(1550, 256) == pytest.approx(1 / (1 + 10 / 100))
    assert lost(1550, 256, (100, 10)) == pytest.approx(1 / 2)


@pytest.mark.parametrize(("most", "full"), [(8.9, 0.0), (10.0, 0.5), (10.5, 0.75), (11.1, 1.0)])
def test_a_limit_of_sequences_keeps_the_cache_from_being_full(most, full):
    """10 sequences of 150 tokens on average fill 1500; from 9 on there are too many now and then, from 11 on always."""
    assert lost(1500, most) == pytest.approx(full / 1.1)


def test_a_token_budget_keeps_the_cache_from_being_full():
    """Prompts of 990 tokens for answers of 10 let a budget of 1,000 tokens run 10 sequences, which fill 0.1 of it."""
    capacity, stages = np.array([99_500.0]), np.ones((1, 1))
    kinds = [workload(990, 10)]
    for budget, share in ((1000.0, 0.0), (100_000.0, 1 / (1 + 99_500 / 995.5 / 10))):
        batch = steady_batch(LLAMA, capacity, stages, kinds, np.array([[256.0, budget]]), VLLM)
        assert batch.recomputed[0, 0, 0] == pytest.approx(share)


def test_windows_do_not_grow():
    """Beyond the window only full layers grow: their growth over the cache of a token that is computed anew."""
    gemma = MODELS["gemma-3-27b"]
    windows = gemma.sliding_window
    assert windows is not None
    full, sliding = windows.full_layers, windows.sliding_layers
    kept = full * 6000 + sliding * windows.window
    expected = full / (kept / 6000) / (1 + 10 / 1000)
    assert lost(1550, 256, (5000, 1000), model=gemma) == pytest.approx(expected)
    assert expected < 0.7


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_engines_that_leave_room_lose_nothing(engine):
    """TensorRT-LLM reserves the whole answer, SGLang leaves room for it; vLLM admits what fits now."""
    assert (lost(1550, 256, engine=engine) > 0) == engine.name.startswith("vllm")


def test_nothing_lost_is_the_batch_without():
    """Where nothing is lost, steps carry the prompts of the requests that are served and no more."""
    capacity, stages, limits = np.array([1550.0]), np.ones((1, 1)), np.array([[256.0, 2048.0]])
    kinds = [workload(100, 100)]
    without = replace(VLLM, recomputed_share=0.0)
    batch = steady_batch(LLAMA, capacity, stages, kinds, limits, without)
    assert (batch.mixed_share * batch.chunk)[0, 0, 0] == pytest.approx(batch.sequences[0, 0, 0])
    losing = steady_batch(LLAMA, capacity, stages, kinds, limits, VLLM)
    assert losing.recomputed[0, 0, 0] == pytest.approx(1 / 1.1)
    assert (losing.mixed_share * losing.chunk)[0, 0, 0] == pytest.approx(batch.sequences[0, 0, 0] * (1 + 1 / 1.1))


def test_the_event_simulation_agrees():
    """The bounds that docs/throughput-model.md states: a scheduler simulated step by step serves what is estimated."""
    found = saturated()
    fixed = [each for each in found if not each.exponential_lengths]
    assert all(0.94 < each.rate < 1.05 for each in fixed)
    assert all(0.9 < each.rate < 1.13 for each in found)
    assert all(abs(each.lost - each.simulated_lost) < 0.4 for each in found)
    assert np.median([abs(each.rate - 1) for each in found]) < 0.03
    assert np.median([abs(each.rate_without - 1) for each in found]) > 0.08


@pytest.mark.parametrize(("exponential", "least", "most"), [(False, 1.2, 1.35), (True, 0.95, 1.1)])
def test_a_limit_of_sequences_would_serve_more_equal_requests(exponential, least, most):
    """Nine tenths of the sequences that the cache holds: far more where lengths are equal, hardly where they vary."""
    config, kind = even_config("llama-3-70b", "A40", 4), workload(496, 510)
    holds = kv_capacity_tokens(MODELS[config.model], config, GPUS, VLLM) / (496 + 510 / 2)
    served = []
    for limit in (VLLM.max_num_seqs, int(0.9 * holds)):
        provider = AnalyticProvider(MODELS, GPUS, replace(VLLM, max_num_seqs=limit))
        rate = 2 * float(provider.table([config], [kind]).rate_req_per_s[0, 0])
        seen = simulate(provider, config, kind, rate_req_per_s=rate, num_requests=2000, exponential_lengths=exponential)
        served.append(seen.rate_req_per_s)
    assert least < served[1] / served[0] < most
