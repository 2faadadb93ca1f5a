"""The replicas a plan rejects, and how far they are from being worth their price."""

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.outcome.cell import index_of_source, known_band
from cuvee.plan.outcome.result import RunnerUp
from cuvee.plan.question.problem import PlanProblem
from cuvee.plan.search.pricing import Pricing
from cuvee.profile.table import RateSource

MOST_SHOWN = 5


def find_runners_up(
    candidates: CandidateSet,
    pricing: Pricing,
    rented: NDArray[np.int64],
    problem: PlanProblem,
    sources: list[RateSource],
) -> tuple[RunnerUp, ...]:
    """The best whole replica of each set of GPU types not `rented`, nor running already, most worthy first.

    Where their rates come from is added to `sources`.
    """
    worth = pricing.worth
    kinds = [kind.name for entry in problem.models for kind in entry.demand.types]
    first_of_model = np.cumsum([0, *(len(entry.demand.types) for entry in problem.models)])
    taken = set(np.flatnonzero(candidates.is_kept | candidates.same_as(rented)).tolist())
    found: dict[tuple[str, str], RunnerUp] = {}
    for row in np.argsort(-worth, kind="stable"):
        config = candidates.placement(int(row)).config
        key = (config.model, " ".join(sorted(config.gpu_counts)))
        if row in taken or key in found or worth[row] <= 0 or candidates.model_index[row] >= len(problem.models):
            continue
        price = float(candidates.price_usd_per_hour[row])
        best = pricing.best_workload[row]
        model = int(candidates.model_index[row])
        table, cell = candidates.tables[model], (int(candidates.config[row]), int(best - first_of_model[model]))
        found[key] = RunnerUp(
            model=config.model,
            stages=config.stages,
            price_usd_per_hour=price,
            worth=float(worth[row]),
            best_workload=kinds[best],
            req_per_s_per_usd_per_hour=float(table.rate_req_per_s[cell]) / price,
            precision=config.precision,
            relative_error=known_band(table.relative_error[cell]),
            source=index_of_source(table.source_of(*cell), sources),
        )
        if len(found) == MOST_SHOWN:
            break
    return tuple(found.values())
