"""Which GPU type leads on which workload type, by how much, and whom it cannot be told apart from."""

from dataclasses import dataclass

from cuvee.catalog.gpu import GpuType
from cuvee.study.comparison import Comparison, compare
from cuvee.study.entry import Entry
from cuvee.study.prices import listing_year
from cuvee.study.study import Study


@dataclass(frozen=True)
class Lead:
    """The order of GPU types on one workload type of one model.

    Attributes
        ranking     The best configuration of each GPU type, most requests per dollar first; at least one.
        over_next   First over second; None where there is one GPU type alone.
        over_last   First over last, likewise.
        ties        GPU types whose distance to the first is inside the errors, in order.
        covered     The best of those whose estimates are not extrapolated; None where there are none.
        backed      The best of those whose error band is known, likewise.
        newest      The best of those whose price is of the newest year; None where there are none, or all are.
    """

    ranking: tuple[Entry, ...]
    over_next: Comparison | None
    over_last: Comparison | None
    ties: tuple[str, ...]
    covered: Entry | None
    backed: Entry | None
    newest: Entry | None

    @property
    def first(self) -> Entry:
        """The leader."""
        return self.ranking[0]

    def share_of(self, entry: Entry) -> float:
        """Requests per dollar of `entry` over those of the leader [-]."""
        return entry.efficiency / self.first.efficiency

    def price_to_lead_usd(self, entry: Entry) -> float:
        """Price of a GPU at which the best configuration of its type would be level with the leader [$/GPU-h].

        Notes           For the leader, at which it would be level with the next; 0 where there is no other.
        """
        if entry is self.first:
            share = self.over_next.factor if self.over_next is not None else 0.0
        else:
            share = self.share_of(entry)
        return entry.offer.price_usd_per_gpu_hour * share


def lead(study: Study, model: str, workload: str) -> Lead | None:
    """The order of GPU types on a workload type; None where no GPU type serves it."""
    ranking = study.ranking(model, workload)
    if not ranking:
        return None
    comparisons = [compare(ranking[0], other) for other in ranking[1:]]
    ties = tuple(other.gpu for other, comparison in zip(ranking[1:], comparisons, strict=True) if comparison.is_tie)
    whole = [entry for gpu in study.gpus for entry in study.configurations(model, gpu.name, workload)]
    newest = [entry for entry in whole if study.newest_year and listing_year(entry.offer) == study.newest_year]
    return Lead(
        ranking,
        comparisons[0] if comparisons else None,
        comparisons[-1] if comparisons else None,
        ties,
        next((entry for entry in ranking if not entry.extrapolated), None),
        max((entry for entry in whole if entry.error_known), key=_efficiency, default=None),
        max(newest, key=_efficiency, default=None),
    )


def _efficiency(entry: Entry) -> float:
    return entry.efficiency


def holds_alone(study: Study, model: str, gpu: GpuType) -> bool:
    """Whether one GPU of a type serves any workload type of the study."""
    return any(
        entry.config.num_gpus == 1
        for workload in study.asked.workloads
        for entry in study.configurations(model, gpu.name, workload.name)
    )
