"""The cache of one replica: blocks that sequences hold, take and give back, and what is found again."""

from cuvee.simulate.arrays import BLOCK_TOKENS, Ints, Records
from cuvee.simulate.compiling import inlined


@inlined
def blocks_of(tokens: int) -> int:
    """Blocks of the cache that `tokens` take."""
    return (tokens + BLOCK_TOKENS - 1) // BLOCK_TOKENS


@inlined
def reservation(requests: Records, request: int, reserves: int) -> int:
    """Blocks set aside when `request` is admitted: of its prompt, and of its answer where the engine `reserves` it."""
    tokens = requests[request].to_prefill
    if reserves:
        tokens += requests[request].left
    return blocks_of(tokens)


@inlined
def blocks_taken(replicas: Records, phase: Ints, r: int, rounds: int) -> int:
    """Blocks that decoding sequences take in the next `rounds` rounds."""
    taken = replicas[r].decoding * (rounds // BLOCK_TOKENS)
    for later in range(1, rounds % BLOCK_TOKENS + 1):
        taken += phase[r, (replicas[r].step + later) % BLOCK_TOKENS]
    return taken


@inlined
def found_again(replicas: Records, requests: Records, laws: Records, phase: Ints, r: int, request: int) -> int:
    """Tokens of a sequence that was put back whose cache nobody has taken: the oldest free blocks are taken first."""
    if requests[request].kept == 0:
        return 0
    free = laws[replicas[r].law].blocks - replicas[r].held - replicas[r].reserved - blocks_taken(replicas, phase, r, 1)
    blocks = min(requests[request].kept, max(requests[request].kept_until - (replicas[r].freed - free), 0))
    requests[request].kept = 0
    replicas[r].freed -= blocks
    replicas[r].recomputed -= blocks * BLOCK_TOKENS
    return blocks * BLOCK_TOKENS


@inlined
def rounds_of_cache(replicas: Records, laws: Records, phase: Ints, r: int, most: int) -> int:
    """Rounds, `most` at most, that decoding sequences can do with the blocks that are free."""
    if laws[replicas[r].law].reserves:
        return most
    decoding = replicas[r].decoding
    free = laws[replicas[r].law].blocks - replicas[r].held - replicas[r].reserved
    if (most // BLOCK_TOKENS + 1) * decoding <= free:
        return most
    rounds = free // decoding * BLOCK_TOKENS
    free -= free // decoding * decoding
    while rounds < most:
        free -= phase[r, (replicas[r].step + rounds + 1) % BLOCK_TOKENS]
        if free < 0:
            break
        rounds += 1
    return min(rounds, most)
