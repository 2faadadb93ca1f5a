"""One replica: a continuous-batching engine that schedules as vLLM does, in runs of equal rounds.

Whoever decodes makes a token in every round; what is left of the token budget goes to prompts, in parts where need be,
first come first served. Where the cache is full, the sequence admitted last is put back and computed anew. As long as
nothing but decoding happens, many rounds are one event.
"""

import math

from cuvee.simulate.admission import SAME_TIME_S, put_back_last, release, schedule_prefill
from cuvee.simulate.arrays import (
    BLOCK_TOKENS,
    DECODE,
    EXPONENT_OF_1,
    IDLE,
    MANTISSA_BITS,
    MIXED,
    NONE,
    NUM_GAPS,
    OCTAVE_BITS,
    SHORTEST_GAP_S,
    WAKE,
    Floats,
    Ints,
    Records,
)
from cuvee.simulate.cache import blocks_taken, reservation, rounds_of_cache
from cuvee.simulate.compiling import inlined
from cuvee.simulate.heap import drop_first, entry, push, push_handoff, request_of, step_of
from cuvee.simulate.prefix_cache import PrefixCache, give_back
from cuvee.simulate.step_time import decode_line, mixed_s, rounds_until


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
    requests[request].sender, requests[request].last_s = r, now_s
    push_handoff(handoffs, pending[0], begins_s + tokens * laws[law].send_s, request)
    pending[0] += 1


@inlined
def gap_bin(quotient: Floats, bits: Ints, gap_s: float) -> int:
    """The bin of a time between two tokens [s].

    Parameters
        quotient, bits    One number, as itself and as its bits: exponent and first digits of which are the bin.
    """
    quotient[0] = max(gap_s, SHORTEST_GAP_S) / SHORTEST_GAP_S
    return min((bits[0] >> (MANTISSA_BITS - OCTAVE_BITS)) - (EXPONENT_OF_1 << OCTAVE_BITS), NUM_GAPS - 1)


@inlined
def count_gaps(gaps: Ints, kinds: Ints, quotient: Floats, bits: Ints, group: int, r: int, rounds: int,
               gap_s: float) -> None:  # fmt: skip
    """Count the tokens of so many rounds, each of which came `gap_s` after the one before [s]."""
    place = gap_bin(quotient, bits, gap_s)
    for kind in range(kinds.shape[1]):
        gaps[group, kind, place] += rounds * kinds[r, kind]


@inlined
def advance_decoding(
    replicas: Records,
    requests: Records,
    laws: Records,
    heap: Ints,
    phase: Ints,
    gaps: Ints,
    kinds: Ints,
    quotient: Floats,
    bits: Ints,
    prefixes: PrefixCache,
    occupancy: Floats,
    waiting: Floats,
    occupies: Floats,
    r: int,
    now_s: float,
) -> None:
    """Every decoding sequence has made the tokens of the run that ends now; those that are done leave."""
    rounds, decoding = replicas[r].rounds, replicas[r].decoding
    if decoding > 0:
        gap_s = (now_s - replicas[r].start_s) / rounds
        count_gaps(gaps, kinds, quotient, bits, replicas[r].group, r, rounds, gap_s)
        if not laws[replicas[r].law].reserves:
            replicas[r].held += blocks_taken(replicas, phase, r, rounds)
        replicas[r].cached += decoding * rounds
    replicas[r].step += rounds
    while decoding > 0 and step_of(heap[r, 0]) <= replicas[r].step:
        request = request_of(heap[r, 0])
        drop_first(heap, r, decoding)
        decoding -= 1
        replicas[r].decoding = decoding
        kinds[r, requests[request].kind] -= 1
        tokens = requests[request].to_prefill + requests[request].left
        release(replicas, requests, laws, phase, prefixes, r, request, tokens, 0)
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
    gaps: Ints,
    kinds: Ints,
    quotient: Floats,
    bits: Ints,
    prefixes: PrefixCache,
    occupancy: Floats,
    waiting: Floats,
    occupies: Floats,
    r: int,
    now_s: float,
) -> None:
    """Prompts that were computed to the end in this round have their first token, or the next of those they had."""
    request = replicas[r].done
    reserves, shares = laws[replicas[r].law].reserves, laws[replicas[r].law].shares
    while request != NONE:
        following = requests[request].next
        blocks = reservation(requests, request, reserves)
        if requests[request].first_s == 0.0:
            requests[request].first_s = now_s
        else:
            gap_s = now_s - requests[request].last_s
            gaps[replicas[r].group, requests[request].kind, gap_bin(quotient, bits, gap_s)] += 1
        tokens = requests[request].to_prefill
        requests[request].left -= 1
        left = requests[request].left
        leaves = left == 0 or replicas[r].prefills
        if shares:
            alone = blocks - prefixes.sharing[request].blocks
            blocks = give_back(prefixes, replicas, r, request, blocks, 0) if leaves else alone
        replicas[r].reserved -= blocks
        if leaves:
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
            push(heap, r, replicas[r].decoding, entry(replicas[r].step + left, request))
            replicas[r].decoding += 1
            kinds[r, requests[request].kind] += 1
        request = following
    replicas[r].done = NONE


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
        rounds = rounds_of_cache(replicas, laws, phase, r, step_of(heap[r, 0]) - replicas[r].step)
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
    kinds: Ints,
    prefixes: PrefixCache,
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
            put_back_last(replicas, requests, laws, heap, phase, lanes, kinds, prefixes, r, now_s)
    decoding = replicas[r].decoding
    replicas[r].seen_s = now_s
    if laws[law].ahead and replicas[r].mode != WAKE:
        replicas[r].seen_s = last_round_start_s(replicas, r)
    replicas[r].start_s = now_s
    prompts, chunk, chunks, most, pairs = schedule_prefill(replicas, requests, laws, phase, lanes, prefixes, r)
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
