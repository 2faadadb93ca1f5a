"""The replicas a plan rejects, and how far they are from being worth their price."""

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import Layout
from cuvee.plan.pricing import Pricing
from cuvee.plan.problem import PlanProblem
from cuvee.plan.result import RunnerUp

MOST_SHOWN = 5


def find_runners_up(
    candidates: CandidateSet,
    layout: Layout,
    pricing: Pricing,
    copies: NDArray[np.int64],
    problem: PlanProblem,
) -> tuple[RunnerUp, ...]:
    """The best rejected replica of each set of GPU types, most worthy first."""
    worth = pricing.worth
    kinds = [kind.name for entry in problem.models for kind in entry.demand.types]
    found: dict[tuple[str, str], RunnerUp] = {}
    for row in np.argsort(-worth, kind="stable"):
        config = candidates.placements[row].config
        key = (config.model, " ".join(sorted(config.gpu_counts)))
        if copies[row] or key in found or worth[row] <= 0:
            continue
        price = float(candidates.price_usd_per_hour[row])
        best = pricing.best_workload[row]
        found[key] = RunnerUp(
            config.model, config.stages, price, float(worth[row]), kinds[best], float(layout.rate[row, best]) / price
        )
        if len(found) == MOST_SHOWN:
            break
    return tuple(found.values())
