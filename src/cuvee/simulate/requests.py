"""The requests of a simulation: a trace as it is or drawn from, at the rate asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.simulate.fleet import Fleet
from cuvee.workload.assign import assign_types
from cuvee.workload.prefixes import Prefixes
from cuvee.workload.records import Trace

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

USUAL_LOAD = 0.7
"""Mean rate of requests that are drawn, as a share of what the plan sustains [-]: at all of it, queues have no end."""

LEAST_LOAD, MOST_LOAD = 1e-6, 1000.0
"""Smallest and largest factor on a rate [-]."""

MOST_REQUESTS = 50_000_000
"""Most requests of one simulation [-]: each takes 200 bytes."""


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Requests by arrival; shape (num_requests,).

    Attributes
        arrival_s           From the start of the simulation [s].
        prompt, answer      Lengths [tokens].
        row                 Index into the rows of the fleet: model and workload type.
        num_shortened       Requests cut to the longest context of their model [-].
        source              Where they come from, for people.
        is_of_trace         Whether that is a trace, and not the plan's own mix.
        prefixes            Which prompts begin alike, where the trace tells.
        notes               What of the trace was left out or changed, one a line.
        file                Of the trace; "" of none.
    """

    arrival_s: Floats
    prompt: Ints
    answer: Ints
    row: Ints
    num_shortened: int
    source: str
    is_of_trace: bool
    prefixes: Prefixes | None = None
    notes: tuple[str, ...] = ()
    file: str = ""

    @property
    def rate_req_per_s(self) -> float:
        """Mean rate of arrival [req/s]; 0 of requests that all come at once."""
        span_s = float(self.arrival_s[-1])
        return len(self.arrival_s) / span_s if span_s > 0 else 0.0


def arrivals_of(
    fleet: Fleet,
    trace: Trace | None,
    *,
    num_requests: int | None = None,
    load: float | None = None,
    rate_scale: float | None = None,
    seed: int = 0,
    longest: Mapping[str, int] | None = None,
) -> Arrivals:
    """Requests to play on `fleet`.

    Parameters
        trace           Requests; None: each workload type of the plan at its mean lengths, in the plan's mix.
        num_requests    Drawn from the trace with `seed`, and they arrive at random (Poisson); None: the trace as it is.
        load            Mean rate as a share of what the plan sustains [-].
        rate_scale      Factor on the trace's own rate [-]; with neither, `USUAL_LOAD` where requests are drawn, and
                        the trace's own where it is replayed.
        longest         Longest request of each model [tokens].
    Raises              InputError.
    """
    _check(trace, num_requests, load, rate_scale)
    rng = np.random.default_rng(seed)
    if trace is None:
        model, prompt, answer, row = _of_the_plan(fleet, num_requests or 10_000, rng)
    else:
        picked = np.arange(trace.num_requests) if num_requests is None else _drawn(trace, num_requests, rng)
        prompt, answer = trace.input_tokens[picked], trace.output_tokens[picked]
        model = _models(fleet, trace, picked, rng)
        row = _rows(fleet, model, prompt, answer)
    prompt, answer, num_shortened = _within(fleet, model, prompt, answer, longest or {})
    rate = fleet.rate_req_per_s * load if load is not None else None
    if trace is None or num_requests is not None:
        own = trace.rate_req_per_s if trace is not None else None
        if rate is None:
            rate = own * rate_scale if rate_scale is not None and own else fleet.rate_req_per_s * USUAL_LOAD
        arrival_s = np.cumsum(rng.exponential(1 / rate, len(prompt)))
    else:
        arrival_s = _replayed(trace, rate, rate_scale)
    source, file, prefixes = "the plan's mix", "", None
    notes: tuple[str, ...] = ()
    if trace is not None:
        source, file, notes = trace.name, trace.source, _notes(trace)
        prefixes = None if trace.prefixes is None else _told_apart(trace.prefixes, picked, num_requests is not None)
    return Arrivals(arrival_s, prompt, answer, row, num_shortened, source, trace is not None, prefixes, notes, file)


def _check(trace: Trace | None, num_requests: int | None, load: float | None, rate_scale: float | None) -> None:
    if num_requests is not None and not 1 <= num_requests <= MOST_REQUESTS:
        expected = f"a number from 1 to {MOST_REQUESTS:,}"
        raise InputError(f"--requests {num_requests}", expected=expected, remedy="e.g. --requests 10000")
    if load is not None and rate_scale is not None:
        raise InputError("--load and --rate-scale", expected="one of them: both set the rate", remedy="leave one out")
    for name, value in (("--load", load), ("--rate-scale", rate_scale)):
        if value is not None and not LEAST_LOAD <= value <= MOST_LOAD:
            expected = f"a number from {LEAST_LOAD:f} to {MOST_LOAD:g}"
            raise InputError(f"{name} {value:g}", expected=expected, remedy=f"e.g. {name} 0.8")
    if rate_scale is not None and (trace is None or trace.rate_req_per_s is None):
        raise InputError(
            "--rate-scale without times of arrival", expected="a trace with them", remedy="set the rate with --load"
        )


def _of_the_plan(fleet: Fleet, number: int, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints]:
    """Requests of mean lengths, in the mix of the plan."""
    rates = np.array([row.rate_req_per_s for row in fleet.rows])
    row = rng.choice(len(rates), size=number, p=rates / rates.sum())
    prompts = np.array([max(round(each.kind.input_tokens), 1) for each in fleet.rows])
    answers = np.array([max(round(each.kind.output_tokens), 1) for each in fleet.rows])
    models = np.array([fleet.models.index(each.model) for each in fleet.rows])
    return models[row], prompts[row], answers[row], row


def _drawn(trace: Trace, number: int, rng: np.random.Generator) -> Ints:
    """Indices of requests, drawn with replacement."""
    return rng.integers(0, trace.num_requests, number)


def _notes(trace: Trace) -> tuple[str, ...]:
    """Rows that were left out, and what else was noted when the trace was read."""
    skipped = sum(trace.num_skipped.values())
    reasons = ", ".join(f"{count:,} with {reason}" for reason, count in trace.num_skipped.items())
    return (*((f"{skipped:,} rows of the trace left out: {reasons}",) if skipped else ()), *trace.notes)


def _told_apart(prefixes: Prefixes, picked: Ints, is_drawn: bool) -> Prefixes:
    """Prefixes of the requests that were picked: one that is drawn again is another request, with another prompt.

    Its first draw shares prefixes with the first draws of others, its second with their second, and so on.
    """
    if not is_drawn:
        return prefixes
    order = np.argsort(picked, kind="stable")
    places = np.arange(len(picked))
    begins = np.maximum.accumulate(np.where(np.diff(picked[order], prepend=-1) > 0, places, 0))
    draw = np.empty(len(picked), np.int64)
    draw[order] = places - begins
    known, numbers = np.unique(prefixes.ids, return_inverse=True)
    chosen = Prefixes(numbers, prefixes.first, prefixes.block_tokens).of(picked)
    return Prefixes(
        chosen.ids + np.repeat(draw, np.diff(chosen.first)) * len(known), chosen.first, prefixes.block_tokens
    )


def _models(fleet: Fleet, trace: Trace, picked: Ints, rng: np.random.Generator) -> Ints:
    """Index of the model of each request: as the trace says where it names those of the plan, else in its mix."""
    names = fleet.models
    if len(names) == 1:
        return np.zeros(len(picked), np.int64)
    if trace.model is not None:
        unknown = sorted(set(trace.model_names) - set(names))
        if unknown:
            raise InputError(
                f"{trace.name}: requests for {', '.join(unknown[:3])}",
                expected=f"the models of the plan: {', '.join(names)}",
                remedy="rename them in the trace, or leave the column out",
            )
        return np.array([names.index(name) for name in trace.model_names])[trace.model[picked]]
    rates = np.array([sum(row.rate_req_per_s for row in fleet.rows if row.model == name) for name in names])
    return rng.choice(len(names), size=len(picked), p=rates / rates.sum())


def _rows(fleet: Fleet, model: Ints, prompt: Ints, answer: Ints) -> Ints:
    """Row of each request: the workload type of its model that its lengths belong to."""
    row = np.zeros(len(model), np.int64)
    for index, name in enumerate(fleet.models):
        mine = np.flatnonzero(model == index)
        demand = fleet.demands[name]
        places = {(each.model, each.kind.name): place for place, each in enumerate(fleet.rows)}
        of_type = np.array([places[name, kind.name] for kind in demand.types])
        if len(mine):
            row[mine] = of_type[assign_types(demand, prompt[mine], answer[mine])]
    return row


def _within(
    fleet: Fleet, model: Ints, prompt: Ints, answer: Ints, longest: Mapping[str, int]
) -> tuple[Ints, Ints, int]:
    """Lengths cut to what each model takes: the answer first, to one token at least; and how many were cut."""
    most = np.array([longest.get(name, np.iinfo(np.int64).max) for name in fleet.models])[model]
    over = prompt + answer > most
    answer = np.where(over, np.maximum(np.minimum(answer, most - prompt), 1), answer)
    return np.minimum(prompt, most - answer), answer, int(over.sum())


def _replayed(trace: Trace, rate: float | None, rate_scale: float | None) -> Floats:
    """Times of arrival of the trace, faster or slower."""
    if trace.arrival_s is None:
        raise InputError(
            f"{trace.name}: no times of arrival",
            expected="a column of them, or a number of requests to draw",
            remedy="draw from it, e.g. --requests 10000",
        )
    scale = rate_scale if rate_scale is not None else 1.0
    if rate is not None and trace.rate_req_per_s:
        scale = rate / trace.rate_req_per_s
    return trace.arrival_s / scale
