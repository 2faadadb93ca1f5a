"""Plan, play, correct, plan again: rates as they are when several request types share a batch.

The planner adds up the time that request types take alone. On pipelines that is too little: prompts of one type hold up
the micro-batches that decode another. So where a group of a plan is played slower than planned, its configuration
counts as that much slower, and the fleet is planned anew. Of a pipeline, all others on the same GPU types do: there are
thousands of nearly equal ones, and the next plan would only take another.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import ThroughputTable

ROUNDS = 6
"""Plans that are played at most [-]."""

WORTH_CORRECTING = 0.03
"""A group that takes so much longer than planned is corrected [-]; less is the noise of one burst."""

Play = Callable[[Plan], Mapping[str, float]]
"""Time until the last request of each group, by its id, over the makespan of the plan [-]."""


Kind = ReplicaConfig | tuple[str, tuple[str, ...]]
"""What is corrected together: a configuration, or the pipelines of a model on some GPU types."""


def _kind(config: ReplicaConfig) -> Kind:
    return config if len(config.stages) == 1 else (config.model, tuple(sorted(config.gpu_counts)))


def corrected_plan(prepared: PreparedProblem, play: Play, first: Plan) -> Plan:
    """The plan that serves most as played, beginning with `first`; its rate is the one that corrections foretell.

    Parameters
        play    Plays a plan.
    """
    factor: dict[Kind, float] = {}
    best, best_req_per_s, plan = first, 0.0, first
    for _ in range(ROUNDS):
        shares = play(plan)
        played_req_per_s = plan.rate_req_per_s / max(shares.values())
        if played_req_per_s > best_req_per_s:
            best, best_req_per_s = plan, played_req_per_s
        slow: dict[Kind, float] = {}
        for group in plan.groups:
            if shares[group.id] > 1 + WORTH_CORRECTING:
                slow[_kind(group.config)] = max(shares[group.id], slow.get(_kind(group.config), 0.0))
        if not slow:
            break
        factor |= {kind: factor.get(kind, 1.0) / share for kind, share in slow.items()}
        again = plan_prepared(_slowed(prepared, factor), explain=False)
        if not again.has_plan:
            break
        plan = replace(again, groups=tuple(_as_estimated(group, factor) for group in again.groups))
    return best


def _slowed(prepared: PreparedProblem, factor: Mapping[Kind, float]) -> PreparedProblem:
    """`prepared` with other rates of some configurations."""

    def slowed(table: ThroughputTable) -> ThroughputTable:
        factors = np.array([factor.get(_kind(config), 1.0) for config in table.configs])
        return replace(table, rate_req_per_s=table.rate_req_per_s * factors[:, None])

    candidates = replace(prepared.candidates, tables=tuple(slowed(table) for table in prepared.candidates.tables))
    return replace(prepared, candidates=candidates)


def _as_estimated(group: Group, factor: Mapping[Kind, float]) -> Group:
    """`group` with its rates before correction: a simulator takes them for those of one type alone, as they are."""
    by = factor.get(_kind(group.config), 1.0)
    cells = tuple(replace(cell, rate_req_per_s=cell.rate_req_per_s / by) for cell in group.cells)
    return replace(group, cells=cells)
