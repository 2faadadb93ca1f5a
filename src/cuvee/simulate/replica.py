"""One replica: a continuous-batching engine that schedules as vLLM does, in runs of equal rounds.

Whoever decodes makes a token in every round; what is left of the token budget goes to prompts, in parts where need be,
first come first served. Where the cache is full, the sequence admitted last is put back and computed anew. As long as
nothing but decoding happens, many rounds are one event.
"""

import math

from cuvee.simulate.arrays import (
    BLOCK_TOKENS,
    DECODE,
    GAPS_PER_OCTAVE,
    IDLE,
    MIXED,
    NONE,
    NUM_GAPS,
    SHORTEST_GAP_S,
    WAKE,
    Floats,
    Ints,
    Records,
)
from cuvee.simulate.cache import blocks_taken, found_again, release, reservation, rounds_of_cache
from cuvee.simulate.compiling import compiled, inlined
from cuvee.simulate.heap import drop, drop_first, push, push_handoff
from cuvee.simulate.step_time import decode_line, mixed_s, rounds_until

SAME_TIME_S = 1e-9
"""Times this close are one [s]."""


@inlined
def depart(
    replicas: Records, requests: Records, occupancy: Floats, waiting: Floats, occupies: Floats, r: int, request: int
) -> None:
    """`request` leaves the replica."""
    waiting[r] -= 1.0
    occupancy[r] -= occupies[requests[request].row, replicas[r].group]


@inlined
def send(replicas: Records, requests: Records, laws: Records, handoffs: Records, pending: Ints, r: int, request: int,
         now_s: float) -> None:  # fmt: skip
    """The cache of a prompt goes to another replica, over the link of this one."""
    tokens, law = requests[request].to_prefill, replicas[r].law
    begins_s = max(now_s, replicas[r].link_free_s)
    replicas[r].link_free_s = begins_s + tokens * laws[law].link_s
    requests[request].shipped = tokens
    requests[request].to_prefill = tokens + 1  # with the first token of the answer
    requests[request].sender = r
    push_handoff(handoffs, pending[0], begins_s + tokens * laws[law].send_s, request)
    pending[0] += 1


@inlined
def count_gaps(gaps: Ints, r: int, tokens: int, gap_s: float) -> None:
    """Count `tokens` that came `gap_s` after the one before [s]."""
    part, octave = math.frexp(max(gap_s, SHORTEST_GAP_S) / SHORTEST_GAP_S)
    place = (octave - 1) * GAPS_PER_OCTAVE + int((part - 0.5) * 2 * GAPS_PER_OCTAVE)
    gaps[r, min(place, NUM_GAPS - 1)] += tokens


@inlined
def advance_decoding(
    replicas: Records,
    requests: Records,
    laws: Records,
    heap: Ints,
    phase: Ints,
    gaps: Ints,
    occupancy: Floats,
    waiting: Floats,
    occupies: Floats,
    r: int,
    now_s: float,
) -> None:
    """Every decoding sequence has made the tokens of the run that ends now; those that are done leave."""
    rounds, decoding = replicas[r].rounds, replicas[r].decoding
    if decoding > 0:
        count_gaps(gaps, r, decoding * rounds, (now_s - replicas[r].start_s) / rounds)
        if not laws[replicas[r].law].reserves:
            replicas[r].held += blocks_taken(replicas, phase, r, rounds)
        replicas[r].cached += decoding * rounds
    replicas[r].step += rounds
    while decoding > 0 and heap[r, 0, 0] <= replicas[r].step:
        request = heap[r, 0, 1]
        drop_first(heap, r, decoding)
        decoding -= 1
        replicas[r].decoding = decoding
        release(replicas, requests, laws, phase, r, request, requests[request].to_prefill + requests[request].left)
        requests[request].finish_s = now_s
        depart(replicas, requests, occupancy, waiting, occupies, r, request)


@inlined
def start_decoding(
    replicas: Records,
    requests: Records,
    laws: Records,
    heap: Ints,
    phase: Ints,
    handoffs: Records,
    pending: Ints,
    occupancy: Floats,
    waiting: Floats,
    occupies: Floats,
    r: int,
    now_s: float,
) -> None:
    """Prompts that were computed to the end in this round have their first token."""
    request = replicas[r].done
    reserves = laws[replicas[r].law].reserves
    while request != NONE:
        following = requests[request].next
        blocks = reservation(requests, request, reserves)
        replicas[r].reserved -= blocks
        if requests[request].first_s == 0.0:
            requests[request].first_s = now_s
        tokens = requests[request].to_prefill
        requests[request].left -= 1
        left = requests[request].left
        if left == 0 or replicas[r].prefills:
            replicas[r].freed += blocks
            depart(replicas, requests, occupancy, waiting, occupies, r, request)
            if left == 0:
                requests[request].finish_s = now_s
            else:
                send(replicas, requests, laws, handoffs, pending, r, request, now_s)
        else:
            replicas[r].held += blocks
            if not reserves:
                phase[r, (1 + replicas[r].step - tokens) % BLOCK_TOKENS] += 1
            replicas[r].cached += tokens
            push(heap, r, replicas[r].decoding, replicas[r].step + left, request)
            replicas[r].decoding += 1
        request = following
    replicas[r].done = NONE


@compiled
def put_back_last(
    replicas: Records, requests: Records, laws: Records, heap: Ints, phase: Ints, lanes: Ints, r: int
) -> None:
    """The sequence admitted last loses its cache, and goes to the head of the queue."""
    last, newest = NONE, 0
    for lane in range(laws[replicas[r].law].stages):
        request = lanes[r, lane, 0]
        if request != NONE and (last == NONE or requests[request].admission > newest):
            last, newest = lane, requests[request].admission
    if last != NONE:
        request = lanes[r, last, 0]
        tokens = requests[request].to_prefill - lanes[r, last, 1]
        lanes[r, last, 0] = NONE
        replicas[r].prefilling -= 1
        replicas[r].reserved -= reservation(requests, request, 0)
        replicas[r].freed += reservation(requests, request, 0)
    else:
        index = 0
        for each in range(1, replicas[r].decoding):
            if requests[heap[r, each, 1]].admission > requests[heap[r, index, 1]].admission:
                index = each
        request = heap[r, index, 1]
        left = heap[r, index, 0] - replicas[r].step
        tokens = requests[request].to_prefill + requests[request].left - left
        drop(heap, r, replicas[r].decoding, index)
        replicas[r].decoding -= 1
        release(replicas, requests, laws, phase, r, request, tokens)
        requests[request].to_prefill = tokens + 1  # with the token made last, which was not in the cache yet
        requests[request].left = left
    requests[request].shipped = 0
    replicas[r].recomputed += tokens
    if laws[replicas[r].law].reuses:
        requests[request].kept, requests[request].kept_until = tokens // BLOCK_TOKENS, replicas[r].freed
    requests[request].next = replicas[r].head
    replicas[r].head = request
    if replicas[r].tail == NONE:
        replicas[r].tail = request
    replicas[r].preemptions += 1


@inlined
def admit_next(replicas: Records, requests: Records, laws: Records, phase: Ints, r: int, newly: int) -> int:
    """The request at the head of the queue, where it is known and has room; NONE else. It then has its cache."""
    request = replicas[r].head
    law = laws[replicas[r].law]
    if request == NONE or requests[request].ready_s > replicas[r].seen_s + SAME_TIME_S:
        return NONE
    if replicas[r].decoding + replicas[r].prefilling + newly >= law.max_sequences:
        return NONE
    blocks = reservation(requests, request, law.reserves)
    if replicas[r].held + replicas[r].reserved + blocks_taken(replicas, phase, r, 1) + blocks > law.blocks:
        return NONE
    requests[request].computed = found_again(replicas, requests, laws, phase, r, request)
    replicas[r].reserved += blocks
    replicas[r].head = requests[request].next
    if replicas[r].head == NONE:
        replicas[r].tail = NONE
    replicas[r].admissions += 1
    requests[request].admission = replicas[r].admissions
    return request


@inlined
def schedule_prefill(
    replicas: Records, requests: Records, laws: Records, phase: Ints, lanes: Ints, r: int
) -> tuple[int, int, int, float, float]:
    """Share the token budget among prompts: micro-batches take them in turn, each going on with its own first.

    Returns     as `mixed_s` takes them: sequences, most and all prompt tokens, and the tokens these attend to.
    """
    stages, decoding = laws[replicas[r].law].stages, replicas[r].decoding
    budget = laws[replicas[r].law].max_tokens - (decoding + stages - 1) // stages
    newly, prompts, goes_on = 0, 0, True
    lanes[r, :stages, 2:] = 0
    while goes_on:
        goes_on = False
        for lane in range(stages):
            left = budget - lanes[r, lane, 2]
            request = lanes[r, lane, 0]
            if left <= 0:
                continue
            if request == NONE:
                request = admit_next(replicas, requests, laws, phase, r, newly)
                if request == NONE:
                    continue
                lanes[r, lane, 0] = request
                cached = requests[request].computed + requests[request].shipped
                lanes[r, lane, 1] = requests[request].to_prefill - cached
                replicas[r].prefilling += 1
            missing = lanes[r, lane, 1]
            part = min(missing, left)
            lanes[r, lane, 1] = missing - part
            lanes[r, lane, 2] += part
            lanes[r, lane, 3] += part * (2 * (requests[request].to_prefill - missing) + part)
            prompts += 1
            goes_on = True
            if part == missing:
                lanes[r, lane, 0] = NONE
                replicas[r].prefilling -= 1
                newly += 1
                requests[request].next = replicas[r].done
                replicas[r].done = request
    most = 0
    for lane in range(1, stages):
        if lanes[r, lane, 2] > lanes[r, most, 2]:
            most = lane
    tokens, pairs = lanes[r, most, 2], lanes[r, most, 3]
    if stages > 1:
        return prompts, tokens, lanes[r, :stages, 2].sum(), pairs * 0.5, lanes[r, :stages, 3].sum() * 0.5
    return prompts, tokens, tokens, pairs * 0.5, pairs * 0.5


@inlined
def end_run(replicas: Records, r: int, rounds: int) -> None:
    """Set when a run of so many rounds ends."""
    grown_s = replicas[r].growth_s * (rounds * (rounds - 1) * 0.5)
    replicas[r].rounds = rounds
    replicas[r].next_s = replicas[r].start_s + rounds * replicas[r].base_s + grown_s


@inlined
def last_round_start_s(replicas: Records, r: int) -> float:
    """When the last round began of the run, or the round with prefill, that ends now [s]."""
    before = replicas[r].rounds - 1
    if before == 0:
        return replicas[r].start_s
    grown_s = replicas[r].growth_s * (before * (before - 1) * 0.5)
    return replicas[r].start_s + before * replicas[r].base_s + grown_s


@inlined
def cut_short(replicas: Records, laws: Records, r: int, ready_s: float) -> None:
    """End a run before the first round that the request that is ready at `ready_s` may be admitted to [s]."""
    if replicas[r].rounds > 1 and replicas[r].decoding < laws[replicas[r].law].max_sequences:
        rounds = rounds_until(replicas[r].base_s, replicas[r].growth_s, ready_s - replicas[r].start_s)
        if laws[replicas[r].law].ahead and ready_s > replicas[r].start_s + SAME_TIME_S:
            rounds += 1
        if rounds < replicas[r].rounds:
            end_run(replicas, r, rounds)


@inlined
def run_decoding(
    replicas: Records,
    requests: Records,
    laws: Records,
    stages: Records,
    token_s: Floats,
    heap: Ints,
    phase: Ints,
    r: int,
    now_s: float,
    jumps: bool,
) -> None:
    """Begin a run of rounds without prefill: up to the next finish, the end of the cache, or a request that is due."""
    decoding = replicas[r].decoding
    cached = replicas[r].cached + decoding
    value_s, slope_s, until = decode_line(laws, stages, token_s, replicas[r].law, decoding, cached)
    replicas[r].base_s = value_s + slope_s * cached
    replicas[r].growth_s = slope_s * decoding
    rounds = 1
    if jumps:
        rounds = rounds_of_cache(replicas, laws, phase, r, heap[r, 0, 0] - replicas[r].step)
        if until < cached + decoding * rounds:
            rounds = max(min(rounds, int((until - cached) / decoding) + 1), 1)
    replicas[r].mode = DECODE
    end_run(replicas, r, rounds)
    head = replicas[r].head
    if head != NONE and requests[head].ready_s > replicas[r].seen_s + SAME_TIME_S:
        cut_short(replicas, laws, r, requests[head].ready_s)


@inlined
def begin(
    replicas: Records,
    requests: Records,
    laws: Records,
    stages: Records,
    token_s: Floats,
    heap: Ints,
    phase: Ints,
    lanes: Ints,
    r: int,
    now_s: float,
    jumps: bool,
) -> None:
    """Begin what comes next: a round with prefill, a run of decoding, or nothing."""
    law = replicas[r].law
    if not laws[law].reserves:
        while (
            replicas[r].decoding > 0
            and replicas[r].held + replicas[r].reserved + blocks_taken(replicas, phase, r, 1) > laws[law].blocks
        ):
            put_back_last(replicas, requests, laws, heap, phase, lanes, r)
    decoding = replicas[r].decoding
    replicas[r].seen_s = now_s
    if laws[law].ahead and replicas[r].mode != WAKE:
        replicas[r].seen_s = last_round_start_s(replicas, r)
    replicas[r].start_s = now_s
    prompts, chunk, chunks, most, pairs = schedule_prefill(replicas, requests, laws, phase, lanes, r)
    if prompts > 0:
        cached = replicas[r].cached + decoding
        lasting_s = mixed_s(laws, stages, token_s, law, decoding, cached, prompts, chunk, chunks, most, pairs)
        replicas[r].mode, replicas[r].rounds = MIXED, 1
        replicas[r].next_s = now_s + lasting_s
    elif decoding > 0:
        run_decoding(replicas, requests, laws, stages, token_s, heap, phase, r, now_s, jumps)
    elif replicas[r].head != NONE:
        replicas[r].mode, replicas[r].rounds = WAKE, 0
        replicas[r].next_s = max(requests[replicas[r].head].ready_s, now_s)
    else:
        replicas[r].mode, replicas[r].rounds = IDLE, 0
        replicas[r].next_s = math.inf


@inlined
def give(
    replicas: Records,
    requests: Records,
    laws: Records,
    occupancy: Floats,
    waiting: Floats,
    occupies: Floats,
    r: int,
    request: int,
    now_s: float,
) -> None:
    """Put `request` at the end of the queue of a replica, through its front end."""
    ready_s = max(now_s, replicas[r].front_s)
    replicas[r].front_s = ready_s + laws[replicas[r].law].front_s
    requests[request].ready_s = ready_s
    requests[request].replica = r
    requests[request].next = NONE
    waiting[r] += 1.0
    occupancy[r] += occupies[requests[request].row, replicas[r].group]
    was_empty = replicas[r].head == NONE
    if was_empty:
        replicas[r].head = request
    else:
        requests[replicas[r].tail].next = request
    replicas[r].tail = request
    if replicas[r].mode == IDLE:
        replicas[r].mode = WAKE
        replicas[r].next_s = ready_s
    elif replicas[r].mode == DECODE and was_empty:
        cut_short(replicas, laws, r, ready_s)
