"""Candidates: every replica that could be rented and would fit, before any is chosen.

A candidate is a replica configuration placed on offers: on one, or on two in one place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.plan.candidates.configurations import ROUNDING, Configurations, Sites, find_sites, list_configurations
from cuvee.plan.candidates.dedicated import short_answers, with_dedicated, worthwhile
from cuvee.plan.candidates.placement import Placement, usable_gpus
from cuvee.plan.candidates.pools import PHASES, Pools
from cuvee.plan.question.problem import PlanProblem
from cuvee.profile.phases import Phase
from cuvee.profile.table import ThroughputProvider, ThroughputTable

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


OF_EACH = (
    "model_index", "config", "offers", "gpus", "group", "price_usd_per_hour", "availability", "start_usd_per_hour",
    "running",
)  # fmt: skip
"""Fields of a CandidateSet with an entry for each candidate."""


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates with their resources and rates; arrays of shape (num_candidates,) unless said otherwise.

    Attributes
        tables              Throughput of each model's distinct configurations on its workload types.
        model_index         Index into `tables`, and so into `problem.models` where all replicas are whole.
        config              Row of the candidate's configuration in its model's table.
        offers              Offers it stands on, ascending, -1 for none, shape (num_candidates, 2).
        gpus                d_oc: GPUs it takes from them [-], 0 for none, shape (num_candidates, 2).
        group               GPUs there that must share a machine [-], shape (num_candidates, 2).
        price_usd_per_hour  o_c: share of the machines' prices [$/h].
        availability        Share of the time it serves [-]: all of its offers must be there.
        start_usd_per_hour  What a start of a copy costs, spread over the horizon of moves [$/h]; 0 where nothing runs.
        running             Group of the current fleet whose copies are kept, by index [-]; -1 where they are added.
        num_generated       Configurations placed, before those that do not fit were dropped [-].
        pools               What the tables stand for where some replicas do one phase alone.
    """

    tables: tuple[ThroughputTable, ...]
    model_index: Counts
    config: Counts
    offers: Counts
    gpus: Counts
    group: Counts
    price_usd_per_hour: Array
    availability: Array
    start_usd_per_hour: Array
    running: Counts
    num_generated: int
    pools: Pools | None = None

    def __len__(self) -> int:
        return len(self.config)

    @property
    def placements(self) -> tuple[Placement, ...]:
        """All candidates as records, made anew: for few of them."""
        return tuple(self.placement(row) for row in range(len(self)))

    @property
    def is_kept(self) -> NDArray[np.bool_]:
        """Which are copies that run now and are kept, shape (num_candidates,)."""
        return self.running >= 0

    def same_as(self, rows: Counts) -> NDArray[np.bool_]:
        """Which have the configuration and the offers of some candidate of `rows`, shape (num_candidates,)."""
        same = np.zeros(len(self), dtype=bool)
        for row in rows:
            mine = (self.model_index == self.model_index[row]) & (self.config == self.config[row])
            same |= mine & (self.offers == self.offers[row]).all(axis=1)
        return same

    def placement(self, row: int) -> Placement:
        """One candidate as a record."""
        taken = zip(self.offers[row].tolist(), self.gpus[row].tolist(), strict=True)
        config = self.tables[self.model_index[row]].configs[int(self.config[row])]
        return Placement(config, tuple((offer, count) for offer, count in taken if offer >= 0))

    def model_of_table(self, table: int) -> int:
        """Index into `problem.models` of what a table rates [-]."""
        return table if self.pools is None else int(self.pools.model[table])

    def phase_of_table(self, table: int) -> Phase:
        """What the replicas of a table do."""
        return Phase.BOTH if self.pools is None else PHASES[self.pools.phase[table]]

    def rate_req_per_s(self, model: int) -> Array:
        """h_cw of the candidates of one model, in their order, shape (num_candidates_of_model, num_types) [req/s]."""
        rows = self.model_index == model
        rates: Array = self.tables[model].rate_req_per_s[self.config[rows]] * self.availability[rows, None]
        return rates

    def per_gpu(self, values: Array) -> Array:
        """sum_o d_oc v_o for values v of each offer."""
        known = np.append(values, 0.0)  # offer -1
        summed: Array = (self.gpus * known[self.offers]).sum(axis=1)
        return summed

    def stands_on(self, offers: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether a candidate takes GPUs of any of the offers where the mask, shape (num_offers,), is True."""
        return np.asarray(np.append(offers, False)[self.offers].any(axis=1))

    def gpus_taken(self, copies: Counts, num_offers: int) -> Counts:
        """GPUs that `copies` of the candidates take from each offer [-], shape (num_offers,)."""
        taken = np.zeros(num_offers + 1, dtype=np.int64)
        np.add.at(taken, self.offers, self.gpus * copies[:, None])
        return taken[:num_offers]

    def select(self, keep: NDArray[np.bool_] | Counts) -> "CandidateSet":
        """The candidates where `keep` is True, or at the rows it lists; the tables stay whole."""
        return replace(self, **{name: getattr(self, name)[keep] for name in OF_EACH})


def generate_candidates(
    problem: PlanProblem,
    provider: ThroughputProvider,
    gpus: Mapping[str, GpuType],
    *,
    budget_usd_per_hour: float | None = None,
    dedicates: bool = True,
) -> CandidateSet:
    """All candidates of `problem` with a rate above 0 on at least one workload type.

    Parameters
        budget_usd_per_hour    Where given, only those of which it buys at least one: the others need no rates.
        dedicates              Whether pipelines may keep to short answers.
    """
    parts = []
    for index, entry in enumerate(problem.models):
        sites = find_sites(entry, problem, gpus)
        found = list_configurations(entry, problem, gpus, sites, budget_usd_per_hour=budget_usd_per_hour)
        num_found = len(found)
        if dedicates:
            found = with_dedicated(found, short_answers(entry.demand))
        table = replace(provider.table(found.replicas, entry.demand.types), configs=found.replicas)
        fitting = np.flatnonzero(table.fits.any(axis=1) & worthwhile(table, found.replicas.is_dedicated))
        placed = _placed(found.select(fitting), sites, problem, budget_usd_per_hour)
        part = replace(placed, tables=(table.select(fitting),), model_index=np.full(len(placed), index))
        parts.append(replace(part, num_generated=num_found))
    return CandidateSet(
        tuple(part.tables[0] for part in parts),
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in OF_EACH},
        num_generated=sum(part.num_generated for part in parts),
        pools=None,
    )


def _placed(
    found: Configurations, sites: Sites, problem: PlanProblem, budget_usd_per_hour: float | None
) -> CandidateSet:
    """Every configuration on every site of its kind that has the GPUs, at a price within the budget."""
    cuts = np.searchsorted(found.kind, np.arange(len(found.kinds) + 1))
    configs, standing = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 2), dtype=np.int64)]
    for index, kind in enumerate(found.kinds):
        rows = np.arange(cuts[index], cuts[index + 1])
        here = [(offer, -1) for offer in sites.of_shape[kind[0]]] if len(kind) == 1 else sites.of_pair[kind[0], kind[1]]
        configs.append(np.tile(rows, len(here)))
        standing.append(np.repeat(np.array(here, dtype=np.int64).reshape(-1, 2), len(rows), axis=0))
    config, on = np.concatenate(configs), np.concatenate(standing)
    taken, group = found.gpus[config], found.group[config]
    offers = problem.offers.offers
    room = np.array([*(offer.max_units * usable_gpus(offer) for offer in offers), 0])
    price = np.array([*(offer.price_usd_per_gpu_hour for offer in offers), 0.0])
    prices = (taken * price[on]).sum(axis=1)
    possible = (taken <= room[on]).all(axis=1)
    if budget_usd_per_hour is not None:
        possible &= prices <= budget_usd_per_hour * (1 + ROUNDING)
    # Offers ascend, none comes last.
    turned = ((on[:, 0] > on[:, 1]) & (on[:, 1] >= 0))[:, None]
    on, taken, group = (np.where(turned, each[:, ::-1], each)[possible] for each in (on, taken, group))
    empty = np.zeros(len(on), dtype=np.int64)
    available = np.append(problem.risk.availability(offers), 1.0)[on].prod(axis=1)
    free, added = np.zeros(len(on)), np.full(len(on), -1)
    return CandidateSet(
        (), empty, config[possible], on, taken, group, prices[possible], available, free, added, len(found)
    )
