"""What a simulation amounts to: rates, percentiles of latency, shares, use and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cuvee.simulate.arrays import BLOCK_TOKENS, Bools, Floats, Ints, Records
from cuvee.simulate.fleet import Fleet
from cuvee.simulate.latencies import Latencies, gap_latencies
from cuvee.simulate.simulation import Simulation
from cuvee.simulate.use import GroupUse, group_use
from cuvee.units import SECONDS_PER_HOUR, TOKENS_PER_PRICE_UNIT
from cuvee.workload.latency_limits import LatencyLimits

WARM_UP = 0.1
"""Share of the time of arrivals that the rate leaves out at least: the fleet starts empty [-]."""

FILLING = 2.0
"""Until it is full, in mean times from first to last token [-]: so long is left out of the rate."""

ENOUGH = 5.0
"""How many times as long as a fleet takes to fill up requests are best simulated [-]."""

MOST_FILLING = 0.5
"""Share of the time of arrivals that is left out at most [-]; a fleet that takes longer is not full by then."""

TOO_LARGE = "they exceed the cache of every replica that may take them"
"""Why a request was refused."""

LATENCIES = ("ttft", "tpot", "e2e")
"""By their names in `Scope`."""

OTHER_MIX = 0.1
"""Share of the requests that are of other types than planned from which the mix is another [-]."""

LEAST_OF_A_MIX = 100
"""Requests below which their mix is chance [-]."""


@dataclass(frozen=True)
class Scope:
    """Some of the requests: all, a model's, a workload type's or a group's.

    Attributes
        num_requests, num_served     Of those, and of those with their last token [-].
        rate_req_per_s               Requests that end per second, once warm and while requests arrive [req/s].
        input_tokens_per_s           Prompt tokens of those [tokens/s].
        output_tokens_per_s          Their answer tokens [tokens/s].
        ttft, tpot, e2e              Time to first token, per output token after it, and to the last.
        itl                          Time between two tokens of an answer.
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
    input_tokens_per_s: float
    output_tokens_per_s: float
    ttft: Latencies
    tpot: Latencies
    e2e: Latencies
    itl: Latencies
    attainment: float | None = None
    goodput_req_per_s: float | None = None
    found_share: float | None = None
    cost_usd_per_hour: float | None = None
    usd_per_million_tokens_within: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """Requests of a workload type that a group got, beside what the plan says [-]; None where none came."""

    model: str
    workload: str
    group: str
    planned: float
    achieved: float | None


@dataclass(frozen=True)
class Report:
    """A simulation in figures.

    Attributes
        offered_req_per_s          Mean rate of arrival [req/s].
        planned_req_per_s          Rate that the plan sustains [req/s].
        usd_per_million_tokens     Of answers, at the rate of arrival simulated [$ per 10^6 tokens]; None of none.
        arriving_s, filling_s      How long requests arrive, and how long the fleet takes to fill up [s].
        lost, lost_by_reason       Requests that got no last token, and why, for people.
        scopes                     All requests, then by model, workload type and group.
        series_s                   Times of the series [s].
        requests_per_cpu_s         Requests simulated per second of processor time.
    """

    num_requests: int
    lost: int
    lost_by_reason: Mapping[str, int]
    duration_s: float
    offered_req_per_s: float
    planned_req_per_s: float
    cost_usd_per_hour: float
    usd_per_million_tokens: float | None
    arriving_s: float
    filling_s: float
    scopes: tuple[Scope, ...]
    uses: tuple[GroupUse, ...]
    shares: tuple[Share, ...]
    series_s: tuple[float, ...] = field(repr=False)
    requests_per_cpu_s: float = 0.0

    @property
    def all(self) -> Scope:
        """All requests."""
        return self.scopes[0]

    @property
    def is_short(self) -> bool:
        """Whether requests arrive for too short a time to tell rates: the fleet is still filling up."""
        return self.filling_s > MOST_FILLING * self.arriving_s > 0

    @property
    def enough_requests(self) -> int:
        """Requests after which rates mean something at that rate of arrival [-], to two digits."""
        return int(float(f"{self.num_requests * ENOUGH * self.filling_s / max(self.arriving_s, 1e-9):.2g}"))


@dataclass(frozen=True)
class OffMix:
    """The workload type whose part of the requests is furthest from the plan's: as arrived, and as planned [-]."""

    workload: str
    arrived: float
    planned: float


def other_mix(simulation: Simulation) -> OffMix | None:
    """Where requests of a trace are of another mix than the plan is for; None where they are of its mix, or too few."""
    if not simulation.arrivals.is_of_trace or len(simulation.row) < LEAST_OF_A_MIX:
        return None
    rows = simulation.fleet.rows
    planned = np.array([row.rate_req_per_s for row in rows])
    planned = planned / planned.sum()
    arrived = np.bincount(simulation.row, minlength=len(rows)) / len(simulation.row)
    apart = np.abs(arrived - planned)
    if apart.sum() / 2 < OTHER_MIX:
        return None
    worst = int(np.argmax(apart))
    return OffMix(rows[worst].kind.name, float(arrived[worst]), float(planned[worst]))


def report(simulation: Simulation, *, limits: Sequence[LatencyLimits | None] | None = None) -> Report:
    """Figures of `simulation`.

    Parameters
        limits    Latency limits of each row of its fleet; None: there are none.
    """
    requests, fleet = simulation.requests, simulation.fleet
    served = np.isfinite(requests.finish_s) & (requests.finish_s >= 0)
    until_s = float(requests.arrival_s[-1])
    filling_s = FILLING * float(np.mean((requests.finish_s - requests.first_s)[served])) if served.any() else 0.0
    from_s = min(max(WARM_UP * until_s, filling_s), MOST_FILLING * until_s)
    in_window = served & (requests.finish_s > from_s) & (requests.finish_s <= until_s)
    window_s = until_s - from_s
    if window_s <= 0:  # all at once: until the last has ended
        in_window, window_s = served, float(np.max(requests.finish_s[served], initial=0.0)) or 1.0
    kept = _kept(simulation, limits) if limits is not None else None
    measured = _Measured(simulation, served, in_window, window_s, kept)
    scopes = _scopes(measured, fleet)
    group_of, sender_of = (np.append(fleet.group_of, -1)[requests[name]] for name in ("replica", "sender"))
    tokens_per_s = scopes[0].output_tokens_per_s
    price_per_s = fleet.cost_usd_per_hour / SECONDS_PER_HOUR
    return Report(
        num_requests=len(requests),
        lost=int((~served).sum()),
        lost_by_reason=_lost_by_reason(simulation, ~served),
        duration_s=float(np.max(requests.finish_s[served], initial=0.0)),
        offered_req_per_s=simulation.arrivals.rate_req_per_s,
        planned_req_per_s=fleet.rate_req_per_s,
        cost_usd_per_hour=fleet.cost_usd_per_hour,
        usd_per_million_tokens=price_per_s / tokens_per_s * TOKENS_PER_PRICE_UNIT if tokens_per_s > 0 else None,
        arriving_s=until_s,
        filling_s=filling_s,
        scopes=tuple(scopes),
        uses=tuple(group_use(simulation, index) for index in range(len(fleet.groups))),
        shares=tuple(_shares(simulation, np.where(sender_of >= 0, sender_of, group_of))),
        series_s=tuple(map(float, simulation.series_s)),
        requests_per_cpu_s=len(requests) / max(simulation.cpu_s, 1e-9),
    )


def _lost_by_reason(simulation: Simulation, lost: Bools) -> dict[str, int]:
    """Requests without a last token: why, as far as there are any."""
    requests, fleet = simulation.requests, simulation.fleet
    room = np.array([each.law.cache_tokens // BLOCK_TOKENS for each in fleet.groups])
    sends = np.array([each.sending is not None for each in fleet.groups])
    prompts, answers = (
        np.where(takes, room, 0).max(axis=1)[simulation.row]
        for takes in (fleet.serves, (fleet.serves & ~sends) | fleet.decodes)
    )
    gone = lost & (requests.first_s > 0) & (requests.replica != requests.sender)  # else nobody took what it sent
    large = -(-(requests.prompt + requests.answer) // BLOCK_TOKENS) > answers
    large = lost & ~gone & (large | (-(-requests.prompt // BLOCK_TOKENS) > prompts))
    counts = (gone, "their replica was gone"), (large, TOO_LARGE), (lost & ~gone & ~large, "no replica was open")
    return {reason: int(chosen.sum()) for chosen, reason in counts if chosen.any()}


def _scopes(measured: "_Measured", fleet: Fleet) -> list[Scope]:
    """All requests, then by model, workload type and group."""
    requests, gaps = measured.simulation.requests, measured.simulation.gaps
    everything = np.ones(len(requests), bool)
    scopes = [measured.scope("all", "all requests", everything, gaps.sum(axis=(0, 1)), fleet.cost_usd_per_hour)]
    groups = [each.group for each in fleet.groups]
    if len(fleet.models) > 1:
        for name in fleet.models:
            cost = sum(group.cost_usd_per_hour for group in groups if group.model == name)
            scopes.append(measured.of_rows("model", name, [row.model == name for row in fleet.rows], cost))
    for place, row in enumerate(fleet.rows):
        label = row.kind.name if len(fleet.models) == 1 else f"{row.model} {row.kind.name}"
        scopes.append(measured.of_rows("type", label, [each == place for each in range(len(fleet.rows))]))
    group_of, sender_of = (np.append(fleet.group_of, -1)[requests[name]] for name in ("replica", "sender"))
    for index, group in enumerate(groups):
        mine = (group_of == index) | (sender_of == index)
        scopes.append(measured.scope("group", group.id, mine, gaps[index].sum(axis=0), group.cost_usd_per_hour))
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
        gaps = self.simulation.gaps[:, np.array(rows)].sum(axis=(0, 1))
        return self.scope(kind, name, np.array(rows)[self.simulation.row], gaps, cost_usd_per_hour)

    def scope(self, kind: str, label: str, chosen: Bools, gaps: Ints, cost_usd_per_hour: float | None = None) -> Scope:
        """The scope of the requests that are `chosen`, whose times between tokens are counted in `gaps`."""
        requests = self.simulation.requests
        served, ended = chosen & self.served, chosen & self.in_window
        number = int(chosen.sum())
        kept = None if self.kept is None else chosen & self.kept
        latencies, within = {}, {}
        for name in LATENCIES:  # one after the other: of a million requests each takes some memory
            times_s = _times_s(requests, served, name)
            latencies[name] = Latencies.of(times_s[~np.isnan(times_s)])
            if cost_usd_per_hour is not None:
                cost_usd = cost_usd_per_hour / SECONDS_PER_HOUR * self.window_s
                tokens = np.where(self.in_window[served], requests.answer[served], 0)
                within[name] = latencies[name].usd_per_million_within(times_s, tokens, cost_usd)
        return Scope(
            kind, label, number, int(served.sum()),
            float(ended.sum() / self.window_s), float(requests.prompt[ended].sum() / self.window_s),
            float(requests.answer[ended].sum() / self.window_s),
            **latencies, itl=gap_latencies(gaps),
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


def _times_s(requests: Records, served: Bools, name: str) -> Floats:
    """One of `LATENCIES` of the requests that were served [s]; nan where one has none."""
    times_s: Floats
    if name == "tpot":
        further = requests.answer[served] - 1
        times_s = requests.finish_s[served] - requests.first_s[served]
        times_s /= np.where(further > 0, further, np.nan)
    else:
        times_s = (requests.first_s if name == "ttft" else requests.finish_s)[served]
        times_s -= requests.arrival_s[served]
    return times_s


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


def _shares(simulation: Simulation, group_of: Ints) -> list[Share]:
    """Planned and achieved shares of every row and group that has either."""
    fleet = simulation.fleet
    num_groups = len(fleet.groups)
    placed = group_of >= 0
    counts = np.bincount(
        simulation.row[placed] * num_groups + group_of[placed], minlength=len(fleet.rows) * num_groups
    ).reshape(len(fleet.rows), num_groups)
    totals = counts.sum(axis=1)
    return [
        Share(
            row.model, row.kind.name, each.group.id, float(fleet.shares[place, index]),
            float(counts[place, index] / totals[place]) if totals[place] else None,
        )
        for place, row in enumerate(fleet.rows)
        for index, each in enumerate(fleet.groups)
        if counts[place, index] > 0 or fleet.shares[place, index] > 0
    ]  # fmt: skip
