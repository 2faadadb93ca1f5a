"""Events: replicas that open, close, or fail with all they hold."""

import math

from cuvee.simulate.arrays import BLOCK_TOKENS, DECODE, IDLE, NONE, WAKE, Bools, Floats, Ints, Records
from cuvee.simulate.compiling import compiled
from cuvee.simulate.heap import request_of
from cuvee.simulate.prefix_cache import PrefixCache, empty

# Kinds of events; at one time they happen in this order. At the last nothing happens, but all replicas are looked at.
OPEN, CLOSE, FAIL, LOOK = range(4)


@compiled
def switch(
    replica: int, opens: bool, group: int, first: Ints, serves: Bools, is_open: Bools, group_open: Bools
) -> None:
    """Let a replica take requests, or no more."""
    for row in range(len(is_open)):
        is_open[row, replica] = opens and serves[row, group]
        group_open[row, group] = False
        for each in range(first[group], first[group + 1]):
            if is_open[row, each]:
                group_open[row, group] = True


@compiled
def lose(requests: Records, sharing: Records, request: int, orphans: int, now_s: float) -> int:
    """A request whose replica is gone: lost where its client has had a token, else first of the `orphans`."""
    requests[request].last_s = now_s
    if len(sharing) == len(requests):
        sharing[request].held, sharing[request].blocks, sharing[request].own = 0, 0, NONE
    if requests[request].first_s > 0:
        requests[request].finish_s = math.nan
        return orphans
    requests[request].to_prefill, requests[request].left = requests[request].prompt, requests[request].answer
    requests[request].kept, requests[request].shipped = 0, 0
    requests[request].next = orphans
    return request


@compiled
def fail(
    replicas: Records,
    requests: Records,
    laws: Records,
    heap: Ints,
    phase: Ints,
    lanes: Ints,
    kinds: Ints,
    prefixes: PrefixCache,
    occupancy: Floats,
    waiting: Floats,
    r: int,
    now_s: float,
) -> int:
    """A replica is gone with all it holds; what no client has had a token of is to be routed anew.

    Returns     the first of these requests, linked by `next`, in the order of their arrival.
    """
    orphans = NONE
    for index in range(replicas[r].decoding):
        orphans = lose(requests, prefixes.sharing, request_of(heap[r, index]), orphans, now_s)
    for list_head in (replicas[r].done, replicas[r].head):
        request = list_head
        while request != NONE:
            following = requests[request].next
            orphans = lose(requests, prefixes.sharing, request, orphans, now_s)
            request = following
    for lane in range(lanes.shape[1]):
        if lanes[r, lane, 0] != NONE:
            orphans = lose(requests, prefixes.sharing, lanes[r, lane, 0], orphans, now_s)
            lanes[r, lane, 0] = NONE
    if laws[replicas[r].law].shares:
        empty(prefixes, r, laws[replicas[r].law].blocks)
    phase[r], kinds[r] = 0, 0
    occupancy[r] = 0.0
    waiting[r] = 0.0
    replicas[r].decoding, replicas[r].held, replicas[r].reserved, replicas[r].cached = 0, 0, 0, 0
    replicas[r].prefilling, replicas[r].head, replicas[r].tail, replicas[r].done = 0, NONE, NONE, NONE
    replicas[r].mode, replicas[r].rounds, replicas[r].next_s = IDLE, 0, math.inf
    return by_arrival(requests, orphans)


@compiled
def by_arrival(requests: Records, head: int) -> int:
    """The first of the requests linked from `head`, once they are in the order of their arrival."""
    ordered = NONE
    while head != NONE:
        following = requests[head].next
        if ordered == NONE or head < ordered:
            requests[head].next, ordered = ordered, head
        else:
            before = ordered
            while requests[before].next != NONE and requests[before].next < head:
                before = requests[before].next
            requests[head].next, requests[before].next = requests[before].next, head
        head = following
    return ordered


@compiled
def look(replicas: Records, laws: Records, phase: Ints, seen: Ints, number: int, now_s: float) -> None:
    """Note in row `number` of `seen` the blocks of each cache that sequences hold in the round under way."""
    for r in range(len(replicas)):
        rounds = 0
        if replicas[r].mode != IDLE and replicas[r].mode != WAKE and not laws[replicas[r].law].reserves:
            rounds = 1
        if rounds and replicas[r].mode == DECODE:
            # Of a run of rounds, each longer by as much, those that are over: the root of their added lengths.
            elapsed_s = max(now_s - replicas[r].start_s, 0.0)
            half_s = replicas[r].base_s - replicas[r].growth_s / 2
            root_s = half_s + math.sqrt(half_s**2 + 2 * replicas[r].growth_s * elapsed_s)
            over = int(2 * elapsed_s / root_s) if root_s > 0 else 0
            rounds += min(over, replicas[r].rounds - 1)
        taken = replicas[r].decoding * (rounds // BLOCK_TOKENS)
        for later in range(1, rounds % BLOCK_TOKENS + 1):
            taken += phase[r, (replicas[r].step + later) % BLOCK_TOKENS]
        seen[number, r] = replicas[r].held + replicas[r].reserved + taken


@compiled
def happen(
    replicas: Records, requests: Records, laws: Records, heap: Ints, phase: Ints, lanes: Ints, kinds: Ints,
    prefixes: PrefixCache, occupancy: Floats, waiting: Floats, first: Ints, serves: Bools, is_open: Bools,
    group_open: Bools, kind: int, r: int, now_s: float,
) -> int:  # fmt: skip
    """Something happens to a replica.

    Returns     the first of the requests that are to be routed anew; NONE of none.
    """
    switch(r, kind == OPEN, replicas[r].group, first, serves, is_open, group_open)
    if kind == FAIL:
        return fail(replicas, requests, laws, heap, phase, lanes, kinds, prefixes, occupancy, waiting, r, now_s)
    if kind == OPEN:
        replicas[r].front_s = max(replicas[r].front_s, now_s)
    return NONE
