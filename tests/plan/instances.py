"""Tiny problems: hand-written rates, GPUs and offers, small enough to solve by hand or by enumeration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.catalog.offer import Offer, OfferSet
from cuvee.plan.check.check import CheckReport, check
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.problem import Limits, ModelDemand, Objective, PlanProblem, SearchOptions
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import Provenance, RateSource, ThroughputTable
from cuvee.workload.records import Demand, WorkloadType

Rates = Mapping[str, Sequence[float]]


def gpu(name: str, memory_gb: float = 80.0, bandwidth_gb_per_s: float = 1000.0, tflops: float = 100.0) -> GpuType:
    return GpuType(name, "maker", "made up", "PCIe", memory_gb, memory_gb, bandwidth_gb_per_s, {"bf16": tflops})


GPUS = {
    "t1": gpu("t1", bandwidth_gb_per_s=1000.0),
    "t2": gpu("t2", bandwidth_gb_per_s=2000.0),
    "t3": gpu("t3", bandwidth_gb_per_s=3000.0),
}
MODEL = ModelSpec("tiny", 2, 64, 4, 4, 16, 128, 1000, 10_000)
BY_HAND = RateSource(Provenance.MEASURED, "by hand", "2026")

LENGTHS = ((100.0, 10.0), (10.0, 100.0), (50.0, 50.0))


@dataclass(frozen=True)
class HandProvider:
    """Rates by label: stages joined by "+", tensor parallelism after "*": "t1", "t2*2", "t1+t2*2", "tiny:t1", "t1@fp8".

    The label with the model before it comes first, then the one with the precision behind it; what has no label does
    not fit. Bands by label too, 0 without one.
    """

    rates: Rates
    bands: Mapping[str, float] = field(default_factory=dict)

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """The written rates."""
        rate = np.zeros((len(configs), len(workloads)))
        band = np.zeros_like(rate)
        for row, config in enumerate(configs):
            name = label(config)
            known = (f"{config.model}:{name}", f"{name}@{config.precision}", name)
            rate[row] = next((self.rates[key] for key in known if key in self.rates), [0.0] * len(workloads))
            band[row] = self.bands.get(name, 0.0)
        zero = np.zeros_like(rate)
        first = np.zeros(rate.shape, dtype=np.int64)
        return ThroughputTable(
            tuple(configs), tuple(workloads), rate, rate > 0, band, zero, zero, zero, first, (BY_HAND,)
        )


def label(config: ReplicaConfig) -> str:
    sizes = [(stage.gpu, stage.tensor_parallel_size) for stage in config.stages]
    return "+".join(name if size == 1 else f"{name}*{size}" for name, size in sizes)


def offer(gpu_name: str, price: float, stock: int | None = 2, **changes: Any) -> Offer:
    """An offer of single GPUs in machines of two, unless changed."""
    return Offer(gpu_name, **{"seller": "s", "price_usd_per_hour": price, "stock": stock, "machine_gpus": 2, **changes})


def demand(*num_requests: float, rate_req_per_s: float | None = None) -> Demand:
    types = tuple(WorkloadType(f"w{index + 1}", *LENGTHS[index]) for index in range(len(num_requests)))
    return Demand(types, num_requests, rate_req_per_s)


def problem(
    offers: Sequence[Offer],
    demands: Sequence[Demand],
    *,
    budget: float | None = None,
    objective: Objective = Objective.THROUGHPUT,
    search: SearchOptions | None = None,
    **caps: Any,
) -> PlanProblem:
    """One model per demand: "tiny", "tiny-2", ..."""
    names = ["tiny", *(f"tiny-{number}" for number in range(2, len(demands) + 1))]
    models = tuple(ModelDemand(replace(MODEL, name=name), asked) for name, asked in zip(names, demands, strict=True))
    limits = Limits(budget, **caps)
    return PlanProblem(models, OfferSet("tiny", tuple(offers), "", ""), limits, objective, search or SearchOptions())


def prepare_tiny(asked: PlanProblem, rates: Rates, gpus: Mapping[str, GpuType] = GPUS) -> PreparedProblem:
    return prepare(asked, provider=HandProvider(rates), gpus=gpus)


def solve_tiny(asked: PlanProblem, rates: Rates, *, explain: bool = True) -> Plan:
    return plan_prepared(prepare_tiny(asked, rates), explain=explain)


def check_tiny(plan: Plan) -> CheckReport:
    return check(plan, gpus=GPUS)


def fleet(plan: Plan) -> dict[str, int]:
    """Copies by label."""
    return {label(group.config): group.copies for group in plan.groups}


# The worked example of the paper's section 4.2.
WORKED_RATES: Rates = {"t1": (1.0, 1.2), "t2": (0.9, 0.9), "t3": (0.3, 0.5), "t2*2": (2.4, 1.5)}
WORKED_OFFERS = (offer("t1", 4.0), offer("t2", 2.0), offer("t3", 2.0))
WORKED_DEMAND = demand(80.0, 20.0)


def worked_problem(budget: float | None = 8.0, **changes: Any) -> PlanProblem:
    return problem(WORKED_OFFERS, [changes.pop("demand", WORKED_DEMAND)], budget=budget, **changes)
