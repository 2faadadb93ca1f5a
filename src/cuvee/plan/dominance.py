"""Dominance: dropping candidates that others can replace at no more of any resource.

A candidate c may go when, for whole numbers k of other candidates of its model,

    sum_i k_i d_o,ci <= d_oc  for every offer o      and      sum_i k_i h_ci,w >= h_cw  for every type w:

each copy of c in a plan can then be swapped for k_i copies of each c_i, working the same share of their
time, at no more GPUs of any offer, hence no more money. The optimum is unchanged. Candidates are
taken from the smallest up and compared with those kept, so none is dropped for one that is dropped itself.
"""

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates import CandidateSet

TOLERANCE = 1e-9
"""Relative slack of a rate comparison [-]: rounding must not keep a twin alive."""


def prune_dominated(candidates: CandidateSet) -> CandidateSet:
    """The candidates that no combination of others replaces; order kept."""
    keep = np.zeros(len(candidates), dtype=bool)
    for index, table in enumerate(candidates.tables):
        rows = np.flatnonzero(candidates.model_index == index)
        keep[rows] = undominated(candidates.usage[rows], table.rate_req_per_s)
    return candidates.select(keep)


def undominated(usage: NDArray[np.int64], rate: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the rows that stay.

    Parameters
        usage    d_oc: GPUs by offer [-], shape (num_candidates, num_offers).
        rate     h_cw [req/s], shape (num_candidates, num_workloads).
    Returns      shape (num_candidates,).
    """
    keep = np.zeros(len(usage), dtype=bool)
    kept_by_offers: dict[tuple[int, ...], list[int]] = {}
    # Among equal resources the fastest first, so that it is there to drop the others.
    order = np.lexsort((-rate.sum(axis=1), usage.sum(axis=1)))
    for row in order:
        offers = tuple(np.flatnonzero(usage[row]).tolist())
        rivals = list(kept_by_offers.get(offers, ()))
        for offer in offers if len(offers) > 1 else ():
            rivals.extend(kept_by_offers.get((offer,), ()))
        if rivals and _is_dominated(row, np.array(rivals), usage, rate):
            continue
        keep[row] = True
        kept_by_offers.setdefault(offers, []).append(int(row))
    return keep


def _is_dominated(
    row: np.int64, rivals: NDArray[np.int64], usage: NDArray[np.int64], rate: NDArray[np.float64]
) -> bool:
    offers = np.flatnonzero(usage[row])
    needed = usage[np.ix_(rivals, offers)]
    budget = usage[row, offers]
    target = rate[row] * (1 - TOLERANCE)
    copies = np.where(needed > 0, budget // np.maximum(needed, 1), np.iinfo(np.int64).max).min(axis=1)
    offered = copies[:, None] * rate[rivals]
    if bool((offered >= target).all(axis=1).any()):
        return True
    if len(offers) != 2:
        return False
    # A mixed pipeline against replicas of each of its types, standing apart.
    alone = (needed > 0).sum(axis=1) == 1
    on_first = offered[alone & (needed[:, 0] > 0)]
    on_second = offered[alone & (needed[:, 1] > 0)]
    together = on_first[:, None, :] + on_second[None, :, :]
    return bool((together >= target).all(axis=2).any())
