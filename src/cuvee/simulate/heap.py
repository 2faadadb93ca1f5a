"""Heaps: decoding sequences of a replica by the step they finish at, and caches under way by when they are there."""

from cuvee.simulate.arrays import Ints, Records
from cuvee.simulate.compiling import compiled, inlined


@inlined
def push(heap: Ints, replica: int, size: int, key: int, value: int) -> None:
    """Add an entry to a heap of `size`."""
    hole = size
    while hole > 0:
        above = (hole - 1) >> 1
        if heap[replica, above, 0] <= key:
            break
        heap[replica, hole, 0] = heap[replica, above, 0]
        heap[replica, hole, 1] = heap[replica, above, 1]
        hole = above
    heap[replica, hole, 0] = key
    heap[replica, hole, 1] = value


@inlined
def drop_first(heap: Ints, replica: int, size: int) -> None:
    """Take the first entry out of a heap of `size`, which leaves one less."""
    key, value = heap[replica, size - 1, 0], heap[replica, size - 1, 1]
    last, hole = size - 1, 0
    while True:
        below = 2 * hole + 1
        if below >= last:
            break
        if below + 1 < last and heap[replica, below + 1, 0] < heap[replica, below, 0]:
            below += 1
        if heap[replica, below, 0] >= key:
            break
        heap[replica, hole, 0] = heap[replica, below, 0]
        heap[replica, hole, 1] = heap[replica, below, 1]
        hole = below
    heap[replica, hole, 0] = key
    heap[replica, hole, 1] = value


@inlined
def drop(heap: Ints, replica: int, size: int, index: int) -> None:
    """Take the entry at `index` out of a heap of `size`: it rises to the top, and the top is dropped."""
    hole = index
    while hole > 0:
        above = (hole - 1) >> 1
        heap[replica, hole, 0] = heap[replica, above, 0]
        heap[replica, hole, 1] = heap[replica, above, 1]
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
