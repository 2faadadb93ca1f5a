"""Boxes of request lengths chosen by the data: best-first binary splits, as a regression tree grows."""

import heapq
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.workload.records import LengthBox

INPUT: Final = 0
OUTPUT: Final = 1


@dataclass(frozen=True)
class _Points:
    """Distinct lengths; all of shape (num_points,) or (2, num_points), prompts first.

    Attributes
        tokens    Prompt and answer length [tokens].
        work      The same over their mean: prefill and decode work of a request, 1 on average [-].
        count     Requests with these lengths [-].
    """

    tokens: NDArray[np.int64]
    work: NDArray[np.float64]
    count: NDArray[np.float64]


@dataclass(frozen=True)
class _Split:
    axis: int
    edge_tokens: float
    gain: float


@dataclass(order=True)
class _Leaf:
    """A box, its points sorted along either axis, and its best split; ordered by what that gains, then by age."""

    priority: tuple[float, int]
    box: LengthBox = field(compare=False)
    orders: tuple[NDArray[np.int64], NDArray[np.int64]] = field(compare=False)
    split: _Split = field(compare=False)


def choose_boxes(
    input_tokens: NDArray[np.int64],
    output_tokens: NDArray[np.int64],
    count: NDArray[np.int64],
    *,
    num_boxes: int,
) -> tuple[LengthBox, ...]:
    """Boxes that share no length, hold every length, and differ least in work inside.

    Parameters
        input_tokens, output_tokens    Distinct pairs of lengths [tokens], shape (num_pairs,).
        count                          Requests with each pair [-], same shape.
        num_boxes                      Boxes wanted [-].
    Returns      `num_boxes` boxes, or one for each pair where there are fewer pairs; ordered by prompt length.
    Notes        The work of a request is (prompt / mean prompt, answer / mean answer). Starting from one box,
                 the split that removes most of the summed squared deviation of work within boxes is made
                 next, on either axis, until there are enough boxes. Boxes for K + 1 split one of those
                 for K, so a larger K never describes the trace worse.
    """
    tokens = np.stack([input_tokens, output_tokens])
    means = (tokens * count).sum(axis=1) / count.sum()
    points = _Points(tokens, tokens / means[:, None], count.astype(np.float64))
    orders = (np.argsort(tokens[INPUT], kind="stable"), np.argsort(tokens[OUTPUT], kind="stable"))
    everything = LengthBox(0.0, np.inf, 0.0, np.inf)
    done: list[LengthBox] = []
    open_leaves: list[_Leaf] = []
    _settle(points, everything, orders, done, open_leaves, age=0)
    while open_leaves and len(done) + len(open_leaves) < num_boxes:
        leaf = heapq.heappop(open_leaves)
        age = 2 * (len(done) + len(open_leaves))
        for offset, above in enumerate((False, True)):
            box, part = _half(points, leaf, above=above)
            _settle(points, box, part, done, open_leaves, age=age + offset)
    boxes = [*done, *(leaf.box for leaf in open_leaves)]
    return tuple(sorted(boxes, key=lambda box: (box.input_low, box.output_low)))


def _settle(
    points: _Points,
    box: LengthBox,
    orders: tuple[NDArray[np.int64], NDArray[np.int64]],
    done: list[LengthBox],
    open_leaves: list[_Leaf],
    *,
    age: int,
) -> None:
    """File a box under those that can be split further, or under those that cannot."""
    splits = [_best_split(points, orders[axis], axis) for axis in (INPUT, OUTPUT)]
    split = max((split for split in splits if split is not None), key=lambda split: split.gain, default=None)
    if split is None:
        done.append(box)
    else:
        heapq.heappush(open_leaves, _Leaf((-split.gain, age), box, orders, split))


def _best_split(points: _Points, order: NDArray[np.int64], axis: int) -> _Split | None:
    """Split on one axis with the largest fall in squared deviation; None where all lengths are equal."""
    tokens = points.tokens[axis, order]
    last_below = np.flatnonzero(tokens[1:] > tokens[:-1])
    if not len(last_below):
        return None
    count, work = points.count[order], points.work[:, order]
    total = count.sum()
    # About the mean of the leaf, so that the sums of both halves are equal and opposite.
    deviation = (work - (work @ count)[:, None] / total) * count
    below = np.cumsum(count)[last_below]
    sums = np.cumsum(deviation, axis=1)[:, last_below]
    gains = (sums**2).sum(axis=0) * total / (below * (total - below))
    best = int(np.argmax(gains))
    low = last_below[best]
    return _Split(axis, float(tokens[low] + tokens[low + 1]) / 2, float(gains[best]))


def _half(
    points: _Points, leaf: _Leaf, *, above: bool
) -> tuple[LengthBox, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Box and points of a leaf on one side of its split; filtering a sorted order leaves it sorted."""
    edge = leaf.split.edge_tokens
    by_input, by_output = (order[(points.tokens[leaf.split.axis, order] > edge) == above] for order in leaf.orders)
    side = f"{('input', 'output')[leaf.split.axis]}_{'low' if above else 'high'}"
    return replace(leaf.box, **{side: edge}), (by_input, by_output)
