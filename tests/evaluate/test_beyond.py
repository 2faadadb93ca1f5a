"""Beyond the paper: sums over hours by hand, and results as they are shown."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cuvee.evaluate import beyond as beyond_module
from cuvee.evaluate import market
from cuvee.evaluate.beyond import Beyond, beyond
from cuvee.evaluate.fortnight import (
    DayPlayed,
    Fortnight,
    Held,
    day_of_requests,
    fleets_of,
    play_day,
    scaled,
    shortage,
    with_hindsight,
)
from cuvee.evaluate.market import MarketResult, best_alone
from cuvee.evaluate.within_limits import LIMITED_QUESTIONS, LimitedOutcome, LimitedResult
from cuvee.report.beyond_console import beyond_record, tables
from cuvee.workload.records import Trace
from cuvee.workload.series import DemandSeries
from tests.evaluate.made_up import outcome
from tests.evaluate.test_ways import prepared

DAYS = Fortnight(
    "m", "o", "s", (1.0, 3.0) * 12, 0,
    (Held("peak", 200.0, (3.0,) * 24, fleet="1x t1"), Held("day", 150.0, (2.0,) * 24, 12, 0.25), Held("bound", 100.0)),
    (DayPlayed("peak", 200.0, 10, 0.1, 0.5, 2.0, 1.0),),
)  # fmt: skip
LIMITED = LimitedResult(
    LIMITED_QUESTIONS[0],
    (LimitedOutcome("plan within the limits", "1x t1", 4.0, 0.97, 1.5, 0.05), LimitedOutcome("only t2", "")),
)
MARKET = MarketResult(
    "m", "trace-1", "all", 30.0, (outcome("plan", 4.0), outcome("only t2", 2.0), outcome("greedy", 0.0))
)


def dollars(rate_req_per_s):
    """1 $/h for each request a second begun, of which 0.9 is proven."""
    cost = float(np.ceil(rate_req_per_s - 1e-9))
    return SimpleNamespace(cost_usd_per_hour=cost, bound=0.9 * cost)


def test_hours_with_hindsight_are_bracketed():
    """Hours of 0, 2.5 and 4 req/s at 4 levels: 2.5 costs at least the bound of 2 and at most a fleet for 3.

    No less than 0 + 1.8 + 3.6 $, enough are 0 + 3 + 4 $. Tempting: the bound of 3, which a fleet for 2.5 may undercut.
    """
    asked = []

    def cheapest(rate_req_per_s):
        asked.append(rate_req_per_s)
        return dollars(rate_req_per_s)

    assert with_hindsight(np.array([0.0, 2.5, 4.0, 2.5]), cheapest, 4) == pytest.approx(
        (0 + 1.8 * 2 + 3.6, 0 + 3 * 2 + 4)
    )
    assert asked == [2.0, 3.0, 4.0]  # each level once


def test_shortage_counts_what_is_beyond():
    """Demand 1, 3 and 4 on 3, 3 and 2: one hour, 2 of 8 requests. Demand as high as capacity is no shortage."""
    hours, share = shortage(np.array([1.0, 3.0, 4.0]), np.array([3.0, 3.0, 2.0]))
    assert hours == 1
    assert share == pytest.approx(0.25)


def test_periods_past_midnight():
    """20:00 to 08:00 is one fleet, in hours 20 to 23 and 0 to 7."""
    night, day = (SimpleNamespace(start_s=hour * 3600.0, hours=12.0) for hour in (20, 8))
    periods = (SimpleNamespace(period=night, plan="night"), SimpleNamespace(period=day, plan="day"))
    made_up: Any = SimpleNamespace(constant="all", periods=periods)
    found: list[Any] = [*fleets_of(made_up)]
    assert found == ["night"] * 8 + ["day"] * 12 + ["night"] * 4


def test_a_series_is_scaled_to_its_highest_hour():
    """Not to its mean."""
    series = scaled(DemandSeries("s", np.array([0.0, 3600.0, 7200.0]), np.array([5.0, 20.0, 10.0]), 3600.0), 4.0)
    assert series.rate_req_per_s.tolist() == [1.0, 4.0, 2.0]


def test_a_day_of_requests_follows_the_hours():
    """Three times as many in the second hour as in the first, none in the third; in order of arrival."""
    trace = day_of_requests(np.array([0.5, 1.5, 0.0]), seed=0)
    assert trace.arrival_s is not None
    hour = trace.arrival_s // 3600.0
    assert trace.num_requests == pytest.approx(7200, abs=5)
    assert np.count_nonzero(hour == 0) == pytest.approx(1800, rel=0.1)
    assert hour.max() == 1.0
    assert np.all(np.diff(trace.arrival_s) >= 0)


def test_only_the_best_types_alone_are_played(monkeypatch):
    """By their plans: t2 in pairs serves most, then t1; t3 is left out of two."""
    monkeypatch.setattr(market, "NUM_PLAYED", 2)
    names = [way.name for way in best_alone(prepared(), progress=lambda _text: None)]
    assert len(names) == 2
    assert "only t3" not in names


def test_offers_of_one_maker():
    """No MI300X and no TPU; all of them without a choice."""
    offers = market.on_demand("market")
    assert market.made_by(offers, "all") == offers
    gpus = {offer.gpu for offer in market.made_by(offers, "NVIDIA").offers}
    assert gpus < {offer.gpu for offer in offers.offers}
    assert "MI300X" not in gpus
    assert "H100-SXM" in gpus
    assert not any(offer.spot for offer in offers.offers)


def test_gains_are_over_what_is_played():
    """4 over 2 is +100 %; nothing is gained over a way that serves nothing."""
    ours, single, greedy = MARKET.outcomes
    assert MARKET.gain(single) == pytest.approx(1.0)
    assert MARKET.gain(greedy) is None
    assert replace(MARKET, outcomes=(greedy, single)).gain(single) is None
    assert ours is MARKET.ours


def test_tables_have_every_way():
    """Savings are of the fleet for the peak; a way without a fleet says so."""
    market_table, limits, held, played = tables(Beyond((MARKET,), (LIMITED,), DAYS))
    assert [row[7] for row in market_table[2]] == ["", "+100.0%", ""]
    assert limits[2][0][2:6] == ("4.00", "97.0%", "1.50 s", "50 ms")
    assert limits[2][1][-1] == "none serves this"
    assert [row[2:5] for row in held[2]] == [("", "0", "0.00%"), ("25.0%", "12", "25.00%"), ("50.0%", "", "")]
    assert len(played[2]) == 1
    assert tables(Beyond((), (), None)) == []


def test_the_record_is_plain():
    """JSON without nan, with gains and savings in it."""
    record = json.loads(json.dumps(beyond_record(Beyond((MARKET,), (LIMITED,), DAYS)), allow_nan=False))
    assert [each["gain_of_ours"] for each in record["market"][0]["outcomes"]] == [0.0, 1.0, None]
    assert [each["saving"] for each in record["fortnight"]["held"]] == [0.0, 0.25, 0.5]


def test_interrupted_keeps_what_is_done(monkeypatch):
    """Ctrl-C in the second question: the first is kept, and days are not begun; one that nobody asked for goes on."""
    begun: list[tuple[str, str]] = []

    def stub(model, mix, _maker, _options, *, progress):
        if begun:
            raise KeyboardInterrupt
        begun.append((model, mix))
        return MARKET

    monkeypatch.setattr(beyond_module, "on_the_market", stub)
    assert beyond(interrupted=lambda: True) == Beyond((MARKET,), (), None)
    with pytest.raises(KeyboardInterrupt):
        beyond()


def test_a_day_played_on_changing_fleets(monkeypatch):
    """Two fleets in turn get the requests of their own hours, each from its own midnight on."""
    seen = []

    def stub(plan, part, **_options):
        seen.append((plan, part.arrival_s.tolist()))
        return SimpleNamespace(
            requests=SimpleNamespace(
                arrival_s=part.arrival_s, first_s=part.arrival_s + 1.0, finish_s=part.arrival_s + plan
            )
        )

    monkeypatch.setattr("cuvee.evaluate.fortnight.simulate", stub)
    ones, zeros = np.ones(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    trace = Trace("t", ones, ones, np.array([600.0, 4000.0, 8000.0]), zeros, ("m",))
    fleets: Any = [2.0, 5.0, 5.0]  # seconds that each takes
    found = play_day("way", 1.0, fleets, trace, seed=0)
    assert seen == [(2.0, [600.0]), (5.0, [400.0, 4400.0])]
    assert (found.num_requests, found.ttft_p50_s, found.share_soon) == (3, 1.0, 1.0)
    assert found.e2e_p95_s == 5.0


def test_a_request_that_nobody_served_never_ends(monkeypatch):
    """One of four has no last token: it has no first within 2 s, and no end. Tempting: a first token at time 0."""

    def stub(_plan, part, **_options):
        finish_s = np.where(np.arange(4) == 3, np.nan, part.arrival_s + 1.0)
        first_s = np.where(np.arange(4) == 3, 0.0, part.arrival_s + 1.0)
        return SimpleNamespace(requests=SimpleNamespace(arrival_s=part.arrival_s, first_s=first_s, finish_s=finish_s))

    monkeypatch.setattr("cuvee.evaluate.fortnight.simulate", stub)
    ones = np.ones(4, dtype=np.int64)
    fleet: Any = 1.0
    found = play_day("way", 1.0, [fleet], Trace("t", ones, ones, np.arange(4.0), ones * 0, ("m",)), seed=0)
    assert (found.ttft_p50_s, found.share_soon) == (1.0, 0.75)
    assert found.ttft_p95_s == found.e2e_p95_s == np.inf
