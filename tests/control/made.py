"""Readings of a gateway that are made up, as true to a plan as wanted."""

from dataclasses import replace

from cuvee.control.observed import Observed, Spread
from cuvee.plan.outcome.fingerprint import fingerprint
from cuvee.plan.outcome.result import Plan

BOUNDS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, float("inf"))


def reading(plan: Plan, *, time_s: float = 1000.0, load: float = 1.0, **changes) -> Observed:
    """What a gateway counts that follows `plan` to the letter, `load` times its rate over `time_s` [s]."""
    demanded = sum(row.demand_req_per_s for row in plan.assignment)
    placed, lengths = {}, {}
    for row in plan.assignment:
        number = row.demand_req_per_s / demanded * plan.served_req_per_s * load * time_s
        for group, share in row.shares.items():
            key = (row.model, row.workload, group)
            placed[key] = float(round(number * share))
            lengths[key] = Spread({row.output_tokens: placed[key]}, placed[key] * row.output_tokens)
    up = {group.id: group.copies for group in plan.groups}
    observed = Observed(fingerprint(plan), time_s, placed, {}, 0.0, {}, {}, lengths, up)
    return replace(observed, **changes)


def times(number: float, value_s: float) -> Spread:
    """So many times, all alike [s]."""
    bound = next(bound for bound in BOUNDS_S if value_s <= bound)
    return Spread({each: number if each == bound else 0.0 for each in BOUNDS_S}, number * value_s)
