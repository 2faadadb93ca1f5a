"""Heaps: decoding sequences of a replica by the step they finish at, and caches under way by when they are there."""

from cuvee.simulate.arrays import Ints, Records
from cuvee.simulate.compiling import compiled, inlined

REQUEST_BITS = 26
"""Bits of an entry for its request: 67 million [-]. Those above are its step, so that entries are sorted by that."""


@inlined
def entry(step: int, request: int) -> int:
    """A sequence that makes its last token at `step`."""
    return (step << REQUEST_BITS) | request


@inlined
def step_of(entry: int) -> int:
    """The step at which a sequence makes its last token."""
    return entry >> REQUEST_BITS


@inlined
def request_of(entry: int) -> int:
    """The request of an entry."""
    return entry & ((1 << REQUEST_BITS) - 1)


@inlined
def push(heap: Ints, replica: int, size: int, added: int) -> None:
    """Add an entry to a heap of `size`."""
    hole = size
    while hole > 0:
        above = (hole - 1) >> 1
        if heap[replica, above] <= added:
            break
        heap[replica, hole] = heap[replica, above]
        hole = above
    heap[replica, hole] = added


@inlined
def drop_first(heap: Ints, replica: int, size: int) -> None:
    """Take the first entry out of a heap of `size`, which leaves one less."""
    last, hole = size - 1, 0
    moved = heap[replica, last]
    while True:
        below = 2 * hole + 1
        if below >= last:
            break
        if below + 1 < last and heap[replica, below + 1] < heap[replica, below]:
            below += 1
        if heap[replica, below] >= moved:
            break
        heap[replica, hole] = heap[replica, below]
        hole = below
    heap[replica, hole] = moved


@inlined
def drop(heap: Ints, replica: int, size: int, index: int) -> None:
    """Take the entry at `index` out of a heap of `size`: it rises to the top, and the top is dropped."""
    hole = index
    while hole > 0:
        above = (hole - 1) >> 1
        heap[replica, hole] = heap[replica, above]
        hole = above
    drop_first(heap, replica, size)


@compiled
def push_handoff(handoffs: Records, size: int, time_s: float, request: int) -> None:
    """Add a cache under way to a heap of `size`; of equal times the earlier request is first."""
    hole = size
    while hole > 0:
        above = (hole - 1) >> 1
        is_later = handoffs[above].time_s == time_s and handoffs[above].request < request
        if handoffs[above].time_s < time_s or is_later:
            break
        handoffs[hole].time_s, handoffs[hole].request = handoffs[above].time_s, handoffs[above].request
        hole = above
    handoffs[hole].time_s, handoffs[hole].request = time_s, request


@compiled
def drop_handoff(handoffs: Records, size: int) -> None:
    """Take the first out of a heap of `size`, which leaves one less."""
    time_s, request = handoffs[size - 1].time_s, handoffs[size - 1].request
    last, hole = size - 1, 0
    while True:
        below = 2 * hole + 1
        if below >= last:
            break
        if below + 1 < last:
            one, other = handoffs[below], handoffs[below + 1]
            if other.time_s < one.time_s or (other.time_s == one.time_s and other.request < one.request):
                below += 1
        is_earlier = handoffs[below].time_s == time_s and handoffs[below].request > request
        if handoffs[below].time_s > time_s or is_earlier:
            break
        handoffs[hole].time_s, handoffs[hole].request = handoffs[below].time_s, handoffs[below].request
        hole = below
    handoffs[hole].time_s, handoffs[hole].request = time_s, request
