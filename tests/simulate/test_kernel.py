"""The event kernel: by hand, against the plain twin, against queueing theory, and what must hold whatever happens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.simulate.arrays import EVENT, SHORTEST_GAP_S
from cuvee.simulate.events import CLOSE, FAIL, OPEN
from cuvee.simulate.packing import Sending, packed_engines, packed_requests, packed_split
from cuvee.simulate.play import play
from cuvee.simulate.policy import Policy
from tests.simulate.worlds import linear_law, played, played_plainly, random_law


def test_one_request_by_hand():
    """100 prompt tokens and 3 answers: 1 ms + 100 x 0.01 ms, then two steps of 1 ms + 0.01 ms + 101 and 102 x 1 us.

    Tempting: 103 and 104 attended tokens, or three decode steps: the first token comes with the prompt.
    """
    law = linear_law(step_s=1e-3, token_s=1e-5, cache_s=1e-6)
    request = played([law], [0.5], [100], [3]).requests[0]
    assert request.first_s == pytest.approx(0.5 + 2e-3, abs=1e-12)
    assert request.finish_s == pytest.approx(0.502 + (1.01e-3 + 101e-6) + (1.01e-3 + 102e-6), abs=1e-12)


def test_a_long_prompt_takes_several_steps():
    """250 tokens at 100 a step: three steps of 100, 100 and 50 tokens; prompt tokens attend to those before them."""
    law = linear_law(step_s=1e-3, token_s=1e-5, pair_s=1e-7, max_num_tokens=100)
    request = played([law], [0.0], [250], [1]).requests[0]
    pairs = 100 * 50 + 100 * 150 + 50 * 225
    assert request.first_s == request.finish_s == pytest.approx(3e-3 + 250e-5 + pairs * 1e-7, abs=1e-12)


def test_decoding_sequences_are_held_up_by_prompts():
    """The second request arrives in the third step of the first, and its prompt is computed in the fourth.

    Steps of 1 ms; the prompt of 500 tokens adds 5 ms to the step it is in, for both.
    """
    law = linear_law(step_s=1e-3, token_s=1e-5)
    both = played([law], [0.0, 0.0145], [1000, 500], [10, 2]).requests
    steps = 11e-3 + 3 * 1.01e-3  # the prompt of the first, then whole steps until 14.03 ms; one more begins
    start = steps + 1.01e-3
    assert both[1].first_s == pytest.approx(start + 1e-3 + 501e-5, abs=1e-12)
    assert both[1].finish_s == pytest.approx(both[1].first_s + 1.02e-3, abs=1e-12)
    assert both[0].finish_s == pytest.approx(both[1].finish_s + 3 * 1.01e-3, abs=1e-12)


def test_the_sequence_that_came_last_is_put_back():
    """Two sequences of 32 tokens and a cache of 6 blocks: at 16 answers each they need 3 blocks, at 33 a fourth.

    Both hold 48 tokens after 16 steps and fill the cache; the step after, the first takes a block of the second,
    which starts again with its 32 + 17 tokens once the first has left.
    """
    law = linear_law(step_s=1e-3, cache_tokens=96)
    first, second = played([law], [0.0, 0.0], [32, 32], [20, 20]).requests
    assert first.finish_s == pytest.approx(20e-3)
    assert second.finish_s == pytest.approx(20e-3 + 3e-3)  # 17 tokens were made: one prefill makes the 18th, 2 steps
    assert played([law], [0.0, 0.0], [32, 32], [20, 20]).engines.replicas.preemptions[0] == 1


def test_answers_that_are_reserved_are_never_put_back():
    """The same cache holds one of them at a time where the answer's room is set aside: 52 tokens are 4 of 6 blocks."""
    law = linear_law(step_s=1e-3, cache_tokens=96, reserves_answers=True)
    result = played([law], [0.0, 0.0], [32, 32], [20, 20])
    assert result.requests.finish_s == pytest.approx([20e-3, 40e-3])
    assert result.engines.replicas.preemptions[0] == 0


def test_the_front_end_takes_requests_one_after_the_other():
    """Ten at once through a front end of 100 req/s: the last is ready after 90 ms, and takes a step of 1 ms."""
    law = linear_law(step_s=1e-3, max_req_per_s=100.0)
    finish_s = played([law], [0.0] * 10, [10] * 10, [1] * 10).requests.finish_s
    assert finish_s == pytest.approx(np.arange(10) * 0.01 + 1e-3)


def test_an_arrival_as_a_step_begins_is_part_of_it():
    """One that comes as a step ends is admitted to the next, which begins then; several at once share a step."""
    law = linear_law(step_s=0.25)
    first, second = played([law], [0.0, 0.5], [1, 1], [4, 1]).requests
    assert (first.finish_s, second.first_s) == (1.0, 0.75)
    assert played([law], [0.0] * 3, [1] * 3, [1] * 3).requests.finish_s.tolist() == [0.25] * 3


@pytest.mark.parametrize(("ahead", "first_s"), [(False, 4e-3), (True, 5e-3)])
@pytest.mark.parametrize("jumps", [False, True])
def test_a_step_scheduled_ahead_leaves_out_who_comes_later(ahead, first_s, jumps):
    """Steps of 1 ms; the second request comes 2.5 ms after the first: in step 4, or in step 5 where 4 is scheduled."""
    law = linear_law(step_s=1e-3, schedules_ahead=ahead)
    first, second = played([law], [0.0, 2.5e-3], [10, 10], [10, 5], jumps=jumps).requests
    assert first.first_s == pytest.approx(1e-3), "an idle engine waits for nothing"
    assert second.first_s == pytest.approx(first_s)
    assert first.finish_s == pytest.approx(10e-3)


def test_an_idle_engine_that_schedules_ahead_takes_who_came_in_its_last_step():
    """The only sequence ends at 3 ms; who came at 2.5 ms is taken then: no other step was scheduled."""
    law = linear_law(step_s=1e-3, schedules_ahead=True)
    assert played([law], [0.0, 2.5e-3], [10, 10], [3, 1]).requests[1].finish_s == pytest.approx(4e-3)


@pytest.mark.parametrize(("reuses", "anew"), [(False, 49), (True, 17)])
def test_what_is_left_of_the_cache_is_found_again(reuses, anew):
    """As above, with 0.01 ms a token: of the second's 48 tokens in 3 blocks the first took the last block, 32 are left.

    Tempting: all 48, as the second comes back before anyone else needs its blocks; or none.
    """
    law = linear_law(step_s=1e-3, token_s=1e-5, cache_tokens=96, reuses_cache=reuses)
    result = played([law], [0.0, 0.0], [32, 32], [20, 20])
    first, second = result.requests
    assert second.finish_s - first.finish_s == pytest.approx(3e-3 + (anew + 2) * 1e-5)
    assert result.engines.replicas.recomputed[0] == anew - 1, "the token made last was never in the cache"


@pytest.mark.parametrize("batch", range(10))
def test_the_plain_twin_agrees(batch):
    """Times of every request to 1e-6 s, blocks of the cache in use, and how many were put back: fast and plain."""
    for seed in range(batch * 30, batch * 30 + 30):
        rng = np.random.default_rng(seed)
        laws = [random_law(rng), random_law(rng)]
        law_of = rng.integers(0, 2, int(rng.integers(1, 5)))
        number = int(rng.integers(1, 100))
        arrival_s = np.cumsum(rng.exponential(rng.choice([0.003, 0.02, 0.1]), number))
        if rng.random() < 0.3:
            arrival_s = np.floor(arrival_s * 20) / 20  # many at once
        prompt, answer = rng.integers(1, 400, number), rng.integers(1, 150, number)
        look_s = np.sort(rng.uniform(0, 1.2 * arrival_s[-1], 20))
        fast = played(laws, arrival_s, prompt, answer, law_of=law_of, look_s=look_s)
        plain, replicas = played_plainly(
            laws, arrival_s, prompt, answer, law_of, lambda index, _request, number=law_of.size: index % number,
            look_s=look_s,
        )  # fmt: skip
        for name in ("first_s", "finish_s"):
            expected = [getattr(each, name) for each in plain]
            assert fast.requests[name] == pytest.approx(expected, abs=1e-6), (seed, name)
        assert fast.engines.replicas.preemptions.sum() == sum(each.preemptions for each in replicas), seed
        assert fast.engines.seen.T.tolist() == [each.held for each in replicas], seed


def test_single_steps_give_the_same_to_the_routing():
    """Jumps over equal rounds change nothing: the same replicas, the same times, under a policy that sees loads."""
    rng = np.random.default_rng(3)
    laws = [random_law(rng), random_law(rng)]
    arrival_s = np.cumsum(rng.exponential(0.01, 400))
    prompt, answer = rng.integers(1, 300, 400), rng.integers(1, 200, 400)
    asked = {"law_of": [0, 1, 1, 0], "policy": Policy.SHORTEST_QUEUE}
    jumping = played(laws, arrival_s, prompt, answer, **asked)
    stepping = played(laws, arrival_s, prompt, answer, **asked, jumps=False)
    assert (jumping.requests.replica == stepping.requests.replica).all()
    assert jumping.requests.finish_s == pytest.approx(stepping.requests.finish_s, abs=1e-6)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("exponential", [False, True], ids=["M/D/1", "M/M/1"])
def test_queueing_theory(load, exponential):
    """Requests one at a time, served for as long as their answers: mean waits of Pollaczek and Khinchine within 5 %."""
    rng = np.random.default_rng(1)
    number, mean_tokens = 200_000, 1000
    answer = np.maximum(rng.exponential(mean_tokens, number).round(), 1) if exponential else np.full(number, 1000)
    law = linear_law(step_s=1e-3, max_num_seqs=1)
    service_s = answer.mean() * 1e-3
    arrival_s = np.cumsum(rng.exponential(service_s / load, number))
    requests = played([law], arrival_s, np.ones(number, np.int64), answer.astype(np.int64)).requests
    waited_s = requests.finish_s - requests.arrival_s - answer * 1e-3
    squared = (answer**2).mean() / answer.mean() ** 2
    expected_s = load * service_s * squared / (2 * (1 - load))
    assert waited_s.mean() == pytest.approx(expected_s, rel=0.05)


@given(seed=st.integers(0, 10**6))
def test_what_must_hold(seed):
    """Nothing is lost or left behind, no first token before its prompt, none after the last, no cache kept."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 60))
    laws = [random_law(rng) for _ in range(int(rng.integers(1, 4)))]
    replicas = int(rng.integers(1, 6))
    policy = Policy(int(rng.integers(0, len(Policy))))
    arrival_s = np.cumsum(rng.exponential(0.02, number))
    prompt, answer = rng.integers(1, 350, number), rng.integers(1, 200, number)
    result = played(laws, arrival_s, prompt, answer, law_of=rng.integers(0, len(laws), replicas), policy=policy)
    requests, engines = result.requests, result.engines
    assert (requests.first_s > requests.arrival_s).all()
    assert (requests.finish_s >= requests.first_s).all()
    assert ((requests.replica >= 0) & (requests.replica < replicas)).all()
    for name in ("held", "reserved", "cached", "decoding", "prefilling"):
        assert (engines.replicas[name] == 0).all(), name
    assert (engines.phase == 0).all()
    assert engines.gaps.sum() == (answer - 1).sum(), "each token after the first is one gap"
    assert abs(result.split.occupancy).max() < 1e-9
    assert (result.split.waiting == 0).all()


def test_what_never_fits_is_not_served():
    """A request larger than the cache is refused, and the others are served."""
    result = played([linear_law(step_s=1e-3, cache_tokens=64)], [0.0, 0.1], [60, 10], [20, 5])
    assert np.isnan(result.requests.finish_s[0])
    assert result.requests.finish_s[1] == pytest.approx(0.105)


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_what_one_replica_never_holds_goes_to_those_that_do(policy, share):
    """Every fourth request needs 80 tokens of cache, and the first replica has 64: the second serves all of these.

    Whether or not the plan gives it a share; the others go where they would have gone. Tempting: to refuse them, or to
    have the turns of the large ones booked on the first, which then gets fewer of the small.
    """
    small, roomy = (linear_law(step_s=1e-3, cache_tokens=tokens) for tokens in (64, 96))
    large = np.arange(400) % 4 == 0
    result = played(
        [small, roomy], np.arange(400) * 0.1, np.where(large, 60, 10), np.where(large, 20, 5), law_of=[0, 1],
        group_of=[0, 1], shares=[[1 - share, share]], policy=policy,
    )  # fmt: skip
    assert np.isfinite(result.requests.finish_s).all()
    assert (result.requests.replica[large] == 1).all()
    if policy in (Policy.PLAN, Policy.PLAN_LIVE):
        assert (result.requests.replica[~large] == 1).mean() <= share
    result = played([small, roomy], [0.0], [90], [20], law_of=[0, 1], policy=policy)
    assert np.isnan(result.requests.finish_s[0]), "neither holds it"


def test_each_type_has_a_turn_of_its_own():
    """Types a and b, the second of which the last replica does not take: it is spread evenly over the other three.

    And the first evenly over all four. Tempting: one turn for both, where what follows the closed replica gets two
    turns of every second type, and a type that only some may take moves the turns of the others.
    """
    law = linear_law(step_s=1e-3)
    row = np.arange(1200) % 2
    result = played(
        [law], np.arange(1200) * 0.01, [10] * 1200, [5] * 1200, law_of=[0] * 4, group_of=[0, 1, 2, 3], row=row,
        shares=[[0.25] * 4, [1 / 3, 1 / 3, 1 / 3, 0]], serves=[[True] * 4, [True, True, True, False]],
    )  # fmt: skip
    replica = result.requests.replica
    assert np.bincount(replica[row == 0]).tolist() == [150] * 4
    assert np.bincount(replica[row == 1]).tolist() == [200] * 3


def test_a_replica_that_fails_loses_what_has_begun_and_gives_back_the_rest():
    """Of three on the first replica one has its first token: it is lost; two that waited start anew on the second."""
    law = linear_law(step_s=1e-3, max_num_seqs=1)
    result = played(
        [law], [0.0, 0.0, 0.0], [10, 10, 10], [100, 5, 5], law_of=[0, 0], events=[(0.0, CLOSE, 1), (0.05, FAIL, 0),
                                                                               (0.05, OPEN, 1)],
    )  # fmt: skip
    requests = result.requests
    assert np.isnan(requests.finish_s[0])
    assert requests.replica.tolist() == [0, 0, 0], "where they were last"
    assert requests.last_s == pytest.approx([0.05] * 3), "when they were lost"
    assert np.isnan(requests.finish_s[1:]).all(), "nobody was open at the moment of the failure"
    result = played(
        [law], [0.0, 0.0, 0.0], [10, 10, 10], [100, 5, 5], law_of=[0, 0], events=[(0.0, CLOSE, 1), (0.05, OPEN, 1),
                                                                               (0.05, FAIL, 0)],
    )  # fmt: skip
    assert np.isnan(result.requests.finish_s[0])
    assert result.requests.finish_s[1:] == pytest.approx([0.055, 0.060])
    assert result.requests.replica.tolist() == [0, 1, 1]


def test_a_replica_that_drains_finishes_what_it_has():
    """From 0.5 s on all go to the other one, and nothing is lost."""
    law = linear_law(step_s=1e-3)
    arrival_s = np.arange(100) * 0.01
    result = played([law], arrival_s, np.full(100, 10), np.full(100, 50), law_of=[0, 0], events=[(0.5, CLOSE, 0)])
    assert (result.requests.replica[arrival_s >= 0.5] == 1).all()
    assert set(result.requests.replica[arrival_s < 0.5]) == {0, 1}
    assert np.isfinite(result.requests.finish_s).all()


def test_the_same_seed_gives_the_same_bytes():
    """Two runs of a policy that draws at random."""
    rng = np.random.default_rng(0)
    law = random_law(rng)
    arrival_s = np.cumsum(rng.exponential(0.01, 300))
    prompt, answer = rng.integers(1, 200, 300), rng.integers(1, 100, 300)
    one, two = (
        played([law], arrival_s, prompt, answer, law_of=[0] * 5, policy=Policy.POWER_OF_TWO).requests.tobytes()
        for _ in range(2)
    )
    assert one == two


def apart(**changes):
    """One replica that prefills, one that decodes; a token's cache takes 0.1 ms over an empty link."""
    prefill = linear_law(step_s=1e-3, token_s=1e-5, max_num_seqs=1)
    decode = linear_law(step_s=1e-3, cache_s=1e-6, **changes)
    return {
        "laws": [prefill, decode], "law_of": [0, 1], "group_of": [0, 1], "sending": [Sending(1e-4, 1e-4), None],
        "shares": [[1.0, 0.0], [0.0, 1.0]], "serves": [[True, False], [False, True]], "policy": Policy.PLAN,
    }  # fmt: skip


def test_a_cache_that_is_sent_by_hand():
    """Two prompts of 100 tokens: 2 ms each, one after the other, then 10 ms on the link, which is one for both.

    The first cache is there at 12 ms. Its second token is made in a step of its own, with no prefill but of the first
    token: 1 ms. Tempting: the second cache at 14 ms; the link is busy until 12.
    """
    result = played(**apart(), arrival_s=[0.0, 0.0], prompt=[100, 100], answer=[3, 3])
    first, second = result.requests
    assert [first.first_s, second.first_s] == pytest.approx([2e-3, 4e-3])
    assert first.finish_s == pytest.approx(12e-3 + 1e-3 + (1e-3 + 102e-6))
    assert second.finish_s == pytest.approx(22e-3 + 1e-3 + (1e-3 + 102e-6))
    assert [first.sender, first.replica] == [0, 1]


@pytest.mark.parametrize("policy", list(Policy))
def test_a_cache_goes_to_who_decodes_in_its_place(policy):
    """Two places with a prefill and a decode replica each: 1 sends to 2, and 0 to 3, whichever is idle.

    Tempting: the next in turn, or the emptiest, of both decode replicas.
    """
    prefill, decode = linear_law(step_s=1e-3), linear_law(step_s=1e-3)
    links = [Sending(1e-4, 1e-4, rows_on=1), Sending(1e-4, 1e-4, rows_on=2), None, None]
    result = played(
        [prefill, prefill, decode, decode], np.arange(40) * 0.01, [100] * 40, [5] * 40, law_of=[0, 1, 2, 3],
        group_of=[0, 1, 2, 3], sending=links, policy=policy,
        shares=[[0.75, 0.25, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
        serves=[[True, True, False, False], [False, False, False, True], [False, False, True, False]],
    )  # fmt: skip
    requests = result.requests
    assert (requests.replica == np.where(requests.sender == 0, 3, 2)).all()
    assert set(requests.sender) <= {0, 1}
    assert np.isfinite(requests.finish_s).all()


def test_times_between_tokens_by_kind():
    """One request of each kind: only that which decodes while the prompt of the other is computed waits for it.

    Kind 0 makes ten tokens of 1 ms; during the fourth step kind 1 comes, whose prompt of 400 takes 4 ms more in the
    fifth, and then three more tokens of 1 ms. Gaps: of kind 0 nine, one of them 5 ms; of kind 1 three.
    """
    law = linear_law(step_s=1e-3, token_s=1e-5)
    engines = packed_engines([law], np.zeros(1, np.int64), np.zeros(1, np.int64), num_kinds=2)
    requests = packed_requests(np.array([0.0, 0.0135]), np.array([1000, 400]), np.array([10, 4]),
                               kind=np.array([0, 1]))  # fmt: skip
    one = np.ones((1, 1))
    split = packed_split(one, one, np.zeros(1, np.int64), np.ones((1, 1), bool))
    play(requests, engines, split, np.zeros(0, EVENT).view(np.recarray), int(Policy.PLAN), True)
    assert engines.gaps.sum(axis=(0, 2)).tolist() == [9, 3]
    gaps_s = [SHORTEST_GAP_S * 2 ** (np.flatnonzero(each)[-1] / 32) for each in engines.gaps[0]]
    assert gaps_s == pytest.approx([5e-3, 1e-3], rel=0.06)
    assert (engines.kinds == 0).all()


def gaps_s(engines):
    """Times between tokens that were counted, each at the lower end of its bin [s]."""
    octave, within = np.divmod(np.arange(engines.gaps.shape[-1]), 32)
    return np.repeat(SHORTEST_GAP_S * 2.0**octave * (1 + within / 32), engines.gaps.sum(axis=(0, 1)))


def test_a_stall_is_a_time_between_tokens():
    """The second of two sequences is put back at 17 ms and makes its next token at 21 ms: 38 gaps, one of 4 ms.

    Tempting: 37 gaps of 1 ms, as the token after the stall comes with a prefill, like a first one.
    """
    law = linear_law(step_s=1e-3, cache_tokens=96)
    counted = gaps_s(played([law], [0.0, 0.0], [32, 32], [20, 20]).engines)
    assert len(counted) == 38
    assert sorted(counted)[-2:] == pytest.approx([1e-3, 4e-3], rel=1 / 32)


def test_the_way_of_a_cache_is_a_time_between_tokens():
    """The first tokens come at 2 and 4 ms, the second ones at 13 and 23: gaps of 11 and 19 ms, and two of 1.1 ms."""
    engines = played(**apart(), arrival_s=[0.0, 0.0], prompt=[100, 100], answer=[3, 3]).engines
    assert sorted(gaps_s(engines)) == pytest.approx([1.102e-3, 1.102e-3, 11e-3, 19e-3], rel=1 / 32)


def test_progress_is_told_and_changes_nothing(monkeypatch):
    """In parts of 7 requests, with failures in between: the same bytes, and shares that rise."""
    monkeypatch.setattr("cuvee.simulate.play.PART", 7)
    rng = np.random.default_rng(2)
    law = random_law(rng)
    arrival_s = np.cumsum(rng.exponential(0.01, 50))
    asked = [law], arrival_s, rng.integers(1, 300, 50), rng.integers(1, 200, 50)
    options = {"law_of": [0, 0], "events": [(0.1, FAIL, 0), (0.3, OPEN, 0)]}
    told: list[float] = []
    in_parts = played(*asked, **options, progress=told.append)
    assert told == pytest.approx([0.14, 0.28, 0.42, 0.56, 0.7, 0.84, 0.98])
    assert in_parts.requests.tobytes() == played(*asked, **options).requests.tobytes()


def test_what_is_sent_is_neither_lost_nor_kept():
    """A thousand requests through a prefill and a decode replica that is short of cache: all end, nothing is held."""
    rng = np.random.default_rng(5)
    arrival_s = np.cumsum(rng.exponential(0.02, 1000))
    prompt, answer = rng.integers(1, 300, 1000), rng.integers(1, 100, 1000)
    result = played(**apart(cache_tokens=1500), arrival_s=arrival_s, prompt=prompt, answer=answer)
    requests, replicas = result.requests, result.engines.replicas
    assert (requests.finish_s >= requests.first_s).all()
    assert (requests.replica[answer > 1] == 1).all()
    assert (requests.replica[answer == 1] == 0).all()
    assert replicas.preemptions[1] > 0
    assert result.engines.gaps.sum() == result.engines.gaps[1].sum() == (answer - 1).sum()
    assert result.engines.pending[0] == 0
    for name in ("held", "reserved", "cached", "decoding", "prefilling"):
        assert (replicas[name] == 0).all(), name
    assert abs(result.split.occupancy).max() < 1e-9


@pytest.mark.parametrize("batch", range(4))
def test_the_plain_twin_agrees_on_prefill_and_decode_apart(batch):
    """Replicas that only prefill send caches over busy links to others, whose caches fill: times to 1e-6 s."""
    put_back = 0
    for seed in range(batch * 30, batch * 30 + 30):
        rng = np.random.default_rng(seed)
        laws, links = [random_law(rng), random_law(rng)], [Sending(*rng.uniform(0, 3e-4, 2)), None]
        senders, receivers = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        law_of = [0] * senders + [1] * receivers
        number = int(rng.integers(1, 100))
        arrival_s = np.cumsum(rng.exponential(rng.choice([0.003, 0.02, 0.1]), number))
        if rng.random() < 0.3:
            arrival_s = np.floor(arrival_s * 20) / 20
        prompt, answer = rng.integers(1, 400, number), rng.integers(1, 150, number)
        turns = [0, 0]

        def choose(_decision, request, turns=turns, senders=senders, receivers=receivers):
            stage = int(request.shipped > 0)
            turns[stage] += 1
            return (turns[stage] - 1) % (receivers if stage else senders) + stage * senders

        look_s = np.sort(rng.uniform(0, 1.2 * arrival_s[-1], 20))
        fast = played(
            laws, arrival_s, prompt, answer, law_of=law_of, group_of=law_of, sending=links, policy=Policy.PLAN,
            shares=[[1.0, 0.0], [0.0, 1.0]], serves=[[True, False], [False, True]], look_s=look_s,
        )  # fmt: skip
        plain, replicas = played_plainly(laws, arrival_s, prompt, answer, law_of, choose, sending=links, look_s=look_s)
        for name in ("first_s", "finish_s"):
            expected = [getattr(each, name) for each in plain]
            assert fast.requests[name] == pytest.approx(expected, abs=1e-6), (seed, name)
        assert fast.engines.replicas.preemptions.sum() == sum(each.preemptions for each in replicas), seed
        assert fast.engines.seen.T.tolist() == [each.held for each in replicas], seed
        put_back += fast.engines.replicas.preemptions.sum()
    assert put_back > 0
