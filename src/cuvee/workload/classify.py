"""From requests to demand: a few workload types that stand for all lengths."""

from dataclasses import replace
from numbers import Integral
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.units import plural
from cuvee.workload.edges import LengthEdges, locate, paper_edges
from cuvee.workload.records import Demand, LengthBox, Trace, WorkloadType, type_names
from cuvee.workload.tree import choose_boxes

MAX_TYPES: Final = 400


def classify(trace: Trace, *, types: int | None = None, edges: LengthEdges | None = None) -> Demand:
    """Demand of a trace: its requests grouped by prompt and answer length.

    Parameters
        trace    Requests.
        types    Number of types [-], 1 to 400: boxes of lengths chosen from the trace itself.
        edges    Lengths at which types end. With neither, the paper's nine cells.
    Returns      types with the mean lengths and the number of their own requests, so prompt and answer tokens
                 of the trace are kept; a cell without requests makes no type.
    Raises       InputError: both `types` and `edges`, or `types` out of range.
    Notes        `types` splits the box of all lengths in two, then again the box whose split removes most of
                 the summed squared deviation of prompt and decode work, until there are enough: see
                 `cuvee.workload.tree`. `classification_error` says what a number of types costs.
    """
    if types is not None and edges is not None:
        raise InputError(
            f"types = {types!r} and edges = {edges!r}",
            expected="one of the two",
            remedy="give a number of types, or the edges between them",
        )
    inputs, outputs, count = _distinct_lengths(trace)
    boxes = _boxes(inputs, outputs, count, types, edges)
    kinds, num_requests = _types_of(boxes, inputs, outputs, count)
    notes = _notes(trace)
    if types is not None and len(kinds) < types:
        notes += (f"{len(kinds)} types instead of {types}: the trace has no more distinct lengths",)
    return Demand(
        types=kinds,
        num_requests=num_requests,
        rate_req_per_s=trace.rate_req_per_s,
        name=trace.name,
        notes=notes,
    )


def split_by_model(trace: Trace) -> dict[str, Trace]:
    """One trace for each model asked for, in order of first request kept; all keep the clock of the whole.

    Raises    InputError: the trace names no models.
    """
    if trace.model is None:
        raise InputError(
            f"trace {trace.name!r} names no models",
            expected="a trace with a model for each request",
            remedy="read it with ColumnNames(..., model=<column>)",
        )
    parts = {}
    for code in dict.fromkeys(trace.model.tolist()):
        chosen = trace.model == code
        model = trace.model_names[code]
        parts[model] = replace(
            trace,
            name=f"{trace.name}, {model}",
            input_tokens=trace.input_tokens[chosen],
            output_tokens=trace.output_tokens[chosen],
            arrival_s=None if trace.arrival_s is None else trace.arrival_s[chosen],
            model=None,
            model_names=(),
            num_skipped={},
            notes=_notes(trace),
            window_s=trace.duration_s,
            prefixes=None if trace.prefixes is None else trace.prefixes.of(np.flatnonzero(chosen)),
        )
    return parts


def _distinct_lengths(trace: Trace) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Distinct (prompt, answer) pairs and the requests of each: a million requests have far fewer."""
    base = int(trace.output_tokens.max()) + 1
    # One sort of whole numbers instead of a sort of rows, which takes ten times as long.
    keys, count = np.unique(trace.input_tokens * base + trace.output_tokens, return_counts=True)
    return keys // base, keys % base, count


def _boxes(
    inputs: NDArray[np.int64],
    outputs: NDArray[np.int64],
    count: NDArray[np.int64],
    types: int | None,
    edges: LengthEdges | None,
) -> tuple[LengthBox, ...]:
    if types is None:
        return (edges or paper_edges()).boxes()
    if not isinstance(types, Integral) or isinstance(types, bool) or not 1 <= types <= MAX_TYPES:
        raise InputError(
            f"types = {types!r}",
            expected=f"a whole number from 1 to {MAX_TYPES}",
            remedy="leave it out for the paper's nine cells",
        )
    return choose_boxes(inputs, outputs, count, num_boxes=int(types))


def _types_of(
    boxes: tuple[LengthBox, ...],
    inputs: NDArray[np.int64],
    outputs: NDArray[np.int64],
    count: NDArray[np.int64],
) -> tuple[tuple[WorkloadType, ...], tuple[float, ...]]:
    """Types of the boxes that hold requests, with the number of requests of each."""
    index = locate(boxes, inputs, outputs)
    # Sums of whole numbers: means then keep the totals to the last float digit.
    num_requests, input_sum, output_sum = (np.zeros(len(boxes), dtype=np.int64) for _ in range(3))
    np.add.at(num_requests, index, count)
    np.add.at(input_sum, index, count * inputs)
    np.add.at(output_sum, index, count * outputs)
    filled = np.flatnonzero(num_requests).tolist()
    means = [(input_sum[box] / num_requests[box], output_sum[box] / num_requests[box]) for box in filled]
    kinds = tuple(
        WorkloadType(name, float(mean_input), float(mean_output), boxes[box])
        for name, (mean_input, mean_output), box in zip(type_names(means), means, filled, strict=True)
    )
    return kinds, tuple(float(num_requests[box]) for box in filled)


def _notes(trace: Trace) -> tuple[str, ...]:
    skipped = (f"{plural(count, 'row')} left out: {reason}" for reason, count in sorted(trace.num_skipped.items()))
    return (*trace.notes, *skipped)
