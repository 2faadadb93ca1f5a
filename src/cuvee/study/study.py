"""The benchmark study: requests a second for a dollar an hour of GPU types, configurations and workload types."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.catalog.offer import OfferSet
from cuvee.errors import InputError
from cuvee.profile.engine import EngineSettings
from cuvee.profile.latency import Array, Latency
from cuvee.profile.table import Provenance
from cuvee.study.entry import Entry, PercentileLatency
from cuvee.study.performance import PERCENTILES, Performance
from cuvee.study.prices import cheapest_offer, dates_of, listing_year, older_and_cheaper
from cuvee.study.unserved import too_long, unserved
from cuvee.workload.records import Demand, WorkloadType

DEFAULT_LOAD = 0.7
"""Share of the saturated rate at which latencies are stated [-]."""

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Asked:
    """What a study is about, whatever it costs.

    Attributes
        shares       Models with their share of all requests [-], which sum to 1.
        gpus         GPU types to compare.
        demands      Mixes of the workload types that fleets would serve.
        workloads    Workload types to compare on, each in some demand or not.
        load         Share of the saturated rate at which latencies are stated [-].
    """

    shares: Mapping[str, float]
    gpus: tuple[GpuType, ...]
    demands: tuple[Demand, ...]
    workloads: tuple[WorkloadType, ...]
    load: float = DEFAULT_LOAD

    def __post_init__(self) -> None:
        if not 0 < self.load < 1:
            raise InputError(
                f"load {self.load!r}",
                expected="a share of the saturated rate between 0 and 1",
                remedy="a saturated replica bounds no latency: e.g. --load 0.7",
            )


@dataclass(frozen=True, eq=False)
class Study:
    """All figures of one set of offers.

    Attributes
        offers     Whose prices these are.
        models     Shapes of the models, in the order asked.
        engine     Whose constants estimates have.
        entries    One for each replica and workload type that fits and can be rented.
        notes      What is missing and why, one a line.
    """

    asked: Asked
    offers: OfferSet
    models: tuple[ModelSpec, ...]
    engine: EngineSettings
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def _ordered(self) -> dict[tuple[str, str, str], tuple[Entry, ...]]:
        """Entries of each model, GPU type and workload type, most requests per dollar first."""
        found: dict[tuple[str, str, str], list[Entry]] = {}
        for entry in self.entries:
            found.setdefault((entry.model, entry.gpu, entry.workload.name), []).append(entry)
        # Of equals the one with fewer GPUs: it is listed first, and sorting keeps the order.
        return {key: tuple(sorted(each, key=lambda entry: -entry.efficiency)) for key, each in found.items()}

    @cached_property
    def gpus(self) -> tuple[GpuType, ...]:
        """GPU types that have any entry, in the order asked."""
        present = {entry.gpu for entry in self.entries}
        return tuple(gpu for gpu in self.asked.gpus if gpu.name in present)

    @property
    def estimate_errors(self) -> tuple[float, float] | None:
        """Narrowest and widest error band of the estimates that have one [-]; None where none has."""
        known = [entry.relative_error for entry in self._compared]
        return (min(known), max(known)) if known else None

    @property
    def gpus_of_unknown_error(self) -> tuple[str, ...]:
        """GPU types none of whose rates has a known error band, in the order asked."""
        known = {entry.gpu for entry in self.entries if entry.error_known}
        return tuple(gpu.name for gpu in self.gpus if gpu.name not in known)

    @property
    def compared_gpus(self) -> tuple[str, ...]:
        """GPU types with estimates whose error is known from public figures, by name."""
        return tuple(sorted({entry.gpu for entry in self._compared}))

    @cached_property
    def _compared(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.is_estimate and entry.error_known)

    @cached_property
    def prices_as_of(self) -> str:
        """Date, or range of dates, of the prices that figures rest on; those of the offers where none says its own."""
        return dates_of(self.entries) or self.offers.as_of

    @cached_property
    def newest_year(self) -> str:
        """Newest year that a price is of; empty where prices are all of one year, or of none."""
        years = {listing_year(entry.offer) for entry in self.entries} - {""}
        return max(years) if len(years) > 1 else ""

    def shown(self) -> Iterator[Entry]:
        """The best configuration of each GPU type on each workload type of each model: what tables are made of."""
        return (
            entry
            for model in self.models
            for kind in self.asked.workloads
            for entry in self.ranking(model.name, kind.name)
        )

    def configurations(self, model: str, gpu: str, workload: str) -> tuple[Entry, ...]:
        """Every configuration of a GPU type on a workload type, most requests per dollar first."""
        return self._ordered.get((model, gpu, workload), ())

    def by_rate(self, model: str, gpu: str, workload: str) -> tuple[Entry, ...]:
        """The same, most requests per GPU first."""
        return tuple(sorted(self.configurations(model, gpu, workload), key=lambda entry: -entry.rate_per_gpu))

    def best(self, model: str, gpu: str, workload: str) -> Entry | None:
        """The best configuration of a GPU type on a workload type; None where none fits."""
        return next(iter(self.configurations(model, gpu, workload)), None)

    def ranking(self, model: str, workload: str) -> tuple[Entry, ...]:
        """The best configuration of each GPU type on a workload type, most requests per dollar first."""
        found = (self.best(model, gpu.name, workload) for gpu in self.gpus)
        return tuple(sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.efficiency))


def priced(asked: Asked, performances: Sequence[Performance], offers: OfferSet, *, spot: bool = False) -> Study:
    """The study of `performances` at the prices of `offers`; without entries where none can be rented."""
    entries: list[Entry] = []
    notes: list[str] = []
    for one in performances:
        found = _entries(asked, one, offers, spot=spot)
        present = {entry.gpu for entry in found}
        without_offer = [gpu.name for gpu in asked.gpus if cheapest_offer(offers, gpu.name, 1, spot=spot) is None]
        lost = [gpu.name for gpu in asked.gpus if gpu.name not in present and gpu.name not in without_offer]
        notes += unserved(one.model, asked.workloads, found)
        if lost and not all(too_long(one.model, kind) for kind in asked.workloads):
            notes.append(f"{one.model.name}: no machine on offer holds it on {', '.join(lost)}")
        if without_offer:
            notes.append(f"not on offer: {', '.join(without_offer)}")
        entries += found
    notes.append(older_and_cheaper(offers, [gpu.name for gpu in asked.gpus], spot=spot))
    models = tuple(one.model for one in performances)
    engine = performances[0].estimates.engine
    return Study(asked, offers, models, engine, tuple(entries), tuple(dict.fromkeys(filter(None, notes))))


def require_entries(study: Study) -> None:
    """Raises InputError where no replica of any model can be rented."""
    if study.entries:
        return
    workloads = study.asked.workloads
    if all(too_long(model, kind) for model in study.models for kind in workloads):
        raise InputError(
            "; ".join(line for model in study.models for line in unserved(model, workloads, ())),
            expected="requests that a model asked for can hold",
            remedy="choose a model with a longer context, or cut such requests",
        )
    kinds = ", ".join(gpu.name for gpu in study.asked.gpus)
    raise InputError(
        f"offers {study.offers.name!r}: nothing to serve {', '.join(study.asked.shares)} with on "
        f"{kinds or 'no GPU type'}",
        expected="an on-demand offer of a GPU type whose machine holds the model",
        remedy="see them with: cuvee offers; or try --spot, --gpu or --precision",
    )


def _entries(asked: Asked, one: Performance, offers: OfferSet, *, spot: bool) -> list[Entry]:
    table = one.table
    under_load = [one.latency(asked.load, percentile) for percentile in PERCENTILES]
    entries = []
    wanted = {gpu.name for gpu in asked.gpus}
    for row, config in enumerate(table.configs):
        gpu = config.stages[0].gpu
        offer = cheapest_offer(offers, gpu, config.num_gpus, spot=spot) if gpu in wanted else None
        for column, workload in enumerate(table.workloads):
            source = table.source_of(row, column)
            if offer is None or source is None or not table.fits[row, column]:
                continue
            latencies = tuple(
                PercentileLatency(percentile, *(float(times[row, column]) for times in _times(found)))
                for percentile, found in zip(PERCENTILES, under_load, strict=True)
            )
            entries.append(
                Entry(
                    config,
                    workload,
                    float(table.rate_req_per_s[row, column]),
                    offer,
                    float(table.relative_error[row, column]),
                    float(one.band[row, column]),
                    source,
                    gpu in one.extrapolated and source.provider is Provenance.ESTIMATED,
                    asked.load,
                    latencies,
                )
            )
    return entries


def _times(found: Latency) -> tuple[Array, Array, Array]:
    return found.ttft_s, found.tpot_s, found.e2e_s
