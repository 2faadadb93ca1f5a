"""`explain`: which limits bind, what a little more of each would bring, why one GPU type alone loses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from cuvee.catalog.offer import Offer
from cuvee.plan.explain.baselines import Baseline, gpu_types_on_offer, single_type
from cuvee.plan.outcome.differences import TypeCost, rented_gpus, type_costs
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare_again
from cuvee.plan.question.problem import Limits, Objective, PlanProblem


@dataclass(frozen=True)
class LimitUse:
    """How much of one limit a plan takes.

    Attributes
        name      "budget", "stock of A40", "max_gpus of A40", "max_usd_per_hour_per_seller of runpod", ...
        used      Idle GPUs of whole machines included.
        unit      "$/h" or "GPUs".
        binding   Whether one more unit of this limit alone makes a better plan, by solving again. A limit that is used
                  up need not bind: one more $ may buy nothing, or a second limit may stop the plan at the same point.
    """

    name: str
    used: float
    limit: float
    unit: str
    binding: bool


@dataclass(frozen=True)
class MarginalGain:
    """What one more unit of a limit brings, by solving again with all other limits as they are.

    Attributes
        change    "budget +1 $/h", "one more A40", "max_gpus of A40 +1".
        gain      Change of the objective [req/s more, or $/h less]; 0 where it changes nothing, or less than the gap
                  that both plans may be off.
        unit      Of the gain.
    """

    change: str
    gain: float
    unit: str


@dataclass(frozen=True)
class Explanation:
    """Result of `explain`.

    Attributes
        limits         Every finite limit and its use: budget, stock by GPU type, caps.
        gains          What one more unit of each brings, in the same order.
        best_single    The best plan on one GPU type within the same stock; None where none serves the demand.
        type_costs     Where that plan pays more, dearest difference first: of the types that both serve.
    """

    limits: tuple[LimitUse, ...]
    gains: tuple[MarginalGain, ...]
    best_single: Baseline | None
    type_costs: tuple[TypeCost, ...]


def explain(prepared: PreparedProblem, plan: Plan, *, progress: Callable[[str], None] | None = None) -> Explanation:
    """Explain `plan`, which must come from `prepared`.

    Parameters
        progress    Called with what is being solved: a problem for each limit, and one for each GPU type alone.
    Notes           Gains are exact differences of two solved plans, each within the plan's gap, not shadow prices of a
                    relaxation: whole replicas make one more GPU worthless and four more worth a lot.
    """
    report = progress or (lambda _: None)
    limits = list(_limits(plan))
    gains = tuple(_gain(prepared, plan, limit, report) for limit in limits)
    uses = tuple(
        LimitUse(limit.name, limit.used, limit.limit, limit.unit, gain.gain > 0)
        for limit, gain in zip(limits, gains, strict=True)
    )
    report("best plan on one GPU type")
    best = best_single_type(prepared)
    costs = () if best is None else type_costs(plan, best.plan)
    return Explanation(uses, gains, best, costs)


def best_single_type(prepared: PreparedProblem) -> Baseline | None:
    """The best single-type plan within the stock; None where no type alone serves the demand."""
    found = [single_type(prepared, gpu) for gpu in gpu_types_on_offer(prepared.problem)]
    feasible = [each for each in found if each.plan.has_plan]
    maximize = prepared.problem.objective is Objective.THROUGHPUT
    return max(feasible, key=lambda each: each.plan.objective * (1 if maximize else -1), default=None)


@dataclass(frozen=True)
class _Limit:
    """One limit, its use, and the problem in which it is one unit wider."""

    name: str
    used: float
    limit: float
    unit: str
    change: str
    wider: PlanProblem


def _limits(plan: Plan) -> Iterator[_Limit]:
    problem = plan.inputs.problem
    limits, rented = problem.limits, rented_gpus(plan)
    budget = limits.budget_usd_per_hour
    if budget is not None:
        wider = replace(problem, limits=replace(limits, budget_usd_per_hour=budget + 1))
        yield _Limit("budget", plan.cost_usd_per_hour, budget, "$/h", "budget +1 $/h", wider)
    for gpu in () if problem.offers.unlimited else gpu_types_on_offer(problem):
        yield _stock_limit(problem, gpu, rented)
    for label, key, unit in (
        ("max_gpus", "gpu", "GPUs"),
        ("max_gpus_per_seller", "seller", "GPUs"),
        ("max_usd_per_hour_per_gpu", "gpu", "$/h"),
        ("max_usd_per_hour_per_seller", "seller", "$/h"),
    ):
        for name, cap in getattr(limits, label).items():
            mine = {index: offer for index, offer in _in_stock(problem).items() if getattr(offer, key) == name}
            priced = unit == "$/h"
            used = sum(rented[i] * (offer.price_usd_per_gpu_hour if priced else 1) for i, offer in mine.items())
            # A cap on GPUs widens by the smallest unit under it: less than that buys nothing.
            step = 1 if priced else min((offer.num_gpus for offer in mine.values()), default=1)
            wider = replace(problem, limits=_widened(limits, label, name, cap + step))
            change = f"{label} of {name} +{step}{' $/h' if priced else ''}"
            yield _Limit(f"{label} of {name}", used, cap, unit, change, wider)


def _stock_limit(problem: PlanProblem, gpu: str, rented: dict[int, int]) -> _Limit:
    """Stock of a GPU type over all its offers; the unit added is one of its cheapest offer per GPU."""
    mine = {index: offer for index, offer in _in_stock(problem).items() if offer.gpu == gpu}
    index, cheapest = min(mine.items(), key=lambda item: item[1].price_usd_per_gpu_hour)
    offers = list(problem.offers.offers)
    offers[index] = replace(cheapest, stock=cheapest.max_units + 1)
    stock = sum(offer.max_units * offer.num_gpus for offer in mine.values())
    change = f"one more {gpu}" if cheapest.num_gpus == 1 else f"one more machine of {cheapest.label}"
    wider = replace(problem, offers=replace(problem.offers, offers=tuple(offers)))
    return _Limit(f"stock of {gpu}", sum(rented[each] for each in mine), stock, "GPUs", change, wider)


def _widened(limits: Limits, label: str, name: str, cap: float) -> Limits:
    changed: dict[str, Any] = {label: {**getattr(limits, label), name: cap}}
    return replace(limits, **changed)


def _in_stock(problem: PlanProblem) -> dict[int, Offer]:
    return {index: offer for index, offer in enumerate(problem.offers.offers) if offer.max_units > 0}


def _gain(prepared: PreparedProblem, plan: Plan, limit: _Limit, report: Callable[[str], None]) -> MarginalGain:
    report(limit.change)
    again = plan_prepared(prepare_again(prepared, limit.wider), explain=False)
    throughput = limit.wider.objective is Objective.THROUGHPUT
    gain = again.objective - plan.objective if throughput else plan.objective - again.objective
    # Both plans are within the asked gap of their optimum: a smaller difference says nothing. Nor does no plan.
    noise = limit.wider.search.relative_gap * abs(plan.objective)
    worth = gain if again.has_plan and gain > noise else 0.0
    return MarginalGain(limit.change, worth, plan.objective_unit if throughput else "$/h")
