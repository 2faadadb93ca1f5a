"""Other ways of choosing a fleet, by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from cuvee.evaluate.compositions import even_composition, with_composition
from cuvee.evaluate.hexgen import hexgen_like, mean_demand, spread_by_capacity
from cuvee.evaluate.melange import melange_like
from cuvee.evaluate.ways import OURS, Family, ways
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import prepare
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.table import ThroughputTable
from cuvee.workload.records import WorkloadType
from tests.plan.instances import BY_HAND, GPUS, WORKED_DEMAND, WORKED_OFFERS, fleet, label, offer, problem

Rates = Mapping[str, Mapping[str, float]]

WORKED: Rates = {
    "t1": {"w1": 1.0, "w2": 1.2, "mean": 1.0},
    "t2": {"w1": 0.9, "w2": 0.9, "mean": 0.9},
    "t3": {"w1": 0.3, "w2": 0.5, "mean": 0.4},
    "t2*2": {"w1": 2.4, "w2": 1.5, "mean": 2.0},
}
"""The worked example of the paper, with rates of requests of mean length."""


@dataclass(frozen=True)
class ByKind:
    """Rates by label of the replica and name of the workload type; 0 where there is none."""

    rates: Rates

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """The written rates."""
        rate = np.array([[self.rates.get(label(one), {}).get(kind.name, 0.0) for kind in workloads] for one in configs])
        zero, first = np.zeros_like(rate), np.zeros(rate.shape, dtype=np.int64)
        return ThroughputTable(
            tuple(configs), tuple(workloads), rate, rate > 0, zero, zero, zero, zero, first, (BY_HAND,)
        )


def prepared(rates: Rates = WORKED, offers=WORKED_OFFERS, budget=8.0):
    return prepare(problem(offers, [WORKED_DEMAND], budget=budget), provider=ByKind(rates), gpus=GPUS)


def test_even_money_buys_one_of_each():
    """4 $/h for t1, 2 for t2, 2 for t3 of 8 $/h. Tempting: two t2 and two t3, the cheapest first."""
    assert even_composition(prepared().problem) == {"t1": 1, "t2": 1, "t3": 1}


def test_even_money_that_stock_cannot_use_goes_to_the_others():
    """One t1 in stock, 20 $/h: 4 for it, 4 for two t2, 4 for two t3, and no more is to be had."""
    offers = (offer("t1", 4.0, 1), offer("t2", 2.0), offer("t3", 2.0))
    assert even_composition(prepared(offers=offers, budget=20.0).problem) == {"t1": 1, "t2": 2, "t3": 2}


def test_a_composition_is_kept_to():
    """Two t2 and nothing else: the pair in tensor parallel, though a t1 is affordable."""
    assert fleet(plan_prepared(with_composition(prepared(), {"t2": 2}), explain=False)) == {"t2*2": 1}


def test_mean_requests():
    """80 of 100/10 and 20 of 10/100 tokens: 82 and 28 on average. Tempting: 55 and 55, the mean of the types."""
    kind = mean_demand(WORKED_DEMAND).types[0]
    assert (kind.input_tokens, kind.output_tokens) == pytest.approx((82.0, 28.0))


def test_hexgen_spreads_all_types_alike():
    """t1 and the pair of t2 serve 1.0345 and 2.1429 req/s of the mix: 100 requests in 31.47 s.

    Tempting: 30.94 s, the paper's proportional split, whose shares know the types; 28.43 s, the optimum.
    """
    plan = hexgen_like(prepared(), {"t1": 1, "t2": 2})
    assert fleet(plan) == {"t1": 1, "t2*2": 1}
    assert plan.makespan_s == pytest.approx(100 / (1 / (0.8 / 1.0 + 0.2 / 1.2) + 1 / (0.8 / 2.4 + 0.2 / 1.5)))
    shares = [tuple(row.shares.values()) for row in plan.assignment]
    assert shares[0] == pytest.approx(shares[1])


def test_hexgen_chooses_by_the_mean_request():
    """Where requests of mean length run best on single t2, they are rented, whatever the real mix prefers."""
    rates = {**WORKED, "t2*2": {"w1": 2.4, "w2": 1.5, "mean": 1.7}}
    assert fleet(hexgen_like(prepared(rates), {"t1": 1, "t2": 2})) == {"t1": 1, "t2": 2}


def test_hexgen_without_given_gpus_rents_what_is_best_for_mean_requests():
    """8 $/h buy the pair of t2 and a t1 (3.0 req/s of mean requests), more than two t1 (2.0) or t2s and t3s (2.8)."""
    assert fleet(hexgen_like(prepared())) == {"t1": 1, "t2*2": 1}


def test_melange_takes_the_smallest_replica_that_serves_every_type():
    """One t2 serves no w2, so two are given; of t3 one serves both, so the better pair is not allowed."""
    rates = {**WORKED, "t2": {"w1": 0.9, "mean": 0.9}, "t3*2": {"w1": 9.0, "w2": 9.0, "mean": 9.0}}
    chosen = fleet(melange_like(prepared(rates)))
    assert "t3*2" not in chosen
    assert chosen == {"t1": 1, "t2*2": 1}


def test_all_ways_of_the_worked_example():
    """Ours is the optimum, 28.43 s; nobody with the same stock is faster, and each way keeps to the budget."""
    found = list(ways(prepared()))
    assert found[0].name == OURS
    assert found[0].plan.makespan_s == pytest.approx(28.4314, abs=1e-3)
    assert {each.family for each in found} == set(Family)
    assert len({each.name for each in found}) == len(found)
    for each in found[1:]:
        assert each.plan.cost_usd_per_hour <= 8.0 + 1e-9
        if each.plan.has_plan and each.family is not Family.SINGLE_UNLIMITED:
            assert each.plan.rate_req_per_s <= found[0].plan.rate_req_per_s * (1 + 1e-6)


def test_our_fleet_spread_by_capacity():
    """The optimum's own fleet, types sent alike: 31.47 s again."""
    ours = plan_prepared(prepared(), explain=False)
    assert spread_by_capacity(prepared(), ours).makespan_s == pytest.approx(31.47, abs=0.01)
