"""Candidates: every replica that could be rented and would fit, before any is chosen.

A candidate is a replica configuration placed on offers. On one GPU type: tensor parallelism in powers
of two that divide the heads, inside one machine, times pipeline depth. On two GPU types: pipeline
stages of both, in one region of one seller, layers split so that the stages take equally long.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.offer import Offer
from cuvee.plan.placement import Placement, list_placements
from cuvee.plan.problem import ModelDemand, PlanProblem
from cuvee.profile.table import ThroughputProvider, ThroughputTable


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates with their resources and rates.

    Attributes
        placements          One per candidate.
        model_index         Index into `problem.models` of each candidate, shape (num_candidates,).
        usage               d_oc: GPUs each candidate takes from each offer [-], shape (num_candidates, num_offers).
        price_usd_per_hour  o_c: share of the machines' prices [$/h], shape (num_candidates,).
        tables              Throughput of the candidates of each model on that model's workload types; row r of
                            table m is the r-th candidate with model_index m.
        num_generated       Candidates before those that do not fit or are dominated were dropped [-].
    """

    placements: tuple[Placement, ...]
    model_index: NDArray[np.int64]
    usage: NDArray[np.int64]
    price_usd_per_hour: NDArray[np.float64]
    tables: tuple[ThroughputTable, ...]
    num_generated: int

    def __len__(self) -> int:
        return len(self.placements)

    def select(self, keep: NDArray[np.bool_]) -> "CandidateSet":
        """The candidates where `keep` is True, in the same order."""
        tables = tuple(
            table.select(np.flatnonzero(keep[self.model_index == index])) for index, table in enumerate(self.tables)
        )
        return CandidateSet(
            tuple(placement for placement, kept in zip(self.placements, keep, strict=True) if kept),
            self.model_index[keep],
            self.usage[keep],
            self.price_usd_per_hour[keep],
            tables,
            self.num_generated,
        )


def generate_candidates(
    problem: PlanProblem,
    provider: ThroughputProvider,
    gpus: Mapping[str, GpuType],
    *,
    budget_usd_per_hour: float | None = None,
) -> CandidateSet:
    """All candidates of `problem` with a rate above 0 on at least one workload type, none pruned by dominance.

    Parameters
        budget_usd_per_hour    Where given, only those of which it buys at least one: the others need no rates.
    """
    offers = problem.offers.offers
    prices = np.array([offer.price_usd_per_gpu_hour for offer in offers])
    parts = []
    for index, entry in enumerate(problem.models):
        placements = _within(list_placements(entry, problem, gpus), offers, budget_usd_per_hour)
        parts.append(_candidate_part(index, placements, entry, offers, prices, provider))
    merged = CandidateSet(
        tuple(placement for part in parts for placement in part.placements),
        np.concatenate([part.model_index for part in parts]),
        np.concatenate([part.usage for part in parts]),
        np.concatenate([part.price_usd_per_hour for part in parts]),
        tuple(part.tables[0] for part in parts),
        sum(len(part) for part in parts),
    )
    fitting = np.concatenate([table.fits.any(axis=1) for table in merged.tables])
    return merged.select(fitting)


def _within(
    placements: Iterable[Placement], offers: Sequence[Offer], budget_usd_per_hour: float | None
) -> list[Placement]:
    if budget_usd_per_hour is None:
        return list(placements)
    most = budget_usd_per_hour * (1 + 1e-9)  # prices that add up to the budget but for rounding are within it
    return [placement for placement in placements if placement.price_usd_per_hour(offers) <= most]


def _candidate_part(
    model_index: int,
    placements: Sequence[Placement],
    entry: ModelDemand,
    offers: Sequence[Offer],
    prices: NDArray[np.float64],
    provider: ThroughputProvider,
) -> CandidateSet:
    usage = np.zeros((len(placements), len(offers)), dtype=np.int64)
    for row, placement in enumerate(placements):
        for offer, count in placement.gpus_per_offer:
            usage[row, offer] = count
    # The same configuration on many offers is modelled once.
    configs = list(dict.fromkeys(placement.config for placement in placements))
    row_of = {config: row for row, config in enumerate(configs)}
    table = provider.table(configs, entry.demand.types)
    rows = [row_of[placement.config] for placement in placements]
    return CandidateSet(
        tuple(placements),
        np.full(len(placements), model_index),
        usage,
        usage @ prices,
        (table.select(rows),),
        len(placements),
    )
