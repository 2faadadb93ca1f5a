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
    for model in range(len(candidates.tables)):
        rows = np.flatnonzero(candidates.model_index == model)
        keep[rows] = undominated(candidates.offers[rows], candidates.gpus[rows], candidates.rate_req_per_s(model))
    return candidates.select(keep)


def undominated(offers: NDArray[np.int64], gpus: NDArray[np.int64], rate: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask of the rows that stay.

    Parameters
        offers    Offers of each candidate, -1 for none, shape (num_candidates, 2).
        gpus      GPUs it takes from them [-], shape (num_candidates, 2).
        rate      h_cw [req/s], shape (num_candidates, num_workloads).
    Returns       shape (num_candidates,).
    """
    keep = np.zeros(len(offers), dtype=bool)
    groups = _rows_by_offers(offers)
    # Replicas on one offer first: pairs of those kept may replace pipelines over two.
    for standing in sorted(groups, key=len):
        rows = groups[standing]
        counts = gpus[rows][:, : len(standing)]
        if len(standing) == 2:
            alone = [kept[keep[kept]] for kept in (groups.get((offer,), rows[:0]) for offer in standing)]
            needed = [gpus[kept, 0] for kept in alone]
            apart = _dominated_by_parts(counts, rate[rows], needed, [rate[kept] for kept in alone])
            rows, counts = rows[~apart], counts[~apart]
        keep[rows[_undominated_among(counts, rate[rows])]] = True
    return keep


def _rows_by_offers(offers: NDArray[np.int64]) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Rows on the same offers, by those offers."""
    order = np.lexsort((offers[:, 1], offers[:, 0]))
    cuts = np.flatnonzero((np.diff(offers[order], axis=0) != 0).any(axis=1)) + 1
    groups = np.split(order, cuts) if len(order) else []
    return {tuple(offer for offer in offers[rows[0]].tolist() if offer >= 0): rows for rows in groups}


def _undominated_among(counts: NDArray[np.int64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows that no copies of another replace, all on the same offers; counts of shape (num_rows, num_offers)."""
    kept_counts, kept_rate = np.ones_like(counts), np.zeros_like(rate)
    kept: list[np.int64] = []
    # Among equal resources the fastest first, so that it is there to drop the others.
    for row in np.lexsort((-rate.sum(axis=1), counts.sum(axis=1))):
        size = len(kept)
        copies = (counts[row] // kept_counts[:size]).min(axis=1)
        offered = copies[:, None] * kept_rate[:size]
        if (offered >= rate[row] * (1 - TOLERANCE)).all(axis=1).any():
            continue
        kept_counts[size], kept_rate[size] = counts[row], rate[row]
        kept.append(row)
    return np.array(kept, dtype=np.int64)


def _dominated_by_parts(
    counts: NDArray[np.int64],
    rate: NDArray[np.float64],
    needed: list[NDArray[np.int64]],
    offered: list[NDArray[np.float64]],
) -> NDArray[np.bool_]:
    """Which pipelines over two offers are replaced by replicas on each of them, standing apart.

    Parameters
        counts    GPUs of each offer that the pipelines take [-], shape (num_rows, 2).
        needed    GPUs a replica on the first, on the second offer takes [-].
        offered   Their rates [req/s].
    """
    dominated = np.zeros(len(counts), dtype=bool)
    for pair in np.unique(counts, axis=0):
        same = np.flatnonzero((counts == pair).all(axis=1))
        parts = [
            # None at all is a choice as well: replicas on the other offer may do it alone.
            np.vstack([np.zeros(rate.shape[1]), (count // need)[:, None] * rates])
            for count, need, rates in zip(pair, needed, offered, strict=True)
        ]
        together = (parts[0][:, None] + parts[1][None]).reshape(-1, rate.shape[1])
        target = rate[same] * (1 - TOLERANCE)
        dominated[same] = (together[None] >= target[:, None]).all(axis=2).any(axis=1)
    return dominated
