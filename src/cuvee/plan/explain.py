"""`explain`: which limits bind, what a little more of each would bring, why one GPU type alone loses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cuvee.plan.baselines import Baseline, gpu_types_on_offer, single_type
from cuvee.plan.planner import PreparedProblem, plan_prepared, prepare
from cuvee.plan.problem import Objective, PlanProblem
from cuvee.plan.result import AssignmentRow, Plan
from cuvee.units import SECONDS_PER_HOUR


@dataclass(frozen=True)
class LimitUse:
    """How much of one limit a plan takes.

    Attributes
        unit      "$/h" or "GPUs".
        binding   Whether nothing of it is left for one more GPU, or less than the cheapest GPU costs.
    """

    name: str
    used: float
    limit: float
    unit: str
    binding: bool


@dataclass(frozen=True)
class MarginalGain:
    """What one more unit of a limit brings, by solving again.

    Attributes
        change    "budget +1 $/h" or "one more A40".
        gain      Change of the objective [req/s more, or $/h less]; 0 where it changes nothing.
        unit      Of the gain.
    """

    change: str
    gain: float
    unit: str


@dataclass(frozen=True)
class TypeCost:
    """What a thousand requests of one workload type cost in the plan and on the best single-type fleet [$]."""

    model: str
    workload: str
    plan_usd_per_1000: float
    single_type_usd_per_1000: float


@dataclass(frozen=True)
class Explanation:
    """Result of `explain`.

    Attributes
        limits         Every limit and its use.
        gains          What one more $ or one more GPU of each type brings.
        best_single    The best plan on one GPU type within the same stock; None where none serves the demand.
        type_costs     Where that plan pays more, dearest difference first.
    """

    limits: tuple[LimitUse, ...]
    gains: tuple[MarginalGain, ...]
    best_single: Baseline | None
    type_costs: tuple[TypeCost, ...]


def explain(prepared: PreparedProblem, plan: Plan, *, progress: Callable[[str], None] | None = None) -> Explanation:
    """Explain `plan`, which must come from `prepared`.

    Parameters
        progress    Called with what is being solved: a problem per GPU type and one for the budget.
    Notes           Gains are exact differences of two solved plans, each within the plan's gap, not shadow prices of a
                    relaxation: whole replicas make one more GPU worthless and four more worth a lot.
    """
    report = progress or (lambda _: None)
    gains = tuple(_gain(prepared, plan, change, changed, report) for change, changed in _changes(prepared.problem))
    report("best plan on one GPU type")
    best = best_single_type(prepared)
    costs = () if best is None else _type_costs(plan, best.plan)
    return Explanation(tuple(limit_uses(plan)), gains, best, costs)


def best_single_type(prepared: PreparedProblem) -> Baseline | None:
    """The best single-type plan within the stock; None where no type alone serves the demand."""
    found = [single_type(prepared, gpu) for gpu in gpu_types_on_offer(prepared.problem)]
    feasible = [each for each in found if each.plan.has_plan]
    maximize = prepared.problem.objective is Objective.THROUGHPUT
    return max(feasible, key=lambda each: each.plan.objective * (1 if maximize else -1), default=None)


def limit_uses(plan: Plan) -> Iterator[LimitUse]:
    """Use of the budget, of the stock of every GPU type rented or rentable, and of the caps on GPUs."""
    problem = plan.inputs.problem
    offers = [offer for offer in problem.offers.offers if offer.max_units > 0]
    budget = problem.limits.budget_usd_per_hour
    if budget is not None:
        left = budget - plan.cost_usd_per_hour
        cheapest = min(offer.price_usd_per_hour for offer in offers)
        yield LimitUse("budget", plan.cost_usd_per_hour, budget, "$/h", left < cheapest)
    for gpu in gpu_types_on_offer(problem):
        stock = sum(offer.max_units * offer.num_gpus for offer in offers if offer.gpu == gpu)
        idle = sum(rented.idle_gpus for rented in plan.machines if problem.offers.offers[rented.offer].gpu == gpu)
        used = plan.gpu_counts.get(gpu, 0) + idle
        yield LimitUse(f"stock of {gpu}", used, stock, "GPUs", used == stock)
        cap = problem.limits.max_gpus.get(gpu)
        if cap is not None:
            yield LimitUse(f"max_gpus of {gpu}", used, cap, "GPUs", used >= cap)


def _changes(problem: PlanProblem) -> Iterator[tuple[str, PlanProblem]]:
    limits = problem.limits
    if limits.budget_usd_per_hour is not None:
        more = replace(limits, budget_usd_per_hour=limits.budget_usd_per_hour + 1)
        yield "budget +1 $/h", replace(problem, limits=more)
    for gpu in gpu_types_on_offer(problem):
        offers = list(problem.offers.offers)
        mine = [index for index, offer in enumerate(offers) if offer.gpu == gpu and offer.max_units > 0]
        cheapest = min(mine, key=lambda index: offers[index].price_usd_per_gpu_hour)
        offers[cheapest] = replace(offers[cheapest], stock=offers[cheapest].max_units + 1)
        caps = {name: cap + offers[cheapest].num_gpus * (name == gpu) for name, cap in limits.max_gpus.items()}
        unit = f"one more {gpu}" if offers[cheapest].num_gpus == 1 else f"one more machine of {offers[cheapest].label}"
        yield (
            unit,
            replace(
                problem,
                offers=replace(problem.offers, offers=tuple(offers)),
                limits=replace(limits, max_gpus=caps),
            ),
        )


def _gain(
    prepared: PreparedProblem, plan: Plan, change: str, changed: PlanProblem, report: Callable[[str], None]
) -> MarginalGain:
    report(change)
    inputs = prepared.inputs
    again = plan_prepared(
        prepare(
            changed,
            engine=inputs.engine,
            network_gb_per_s=inputs.network_gb_per_s,
            provider=prepared.provider,
            gpus=prepared.gpus,
        ),
        explain=False,
    )
    throughput = changed.objective is Objective.THROUGHPUT
    gain = again.objective - plan.objective if throughput else plan.objective - again.objective
    # Both plans are within the asked gap of their optimum: a smaller difference says nothing.
    noise = changed.search.relative_gap * abs(plan.objective)
    return MarginalGain(change, gain if gain > noise else 0.0, "req/s" if throughput else "$/h")


def _type_costs(plan: Plan, single: Plan) -> tuple[TypeCost, ...]:
    costs = [
        TypeCost(row.model, row.workload, _usd_per_1000(plan, row), _usd_per_1000(single, other))
        for row, other in zip(plan.assignment, single.assignment, strict=True)
    ]
    return tuple(sorted(costs, key=lambda each: each.plan_usd_per_1000 - each.single_type_usd_per_1000))


def _usd_per_1000(plan: Plan, row: AssignmentRow) -> float:
    """Replica time that a thousand requests of the row take, at the price of the replicas they go to [$]."""
    usd_per_request = 0.0
    for group in plan.groups:
        rate = {cell.workload: cell.rate_req_per_s for cell in group.cells}.get(row.workload, 0.0)
        if row.shares.get(group.id, 0.0) > 0:
            usd_per_request += row.shares[group.id] * group.price_usd_per_hour / SECONDS_PER_HOUR / rate
    return usd_per_request * 1000
