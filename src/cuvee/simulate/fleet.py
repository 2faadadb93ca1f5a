"""The fleet of a plan as the simulator plays it: laws, replicas, shares, prices."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.errors import InputError
from cuvee.plan.check.rates import links_of_group
from cuvee.plan.outcome.result import Group, Plan
from cuvee.profile.phases import Phase
from cuvee.profile.step_law import StepLaw, step_law
from cuvee.routing.targets import gpus_of, group_table, kinds_of, saturated_req_per_s
from cuvee.simulate.packing import Sending
from cuvee.units import BYTES_PER_GB
from cuvee.workload.records import Demand, WorkloadType

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FleetGroup:
    """Equal replicas of a plan.

    Attributes
        group             As the plan has it.
        law               Step times of one replica.
        slowed            Factor on the steps of the throughput model, so that they give the rates of the plan [-].
        most_running      B: sequences of the steady batch on each row [-]; 0 where it cannot serve the row.
        sending           How it sends caches on, where it only prefills.
        place             Seller, region and zone, by number: caches go no further.
    """

    group: Group
    law: StepLaw
    slowed: float
    most_running: Floats
    sending: Sending | None = None
    place: int = 0


@dataclass(frozen=True)
class Row:
    """A workload type of a model, and how many of its requests the plan is to serve.

    Attributes
        rate_req_per_s    Rate that the plan sustains [req/s].
    """

    model: str
    kind: WorkloadType
    rate_req_per_s: float


@dataclass(frozen=True, eq=False)
class Fleet:
    """What a plan rents, and where it sends what.

    Attributes
        shares         Of each row's requests by the group that does all of them or their prompts, shape
                       (num_rows, num_groups) [-].
        decode_shares  The same by the group that decodes what another one prefilled.
        demands        By model.
    """

    groups: tuple[FleetGroup, ...]
    rows: tuple[Row, ...]
    shares: Floats
    decode_shares: Floats
    demands: Mapping[str, Demand]
    cost_usd_per_hour: float

    @property
    def models(self) -> tuple[str, ...]:
        """Models in the order of the rows."""
        return tuple(dict.fromkeys(row.model for row in self.rows))

    @property
    def rate_req_per_s(self) -> float:
        """Requests a second that the plan sustains [req/s]."""
        return sum(row.rate_req_per_s for row in self.rows)

    @property
    def group_of(self) -> NDArray[np.int64]:
        """Group of each replica, shape (num_replicas,)."""
        return np.repeat(np.arange(len(self.groups)), [each.group.copies for each in self.groups])

    @property
    def is_apart(self) -> bool:
        """Whether some replicas do one phase alone."""
        return any(each.group.phase is not Phase.BOTH for each in self.groups)

    @property
    def num_places(self) -> int:
        """Sellers, regions and zones that groups stand in [-]."""
        return 1 + max(each.place for each in self.groups)

    @property
    def serves(self) -> NDArray[np.bool_]:
        """Whether a group takes requests of a row as they arrive, shape (num_rows, num_groups)."""
        decodes = [each.group.phase is Phase.DECODE for each in self.groups]
        serves: NDArray[np.bool_] = np.array([each.most_running > 0 for each in self.groups]).T & ~np.array(decodes)
        return serves

    @property
    def decodes(self) -> NDArray[np.bool_]:
        """Whether a group decodes requests of a row that another prefilled, same shape."""
        decodes = [each.group.phase is Phase.DECODE for each in self.groups]
        serves: NDArray[np.bool_] = np.array([each.most_running > 0 for each in self.groups]).T & np.array(decodes)
        return serves

    @property
    def occupies(self) -> Floats:
        """Share of a replica that one request takes, shape (num_rows, num_groups) [-]; 0 where it cannot serve it."""
        running = np.array([each.most_running for each in self.groups]).T
        shares: Floats = np.divide(1.0, running, out=np.zeros_like(running), where=running > 0)
        return shares

    @property
    def weights(self) -> Floats:
        """Share of each group of what all groups of a row could serve alone, shape (num_rows, num_groups) [-]."""
        rates = np.zeros_like(self.shares)
        for index, each in enumerate(self.groups):
            cells = {cell.workload: cell.rate_req_per_s for cell in each.group.cells}
            for place, row in enumerate(self.rows):
                if row.model == each.group.model:
                    rates[place, index] = each.group.copies * cells.get(row.kind.name, 0.0)
        total = rates.sum(axis=1, keepdims=True)
        weights: Floats = np.divide(rates, total, out=np.zeros_like(rates), where=total > 0)
        return weights


def fleet_of(plan: Plan) -> Fleet:
    """The fleet of `plan`.

    Raises      InputError: no plan in it, or a model without a shape.
    """
    if not plan.has_plan:
        raise InputError(
            f"a plan without a fleet ({plan.termination})", expected="one that rents something", remedy="plan again"
        )
    problem = plan.inputs.problem
    demands = {entry.model.name: entry.demand for entry in problem.models}
    models = {entry.model.name: entry.model for entry in problem.models}
    for model in models.values():
        if not model.shape_known:
            raise InputError(
                f"model {model.name!r} without a shape",
                expected="its dimensions, from which steps are timed",
                remedy="plan with the model's config.json",
            )
    gpus = gpus_of(plan)
    kinds = {(name, kind.name): kind for name, demand in demands.items() for kind in demand.types}
    rows = tuple(
        Row(each.model, kinds[each.model, each.workload], each.demand_req_per_s * plan.load_factor_of(each))
        for each in plan.assignment
    )
    places = _places(plan)
    groups = tuple(
        _fleet_group(plan, group, models[group.model], gpus, rows, places.index(_place(plan, group)))
        for group in plan.groups
    )
    shares, decode_shares = (
        np.array([[held.get(group.id, 0.0) for group in plan.groups] for held in by_row])
        for by_row in ([each.shares for each in plan.assignment], [each.decode_shares for each in plan.assignment])
    )
    return Fleet(groups, rows, shares, decode_shares, demands, plan.cost_usd_per_hour)


def _places(plan: Plan) -> list[tuple[str, ...]]:
    """Where groups stand, each place once."""
    return list(dict.fromkeys(_place(plan, group) for group in plan.groups))


def _place(plan: Plan, group: Group) -> tuple[str, ...]:
    """Seller, region and zone of a group; of one that rents nothing, none."""
    if not group.rented:
        return ()
    offer = plan.inputs.problem.offers.offers[group.rented[0].offer]
    return offer.seller, offer.region, offer.zone


def _fleet_group(
    plan: Plan, group: Group, model: ModelSpec, gpus: Mapping[str, GpuType], rows: tuple[Row, ...], place: int
) -> FleetGroup:
    """One group, its steps as fast as its rates say."""
    mine = kinds_of(plan, group)
    served = np.array([_served(plan, group, rows[place]) for place, _ in mine])
    weight = served / served.sum() if served.sum() > 0 else np.full(len(mine), 1 / len(mine))
    kinds = [kind for _, kind in mine]
    prompt = float(weight @ [kind.input_tokens for kind in kinds])
    context = float(weight @ [kind.input_tokens + kind.output_tokens / 2 for kind in kinds])
    provider, table = group_table(plan, group, model, gpus, kinds)
    network = provider.network_gb_per_s * BYTES_PER_GB
    sending = None
    if group.phase is Phase.PREFILL:
        send_s = model.kv_bytes(prompt, group.config.kv_precision) / prompt / network
        sending = Sending(send_s, send_s / links_of_group(plan, group), (1 + place) * len(rows))
    cells = {cell.workload: cell for cell in group.cells}
    known = np.array([saturated_req_per_s(cells[kind.name]) for kind in kinds])
    law = step_law(
        model, group.config, provider.gpus, provider.engine,
        prompt_tokens=prompt, context_tokens=context, network_gb_per_s=provider.network_gb_per_s,
    )  # fmt: skip
    slowed = float(weight @ (table.rate_req_per_s[0] / known))
    running = np.zeros(len(rows))
    running[[place for place, _ in mine]] = np.maximum(table.num_sequences[0], 1.0)
    return FleetGroup(group, law.slowed(slowed), slowed, running, sending, place)


def _served(plan: Plan, group: Group, row: Row) -> float:
    """Requests of `row` that `group` serves by the plan [req/s]."""
    for each in plan.assignment:
        if (each.model, each.workload) == (row.model, row.kind.name):
            return row.rate_req_per_s * each.share_of(group)
    return 0.0
