"""Gains, latencies, predictions and the paper's figures, from results that can be reckoned with by hand."""

import math

import pytest

from cuvee.evaluate.grid import Setting
from cuvee.evaluate.paper import claims
from cuvee.evaluate.summary import gains, latency_rows, predictions
from cuvee.evaluate.ways import Family
from tests.evaluate.made_up import outcome, result


def named(found, name):
    return next(each for each in found if each.name == name)


def test_gains_are_means_over_settings():
    """Ours 4 and 3 over 2 and 3: gains of 1 and 0, mean 0.5; lost 1/2 and 0, not 0.5 / 1.5 of the mean."""
    other = Setting("70b", "trace-2", 1, 30.0)
    results = [
        result(outcome("plan", 4.0, planned=5.0), outcome("greedy", 2.0, planned=4.0)),
        result(outcome("plan", 3.0), outcome("greedy", 3.0), setting=other),
    ]
    found = named(gains(results), "greedy")
    assert found.played == pytest.approx(0.5)
    assert found.planned == pytest.approx((0.25 + 0.0) / 2)
    assert found.losses == pytest.approx((0.5, 0.0))
    assert found.not_won == (other.name,)


def test_a_way_that_serves_nothing_does_not_count():
    """No gain without bounds over a fleet that cannot hold the model; a setting without our plan counts nowhere."""
    nothing = outcome("greedy", 0.0, planned=0.0)
    assert not [each for each in gains([result(outcome("plan", 4.0), nothing)]) if each.name == "greedy"]
    assert not gains([result(outcome("plan", 0.0, planned=0.0), outcome("greedy", 1.0))])


def test_the_best_single_type_is_that_of_each_setting():
    """A40 leads in one setting and H100 in the other: gains of 1/3 and 1/4, less than over either alone."""
    single = Family.SINGLE_UNLIMITED

    def ways(a40, h100, setting):
        return result(
            outcome("plan", 10.0),
            outcome("only A40, unlimited stock", a40, family=single),
            outcome("only H100-SXM, unlimited stock", h100, family=single),
            setting=setting,
        )

    found = gains(
        [ways(7.5, 5.0, Setting("70b", "trace-1", 1, 15.0)), ways(4.0, 8.0, Setting("70b", "trace-1", 1, 30.0))]
    )
    assert named(found, "best single type, unlimited").values == pytest.approx((1 / 3, 1 / 4))
    assert named(found, "best of H100, A6000, 4090, unlimited").values == pytest.approx((1.0, 1 / 4))


def test_latencies_count_where_the_other_keeps_up():
    """Half and twice as long make nothing, by the geometric mean; one that cannot keep up is told apart."""
    slow, fast = (2.0,) * 10, (0.5,) * 10
    results = [
        result(outcome("plan", 4.0), outcome("greedy", 3.0, e2e_s=slow)),
        result(outcome("plan", 4.0), outcome("greedy", 3.0, e2e_s=fast), setting=Setting("70b", "trace-2", 1, 30.0)),
        result(
            outcome("plan", 4.0), outcome("greedy", 1.9, e2e_s=(9.0,) * 10), setting=Setting("70b", "trace-3", 1, 30.0)
        ),
    ]
    found = named(gains(results), "greedy")
    assert found.e2e == pytest.approx(0.0)
    assert found.e2e_most == pytest.approx(0.5)
    assert found.num_overloaded == 1
    assert dict(latency_rows(results))["greedy"] == pytest.approx((0.0,) * 10)
    alone = gains([result(outcome("plan", 4.0), outcome("greedy", 1.9))])
    assert math.isnan(named(alone, "greedy").e2e)


def test_errors_of_makespans():
    """Planned 5 and played 4: 25 % longer, not 20 %; the other way is right."""
    found = predictions([result(outcome("plan", 4.0, planned=5.0), outcome("greedy", 2.0))])
    assert found[0].num_fleets == 2
    assert found[0].absolute == pytest.approx(0.125)
    assert found[0].share_wide == 0.5
    assert named(found, "our plans").mean == pytest.approx(0.25)


def test_the_paper_stands_beside_ours():
    """Its figures are of its mixes: results of other requests say nothing on them; losses are shares of our rate."""
    even = outcome("even composition", 3.0, family=Family.COMPOSITION)
    found = {each.what: each for each in claims([result(outcome("plan", 4.0), even)])}
    assert found["lost with an even composition"].mean == pytest.approx(0.25)
    assert found["lost with an even composition"].difference == pytest.approx(0.05)
    traced = result(outcome("plan", 4.0), even, setting=Setting("70b", "azure", 1, 30.0))
    assert not list(claims([traced]))
