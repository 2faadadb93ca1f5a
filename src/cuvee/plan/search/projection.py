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

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.candidates.pools import services_of
from cuvee.plan.program.formulation import FLEET_FAMILIES, build_program
from cuvee.plan.program.layout import Layout, asked_workloads, first_workloads
from cuvee.plan.question.problem import Objective, PlanProblem, SearchOptions
from cuvee.plan.solver.program import Answer, Array, Indices, Program, StopReason, Termination, solve, within

SERVICE_SEARCH = SearchOptions(time_limit_s=None)
"""Of the programs that say what copies serve: linear, and quick."""

FIRST_SLICE_S = 3.0
"""Solver time of the first round [s]."""

SLICE_GROWTH = 4.0
"""Solver time of a round over that of the one before, where that changed nothing [-]."""

FIRST_SHARE, LAST_SHARE = 0.5, 0.95
"""Share of the asked gap to which programs with whole copies are solved, while they are quick and after [-]: what is
left of it may go into promises that are not quite kept."""

MOST_RELAXED_ROUNDS = 40
"""Rounds of cuts before copies must be whole [-]; they cost little and save whole ones."""

NEARLY = 0.05
"""Share of the asked gap that the cuts of the relaxation may be off at least cost [-]: whole copies are further off."""

MODEL_S = 2.0
"""Solver time of the programs over the copies of one model [s]."""

MODEL_GAP = 20.0
"""The asked gap over that at which each of them stops [-]: the gaps of all models add up."""

MOST_REPAIRS = 1000
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
        bound        No copies of the candidates searched do better; infinite as the objective where none do at all.
        stopped_by   Why the search ended early; None where it did not.
    """

    copies: Array
    objective: float
    bound: float
    stopped_by: StopReason | None = None


class Fleet:
    """The program over copies alone, to which cuts are added.

    Attributes
        candidates      The candidates searched.
        unit            What theta counts in [-]; see `build_program`.
        program         Without a column for any assignment.
        copies          Columns of y.
        load_factor     Column of theta.
    """

    def __init__(self, problem: PlanProblem, candidates: CandidateSet, unit: float) -> None:
        self.problem, self.candidates, self.unit = problem, candidates, unit
        self.program, self.layout = self.build()
        self.copies, self.load_factor = self.layout.copies, self.layout.load_factor

    def build(self) -> tuple[Program, Layout]:
        """The program without a z column."""
        nobody = np.zeros(0, dtype=np.int64)
        program, layout = build_program(
            self.problem, self.candidates, load_factor_unit=self.unit, pairs=(nobody, nobody)
        )
        # Without assignments these rows would say that nobody is served.
        program.row_lower[program.rows_of("demand", "cover")] = -np.inf
        return program, layout

    @property
    def counts_all(self) -> bool:
        """Whether copies and machines say what a fleet costs: moves from a current one have columns of their own."""
        return len(self.program.cost) == self.layout.size

    def cost_usd_per_hour(self, copies: Array) -> float:
        """Money for whole `copies` and the machines they need [$/h]; inf where stock, budget or caps forbid them."""
        offers, layout, program = self.problem.offers.offers, self.layout, self.program
        x = np.zeros(layout.size)
        x[layout.copies] = copies
        taken = self.candidates.gpus_taken(copies.astype(np.int64), len(offers))
        usable = np.array([usable_gpus(offers[index]) for index in layout.machine_offer], dtype=np.int64)
        x[layout.machines] = -(-taken[layout.machine_offer] // usable)
        rows = program.rows_of(*FLEET_FAMILIES)
        within = program.row_activity(x)[rows] <= program.row_upper[rows] * (1 + 1e-9) + 1e-9
        allowed = bool(within.all()) and bool((x <= program.upper * (1 + 1e-9)).all())
        return float(program.cost @ x) if allowed else np.inf

    def possible(self, copies: Array) -> Array:
        """As many of whole `copies`, which the program allows, as find room in truth."""
        return copies

    def serves(self, copies: Array) -> list[Service]:
        """What `copies`, whole or not, can serve of each model's demand."""
        return services(self.problem, self.candidates, self.unit, copies)

    def cut(self, found: Sequence[Service], promised: float) -> int:
        """Add the cuts of the models that serve less than is promised; returns their number."""
        broken = [service for service in found if service.load_factor < promised * (1 - PROMISED)]
        for service in broken:
            columns = np.append(self.copies[service.rows], self.load_factor)
            self.program.add_row("cut", "", columns, np.append(service.gains, -1.0), lower=0.0)
        return len(broken)


def search_copies(fleet: Fleet, start: Projected, relaxed: Array, deadline: float) -> Projected:
    """The best copies of the fleet's candidates, from those of `start` on, within the gap of the problem's search.

    Parameters
        relaxed     Fractional copies of the relaxation: where the first cut is taken.
        deadline    When to stop with what there is, as of `perf_counter` [s].
    """
    known = (relaxed, start.copies) if start.copies.any() else (relaxed,)
    for copies in known:
        fleet.cut(fleet.serves(copies), np.inf)
    near = start.bound * (1 - NEARLY * fleet.problem.search.relative_gap)
    for _ in range(MOST_RELAXED_ROUNDS):
        answer = solve(fleet.program.relaxed(), within(fleet.problem.search, deadline))
        if not len(answer.x) or perf_counter() > deadline:
            break
        if fleet.problem.objective is Objective.COST and answer.objective >= near:
            break
        if not fleet.cut(fleet.serves(answer.x[fleet.copies]), float(answer.x[fleet.load_factor])):
            break
    if len(answer.x):
        start = _rounded(fleet, answer, start, deadline)
    return _whole(fleet, start, deadline)


def _rounded(fleet: Fleet, answer: Answer, start: Projected, deadline: float) -> Projected:
    """The whole copies of a fractional answer, repaired, where they cost less than `start`; least cost only."""
    if fleet.problem.objective is not Objective.COST:
        return start
    repaired = _repaired(fleet, np.floor(answer.x[fleet.copies] + 1e-9), answer, deadline)
    return start if start.objective <= repaired.objective else replace(repaired, bound=start.bound)


def _model_by_model(fleet: Fleet, best: Projected, rounds: int, deadline: float) -> Projected:
    """Better copies of each model in turn, those of the others held; least cost only.

    Parameters
        rounds    Programs over the copies of a model, each with the cut that the one before asks for [-].
    """
    num_models = len(fleet.problem.models)
    if fleet.problem.objective is not Objective.COST or num_models == 1 or not fleet.counts_all:
        return best
    program, model_of = fleet.program, fleet.candidates.model_index
    lower, upper = program.lower.copy(), program.upper.copy()
    for model in range(num_models):
        until = min(deadline, perf_counter() + MODEL_S)
        if proven(best, fleet.problem) or perf_counter() > deadline:
            break
        held = fleet.copies[model_of != model]
        program.lower[held] = program.upper[held] = best.copies[model_of != model]
        try:
            answer = _of_model(fleet, model, best, rounds, until)
            program.lower[held], program.upper[held] = lower[held], upper[held]
            copies = np.round(answer.x[fleet.copies]) if len(answer.x) else best.copies
            found = _repaired(fleet, copies, answer, deadline) if len(answer.x) else best
        except KeyboardInterrupt:
            return replace(best, stopped_by=StopReason.INTERRUPTED)
        if found.objective < best.objective:
            best = replace(found, bound=best.bound)
    return best


def _of_model(fleet: Fleet, model: int, best: Projected, rounds: int, until: float) -> Answer:
    """The best copies of one model, all others being fixed, as far as its cuts tell after some rounds."""
    search = fleet.problem.search
    for _ in range(rounds):
        options = within(replace(search, relative_gap=search.relative_gap / MODEL_GAP), until)
        answer = solve(fleet.program, options, start=best.copies)
        if answer.stopped_by is StopReason.INTERRUPTED:
            raise KeyboardInterrupt
        if not len(answer.x) or perf_counter() > until:
            break
        copies = np.round(answer.x[fleet.copies])
        found = service_of(fleet.problem, fleet.candidates, fleet.unit, copies, model)
        if not fleet.cut([found], float(answer.x[fleet.load_factor])):
            break
    return answer


def _whole(fleet: Fleet, best: Projected, deadline: float) -> Projected:
    """Rounds with whole copies, until the promise is kept within the gap."""
    search = fleet.problem.search
    slice_s = FIRST_SLICE_S
    better, rounds, promised = max if fleet.program.maximize else min, 1, np.zeros(0)
    share = FIRST_SHARE
    while not proven(best, fleet.problem):
        if np.isfinite(best.objective):
            best = _model_by_model(fleet, best, rounds, deadline)
            rounds *= 2
        if best.stopped_by is StopReason.INTERRUPTED:
            return best
        left = deadline - perf_counter()
        if left <= 0:
            return replace(best, stopped_by=StopReason.TIME_LIMIT)
        options = replace(search, time_limit_s=min(slice_s, left), relative_gap=search.relative_gap * share)
        try:
            answer = solve(fleet.program, options, start=best.copies if np.isfinite(best.objective) else None)
            if answer.termination is not Termination.INFEASIBLE:
                best = replace(best, bound=-better(-best.bound, -answer.bound))
            if answer.stopped_by is StopReason.INTERRUPTED:
                raise KeyboardInterrupt
            if not len(answer.x):
                return _unanswered(best, answer)
            found = _kept(fleet, answer, deadline)
        except KeyboardInterrupt:
            return replace(best, stopped_by=StopReason.INTERRUPTED)
        if np.isfinite(found.objective) and not _is_as_good(best, found, maximize=fleet.program.maximize):
            best = replace(found, bound=best.bound)
        elif answer.termination is not Termination.OPTIMAL:
            slice_s, share = SLICE_GROWTH * slice_s, LAST_SHARE
        elif np.array_equal(answer.x[fleet.copies], promised):  # cut off by nothing, it finds no room
            return best
        promised = answer.x[fleet.copies]
    return best


def _unanswered(best: Projected, answer: Answer) -> Projected:
    """`best` where a program over copies gives none: there are none at all, or it was stopped."""
    if answer.termination is Termination.INFEASIBLE and not np.isfinite(best.objective):
        return replace(best, bound=best.objective)
    return replace(best, stopped_by=answer.stopped_by or StopReason.NUMERICAL_TROUBLE)


def _is_as_good(best: Projected, found: Projected, *, maximize: bool) -> bool:
    """Whether `found` is no better than `best`, but for rounding."""
    sign = 1 if maximize else -1
    return bool(sign * found.objective <= sign * best.objective + PROMISED * abs(found.objective))


def _kept(fleet: Fleet, answer: Answer, deadline: float) -> Projected:
    """What the copies of `answer` are truly worth; the promises they do not keep are cut off."""
    copies = np.round(answer.x[fleet.copies])
    if fleet.problem.objective is Objective.COST:
        return _repaired(fleet, copies, answer, deadline)
    promised = float(answer.x[fleet.load_factor])
    found = fleet.serves(copies)
    fleet.cut(found, promised)
    served = min(service.load_factor for service in found)
    return Projected(copies, answer.objective - promised + served, np.nan)


def _repaired(fleet: Fleet, copies: Array, answer: Answer, deadline: float) -> Projected:
    """`copies` of `answer` and as many more as the demand needs: where it lacks, what adds most per dollar.

    Notes           The promises that they do not keep on the way are cut off. Nothing where the deadline comes before.
    """
    nothing = Projected(copies, np.inf, np.nan)
    promised = float(answer.x[fleet.load_factor])
    copies = fleet.possible(copies)
    found = fleet.serves(copies)
    fleet.cut(found, promised)
    if not fleet.counts_all:  # moves from a current fleet, which no repair knows
        served = min(service.load_factor for service in found)
        whole = np.allclose(copies, answer.x[fleet.copies], atol=1e-5) and served >= promised * (1 - PROMISED)
        return replace(nothing, objective=answer.objective) if whole else nothing
    for _ in range(MOST_REPAIRS):
        model = int(np.argmin([service.load_factor for service in found]))
        short = found[model]
        if short.load_factor >= promised * (1 - PROMISED):
            return Projected(copies, fleet.cost_usd_per_hour(copies), np.nan)
        if perf_counter() > deadline:
            return nothing
        wanted = np.minimum(short.gains, promised - short.load_factor)
        order = short.rows[np.argsort(-wanted / fleet.candidates.price_usd_per_hour[short.rows], kind="stable")]
        for row in order[:MOST_TRIED].tolist():
            more = copies.copy()
            more[row] += 1
            if np.isfinite(fleet.cost_usd_per_hour(more)):
                copies = more
                break
        else:
            return nothing
        found[model] = service_of(fleet.problem, fleet.candidates, fleet.unit, copies, model)
        fleet.cut([found[model]], promised)
    return nothing


def proven(best: Projected, problem: PlanProblem) -> bool:
    """Whether bound and objective are within the asked gap."""
    finite = np.isfinite(best.objective)
    return bool(finite and abs(best.bound - best.objective) <= problem.search.relative_gap * abs(best.objective))


def services(problem: PlanProblem, candidates: CandidateSet, unit: float, copies: Array) -> list[Service]:
    """What `copies`, whole or not, can serve of each model's demand."""
    return [service_of(problem, candidates, unit, copies, model) for model in range(len(problem.models))]


def service_of(problem: PlanProblem, candidates: CandidateSet, unit: float, copies: Array, model: int) -> Service:
    """What `copies`, whole or not, can serve of one model's demand."""
    first, (asked, phase) = first_workloads(candidates), asked_workloads(candidates)
    demanded = np.concatenate([np.array(rates) for rates in problem.rates_req_per_s]) * unit
    model_of = np.arange(len(problem.models)) if candidates.pools is None else candidates.pools.model
    table_of = np.repeat(np.arange(len(model_of)), np.diff(first))
    rows = np.flatnonzero(model_of[candidates.model_index] == model)
    columns = np.flatnonzero(model_of[table_of] == model)
    relative = np.zeros((len(rows), len(columns)))
    for table in np.flatnonzero(model_of == model).tolist():
        its = np.flatnonzero(candidates.model_index[rows] == table)
        own = np.flatnonzero(table_of[columns] == table)
        relative[its[:, None], own] = candidates.rate_req_per_s(table) / demanded[asked[columns[own]]]
    served = np.searchsorted(columns, asked[columns])
    return _service(rows, relative, copies[rows], served, phase[columns])


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
