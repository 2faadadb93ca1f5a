"""The replicas a plan rejects, and how far they are from being worth their price."""

import numpy as np

from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import Layout
from cuvee.plan.problem import PlanProblem
from cuvee.plan.program import Answer, Array, Program
from cuvee.plan.result import RunnerUp

MOST_SHOWN = 5


def find_runners_up(
    candidates: CandidateSet,
    layout: Layout,
    program: Program,
    relaxed: Answer,
    copies: np.ndarray,
    problem: PlanProblem,
) -> tuple[RunnerUp, ...]:
    """The best rejected replica of each set of GPU types, most worthy first.

    Notes           worth_c = max_w pi_w h_cw / (sum_r sigma_r a_rc): what a copy earns on its best type at the marginal
                    values pi of requests, over what its share of every limit r costs at the shadow prices sigma.
                    Both from the linear relaxation, where replicas can be rented in fractions.
    """
    if not len(relaxed.row_dual):
        return ()
    earned, best = _earnings(layout, program, relaxed)
    worth = earned / np.maximum(_charges(layout, program, relaxed), 1e-300)
    kinds = [kind.name for entry in problem.models for kind in entry.demand.types]
    found: dict[tuple[str, str], RunnerUp] = {}
    for row in np.argsort(-worth, kind="stable"):
        config = candidates.placements[row].config
        key = (config.model, " ".join(sorted(config.gpu_counts)))
        if copies[row] or key in found or not np.isfinite(worth[row]) or worth[row] <= 0:
            continue
        price = float(candidates.price_usd_per_hour[row])
        found[key] = RunnerUp(
            config.model,
            config.stages,
            price,
            min(float(worth[row]), 1.0),
            kinds[best[row]],
            float(layout.rate[row, best[row]]) / price,
        )
        if len(found) == MOST_SHOWN:
            break
    return tuple(found.values())


def fractional(program: Program, layout: Layout) -> Program:
    """The relaxation whose shadow prices say what a replica is worth.

    Without what only helps the search: bounds on copies repeat stock and budget, cover rows repeat the demand, and
    both would keep part of the shadow price for themselves.
    """
    relaxed = program.relaxed()
    relaxed.upper = program.upper.copy()
    relaxed.upper[: layout.num_candidates] = np.inf
    relaxed.row_lower = [
        -np.inf if name.startswith("cover") else lower
        for name, lower in zip(program.row_names, program.row_lower, strict=True)
    ]
    return relaxed


def _earnings(layout: Layout, program: Program, relaxed: Answer) -> tuple[Array, np.ndarray]:
    """max_w pi_w h_cw and the w that attains it, per candidate."""
    num_workloads = layout.rate.shape[1]
    # define_demand adds these rows first, each divided by its demand.
    values = np.abs(relaxed.row_dual[:num_workloads]) / layout.demand_req_per_s
    earned = layout.rate * values
    return earned.max(axis=1), earned.argmax(axis=1)


def _charges(layout: Layout, program: Program, relaxed: Answer) -> Array:
    """What one copy of each candidate takes of every limit, at shadow prices; its price where that is the objective."""
    charges = np.abs(program.cost[: layout.num_candidates])
    skipped = layout.rate.shape[1] + layout.num_candidates  # demand and capacity rows are not limits
    for row in range(skipped, len(program.row_names)):
        columns = program.columns[row]
        copies = columns < layout.num_candidates
        charges[columns[copies]] += np.abs(relaxed.row_dual[row]) * program.values[row][copies]
    return charges
