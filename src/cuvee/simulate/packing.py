"""Laws, replicas, requests and shares as the arrays that the event kernel works on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import (
    BLOCK_TOKENS,
    ENTRY,
    HANDOFF,
    LAW,
    NONE,
    NUM_GAPS,
    REPLICA,
    REQUEST,
    SHARING,
    SHELF,
    STAGE,
    Bools,
    Floats,
    Ints,
    Records,
)
from cuvee.simulate.play import Engines, Split
from cuvee.simulate.prefix_cache import PrefixCache
from cuvee.workload.prefixes import Prefixes

BLOCKS_PER_BUCKET = 4
"""Blocks of the cache for each bucket of entries [-]: an entry has several blocks where a prompt's blocks are large."""

MOST_PREFIX = 2**31 - 1
"""Numbers of prefixes are told apart up to here [-]."""

SEED_AT_LEAST = 1
"""Random numbers of the kernel cannot start from 0."""


def packed_requests(
    arrival_s: Floats,
    prompt: Ints,
    answer: Ints,
    row: Ints | None = None,
    prefix: Ints | None = None,
    kind: Ints | None = None,
) -> Records:
    """Requests by arrival [s], with their lengths [tokens], the row they are routed by, their prefix and their kind."""
    requests = np.zeros(len(arrival_s), REQUEST).view(np.recarray)
    requests.arrival_s, requests.prompt, requests.answer = arrival_s, prompt, answer
    requests.to_prefill, requests.left = prompt, answer
    requests.finish_s, requests.next, requests.replica, requests.sender = -1.0, NONE, NONE, NONE
    requests.row, requests.kind = 0 if row is None else row, 0 if kind is None else kind
    requests.prefix = NONE if prefix is None else np.where(prefix < 0, NONE, prefix % MOST_PREFIX)
    return requests


@dataclass(frozen=True)
class Sending:
    """How replicas of one law that only prefill send their caches on.

    Attributes
        send_s    Time of one token's cache over an empty link [s].
        link_s    Time of the link that it takes [s]: less where a replica has several links, more where it has a part.
        rows_on   From the row of a request to the row of its cache, which tells who may decode it.
    """

    send_s: float
    link_s: float
    rows_on: int = 1


def packed_engines(
    laws: Sequence[StepLaw],
    law_of: Ints,
    group_of: Ints,
    *,
    sending: Sequence[Sending | None] | None = None,
    num_requests: int = 0,
    num_kinds: int = 1,
    prefixes: Prefixes | None = None,
    num_looks: int = 0,
) -> Engines:
    """Idle replicas: `law_of` and `group_of` each, the groups in ascending order.

    Parameters
        sending         Of each law, where its replicas only prefill; None: all do whole requests.
        num_requests    Most caches under way [-].
        num_kinds       Kinds of requests whose times between tokens are counted apart [-].
        prefixes        Of each request, where replicas find what prompts have in common; None: they do not.
        num_looks       How often all are looked at [-].
    """
    depth = max(law.num_stages for law in laws)
    most_tokens = max(law.max_num_tokens for law in laws)
    most_sequences = max(law.max_num_seqs for law in laws)
    host = np.zeros(len(laws), LAW).view(np.recarray)
    stages = np.zeros((len(laws), depth), STAGE).view(np.recarray)
    token_s = np.zeros((len(laws), depth, most_tokens + 1))
    for index, law in enumerate(laws):
        here = slice(0, law.num_stages)
        token_s[index, here, : law.max_num_tokens + 1] = law.token_s
        for name in ("sequence_s", "cache_s", "pair_s", "head_s", "head_read_s"):
            stages[name][index, here] = getattr(law, name)
        host.step_s[index], host.sequence_s[index] = law.step_overhead_s, law.sequence_overhead_s
        host.running_s[index], host.bubble[index] = law.scheduling_s, law.bubble
        host.held_up[index], host.front_s[index] = law.held_up_share, 1 / law.max_req_per_s
        host.stages[index], host.max_sequences[index] = law.num_stages, law.max_num_seqs
        host.max_tokens[index], host.blocks[index] = law.max_num_tokens, law.cache_tokens // BLOCK_TOKENS
        host.reserves[index], host.ahead[index] = law.reserves_answers, law.schedules_ahead
        host.reuses[index], host.shares[index] = law.reuses_cache, prefixes is not None
        if sending is not None and (mine := sending[index]) is not None:
            host.send_s[index], host.link_s[index], host.reserves[index] = mine.send_s, mine.link_s, False
            host.rows_on[index] = mine.rows_on
    number = len(law_of)
    replicas = np.zeros(number, REPLICA).view(np.recarray)
    replicas.law, replicas.group, replicas.next_s = law_of, group_of, np.inf
    replicas.head, replicas.tail, replicas.done = NONE, NONE, NONE
    if sending is not None:
        replicas.prefills = np.array([each is not None for each in sending])[law_of]
    return Engines(
        replicas, host, stages, token_s,
        np.zeros((number, most_sequences + 1), np.int64),
        np.zeros((number, BLOCK_TOKENS), np.int64),
        np.full((number, depth, 4), NONE),
        np.zeros((int(group_of.max(initial=0)) + 1, num_kinds, NUM_GAPS), np.int64),
        np.zeros((number, num_kinds), np.int64),
        np.zeros(num_requests if sending is not None else 1, HANDOFF).view(np.recarray),
        np.zeros(1, np.int64),
        _packed_prefixes(prefixes, host.blocks[law_of]),
        np.zeros((num_looks, number), np.int64),
    )  # fmt: skip


def _packed_prefixes(prefixes: Prefixes | None, blocks: Ints) -> PrefixCache:
    """Empty caches of so many blocks each; their memory is used as far as they are filled."""
    num_requests = 1 if prefixes is None else prefixes.num_requests
    rows, most = (0, 0) if prefixes is None else (len(blocks), int(blocks.max()))
    sharing = np.zeros(num_requests, SHARING).view(np.recarray)
    shelves = np.zeros(len(blocks), SHELF).view(np.recarray)
    sharing.own, sharing.found = NONE, NONE
    shelves.oldest, shelves.newest, shelves.spare = NONE, NONE, NONE
    shelves.after, shelves.free = blocks, blocks
    if prefixes is not None:
        sharing.first, sharing.count = prefixes.first[:-1], np.diff(prefixes.first)
    return PrefixCache(
        BLOCK_TOKENS if prefixes is None else prefixes.block_tokens,
        np.zeros(1, np.int64) if prefixes is None else np.ascontiguousarray(prefixes.ids, dtype=np.int64),
        sharing,
        np.zeros((rows, most + 1), ENTRY).view(np.recarray),
        np.zeros((rows, most // BLOCKS_PER_BUCKET + 1), np.int32),
        shelves,
    )


def packed_split(
    shares: Floats, occupies: Floats, group_of: Ints, serves: Bools, *, seed: int = SEED_AT_LEAST
) -> Split:
    """Where requests may go, nobody having had a turn yet.

    Parameters
        shares       Of each row and group [-].
        occupies     Share of a replica that a request takes, of each row and group [-].
        group_of     Of each replica, ascending.
        serves       Whether a group can serve a row.
    """
    num_rows, num_groups = shares.shape
    first = np.searchsorted(group_of, np.arange(num_groups + 1))
    return Split(
        np.ascontiguousarray(shares, dtype=float),
        np.ascontiguousarray(occupies, dtype=float),
        first,
        np.ascontiguousarray(serves),
        np.ascontiguousarray(serves[:, group_of]),
        np.array(serves, order="C"),
        np.zeros((num_rows, num_groups)),
        np.full(num_groups, NONE),
        np.full(num_rows, NONE),
        np.zeros(num_groups),
        np.zeros(len(group_of), bool),
        np.zeros(num_groups, bool),
        np.zeros(len(group_of)),
        np.zeros(len(group_of)),
        np.array([max(seed, SEED_AT_LEAST)]),
    )
