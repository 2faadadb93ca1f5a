"""Projection: the search over copies alone, where assignments would make the program too large.

What copies y of model m can serve is a linear program of its own,

    theta_m(y) = max theta  subject to  sum_c h_cw z_cw >= theta lambda_w,  sum_w z_cw <= y_c,

concave in y. Each of its dual solutions pi, with sum_w pi_w lambda_w = 1, is a cut that holds for every fleet:

    theta_m <= sum_c g_c y_c      with      g_c = max_w pi_w h_cw.

The program over copies with a few dozen such cuts stands for the one with a column for each pair of candidate and
workload (Benders, 1962). Cuts are added where its answer promises more than the copies can serve, until none does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import FLEET_FAMILIES, build_program
from cuvee.plan.layout import Layout, asked_workloads, first_workloads
from cuvee.plan.placement import usable_gpus
from cuvee.plan.pools import services_of
from cuvee.plan.problem import Objective, PlanProblem, SearchOptions
from cuvee.plan.program import Answer, Array, Indices, Program, StopReason, Termination, solve, within

SERVICE_SEARCH = SearchOptions(time_limit_s=None)
"""Of the programs that say what copies serve: linear, and quick."""

FIRST_SLICE_S = 3.0
"""Solver time of the first round [s]; each round that changes nothing gets twice as much."""

MOST_RELAXED_ROUNDS = 40
"""Rounds of cuts before copies must be whole [-]; they cost little and save whole ones."""

MOST_REPAIRS = 50
"""Copies added at most to a least-cost fleet that serves too little [-]."""

MOST_TRIED = 40
"""Candidates tried for each of them [-]."""

PROMISED = 1e-7
"""Relative excess over what the copies serve from which a promise is cut off [-]: the solver's own tolerance."""


@dataclass(frozen=True, eq=False)
class Service:
    """What some copies of one model can serve, and the cut that says so of all fleets.

    Attributes
        rows           Candidates of the model, as rows of those searched.
        load_factor    theta_m(y) [-].
        gains          g_c: most that one copy adds to it, shape (len(rows),).
    """

    rows: Indices
    load_factor: float
    gains: Array


@dataclass(frozen=True, eq=False)
class Projected:
    """The best copies found, and the proof.

    Attributes
        copies       y over the candidates searched, shape (num_candidates,).
        objective    Of the whole program, as `Answer.objective`.
        bound        No copies of the candidates searched do better.
        stopped_by   Why the search ended early; None where it did not.
    """

    copies: Array
    objective: float
    bound: float
    stopped_by: StopReason | None = None


def search_copies(
    problem: PlanProblem, candidates: CandidateSet, unit: float, start: Projected, relaxed: Array, deadline: float
) -> Projected:
    """The best copies of `candidates`, from those of `start` on, within the gap of the problem's search.

    Parameters
        unit        What theta counts in [-]; see `build_program`.
        relaxed     Fractional copies of the relaxation: where the first cut is taken.
        deadline    When to stop with what there is, as of `perf_counter` [s].
    """
    program, layout = _over_copies(problem, candidates, unit)
    known = (relaxed, start.copies) if start.copies.any() else (relaxed,)
    for copies in known:
        _cut(program, layout, services(problem, candidates, unit, copies), np.inf, copies)
    for _ in range(MOST_RELAXED_ROUNDS):
        answer = solve(program.relaxed(), within(problem.search, deadline))
        if not len(answer.x) or perf_counter() > deadline:
            break
        copies, promised = answer.x[layout.copies], float(answer.x[layout.load_factor])
        if not _cut(program, layout, services(problem, candidates, unit, copies), promised, copies):
            break
    if len(answer.x):
        start = _rounded(answer, start, program, layout, problem, candidates, unit)
    return _whole(program, layout, problem, candidates, unit, start, deadline)


def _rounded(
    answer: Answer,
    start: Projected,
    program: Program,
    layout: Layout,
    problem: PlanProblem,
    candidates: CandidateSet,
    unit: float,
) -> Projected:
    """The whole copies of a fractional answer, repaired, where they cost less than `start`; least cost only."""
    if problem.objective is not Objective.COST:
        return start
    copies = np.floor(answer.x[layout.copies] + 1e-9)
    found = services(problem, candidates, unit, copies)
    repaired = _repaired(copies, found, answer, program, layout, problem, candidates, unit)
    return start if start.objective <= repaired.objective else replace(repaired, bound=start.bound)


def _whole(
    program: Program,
    layout: Layout,
    problem: PlanProblem,
    candidates: CandidateSet,
    unit: float,
    best: Projected,
    deadline: float,
) -> Projected:
    """Rounds with whole copies, until the promise is kept within the gap."""
    slice_s = FIRST_SLICE_S
    better = max if program.maximize else min
    while not proven(best, problem):
        left = deadline - perf_counter()
        if left <= 0:
            return replace(best, stopped_by=StopReason.TIME_LIMIT)
        options = replace(problem.search, time_limit_s=min(slice_s, left), relative_gap=problem.search.relative_gap / 2)
        try:
            answer = solve(program, options, start=best.copies if np.isfinite(best.objective) else None)
            if answer.termination is not Termination.INFEASIBLE:
                best = replace(best, bound=-better(-best.bound, -answer.bound))
            if answer.stopped_by is StopReason.INTERRUPTED:
                raise KeyboardInterrupt
            if not len(answer.x):
                return replace(best, stopped_by=answer.stopped_by or StopReason.NUMERICAL_TROUBLE)
            found = _kept(answer, program, layout, problem, candidates, unit)
        except KeyboardInterrupt:
            return replace(best, stopped_by=StopReason.INTERRUPTED)
        if better(found.objective, best.objective) != best.objective:
            best = replace(found, bound=best.bound)
        elif answer.termination is not Termination.OPTIMAL:
            slice_s *= 2
    return best


def _kept(
    answer: Answer, program: Program, layout: Layout, problem: PlanProblem, candidates: CandidateSet, unit: float
) -> Projected:
    """What the copies of `answer` are truly worth; the promises they do not keep are cut off."""
    copies = np.round(answer.x[layout.copies])
    promised = float(answer.x[layout.load_factor])
    found = services(problem, candidates, unit, copies)
    _cut(program, layout, found, promised, copies)
    if problem.objective is Objective.COST:
        return _repaired(copies, found, answer, program, layout, problem, candidates, unit)
    served = min(service.load_factor for service in found)
    return Projected(copies, answer.objective - promised + served, np.nan)


def _repaired(
    copies: Array,
    found: list[Service],
    answer: Answer,
    program: Program,
    layout: Layout,
    problem: PlanProblem,
    candidates: CandidateSet,
    unit: float,
) -> Projected:
    """`copies` of `answer` and as many more as the demand needs: where it lacks, what adds most per dollar."""
    nothing = Projected(copies, np.inf, np.nan)
    promised = float(answer.x[layout.load_factor])
    if len(program.cost) > layout.size:  # moves from a current fleet have columns of their own, which no repair knows
        served = min(service.load_factor for service in found)
        whole = np.allclose(copies, answer.x[layout.copies], atol=1e-5) and served >= promised * (1 - PROMISED)
        return replace(nothing, objective=answer.objective) if whole else nothing
    for _ in range(MOST_REPAIRS):
        short = min(found, key=lambda service: service.load_factor)
        if short.load_factor >= promised * (1 - PROMISED):
            return Projected(copies, float(program.cost @ _columns(copies, layout, problem, candidates)), np.nan)
        wanted = np.minimum(short.gains, promised - short.load_factor)
        order = short.rows[np.argsort(-wanted / candidates.price_usd_per_hour[short.rows], kind="stable")]
        for row in order[:MOST_TRIED].tolist():
            more = copies.copy()
            more[row] += 1
            if _allowed(_columns(more, layout, problem, candidates), program):
                copies = more
                break
        else:
            return nothing
        found = services(problem, candidates, unit, copies)
        _cut(program, layout, found, promised, copies)
    return nothing


def _columns(copies: Array, layout: Layout, problem: PlanProblem, candidates: CandidateSet) -> Array:
    """`copies` and the machines they need, as columns."""
    offers = problem.offers.offers
    x = np.zeros(layout.size)
    x[layout.copies] = copies
    taken = candidates.gpus_taken(copies.astype(np.int64), len(offers))
    usable = np.array([usable_gpus(offers[index]) for index in layout.machine_offer], dtype=np.int64)
    x[layout.machines] = -(-taken[layout.machine_offer] // usable)
    return x


def _allowed(x: Array, program: Program) -> bool:
    """Whether stock, budget and caps allow what `x` rents."""
    rows = program.rows_of(*FLEET_FAMILIES)
    within = program.row_activity(x)[rows] <= program.row_upper[rows] * (1 + 1e-9) + 1e-9
    return bool(within.all()) and bool((x <= program.upper * (1 + 1e-9)).all())


def proven(best: Projected, problem: PlanProblem) -> bool:
    """Whether bound and objective are within the asked gap."""
    finite = np.isfinite(best.objective)
    return bool(finite and abs(best.bound - best.objective) <= problem.search.relative_gap * abs(best.objective))


def _over_copies(problem: PlanProblem, candidates: CandidateSet, unit: float) -> tuple[Program, Layout]:
    """The program without a z column."""
    nobody = np.zeros(0, dtype=np.int64)
    program, layout = build_program(problem, candidates, load_factor_unit=unit, pairs=(nobody, nobody))
    # Without assignments these rows would say that nobody is served.
    program.row_lower[program.rows_of("demand", "cover")] = -np.inf
    return program, layout


def _cut(program: Program, layout: Layout, found: Sequence[Service], promised: float, copies: Array) -> int:
    """Add the cuts of the models that serve less than is promised; returns their number."""
    broken = [service for service in found if service.load_factor < promised * (1 - PROMISED)]
    for service in broken:
        columns = np.append(layout.copies[service.rows], layout.load_factor)
        program.add_row("cut", "", columns, np.append(service.gains, -1.0), lower=0.0)
    return len(broken)


def services(problem: PlanProblem, candidates: CandidateSet, unit: float, copies: Array) -> list[Service]:
    """What `copies`, whole or not, can serve of each model's demand."""
    first, (asked, phase) = first_workloads(candidates), asked_workloads(candidates)
    demanded = np.concatenate([np.array(rates) for rates in problem.rates_req_per_s]) * unit
    model_of = np.arange(len(problem.models)) if candidates.pools is None else candidates.pools.model
    table_of = np.repeat(np.arange(len(model_of)), np.diff(first))
    found = []
    for model in range(len(problem.models)):
        rows = np.flatnonzero(model_of[candidates.model_index] == model)
        columns = np.flatnonzero(model_of[table_of] == model)
        relative = np.zeros((len(rows), len(columns)))
        for table in np.flatnonzero(model_of == model).tolist():
            its = np.flatnonzero(candidates.model_index[rows] == table)
            own = np.flatnonzero(table_of[columns] == table)
            relative[its[:, None], own] = candidates.rate_req_per_s(table) / demanded[asked[columns[own]]]
        served = np.searchsorted(columns, asked[columns])
        found.append(_service(rows, relative, copies[rows], served, phase[columns]))
    return found


def _service(rows: Indices, relative: Array, copies: Array, asked: Indices, phase: Indices) -> Service:
    """theta_m and its cut, of candidates at `rows` with h_cw / lambda_w `relative`; see `asked_workloads`."""
    rented = np.flatnonzero(copies > 0)
    candidate, workload = np.nonzero(relative[rented])
    num_workloads, busy, service = relative.shape[1], np.arange(len(candidate)), services_of(phase)
    program = Program.of_size(len(busy) + 1 + int(service.max(initial=0)))
    program.maximize = True
    theta = len(busy)
    program.cost[theta] = 1.0
    demand = program.add_rows(
        "demand",
        range(num_workloads),
        (
            np.append(workload, np.arange(num_workloads)),
            np.append(busy, theta + service),
            np.append(relative[rented][candidate, workload], np.full(num_workloads, -1.0)),
        ),
        lower=0.0,
    )
    sent = np.flatnonzero(phase == 1)
    program.add_entries(demand[asked[sent]], theta + service[sent], 1.0)
    program.add_rows("capacity", range(len(rented)), (candidate, busy, 1.0), upper=copies[rented])
    answer = solve(program, SERVICE_SEARCH)
    worth = np.abs(answer.row_dual[demand])
    per_theta = worth / max(worth[phase == 0].sum(), 1e-300)
    return Service(rows, answer.objective, (relative * per_theta).max(axis=1, initial=0.0))
