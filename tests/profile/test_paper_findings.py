"""What Jiang et al. (ICML 2025, arXiv 2502.00722) found by profiling, on the roofline, and where it differs."""

from dataclasses import replace

import pytest

from tests.profile.setups import (
    PAPER_LENGTHS,
    PAPER_PRICES_USD_PER_HOUR,
    VLLM,
    best_per_gpu,
    even_config,
    leader,
    rate_of,
)

LARGE = best_per_gpu("llama-3-70b")
SMALL = best_per_gpu("llama-3-8b")
LARGE_WITHOUT_LOSS = best_per_gpu("llama-3-70b", replace(VLLM, recomputed_share=0.0))
DATA_CENTRE = {"H100-SXM", "A100-80GB-SXM"}
WORKSTATION = {"A40", "A6000", "L40"}

A40_AHEAD = {(2455, 253), (2455, 510), (496, 253), (496, 510), (824, 510)}
"""Types on which the A40 is ahead of the RTX 4090 for Llama-3 8B."""


@pytest.mark.parametrize("lengths", [(2455, 18), (2455, 253), (2455, 510)])
def test_data_centre_gpus_lead_on_long_prompts_with_70b(lengths):
    """Llama-3 70B, 2455 prompt tokens: an H100 or A100 gives most requests per dollar."""
    assert leader(LARGE, lengths) in DATA_CENTRE


@pytest.mark.parametrize(("lengths", "lead"), [((496, 253), 1.12), ((496, 510), 1.23)])
def test_the_a100_leads_on_short_prompts_and_long_answers_with_70b(lengths, lead):
    """Pinned exception: four A100 hold more than vLLM's 256 sequences and lose no cache; four A40 lose 0.7 to 0.8
    tokens for each of the answers.
    """
    assert leader(LARGE, lengths) == "A100-80GB-SXM"
    ratio = LARGE["A100-80GB-SXM", lengths][0] / LARGE["A40", lengths][0]
    assert ratio == pytest.approx(lead, abs=0.01)


@pytest.mark.parametrize("lengths", [(496, 253), (496, 510)])
def test_workstation_gpus_lead_there_where_no_cache_is_lost(lengths):
    """Llama-3 70B, 496 prompt tokens, an engine that loses no cache: A40, A6000 or L40 gives most per dollar."""
    assert leader(LARGE_WITHOUT_LOSS, lengths) in WORKSTATION


def test_short_prompts_and_answers_with_70b_are_a_tie():
    """Llama-3 70B on (496, 18): the A40 is within 2 % of the H100."""
    assert LARGE["A40", (496, 18)][0] / LARGE["H100-SXM", (496, 18)][0] == pytest.approx(1.0, abs=0.02)


def test_the_lead_on_the_extreme_types_differs_in_size():
    """Pinned: the A40 is 4 % behind the H100 on (2455, 18) and 6 % on (496, 510); both inside the error."""
    ratio = {pair: LARGE["A40", pair][0] / LARGE["H100-SXM", pair][0] for pair in ((2455, 18), (496, 510))}
    assert ratio[2455, 18] == pytest.approx(0.96, abs=0.01)
    assert ratio[496, 510] == pytest.approx(0.94, abs=0.01)


@pytest.mark.parametrize("lengths", sorted(set(PAPER_LENGTHS) - A40_AHEAD))
def test_the_rtx_4090_leads_with_8b_on_short_and_middle_answers(lengths):
    """Llama-3 8B: the consumer GPU gives most requests per dollar on four of nine types."""
    assert leader(SMALL, lengths) == "RTX4090"


@pytest.mark.parametrize("lengths", sorted(A40_AHEAD))
def test_the_a40_is_just_ahead_of_the_rtx_4090_on_long_answers(lengths):
    """Exception, by under 15 %: 24 GB leave the 4090 a fifth of the A40's cache, so it runs a fifth of the batch."""
    assert leader(SMALL, lengths) == "A40"
    assert 1 < SMALL["A40", lengths][0] / SMALL["RTX4090", lengths][0] < 1.15


@pytest.mark.parametrize("gpu", PAPER_PRICES_USD_PER_HOUR)
def test_one_gpu_per_replica_is_best_with_8b(gpu):
    """Llama-3 8B: copies beat any parallelism, on every type and every GPU."""
    assert {SMALL[gpu, lengths][1].num_gpus for lengths in PAPER_LENGTHS} == {1}


def test_pure_pipelines_beat_pure_tensor_parallelism_over_pcie_on_prefill():
    """Llama-3 70B on 8 L40, (2455, 18): PP8 moves each activation 7 times, TP8 160 times."""
    pipeline = rate_of(even_config("llama-3-70b", "L40", 1, 8), (2455, 18))
    tensor = rate_of(even_config("llama-3-70b", "L40", 8, 1), (2455, 18))
    assert pipeline > 1.5 * tensor


def test_h100_wants_tensor_parallelism_for_long_requests():
    """Llama-3 70B on (2455, 510): TP4 on one replica beats PP4, and is the H100's best configuration."""
    assert LARGE["H100-SXM", (2455, 510)][1].parallel_label == "TP4"
    tensor = rate_of(even_config("llama-3-70b", "H100-SXM", 4, 1), (2455, 510))
    assert tensor > rate_of(even_config("llama-3-70b", "H100-SXM", 1, 4), (2455, 510))
