"""Reading: the plan of a day that whole copies of each period stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.check.risk import losses_of
from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.periods.result import Change, DayDemand, DayReplica, PeriodPlan, PlannedPeriod
from cuvee.plan.program.formulation import build_program
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.plan.question.problem import PlanProblem
from cuvee.plan.question.startup import StartUp
from cuvee.plan.reading import read_plan
from cuvee.plan.search.search import SAFETY
from cuvee.plan.search.settling import settle
from cuvee.plan.solver.program import Answer, Termination
from cuvee.units import HOURS_PER_DAY, SECONDS_PER_DAY
from cuvee.workload.day import Period


@dataclass(frozen=True)
class DayQuestion:
    """What a day asks: a problem for each period, all over the candidates of `prepared`.

    Attributes
        problems    One for each period, of least cost.
    """

    prepared: PreparedProblem
    periods: tuple[Period, ...]
    problems: tuple[PlanProblem, ...]
    demand: DayDemand
    start_up: StartUp

    @property
    def hours(self) -> NDArray[np.float64]:
        """H [h], shape (num_periods,)."""
        return np.array([period.hours for period in self.periods])

    @property
    def peak(self) -> int:
        """The period of the highest rate."""
        return int(np.argmax([period.rate_req_per_s for period in self.periods]))


def read_fleet(question: DayQuestion, period: int, copies: NDArray[np.int64], bound_usd_per_hour: float | None) -> Plan:
    """The plan of one period: `copies` of all candidates, with the best assignment on them.

    Parameters
        bound_usd_per_hour    Of the period alone; None where it was not searched.
    """
    everything, problem = question.prepared, question.problems[period]
    rented = copies > 0
    prepared = replace(
        everything,
        problem=problem,
        candidates=everything.candidates.select(rented),
        inputs=replace(everything.inputs, problem=problem),
    )
    program, layout = build_program(problem, prepared.candidates)
    settled = settle(program, layout, copies[rented], prepared)
    bound = -np.inf if bound_usd_per_hour is None else bound_usd_per_hour
    empty = np.zeros(0)
    plan = read_plan(
        prepared, layout, copies[rented], settled, Answer(Termination.FEASIBLE, empty, 0.0, bound, empty, 0.0)
    )
    proven = plan.gap is not None and plan.gap <= problem.search.relative_gap
    termination = Termination.OPTIMAL if proven else Termination.FEASIBLE
    plan = replace(plan, termination=termination, num_candidates=len(everything.candidates), losses=losses_of(plan))
    return replace(plan, excluded=everything.excluded)


def read_day(
    question: DayQuestion,
    copies: NDArray[np.int64],
    constant: Plan,
    bounds_usd_per_hour: Sequence[float | None],
    *,
    bound_usd_per_day: float | None,
    elastic_usd_per_day: float | None,
    seconds: float,
) -> PeriodPlan:
    """The plan of the day that `copies`, shape (num_periods, num_candidates), stand for."""
    plans = [
        read_fleet(question, period, fleet, bound)
        for period, (fleet, bound) in enumerate(zip(copies, bounds_usd_per_hour, strict=True))
    ]
    replicas = _replicas(question, plans)
    rent = float(sum(plan.cost_usd_per_hour * hours for plan, hours in zip(plans, question.hours, strict=True)))
    starts = sum(replica.start_usd * sum(max(change, 0) for change in replica.changes) for replica in replicas)
    cost, held = rent + starts, constant.cost_usd_per_hour * HOURS_PER_DAY
    bound = None if bound_usd_per_day is None else min(bound_usd_per_day, cost)
    gap = None if bound is None else (cost - bound) / cost
    asked = question.prepared.problem.search.relative_gap + SAFETY
    return PeriodPlan(
        termination=Termination.OPTIMAL if gap is not None and gap <= asked else Termination.FEASIBLE,
        cost_usd_per_day=cost,
        rent_usd_per_day=rent,
        start_usd_per_day=starts,
        constant_usd_per_day=held,
        saving=1.0 - cost / held,
        bound_usd_per_day=bound,
        gap=gap,
        elastic_usd_per_day=elastic_usd_per_day,
        demand=question.demand,
        start_up=question.start_up,
        replicas=replicas,
        timetable=tuple(timetable(replicas, question.periods)),
        periods=tuple(map(PlannedPeriod, question.periods, plans)),
        constant=constant,
        solve_seconds=seconds,
    )


def without_fleet(question: DayQuestion, constant: Plan) -> PeriodPlan:
    """The answer where not even the highest period has a plan; `constant` says why."""
    return PeriodPlan(
        termination=constant.termination,
        cost_usd_per_day=0.0,
        rent_usd_per_day=0.0,
        start_usd_per_day=0.0,
        constant_usd_per_day=0.0,
        saving=0.0,
        bound_usd_per_day=None,
        gap=None,
        elastic_usd_per_day=None,
        demand=question.demand,
        start_up=question.start_up,
        replicas=(),
        timetable=(),
        periods=(),
        constant=constant,
        solve_seconds=constant.solve_seconds,
    )


def _replicas(question: DayQuestion, plans: Sequence[Plan]) -> tuple[DayReplica, ...]:
    """Every replica of some period, those held always first."""
    models = {entry.model.name: entry.model for entry in question.prepared.problem.models}
    found: list[DayReplica] = []
    for group in (group for plan in plans for group in plan.groups):
        if any(replica.is_of(group) for replica in found):
            continue
        same = [next((each for each in plan.groups if _same_replica(each, group)), None) for plan in plans]
        model = models[group.model]
        found.append(
            DayReplica(
                id="",
                model=group.model,
                stages=group.stages,
                precision=group.precision,
                kv_precision=group.kv_precision,
                spans_machines=group.spans_machines,
                rented=group.rented,
                price_usd_per_hour=group.price_usd_per_hour,
                startup_s=question.start_up.seconds_of(model, group.precision),
                start_usd=question.start_up.usd(model, group.precision, group.price_usd_per_hour),
                copies=tuple(each.copies if each else 0 for each in same),
                groups=tuple(each.id if each else "" for each in same),
                keeps_to=group.keeps_to,
            )
        )
    # A stable sort: equal ones stay in the order of the plans.
    found.sort(key=lambda each: (-each.always * each.price_usd_per_hour, -sum(each.copies) * each.price_usd_per_hour))
    return tuple(replace(each, id=f"r{rank}") for rank, each in enumerate(found, start=1))


def _same_replica(first: Group, second: Group) -> bool:
    return first.config == second.config and first.rented == second.rented


def timetable(replicas: Sequence[DayReplica], periods: Sequence[Period]) -> list[Change]:
    """What changes at the begin of each period: first what is added, then what is drained."""
    changes = []
    for index, period in enumerate(periods):
        at_s = period.start_s
        here = [(replica, replica.changes[index]) for replica in replicas if replica.changes[index]]
        for replica, copies in sorted(here, key=lambda each: each[1] < 0):
            begin_s = (at_s - replica.startup_s) % SECONDS_PER_DAY if copies > 0 else at_s
            changes.append(Change(at_s, begin_s, replica.id, copies))
    return changes
