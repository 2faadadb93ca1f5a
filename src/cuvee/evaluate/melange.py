"""A planner in the manner of Mélange: one replica per GPU type, and which types to rent for which requests.

Mélange (Griggs et al., arXiv 2404.14527) chooses GPU types and sends buckets of request lengths to them by an integer
program; how a model is deployed on a GPU type is given. This is our re-implementation of the idea on our own rates:
the given replica is the smallest that serves every request type.
"""

import numpy as np

from cuvee.plan.explain.baselines import restricted
from cuvee.plan.outcome.result import Plan
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.profile.replica_arrays import ReplicaArrays


def melange_like(prepared: PreparedProblem) -> Plan:
    """The best plan of one replica per model and GPU type: fewest GPUs, no pipeline."""
    candidates = prepared.candidates
    given = np.zeros(len(candidates), dtype=bool)
    for model, table in enumerate(candidates.tables):
        rows = np.flatnonzero((candidates.model_index == model) & (candidates.offers[:, 1] < 0))
        configs = candidates.config[rows]
        arrays = ReplicaArrays.of(table.configs)
        whole = table.fits[configs].all(axis=1) & (arrays.num_stages[configs] == 1)
        rows, configs = rows[whole], configs[whole]
        size, gpu = arrays.size[configs].max(axis=1), arrays.gpu[configs, 0]
        for each in np.unique(gpu):
            mine = gpu == each
            given[rows[mine & (size == size[mine].min())]] = True
    return restricted(prepared, given)
