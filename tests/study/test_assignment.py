"""What it is worth to send kinds of request to different GPU types, worked out by hand."""

import pytest

from cuvee.study.assignment import assignment_gain
from tests.study.tiny import MIX, MODEL, RATES, Rates, gain, tiny_study

SINGLE_GPU = {key: rate for key, rate in RATES.items() if key[1] == "TP1"}


def test_a_mix_served_where_it_is_cheap():
    """One request a second: 1/6 + 1/16 $/h where each kind is cheap, 1/6 + 1/10 on H100 alone."""
    # Tempting and wrong: the mean of requests per dollar, by which the A40 (5) is the best single type, not the H100.
    found = gain(tiny_study(SINGLE_GPU))
    assert found.single_gpu == "H100-SXM"
    assert found.over_single.factor == pytest.approx((1 / 6 + 1 / 10) / (1 / 6 + 1 / 16))
    assert found.gpus == ("H100-SXM", "A40")


def test_the_same_fleet_given_the_mix_as_it_is():
    """1/12 H100 serve 7.5 req/s of the mix each, 1/8 A40 1.6: 0.825 in place of 1."""
    found = gain(tiny_study(SINGLE_GPU))
    assert found.over_blind == pytest.approx(1 / (7.5 / 12 + 1.6 / 8))


def test_the_band_is_that_of_the_errors():
    """Where errors are small the gain is outside them; where they are not known it is inside, and one draw repeats."""
    sure, unsure = gain(tiny_study(SINGLE_GPU)), gain(tiny_study(SINGLE_GPU, {}))
    assert 1 < sure.over_single.low < sure.over_single.factor < sure.over_single.high
    assert unsure.over_single.is_tie
    assert unsure == gain(tiny_study(SINGLE_GPU, {}))


def test_one_gpu_type_that_is_best_for_all():
    """Then assignment brings nothing, exactly."""
    alone = {key: rate for key, rate in SINGLE_GPU.items() if key[0] == "A40"}
    found = gain(tiny_study(alone))
    assert (found.over_single.factor, found.over_single.low, found.over_single.high) == (1.0, 1.0, 1.0)
    assert found.over_blind == pytest.approx(1.0)


def test_a_kind_that_nothing_serves():
    """No gain is stated for a mix that cannot be served."""
    short_only = {key: rate for key, rate in SINGLE_GPU.items() if key[2] == "short"}
    assert assignment_gain(tiny_study(short_only), MIX, {MODEL.name: 1.0}) is None


def test_a_replica_that_serves_only_some_kinds():
    """A fleet whose replicas cannot all take the mix has no rate without assignment."""
    rates: Rates = {("A40", "TP1", "short"): 8.0, ("A40", "TP2", "long"): 1.6, ("H100-SXM", "TP1", "long"): 0.1}
    found = gain(tiny_study(rates))
    assert found.single_gpu == "A40"
    assert found.over_blind is None
