"""`why_not_only`: what a fleet of some GPU types alone reaches, and which of stock, prices and whole machines costs it.

The loss against the plan is told apart by solving again: on these types within the stock, and on these types with as
many as wanted. The difference of the two is what stock costs; the rest is what their prices and shapes cost. Where a
request is dearer there, the analytic model says on which resources its rate hangs, and their prices which one it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import log

from cuvee.errors import InputError
from cuvee.plan.explain.baselines import UNLIMITED_UNITS
from cuvee.plan.outcome.differences import Difference, TypeCost, difference, type_costs
from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare_again
from cuvee.plan.question.changes import match_gpus
from cuvee.plan.question.problem import PlanProblem
from cuvee.profile.analytic import AnalyticProvider
from cuvee.profile.calibrated import CalibratedProvider
from cuvee.profile.sensitivity import Resource, owned_amount, rate_elasticities

WEAK = 0.01
"""Share by which a resource must make a request dearer to be named as the reason [-]."""

UNITS = {
    Resource.COMPUTE: "$/h per sustained PFLOPS",
    Resource.BANDWIDTH: "$/h per TB/s",
    Resource.CACHE: "$/h per GB of cache",
    Resource.LINKS: "$/h per GB/s between GPUs",
}
"""Of what a resource costs in a replica."""


@dataclass(frozen=True)
class TypeReason:
    """Why requests of one workload type cost what they cost on the types alone.

    Attributes
        cost                   In the plan, and alone.
        plan_group, group      Replicas that serve most of the type in the plan, and alone, e.g. "2x H100-SXM TP2".
        resource               What makes the rate alone dearer: of all that it hangs on, what costs most more there.
                               None where nothing of a replica is dearer.
        unit                   Of its price: "$/h per sustained PFLOPS", "$/h per TB/s", "$/h per GB of cache".
        plan_unit_price        What that resource costs in the plan's replica [`unit`].
        unit_price             The same in the replica alone.
    """

    cost: TypeCost
    plan_group: str
    group: str
    resource: Resource | None = None
    unit: str = ""
    plan_unit_price: float = 0.0
    unit_price: float = 0.0


@dataclass(frozen=True)
class WhyNot:
    """Answer to "why not only".

    Attributes
        gpus                   The GPU types allowed, by canonical name.
        plan                   The best plan on these alone; without groups where there is none, and its message why.
        unlimited              The same with as many of them as wanted.
        difference             `plan` against the plan; None where there is none.
        unlimited_difference   `unlimited` against the plan; None where there is none.
        idle_usd_per_hour      What `plan` pays for idle GPUs of whole machines [$/h].
        unspent_usd_per_hour   What it leaves of the budget [$/h]; None without a budget.
        types                  Each workload type that both serve, dearest difference first, on `plan` or else on
                               `unlimited`.
    """

    gpus: tuple[str, ...]
    plan: Plan
    unlimited: Plan
    difference: Difference | None
    unlimited_difference: Difference | None
    idle_usd_per_hour: float
    unspent_usd_per_hour: float | None
    types: tuple[TypeReason, ...]


def why_not_only(
    prepared: PreparedProblem, plan: Plan, gpus: Sequence[str], *, progress: Callable[[str], None] | None = None
) -> WhyNot:
    """Compare `plan`, which must come from `prepared`, with the best fleet of `gpus` alone.

    Parameters
        gpus    GPU types on offer, by any name or pattern; several may be mixed.
    Raises      UnknownNameError: one of them is not on offer.
    """
    prepared.problem.require_whole_replicas("why not only some GPU types")
    report = progress or (lambda _: None)
    names = only_types(prepared.problem, gpus)
    report(f"only {', '.join(names)}")
    alone = plan_prepared(prepare_again(prepared, _restricted(prepared.problem, names), must_fit=False))
    report(f"only {', '.join(names)}, as many as wanted")
    wide = _restricted(prepared.problem, names, units=UNLIMITED_UNITS)
    unlimited = plan_prepared(prepare_again(prepared, wide, must_fit=False), explain=False)
    shown = alone if alone.has_plan else unlimited
    budget = prepared.problem.limits.budget_usd_per_hour
    return WhyNot(
        gpus=names,
        plan=alone,
        unlimited=unlimited,
        difference=difference(plan, alone) if alone.has_plan else None,
        unlimited_difference=difference(plan, unlimited) if unlimited.has_plan else None,
        idle_usd_per_hour=sum(machine.idle_cost_usd_per_hour for machine in alone.machines),
        unspent_usd_per_hour=None if budget is None else budget - alone.cost_usd_per_hour,
        types=_type_reasons(prepared, plan, shown) if shown.has_plan else (),
    )


def only_types(problem: PlanProblem, gpus: Iterable[str]) -> tuple[str, ...]:
    """Canonical names of `gpus`, in the order of the offers; raises UnknownNameError."""
    on_offer = list(dict.fromkeys(offer.gpu for offer in problem.offers.offers))
    named = {name for gpu in gpus for name in match_gpus(gpu, on_offer)}
    return tuple(name for name in on_offer if name in named)


def _restricted(problem: PlanProblem, gpus: Sequence[str], *, units: int | None = None) -> PlanProblem:
    """`problem` with stock of `gpus` alone: what there is, or `units` of each offer that has any."""
    offers = tuple(
        replace(offer, stock=0 if offer.gpu not in gpus else offer.stock if not (units and offer.max_units) else units)
        for offer in problem.offers.offers
    )
    return replace(problem, offers=replace(problem.offers, offers=offers))


def _type_reasons(prepared: PreparedProblem, plan: Plan, alone: Plan) -> tuple[TypeReason, ...]:
    return tuple(_type_reason(prepared, plan, alone, cost) for cost in type_costs(plan, alone))


def _type_reason(prepared: PreparedProblem, plan: Plan, alone: Plan, cost: TypeCost) -> TypeReason:
    """The resource r with the largest e_r ln(unit price alone / unit price in the plan).

    Notes       Near a replica, its rate goes with the product of r to the power of e_r over the resources; so what a
                request costs goes with the product of their unit prices to the same powers.
    """
    before, after = (_main_group(each, cost) for each in (plan, alone))
    labels = [f"{each.config.gpu_label} {plan.deployment_of(each.config)}" for each in (before, after)]
    entry = next(each for each in prepared.problem.models if each.model.name == cost.model)
    kind = next(each for each in entry.demand.types if each.name == cost.workload)
    found, most = TypeReason(cost, labels[0], labels[1]), WEAK
    if cost.single_type_usd_per_1000 <= cost.plan_usd_per_1000:
        return found
    providers = [_analytic_of(*each, prepared) for each in ((plan, before), (alone, after))]
    try:
        hangs_on = rate_elasticities(providers[1], after.config, kind, beside=entry.demand.types)
    except InputError:  # a model without a shape or a GPU type without figures: nothing can be estimated
        return found
    for resource, unit in UNITS.items():
        prices = [
            _unit_price(group, resource, provider) for group, provider in zip((before, after), providers, strict=True)
        ]
        weight = hangs_on[resource] * log(prices[1] / prices[0]) if min(prices) > 0 else 0.0
        if weight > most:
            found, most = TypeReason(cost, labels[0], labels[1], resource, unit, prices[0], prices[1]), weight
    return found


def _main_group(plan: Plan, cost: TypeCost) -> Group:
    """The group that serves most of a type."""
    row = next(each for each in plan.assignment if (each.model, each.workload) == (cost.model, cost.workload))
    return max(plan.groups, key=row.share_of)


def _analytic_of(plan: Plan, group: Group, prepared: PreparedProblem) -> AnalyticProvider:
    """The analytic model that rates `group` of `plan`: with the constants fitted to it, amid the mix it serves."""
    inputs, problem = prepared.inputs, prepared.problem
    models = {entry.model.name: entry.model for entry in problem.models}
    fitted = CalibratedProvider(
        plan.inputs.calibrated, models, prepared.gpus, inputs.engine, inputs.network_gb_per_s, problem.mixes
    )
    return fitted.analytic_for(group.config)


def _unit_price(group: Group, resource: Resource, provider: AnalyticProvider) -> float:
    owned = owned_amount(provider, group.config, resource)
    return group.price_usd_per_hour / owned if owned > 0 else 0.0
