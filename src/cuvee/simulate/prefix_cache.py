"""What replicas find of prompts that begin alike: blocks of the cache that several sequences use, and how they go.

A prompt consists of blocks of the trace, known by their numbers; what is in the cache of one of them is an entry. As
long as a sequence uses an entry, it stays. Afterwards it queues with all other free blocks, and goes when those that
became free before it are taken; of its own blocks the last goes first. Blocks that nobody looks for are only counted.
"""

from typing import NamedTuple

from cuvee.simulate.arrays import BLOCK_TOKENS, NONE, Ints, Records
from cuvee.simulate.cache import blocks_taken
from cuvee.simulate.compiling import compiled


class PrefixCache(NamedTuple):
    """Caches of all replicas; a single row of everything where prefixes are not looked for.

    block_tokens   Tokens of a block of the trace [tokens].
    numbers        Of the blocks of prompts, request after request.
    sharing        Shape (num_requests,) of `SHARING`.
    entries        Shape (num_replicas, most_blocks + 1) of `ENTRY`.
    buckets        First entry of those whose numbers leave one remainder, plus 1, shape (num_replicas, num_buckets).
    shelves        Shape (num_replicas,) of `SHELF`.
    """

    block_tokens: int
    numbers: Ints
    sharing: Records
    entries: Records
    buckets: Ints
    shelves: Records


@compiled
def entry_of(cache: PrefixCache, r: int, number: int) -> int:
    """The entry of a block of the trace; NONE where there is none."""
    entry: int = cache.buckets[r, number % cache.buckets.shape[1]] - 1
    while entry != NONE and cache.entries[r, entry].number != number:
        entry = cache.entries[r, entry].chained
    return entry


@compiled
def added(cache: PrefixCache, r: int, number: int, blocks: int) -> int:
    """A new entry of so many blocks, which stands in no queue."""
    shelf = cache.shelves[r]
    entry: int = shelf.spare
    if entry == NONE:
        entry = shelf.fresh
        shelf.fresh += 1
    else:
        shelf.spare = cache.entries[r, entry].chained
    made = cache.entries[r, entry]
    made.number, made.blocks, made.uses, made.before = number, blocks, 0, 0
    if number >= 0:
        bucket = number % cache.buckets.shape[1]
        made.chained = cache.buckets[r, bucket] - 1
        cache.buckets[r, bucket] = entry + 1
    return entry


@compiled
def forget(cache: PrefixCache, r: int, entry: int) -> None:
    """An entry that stands in no queue is no more."""
    number = cache.entries[r, entry].number
    if number >= 0:
        bucket = number % cache.buckets.shape[1]
        each = cache.buckets[r, bucket] - 1
        if each == entry:
            cache.buckets[r, bucket] = cache.entries[r, entry].chained + 1
        else:
            while cache.entries[r, each].chained != entry:
                each = cache.entries[r, each].chained
            cache.entries[r, each].chained = cache.entries[r, entry].chained
    else:
        cache.sharing[-1 - number].own = NONE
    cache.entries[r, entry].chained = cache.shelves[r].spare
    cache.shelves[r].spare = entry


@compiled
def queue(cache: PrefixCache, r: int, entry: int) -> None:
    """An entry that nobody uses goes to the end of the queue of free blocks."""
    shelf, queued = cache.shelves[r], cache.entries[r, entry]
    queued.previous, queued.following, queued.before = shelf.newest, NONE, shelf.after
    if shelf.newest == NONE:
        shelf.oldest = entry
    else:
        cache.entries[r, shelf.newest].following = entry
    shelf.newest, shelf.after = entry, 0
    shelf.free += queued.blocks


@compiled
def unqueue(cache: PrefixCache, r: int, entry: int, stay: int) -> None:
    """Take an entry out of the queue; `stay` of its blocks stay in its place, as blocks of nobody."""
    shelf, gone = cache.shelves[r], cache.entries[r, entry]
    before, previous, following = gone.before + stay, gone.previous, gone.following
    if following == NONE:
        shelf.after += before
        shelf.newest = previous
    else:
        cache.entries[r, following].before += before
        cache.entries[r, following].previous = previous
    if previous == NONE:
        shelf.oldest = following
    else:
        cache.entries[r, previous].following = following
    shelf.free += stay - gone.blocks


@compiled
def drop_oldest(cache: PrefixCache, replicas: Records, laws: Records, phase: Ints, r: int) -> None:
    """Let go of free blocks that were taken meanwhile, the oldest first."""
    shelf = cache.shelves[r]
    free = laws[replicas[r].law].blocks - replicas[r].held - replicas[r].reserved - blocks_taken(replicas, phase, r, 1)
    gone = shelf.free - free
    while gone > 0 and shelf.oldest != NONE:
        oldest = shelf.oldest
        dropped = cache.entries[r, oldest]
        part = min(gone, dropped.before)
        dropped.before -= part
        gone, shelf.free = gone - part, shelf.free - part
        part = min(gone, dropped.blocks)
        dropped.blocks -= part
        gone, shelf.free = gone - part, shelf.free - part
        if dropped.blocks == 0:
            unqueue(cache, r, oldest, 0)
            forget(cache, r, oldest)
    if gone > 0:
        shelf.after -= gone
        shelf.free -= gone


@compiled
def blocks_in(cache: PrefixCache, prompt: int, place: int) -> int:
    """Full blocks of the cache that a prompt has in one of its blocks of the trace."""
    tokens = min(cache.block_tokens, prompt - place * cache.block_tokens)
    return max(tokens, 0) // BLOCK_TOKENS


@compiled
def matched(cache: PrefixCache, requests: Records, r: int, request: int) -> tuple[int, int, int]:
    """Leading blocks of a prompt whose cache is all there, blocks of the cache in them, and how many nobody uses."""
    mine, prompt = cache.sharing[request], requests[request].prompt
    place, blocks, unused = 0, 0, 0
    while place < mine.count and requests[request].shipped == 0:
        wanted = blocks_in(cache, prompt, place)
        entry = entry_of(cache, r, cache.numbers[mine.first + place]) if wanted > 0 else NONE
        if entry == NONE or cache.entries[r, entry].blocks < wanted:
            break
        if cache.entries[r, entry].uses == 0:
            unused += cache.entries[r, entry].blocks
        blocks += wanted
        place += 1
    return place, blocks, unused


@compiled
def take(cache: PrefixCache, replicas: Records, requests: Records, r: int, request: int) -> int:
    """Use what is there of a prompt, as far as `matched` says and what is left of the next block.

    Returns     the tokens that need not be computed, at least one fewer than the prompt has [tokens].
    """
    mine = cache.sharing[request]
    mine.held, mine.blocks, _ = matched(cache, requests, r, request)
    for place in range(mine.held):
        entry = entry_of(cache, r, cache.numbers[mine.first + place])
        if cache.entries[r, entry].uses == 0:
            unqueue(cache, r, entry, 0)
            replicas[r].held += cache.entries[r, entry].blocks
        cache.entries[r, entry].uses += 1
    found, part = mine.blocks, 0
    mine.until = mine.count if requests[request].shipped == 0 else 0
    if mine.held < mine.until and blocks_in(cache, requests[request].prompt, mine.held) > 0:
        entry = entry_of(cache, r, cache.numbers[mine.first + mine.held])
        if entry != NONE and cache.entries[r, entry].uses == 0:
            part = cache.entries[r, entry].blocks
            unqueue(cache, r, entry, 0)
            forget(cache, r, entry)
    if mine.own != NONE:
        goes_on = mine.held == mine.own_after and part == 0
        part += cache.entries[r, mine.own].blocks if goes_on else 0
        unqueue(cache, r, mine.own, 0 if goes_on else cache.entries[r, mine.own].blocks)
        forget(cache, r, mine.own)
    tokens: int = min((found + part) * BLOCK_TOKENS, (requests[request].to_prefill - 1) // BLOCK_TOKENS * BLOCK_TOKENS)
    if mine.found == NONE:
        mine.found = tokens
    return tokens


@compiled
def publish(
    cache: PrefixCache, replicas: Records, requests: Records, laws: Records, phase: Ints, r: int, request: int,
    computed: int,
) -> None:  # fmt: skip
    """Others find what is computed of a prompt from now on; where another sequence was first, they find that one's."""
    mine, prompt = cache.sharing[request], requests[request].prompt
    if mine.held < mine.until:
        drop_oldest(cache, replicas, laws, phase, r)
    while mine.held < mine.until:
        blocks, number = blocks_in(cache, prompt, mine.held), cache.numbers[mine.first + mine.held]
        if blocks == 0 or computed < min((mine.held + 1) * cache.block_tokens, prompt):
            break
        if entry_of(cache, r, number) != NONE:
            mine.until = mine.held
            break
        cache.entries[r, added(cache, r, number, blocks)].uses = 1
        replicas[r].held += blocks
        replicas[r].reserved -= blocks
        mine.held += 1
        mine.blocks += blocks


@compiled
def give_back(cache: PrefixCache, replicas: Records, r: int, request: int, blocks: int, filled: int) -> int:
    """A sequence of so many `blocks` leaves the cache, its last block first.

    Parameters
        filled    Blocks, from its first, that it finds again if it comes back; 0 if it does not.
    Returns       the blocks that nobody else can use.
    """
    mine, shelf = cache.sharing[request], cache.shelves[r]
    alone: int = blocks - mine.blocks
    kept = max(filled - mine.blocks, 0)
    shelf.after += alone - kept
    shelf.free += alone - kept
    if kept > 0:
        mine.own, mine.own_after = added(cache, r, -1 - request, kept), mine.held
        queue(cache, r, mine.own)
    for place in range(mine.held - 1, -1, -1):
        entry = entry_of(cache, r, cache.numbers[mine.first + place])
        cache.entries[r, entry].uses -= 1
        if cache.entries[r, entry].uses == 0:
            replicas[r].held -= cache.entries[r, entry].blocks
            queue(cache, r, entry)
    mine.held, mine.blocks = 0, 0
    return alone


@compiled
def empty(cache: PrefixCache, r: int, blocks: int) -> None:
    """The cache of a replica, of so many blocks, holds nothing."""
    shelf = cache.shelves[r]
    cache.buckets[r] = 0
    shelf.oldest, shelf.newest, shelf.spare, shelf.fresh = NONE, NONE, NONE, 0
    shelf.after, shelf.free = blocks, blocks


@compiled
def wanted_blocks(
    cache: PrefixCache, replicas: Records, requests: Records, laws: Records, phase: Ints, r: int, request: int,
    blocks: int,
) -> tuple[int, int]:  # fmt: skip
    """Blocks of `blocks` that `request` needs for itself, and those it would take from the free ones beside them."""
    drop_oldest(cache, replicas, laws, phase, r)
    _, shared, unused = matched(cache, requests, r, request)
    return blocks - shared, unused
