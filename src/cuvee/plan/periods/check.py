"""`check_periods`: what the plan of a day claims, recomputed without the program it was solved as.

From its plans and its typical day.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from math import ceil, isclose

from cuvee.catalog.gpu import GpuType
from cuvee.plan.candidates.placement import usable_gpus
from cuvee.plan.check.caps import over_caps
from cuvee.plan.check.check import CheckReport, check
from cuvee.plan.check.rates import TOLERANCE, same
from cuvee.plan.outcome.result import Group
from cuvee.plan.periods.result import DayReplica, PeriodPlan
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.solver.program import Termination
from cuvee.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR


def check_periods(day: PeriodPlan, *, gpus: Mapping[str, GpuType] | None = None) -> CheckReport:
    """Recompute every period's plan, the periods, the demand, the timetable, the handovers and the totals of `day`.

    Parameters
        gpus    GPU types by name, as of `check`.
    Notes       The plans go through `check`, each by itself. How often the series was above its typical day cannot be
                recomputed, for the file does not hold the series.
    """
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "plans": lambda: _check_plans(day, gpus),
        "replicas": lambda: _check_replicas(day),
        "periods": lambda: _check_day(day),
        "demand": lambda: _check_demand(day),
        "timetable": lambda: _check_timetable(day),
        "handover": lambda: _check_handover(day),
        "totals": lambda: _check_totals(day),
    }
    passed: list[str] = []
    violations: list[str] = []
    for name, run in checks.items():
        found = [f"{name}: {line}" for line in run()]
        violations += found
        if found and name in ("plans", "replicas"):  # nothing else can be recomputed
            break
        if not found:
            passed.append(name)
    return CheckReport(tuple(passed), tuple(violations))


def _check_plans(day: PeriodPlan, gpus: Mapping[str, GpuType] | None) -> Iterator[str]:
    named = [("all day", day.constant), *((each.period.label, each.plan) for each in day.periods)]
    for label, plan in named:
        yield from (f"{label}: {line}" for line in check(plan, gpus=gpus).violations)
        if day.has_plan and not plan.has_plan:
            yield f"{label}: no fleet"
    if day.has_plan != bool(day.periods):
        yield f"{len(day.periods)} periods beside a constant plan of {len(day.constant.groups)} groups"


def _check_day(day: PeriodPlan) -> Iterator[str]:
    """Periods tile 24 hours, and each has the highest rate of the typical day's steps that fall in it."""
    periods = [each.period for each in day.periods]
    if not periods:
        return
    if not same(sum(period.hours for period in periods), HOURS_PER_DAY):
        yield f"the periods take {sum(period.hours for period in periods):g} hours"
    for before, after in pairwise((periods[-1], *periods)):
        if not same(before.end_s % SECONDS_PER_DAY, after.start_s):
            yield f"{before.label} is followed by {after.label}"
    step_s, rates = day.demand.step_s, day.demand.rate_req_per_s
    if not same(step_s * len(rates), SECONDS_PER_DAY):
        yield f"{len(rates)} steps of {step_s:g} s are not a day"
    for period in periods:
        if not 0 <= period.num_above <= period.num_observed:
            yield f"{period.label}: {period.num_above} of {period.num_observed} steps above"
        inside = [
            rate
            for index, rate in enumerate(rates)
            if (index * step_s - period.start_s) % SECONDS_PER_DAY < period.hours * SECONDS_PER_HOUR - step_s / 2
        ]
        highest = max(inside, default=0.0)
        if not same(highest, period.rate_req_per_s):
            yield f"{period.label} is planned for {period.rate_req_per_s:.6g} req/s, its demand is {highest:.6g}"


def _check_demand(day: PeriodPlan) -> Iterator[str]:
    """Every plan serves its period's rate, the constant one the highest; all else is one question."""
    rates = [each.period.rate_req_per_s for each in day.periods]
    plans = [(each.period.label, each.plan, rate) for each, rate in zip(day.periods, rates, strict=True)]
    if plans:
        plans.append(("all day", day.constant, max(rates)))
    for label, plan, rate in plans:
        asked = sum(row.demand_req_per_s for row in plan.assignment)
        if not same(asked, rate):
            yield f"{label}: planned for {asked:.6g} req/s, due are {rate:.6g}"
        if plan.objective_name is not Objective.COST:
            yield f"{label}: objective {plan.objective_name}"
        if _without_rates(plan.inputs.problem) != _without_rates(day.constant.inputs.problem):
            yield f"{label}: another question than the constant plan's"
        mix = [row.demand_req_per_s / asked for row in plan.assignment]
        held = sum(row.demand_req_per_s for row in day.constant.assignment)
        if not all(
            same(share, row.demand_req_per_s / held) for share, row in zip(mix, day.constant.assignment, strict=True)
        ):
            yield f"{label}: another mix than the constant plan's"


def _without_rates(problem: PlanProblem) -> PlanProblem:
    models = (replace(entry, demand=replace(entry.demand, rate_req_per_s=1.0)) for entry in problem.models)
    return replace(problem, models=tuple(models))


def _check_replicas(day: PeriodPlan) -> Iterator[str]:
    """The replicas are the groups of the periods, no more and no fewer, at their prices; starts cost what they say."""
    names = [replica.id for replica in day.replicas]
    yield from (f"several replicas are called {name}" for name, count in Counter(names).items() if count > 1)
    for replica in day.replicas:
        counts = len(replica.copies), len(replica.groups)
        if counts != (len(day.periods), len(day.periods)) or not any(replica.copies) or min(replica.copies) < 0:
            yield f"{replica.id} has copies {replica.copies} in {len(day.periods)} periods"
            return
    for index, each in enumerate(day.periods):
        groups = {group.id: group for group in each.plan.groups}
        stated = {replica.groups[index]: replica for replica in day.replicas if replica.copies[index]}
        yield from (f"{each.period.label}: {name!r} is no replica" for name in groups.keys() - stated.keys())
        yield from (f"{each.period.label}: {name!r} is no group" for name in stated.keys() - groups.keys())
        for name in groups.keys() & stated.keys():
            yield from _check_replica(day, stated[name], groups[name], stated[name].copies[index])


def _check_replica(day: PeriodPlan, replica: DayReplica, group: Group, copies: int) -> Iterator[str]:
    models = {entry.model.name: entry.model for entry in day.constant.inputs.problem.models}
    if not replica.is_of(group) or copies != group.copies or replica.model not in models:
        held = f"{group.copies} x {group.config.gpu_label}"
        yield f"{replica.id} is {copies} x {replica.config.gpu_label}, {group.id} is {held}"
        return
    seconds = day.start_up.seconds_of(models[replica.model], replica.precision)
    usd = seconds / SECONDS_PER_HOUR * group.price_usd_per_hour + day.start_up.fee_usd
    if not same(replica.price_usd_per_hour, group.price_usd_per_hour):
        yield f"{replica.id} costs {group.price_usd_per_hour:.4f} $/h, not {replica.price_usd_per_hour:.4f}"
    if not (same(seconds, replica.startup_s) and same(usd, replica.start_usd)):
        stated = f"{replica.startup_s:g} s for {replica.start_usd:.4f}"
        yield f"{replica.id} starts in {seconds:g} s for {usd:.4f} $, not {stated}"


def _check_timetable(day: PeriodPlan) -> Iterator[str]:
    """Played from any fleet on, the timetable gives the fleets of the periods."""
    stated = Counter({(change.at_s, change.replica): change.copies for change in day.timetable})
    if len(stated) != len(day.timetable):
        yield "several changes of one replica at one time"
    needed = {
        (each.period.start_s, replica.id): change
        for replica in day.replicas
        for each, change in zip(day.periods, replica.changes, strict=True)
        if change
    }
    for at, name in sorted(needed.keys() | stated.keys()):
        if needed.get((at, name), 0) != stated[at, name]:
            yield f"{name} at {at:g} s: {stated[at, name]:+d}, the fleets differ by {needed.get((at, name), 0):+d}"
    startup_s = {replica.id: replica.startup_s for replica in day.replicas}
    for change in day.timetable:
        lead_s = startup_s.get(change.replica, 0.0) if change.copies > 0 else 0.0
        if not same(change.begin_s, (change.at_s - lead_s) % SECONDS_PER_DAY):
            yield f"{change.replica} at {change.at_s:g} s begins at {change.begin_s:g} s, {lead_s:g} s earlier is due"


def _check_handover(day: PeriodPlan) -> Iterator[str]:
    """Stock, budget and caps hold for what runs before a change together with what is started for it."""
    for index, each in enumerate(day.periods):
        added = {replica.id: max(replica.changes[index], 0) for replica in day.replicas}
        if not any(added.values()):
            continue
        copies = {replica.id: replica.copies[index - 1] + added[replica.id] for replica in day.replicas}
        yield from (f"before {each.period.label}: {line}" for line in _over_limits(day, copies))


def _over_limits(day: PeriodPlan, copies: Mapping[str, int]) -> Iterator[str]:
    problem = day.constant.inputs.problem
    used: Counter[int] = Counter()
    for replica in day.replicas:
        for part in replica.rented:
            used[part.offer] += part.num_gpus * copies[replica.id]
    offers, limits = problem.offers.offers, problem.limits
    units = {index: ceil(count / usable_gpus(offers[index])) for index, count in used.items()}
    for index, count in units.items():
        if count > offers[index].max_units:
            yield f"{count} units of {offers[index].label}, in stock {offers[index].max_units}"
    money = {index: count * offers[index].price_usd_per_hour for index, count in units.items()}
    gpus = {index: count * offers[index].num_gpus for index, count in units.items()}
    if limits.budget_usd_per_hour is not None and sum(money.values()) > limits.budget_usd_per_hour * (1 + TOLERANCE):
        yield f"{sum(money.values()):.4f} $/h, above the budget of {limits.budget_usd_per_hour:.4f}"
    yield from over_caps(limits, offers, gpus, money)


def _check_totals(day: PeriodPlan) -> Iterator[str]:
    if not day.has_plan:
        return
    rent = sum(each.period.hours * each.plan.cost_usd_per_hour for each in day.periods)
    starts = sum(replica.start_usd * sum(max(change, 0) for change in replica.changes) for replica in day.replicas)
    held = day.constant.cost_usd_per_hour * HOURS_PER_DAY
    figures = {
        "rent": (day.rent_usd_per_day, rent),
        "starts": (day.start_usd_per_day, starts),
        "cost": (day.cost_usd_per_day, rent + starts),
        "constant": (day.constant_usd_per_day, held),
    }
    for label, (stated, recomputed) in figures.items():
        if not same(stated, recomputed):
            yield f"{label} {stated:.4f} $/day where the plans give {recomputed:.4f}"
    if not isclose(day.saving, 1 - (rent + starts) / held, abs_tol=TOLERANCE):
        yield f"a saving of {day.saving:.4%} where the plans give {1 - (rent + starts) / held:.4%}"
    bounds = [(each.plan.bound, each.period.hours) for each in day.periods]
    elastic = sum((bound or 0.0) * hours for bound, hours in bounds)
    if day.elastic_usd_per_day is not None and not same(day.elastic_usd_per_day, elastic):
        yield f"{day.elastic_usd_per_day:.4f} $/day with free starts, the bounds of the periods give {elastic:.4f}"
    if day.bound_usd_per_day is None:
        if day.gap is not None or day.termination is Termination.OPTIMAL:
            yield f"{day.termination} with gap {day.gap} and no bound"
        return
    gap = (day.cost_usd_per_day - day.bound_usd_per_day) / (rent + starts)
    if gap < -TOLERANCE:
        yield f"{day.cost_usd_per_day:.4f} $/day is less than the bound {day.bound_usd_per_day:.4f}"
    if day.gap is None or not isclose(gap, day.gap, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        yield f"bound {day.bound_usd_per_day:.4f} and cost are {gap:.2e} apart, not {day.gap}"
    allowed = day.constant.inputs.problem.search.relative_gap
    if day.termination is Termination.OPTIMAL and gap > allowed * (1 + 1e-3) + TOLERANCE:
        yield f"gap {gap:.2e} where optimal means {allowed:.2e}"
