"""A study of two GPU types and two kinds of request whose every figure can be worked out by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.catalog import Offer, OfferSet, find_gpu, load_gpu_types, load_model
from cuvee.profile import AnalyticProvider, Provenance, RateSource, ReplicaConfig, ThroughputTable, find_engine
from cuvee.study.assignment import AssignmentGain, assignment_gain
from cuvee.study.entry import Entry
from cuvee.study.leads import Lead, lead
from cuvee.study.performance import Performance, performance
from cuvee.study.prices import cheapest_offer
from cuvee.study.study import Asked, Study, priced
from cuvee.workload import Demand, WorkloadType

MODEL = load_model("llama-3-8b")
LONG, SHORT = WorkloadType("long", 2000, 20), WorkloadType("short", 200, 200)
MIX = Demand((LONG, SHORT), (1.0, 1.0), name="half and half")

Rates = Mapping[tuple[str, str, str], float]
"""Rate of a GPU type as "TP1", "TP2 PP2" ... on a kind of request [req/s]; what is not there does not fit."""

RATES: Rates = {
    ("A40", "TP1", "long"): 1.0,
    ("A40", "TP1", "short"): 4.0,
    ("A40", "TP2", "long"): 1.6,
    ("H100-SXM", "TP1", "long"): 6.0,
    ("H100-SXM", "TP1", "short"): 10.0,
    ("H100-SXM", "TP2", "long"): 15.0,
}
"""Per dollar an hour: A40 2 and 8, H100 3 and 5; as TP2 1.6 and 3.75 on long requests."""

OFFERS = OfferSet(
    "tiny",
    (
        Offer("A40", "small seller", 0.5, num_gpus=1, machine_gpus=8, as_of="2026-01-02", source="a page"),
        Offer("H100-SXM", "dear seller", 9.0, num_gpus=1, machine_gpus=8),
        Offer("H100-SXM", "whole machines", 16.0, num_gpus=8, machine_gpus=8, as_of="2026-01-03"),
        Offer("H100-SXM", "spot seller", 0.1, num_gpus=1, machine_gpus=8, spot=True),
    ),
    as_of="2026-01-02",
    source="made up",
)


@dataclass(frozen=True)
class Known:
    """A provider of known rates with one error band for each GPU type."""

    rates: Rates
    relative_error: Mapping[str, float]

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`."""
        labels = [(config.stages[0].gpu, config.parallel_label.partition(" [")[0]) for config in configs]
        rate = np.array([[self.rates.get((*label, kind.name), 0.0) for kind in workloads] for label in labels])
        error = np.array([[self.relative_error.get(gpu, np.inf)] * len(workloads) for gpu, _ in labels])
        nothing = np.zeros_like(rate)
        source = RateSource(Provenance.MEASURED, "by hand", "2026-01-01")
        index = np.zeros(rate.shape, dtype=np.int64)
        return ThroughputTable(
            tuple(configs), tuple(workloads), rate, rate > 0, error, nothing, nothing, nothing, index, (source,)
        )


def tiny_performance(
    rates: Rates = RATES, errors: Mapping[str, float] | None = None, gpus: Sequence[str] = ("A40", "H100-SXM")
) -> Performance:
    """Performance of the model on `gpus`; every error 5 % unless `errors` says otherwise."""
    estimates = AnalyticProvider({MODEL.name: MODEL}, load_gpu_types(), find_engine("vllm"))
    known = Known(rates, dict.fromkeys(gpus, 0.05) if errors is None else errors)
    kinds = [find_gpu(gpu) for gpu in gpus]
    return performance(MODEL, kinds, (LONG, SHORT), provider=known, estimates=estimates)


def tiny_study(
    rates: Rates = RATES,
    errors: Mapping[str, float] | None = None,
    gpus: Sequence[str] = ("A40", "H100-SXM"),
    offers: OfferSet = OFFERS,
) -> Study:
    """The study of these rates at the prices of `offers`."""
    asked = Asked({MODEL.name: 1.0}, tuple(find_gpu(gpu) for gpu in gpus), (MIX,), (LONG, SHORT))
    return priced(asked, [tiny_performance(rates, errors, gpus)], offers)


def best(study: Study, gpu: str, workload: str) -> Entry:
    """The best configuration of a GPU type, which there is."""
    found = study.best(MODEL.name, gpu, workload)
    assert found is not None
    return found


def leader(study: Study, workload: str) -> Lead:
    """The order of GPU types, of which there are two."""
    found = lead(study, MODEL.name, workload)
    assert found is not None
    return found


def gain(study: Study) -> AssignmentGain:
    """What assignment brings to the mix, which can be served."""
    found = assignment_gain(study, MIX, {MODEL.name: 1.0})
    assert found is not None
    return found


def cheapest(offers: OfferSet, gpu: str, num_gpus: int, *, spot: bool = False, any_year: bool = False) -> Offer:
    """The cheapest offer, which there is."""
    found = cheapest_offer(offers, gpu, num_gpus, spot=spot, any_year=any_year)
    assert found is not None
    return found
