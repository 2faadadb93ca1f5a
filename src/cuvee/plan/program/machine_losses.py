"""One machine: how much may hang on any one, and what a fleet must still serve when any one of them is gone.

A machine is one that is rented whole, or the host that one replica on an offer of single GPUs, or one stage of it,
stands on. Machines of an offer are alike, so it does not matter which is lost, only what stood in it: any set n of
replicas that has room together,

    n_c <= 1, of one c          on offers of single GPUs
    sum_c b_c n_c <= K_o        in whole machines; b_c least GPUs of c that share a machine, K_o those of a host

whichever way the fleet is packed. What copies y serve without them is theta_m(y - n), concave, so any of its dual
solutions pi is a cut that holds for every fleet and every loss:

    level sum_w pi_w lambda_w theta_w <= sum_c g_c (y_c - min(n_c, y_c)),      g_c = max_w pi_w h_cw.

min(n_c, y_c) is a column l with one of two lower sides, which a binary q chooses: l >= n q, l >= y - (Y - n) q.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cuvee.catalog.offer import Offer
from cuvee.plan.candidates.candidate_set import CandidateSet
from cuvee.plan.candidates.placement import host_gpus
from cuvee.plan.program.formulation import most_money
from cuvee.plan.program.layout import Layout, first_workloads
from cuvee.plan.question.aim import Serve
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.question.risk import Domain
from cuvee.plan.solver.program import Array, Indices, Program

Together = Mapping[int, int]
"""Copies of candidates that stand in one machine, by row."""

LOST_FAMILY = "lost_copies"
"""Family of the rows of l = min(n, y_c): two for each l, of five entries."""

SHARE_FAMILY = "machine_share"
"""Family of the rows that limit what one machine serves."""


@dataclass(frozen=True, eq=False)
class MachineLoss:
    """One cut, which holds for the loss of every machine.

    Attributes
        name          Which loss it was found for, and at which worth: two of one name are the same cut.
        level         Share of what is served that must be left [-].
        worth         pi_w [per req/s], shape (num_workloads,).
        gains         g_c: worth of a copy of each candidate, shape (num_candidates,).
        in_machine    Most copies of each candidate in one machine [-], shape (num_candidates,).
        together      Other sets of replicas that have room in one machine.
    """

    name: str
    level: float
    worth: Array
    gains: Array
    in_machine: Indices
    together: tuple[Together, ...]

    def select(self, keep: NDArray[np.bool_] | Indices) -> "MachineLoss":
        """The cut over the candidates that are kept; sets shrink to those of them."""
        rows = np.flatnonzero(keep) if keep.dtype == bool else keep
        new = {int(old): number for number, old in enumerate(rows)}
        together = tuple({new[row]: count for row, count in each.items() if row in new} for each in self.together)
        return replace(self, gains=self.gains[rows], in_machine=self.in_machine[rows], together=together)


def room(offer: Offer) -> int:
    """K_o: GPUs that may be lost with one machine of an offer [-]; 1, for one replica, where GPUs are rented singly."""
    return host_gpus(offer) if offer.num_gpus > 1 else 1


def least_blocks(candidates: CandidateSet, offers: tuple[Offer, ...]) -> Indices:
    """b_c: room that a copy takes at least in a machine of each of its offers [-], shape (num_candidates, 2)."""
    single = np.array([*(offer.num_gpus == 1 for offer in offers), True])  # the last: offer -1
    return np.where(single[candidates.offers], 1, candidates.group)


def most_in_machine(candidates: CandidateSet, offers: tuple[Offer, ...]) -> Indices:
    """Most copies of each candidate in one machine [-], shape (num_candidates,)."""
    rooms = np.array([*(room(offer) for offer in offers), 0])[candidates.offers]
    most: Indices = (rooms // np.maximum(least_blocks(candidates, offers), 1)).max(axis=1)
    return most


def machine_parts(candidates: CandidateSet, offers: tuple[Offer, ...]) -> Array:
    """Part of the room of a machine that a copy takes [-], the least over its offers, shape (num_candidates,)."""
    rooms = np.array([*(float(room(offer)) for offer in offers), np.inf])[candidates.offers]
    parts = np.where(candidates.offers >= 0, least_blocks(candidates, offers) / rooms, np.inf)
    least: Array = parts.min(axis=1)
    return least


class _Rows:
    """Rows of one family, sum_j values_j x_columns_j <= 0, gathered to be added at once."""

    def __init__(self) -> None:
        self.keys: list[object] = []
        self.columns: list[Indices] = []
        self.values: list[Array] = []

    def add(self, key: object, columns: ArrayLike, values: ArrayLike) -> None:
        """One more row."""
        self.keys.append(key)
        self.columns.append(np.asarray(columns, dtype=np.int64))
        self.values.append(np.broadcast_to(np.asarray(values, dtype=float), self.columns[-1].shape))

    def add_to(self, program: Program, family: str) -> None:
        """All of them."""
        if self.keys:
            rows = np.repeat(np.arange(len(self.keys)), [len(each) for each in self.columns])
            entries = rows, np.concatenate(self.columns), np.concatenate(self.values)
            program.add_rows(family, self.keys, entries, upper=0.0)


def define_machine_losses(program: Program, layout: Layout, losses: Sequence[MachineLoss]) -> None:
    """Add the cuts, and the columns l and q of each number of copies that a machine may take.

    Rows are over the level: what the solver leaves unkept is then as small beside the share as beside the whole.
    """
    most = program.upper[layout.copies]
    sets: list[tuple[int, Together]] = []  # each with its cut
    for cut, loss in enumerate(losses):
        taken = [{row: int(loss.in_machine[row])} for row in np.flatnonzero(loss.gains > 0).tolist()]
        taken += [{row: count for row, count in each.items() if loss.gains[row] > 0} for each in loss.together]
        sets += [(cut, {row: int(min(count, most[row])) for row, count in each.items()}) for each in taken]
    lost = _define_lost_copies(program, layout, dict.fromkeys(pair for _, each in sets for pair in each.items()))
    worst = program.add_columns(len(losses))
    kept, taken_away = _Rows(), _Rows()
    for cut, loss in enumerate(losses):
        gains = np.flatnonzero(loss.gains > 0)
        asked = loss.worth * layout.demand_req_per_s
        theta = np.bincount(layout.service_of_workload, asked, minlength=len(layout.services))
        columns = np.concatenate([layout.services, layout.copies[gains], worst[[cut]]])
        kept.add(loss.name, columns, np.concatenate([theta, -loss.gains[gains] / loss.level, [1.0]]))
    for cut, each in sets:
        values = np.append(losses[cut].gains[list(each)] / losses[cut].level, -1.0)
        taken_away.add(losses[cut].name, [*(lost[pair] for pair in each.items()), worst[cut]], values)
    kept.add_to(program, "kept_without_machine")
    taken_away.add_to(program, "lost_with_machine")


def _define_lost_copies(
    program: Program, layout: Layout, pairs: Iterable[tuple[int, int]]
) -> Mapping[tuple[int, int], int]:
    """Columns l = min(n, y_c) of each pair of candidate and n."""
    listed = list(pairs)
    if not listed:
        return {}
    row, count = np.array(listed).T
    size, copies = len(listed), layout.copies[row]
    lost, chosen = program.add_columns(size, upper=count), program.add_columns(size, upper=1.0, whole=True)
    ones = np.ones(size)
    program.add_rows(
        LOST_FAMILY,
        [(*pair, side) for pair in listed for side in (0, 1)],
        (
            (2 * np.arange(size)[:, None] + [0, 0, 1, 1, 1]).ravel(),
            np.column_stack([lost, chosen, lost, chosen, copies]).ravel(),
            np.column_stack([ones, -count, ones, program.upper[copies] - count, -ones]).ravel(),
        ),
        lower=0.0,
    )
    return dict(zip(listed, lost.tolist(), strict=True))


# Largest share of one machine.


def define_machine_shares(program: Program, layout: Layout, candidates: CandidateSet, problem: PlanProblem) -> None:
    """sum_w h_cw z_cw <= s p_c theta_m y_c sum_w lambda_w, with p_c the part of a machine that a copy of c takes.

    This is what is asked (`Risk.max_share`), and whatever stands together in a machine then serves no more than s. At
    least cost theta is a number. Else theta y_c is the sum of products t = theta q, one for each copy up to those that
    may serve everything: t <= theta, t <= T q, sum q <= y_c, with q binary and T no less than any theta.
    """
    share = problem.risk.max_share.get(Domain.MACHINE)
    if share is None:
        return
    part = share * machine_parts(candidates, problem.offers.offers)
    limits = [limit for limit in _share_rows(layout, candidates) if part[limit.row] < 1]
    shares, of_copies = _Rows(), _Rows()
    if problem.objective is Objective.COST:
        for limit in limits:
            most = part[limit.row] * (1 + problem.aim.headroom)
            shares.add(limit.row, np.append(limit.busy, limit.row), np.append(limit.served, -most))
        shares.add_to(program, SHARE_FAMILY)
        return
    highest = _highest(layout, candidates, problem)
    numbers = [int(min(np.ceil(1 / max(part[limit.row], 1e-9)), program.upper[limit.row])) for limit in limits]
    ends = np.cumsum(numbers)[:-1]
    products_of = np.split(program.add_columns(sum(numbers)), ends)
    chosen_of = np.split(program.add_columns(sum(numbers), upper=1.0, whole=True), ends)
    for limit, products, chosen in zip(limits, products_of, chosen_of, strict=True):
        values = np.append(limit.served, np.full(len(products), -part[limit.row]))
        shares.add(limit.row, np.append(limit.busy, products), values)
        for product, copy in zip(products, chosen, strict=True):
            of_copies.add(limit.row, np.append(limit.services, product), np.append(-limit.of_service, 1.0))
            of_copies.add(limit.row, [product, copy], [1.0, -highest[limit.model]])
        of_copies.add(limit.row, np.append(chosen, limit.row), [1.0] * len(chosen) + [-1.0])
        for before, after in pairwise(chosen.tolist()):  # which of them are 1 does not matter
            of_copies.add(limit.row, [before, after], [-1.0, 1.0])
    shares.add_to(program, SHARE_FAMILY)
    of_copies.add_to(program, "share_of_copy")


def fix_machines(
    fixed: Program, layout: Layout, candidates: CandidateSet, copies: Indices, problem: PlanProblem
) -> None:
    """The same rows where `copies` are fixed and theta is not: what a machine takes, and holds, is then known."""
    for block in fixed.blocks:
        if block.family == LOST_FAMILY:
            lost, chosen, _, _, row = block.columns.reshape(-1, 5).T
            count, held = -block.values.reshape(-1, 5)[:, 1], copies[row]
            fixed.lower[lost] = fixed.upper[lost] = np.minimum(count, held)
            fixed.lower[chosen] = fixed.upper[chosen] = held >= count
    share = problem.risk.max_share.get(Domain.MACHINE)
    if share is None:
        return
    fixed.row_upper[fixed.rows_of(SHARE_FAMILY)] = np.inf
    most = share * machine_parts(candidates, problem.offers.offers) * copies
    shares = _Rows()
    for limit in _share_rows(layout, candidates):
        if most[limit.row] < 1:
            columns = np.append(limit.busy, limit.services)
            shares.add(limit.row, columns, np.append(limit.served, -most[limit.row] * limit.of_service))
    shares.add_to(fixed, "share")


@dataclass(frozen=True, eq=False)
class _ShareRow:
    """What one candidate serves of its model's requests: `served` of columns `busy`; and all: `of_service`."""

    row: int
    model: int
    busy: Indices
    served: Array
    services: Indices
    of_service: Array


def _share_rows(layout: Layout, candidates: CandidateSet) -> Iterator[_ShareRow]:
    first = first_workloads(candidates)
    cuts = np.searchsorted(layout.pair_candidate, np.arange(layout.num_candidates + 1))
    for row, model in enumerate(candidates.model_index.tolist()):
        workloads = np.arange(first[model], first[model + 1])
        demand = layout.demand_req_per_s[workloads]
        of_service = np.asarray(np.bincount(layout.service_of_workload[workloads], demand / demand.sum()), dtype=float)
        asked = np.flatnonzero(of_service > 0)
        pairs = np.arange(cuts[row], cuts[row + 1])
        served = layout.demand_req_per_s[layout.pair_workload[pairs]] / demand.sum()
        yield _ShareRow(row, model, layout.busy[pairs], served, layout.services[asked], of_service[asked])


def _highest(layout: Layout, candidates: CandidateSet, problem: PlanProblem) -> Array:
    """T of each model: no money buys more of its requests, in units of theta, shape (num_models,)."""
    if problem.ends_at_the_demand:
        return np.full(len(problem.models), 1.0 / layout.unit)
    money = np.full(layout.num_workloads, np.inf)  # for all of w alone, at theta = 1
    cost = candidates.price_usd_per_hour[layout.pair_candidate] * layout.pair_load
    np.minimum.at(money, layout.pair_workload, cost)
    first = first_workloads(candidates)
    of_model = np.array([money[first[model] : first[model + 1]].sum() for model in range(len(problem.models))])
    if problem.aim.serve is Serve.MIX:
        of_model[:] = of_model.sum()
    highest: Array = most_money(problem) / of_model
    return highest
