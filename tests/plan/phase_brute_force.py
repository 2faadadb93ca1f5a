"""An independent planner for tiny problems with prefill and decode apart: every fleet, and for each the best flows.

Fleets are enumerated over whole, prefill and decode replicas of every placement that fits, none pruned. Limits are
those of `tests.plan.brute_force`; the linear program is the makespan form for fixed copies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from cuvee.plan.candidates.candidate_set import generate_candidates
from cuvee.plan.candidates.placement import Placement, host_gpus
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.plan.question.problem import Objective
from cuvee.profile.phases import Phase, PhaseProvider, links_of
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import ThroughputTable
from cuvee.workload.records import WorkloadType
from tests.plan.brute_force import Fleet, World
from tests.plan.instances import BY_HAND


class Anything:
    """A provider for which every replica fits."""

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """1 req/s everywhere."""
        one = np.ones((len(configs), len(workloads)))
        first = np.zeros(one.shape, dtype=np.int64)
        return ThroughputTable(configs, tuple(workloads), one, one > 0, one, one, one, one, first, (BY_HAND,))


@dataclass(frozen=True)
class Kind:
    """A placement in one phase, and what it does alone of each type [req/s]; types of all models."""

    phase: Phase
    placement: Placement
    rates: list[float]


class PhaseWorld(World):
    """Fleets of whole replicas and of replicas of one phase."""

    def __init__(self, prepared: PreparedProblem, phases: PhaseProvider) -> None:
        super().__init__(prepared.problem, prepared.candidates)
        whole = [Kind(Phase.BOTH, *pair) for pair in zip(self.placements, self.rate.tolist(), strict=True)]
        self.kinds = [*whole, *self._apart(prepared, phases)]
        self.placements = tuple(kind.placement for kind in self.kinds)

    def _apart(self, prepared: PreparedProblem, phases: PhaseProvider) -> Iterator[Kind]:
        everything = generate_candidates(self.problem, Anything(), prepared.gpus)
        widths = [len(entry.demand.types) for entry in self.problem.models]
        for row, placement in enumerate(everything.placements):
            model = int(everything.model_index[row])
            hosts = {self.offers[index].gpu: host_gpus(self.offers[index]) for index, _ in placement.gpus_per_offer}
            links = [links_of(placement.config, hosts)]
            types = self.problem.models[model].demand.types
            for phase in (Phase.PREFILL, Phase.DECODE):
                rates = np.zeros(sum(widths))
                table = phases.phase_table(phase, [placement.config], links, types)
                rates[sum(widths[:model]) : sum(widths[: model + 1])] = table.rate_req_per_s[0]
                if rates.any():
                    yield Kind(phase, placement, rates.tolist())

    def load_factor(self, fleet: Fleet) -> float:
        """1 / T: minimise T over shares of each type to whole, prefill and decode replicas; 0 where it cannot be."""
        highs: Any = highspy.Highs()
        highs.silent()
        makespan = highs.addVariable(lb=0.0, obj=1.0)
        share = {
            (row, w): highs.addVariable(lb=0.0)
            for row, copies in enumerate(fleet)
            for w in range(len(self.demand))
            if copies and self.kinds[row].rates[w] > 0
        }

        def done(w: int, phase: Phase, place: object = None) -> list[Any]:
            return [
                variable
                for (row, workload), variable in share.items()
                if workload == w and self.kinds[row].phase is phase and place in (None, self._place(row))
            ]

        for w in range(len(self.demand)):
            first = [*done(w, Phase.BOTH), *done(w, Phase.PREFILL)]
            if not first:
                return 0.0
            highs.addConstr(sum(first) == 1.0)
            for place in {self._place(row) for row, _ in share}:
                sent, received = done(w, Phase.PREFILL, place), done(w, Phase.DECODE, place)
                if sent or received:
                    highs.addConstr(sum(sent) - sum(received) + 0 * makespan == 0.0)
        for row in {row for row, _ in share}:
            busy = [
                variable * float(self.demand[w] / self.kinds[row].rates[w])
                for (used, w), variable in share.items()
                if used == row
            ]
            highs.addConstr(sum(busy) - makespan * float(fleet[row]) <= 0.0)
        highs.run()
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return 0.0
        return 1.0 / float(highs.getInfo().objective_function_value)

    def _place(self, row: int) -> tuple[str, str, str]:
        offer = self.offers[self.placements[row].gpus_per_offer[0][0]]
        return offer.seller, offer.region, offer.zone


def best_apart(prepared: PreparedProblem, phases: PhaseProvider) -> float | None:
    """Optimum over all fleets [req/s or $/h]; None where no fleet serves the demand."""
    world = PhaseWorld(prepared, phases)
    if prepared.problem.objective is Objective.COST:
        for money, fleet in sorted((world.money(fleet), fleet) for fleet in world.fleets()):
            if world.load_factor(fleet) >= 1 - 1e-9:
                return money
        return None
    best = max((world.load_factor(fleet) for fleet in world.fleets() if world.is_full(fleet)), default=0.0)
    return best * float(world.demand.sum()) if best > 1e-12 else None
