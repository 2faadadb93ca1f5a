"""Whether what happens follows the plan: shares, mix, rates, lengths, latencies and replicas, each with its error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from cuvee.control.intervals import State, mean_interval, rate_interval, share_interval, state_of, z_of
from cuvee.control.observed import NOTHING, Observed, Spread
from cuvee.errors import InputError
from cuvee.plan.outcome.fingerprint import fingerprint
from cuvee.plan.outcome.result import AssignmentRow, Group, Plan
from cuvee.plan.question.problem import Objective
from cuvee.workload.latency_limits import LatencyLimits


class Verdict(StrEnum):
    """What all figures say together."""

    FOLLOWS = "follows"
    DRIFTS = "drifts"
    NOT_ENOUGH = "not enough data"


class Kind(StrEnum):
    """What a figure is of, in the order they are told."""

    REPLICAS = "replicas"
    RATE = "rate"
    MIX = "mix"
    SHARE = "share"
    LOAD = "load"
    LENGTH = "answer length"
    TTFT = "TTFT"
    TPOT = "TPOT"


ALWAYS_KNOWN = frozenset({Kind.RATE, Kind.MIX, Kind.SHARE})
"""Kinds without which there is not enough data: what they are open of must be little."""


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """How far reality may be from the plan.

    Attributes
        share, mix      Of a group in a type's requests, and of a type in all requests [-], to either side.
        rate            Over or under the planned rate, relative to it [-].
        length          The same of the mean answer of a type [-].
        latency         Over the planned latency, relative to it [-].
        confidence      That all judged figures are inside of their intervals [-].
        requests        Fewer are not enough data [-].
        open_share      Part of the planned requests whose types may be open in a verdict [-].
    """

    share: float = 0.05
    mix: float = 0.05
    rate: float = 0.2
    length: float = 0.25
    latency: float = 0.5
    confidence: float = 0.95
    requests: int = 100
    open_share: float = 0.1


@dataclass(frozen=True)
class Figure:
    """One figure beside its plan.

    Attributes
        name          Model, type and group that it is of, as far as it has them.
        planned       What the plan has, in `unit`; None where it has nothing.
        found         What was counted; `low` to `high` is what it may be by the counts.
        least, most   What is tolerated.
        weight        Part of the planned requests that it speaks of [-].
        number        Requests it rests on [-].
    """

    kind: Kind
    name: str
    unit: str
    planned: float | None
    found: float
    low: float
    high: float
    least: float
    most: float
    state: State
    weight: float
    number: float


@dataclass(frozen=True)
class Drift:
    """All figures and what they say.

    Attributes
        served_s        Time that was counted over [s].
        num_requests    Requests that were counted [-], `failed` of them with errors, `unserved` without a replica.
        z               Standard errors to either side of each figure [-].
    """

    verdict: Verdict
    figures: tuple[Figure, ...]
    served_s: float
    num_requests: float
    failed: float
    unserved: float
    z: float
    notes: tuple[str, ...]

    def of(self, state: State) -> tuple[Figure, ...]:
        """Figures of one state."""
        return tuple(each for each in self.figures if each.state is state)

    @property
    def drifting(self) -> frozenset[Kind]:
        """What of them drifts."""
        return frozenset(each.kind for each in self.of(State.DRIFTS))


def drift_of(plan: Plan, observed: Observed, tolerances: Tolerances | None = None) -> Drift:
    """`observed` beside `plan`.

    Raises      InputError: another plan is served.
    Notes       Intervals hold for all figures at once (Bonferroni). Requests count as if each were drawn for itself,
                which they are not: a split in turn spreads less, and bursts spread more.
    """
    if not plan.has_plan:
        raise InputError("a plan without a fleet", expected="one that rents something", remedy="plan again")
    if observed.fingerprint != fingerprint(plan):
        raise InputError(
            f"metrics of plan {observed.fingerprint}, but this one is {fingerprint(plan)}",
            expected="the plan that the gateway serves",
            remedy="name that plan, or have the gateway load this one: SIGHUP, or POST /reload",
        )
    tolerances = tolerances or Tolerances()
    comparison = _Comparison(plan, observed, tolerances, 1.0)
    judged = sum(figure.state is not State.TOLD and figure.kind is not Kind.REPLICAS for figure in comparison.all())
    comparison = replace(comparison, z=z_of(tolerances.confidence, judged))
    figures = tuple(comparison.all())
    unserved = sum(observed.waited_in_vain.values())
    notes = []
    if observed.processes_counted < observed.processes:
        notes.append(f"{observed.processes_counted} of {observed.processes} gateways are counted: rates are too low")
    return Drift(
        _verdict(figures, comparison.num_requests, tolerances), figures, observed.served_s, comparison.num_requests,
        observed.failed, unserved, comparison.z, tuple(notes),
    )  # fmt: skip


def _verdict(figures: tuple[Figure, ...], num_requests: float, tolerances: Tolerances) -> Verdict:
    if any(each.state is State.DRIFTS for each in figures):
        return Verdict.DRIFTS
    open_of: dict[Kind, dict[str, float]] = {}
    for each in figures:
        if each.state is State.OPEN and each.kind in ALWAYS_KNOWN:
            open_of.setdefault(each.kind, {})[each.name.rsplit(" to ", 1)[0]] = each.weight
    is_known = all(sum(weights.values()) <= tolerances.open_share for weights in open_of.values())
    return Verdict.FOLLOWS if is_known and num_requests >= tolerances.requests else Verdict.NOT_ENOUGH


@dataclass(frozen=True)
class _Comparison:
    """Plan and reality side by side, with intervals of `z` standard errors."""

    plan: Plan
    observed: Observed
    tolerances: Tolerances
    z: float

    def all(self) -> Iterator[Figure]:
        """Every figure."""
        for group in self.plan.groups:
            yield self._replicas(group)
        yield from self._rates()
        if len(self.plan.assignment) > 1:
            yield from map(self._mix, self.plan.assignment)
        for row in self.plan.assignment:
            yield from self._shares(row)
        yield from map(self._load, self.plan.groups)
        yield from map(self._length, self.plan.assignment)
        for group in self.plan.groups:
            yield from self._latencies(group)

    @property
    def num_requests(self) -> float:
        """Requests that asked for a replica [-]."""
        return sum(self.observed.placed.values()) + sum(self.observed.waited_in_vain.values())

    @property
    def demanded_req_per_s(self) -> float:
        return sum(row.demand_req_per_s for row in self.plan.assignment)

    def _weight(self, row: AssignmentRow) -> float:
        return row.demand_req_per_s / self.demanded_req_per_s

    def _placed(self, model: str, workload: str) -> float:
        return sum(number for key, number in self.observed.placed.items() if key[:2] == (model, workload))

    def _arrived(self, row: AssignmentRow) -> float:
        return self._placed(row.model, row.workload) + self.observed.waited_in_vain.get((row.model, row.workload), 0.0)

    def _row_of(self, group: Group, workload: str) -> AssignmentRow:
        return next(row for row in self.plan.assignment if (row.model, row.workload) == (group.model, workload))

    def _replicas(self, group: Group) -> Figure:
        up, copies = float(self.observed.up.get(group.id, 0)), float(group.copies)
        state = State.DRIFTS if up < copies else State.FOLLOWS
        return Figure(Kind.REPLICAS, group.id, "", copies, up, up, up, copies, math.inf, state, 1.0, 0.0)

    def _rates(self) -> Iterator[Figure]:
        """Of each model: what a plan for least cost is paid for, what one for most throughput can take."""
        plan, tolerance = self.plan, self.tolerances.rate
        is_known = plan.objective_name is Objective.COST
        for model in dict.fromkeys(row.model for row in plan.assignment):
            rows = [row for row in plan.assignment if row.model == model]
            weight = sum(map(self._weight, rows))
            planned, count = weight * plan.served_req_per_s, sum(map(self._arrived, rows))
            low, high = rate_interval(count, self.observed.served_s, self.z)
            least, most = planned * (1 - tolerance) if is_known else 0.0, planned * (1 + tolerance)
            state, found = state_of(low, high, least, most), count / self.observed.served_s
            yield Figure(Kind.RATE, model, "req/s", planned, found, low, high, least, most, state, weight, count)

    def _mix(self, row: AssignmentRow) -> Figure:
        planned, count, number = self._weight(row), self._arrived(row), self.num_requests
        low, high = share_interval(count, number, self.z)
        least, most = planned - self.tolerances.mix, planned + self.tolerances.mix
        state, found = state_of(low, high, least, most), count / number if number else 0.0
        name = self._name(row)
        return Figure(Kind.MIX, name, "", planned, found, low, high, least, most, state, planned, number)

    def _shares(self, row: AssignmentRow) -> Iterator[Figure]:
        number = self._placed(row.model, row.workload)
        for group in self.plan.groups:
            count = self.observed.placed.get((row.model, row.workload, group.id), 0.0)
            planned = row.shares.get(group.id, 0.0)
            if group.model != row.model or not (planned or count):
                continue
            low, high = share_interval(count, number, self.z)
            least, most = planned - self.tolerances.share, planned + self.tolerances.share
            state, found = state_of(low, high, least, most), count / number if number else 0.0
            name = f"{self._name(row)} to {group.id}"
            yield Figure(Kind.SHARE, name, "", planned, found, low, high, least, most, state, self._weight(row), number)

    def _load(self, group: Group) -> Figure:
        """Load of a group by the requests that it got and the plan's rates: above 1 they are more than it serves."""
        counts = {cell.workload: self.observed.placed.get((group.model, cell.workload, group.id), 0.0)
                  for cell in group.cells}  # fmt: skip
        taken_s = {cell.workload: 1 / (cell.rate_req_per_s * group.copies) for cell in group.cells}
        number = sum(counts.values())
        found = sum(counts[name] * taken_s[name] for name in counts) / self.observed.served_s
        error = math.sqrt(sum(counts[name] * taken_s[name] ** 2 for name in counts)) / self.observed.served_s
        low, high = max(found - self.z * error, 0.0), found + self.z * error
        planned = group.utilization * self.plan.served_req_per_s / self.plan.rate_req_per_s
        state = state_of(low, high, 0.0, max(1.0, planned))
        return Figure(Kind.LOAD, group.id, "", planned, found, low, high, 0.0, max(1.0, planned), state, 1.0, number)

    def _length(self, row: AssignmentRow) -> Figure:
        spread = _together(each for key, each in self.observed.lengths.items() if key[:2] == (row.model, row.workload))
        planned = row.output_tokens
        low, high = mean_interval(spread.mean, spread.deviation, spread.number, self.z)
        least, most = planned * (1 - self.tolerances.length), planned * (1 + self.tolerances.length)
        state = state_of(low, high, least, most) if planned > 0 else State.TOLD
        return Figure(
            Kind.LENGTH, self._name(row), "tokens", planned or None, _figure(spread.mean), low, high, least, most,
            state, self._weight(row), spread.number,
        )  # fmt: skip

    def _latencies(self, group: Group) -> Iterator[Figure]:
        """Means beside what the plan foretells; under limits the part of requests that keeps them.

        A time to first token without limits is told and not judged: the plan has it without any wait.
        """
        entry = next(each for each in self.plan.inputs.problem.models if each.model.name == group.model)
        for cell in group.cells:
            key = (group.model, cell.workload, group.id)
            limits = entry.latency.of(cell.workload) if entry.latency is not None else LatencyLimits()
            weight = self._weight(self._row_of(group, cell.workload))
            for kind, spreads, planned_s, limit_s in (
                (Kind.TTFT, self.observed.ttft, cell.ttft_s or 0.0, limits.ttft_s),
                (Kind.TPOT, self.observed.tpot, cell.tpot_s or 0.0, limits.tpot_s),
            ):
                spread = spreads.get(key, NOTHING)
                if not spread.number:
                    continue
                name = f"{self._name(self._row_of(group, cell.workload))} on {group.id}"
                if limit_s is not None and limits.percentile is not None:
                    yield self._within(kind, name, spread, limit_s, limits.percentile / 100, weight)
                else:
                    most_s = limit_s if limit_s is not None else planned_s * (1 + self.tolerances.latency)
                    is_judged = limit_s is not None or (kind is Kind.TPOT and planned_s > 0)
                    yield self._mean(kind, name, spread, limit_s or planned_s, most_s, weight, is_judged=is_judged)

    def _mean(
        self, kind: Kind, name: str, spread: Spread, planned_s: float, most_s: float, weight: float, *, is_judged: bool
    ) -> Figure:
        low, high = mean_interval(spread.mean, spread.deviation, spread.number, self.z)
        state = state_of(low, high, 0.0, most_s) if is_judged else State.TOLD
        planned = planned_s or None
        return Figure(kind, name, "s", planned, spread.mean, low, high, 0.0, most_s, state, weight, spread.number)

    def _within(self, kind: Kind, name: str, spread: Spread, limit_s: float, planned: float, weight: float) -> Figure:
        """Part of the requests that is within a limit: what falls into its bucket may be on either side."""
        surely, at_most = spread.at_most(limit_s)
        number = spread.number
        low, high = share_interval(surely, number, self.z)[0], share_interval(at_most, number, self.z)[1]
        # as many as promised is what is asked; a promise of 95 % that is kept for 96 % is not to be open for ever
        state = State.DRIFTS if high < planned else State.FOLLOWS if surely / number >= planned else State.OPEN
        told = f"{name} within {limit_s:g} s"
        return Figure(kind, told, "", planned, surely / number, low, high, planned, 1.0, state, weight, number)

    def _name(self, row: AssignmentRow) -> str:
        models = {each.model for each in self.plan.assignment}
        return row.workload if len(models) == 1 else f"{row.model} {row.workload}"


def _together(spreads: Iterator[Spread]) -> Spread:
    total = NOTHING
    for each in spreads:
        total = total.plus(each)
    return total


def _figure(value: float) -> float:
    return 0.0 if math.isnan(value) else value
