"""The heap of decoding sequences by the step at which they finish, of one replica."""

from cuvee.simulate.arrays import Ints
from cuvee.simulate.compiling import inlined


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
