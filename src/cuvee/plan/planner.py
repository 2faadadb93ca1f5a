"""The verb `plan`: prepare, search, settle, read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TypeVar

import numpy as np

from cuvee.catalog.gpu import GpuType
from cuvee.plan.candidates.candidate_set import generate_candidates
from cuvee.plan.candidates.dominance import prune_dominated
from cuvee.plan.candidates.exclusions import explain_limits, limit_candidates, without_limits
from cuvee.plan.check.risk import losses_of
from cuvee.plan.disaggregation import chosen_plan, with_half_the_time
from cuvee.plan.moves.move_list import list_moves, with_free
from cuvee.plan.outcome.moves import Moves
from cuvee.plan.outcome.result import (
    Plan,
)
from cuvee.plan.program.contingency import Contingency, Losses
from cuvee.plan.program.formulation import COST_TIE_BREAK
from cuvee.plan.program.machine_losses import MachineLoss
from cuvee.plan.program.phase_candidates import with_pools
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.program.running import with_running
from cuvee.plan.program.shares import SHARE_FLOOR
from cuvee.plan.question.current_fleet import CurrentFleet
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.question.risk import domains
from cuvee.plan.reading import proven_bound, read_plan
from cuvee.plan.search.best_so_far import NOBODY_SERVED, Found
from cuvee.plan.search.infeasible import explain_infeasible
from cuvee.plan.search.losses import Broken, broken_by, demanded
from cuvee.plan.search.pricing import Pricing
from cuvee.plan.search.robust import search_robustly, with_worst_draw
from cuvee.plan.search.robust_cases import draw_cases, with_own_tables
from cuvee.plan.search.runners_up import find_runners_up
from cuvee.plan.search.search import search
from cuvee.plan.search.settling import settle
from cuvee.plan.solver.program import LEAST_S, Answer, Array, StopReason, Termination
from cuvee.profile.analytic import NETWORK_GB_PER_S
from cuvee.profile.engine import EngineSettings
from cuvee.profile.limited import LimitedProvider
from cuvee.profile.table import ThroughputProvider

Step = TypeVar("Step")

RISK_NOT_TRIED = (
    "whether risk.max_share and risk.keep_after_loss alone rule it out was not found out before the search was "
    "stopped; give it longer with --time-limit"
)
"""Said where the search without them was cut short."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A plan, and what helps to solve a problem that differs a little.

    Attributes
        copies            y of each candidate, shape (num_candidates,); zeros without a plan.
        pricing           Marginal values of the relaxation; None where it has no answer.
        unit_req_per_s    What theta = 1 stands for in `pricing` [req/s].
    """

    plan: Plan
    copies: Array
    pricing: Pricing | None
    unit_req_per_s: float


def solve_prepared(prepared: PreparedProblem, *, known: Array | None = None) -> Solved:
    """Solve a prepared problem, unexplained, that is one of many; `known` as of `search`."""
    copies = np.zeros(len(prepared.candidates))
    if prepared.problem.disaggregate:
        return Solved(plan_prepared(prepared, explain=False), copies, None, 0.0)
    plan, found = _plan_whole(prepared, explain=False, known=known)
    if found is None:
        return Solved(plan, copies, None, 0.0)
    if plan.has_plan:
        copies[found.rows] = np.round(found.answer.x[found.layout.copies])
    return Solved(plan, copies, found.pricing, float(found.layout.demand_req_per_s.sum()))


def plan_prepared(prepared: PreparedProblem, *, explain: bool = True) -> Plan:
    """Solve a prepared problem; see `plan`. Runners-up and reasons for having no plan only where `explain` asks.

    Notes       Where prefill and decode may be apart, the plan of whole replicas is found first, in half of the time.
    """
    if not prepared.problem.disaggregate:
        return _plan_whole(prepared, explain=explain)[0]
    halved = with_half_the_time(prepared)
    ordinary, found = _plan_whole(halved, explain=explain)
    if found is None or found.answer.stopped_by is StopReason.INTERRUPTED:
        return chosen_plan(ordinary, None, None)
    try:
        apart, bound = _plan_apart(halved, ordinary, found, explain=explain)
    except KeyboardInterrupt:  # the plan of whole replicas is there
        return chosen_plan(replace(ordinary, stopped_by=StopReason.INTERRUPTED), None, None)
    return chosen_plan(ordinary, apart if isinstance(apart, Plan) else None, bound)


def _plan_apart(
    prepared: PreparedProblem, ordinary: Plan, found: Found, *, explain: bool
) -> tuple[Plan | Termination, float | None]:
    """The best plan where prefill and decode may be apart, if any is better than `ordinary`; and the bound of all."""
    pooled = with_pools(prepared)
    known = None
    if ordinary.has_plan:  # the candidates of whole replicas come first
        known = np.zeros(len(pooled.candidates))
        known[found.rows] = np.round(found.answer.x[found.layout.copies])
    found = search(pooled.problem, pooled.candidates, known=known, beat=ordinary.bound)
    settled = None
    if len(found.answer.x):
        chosen = replace(pooled, candidates=pooled.candidates.select(found.rows))
        copies = np.round(found.answer.x[found.layout.copies]).astype(np.int64)
        settled = settle(found.program, found.layout, copies, chosen)
    apart = _plan_of(found, settled, pooled, explain=explain)
    return apart, proven_bound(found.answer, found.layout, pooled.problem)


def _plan_whole(prepared: PreparedProblem, *, explain: bool, known: Array | None = None) -> tuple[Plan, Found | None]:
    """The best plan over the candidates, and the search that found it; None where there is nothing to search."""
    if not len(prepared.candidates):
        return _without_plan(prepared, Termination.INFEASIBLE, 0.0, explain=explain), None
    found, settled = _search_standing(prepared, known)
    result, _ = _despite_ctrl_c(partial(_plan_of, found, settled, prepared, explain=explain))
    if isinstance(result, Termination):
        return _without_plan(prepared, result, found.answer.seconds, explain=explain, reason=_reason(found)), found
    played, _ = _despite_ctrl_c(partial(_with_losses_and_draws, result, found))
    if prepared.problem.caution.robust_draws and not played.worst_draw_req_per_s and not played.misses_draws:
        stopped, seconds = found.answer.stopped_by, found.answer.seconds
        why = Termination.INFEASIBLE if stopped is None else Termination.NOTHING_FOUND
        return _without_plan(prepared, why, seconds, explain=explain, reason=stopped), None
    return played, found


def _with_losses_and_draws(result: Plan, found: Found) -> Plan:
    result = replace(result, losses=losses_of(result))
    if not result.inputs.problem.caution.robust_draws:
        return result
    bound = (found.answer.bound + COST_TIE_BREAK) * float(found.layout.demand_req_per_s.sum())
    return with_worst_draw(result, bound_req_per_s=bound)


def _despite_ctrl_c(step: Callable[[], Step]) -> tuple[Step, bool]:
    """What `step` returns, begun again where Ctrl-C came in between, and whether it did.

    For what takes a moment and must not be lost; a second Ctrl-C goes on.
    """
    try:
        return step(), False
    except KeyboardInterrupt:
        return step(), True


def _reason(found: Found) -> StopReason:
    """Why there is no plan, where none was ruled out: what was found breaks the limits, unless a search was stopped."""
    return found.answer.stopped_by or StopReason.NUMERICAL_TROUBLE


def _plan_of(found: Found, settled: Answer | None, prepared: PreparedProblem, *, explain: bool) -> Plan | Termination:
    """The plan that a search and its settled assignment stand for, or why there is none."""
    layout, answer, pricing, candidates = found.layout, found.answer, found.pricing, prepared.candidates
    if settled is None:
        return answer.termination
    if not len(settled.x):
        return Termination.NOTHING_FOUND
    if settled.x[layout.services].max() <= NOBODY_SERVED:
        return Termination.INFEASIBLE if answer.termination is Termination.OPTIMAL else Termination.NOTHING_FOUND
    copies = np.round(answer.x[layout.copies]).astype(np.int64)
    searched = replace(prepared, candidates=candidates.select(found.rows))
    result = replace(read_plan(searched, layout, copies, settled, answer), num_candidates=len(candidates))
    if not explain or pricing is None:
        return result
    rented = found.rows[copies > 0]
    sources = list(result.inputs.rate_sources)
    rejected = find_runners_up(candidates, pricing, rented, prepared.problem, sources)
    result = replace(result, runners_up=rejected, inputs=replace(result.inputs, rate_sources=tuple(sources)))
    fleet = prepared.problem.current
    if fleet is None:
        return result
    return replace(result, moves=_with_free(list_moves(prepared, result), prepared, fleet, answer))


def _in_what_is_left(problem: PlanProblem, seconds: float) -> PlanProblem | None:
    """`problem` with what a search of so many seconds left of its time; None where that is nothing."""
    if problem.search.time_limit_s is None:
        return problem
    left = problem.search.time_limit_s - seconds
    return replace(problem, search=replace(problem.search, time_limit_s=left)) if left > LEAST_S else None


def _with_free(moves: Moves, prepared: PreparedProblem, fleet: CurrentFleet, answer: Answer) -> Moves:
    """`moves` beside the best plan if they cost nothing, searched in what is left of the time."""
    problem, candidates = _in_what_is_left(prepared.problem, answer.seconds), prepared.candidates
    interrupted = answer.stopped_by is StopReason.INTERRUPTED
    if problem is None or interrupted:
        return replace(moves, free_stopped_by=StopReason.INTERRUPTED if interrupted else StopReason.TIME_LIMIT)
    nothing = replace(fleet, moves=replace(fleet.moves, startup_s=0.0, start_fee_usd=0.0, drain_s=0.0))
    unpaid = replace(candidates, start_usd_per_hour=np.zeros(len(candidates)))
    at_once = replace(prepared, problem=replace(problem, current=nothing), candidates=unpaid)
    try:
        free = plan_prepared(at_once, explain=False)
    except KeyboardInterrupt:  # the plan itself is there
        return replace(moves, free_stopped_by=StopReason.INTERRUPTED)
    moves = replace(moves, free_stopped_by=free.stopped_by)
    return with_free(moves, prepared.problem, free) if free.has_plan else moves


def _search_standing(prepared: PreparedProblem, known: Array | None) -> tuple[Found, Answer | None]:
    """The best plan that stands every loss it must: what was found, and its assignment; None without a plan."""
    problem = prepared.problem
    started, limit = perf_counter(), problem.search.time_limit_s
    contingencies: list[Contingency | MachineLoss] = []
    while True:
        left = None if limit is None else max(limit - (perf_counter() - started), LEAST_S)
        in_time = replace(problem, search=replace(problem.search, time_limit_s=left))
        found = _search(replace(prepared, problem=in_time), contingencies, known)
        found = replace(found, answer=replace(found.answer, seconds=perf_counter() - started))
        if not len(found.answer.x):
            return found, None
        deadline = np.inf if limit is None else started + limit
        (settled, broken), interrupted = _despite_ctrl_c(partial(_settled, prepared, found, contingencies, deadline))
        if broken.nothing:
            return found, settled
        asked_to = interrupted or found.answer.stopped_by is StopReason.INTERRUPTED
        if asked_to or left == LEAST_S or broken.doubt:  # what it came to breaks a limit, or may, and nothing helps
            reason = found.answer.stopped_by or broken.doubt or StopReason.TIME_LIMIT
            reason = StopReason.INTERRUPTED if asked_to else reason
            answer = replace(found.answer, termination=Termination.NOTHING_FOUND, stopped_by=reason)
            return replace(found, answer=answer), None
        contingencies += broken.losses


def _settled(prepared: PreparedProblem, found: Found, contingencies: Losses, deadline: float) -> tuple[Answer, Broken]:
    """The best assignment to the whole copies that were found, and the losses that they do not stand."""
    problem, candidates = prepared.problem, prepared.candidates
    copies = np.round(found.answer.x[found.layout.copies]).astype(np.int64)
    chosen = replace(prepared, candidates=candidates.select(found.rows))
    settled = settle(found.program, found.layout, copies, chosen)
    if not len(settled.x):
        return settled, Broken()
    everywhere = np.zeros(len(candidates), dtype=np.int64)
    everywhere[found.rows] = copies
    layout = found.layout
    serves = demanded(problem)
    if problem.objective is Objective.THROUGHPUT:
        serves = settled.x[layout.served_by[: layout.num_asked]] * layout.asked_req_per_s
        serves[serves < SHARE_FLOOR * layout.asked_req_per_s] = 0.0
    return settled, broken_by(problem, candidates, everywhere, serves, contingencies, deadline=deadline)


def _search(prepared: PreparedProblem, contingencies: Losses, known: Array | None) -> Found:
    problem, candidates = prepared.problem, prepared.candidates
    if not problem.caution.robust_draws:
        return search(problem, candidates, contingencies, known=known)
    candidates = with_own_tables(candidates)
    return search_robustly(problem, candidates, draw_cases(problem, candidates, prepared.inputs.engine))


def _why_nothing(reason: StopReason | None, seconds: float, limit_s: float | None) -> str:
    """What ended a search that found no plan, and what to do."""
    if reason is StopReason.TIME_LIMIT and limit_s is not None:
        return f"the time limit of {limit_s:g} s ended the search without a plan; give it longer with --time-limit"
    return {
        StopReason.INTERRUPTED: f"interrupted after {seconds:.1f} s without a plan; let it run on",
        StopReason.OUT_OF_MEMORY: "the solver ran out of memory without a plan; ask for fewer offers or workload types",
    }.get(
        reason or StopReason.NUMERICAL_TROUBLE,
        "the solver ran into numerical trouble and found no plan; try a wider --gap, and report it with the scenario",
    )


def _without_plan(
    prepared: PreparedProblem,
    termination: Termination,
    seconds: float,
    *,
    explain: bool,
    reason: StopReason | None = None,
) -> Plan:
    problem = prepared.problem
    message = "no fleet serves the demand within the limits"
    if termination is Termination.NOTHING_FOUND:
        message = _why_nothing(reason, seconds, problem.search.time_limit_s)
    elif problem.risk.max_share or problem.risk.keep_after_loss:
        message = _whether_risk_rules_out(prepared, message, seconds, explain=explain)
    elif explain and problem.caution.robust_draws:
        message = _why_not_robust(prepared, seconds)
    elif explain:
        message = _why_infeasible(prepared)
    return Plan(
        termination=termination,
        objective_name=problem.objective,
        objective=0.0,
        bound=None,
        gap=None,
        rate_req_per_s=0.0,
        num_requests=problem.num_requests,
        makespan_s=None,
        cost_usd_per_hour=0.0,
        groups=(),
        assignment=(),
        machines=(),
        runners_up=(),
        num_candidates_generated=prepared.candidates.num_generated,
        num_candidates=len(prepared.candidates),
        solve_seconds=seconds,
        inputs=prepared.inputs,
        message=message,
        excluded=prepared.excluded,
        stopped_by=reason if termination is Termination.NOTHING_FOUND else None,
    )


def _why_infeasible(prepared: PreparedProblem) -> str:
    """The latency limits, where they leave a workload type to nobody; else the limits on money and GPUs."""
    problem, provider = prepared.problem, prepared.provider
    # What more money could buy was left out so far.
    everything = generate_candidates(problem, without_limits(provider), prepared.gpus)
    if isinstance(provider, LimitedProvider):
        unserved = explain_limits(problem, everything, provider)
        if unserved:
            return unserved
        everything, _ = limit_candidates(everything, provider)
    everything = with_running(everything, problem, provider)
    candidates, engine = prune_dominated(everything), prepared.inputs.engine
    return explain_infeasible(problem, candidates, gpus=prepared.gpus, engine=engine)


def _whether_risk_rules_out(prepared: PreparedProblem, message: str, seconds: float, *, explain: bool) -> str:
    """`message`, and whether there is a plan that takes more risk; searched for in what is left of the time."""
    problem = _in_what_is_left(prepared.problem, seconds)
    if problem is None:
        return f"{message}; {RISK_NOT_TRIED}"
    bolder = replace(problem, risk=replace(problem.risk, max_share={}, keep_after_loss={}))
    found = plan_prepared(replace(prepared, problem=bolder), explain=False)
    if found.has_plan:
        offers = [offer for offer in problem.offers.offers if offer.max_units > 0]
        for kind, share in problem.risk.keep_after_loss.items():
            if share > 0 and any(inside.all() for inside in domains(kind, tuple(offers)).values()):
                alone = f"all that is on offer stands in one {kind}, whose loss leaves nothing"
                return f"{message}: {alone}; offer another, or take risk.keep_after_loss of {kind} out"
        return f"{message}: what risk.max_share and risk.keep_after_loss ask leaves none; ease one of them"
    if found.termination is Termination.NOTHING_FOUND:
        return f"{message}; {RISK_NOT_TRIED}"
    return _why_infeasible(prepared) if explain else message


def _why_not_robust(prepared: PreparedProblem, seconds: float) -> str:
    """Whether it is the draws that exclude every plan, or the limits alone; tried in what is left of the time."""
    problem = _in_what_is_left(prepared.problem, seconds)
    if problem is None:
        return f"no fleet within the limits serves the demand in all {prepared.problem.caution.robust_draws} draws"
    trusting = replace(problem, caution=replace(problem.caution, robust_draws=0))
    estimated = plan_prepared(replace(prepared, problem=trusting))
    if not estimated.has_plan:
        return estimated.message
    return (
        f"no fleet within the limits serves the demand in all {problem.caution.robust_draws} draws; by the estimates "
        f"{estimated.cost_usd_per_hour:.2f} $/h are enough: allow more money or stock, or fewer draws (--robust)"
    )


def plan(
    problem: PlanProblem,
    *,
    engine: EngineSettings | None = None,
    network_gb_per_s: float = NETWORK_GB_PER_S,
    provider: ThroughputProvider | None = None,
    gpus: Mapping[str, GpuType] | None = None,
    scenario: str = "",
) -> Plan:
    """What to rent, how to deploy it and which requests go where.

    Parameters      as of `prepare`.
    Returns         a plan with its proof: see `Plan.termination`. An infeasible problem is an answer too; it names
                    the limit that binds and the smallest change that helps.
                    Ctrl-C ends the search, not the process: the plan is the best so far, with the gap proven so far.
    Raises          DoesNotFitError: a model fits no replica. SolverError: no solver, or it refuses the program.
    Source          Jiang et al., ICML 2025, eq. 1-12, in the bisection-free form of docs/formulation.md.
    """
    prepared = prepare(
        problem, engine=engine, network_gb_per_s=network_gb_per_s, provider=provider, gpus=gpus, scenario=scenario
    )
    return plan_prepared(prepared)
