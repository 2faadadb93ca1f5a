"""Factors beside the errors of both figures."""

import math
from dataclasses import replace

import pytest

from cuvee.study.comparison import Comparison, compare
from tests.study.tiny import MODEL, best, tiny_study

STUDY = tiny_study(errors={"A40": 0.35, "H100-SXM": 0.35})
SLOW = best(STUDY, "A40", "long")
FAST, SINGLE = STUDY.configurations(MODEL.name, "H100-SXM", "long")


def test_the_band_of_a_factor_between_two_gpu_types():
    """Two bands of 35 % make one of 1.35 ** sqrt(2) = 1.529."""
    # Tempting and wrong: 1.35 * 1.35, as if both errors were always at their worst.
    found = compare(FAST, SLOW)
    assert found.factor == pytest.approx(3.75 / 2)
    assert found.factor / found.low == pytest.approx(1.35 ** math.sqrt(2))
    assert found.high / found.factor == pytest.approx(1.35 ** math.sqrt(2))
    assert not found.is_tie


def test_configurations_of_one_gpu_type_share_most_of_their_error():
    """Three quarters of the variance are common: 1.35 ** sqrt(2 / 4)."""
    found = compare(FAST, SINGLE)
    assert found.factor == pytest.approx(3.75 / 3)
    assert found.factor / found.low == pytest.approx(1.35 ** math.sqrt(0.5))


def test_one_configuration_on_two_kinds_errs_alike():
    """A replica that is too slow is so on both."""
    other = best(STUDY, "A40", "short")
    assert compare(other, SLOW).low == pytest.approx(compare(other, SLOW).factor)


def test_per_gpu_prices_do_not_count():
    """15 req/s of two GPUs over 1 of one: 7.5, whatever they cost."""
    dear = replace(FAST, offer=replace(FAST.offer, price_usd_per_hour=1000.0))
    assert compare(dear, SLOW, per_gpu=True).factor == pytest.approx(7.5)


def test_the_other_way_round_is_the_inverse():
    """Factor, band and chance of a comparison turned about."""
    there, back = compare(FAST, SLOW), compare(SLOW, FAST)
    assert back.factor == pytest.approx(1 / there.factor)
    assert back.low == pytest.approx(1 / there.high)
    assert back.chance == pytest.approx(1 - there.chance)


@pytest.mark.parametrize(
    ("factor", "deviation", "chance", "tie"),
    [(1.0, 0.0, 0.5, True), (2.0, 0.0, 1.0, False), (0.5, 0.0, 0.0, False), (1.0, 0.3, 0.5, True)],
)
def test_chances_at_the_ends(factor, deviation, chance, tie):
    """Equal is even; exact figures are certain."""
    found = Comparison.of(factor, deviation)
    assert found.chance == pytest.approx(chance)
    assert found.is_tie is tie


def test_the_band_holds_four_cases_of_five():
    """At the edge of the band the chance to be ahead is nine in ten: one tail of the two."""
    assert Comparison.of(math.exp(1.2816 * 0.3), 0.3).chance == pytest.approx(0.9, abs=1e-4)
