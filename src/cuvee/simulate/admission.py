"""Who enters the batch of a replica, who leaves it, and how many tokens of which prompts a round computes."""

from cuvee.simulate.arrays import BLOCK_TOKENS, NONE, Ints, Records
from cuvee.simulate.cache import blocks_of, blocks_taken, found_again, reservation
from cuvee.simulate.compiling import compiled, inlined
from cuvee.simulate.heap import drop, request_of, step_of
from cuvee.simulate.prefix_cache import PrefixCache, give_back, publish, take, wanted_blocks

SAME_TIME_S = 1e-9
"""Times this close are one [s]."""


@inlined
def release(
    replicas: Records, requests: Records, laws: Records, phase: Ints, prefixes: PrefixCache, r: int, request: int,
    tokens: int, kept: int,
) -> None:  # fmt: skip
    """Give back the cache of a decoding sequence of `tokens`, which finds `kept` blocks of it if it comes back."""
    blocks = blocks_of(tokens)
    if laws[replicas[r].law].reserves:
        blocks = blocks_of(requests[request].prompt + requests[request].answer)
    else:
        phase[r, (1 + replicas[r].step - tokens) % BLOCK_TOKENS] -= 1
    if laws[replicas[r].law].shares:
        blocks = give_back(prefixes, replicas, r, request, blocks, kept)
    replicas[r].held -= blocks
    replicas[r].freed += blocks
    replicas[r].cached -= tokens


@compiled
def put_back_last(
    replicas: Records, requests: Records, laws: Records, heap: Ints, phase: Ints, lanes: Ints, kinds: Ints,
    prefixes: PrefixCache, r: int, now_s: float,
) -> None:  # fmt: skip
    """The sequence admitted last loses its cache, and goes to the head of the queue; whoever decodes has just made a
    token.
    """
    last, newest, keeps = NONE, 0, laws[replicas[r].law].reuses
    for lane in range(laws[replicas[r].law].stages):
        request = lanes[r, lane, 0]
        if request != NONE and (last == NONE or requests[request].admission > newest):
            last, newest = lane, requests[request].admission
    if last != NONE:
        request = lanes[r, last, 0]
        tokens = requests[request].to_prefill - lanes[r, last, 1]
        lanes[r, last, 0] = NONE
        replicas[r].prefilling -= 1
        blocks = reservation(requests, request, 0)
        if laws[replicas[r].law].shares:
            blocks = give_back(prefixes, replicas, r, request, blocks, tokens // BLOCK_TOKENS * keeps)
        replicas[r].reserved -= blocks
        replicas[r].freed += blocks
    else:
        index = 0
        for each in range(1, replicas[r].decoding):
            if requests[request_of(heap[r, each])].admission > requests[request_of(heap[r, index])].admission:
                index = each
        request = request_of(heap[r, index])
        left = step_of(heap[r, index]) - replicas[r].step
        tokens = requests[request].to_prefill + requests[request].left - left
        drop(heap, r, replicas[r].decoding, index)
        replicas[r].decoding -= 1
        kinds[r, requests[request].kind] -= 1
        release(replicas, requests, laws, phase, prefixes, r, request, tokens, tokens // BLOCK_TOKENS * keeps)
        requests[request].to_prefill = tokens + 1  # with the token made last, which was not in the cache yet
        requests[request].left, requests[request].last_s = left, now_s
    requests[request].shipped = 0
    replicas[r].recomputed += tokens
    if keeps:
        requests[request].kept, requests[request].kept_until = tokens // BLOCK_TOKENS, replicas[r].freed
    requests[request].next = replicas[r].head
    replicas[r].head = request
    if replicas[r].tail == NONE:
        replicas[r].tail = request
    replicas[r].preemptions += 1


@inlined
def admit_next(
    replicas: Records, requests: Records, laws: Records, phase: Ints, prefixes: PrefixCache, r: int, newly: int
) -> int:
    """The request at the head of the queue, where it is known and has room; NONE else. It then has its cache."""
    request: int = replicas[r].head
    law = laws[replicas[r].law]
    if request == NONE or requests[request].ready_s > replicas[r].seen_s + SAME_TIME_S:
        return NONE
    if replicas[r].decoding + replicas[r].prefilling + newly >= law.max_sequences:
        return NONE
    blocks, unused = reservation(requests, request, law.reserves), 0
    if law.shares:
        blocks, unused = wanted_blocks(prefixes, replicas, requests, laws, phase, r, request, blocks)
    if replicas[r].held + replicas[r].reserved + blocks_taken(replicas, phase, r, 1) + blocks + unused > law.blocks:
        return NONE
    if law.shares:
        requests[request].computed = take(prefixes, replicas, requests, r, request)
    else:
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
    replicas: Records, requests: Records, laws: Records, phase: Ints, lanes: Ints, prefixes: PrefixCache, r: int
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
                request = admit_next(replicas, requests, laws, phase, prefixes, r, newly)
                if request == NONE:
                    continue
                lanes[r, lane, 0] = request
                cached = requests[request].computed + requests[request].shipped
                lanes[r, lane, 1] = requests[request].to_prefill - cached
                replicas[r].prefilling += 1
            missing = lanes[r, lane, 1]
            part = min(missing, left)
            lanes[r, lane, 1] = missing - part
            if laws[replicas[r].law].shares:
                done = requests[request].to_prefill - missing + part
                publish(prefixes, replicas, requests, laws, phase, r, request, done)
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
