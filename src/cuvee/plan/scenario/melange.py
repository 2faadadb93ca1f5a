"""The question that Mélange and AIBrix ask: the least cost of profiled GPUs for requests on a grid of lengths.

A GPU of the files is a replica of its own, whatever it stands for: a card, or a machine of eight. Its price is that of
the replica, its rates are measured, and as many of it as wanted can be rented. Neither the model's shape nor the GPU's
figures are known, so nothing is estimated. The rest is the planner's program: shares of a cell are continuous, where
Mélange cuts each cell into slices that go to one GPU as a whole.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.catalog.offer import Offer, OfferSet
from cuvee.errors import InputError
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.aim import Aim
from cuvee.plan.question.caution import Caution
from cuvee.plan.question.problem import Limits, ModelDemand, Objective, PlanProblem, SearchOptions
from cuvee.plan.scenario.grid_files import GridCase, GridProfile, LengthTicks
from cuvee.profile.engine import NOT_STATED
from cuvee.profile.measured import MeasuredRate, TableProvider, model_key
from cuvee.profile.measured_files import MEASURED_ERROR
from cuvee.workload.edges import LengthEdges
from cuvee.workload.mixes import REQUESTS_PER_MIX
from cuvee.workload.records import Demand, WorkloadType, type_names

Array = NDArray[np.float64]

MOST_COPIES = 1e6
"""Copies beyond which a GPU counts as not serving a cell [-]: profilers write tiny rates where they mean none."""

PLENTY = 10_000
"""Least units of each GPU in stock [-]; or ten times what the demand or the budget could ever use of it."""

BEYOND_TICKS = math.sqrt(2)
"""Lengths above the largest profiled by this factor are told of [-]: half a step where lengths double."""

MOST_NAMED = 5
"""Cells that one message names."""

MODEL, SELLER = "model not stated", "any"
"""What the files do not say."""


@dataclass(frozen=True)
class GridDemand:
    """A demand, and the cell (row of prompts, column of answers) in which each of its types was profiled."""

    demand: Demand
    cells: tuple[tuple[int, int], ...]


def demand_of_shares(case: GridCase) -> GridDemand:
    """The demand that the files state: a workload type for each cell that has requests."""
    assert case.shares is not None
    cells = [(int(row), int(column)) for row, column in np.argwhere(case.shares > 0)]
    shares = [float(case.shares[cell]) for cell in cells]
    total = math.fsum(shares)
    demand = Demand(
        types=_types(case, cells),
        num_requests=tuple(share / total * REQUESTS_PER_MIX for share in shares),
        rate_req_per_s=None if case.rate_req_per_s is None else case.rate_req_per_s * total,
        name="{} x {} cells".format(*case.shares.shape),
    )
    return GridDemand(demand, tuple(cells))


def _types(case: GridCase, cells: Sequence[tuple[int, int]]) -> tuple[WorkloadType, ...]:
    if case.ticks is None:
        return tuple(WorkloadType(f"[{row}][{column}]", 0.0, 0.0) for row, column in cells)
    means = [(case.ticks.input_tokens[row], case.ticks.output_tokens[column]) for row, column in cells]
    return tuple(WorkloadType(name, *mean) for name, mean in zip(type_names(means), means, strict=True))


def edges_between(ticks: LengthTicks) -> LengthEdges:
    """Lengths at which the nearest cell changes: geometric means, since AIBrix rounds logarithms of lengths."""
    return LengthEdges(*(tuple(math.sqrt(low * high) for low, high in pairwise(ticks_of)) for ticks_of in _both(ticks)))


def demand_in_cells(case: GridCase, demand: Demand) -> GridDemand:
    """`demand`, each type in the cell whose lengths are nearest to its means by ratio, as AIBrix takes them.

    Raises          InputError: the files do not say which lengths their cells stand for.
    """
    if case.ticks is None:
        raise InputError(
            f"{case.name}: grids without lengths, and a demand that has some",
            expected="profiles with indexes, or a workload_distribution in place of a mix or trace",
            remedy="add a file with workload_distribution and total_request_rate",
        )
    ticks = [np.log(values) for values in _both(case.ticks)]
    cells = tuple(
        (_nearest(ticks[0], kind.input_tokens), _nearest(ticks[1], kind.output_tokens)) for kind in demand.types
    )
    beyond = sum(
        count
        for kind, count in zip(demand.types, demand.num_requests, strict=True)
        if kind.input_tokens > case.ticks.input_tokens[-1] * BEYOND_TICKS
        or kind.output_tokens > case.ticks.output_tokens[-1] * BEYOND_TICKS
    )
    if beyond:
        note = (
            f"{beyond / demand.total_requests:.1%} of the requests are longer than the longest profiled "
            f"({case.ticks.input_tokens[-1]:g} in, {case.ticks.output_tokens[-1]:g} out) and are rated as those, as "
            "AIBrix does: they take more than is planned for them"
        )
        demand = replace(demand, notes=(*demand.notes, note))
    return GridDemand(demand, cells)


def _both(ticks: LengthTicks) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return ticks.input_tokens, ticks.output_tokens


def _nearest(logarithms: Array, length: float) -> int:
    return int(np.abs(logarithms - math.log(length)).argmin())


def prepare_grid(
    case: GridCase,
    asked: GridDemand,
    *,
    limits: Limits,
    objective: Objective,
    search: SearchOptions,
    caution: Caution,
    headroom: float = 0.0,
    scenario: str = "",
) -> PreparedProblem:
    """The problem that the files pose, prepared for `plan_prepared`.

    Parameters
        asked       The demand; its arrival rate may be another than that of the files.
        limits      GPU types in it are called as in the files.
        headroom    As of `Aim`.
        scenario    Where the question comes from, kept in the plan.
    Raises          InputError: a cell with requests that no GPU serves; it is named.
    """
    rates = np.array([[profile.rate_req_per_s[cell] for cell in asked.cells] for profile in case.profiles])
    demanded = np.array(asked.demand.shares) * (asked.demand.rate_req_per_s or 0.0) * (1 + headroom)
    rates[rates < demanded / MOST_COPIES] = 0.0
    _require_served(case, asked, rates)
    problem = PlanProblem(
        (ModelDemand(ModelSpec.without_shape(MODEL), asked.demand),),
        _offers(case, rates, demanded, limits.budget_usd_per_hour or 0.0),
        limits,
        objective,
        replace(search, max_pipeline_stages=1, max_mixed_stages=0),
        caution,
        aim=Aim(headroom=headroom),
    )
    return prepare(
        problem,
        engine=NOT_STATED,
        provider=TableProvider(tuple(_measured(case, asked, rates)), name=case.name),
        gpus={profile.gpu: GpuType.without_figures(profile.gpu) for profile in case.profiles},
        scenario=scenario,
    )


def _offers(
    case: GridCase,
    rates: Array,
    demanded: Array,
    budget_usd_per_hour: float,
) -> OfferSet:
    """Every GPU at its price, and more of it than anyone could use."""
    copies = np.divide(demanded, rates, out=np.zeros_like(rates), where=rates > 0).sum(axis=1)
    offers = []
    for profile, needed in zip(case.profiles, copies, strict=True):
        usable = max(float(needed), budget_usd_per_hour / profile.price_usd_per_hour)
        units = max(PLENTY, math.ceil(10 * usable))
        offers.append(Offer(profile.gpu, SELLER, profile.price_usd_per_hour, stock=units, source=profile.place))
    idle = [case.profiles[index].gpu for index in np.flatnonzero(~(rates > 0).any(axis=1))]
    notes = (
        "a GPU of the file is one replica; as many as wanted can be rented",
        *case.notes,
        *((f"serve no cell that has requests: {', '.join(idle)}",) if idle else ()),
    )
    return OfferSet(case.name, tuple(offers), "", case.name, notes, unlimited=True)


def _measured(case: GridCase, asked: GridDemand, rates: Array) -> Iterator[MeasuredRate]:
    """A line for each GPU and type that it serves."""
    for profile, row in zip(case.profiles, rates, strict=True):
        for kind, rate in zip(asked.demand.types, row, strict=True):
            if rate > 0:
                yield _line(profile, kind, float(rate))


def _line(profile: GridProfile, kind: WorkloadType, rate_req_per_s: float) -> MeasuredRate:
    return MeasuredRate(
        model=model_key(MODEL),
        stages=((profile.gpu, 1),),
        layers=None,
        precision="bf16",
        kv_precision=None,
        spans_machines=None,
        input_tokens=kind.input_tokens,
        output_tokens=kind.output_tokens,
        rate_req_per_s=rate_req_per_s,
        relative_error=MEASURED_ERROR,
        source=profile.place,
        workload=kind.name,
    )


def _require_served(case: GridCase, asked: GridDemand, rates: Array) -> None:
    """Raise where a cell with requests is served by nobody; it is called by row, column, lengths and share."""
    unserved = np.flatnonzero(~(rates > 0).any(axis=0))
    if not len(unserved):
        return
    named = [_cell_label(case, asked, int(index)) for index in unserved[:MOST_NAMED]]
    more = f", and {len(unserved) - MOST_NAMED} more cells" if len(unserved) > MOST_NAMED else ""
    raise InputError(
        f"{case.name}: no GPU serves {', '.join(named)}{more}",
        expected="for each cell with requests a GPU with a rate above 0 req/s",
        remedy="profile a GPU that serves it, or take its requests out of the demand",
    )


def _cell_label(case: GridCase, asked: GridDemand, index: int) -> str:
    row, column = asked.cells[index]
    place = f"[{column}][{row}]" if case.by_output else f"[{row}][{column}]"
    label = f"cell {place} of tputs"
    if case.ticks is not None:
        label += f" ({case.ticks.input_tokens[row]:g} tokens in, {case.ticks.output_tokens[column]:g} out)"
    share, rate = asked.demand.shares[index], asked.demand.rate_req_per_s
    amount = f"{share:.3g}" if rate is None else f"{share:.3g}, {share * rate:.3g} req/s"
    return f"{label} with a share of {amount}"
