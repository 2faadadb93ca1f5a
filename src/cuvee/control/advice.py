"""What to do about a drift: bring back, plan again, or measure again, with the command."""

import shlex
from dataclasses import dataclass

from cuvee.control.drift import Drift, Kind
from cuvee.control.observed import Observed
from cuvee.plan.outcome.result import Plan
from cuvee.plan.question.problem import Objective

TRACE = "trace.csv"
"""Stands for the file of `cuvee serve --trace`."""

ANOTHER_DEMAND = frozenset({Kind.RATE, Kind.MIX, Kind.LENGTH})
ANOTHER_SPEED = frozenset({Kind.SHARE, Kind.LOAD, Kind.TTFT, Kind.TPOT})


@dataclass(frozen=True)
class Advice:
    """One thing to do, why, and with which command."""

    why: str
    command: str


def advice_on(drift: Drift, plan: Plan, observed: Observed, plan_file: str) -> tuple[Advice, ...]:
    """What to do, the most pressing first; nothing where nothing drifts.

    Parameters
        plan_file    Its path, for the commands; its scenario is taken to lie beside it as scenario.yaml.
    """
    found, drifting = [], drift.drifting
    again = ["cuvee", "plan", "scenario.yaml", "--from", plan_file]
    if Kind.REPLICAS in drifting:
        left: dict[str, int] = {}
        for group in plan.groups:
            copies = min(observed.up.get(group.id, 0), group.copies)
            for gpu, count in group.config.gpu_counts.items():
                left[gpu] = left.get(gpu, 0) + copies * count
        missing = [gpu for gpu, count in plan.gpu_counts.items() if left[gpu] < count]
        limits = [part for gpu in missing for part in ("--set", f"limits.max_gpus.{gpu}={left[gpu]}")]
        found.append(
            Advice("replicas are down: bring them back, or plan with what is left", shlex.join(again + limits))
        )
    if drifting & ANOTHER_DEMAND:
        rate = drift.num_requests / drift.served_s
        known = ["--rate", f"{rate:.4g}"] if plan.objective_name is Objective.COST else []
        found.append(
            Advice(
                "requests are not those that were planned for: plan for what the gateway's --trace holds",
                shlex.join([*again, "--trace", TRACE, *known]),
            )
        )
    elif drifting & ANOTHER_SPEED and Kind.REPLICAS not in drifting:
        found.append(
            Advice(
                "replicas are not as fast as planned: measure one of each group, and plan by that",
                "cuvee profile --help",
            )
        )
    return tuple(found)
