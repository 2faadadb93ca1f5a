"""Marginal values: what requests are worth and limits cost, from the relaxation where replicas come in fractions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.formulation import Layout
from cuvee.plan.problem import SearchOptions
from cuvee.plan.program import Answer, Array, Program, Termination, solve


@dataclass(frozen=True, eq=False)
class Pricing:
    """What one copy of each candidate earns and takes at the shadow prices of the relaxation.

    Attributes
        earned           max_w pi_w h_cw: worth of a copy on its best type, in units of the objective.
        best_workload    The w that attains it.
        charged          sum_r sigma_r a_rc: what its share of every limit costs, its price where that is the objective.
        objective        Value of the relaxation: no plan is better.
        copies           y of the relaxation, fractional, shape (num_candidates,).
    """

    earned: Array
    best_workload: NDArray[np.int64]
    charged: Array
    objective: float
    copies: Array

    @property
    def worth(self) -> Array:
        """Earned over charged [-]: at most 1, and 1 for what the relaxation rents; 0 where nothing is charged."""
        return np.minimum(np.where(self.charged > 0, self.earned / np.maximum(self.charged, 1e-300), 0.0), 1.0)

    @property
    def loss(self) -> Array:
        """By how much a plan with a copy of each candidate must fall short of `objective`, at least; >= 0.

        Notes       Weak duality: objective(plan) <= objective - sum_c (charged_c - earned_c) y_c for every plan, when
                    maximising; the same with the signs turned when minimising.
        """
        return np.maximum(self.charged - self.earned, 0.0)


def price(program: Program, layout: Layout, options: SearchOptions) -> Pricing | None:
    """Marginal values of `program`; None where even the relaxation has no answer."""
    relaxed = solve(fractional(program, layout), options)
    if relaxed.termination is not Termination.OPTIMAL:
        return None
    earned = layout.rate * np.abs(relaxed.row_dual[: layout.rate.shape[1]]) / layout.demand_req_per_s
    return Pricing(
        earned.max(axis=1),
        earned.argmax(axis=1),
        _charges(layout, program, relaxed),
        relaxed.objective,
        relaxed.x[: layout.num_candidates],
    )


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


def _charges(layout: Layout, program: Program, relaxed: Answer) -> Array:
    charges = np.abs(program.cost[: layout.num_candidates])
    skipped = layout.rate.shape[1] + layout.num_candidates  # demand and capacity rows are not limits
    for row in range(skipped, len(program.row_names)):
        columns = program.columns[row]
        copies = columns < layout.num_candidates
        charges[columns[copies]] += np.abs(relaxed.row_dual[row]) * program.values[row][copies]
    return charges
