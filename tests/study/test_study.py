"""Figures of a study, worked out by hand."""

import math
from dataclasses import replace

import pytest

from cuvee.catalog import Offer, OfferSet, find_gpu, load_gpu_types, load_model
from cuvee.errors import InputError
from cuvee.study.given import given_rates
from cuvee.study.leads import lead
from cuvee.study.performance import PERCENTILES, is_extrapolated, list_replicas
from cuvee.study.prices import cheapest_offer, used_prices
from cuvee.study.request_kinds import request_kind
from cuvee.study.study import Asked, require_entries
from cuvee.workload import WorkloadType
from tests.study.tiny import LONG, MIX, MODEL, OFFERS, RATES, SHORT, best, cheapest, leader, tiny_study

STUDY = tiny_study()


def test_requests_per_dollar():
    """Rate over price: the H100 leads on long requests by 3 over 2, the A40 on short ones by 8 over 5."""
    # Tempting and wrong: by rate alone the H100 leads on both.
    ranked = [entry for kind in (LONG, SHORT) for entry in STUDY.ranking(MODEL.name, kind.name)]
    found = {(entry.gpu, entry.workload.name): entry.efficiency for entry in ranked}
    assert found == pytest.approx(
        {("A40", "long"): 2.0, ("A40", "short"): 8.0, ("H100-SXM", "long"): 3.75, ("H100-SXM", "short"): 5.0}
    )


def test_the_best_configuration_stands_for_its_gpu_type():
    """TP2 of the H100 does 15 req/s for 4 $/h, TP1 6 for 2: TP2 is listed, and TP1 follows it."""
    entries = STUDY.configurations(MODEL.name, "H100-SXM", "long")
    assert [entry.config.parallel_label for entry in entries] == ["TP2", "TP1"]
    assert best(STUDY, "H100-SXM", "long") is entries[0]
    assert STUDY.best(MODEL.name, "B200-SXM", "long") is None


def test_money_for_a_million_requests():
    """8 req/s per $/h are 28,800 requests per dollar: 34.72 $ per million, at 70 % load 49.60."""
    entry = best(STUDY, "A40", "short")
    assert entry.usd_per_million_requests == pytest.approx(1e6 / 28_800)
    assert entry.usd_per_million_requests_at_load == pytest.approx(1e6 / 28_800 / 0.7)


def test_cost_of_a_latency_percentile():
    """What the replica costs for as long as such a request takes, and more for the slower ones."""
    entry = best(STUDY, "A40", "short")
    assert [each.percentile for each in entry.latencies] == list(PERCENTILES)
    assert entry.latency_usd(95.0) == pytest.approx(0.5 * entry.latency_at(95.0).e2e_s / 3600)
    costs = [entry.latency_usd(percentile) for percentile in PERCENTILES]
    assert costs == sorted(costs)
    assert costs[0] > 0
    assert all(math.isfinite(cost) for cost in costs)


def test_the_cheapest_offer_has_room_and_is_on_demand():
    """An eighth of a machine at 16 $/h is cheaper than a GPU at 9; spot only counts where it is asked for."""
    assert cheapest(OFFERS, "H100-SXM", 1).seller == "whole machines"
    assert cheapest(OFFERS, "H100-SXM", 1, spot=True).seller == "spot seller"
    assert cheapest_offer(OFFERS, "A40", 16) is None
    assert cheapest_offer(OFFERS, "B200-SXM", 1) is None


OLD_AND_NEW = OfferSet(
    "old and new",
    (
        Offer("A40", "long ago", 0.2, num_gpus=8, machine_gpus=8, as_of="2024-12-23"),
        Offer("A40", "last year", 0.3, num_gpus=4, machine_gpus=4, as_of="2025-26 (fixture)"),
        Offer("A40", "this year", 0.5, num_gpus=1, machine_gpus=1, as_of="2026 (inferred)"),
        Offer("A40", "this year, dearer", 0.6, num_gpus=1, machine_gpus=1, as_of="2026-09-06"),
        Offer("H100-SXM", "last year", 2.0, num_gpus=1, machine_gpus=8, as_of=">=2025-12 (inferred)"),
    ),
    as_of="2024-12-23 to 2026-09-06",
    source="made up",
)


def test_only_listings_of_the_newest_year_count():
    """Of each GPU type and size those of the newest year that has any. Tempting: the lowest price of all dates."""
    found = [cheapest(OLD_AND_NEW, "A40", size).seller for size in (1, 2, 8)]
    assert found == ["this year", "last year", "long ago"]
    assert cheapest(OLD_AND_NEW, "A40", 1, any_year=True).seller == "long ago"
    undated = replace(OLD_AND_NEW, offers=(*OLD_AND_NEW.offers, Offer("A40", "no date", 0.4)))
    assert cheapest(undated, "A40", 1).seller == "no date"


def test_dates_are_of_the_prices_used():
    """The range is that of listings that figures rest on, and what was cheaper but too old is named."""
    study = tiny_study(offers=OLD_AND_NEW)
    # Tempting: the dates of the offers, of which the first and the last are no figure's.
    assert study.prices_as_of == "2025 to 2026"
    assert study.newest_year == "2026"
    assert study.notes == ("cheaper, but older than the newest year of the type: A40 0.03 $/h of 2024-12-23",)
    newest = [leader(study, kind).newest for kind in ("long", "short")]
    assert [entry.gpu if entry else None for entry in newest] == ["A40", "A40"]
    assert leader(STUDY, "long").newest is None
    assert STUDY.newest_year == ""
    used = {(price.gpu, price.offer.seller): price.sizes for price in used_prices(study.entries)}
    assert used == {("A40", "this year"): (1,), ("A40", "last year"): (2,), ("H100-SXM", "last year"): (1, 2)}


def test_replicas_fill_a_machine_of_eight():
    """Every split takes 1, 2, 4 or 8 GPUs, holds all layers and splits heads evenly; none is there twice."""
    model = load_model("llama-3-70b")
    replicas = list_replicas(model, [find_gpu("A40")], ["bf16"])
    assert len(replicas) == len(set(replicas)) == 10
    assert {replica.num_gpus for replica in replicas} == {1, 2, 4, 8}
    assert {replica.num_layers for replica in replicas} == {model.num_layers}


def test_precisions_that_a_gpu_cannot_hold_are_left_out():
    """A T4 runs no weights in fp8."""
    assert not list_replicas(MODEL, [find_gpu("T4")], ["fp8"])


def test_leads():
    """First over next, and the price at which another GPU type would be level."""
    found = leader(STUDY, "long")
    assert found.first.gpu == "H100-SXM"
    assert found.over_next is not None
    assert found.over_next.factor == pytest.approx(3.75 / 2)
    # At 0.5 $ x 2 / 3.75 the A40 would do 3.75 req/s per $/h; the H100 leads up to 2 $ x 3.75 / 2.
    assert found.price_to_lead_usd(found.ranking[1]) == pytest.approx(0.5 * 2 / 3.75)
    assert found.price_to_lead_usd(found.first) == pytest.approx(2 * 3.75 / 2)
    assert lead(STUDY, MODEL.name, "no such kind") is None


def test_shares_of_the_best():
    """On long requests the A40 serves 2 per dollar to the 3.75 of two H100; alone 1 per GPU, of two 0.8 each."""
    study = tiny_study()
    found = lead(study, MODEL.name, "long")
    assert found is not None
    assert [found.share_of(entry) for entry in found.ranking] == pytest.approx([1.0, 2 / 3.75])
    one, two = study.by_rate(MODEL.name, "A40", "long")
    assert two.config.num_gpus == 2
    assert two.rate_share(one) == pytest.approx(0.8)


def test_what_is_known_of_the_errors():
    """All rates are measured; a band is known of the A40 alone. Tempting: of neither, as one is not known."""
    study = tiny_study(errors={"A40": 0.05})
    (given,) = given_rates(study)
    assert (given.gpus, given.num_rates) == (("A40", "H100-SXM"), len(study.entries))
    assert study.gpus_of_unknown_error == ("H100-SXM",)


@pytest.mark.parametrize(
    ("lengths", "kind"),
    [((2000, 100), "prompt-heavy"), ((1999, 100), "balanced"), ((201, 100), "balanced"), ((200, 100), "answer-heavy")],
)
def test_kinds_of_requests(lengths, kind):
    """From 20 prompt tokens per answer token prompts are heavy, up to 2 answers."""
    assert request_kind(WorkloadType("any", *lengths)) == kind


def test_a_lead_inside_the_errors_is_a_tie():
    """With bands of 5 % a lead of 1.875 is clear; where the bands are not known it is not."""
    assert leader(STUDY, "long").ties == ()
    assert leader(tiny_study(errors={}), "long").ties == ("A40",)
    assert leader(tiny_study(errors={}), "long").backed is None


def test_the_best_with_a_known_error_need_not_lead():
    """Where only the A40's error is known, it is the best of those with figures behind them."""
    found = leader(tiny_study(errors={"A40": 0.05}), "long")
    assert found.backed is not None
    assert (found.first.gpu, found.backed.gpu) == ("H100-SXM", "A40")


def test_what_is_missing_is_noted():
    """GPU types without an offer, and those whose machines do not hold the model."""
    study = tiny_study(gpus=("A40", "H100-SXM", "B200-SXM"))
    assert study.notes == ("not on offer: B200-SXM",)
    assert [gpu.name for gpu in study.gpus] == ["A40", "H100-SXM"]
    small = {key: rate for key, rate in RATES.items() if key[0] == "A40"}
    assert tiny_study(small).notes == ("llama-3-8b: no machine on offer holds it on H100-SXM",)


def test_nothing_to_compare():
    """A study without entries is told with the GPU types that were asked for."""
    empty = tiny_study({})
    assert empty.entries == ()
    with pytest.raises(InputError, match="A40, H100-SXM"):
        require_entries(empty)


@pytest.mark.parametrize("load", [0, 1, 1.5, -0.1, math.nan])
def test_loads_without_a_latency(load):
    """An idle and a saturated replica have no latency to state."""
    with pytest.raises(InputError, match="load"):
        Asked({MODEL.name: 1.0}, (), (MIX,), (LONG, SHORT), load)


def test_estimates_of_other_makers_are_extrapolated():
    """The constants were read off NVIDIA's GPUs; of AMD's, Intel's and Google's nothing was."""
    extrapolated = {gpu.vendor for gpu in load_gpu_types().values() if is_extrapolated(gpu)}
    assert extrapolated == {"AMD", "Intel", "Google"}
