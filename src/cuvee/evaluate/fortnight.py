"""Fourteen days of demand: one fleet for the peak, the plan of a typical day, and replanning with hindsight."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.evaluate.grid import EvaluationOptions
from cuvee.evaluate.market import on_demand
from cuvee.evaluate.playing import fleet_label
from cuvee.evaluate.requests import Requests
from cuvee.plan.outcome.result import Plan
from cuvee.plan.periods.periods import at_rate, plan_periods
from cuvee.plan.periods.result import PeriodPlan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.aim import Aim
from cuvee.plan.question.problem import ModelDemand, Objective, PlanProblem
from cuvee.simulate.simulation import simulate
from cuvee.units import SECONDS_PER_HOUR
from cuvee.workload.day import fold_day
from cuvee.workload.mixes import load_mix
from cuvee.workload.records import Trace
from cuvee.workload.series import DemandSeries, load_series

MODEL, OFFERS, MIX, SERIES = "llama-3-70b", "paper-avail-1", "trace-1", "servegen-small"

PEAK_REQ_PER_S = 12.0
"""The highest hour of the series is scaled to this [req/s]."""

NUM_LEVELS = 48
"""Rates that are planned for with hindsight [-]: hours are rounded down to them, and up."""

QUICK_LEVELS = 12

TYPICAL_DAYS = (("p90", 0.0), ("p90", 0.2), ("max", 0.0))
"""Statistic over the days, and head-room above it [-], of the days that are planned in periods."""

SOON_S = 2.0
"""Requests that have their first token by then are counted [s]."""

HELD = "one fleet for the peak, held always"
LEAST = "hour by hour with hindsight, no less than"
ENOUGH = "hour by hour with hindsight, starts for free"

HOURS_PER_DAY = 24

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Held:
    """What a way of renting costs over all days of the series, and where it is short.

    Attributes
        capacity_req_per_s    Of each hour [req/s]; empty for a bound, which no fleet stands behind.
        hours_short           Hours with more demand than capacity [-].
        share_short           Requests beyond capacity, over all [-].
        fleet                 Of the way in words; "" where it changes.
    """

    way: str
    cost_usd: float
    capacity_req_per_s: tuple[float, ...] = ()
    hours_short: int = 0
    share_short: float = 0.0
    fleet: str = ""


@dataclass(frozen=True)
class DayPlayed:
    """The busiest day, played.

    Attributes
        num_requests      Of that day [-].
        ttft_p50_s, ttft_p95_s, e2e_p95_s    Over all requests of the day [s].
        share_soon        Share with their first token within `SOON_S` [-].
    """

    way: str
    cost_usd: float
    num_requests: int
    ttft_p50_s: float
    ttft_p95_s: float
    e2e_p95_s: float
    share_soon: float


@dataclass(frozen=True)
class Fortnight:
    """A demand series and the ways of renting for it.

    Attributes
        demand_req_per_s    Of each hour [req/s].
        held                By way; the fleet for the peak first.
        played              The busiest day by way.
    """

    model: str
    offers: str
    series: str
    demand_req_per_s: tuple[float, ...]
    busiest_day: int
    held: tuple[Held, ...]
    played: tuple[DayPlayed, ...]

    def saving(self, way: Held) -> float:
        """1 - cost over that of the fleet for the peak [-]."""
        return 1 - way.cost_usd / self.held[0].cost_usd


def fortnight(options: EvaluationOptions, *, quick: bool, progress: Callable[[str], None]) -> Fortnight:
    """All ways over all days of the built-in series, and its busiest day played."""
    progress("fourteen days: candidates")
    series = scaled(load_series(SERIES), PEAK_REQ_PER_S)
    rates = series.rate_req_per_s
    prepared = _prepared(options)

    def cheapest(rate_req_per_s: float) -> Plan:
        progress(f"fourteen days: {rate_req_per_s:.3g} req/s")
        return plan_prepared(replace(prepared, problem=at_rate(prepared.problem, rate_req_per_s)), explain=False)

    constant = cheapest(PEAK_REQ_PER_S)
    days = {
        _name(statistic, headroom): plan_periods(
            replace(prepared, problem=replace(prepared.problem, aim=Aim(headroom=headroom))),
            fold_day(series, statistic=statistic),
            progress=progress,
        )
        for statistic, headroom in TYPICAL_DAYS[: 1 if quick else None]
    }
    least_usd, enough_usd = with_hindsight(rates, cheapest, QUICK_LEVELS if quick else NUM_LEVELS)
    num_days = len(rates) / HOURS_PER_DAY
    hour = (series.clock_s // SECONDS_PER_HOUR % HOURS_PER_DAY).astype(np.int64)
    held = [_held(HELD, constant.cost_usd_per_hour * len(rates), rates, np.full(len(rates), constant.rate_req_per_s))]
    held[0] = replace(held[0], fleet=fleet_label(constant))
    held += [_held(way, day.cost_usd_per_day * num_days, rates, capacity(day)[hour]) for way, day in days.items()]
    held += [Held(ENOUGH, enough_usd), Held(LEAST, least_usd)]
    busiest = int(rates.reshape(-1, HOURS_PER_DAY).sum(axis=1).argmax())
    trace = day_of_requests(rates.reshape(-1, HOURS_PER_DAY)[busiest], options.seed)
    played = []
    for way, fleets in ((HELD, [constant] * HOURS_PER_DAY), *((way, fleets_of(day)) for way, day in days.items())):
        progress(f"fourteen days: playing day {busiest + 1}, {way}")
        cost_usd = next(each.cost_usd for each in held if each.way == way) / num_days
        played.append(play_day(way, cost_usd, fleets, trace, options.seed))
    return Fortnight(MODEL, OFFERS, SERIES, tuple(map(float, rates)), busiest, tuple(held), tuple(played))


def _name(statistic: str, headroom: float) -> str:
    above = f" and {headroom:.0%}" if headroom else ""
    return f"typical day ({statistic}{above}) in periods"


def scaled(series: DemandSeries, peak_req_per_s: float) -> DemandSeries:
    """`series` with its highest step at that rate."""
    return replace(series, rate_req_per_s=series.rate_req_per_s * (peak_req_per_s / series.rate_req_per_s.max()))


def _prepared(options: EvaluationOptions) -> PreparedProblem:
    (entry,) = Requests(MIX, load_mix(MIX)).models({MODEL: 1.0})
    demand = replace(entry.demand, rate_req_per_s=PEAK_REQ_PER_S)
    return prepare(
        PlanProblem(
            (ModelDemand(entry.model, demand),), on_demand(OFFERS), objective=Objective.COST, search=options.search
        )
    )  # fmt: skip


def with_hindsight(rates: Floats, cheapest: Callable[[float], Plan], num_levels: int) -> tuple[float, float]:
    """What hours at `rates` cost when each is planned for itself and starts are free [$].

    Parameters
        rates       Of each hour [req/s].
        cheapest    The plan of least cost for a rate.
    Returns         no less than, and enough: each distinct rate of `num_levels` up to the highest is planned once. More
                    requests never cost less, so the bound of the level below an hour holds for it, and the fleet of
                    the level above serves it.
    """
    step = float(rates.max()) / num_levels
    below = np.floor(rates / step * (1 + 1e-12)).astype(np.int64)
    above = np.minimum(np.ceil(rates / step * (1 - 1e-12)).astype(np.int64), num_levels)
    plans = {level: cheapest(level * step) for level in np.unique([below, above]).tolist() if level > 0}
    least = sum(plans[level].bound or 0.0 for level in below.tolist() if level > 0)
    enough = sum(plans[level].cost_usd_per_hour for level in above.tolist() if level > 0)
    return float(least), float(enough)


def _held(way: str, cost_usd: float, demand: Floats, capacity_req_per_s: Floats) -> Held:
    hours, share = shortage(demand, capacity_req_per_s)
    return Held(way, cost_usd, tuple(map(float, capacity_req_per_s)), hours, share)


def shortage(demand_req_per_s: Floats, capacity_req_per_s: Floats) -> tuple[int, float]:
    """Hours with more demand than capacity [-], and the share of all requests that is beyond it [-]."""
    beyond = np.maximum(demand_req_per_s - capacity_req_per_s, 0.0)
    beyond[beyond <= 1e-6 * demand_req_per_s] = 0.0
    return int((beyond > 0).sum()), float(beyond.sum() / demand_req_per_s.sum())


def fleets_of(day: PeriodPlan) -> list[Plan]:
    """The fleet of each hour of the day, 24; a period that begins within an hour counts from the next on."""
    found = [day.constant] * HOURS_PER_DAY
    for each in day.periods:
        first = int(-(-each.period.start_s // SECONDS_PER_HOUR))
        for hour in range(first, first + round(each.period.hours)):
            found[hour % HOURS_PER_DAY] = each.plan
    return found


def capacity(day: PeriodPlan) -> Floats:
    """What the fleet of each hour of the day sustains [req/s], shape (24,)."""
    return np.array([plan.rate_req_per_s for plan in fleets_of(day)])


def day_of_requests(rates: Floats, seed: int) -> Trace:
    """A day of requests in the planned mix that arrive at random, with these rates hour by hour [req/s]."""
    rng = np.random.default_rng(seed)
    trace = Requests(MIX, load_mix(MIX)).burst({MODEL: 1.0}, round(float(rates.sum()) * SECONDS_PER_HOUR), seed)
    hour = rng.choice(len(rates), trace.num_requests, p=rates / rates.sum())
    return replace(trace, arrival_s=np.sort(hour + rng.random(len(hour))) * SECONDS_PER_HOUR)


def play_day(way: str, cost_usd: float, fleets: Sequence[Plan], trace: Trace, seed: int) -> DayPlayed:
    """`trace` on the fleet of each hour.

    Notes       Each fleet begins empty when its period begins, and ends what came in it.
    """
    ttft_s, e2e_s = (np.concatenate(each) for each in zip(*_latencies(fleets, trace, seed), strict=True))
    # The time of a request each: between one that was served and one that was not there is none.
    p50, p95 = np.percentile(ttft_s, (50, 95), method="higher")
    e2e_p95 = np.percentile(e2e_s, 95, method="higher")
    soon = float((ttft_s <= SOON_S).mean())
    return DayPlayed(way, cost_usd, len(ttft_s), float(p50), float(p95), float(e2e_p95), soon)


def _latencies(fleets: Sequence[Plan], trace: Trace, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Time to first and to last token of the requests of each run of hours with one fleet [s]; inf of those that nobody
    served.
    """
    assert trace.arrival_s is not None
    changes = [hour for hour in range(1, len(fleets)) if fleets[hour] is not fleets[hour - 1]]
    for begin, end in zip([0, *changes], [*changes, len(fleets)], strict=True):
        hour = trace.arrival_s / SECONDS_PER_HOUR
        mine = (hour >= begin) & (hour < end)
        if not mine.any():
            continue
        arrival_s = trace.arrival_s[mine] - begin * SECONDS_PER_HOUR
        part = replace(
            trace,
            input_tokens=trace.input_tokens[mine],
            output_tokens=trace.output_tokens[mine],
            arrival_s=arrival_s,
            model=None if trace.model is None else trace.model[mine],
        )
        requests = simulate(fleets[begin], part, policy="plan-live", seed=seed).requests
        unserved = np.isnan(requests.finish_s)
        ttft_s, e2e_s = requests.first_s - requests.arrival_s, requests.finish_s - requests.arrival_s
        yield np.where(unserved, np.inf, ttft_s), np.where(unserved, np.inf, e2e_s)
