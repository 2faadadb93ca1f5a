"""Tiny problems with prefill and decode apart: hand-written rates of both phases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.problem import PlanProblem
from cuvee.profile.phases import Phase
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import ThroughputTable
from cuvee.workload.records import WorkloadType
from tests.plan.generated import generate
from tests.plan.instances import BY_HAND, GPUS, HandProvider, Rates, label


@dataclass(frozen=True)
class HandPhases:
    """Rates by phase and label: "prefill t1", "decode t2*2", "decode tiny:t1"; what has none does not fit.

    Parameters
        link_req_per_s    What one link carries of any type [req/s].
    """

    rates: Rates
    link_req_per_s: float = np.inf

    def phase_table(
        self, phase: Phase, configs: Sequence[ReplicaConfig], links: Sequence[float], workloads: Sequence[WorkloadType]
    ) -> ThroughputTable:
        """The written rates, and no more than the links carry."""
        rate = np.zeros((len(configs), len(workloads)))
        for row, config in enumerate(configs):
            name = label(config)
            written = self.rates.get(f"{phase} {config.model}:{name}", self.rates.get(f"{phase} {name}"))
            if written is not None:
                rate[row] = np.minimum(written, self.link_req_per_s * links[row])
        zero = np.zeros_like(rate)
        first = np.zeros(rate.shape, dtype=np.int64)
        return ThroughputTable(
            tuple(configs), tuple(workloads), rate, rate > 0, zero, zero, zero, zero, first, (BY_HAND,)
        )


def prepare_apart(asked: PlanProblem, rates: Rates, link_req_per_s: float = np.inf) -> PreparedProblem:
    """Preparation with rates of whole replicas under "t1" and of phases under "prefill t1", "decode t1"."""
    return prepare(asked, provider=HandProvider(rates), gpus=GPUS, phases=HandPhases(rates, link_req_per_s))


def solve_apart(asked: PlanProblem, rates: Rates, link_req_per_s: float = np.inf) -> Plan:
    return plan_prepared(prepare_apart(asked, rates, link_req_per_s), explain=False)


def apart_fleet(plan: Plan) -> dict[str, int]:
    """Copies by phase and label; whole replicas by label alone."""
    return {
        ("" if group.phase is Phase.BOTH else f"{group.phase} ") + label(group.config): group.copies
        for group in plan.groups
    }


def generate_apart(seed: int) -> tuple[PlanProblem, Rates, float]:
    """A generated problem with rates of both phases for a few replicas, and what a link carries [req/s].

    Some offers stand elsewhere, out of reach of the others.
    """
    random = Random(seed)
    asked, rates = generate(seed)
    offers = tuple(replace(each, region="elsewhere") if random.random() < 0.1 else each for each in asked.offers.offers)
    apart: dict[str, Sequence[float]] = dict(rates)
    for label_of_model in random.sample(sorted(rates), k=min(4, len(rates))):
        for phase in (Phase.PREFILL, Phase.DECODE):
            if random.random() < 0.8:
                apart[f"{phase} {label_of_model}"] = [
                    round(rate * random.uniform(1.2, 8.0), 3) for rate in rates[label_of_model]
                ]
    link_req_per_s = random.choice((np.inf, np.inf, 8.0, 3.0))
    problem = replace(asked, offers=replace(asked.offers, offers=offers), disaggregate=True)
    return problem, apart, link_req_per_s
