"""What a simulation amounts to: rates, percentiles of latency, shares, use and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cuvee.simulate.arrays import GAPS_PER_OCTAVE, SHORTEST_GAP_S, Records, picked
from cuvee.simulate.fleet import Fleet
from cuvee.simulate.simulation import Simulation
from cuvee.units import SECONDS_PER_HOUR, TOKENS_PER_PRICE_UNIT
from cuvee.workload.latency_limits import LatencyLimits

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PERCENTILES = (*range(5, 100, 5), 99, 100)
"""Percentiles of every latency."""

WARM_UP = 0.1
"""Share of the time of arrivals that the rate leaves out: the fleet starts empty [-]."""

NUM_BINS = 100
"""Points of the series over time."""


@dataclass(frozen=True)
class Latencies:
    """Mean and percentiles of one latency [s]; nan where no request has one.

    Attributes
        percentiles_s    By `PERCENTILES`.
    """

    mean_s: float
    percentiles_s: tuple[float, ...]

    def at(self, percentile: int) -> float:
        """One of `PERCENTILES` [s]."""
        return self.percentiles_s[PERCENTILES.index(percentile)]

    def usd_per_million_within(self, values_s: Floats, tokens: Ints, cost_usd: float) -> tuple[float, ...]:
        """`cost_usd` over the tokens of requests that took no longer than each percentile [$/1M tokens]."""
        place = np.searchsorted(self.percentiles_s, values_s)
        within = np.bincount(place, weights=tokens, minlength=len(PERCENTILES) + 1).cumsum()[: len(PERCENTILES)]
        usd = np.divide(cost_usd * TOKENS_PER_PRICE_UNIT, within, out=np.full(len(within), np.nan), where=within > 0)
        return tuple(map(float, usd))

    @staticmethod
    def of(values_s: Floats) -> "Latencies":
        """Of values without nan [s]."""
        if not len(values_s):
            return Latencies(float("nan"), (float("nan"),) * len(PERCENTILES))
        percentiles = np.percentile(values_s, PERCENTILES)
        return Latencies(float(values_s.mean()), tuple(map(float, percentiles)))


@dataclass(frozen=True)
class Scope:
    """Some of the requests: all, a model's, a workload type's or a group's.

    Attributes
        num_requests, num_served     Of those, and of those with their last token [-].
        rate_req_per_s               Requests that end per second, once warm and while requests arrive [req/s].
        output_tokens_per_s          Answer tokens of those [tokens/s].
        ttft, tpot, e2e              Time to first token, per output token after it, and to the last.
        attainment                   Share of the requests within all limits [-]; None without limits.
        goodput_req_per_s            Rate of those [req/s]; None without limits.
        found_share                  Share of its prompt tokens that were in the cache [-]; None without prefix cache.
        cost_usd_per_hour            Of the replicas that serve nothing else [$/h]; None of a workload type.
        usd_per_million_tokens_within    By latency and `PERCENTILES`: that cost over the answer tokens of requests
                                     which took no longer than the percentile [$/1M tokens]; nan where there are none.
    """

    kind: str
    name: str
    num_requests: int
    num_served: int
    rate_req_per_s: float
    output_tokens_per_s: float
    ttft: Latencies
    tpot: Latencies
    e2e: Latencies
    attainment: float | None = None
    goodput_req_per_s: float | None = None
    found_share: float | None = None
    cost_usd_per_hour: float | None = None
    usd_per_million_tokens_within: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupUse:
    """What the replicas of a group did.

    Attributes
        busy                Share of the time of arrivals in which a replica computes [-], the mean over replicas.
        running             Mean requests that a replica holds [-].
        preemptions         Sequences that were put back.
        recomputed_share    Tokens computed anew, over answer tokens made [-].
        itl                 Time between two tokens of an answer [s].
        series_requests     Requests that the group holds, at the times of `Report.series_s` [-].
        series_waiting      Of those, without a first token.
        series_cache        Share of its cache in use [-].
    """

    group: str
    cost_usd_per_hour: float
    busy: float
    running: float
    preemptions: int
    recomputed_share: float
    itl: Latencies
    series_requests: tuple[float, ...] = field(repr=False)
    series_waiting: tuple[float, ...] = field(repr=False)
    series_cache: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class Share:
    """Requests of a workload type that a group got, beside what the plan says [-]."""

    model: str
    workload: str
    group: str
    planned: float
    achieved: float


@dataclass(frozen=True)
class Report:
    """A simulation in figures.

    Attributes
        offered_req_per_s          Mean rate of arrival [req/s].
        planned_req_per_s          Rate that the plan sustains [req/s].
        usd_per_million_tokens     Of answers, at the rate of arrival simulated [$ per 10^6 tokens]; None of none.
        lost                       Requests that got no last token.
        scopes                     All requests, then by model, workload type and group.
        series_s                   Times of the series [s].
        requests_per_cpu_s         Requests simulated per second of processor time.
    """

    num_requests: int
    lost: int
    duration_s: float
    offered_req_per_s: float
    planned_req_per_s: float
    cost_usd_per_hour: float
    usd_per_million_tokens: float | None
    scopes: tuple[Scope, ...]
    uses: tuple[GroupUse, ...]
    shares: tuple[Share, ...]
    series_s: tuple[float, ...] = field(repr=False)
    requests_per_cpu_s: float = 0.0

    @property
    def all(self) -> Scope:
        """All requests."""
        return self.scopes[0]


def report(simulation: Simulation, *, limits: Sequence[LatencyLimits | None] | None = None) -> Report:
    """Figures of `simulation`.

    Parameters
        limits    Latency limits of each row of its fleet; None: there are none.
    """
    requests, fleet = simulation.requests, simulation.fleet
    served = np.isfinite(requests.finish_s) & (requests.finish_s >= 0)
    until_s = float(requests.arrival_s[-1])
    from_s = WARM_UP * until_s
    in_window = served & (requests.finish_s > from_s) & (requests.finish_s <= until_s)
    window_s = until_s - from_s
    if window_s <= 0:  # all at once: until the last has ended
        in_window, window_s = served, float(np.max(requests.finish_s[served], initial=0.0)) or 1.0
    kept = _kept(simulation, limits) if limits is not None else None
    measured = _Measured(simulation, served, in_window, window_s, kept)
    scopes = _scopes(measured, fleet)
    group_of, sender_of = (np.append(fleet.group_of, -1)[requests[name]] for name in ("replica", "sender"))
    series_s = np.linspace(0, until_s, NUM_BINS + 1)
    tokens_per_s = scopes[0].output_tokens_per_s
    price_per_s = fleet.cost_usd_per_hour / SECONDS_PER_HOUR
    return Report(
        num_requests=len(requests),
        lost=int((~served).sum()),
        duration_s=float(np.max(requests.finish_s[served], initial=0.0)),
        offered_req_per_s=simulation.arrivals.rate_req_per_s,
        planned_req_per_s=fleet.rate_req_per_s,
        cost_usd_per_hour=fleet.cost_usd_per_hour,
        usd_per_million_tokens=price_per_s / tokens_per_s * TOKENS_PER_PRICE_UNIT if tokens_per_s > 0 else None,
        scopes=tuple(scopes),
        uses=tuple(
            _use(simulation, index, (group_of == index) | (sender_of == index), served, series_s)
            for index in range(len(fleet.groups))
        ),
        shares=tuple(_shares(simulation, np.where(sender_of >= 0, sender_of, group_of))),
        series_s=tuple(map(float, series_s)),
        requests_per_cpu_s=len(requests) / max(simulation.cpu_s, 1e-9),
    )


def _scopes(measured: "_Measured", fleet: Fleet) -> list[Scope]:
    """All requests, then by model, workload type and group."""
    requests = measured.simulation.requests
    everything = np.ones(len(requests), bool)
    scopes = [measured.scope("all", "all requests", everything, fleet.cost_usd_per_hour)]
    models = [row.model for row in fleet.rows]
    groups = [each.group for each in fleet.groups]
    if len(fleet.models) > 1:
        for name in fleet.models:
            cost = sum(group.cost_usd_per_hour for group in groups if group.model == name)
            scopes.append(measured.of_rows("model", name, [row == name for row in models], cost))
    for place, row in enumerate(fleet.rows):
        label = row.kind.name if len(fleet.models) == 1 else f"{row.model} {row.kind.name}"
        scopes.append(measured.of_rows("type", label, [each == place for each in range(len(models))]))
    group_of, sender_of = (np.append(fleet.group_of, -1)[requests[name]] for name in ("replica", "sender"))
    for index, group in enumerate(groups):
        mine = (group_of == index) | (sender_of == index)
        scopes.append(measured.scope("group", group.id, mine, group.cost_usd_per_hour))
    return scopes


@dataclass(frozen=True, eq=False)
class _Measured:
    """Latencies of all requests, cut into scopes."""

    simulation: Simulation
    served: Bools
    in_window: Bools
    window_s: float
    kept: Bools | None

    def of_rows(self, kind: str, name: str, rows: Sequence[bool], cost_usd_per_hour: float | None = None) -> Scope:
        """The scope of the requests of some rows."""
        return self.scope(kind, name, np.array(rows)[self.simulation.row], cost_usd_per_hour)

    def scope(self, kind: str, name: str, chosen: Bools, cost_usd_per_hour: float | None = None) -> Scope:
        """The scope of the requests that are `chosen`."""
        requests = self.simulation.requests
        served, ended = picked(requests, chosen & self.served), chosen & self.in_window
        times_s = _times_s(served)
        latencies = {name: Latencies.of(values[~np.isnan(values)]) for name, values in times_s.items()}
        number = int(chosen.sum())
        kept = None if self.kept is None else chosen & self.kept
        within = {}
        if cost_usd_per_hour is not None:
            cost_usd = cost_usd_per_hour / SECONDS_PER_HOUR * self.window_s
            tokens = np.where(self.in_window[chosen & self.served], served.answer, 0)
            within = {name: latencies[name].usd_per_million_within(times_s[name], tokens, cost_usd) for name in times_s}
        return Scope(
            kind, name, number, len(served),
            float(ended.sum() / self.window_s), float(requests.answer[ended].sum() / self.window_s),
            **latencies,
            attainment=None if kept is None else float(kept.sum() / max(number, 1)),
            goodput_req_per_s=None if kept is None else float((kept & ended).sum() / self.window_s),
            found_share=self._found_share(chosen),
            cost_usd_per_hour=cost_usd_per_hour,
            usd_per_million_tokens_within=within,
        )  # fmt: skip

    def _found_share(self, chosen: Bools) -> float | None:
        """Share of prompt tokens that were in the cache when their requests were admitted."""
        if self.simulation.found is None:
            return None
        admitted = chosen & (self.simulation.found >= 0)
        prompts = int(self.simulation.requests.prompt[admitted].sum())
        return float(self.simulation.found[admitted].sum() / max(prompts, 1))


def _times_s(served: Records) -> dict[str, Floats]:
    """Latencies of requests that were served, by their names in `Scope` [s]; nan where one has none."""
    tpot_s = (served.finish_s - served.first_s) / np.where(served.answer > 1, served.answer - 1, np.nan)
    return {"ttft": served.first_s - served.arrival_s, "tpot": tpot_s, "e2e": served.finish_s - served.arrival_s}


def _kept(simulation: Simulation, limits: Sequence[LatencyLimits | None]) -> Bools:
    """Whether each request keeps every limit of its row; one that was not served keeps none."""
    requests = simulation.requests

    def most(name: str) -> Floats:
        values = [getattr(each, name) if each is not None else None for each in limits]
        return np.array([np.inf if value is None else value for value in values])[simulation.row]

    tpot_s = (requests.finish_s - requests.first_s) / np.maximum(requests.answer - 1, 1)
    kept: Bools = (requests.first_s - requests.arrival_s <= most("ttft_s")) & (tpot_s <= most("tpot_s"))
    kept &= (requests.finish_s - requests.arrival_s <= most("e2e_s")) & (requests.finish_s >= 0)
    return kept


def _use(simulation: Simulation, index: int, chosen: Bools, served: Bools, series_s: Floats) -> GroupUse:
    """Use of one group over time: what its requests hold grows by steps and lines, which are added up."""
    each = simulation.fleet.groups[index]
    mine = simulation.fleet.group_of == index
    requests = picked(simulation.requests, chosen & served)
    if each.sending is not None:
        requests.finish_s = requests.first_s  # the rest of the request is somebody else's
    replicas, copies = picked(simulation.replicas, mine), max(int(mine.sum()), 1)
    until_s = max(float(series_s[-1]), 1e-9)
    arrived, first, finish = (np.sort(getattr(requests, name)) for name in ("arrival_s", "first_s", "finish_s"))
    held = np.searchsorted(arrived, series_s, "right") - np.searchsorted(finish, series_s, "right")
    waiting = np.searchsorted(arrived, series_s, "right") - np.searchsorted(first, series_s, "right")
    seen_s = np.minimum(requests.finish_s, until_s) - np.minimum(requests.arrival_s, until_s)
    room = max(each.law.cache_tokens * copies, 1)
    return GroupUse(
        each.group.id,
        each.group.cost_usd_per_hour,
        busy=float(min(replicas.busy_s.mean() / max(until_s, float(finish[-1]) if len(finish) else 0.0), 1.0)),
        running=float(seen_s.sum() / until_s / copies),
        preemptions=int(replicas.preemptions.sum()),
        recomputed_share=float(replicas.recomputed.sum() / max(requests.answer.sum(), 1)),
        itl=_gap_latencies(simulation.gaps[mine].sum(axis=0)),
        series_requests=tuple(map(float, held)),
        series_waiting=tuple(map(float, waiting)),
        series_cache=tuple(map(float, _cached(requests, series_s) / room)),
    )


def _cached(requests: Records, series_s: Floats) -> Floats:
    """Tokens that requests between first and last token hold at each time: the prompt, and the answer so far."""
    first, finish = np.argsort(requests.first_s), np.argsort(requests.finish_s)
    growth = requests.answer / np.maximum(requests.finish_s - requests.first_s, 1e-9)
    offset = requests.prompt - growth * requests.first_s

    def passed(order: NDArray[np.int64], times_s: Floats) -> Floats:
        place = np.searchsorted(times_s[order], series_s, "right")
        level, slope = (np.concatenate([[0.0], np.cumsum(values[order])]) for values in (offset, growth))
        return level[place] + slope[place] * series_s

    held: Floats = passed(first, requests.first_s) - passed(finish, requests.finish_s)
    return np.maximum(held, 0.0)


def _gap_latencies(counts: NDArray[np.int64]) -> Latencies:
    """Mean and percentiles of a histogram of times between tokens [s], each bin at its middle."""
    if not counts.sum():
        return Latencies.of(np.zeros(0))
    place = np.arange(len(counts))
    middle_s = (
        SHORTEST_GAP_S * 2.0 ** (place // GAPS_PER_OCTAVE) * (1 + (place % GAPS_PER_OCTAVE + 0.5) / GAPS_PER_OCTAVE)
    )
    upto = np.cumsum(counts)
    ranks = np.maximum(np.ceil(np.array(PERCENTILES) / 100 * upto[-1]), 1)
    percentiles = middle_s[np.searchsorted(upto, ranks)]
    return Latencies(float(middle_s @ counts / upto[-1]), tuple(map(float, percentiles)))


def _shares(simulation: Simulation, group_of: NDArray[np.int64]) -> list[Share]:
    """Planned and achieved shares of every row and group that has either."""
    fleet = simulation.fleet
    num_groups = len(fleet.groups)
    placed = group_of >= 0
    counts = np.bincount(
        simulation.row[placed] * num_groups + group_of[placed], minlength=len(fleet.rows) * num_groups
    ).reshape(len(fleet.rows), num_groups)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return [
        Share(row.model, row.kind.name, each.group.id, float(fleet.shares[place, index]), float(achieved))
        for place, row in enumerate(fleet.rows)
        for index, each in enumerate(fleet.groups)
        if (achieved := (counts / total)[place, index]) > 0 or fleet.shares[place, index] > 0
    ]
