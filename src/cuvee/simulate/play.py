"""The event loop: requests arrive in order, a policy picks a replica, and replicas are played up to that time."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cuvee.simulate.arrays import CURSOR, IDLE, NONE, WAKE, Bools, Floats, Ints, Records
from cuvee.simulate.cache import blocks_of
from cuvee.simulate.compiling import compiled, compiled_entry, inlined, unowned
from cuvee.simulate.events import LOOK, happen, look
from cuvee.simulate.heap import drop_handoff
from cuvee.simulate.policy import Policy, route
from cuvee.simulate.prefix_cache import PrefixCache
from cuvee.simulate.replica import advance_decoding, begin, give, start_decoding

PLAN, WEIGHTED, ROUND_ROBIN = int(Policy.PLAN), int(Policy.WEIGHTED), int(Policy.ROUND_ROBIN)

PART = 100_000
"""Requests played before progress is told [-]: some 50 ms."""


class Split(NamedTuple):
    """Where requests may go. A row is a workload type of a model; replicas of a group stand side by side.

    shares         Of each group, by the policy's weights, shape (num_rows, num_groups) [-].
    occupies       Share of a replica that one request takes, same shape [-]: 1 / its steady batch.
    first          First replica of each group and, at the end, the number of replicas, shape (num_groups + 1,).
    serves         Whether a group can serve a row, shape (num_rows, num_groups).
    is_open        Whether a replica takes requests of a row, shape (num_rows, num_replicas).
    group_open     Whether some replica of a group does, shape (num_rows, num_groups).
    owed           Turns owed, shape (num_rows, num_groups) [-].
    group_turn     The replica of each group that had the last turn, shape (num_groups,).
    row_turn       The same of each row, over all replicas, shape (num_rows,).
    group_load     Occupancy of each group's emptiest replica, filled when it is asked for, shape (num_groups,).
    holds          Whether a replica takes one request that not all have the cache for, filled likewise, shape
                   (num_replicas,).
    group_holds    Whether some replica of a group does, shape (num_groups,).
    occupancy      Of each replica, queued requests included, shape (num_replicas,) [-].
    waiting        Requests that each holds, same shape [-].
    draw           State of the random numbers, shape (1,).
    """

    shares: Floats
    occupies: Floats
    first: Ints
    serves: Bools
    is_open: Bools
    group_open: Bools
    owed: Floats
    group_turn: Ints
    row_turn: Ints
    group_load: Floats
    holds: Bools
    group_holds: Bools
    occupancy: Floats
    waiting: Floats
    draw: Ints


class Engines(NamedTuple):
    """The replicas, and the laws they obey.

    replicas       Shape (num_replicas,) of `REPLICA`.
    laws           Shape (num_laws,) of `LAW`.
    stages         Shape (num_laws, max_stages) of `STAGE`.
    token_s        Time of a step by its tokens, shape (num_laws, max_stages, max_tokens + 1) [s].
    heap           Decoding sequences by their last step (`cuvee.simulate.heap`), shape (num_replicas, most + 1).
    phase          Sequences that take a new block at steps of this remainder, shape (num_replicas, BLOCK_TOKENS).
    lanes          Of each micro-batch: prompt in parts, its tokens left, prompt tokens of the round, and twice what
                   these attend to; shape (num_replicas, max_stages, 4).
    gaps           Histogram of times between tokens, shape (num_groups, num_kinds, NUM_GAPS).
    kinds          Decoding sequences by kind, shape (num_replicas, num_kinds).
    handoffs       Caches under way, a heap by time: shape (num_requests,) of `HANDOFF` where some replica only
                   prefills, else (1,).
    pending        How many of them there are, shape (1,).
    prefixes       What is in the caches of prompts that begin alike.
    seen           Blocks of its cache that each replica's sequences hold, by looks, shape (num_looks, num_replicas).
    """

    replicas: Records
    laws: Records
    stages: Records
    token_s: Floats
    heap: Ints
    phase: Ints
    lanes: Ints
    gaps: Ints
    kinds: Ints
    handoffs: Records
    pending: Ints
    prefixes: PrefixCache
    seen: Ints


@inlined
def upcoming(
    requests: Records, events: Records, handoffs: Records, arrived: int, happened: int, pending: int, orphans: int,
    orphaned_s: float,
) -> tuple[int, int, float]:  # fmt: skip
    """What comes next: a request or an event, and when [s]; neither at the end."""
    arrival_s = requests[arrived].arrival_s if arrived < len(requests) else math.inf
    handoff_s = handoffs[0].time_s if pending > 0 else math.inf
    if orphans != NONE:
        return orphans, NONE, orphaned_s
    if happened < len(events) and events[happened].time_s <= min(arrival_s, handoff_s):
        return NONE, happened, events[happened].time_s
    if pending > 0 and handoff_s <= arrival_s:
        return handoffs[0].request, NONE, handoff_s
    return (arrived if arrived < len(requests) else NONE), NONE, arrival_s


@inlined
def exceeds(requests: Records, replicas: Records, laws: Records, request: int, r: int) -> bool:
    """Whether the cache of a replica never holds its part of a request."""
    tokens = requests[request].prompt
    if not replicas[r].prefills:
        tokens += requests[request].answer
    return blocks_of(tokens) > laws[replicas[r].law].blocks


@compiled
def fill_holders(
    requests: Records, replicas: Records, laws: Records, is_open: Bools, request: int, holds: Bools, group_holds: Bools
) -> None:
    """Note in `holds` and `group_holds` who is open and has the cache for a request: for it, all others are closed."""
    group_holds[:] = False
    for r in range(len(replicas)):
        holds[r] = is_open[r] and not exceeds(requests, replicas, laws, request, r)
        if holds[r]:
            group_holds[replicas[r].group] = True


@inlined
def route_held(
    requests: Records, replicas: Records, laws: Records, smallest: int, policy: int, request: int, shares: Floats,
    occupies: Floats, first: Ints, is_open: Bools, group_open: Bools, owed: Floats, group_turn: Ints,
    row_turn: Ints, group_load: Floats, holds: Bools, group_holds: Bools, occupancy: Floats, waiting: Floats,
    draw: Ints,
) -> int:  # fmt: skip
    """The replica that gets a request, of those that have the cache for it; NONE where none can.

    Parameters
        smallest    Cache of the replicas that have least [blocks].
    """
    row = requests[request].row
    takes, group_takes = is_open[row], group_open[row]
    if blocks_of(requests[request].prompt + requests[request].answer) > smallest:
        fill_holders(requests, replicas, laws, takes, request, holds, group_holds)
        takes, group_takes = holds, group_holds
    return route(
        policy, row, requests[request].prefix, shares, occupies, first, takes, group_takes, owed, group_turn,
        row_turn, group_load, occupancy, waiting, draw,
    )  # fmt: skip


@inlined
def unowned_engines(engines: Engines) -> Engines:
    """`engines` without reference counts."""
    known = engines.prefixes
    prefixes = PrefixCache(
        known.block_tokens, unowned(known.numbers), unowned(known.sharing), unowned(known.entries),
        unowned(known.buckets), unowned(known.shelves),
    )  # fmt: skip
    return Engines(
        unowned(engines.replicas), unowned(engines.laws), unowned(engines.stages), unowned(engines.token_s),
        unowned(engines.heap), unowned(engines.phase), unowned(engines.lanes), unowned(engines.gaps),
        unowned(engines.kinds), unowned(engines.handoffs), unowned(engines.pending), prefixes,
        unowned(engines.seen),
    )  # fmt: skip


@inlined
def unowned_split(split: Split) -> Split:
    """`split` without reference counts."""
    return Split(
        unowned(split.shares), unowned(split.occupies), unowned(split.first),
        unowned(split.serves), unowned(split.is_open), unowned(split.group_open), unowned(split.owed),
        unowned(split.group_turn), unowned(split.row_turn), unowned(split.group_load), unowned(split.holds),
        unowned(split.group_holds), unowned(split.occupancy), unowned(split.waiting), unowned(split.draw),
    )  # fmt: skip


@inlined
def advance(
    replicas: Records, requests: Records, laws: Records, stages: Records, token_s: Floats, heap: Ints, phase: Ints,
    lanes: Ints, gaps: Ints, kinds: Ints, handoffs: Records, pending: Ints, quotient: Floats, bits: Ints,
    prefixes: PrefixCache, occupancy: Floats, waiting: Floats, occupies: Floats, r: int, until_s: float, jumps: bool,
) -> None:  # fmt: skip
    """Play a replica until nothing of it is due before `until_s` [s]: what arrives as a step begins is part of it."""
    while replicas[r].next_s < until_s and replicas[r].mode != IDLE:
        now_s = replicas[r].next_s
        if replicas[r].mode != WAKE:
            replicas[r].busy_s += now_s - replicas[r].start_s
            advance_decoding(
                replicas, requests, laws, heap, phase, gaps, kinds, quotient, bits, prefixes, occupancy, waiting,
                occupies, r, now_s,
            )  # fmt: skip
            start_decoding(
                replicas, requests, laws, heap, phase, handoffs, pending, gaps, kinds, quotient, bits, prefixes,
                occupancy, waiting, occupies, r, now_s,
            )  # fmt: skip
        begin(replicas, requests, laws, stages, token_s, heap, phase, lanes, kinds, prefixes, r, now_s, jumps)


def play(
    requests: Records,
    engines: Engines,
    split: Split,
    events: Records,
    policy: int,
    jumps: bool,
    *,
    progress: Callable[[float], None] | None = None,
    watch: Callable[[Records], None] | None = None,
) -> None:
    """Play all requests to their last token.

    Parameters
        requests    Shape (num_requests,) of `REQUEST`, by arrival.
        events      Shape (num_events,) of `EVENT`, by time: replicas that open, close or fail, or are looked at.
        policy      A value of `Policy`.
        jumps       Whether equal rounds are one event; else each is one, which takes longer and gives the same.
        progress    Is told the share of the requests that have arrived [-] now and then, and may raise an exception.
        watch       Is told the cursor after each event but looks: replicas and requests are then as they are at its
                    time.
    """
    cursor = np.zeros(1, CURSOR).view(np.recarray)
    cursor.orphans = NONE
    parts = range(PART, len(requests), PART) if progress is not None else ()
    for until in (*parts, len(requests) + 1):
        happened = NONE
        while happened != cursor[0].happened:
            happened = cursor[0].happened
            play_on(requests, engines, split, events, policy, jumps, cursor, until)
            if watch is not None and happened != cursor[0].happened:
                watch(cursor)
        if progress is not None and until < len(requests):
            progress(until / len(requests))


@compiled_entry
def play_on(  # noqa: PLR0912  (one loop, so that each helper is copied into it once)
    requests: Records, engines: Engines, split: Split, events: Records, policy: int, jumps: bool, cursor: Records,
    until: int,
) -> None:  # fmt: skip
    """Go on from `cursor` to the next event, or until so many requests have arrived, or to the end."""
    requests, events = unowned(requests), unowned(events)
    replicas, laws, stages, token_s, heap, phase, lanes, gaps, kinds, handoffs, pending, prefixes, seen = (
        unowned_engines(engines)
    )  # fmt: skip
    (
        shares, occupies, first, serves, is_open, group_open, owed, group_turn, row_turn, group_load, holds,
        group_holds, occupancy, waiting, draw,
    ) = unowned_split(split)  # fmt: skip
    number = np.zeros(1)
    quotient, bits = unowned(number), unowned(number.view(np.int64))
    smallest = laws.blocks.min()
    blind = policy in (PLAN, WEIGHTED, ROUND_ROBIN)
    arrived, happened = cursor[0].arrived, cursor[0].happened
    orphans, orphaned_s = cursor[0].orphans, cursor[0].orphaned_s
    sends, catches_up = replicas.prefills.any(), False
    while arrived < until or catches_up or orphans != NONE:
        request, event, now_s = upcoming(
            requests, events, handoffs, arrived, happened, pending[0], orphans, orphaned_s
        )  # fmt: skip
        # Replicas that only prefill are played first: what they send may come before anything else.
        catches_up = sends and not catches_up
        if catches_up:
            request, event = NONE, NONE
        elif request != NONE and request == orphans:
            orphans = requests[request].next
        elif request != NONE and pending[0] > 0 and request == handoffs[0].request and request < arrived:
            drop_handoff(handoffs, pending[0])
            pending[0] -= 1
            requests[request].row += laws[replicas[requests[request].sender].law].rows_on
        else:
            arrived, happened = arrived + (request == arrived), happened + (event == happened)
        start, stop, chosen = 0, len(replicas), NONE
        for seeing in (False, True):
            if seeing:
                for r in range(start, stop):
                    if catches_up and not replicas[r].prefills:
                        continue
                    advance(
                        replicas, requests, laws, stages, token_s, heap, phase, lanes, gaps, kinds, handoffs,
                        pending, quotient, bits, prefixes, occupancy, waiting, occupies, r, now_s, jumps,
                    )  # fmt: skip
            if request != NONE and seeing != blind:
                chosen = route_held(
                    requests, replicas, laws, smallest, policy, request, shares, occupies, first, is_open,
                    group_open, owed, group_turn, row_turn, group_load, holds, group_holds, occupancy, waiting, draw,
                )  # fmt: skip
                start, stop = (chosen, chosen + 1) if chosen != NONE else (0, 0)
        if request != NONE and chosen == NONE:
            requests[request].finish_s = math.nan
        elif request != NONE:
            give(replicas, requests, laws, occupancy, waiting, occupies, chosen, request, now_s)
        elif event != NONE and events[event].kind == LOOK:
            look(replicas, laws, phase, seen, events[event].replica, now_s)
        elif event != NONE:
            orphaned_s = now_s
            orphans = happen(
                replicas, requests, laws, heap, phase, lanes, kinds, prefixes, occupancy, waiting, first, serves,
                is_open, group_open, events[event].kind, events[event].replica, now_s,
            )  # fmt: skip
            break
        elif not catches_up:
            break
    cursor[0].arrived, cursor[0].happened = arrived, happened
    cursor[0].orphans, cursor[0].orphaned_s = orphans, orphaned_s
    number[0] = 0.0  # it is in use up to here: nobody counts who refers to it
