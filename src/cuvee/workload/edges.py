"""Boxes of request lengths: the paper's nine cells, a user's own edges, and which box holds a length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.workload.records import LengthBox

PAPER_INPUT_TOKENS: Final = (496, 824, 2455)
"""Mean prompt lengths of the paper's types [tokens]: Jiang et al., ICML 2025 (arXiv 2502.00722), Table 5."""
PAPER_OUTPUT_TOKENS: Final = (18, 253, 510)
"""Mean answer lengths of the paper's types [tokens]; same source."""


@dataclass(frozen=True)
class LengthEdges:
    """Lengths [tokens] at which one workload type ends and the next begins.

    Attributes
        input_tokens     Edges between prompt lengths, ascending, > 0; none for one class of prompts.
        output_tokens    Edges between answer lengths, ascending, > 0; none for one class of answers.
    """

    input_tokens: tuple[float, ...] = ()
    output_tokens: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for label in ("input_tokens", "output_tokens"):
            edges = getattr(self, label)
            finite = all(math.isfinite(edge) and edge > 0 for edge in edges)
            if not finite or any(low >= high for low, high in pairwise(edges)):
                raise InputError(
                    f"length edges {label} = {list(edges)}",
                    expected="ascending finite numbers of tokens above 0",
                    remedy="sort the edges and remove repeats",
                )

    def boxes(self) -> tuple[LengthBox, ...]:
        """Boxes that share no length and together hold every length; prompts vary slowest."""
        inputs = pairwise((0.0, *self.input_tokens, math.inf))
        outputs = tuple(pairwise((0.0, *self.output_tokens, math.inf)))
        return tuple(LengthBox(*across, *down) for across, down in product(inputs, outputs))


def paper_edges() -> LengthEdges:
    """Edges of the paper's nine cells: geometric means of neighbouring type means, since lengths spread by ratio."""
    return LengthEdges(
        *(
            tuple(math.sqrt(low * high) for low, high in pairwise(centers))
            for centers in (PAPER_INPUT_TOKENS, PAPER_OUTPUT_TOKENS)
        )
    )


def locate(
    boxes: Sequence[LengthBox | None], input_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index of the first box that holds each pair of lengths; -1 where none does.

    Notes     A grid of all edges is painted with the box indices once, so that the cost for a request
              grows with the logarithm of the number of boxes.
    """
    real = [(index, box) for index, box in enumerate(boxes) if box is not None]
    inputs = np.unique([edge for _, box in real for edge in (box.input_low, box.input_high)])
    outputs = np.unique([edge for _, box in real for edge in (box.output_low, box.output_high)])
    grid = np.full((len(inputs) + 1, len(outputs) + 1), -1, dtype=np.int64)
    # Last to first: where a user's boxes overlap, the first keeps the lengths.
    for index, box in reversed(real):
        rows = slice(*(np.searchsorted(inputs, (box.input_low, box.input_high)) + 1))
        columns = slice(*(np.searchsorted(outputs, (box.output_low, box.output_high)) + 1))
        grid[rows, columns] = index
    across = np.searchsorted(inputs, input_tokens, side="right")
    down = np.searchsorted(outputs, output_tokens, side="right")
    return grid[across, down]
