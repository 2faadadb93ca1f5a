"""How prompts hold up the micro-batches of a pipeline: by hand, by exact sums, and as properties."""

from dataclasses import replace
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.profile import AnalyticProvider
from cuvee.profile.engine import ENGINES
from cuvee.profile.pacing import Company, paced_prefill
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

LENGTHS = ((2455, 18), (2455, 510), (496, 18), (496, 510))
TYPES = [workload(*lengths) for lengths in LENGTHS]


def pace(isl: float, prompts: float, lanes: int, room: float, company: Company | None = None, anew: float = 0.0):
    """Chunk and rounds of one cell."""
    inputs, begun, lost, in_flight, left = (np.array([[float(value)]]) for value in (isl, prompts, anew, lanes, room))
    found = paced_prefill(inputs, begun, lost, in_flight, left, company or Company.alone((1, 1)), VLLM)
    return tuple(float(each[0, 0]) for each in found)


def in_turn(prompts: float, lanes: int) -> float:
    """E[ceil(K / m)] of a Poisson K, summed up."""
    chance, total = exp(-prompts), 0.0
    for number in range(1, 600):
        chance *= prompts / number
        total += chance * -(-number // lanes)
    return total


@pytest.mark.parametrize("lanes", [2, 3, 4, 6, 8, 16])
def test_the_fullest_micro_batch_is_that_of_prompts_in_turn(lanes):
    """Exact for two micro-batches, within 11 % for up to sixteen, from one prompt in a hundred rounds to many in each.

    Tempting: the mean of the micro-batches, q / m, which is m times too little where prompts are rare.
    """
    for prompts in (0.01, 0.1, 0.5, 1, 2, 3, 5, 8, 13, 20, 40):
        chunk, rounds = pace(100, prompts, lanes, 1e6)
        exact = in_turn(prompts, lanes) * 100
        assert chunk * rounds == pytest.approx(exact, rel=1e-9 if lanes == 2 else 0.11), prompts


def test_a_long_prompt_takes_several_steps():
    """2,500 tokens, 1,000 a step, 0.1 prompts a round: full where one of its two full steps is, else 500 in its last.

    Two full steps: 1 - e^-0.2 of the rounds; none, but a last one: e^-0.2 (1 - e^-0.1).
    """
    chunk, rounds = pace(2500, 0.1, 4, 1000)
    assert rounds == pytest.approx(1 - exp(-0.3))
    assert chunk * rounds == pytest.approx(1000 * (1 - exp(-0.2)) + 500 * exp(-0.2) * (1 - exp(-0.1)))


def test_no_more_than_a_step_has_room_for():
    """Eight prompts of 900 tokens a round on four micro-batches of 1,000: each is full; the budget bounds the batch."""
    chunk, rounds = pace(900, 8, 4, 1000)
    assert chunk * rounds == pytest.approx(1800)  # what is owed, more than the room: steps cannot be longer
    chunk, rounds = pace(450, 8, 4, 1000)
    assert (chunk, rounds) == (pytest.approx(1000), pytest.approx(1))


def test_one_micro_batch_is_as_it_was():
    """Without a pipeline prompts of 100 tokens, 0.3 a round, make 30 % of the steps mixed, whoever else is there."""
    crowd = Company(np.array([[5.0]]), np.array([[6.0]]))
    assert pace(100, 0.3, 1, 1000) == pace(100, 0.3, 1, 1000, crowd) == (pytest.approx(100), pytest.approx(0.3))


def test_a_dense_type_pays_for_itself_among_few_prompts():
    """Ten prompts a round alone share eight micro-batches; a tenth as many beside others each hold up nearly all.

    Alone: 10 / 8 and 7 / 16 prompts in the fullest. In the mix, with 0.5 of its own and none longer: 1 - e^-0.5, of
    which its 10 a round are 20 times as many.
    """
    company = Company(np.array([[0.0]]), np.array([[0.05]]))
    alone, among = (np.prod(pace(100, 10, 8, 1e6, each)) for each in (None, company))
    assert alone == pytest.approx(100 * (10 / 8 + 7 / 16), rel=1e-6)
    assert among == pytest.approx(100 * (1 - exp(-0.5)) * 20)


def test_what_would_be_free_beside_longer_prompts_counts_as_alone():
    """One prompt a round beside five longer ones adds nearly nothing, but may come to be alone."""
    company = Company(np.array([[5.0]]), np.array([[6.0]]))
    assert np.prod(pace(100, 1, 8, 1e6, company)) == pytest.approx(np.prod(pace(100, 1, 8, 1e6)))


def test_company_counts_longer_prompts_first():
    """Two types, 64 admitted sequences: 0.5 of each in (18 + 510) / 2 / 64 rounds; the long one has none before it."""
    inputs, outputs = np.array([496.0, 2455.0]), np.array([510.0, 18.0])
    admitted, fits = np.full((1, 2), 64.0), np.ones((1, 2), dtype=bool)
    prompts = admitted / outputs
    found = Company.of(
        inputs, outputs, admitted, prompts, np.full((1, 2), 2000.0), fits, np.array([0.5, 0.5]), np.full((1, 2), 4.0)
    )
    begun = 64 / 264 / 2  # of each, in a round
    assert found.longer[0] == pytest.approx([begun / prompts[0, 0], 0])
    assert found.all[0] == pytest.approx([2 * begun / prompts[0, 0], begun / prompts[0, 1]])


@settings(max_examples=30)
@given(st.permutations(range(len(LENGTHS))), st.sampled_from(["A40", "L40", "H100-SXM"]))
def test_rates_do_not_hang_on_the_order_of_types(order, gpu):
    """Prompts as long as each other share what they hold up: no type of them is the longest for coming first."""
    mix = replace(
        AnalyticProvider(MODELS, GPUS, VLLM), mixes={"llama-3-70b": {kind.name: 0.25 for kind in TYPES}}
    )  # fmt: skip
    config = even_config("llama-3-70b", gpu, 1, 8)
    given = mix.table([config], TYPES).rate_req_per_s[0]
    turned = mix.table([config], [TYPES[place] for place in order]).rate_req_per_s[0]
    assert turned == pytest.approx(given[list(order)], rel=1e-9)


def test_a_type_in_two_halves_is_that_type():
    """Requests of one type, told apart by name alone, are served as the whole was, whatever else is there.

    Tempting: the half that comes first is charged as if none of its kind were there, the other as if it were free.
    """
    halves = [replace(TYPES[0], name="one"), replace(TYPES[0], name="other"), TYPES[3]]
    config, alone = even_config("llama-3-70b", "L40", 1, 8), AnalyticProvider(MODELS, GPUS, VLLM)
    whole = {TYPES[0].name: 0.6, TYPES[3].name: 0.4}
    apart = {"one": 0.2, "other": 0.4, TYPES[3].name: 0.4}
    together = replace(alone, mixes={"llama-3-70b": whole}).table([config], [TYPES[0], TYPES[3]]).rate_req_per_s[0]
    split = replace(alone, mixes={"llama-3-70b": apart}).table([config], halves).rate_req_per_s[0]
    assert split == pytest.approx(together[[0, 0, 1]], rel=1e-9)


def test_rates_pass_over_gradually_as_prompts_grow():
    """From shorter than the other type's prompts to longer: no step of 0.1 % changes a rate by more than 2 %."""
    config, alone = even_config("llama-3-70b", "L40", 1, 8), AnalyticProvider(MODELS, GPUS, VLLM)
    found = []
    for factor in np.arange(0.7, 1.4, 0.001):
        kinds = [workload(2000, 18), replace(workload(2000, 510), name="growing", input_tokens=2000 * factor)]
        mix = {kinds[0].name: 0.5, "growing": 0.5}
        found.append(replace(alone, mixes={"llama-3-70b": mix}).table([config], kinds).rate_req_per_s[0])
    steps = np.diff(np.log(np.array(found)), axis=0)
    assert np.abs(steps).max() < 0.02


@settings(max_examples=60)
@given(
    st.sampled_from(["A40", "L40", "H100-SXM", "A100-80GB-SXM", "RTX4090"]),
    st.sampled_from([(1, 4), (1, 8), (2, 2), (2, 4), (4, 1), (8, 1)]),
    st.lists(st.floats(1e-9, 1.0), min_size=4, max_size=4),
    st.sampled_from(sorted(ENGINES)),
)
def test_a_mix_never_raises_a_rate(gpu, split, weights, engine):
    """Beside others a type is served no faster than alone, but for what a fuller step saves; on one stage, and where
    micro-batches take their prompts in step, exactly as fast.
    """
    shares = np.array(weights) / sum(weights)
    alone = AnalyticProvider(MODELS, GPUS, ENGINES[engine])
    mix = {kind.name: float(share) for kind, share in zip(TYPES, shares, strict=True)}
    config = even_config("llama-3-70b", gpu, *split)
    apart = alone.table([config], TYPES)
    beside = replace(alone, mixes={"llama-3-70b": mix}).table([config], TYPES)
    assert (beside.fits == apart.fits).all()
    assert (beside.rate_req_per_s <= apart.rate_req_per_s * (1 + 1e-3)).all()
    assert (beside.rate_req_per_s[apart.fits] > 0).all()
    if split[1] == 1 or not ENGINES[engine].held_up_share:
        assert (beside.rate_req_per_s == apart.rate_req_per_s).all()


def test_a_mix_of_one_type_is_that_type_alone():
    """Nobody to hold up: a type whose batch the cache bounds has the rate alone, to the last digits."""
    config, kind = even_config("llama-3-70b", "A40", 4, 2), workload(496, 510)
    alone = AnalyticProvider(MODELS, GPUS, VLLM)
    within = replace(alone, mixes={"llama-3-70b": {kind.name: 1.0}}).table([config], [kind])
    assert within.rate_req_per_s[0, 0] == pytest.approx(alone.table([config], [kind]).rate_req_per_s[0, 0], rel=1e-9)
