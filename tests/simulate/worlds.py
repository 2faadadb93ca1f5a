"""Laws, requests and random worlds that tests of the simulator play."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import EVENT, Records
from cuvee.simulate.packing import packed_engines, packed_requests, packed_split
from cuvee.simulate.play import Engines, Split, play
from cuvee.simulate.policy import Policy
from cuvee.simulate.watch import Watch, with_looks
from cuvee.workload.prefixes import Prefixes
from tests.simulate.reference import PlainReplica, PlainRequest, play_plainly


def linear_law(
    *, step_s=0.0, token_s=0.0, sequence_s=0.0, cache_s=0.0, pair_s=0.0, max_num_seqs=256, max_num_tokens=2048,
    cache_tokens=1_000_000, reserves_answers=False, max_req_per_s=1e12, num_stages=1, held_up_share=1.0,
    schedules_ahead=False, reuses_cache=False,
):  # fmt: skip
    """A law whose steps take step_s + token_s a token + sequence_s a decoding sequence + cache_s an attended token."""
    stages = np.ones(num_stages)
    return StepLaw(
        token_s=np.outer(stages, np.arange(max_num_tokens + 1) * token_s),
        sequence_s=stages * sequence_s,
        cache_s=stages * cache_s,
        pair_s=stages * pair_s,
        head_s=stages * 0,
        head_read_s=stages * 0,
        step_overhead_s=step_s,
        sequence_overhead_s=0.0,
        scheduling_s=0.0,
        bubble=1.0,
        held_up_share=held_up_share,
        max_num_seqs=max_num_seqs,
        max_num_tokens=max_num_tokens,
        cache_tokens=cache_tokens,
        reserves_answers=reserves_answers,
        max_req_per_s=max_req_per_s,
        schedules_ahead=schedules_ahead,
        reuses_cache=reuses_cache,
    )


def random_law(rng: np.random.Generator) -> StepLaw:
    """Any law: deep or shallow, tight or roomy, steps that are no line in their tokens."""
    stages, tokens = int(rng.integers(1, 4)), int(rng.integers(40, 300))
    return StepLaw(
        token_s=np.cumsum(rng.random((stages, tokens + 1)) * 1e-4, axis=1) + 1e-3 * rng.random((stages, 1)),
        sequence_s=rng.random(stages) * 1e-5,
        cache_s=rng.random(stages) * 1e-6,
        pair_s=rng.random(stages) * 1e-7,
        head_s=rng.random(stages) * 1e-5,
        head_read_s=rng.random(stages) * 1e-4,
        step_overhead_s=1e-3 * rng.random(),
        sequence_overhead_s=1e-5 * rng.random(),
        scheduling_s=1e-6,
        bubble=1 + 0.07 * (stages - 1),
        held_up_share=float(rng.choice([0.0, 0.5, 1.0])),
        max_num_seqs=int(rng.integers(2, 30)),
        max_num_tokens=tokens,
        cache_tokens=int(rng.integers(600, 3000)),
        reserves_answers=bool(rng.random() < 0.3),
        max_req_per_s=float(rng.choice([1e9, 50, 200])),
        schedules_ahead=bool(rng.random() < 0.5),
        reuses_cache=bool(rng.random() < 0.5),
    )


@dataclass(frozen=True)
class Played:
    """What became of requests."""

    requests: Records
    engines: Engines
    split: Split
    watch: Watch


def played(
    laws, arrival_s, prompt, answer, *, law_of=(0,), group_of=None, shares=None, policy=Policy.ROUND_ROBIN, events=(),
    row=None, jumps=True, occupies=0.01, sending=None, serves=None, prefixes=None, progress=None,
    look_s=(),
) -> Played:  # fmt: skip
    """Requests played on replicas of `laws`: one row and one group unless said otherwise."""
    law_of = np.asarray(law_of, dtype=np.int64)
    group_of = np.zeros(len(law_of), np.int64) if group_of is None else np.asarray(group_of, dtype=np.int64)
    shares = np.ones((1, 1)) if shares is None else np.asarray(shares, dtype=float)
    requests = packed_requests(
        np.asarray(arrival_s, dtype=float), np.asarray(prompt), np.asarray(answer),
        None if row is None else np.asarray(row),
    )  # fmt: skip
    engines = packed_engines(
        list(laws),
        law_of,
        group_of,
        sending=sending,
        num_requests=len(requests),
        prefixes=prefixes,
        num_looks=len(look_s),
    )
    serves = np.ones(shares.shape, bool) if serves is None else np.array(serves)
    split = packed_split(shares, np.full(shares.shape, occupies), group_of, serves)
    happening = with_looks(np.array(list(events), dtype=EVENT).view(np.recarray), np.asarray(look_s, dtype=float))
    watch = Watch(requests, happening)
    play(requests, engines, split, happening, int(policy), jumps, progress=progress, watch=watch)
    return Played(requests, engines, split, watch)


def played_plainly(laws, arrival_s, prompt, answer, law_of, choose, *, sending=None, prefixes=None, look_s=()):
    """The same by the plain twin: its requests and replicas."""
    numbers = [()] * len(arrival_s)
    if prefixes is not None:
        numbers = [prefixes.ids[start:stop].tolist() for start, stop in pairwise(prefixes.first)]
    requests = [
        PlainRequest(float(time_s), int(before), int(after), index=index, numbers=mine)
        for index, (time_s, before, after, mine) in enumerate(zip(arrival_s, prompt, answer, numbers, strict=True))
    ]
    size = 0 if prefixes is None else prefixes.block_tokens
    replicas = [PlainReplica(replace(laws[index]), sending and sending[index], size) for index in law_of]
    play_plainly(requests, replicas, choose, look_s)
    return requests, replicas


def random_prefixes(rng: np.random.Generator, prompt, block_tokens) -> Prefixes:
    """Prompts that begin alike, some all the way: paths in a tree, where two branches leave every block."""
    numbers: dict[tuple[int, ...], int] = {}
    paths = []
    for tokens in prompt:
        path: tuple[int, ...] = ()
        mine = []
        for _ in range(-(-int(tokens) // block_tokens)):
            path += (int(rng.random() < 0.2),)
            mine.append(numbers.setdefault(path, len(numbers)))
        paths.append(mine)
    first = np.concatenate([[0], np.cumsum([len(mine) for mine in paths])])
    return Prefixes(np.array([each for mine in paths for each in mine]), first, block_tokens)
