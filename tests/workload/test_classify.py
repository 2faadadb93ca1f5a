"""Requests to types: what is kept, what is chosen, what it costs."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.workload import (
    Demand,
    LengthBox,
    LengthEdges,
    Trace,
    WorkloadType,
    assign_types,
    classification_error,
    classify,
    paper_edges,
    split_by_model,
)

LENGTHS = st.integers(1, 40) | st.integers(1, 5000) | st.integers(1, 100_000_000)
REQUESTS = st.lists(st.tuples(LENGTHS, LENGTHS), min_size=1, max_size=60)
MODES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.integers(1, 30).map(lambda types: {"types": types}),
    st.builds(
        lambda inputs, outputs: {"edges": LengthEdges(tuple(sorted(inputs)), tuple(sorted(outputs)))},
        st.sets(st.integers(1, 6000), max_size=5),
        st.sets(st.floats(0.5, 6000), max_size=5),
    ),
)


def make_trace(requests, **columns):
    inputs, outputs = np.array(requests, dtype=np.int64).T
    return Trace("made", inputs, outputs, **columns)


@settings(max_examples=150, deadline=None)
@given(requests=REQUESTS, mode=MODES)
def test_totals_are_kept(requests, mode):
    """In every mode the types together have the requests, prompt tokens and answer tokens of the trace."""
    trace = make_trace(requests)
    demand = classify(trace, **mode)
    assert demand.total_requests == trace.num_requests
    for label in ("input_tokens", "output_tokens"):
        kept = math.fsum(
            count * getattr(kind, label) for count, kind in zip(demand.num_requests, demand.types, strict=True)
        )
        assert kept == pytest.approx(int(getattr(trace, label).sum()), rel=1e-12)


@settings(max_examples=150, deadline=None)
@given(requests=REQUESTS, mode=MODES)
def test_each_request_lies_in_one_box(requests, mode):
    """In every mode exactly one box holds a request, that of the type it is assigned to."""
    trace = make_trace(requests)
    demand = classify(trace, **mode)
    index = assign_types(demand, trace.input_tokens, trace.output_tokens)
    for (prompt, answer), assigned in zip(requests, index.tolist(), strict=True):
        holding = [
            position
            for position, box in enumerate(kind.box for kind in demand.types)
            if box is not None
            and box.input_low <= prompt < box.input_high
            and box.output_low <= answer < box.output_high
        ]
        assert holding == [assigned]
    assert np.bincount(index, minlength=len(demand.types)).tolist() == list(demand.num_requests)


@settings(max_examples=100, deadline=None)
@given(requests=REQUESTS)
def test_more_types_never_describe_worse(requests):
    """The error falls, or stays, with each type more; it is 0 once each length has its type."""
    trace = make_trace(requests)
    num_lengths = len(set(requests))
    errors = [
        classification_error(trace, classify(trace, types=types)).relative_rms for types in range(1, num_lengths + 1)
    ]
    assert all(after <= before + 1e-9 for before, after in pairwise(errors))
    assert errors[-1] == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(requests=REQUESTS)
def test_the_first_split_is_the_best_one(requests):
    """Two types leave no more squared deviation of work than any other straight cut, by trying all cuts."""
    trace = make_trace(requests)
    work = np.array(requests) / np.array(requests).mean(axis=0)
    deviations = [
        sum(((part - part.mean(axis=0)) ** 2).sum() for part in (work[below], work[~below]))
        for axis in (0, 1)
        for edge in set(work[:, axis].tolist())
        if 0 < (below := work[:, axis] < edge).sum() < len(work)
    ]
    found = classification_error(trace, classify(trace, types=2)).relative_rms ** 2 * len(work)
    best = min(deviations, default=0.0)
    assert found == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_split_goes_where_the_work_differs():
    """Two types part the answers 10 and 100, though the prompts have the wider gap in tokens."""
    # Prompts 9000 and 10000: +-5 % of their mean. Answers 10 and 100: +-82 % of theirs.
    # The tempting wrong answer cuts the prompts, 1000 tokens apart.
    trace = make_trace([(9000, 10), (10_000, 10), (9000, 100), (10_000, 100)])
    demand = classify(trace, types=2)
    assert [kind.name for kind in demand.types] == ["in9500-out10", "in9500-out100"]
    assert demand.types[0].box == LengthBox(0, math.inf, 0, 55)


def test_nine_cells_of_the_paper():
    """Without options the edges are geometric means of neighbours; means are those of the requests inside."""
    edges = paper_edges()
    assert edges.input_tokens == pytest.approx((639.3, 1422.3), abs=0.05)
    assert edges.output_tokens == pytest.approx((67.5, 359.2), abs=0.05)
    demand = classify(make_trace([(639, 67), (641, 67), (100, 60), (5000, 360)]))
    assert [(kind.name, count) for kind, count in zip(demand.types, demand.num_requests, strict=True)] == [
        ("in370-out64", 2.0),
        ("in641-out67", 1.0),
        ("in5000-out360", 1.0),
    ]


def test_fewer_lengths_than_types_is_noted():
    """As many types as there are distinct lengths, and a note, where more were asked for."""
    demand = classify(make_trace([(5, 5), (5, 5), (6, 5)]), types=4)
    assert demand.num_requests == (2.0, 1.0)
    assert "2 types instead of 4" in demand.notes[-1]


def test_equal_rounded_means_get_different_names():
    """Names stay unique where means round to the same tokens."""
    trace = make_trace([(100, 10), (100, 11), (101, 10), (101, 10)])
    demand = classify(trace, edges=LengthEdges(output_tokens=(10.5,)))
    assert [kind.name for kind in demand.types] == ["in101-out10", "in100-out11"]
    trace = make_trace([(100, 1), (101, 1), (100, 1)] + [(100, 2)] * 3)
    demand = classify(trace, edges=LengthEdges((100.2, 100.4)))
    assert len({kind.name for kind in demand.types}) == len(demand.types)
    with_repeat = classify(make_trace([(1, 1), (2, 2), (2, 3), (3, 2)] * 2), edges=LengthEdges((1.5, 2.5)))
    assert len({kind.name for kind in with_repeat.types}) == 3


def test_rate_and_skipped_rows_travel_along():
    """Demand carries the arrival rate of the trace and says what was left out."""
    trace = make_trace(
        [(5, 5), (6, 6), (7, 7)],
        arrival_s=np.array([0.0, 1.0, 4.0]),
        num_skipped={"zero output tokens": 12},
        notes=("sorted",),
    )
    demand = classify(trace)
    assert demand.rate_req_per_s == pytest.approx(0.5)
    assert demand.notes == ("sorted", "12 rows left out: zero output tokens")


@pytest.mark.parametrize("types", [0, -1, 401, 2.0, True, "9"])
def test_a_number_of_types_out_of_range_is_refused(types):
    """Only whole numbers from 1 to 400 are numbers of types."""
    with pytest.raises(InputError, match="types"):
        classify(make_trace([(5, 5)]), types=types)


def test_types_and_edges_exclude_each_other():
    """Asking for a number of types and for edges is refused."""
    with pytest.raises(InputError, match="one of the two"):
        classify(make_trace([(5, 5)]), types=2, edges=LengthEdges())


@pytest.mark.parametrize("edges", [(2, 1), (1, 1), (0,), (-1,), (math.inf,), (math.nan,)])
def test_edges_must_ascend(edges):
    """Edges that do not ascend, or are not finite and above 0, are refused."""
    with pytest.raises(InputError, match="ascending"):
        LengthEdges(input_tokens=edges)


def test_lengths_outside_every_box_go_to_the_nearest_by_ratio():
    """500 tokens are nearer to 2000 than to 100 by ratio, though not by difference."""
    kinds = (WorkloadType("short", 100, 10), WorkloadType("long", 2000, 10))
    demand = Demand(kinds, (1.0, 1.0))
    lengths = np.array([500, 400, 1, 100_000_000])
    assert assign_types(demand, lengths, np.full(4, 10)).tolist() == [1, 0, 0, 1]


def test_assigning_nothing_gives_nothing():
    """No requests, no types; lengths below 1 or of two shapes are refused."""
    demand = classify(make_trace([(5, 5)]))
    none = np.array([], dtype=np.int64)
    assert assign_types(demand, none, none).tolist() == []
    for inputs, outputs in (([0], [1]), ([1, 2], [1]), ([[1]], [[1]])):
        with pytest.raises(InputError):
            assign_types(demand, np.array(inputs), np.array(outputs))


def test_error_of_one_type_by_hand():
    """Prompts 1 and 3: off by 1 from a mean of 2, so 0.5; answers are alike, so 0."""
    trace = make_trace([(1, 7), (3, 7)])
    error = classification_error(trace, classify(trace, types=1))
    assert (error.input_relative_rms, error.output_relative_rms) == (0.5, 0.0)


def test_models_keep_the_clock_of_the_whole():
    """A model with two requests at once in an hour has 2 an hour, not infinitely many."""
    trace = make_trace(
        [(1, 1), (2, 1), (3, 1), (4, 1)],
        arrival_s=np.array([0.0, 10.0, 10.0, 3600.0]),
        model=np.array([1, 0, 0, 1]),
        model_names=("rare", "common"),
    )
    parts = split_by_model(trace)
    assert list(parts) == ["common", "rare"]
    assert parts["rare"].input_tokens.tolist() == [2, 3]
    assert parts["rare"].rate_req_per_s == pytest.approx(2 / 3600)
    assert classify(parts["common"]).rate_req_per_s == pytest.approx(2 / 3600)


def test_a_trace_without_models_cannot_be_split():
    """Splitting needs a model for each request."""
    with pytest.raises(InputError, match="names no models"):
        split_by_model(make_trace([(5, 5)]))


@pytest.mark.parametrize(
    "columns",
    [
        {"input_tokens": np.array([0, 1])},
        {"input_tokens": np.array([1])},
        {"input_tokens": np.array([1.5, 2.0])},
        {"input_tokens": np.array([1, 10**9])},
        {"input_tokens": np.array([], dtype=np.int64), "output_tokens": np.array([], dtype=np.int64)},
        {"arrival_s": np.array([1.0, 0.0])},
        {"arrival_s": np.array([0.0, np.nan])},
        {"model": np.array([0])},
    ],
)
def test_a_trace_that_breaks_its_own_rules_is_refused(columns):
    """Empty, ragged or unordered columns, and lengths that are no token counts, make no trace."""
    good = {"input_tokens": np.array([1, 2]), "output_tokens": np.array([1, 2])}
    with pytest.raises(InputError):
        Trace("made", **{**good, **columns})
