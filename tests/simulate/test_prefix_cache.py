"""The prefix cache: schedules by hand, the plain twin, and what must hold whatever happens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.simulate.events import CLOSE, FAIL, OPEN
from cuvee.workload.prefixes import Prefixes
from tests.simulate.worlds import linear_law, played, played_plainly, random_law, random_prefixes


def prefixes_of(*blocks, block_tokens=32) -> Prefixes:
    """The blocks of each prompt."""
    first = np.concatenate([[0], np.cumsum([len(each) for each in blocks])])
    return Prefixes(np.array([number for each in blocks for number in each]), first, block_tokens)


def test_a_prefix_is_computed_once():
    """Prompts of 70 tokens, 64 of them alike: 1 ms + 70 x 0.01 ms, then 1 ms + 6 x 0.01 ms for the second.

    Two blocks of 32 tokens are alike, the third is not. Tempting: the blocks of 16 tokens that the third consists of.
    """
    law = linear_law(step_s=1e-3, token_s=1e-5)
    asked = {"arrival_s": [0.0, 1.0], "prompt": [70, 70], "answer": [1, 1]}
    result = played([law], **asked, prefixes=prefixes_of([1, 2, 3], [1, 2, 4]))
    assert result.requests.finish_s == pytest.approx([1.7e-3, 1.0 + 1.06e-3], abs=1e-12)
    assert result.engines.prefixes.sharing.found.tolist() == [0, 64]
    assert played([law], **asked).requests.finish_s == pytest.approx([1.7e-3, 1.0 + 1.7e-3], abs=1e-12)


def test_a_prompt_that_is_all_there_is_computed_from_its_last_block_on():
    """64 tokens a second time: the last 16 are computed again, as a token has to be that the first answer follows."""
    law = linear_law(step_s=1e-3, token_s=1e-5)
    result = played([law], [0.0, 1.0], [64, 64], [1, 1], prefixes=prefixes_of([1, 2], [1, 2]))
    assert result.requests.finish_s[1] == pytest.approx(1.0 + 1.16e-3, abs=1e-12)


def test_a_prefix_is_found_while_it_is_in_use_and_while_it_is_computed():
    """Budget of 40 tokens a step: the second finds the block that the first computed in the step before.

    The first takes steps of 40 and 30 tokens. The second comes during the first step and is admitted to the second
    step, in which 10 tokens are left: 32 of its 70 are found, 10 and 28 are to compute.
    """
    law = linear_law(step_s=1e-3, max_num_tokens=40)
    result = played([law], [0.0, 0.0005], [70, 70], [1, 1], prefixes=prefixes_of([1, 2, 3], [1, 4, 5]))
    assert result.engines.prefixes.sharing.found.tolist() == [0, 32]
    assert result.requests.finish_s == pytest.approx([2e-3, 3e-3])


def test_what_was_used_longest_ago_goes_first():
    """A cache of 8 blocks; prompts of 4 blocks, a, b and c in turn, then b and a again.

    c takes the blocks of a, so b is found and a is not. Tempting: that b has to go as well, since c needs room of its
    own; or that a is found, since it stood in the cache first.
    """
    law = linear_law(step_s=1e-3, cache_tokens=128)
    a, b, c = [1, 2], [3, 4], [5, 6]
    result = played([law], np.arange(5.0), [64] * 5, [1] * 5, prefixes=prefixes_of(a, b, c, b, a))
    assert result.engines.prefixes.sharing.found.tolist() == [0, 0, 0, 48, 0]


def test_the_end_of_a_prompt_goes_before_its_beginning():
    """A prompt of 64 tokens in a cache of 6 blocks; another of 48 takes two free blocks and the last one of the first.

    The first comes back and finds 48 tokens: its first block of 32, and half of the second.
    """
    law = linear_law(step_s=1e-3, cache_tokens=96)
    result = played([law], np.arange(3.0), [64, 48, 64], [1] * 3, prefixes=prefixes_of([1, 2], [8, 9], [1, 2]))
    assert result.engines.prefixes.sharing.found.tolist() == [0, 0, 48]


def test_shared_blocks_take_room_once():
    """Six blocks hold two sequences of four blocks that have two in common, at once."""
    law = linear_law(step_s=1e-3, cache_tokens=96)
    asked = {"arrival_s": [0.0, 0.0015], "prompt": [60, 60], "answer": [4, 4]}
    apart = played([law], **asked)
    together = played([law], **asked, prefixes=prefixes_of([1, 2], [1, 3]))
    assert apart.requests.first_s[1] == pytest.approx(5e-3), "once the first has ended, after four steps"
    assert together.requests.first_s[1] == pytest.approx(3e-3)


def test_a_replica_that_failed_has_forgotten_all():
    """The prefix is found before the failure, and not after it."""
    law = linear_law(step_s=1e-3)
    asked = {"arrival_s": [0.0, 1.0, 3.0], "prompt": [64] * 3, "answer": [1] * 3}
    events = [(2.0, FAIL, 0), (2.5, OPEN, 0)]
    result = played([law], **asked, prefixes=prefixes_of([1, 2], [1, 2], [1, 2]), events=events)
    assert result.engines.prefixes.sharing.found.tolist() == [0, 48, 0]


@pytest.mark.parametrize("batch", range(6))
def test_the_plain_twin_agrees(batch):
    """Times of every request to 1e-6 s, tokens found by each, and how many were put back: pipelines, full caches."""
    for seed in range(batch * 30, batch * 30 + 30):
        rng = np.random.default_rng(seed)
        laws = [random_law(rng), random_law(rng)]
        law_of = rng.integers(0, 2, int(rng.integers(1, 4)))
        number = int(rng.integers(1, 100))
        arrival_s = np.cumsum(rng.exponential(rng.choice([0.003, 0.02, 0.1]), number))
        prompt, answer = rng.integers(1, 400, number), rng.integers(1, 150, number)
        prefixes = random_prefixes(rng, prompt, int(rng.choice([16, 32, 48, 128])))
        look_s = np.sort(rng.uniform(0, 1.2 * arrival_s[-1], 20))
        fast = played(laws, arrival_s, prompt, answer, law_of=law_of, prefixes=prefixes, look_s=look_s)
        plain, replicas = played_plainly(
            laws, arrival_s, prompt, answer, law_of, lambda index, _request, number=law_of.size: index % number,
            prefixes=prefixes, look_s=look_s,
        )  # fmt: skip
        for name in ("first_s", "finish_s"):
            expected = [getattr(each, name) for each in plain]
            assert fast.requests[name] == pytest.approx(expected, abs=1e-6), (seed, name)
        assert fast.engines.prefixes.sharing.found.tolist() == [each.found for each in plain], seed
        assert fast.engines.replicas.preemptions.sum() == sum(each.preemptions for each in replicas), seed
        assert fast.engines.seen.T.tolist() == [each.held for each in replicas], seed


@given(seed=st.integers(0, 10**6))
def test_what_must_hold(seed):
    """With failures among it: nothing is held at the end, no token is found twice, and every block is accounted for."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 60))
    laws = [random_law(rng)]
    arrival_s = np.cumsum(rng.exponential(0.02, number))
    prompt, answer = rng.integers(1, 350, number), rng.integers(1, 200, number)
    fails_s = float(rng.uniform(0, arrival_s[-1]))
    events = [(fails_s, FAIL, 0), (fails_s + 0.1, OPEN, 0)] if rng.random() < 0.5 else [(fails_s, CLOSE, 1)]
    prefixes = random_prefixes(rng, prompt, 32)
    result = played(laws, arrival_s, prompt, answer, law_of=[0, 0], events=events, prefixes=prefixes)
    requests, engines, sharing = result.requests, result.engines, result.engines.prefixes.sharing
    assert (np.isnan(requests.finish_s) | (requests.finish_s >= requests.first_s)).all()
    assert (sharing.found < prompt).all()
    assert ((sharing.held == 0) & (sharing.blocks == 0)).all()
    for name in ("held", "reserved", "cached", "decoding", "prefilling"):
        assert (engines.replicas[name] == 0).all(), name
    for r, shelf in enumerate(engines.prefixes.shelves):
        entries, free, entry = engines.prefixes.entries[r], 0, int(shelf.oldest)
        while entry >= 0:
            free += int(entries[entry].before + entries[entry].blocks)
            entry = int(entries[entry].following)
        assert free + shelf.after == shelf.free
        assert shelf.free >= engines.laws[0].blocks, "those taken since the last admission are still counted"


def test_single_steps_give_the_same():
    """Jumps over equal rounds change nothing."""
    rng = np.random.default_rng(3)
    law = random_law(rng)
    arrival_s = np.cumsum(rng.exponential(0.01, 300))
    prompt, answer = rng.integers(1, 300, 300), rng.integers(1, 200, 300)
    prefixes = random_prefixes(rng, prompt, 32)
    jumping, stepping = (
        played([law], arrival_s, prompt, answer, prefixes=prefixes, jumps=jumps).requests for jumps in (True, False)
    )
    assert jumping.finish_s == pytest.approx(stepping.finish_s, abs=1e-6)
