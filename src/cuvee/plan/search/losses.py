"""Losses: whether a fleet stands the loss of anything it must stand, and what makes the next one do so.

A contingency for every zone of a market would make the program many times larger, and few ever bind. So the search
begins without any; those that its fleet does not stand are added, and it searches again. Each round only narrows what
is allowed, so the last bound holds for the problem with all of them. The loss of a machine joins as a cut.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.dominance import undominated
from cuvee.plan.evaluation.evaluation import load_factors
from cuvee.plan.program.contingency import Contingency, Losses, contingencies_of
from cuvee.plan.program.layout import first_workloads
from cuvee.plan.program.machine_losses import MachineLoss, least_blocks, most_in_machine, room
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.question.risk import Domain, domains
from cuvee.plan.solver.program import Array, Indices, StopReason

MOST_AT_ONCE = 3
"""Contingencies, and cuts of machines, that join in a round, the worst first [-]."""

STANDING = 1e-6
"""Relative shortfall that still counts as standing a loss [-]: the solver's own tolerance."""

SAME_CUT = 1e-5
"""Relative shortfall up to which a cut that is there already is taken to hold [-]: whole numbers are rounded."""

ALWAYS_TRIED = 2000
"""Sets of replicas in one machine that are tried whatever the time; more while none is found that is not stood [-]."""

AT_A_TIME = 256
"""Sets that are tried together [-]."""


@dataclass(frozen=True)
class _Loss:
    name: str
    offers: NDArray[np.bool_]
    level: float


@dataclass(frozen=True)
class Broken:
    """What a fleet does not stand.

    Attributes
        losses    What joins the program, the worst few.
        doubt     Where none joins: why the fleet is not known to stand every loss all the same; None where it is.
    """

    losses: tuple[Contingency | MachineLoss, ...] = ()
    doubt: StopReason | None = None

    @property
    def nothing(self) -> bool:
        """Whether the fleet stands every loss."""
        return not self.losses and self.doubt is None


def broken_by(
    problem: PlanProblem,
    candidates: CandidateSet,
    copies: NDArray[np.int64],
    served_req_per_s: Array,
    known: Losses,
    *,
    deadline: float = np.inf,
) -> Broken:
    """The losses that `copies` do not stand, as contingencies or cuts of all `candidates`; the worst few.

    Parameters
        served_req_per_s    Of which a share must be kept, in its mix for each model, shape (num_workloads,).
        known               What the copies were found under: not returned again.
        deadline            When to try no more sets than `ALWAYS_TRIED`, as of `perf_counter` [s].
    """
    if not problem.risk.keep_after_loss:
        return Broken()
    fleet = _Fleet(problem, candidates, copies, served_req_per_s)
    names = {each.name for each in known}
    found: list[tuple[float, Contingency]] = []
    for loss in _losses(problem):
        gone = fleet.chosen.stands_on(loss.offers)
        if not gone.any() or loss.level == 0 or loss.name in names:
            continue
        short = fleet.short(np.where(gone, 0.0, fleet.copies)[None], loss.level)[0]
        if short > STANDING:
            factor = np.where(candidates.stands_on(loss.offers), 0.0, 1.0)
            found.append((short, Contingency(loss.name, factor, _of_theta(problem, loss.level))))
    found.sort(key=lambda each: -each[0])
    of_machines = fleet.machines_missed(known, deadline)
    losses = (*(each for _, each in found[:MOST_AT_ONCE]), *of_machines.losses)
    return Broken(losses, None if losses else of_machines.doubt)


def demanded(problem: PlanProblem) -> Array:
    """The rates that are demanded [req/s], shape (num_workloads,)."""
    return np.concatenate([np.array(rates) for rates in problem.rates_req_per_s])


def _losses(problem: PlanProblem) -> Iterator[_Loss]:
    for kind, level in problem.risk.keep_after_loss.items():
        for name, offers in domains(kind, problem.offers.offers).items():
            yield _Loss(f"{kind} {name}", offers, level)


def _of_theta(problem: PlanProblem, level: float) -> float:
    """`level` as a share of the program's theta, which at least cost counts head-room as well."""
    return level / (1 + problem.aim.headroom) if problem.objective is Objective.COST else level


class _Fleet:
    """One fleet, and what it serves with fewer copies."""

    def __init__(
        self, problem: PlanProblem, candidates: CandidateSet, copies: NDArray[np.int64], served: Array
    ) -> None:
        self.problem, self.candidates, self.served = problem, candidates, served
        self.demand = demanded(problem)
        self.rows = np.flatnonzero(copies)
        self.chosen, self.copies = candidates.select(self.rows), copies[self.rows].astype(float)
        self.first = first_workloads(candidates)

    def asked(self, model: int) -> NDArray[np.int64]:
        """Types of a model of which anything is served."""
        mine = np.arange(self.first[model], self.first[model + 1])
        return mine[self.served[mine] > 0]

    def rate_of(self, model: int) -> Array:
        """h of what is chosen for a model, on the types of which anything is served [req/s]."""
        return self.chosen.rate_req_per_s(model)[:, self.asked(model) - self.first[model]]

    def _of_model(self, model: int, copies: Array) -> tuple[Array, Array]:
        """Share of what is served that some copies still serve of a model, and what requests are worth then."""
        mine, asked, rate = self.chosen.model_index == model, self.asked(model), self.rate_of(model)
        return load_factors(rate, self.served[asked], copies[:, mine], np.ones((len(copies), *rate.shape)))

    def _scale(self, model: int) -> float:
        """Of what a shortfall counts: the type that is served least against its demand, over the most served [-].

        The solver's tolerance is one of load factors near 1: where a type is hardly served it means the more.
        """
        load_factor = self.served / self.demand
        return float(load_factor[self.asked(model)].min() / load_factor.max())

    def short(self, copies: Array, level: float) -> Array:
        """By how much copies, shape (num_cases, num_chosen), miss serving `level` of what is served of some model."""
        short = np.full(len(copies), -np.inf)
        for model in range(len(self.candidates.tables)):
            if len(self.asked(model)):
                missed = 1 - self._of_model(model, copies)[0] / level
                short = np.maximum(short, missed * self._scale(model))
        return short

    def machines_missed(self, known: Losses, deadline: float) -> Broken:
        """Cuts of the losses of a machine that leave too little, the worst few."""
        level = self.problem.risk.keep_after_loss.get(Domain.MACHINE, 0.0)
        if not level or not len(self.rows):
            return Broken()
        names, tried, doubt = {each.name for each in known}, 0, None
        found: dict[str, tuple[float, MachineLoss]] = {}
        for model in range(len(self.candidates.tables)):
            sets = _SetsInMachines.of(self, model) if len(self.asked(model)) else None
            while sets is not None and sets.open:
                if tried >= ALWAYS_TRIED and (found or perf_counter() > deadline):
                    doubt = StopReason.TIME_LIMIT
                    break
                some = sets.take()
                tried += len(some)
                taken = np.array([sets.largest(each) for each in some])
                kept, worth = self._of_model(model, self.copies - taken)
                short = (1 - kept / level) * self._scale(model)
                for case in np.flatnonzero(short > STANDING).tolist():
                    if not sets.is_one(taken[case], some[case]):
                        sets.divide(some[case])
                        continue
                    cut = self._cut(model, taken[case], worth[case], level)
                    if cut.name not in names:
                        found[cut.name] = short[case], cut
                    elif short[case] > SAME_CUT:
                        doubt = doubt or StopReason.NUMERICAL_TROUBLE
        worst = sorted(found.values(), key=lambda each: -each[0])[:MOST_AT_ONCE]
        return Broken(tuple(cut for _, cut in worst), None if worst else doubt)

    def _cut(self, model: int, taken: NDArray[np.int64], worth: Array, level: float) -> MachineLoss:
        candidates, asked = self.candidates, self.asked(model)
        everywhere = np.zeros(int(self.first[-1]))
        everywhere[asked] = worth
        gains = np.zeros(len(candidates))
        mine = candidates.model_index == model
        own = everywhere[self.first[model] : self.first[model + 1]]
        gains[mine] = (candidates.rate_req_per_s(model) * own).max(axis=1, initial=0.0)
        together = {int(row): int(count) for row, count in zip(self.rows, taken, strict=True) if count}
        rounded = np.round(own / own.max(), 6).tolist()
        return MachineLoss(
            f"machine with {sorted(together.items())} of model {model} at {rounded}",
            _of_theta(self.problem, level),
            everywhere,
            gains,
            most_in_machine(candidates, self.problem.offers.offers),
            (together,) if len(together) > 1 else (),
        )


@dataclass(frozen=True, eq=False)
class _OnOffer:
    """The groups of one model on one offer, those of the largest blocks first, and of these the fastest.

    Attributes
        rows      Which of the fleet's, shape (num_groups,).
        blocks    GPUs of a copy in a machine [-]; and `most` copies in it [-], of `room` GPUs in all.
        before    Groups of equal blocks that are as fast on every type, for each: where one of them is left, its loss
                  is no smaller.
    """

    rows: Indices
    blocks: Indices
    most: Indices
    room: int
    before: tuple[Indices, ...]


@dataclass(frozen=True)
class _Node:
    """Sets with `counts` of the first groups on an offer, and any number of the others."""

    offer: int
    counts: tuple[int, ...]
    left: int


class _SetsInMachines:
    """Sets of one model's replicas that have room in a machine, divided where not all of them are known to be stood.

    Copies that all of a node's sets leave are no fewer than where each further group takes as much as would fit without
    the rest. Where that is stood, none of the node's sets need be tried. Nor those that leave room, or that take a
    replica in place of one as large and no slower on any type. Copies of other models only take room.
    """

    def __init__(self, groups: Sequence[_OnOffer], num_chosen: int) -> None:
        self.groups, self.num_chosen = groups, num_chosen
        self.open = [_Node(at, (), each.room) for at, each in enumerate(groups)]

    @staticmethod
    def of(fleet: "_Fleet", model: int) -> "_SetsInMachines":
        """Those of one model in a fleet."""
        offers, chosen = fleet.problem.offers.offers, fleet.chosen
        blocks = least_blocks(chosen, offers)
        mine = (chosen.offers >= 0) & (chosen.model_index == model)[:, None]
        groups, rate = [], np.zeros((len(chosen), len(fleet.asked(model))))
        rate[chosen.model_index == model] = fleet.rate_of(model)
        for offer in np.unique(chosen.offers[mine]).tolist():
            rows, slot = np.nonzero(mine & (chosen.offers == offer))
            order = np.lexsort((-rate[rows].sum(axis=1), -blocks[rows, slot]))
            rows, block = rows[order], blocks[rows, slot][order]
            most = np.minimum(fleet.copies[rows].astype(np.int64), room(offers[offer]) // block)
            before = tuple(
                np.flatnonzero((block[:at] == block[at]) & (rate[rows[:at]] >= rate[row]).all(axis=1))
                for at, row in enumerate(rows.tolist())
            )
            groups.append(_OnOffer(rows, block, most, room(offers[offer]), before))
        return _SetsInMachines(groups, len(chosen))

    def take(self) -> list[_Node]:
        """Some nodes, those with most replicas of the first groups before others."""
        some, self.open = self.open[-AT_A_TIME:], self.open[:-AT_A_TIME]
        return some

    def largest(self, node: _Node) -> Indices:
        """What no set of the node takes more of, shape (num_chosen,)."""
        on, number = self.groups[node.offer], len(node.counts)
        taken = np.zeros(self.num_chosen, dtype=np.int64)
        taken[on.rows[:number]] = node.counts
        taken[on.rows[number:]] = np.minimum(on.most[number:], node.left // on.blocks[number:])
        return taken

    def is_one(self, taken: Indices, node: _Node) -> bool:
        """Whether `taken`, the largest of the node, has room itself."""
        on = self.groups[node.offer]
        return int(taken[on.rows] @ on.blocks) <= on.room

    def divide(self, node: _Node) -> None:
        """The node by how many replicas of its next group are in, without sets that others are no better than."""
        on, number = self.groups[node.offer], len(node.counts)
        block, most = int(on.blocks[number]), int(on.most[number])
        others = int(on.blocks[number + 1 :] @ on.most[number + 1 :])
        if any(node.counts[at] < on.most[at] for at in on.before[number].tolist()):
            most = 0
        for count in range(min(most, node.left // block) + 1):
            left = node.left - count * block
            if count == on.most[number] or left - others < block:
                self.open.append(_Node(node.offer, (*node.counts, count), left))


def told_apart(problem: PlanProblem, candidates: CandidateSet) -> NDArray[np.bool_]:
    """Which candidates others replace only at equal GPUs: smaller ones stand together, and are lost together."""
    risk, offers = problem.risk, problem.offers.offers
    if Domain.MACHINE not in {*risk.keep_after_loss, *risk.max_share}:
        return np.zeros(len(candidates), dtype=bool)
    return candidates.stands_on(np.array([offer.num_gpus > 1 for offer in offers]))


def undominated_of(
    rows: Indices, candidates: CandidateSet, problem: PlanProblem, contingencies: Losses = ()
) -> Indices:
    """Those of `rows` that no others of them replace, in the same order."""
    # Copies that are kept are replaced by none, and there are too few of them to replace others.
    keep = candidates.is_kept.copy()
    added = rows[~candidates.is_kept[rows]]
    if not len(added):
        return rows
    chosen = candidates.select(added)
    sizes = np.where(told_apart(problem, chosen)[:, None], np.hstack([chosen.gpus, chosen.group]), 0)
    of_each, kind = np.unique(np.column_stack([chosen.model_index, sizes]), axis=0, return_inverse=True)
    order = np.argsort(kind, kind="stable")
    for (model, *_), mine in zip(of_each, np.split(order, np.cumsum(np.bincount(kind))[:-1]), strict=True):
        rate = chosen.select(mine).rate_req_per_s(int(model))
        # What replaces a candidate must do so in each contingency.
        cases = [rate * contingency.factor[added[mine], None] for contingency in contingencies_of(contingencies)]
        starts = chosen.start_usd_per_hour[mine]
        keep[added[mine]] = undominated(chosen.offers[mine], chosen.gpus[mine], np.hstack([rate, *cases]), starts)
    return rows[keep[rows]]
