"""Risk: shares and losses by hand, against enumeration, and through `check`."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from cuvee.catalog.offer import OfferSet
from cuvee.errors import InputError
from cuvee.plan import planner
from cuvee.plan.check.risk import losses_of
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.aim import Aim
from cuvee.plan.question.problem import Objective
from cuvee.plan.question.risk import Domain, Risk, domains
from cuvee.plan.solver.program import Termination
from tests.plan.generated import generate
from tests.plan.instances import check_tiny, demand, fleet, offer, prepare_tiny, problem, solve_tiny
from tests.plan.risk_brute_force import best_of_fleets


def asked(*offers, risk, rate=2.0, objective=Objective.COST, budget=None):
    question = problem(offers, [demand(1.0, rate_req_per_s=rate)], objective=objective, budget=budget)
    return replace(question, risk=risk)


CHEAP = offer("t1", 1.0, 4, zone="a")
DEAR = offer("t1", 1.5, 4, zone="b")
RATES = {"t1": [1.0]}


def zones(plan):
    """Copies by zone."""
    found: dict[str, int] = {}
    for group in plan.groups:
        zone = plan.inputs.problem.offers.offers[group.rented[0].offer].zone
        found[zone] = found.get(zone, 0) + group.copies
    return found


@pytest.mark.parametrize(
    ("risk", "money", "expected"),
    [
        (Risk(), 2.0, {"a": 2}),
        # Half must stay when either zone is gone. Tempting: both in the cheap zone at 2.0.
        (Risk(keep_after_loss={"zone": 0.5}), 2.5, {"a": 1, "b": 1}),
        # All must stay: two in each. Tempting: 1.5 times as many, which loses a third too much.
        (Risk(keep_after_loss={"zone": 1.0}), 5.0, {"a": 2, "b": 2}),
        (Risk(keep_after_loss={"zone": 0.0}), 2.0, {"a": 2}),
        # At most six tenths in a zone: whole replicas make it one and one.
        (Risk(max_share={"zone": 0.6}), 2.5, {"a": 1, "b": 1}),
        (Risk(max_share={"zone": 1.0}), 2.0, {"a": 2}),
    ],
)
def test_two_zones(risk, money, expected):
    """Two zones, one dearer; a replica serves one of the two requests a second."""
    plan = solve_tiny(asked(CHEAP, DEAR, risk=risk), RATES)
    assert plan.cost_usd_per_hour == pytest.approx(money)
    assert zones(plan) == expected
    assert check_tiny(plan).ok


def test_largest_share_of_requests():
    """A share limit holds for requests, not GPUs: t2 serves three times as much and may have half of the requests."""
    offers = [offer("t1", 1.0, 4), offer("t2", 1.0, 4)]
    rates = {"t1": [1.0], "t2": [3.0]}
    plan = solve_tiny(asked(*offers, risk=Risk(max_share={"gpu": 0.5}), rate=4.0), rates)
    # Two requests each: two t1 and one t2. Tempting: one t1 and one t2, which serve four as well, three of them on t2.
    assert fleet(plan) == {"t1": 2, "t2": 1}
    assert check_tiny(plan).ok


def test_on_demand_floor():
    """Losing all spot keeps a half: spot at a third of the price serves no more than the rest can carry alone."""
    offers = [offer("t1", 3.0, 4), offer("t1", 1.0, 4, spot=True)]
    plan = solve_tiny(asked(*offers, risk=Risk(keep_after_loss={"spot": 0.5})), RATES)
    assert plan.cost_usd_per_hour == pytest.approx(4.0)
    assert [(loss.kind, loss.name) for loss in plan.losses] == [("spot", "spot")]
    assert plan.losses[0].kept == pytest.approx(0.5)


def test_interruptions_cost_capacity():
    """Taken back six times an hour for ten minutes, a spot GPU serves half of the time: two are needed for one."""
    risk = Risk(spot_interruptions_per_hour=6.0, recovery_minutes=10.0)
    assert risk.spot_availability == pytest.approx(0.5)
    spot = offer("t1", 1.0, 4, spot=True)
    plan = solve_tiny(asked(spot, offer("t1", 2.5, 4), risk=risk, rate=1.0), RATES)
    assert fleet(plan) == {"t1": 2}  # tempting: one spot GPU at 1.0, which serves half a request a second
    assert plan.groups[0].cells[0].rate_req_per_s == pytest.approx(0.5)
    assert check_tiny(plan).ok
    dear = solve_tiny(asked(spot, offer("t1", 1.9, 4), risk=risk, rate=1.0), RATES)
    assert dear.cost_usd_per_hour == pytest.approx(1.9)


def test_losing_a_host():
    """On single GPUs a replica has a host of its own: t1 alone serves 1, two as one replica 3, for 1 $/h each GPU.

    3 req/s, half to stay whichever host is gone: three t1 for 3.0 keep two of three. Tempting: one t1*2 for 2.0, which
    keeps nothing; two of them for 4.0, one for the loss.
    """
    rates = {"t1": [1.0], "t1*2": [3.0]}
    plan = solve_tiny(asked(CHEAP, risk=Risk(keep_after_loss={"machine": 0.5}), rate=3.0), rates)
    assert fleet(plan) == {"t1": 3}
    (loss,) = plan.losses
    assert (loss.kind, loss.name) == ("machine", "s t1:1 with 1 of g1")
    assert loss.kept == pytest.approx(2 / 3)
    assert check_tiny(plan).ok
    assert fleet(solve_tiny(asked(CHEAP, risk=Risk(keep_after_loss={"zone": 0.0}), rate=3.0), rates)) == {"t1*2": 1}


def test_losing_a_machine_takes_all_that_stands_in_it():
    """Machines of four for 4 $/h: four t1 serve the 4 req/s from one of them, and nothing stays when it is gone.

    For half to stay two machines hold six or more: four are lost, two stay. Tempting: five replicas, as if only one
    were lost with its machine.
    """
    machine = offer("t1", 4.0, 3, num_gpus=4, machine_gpus=4)
    plan = solve_tiny(asked(machine, risk=Risk(keep_after_loss={"machine": 0.5}), rate=4.0), RATES)
    assert plan.cost_usd_per_hour == pytest.approx(8.0)
    assert fleet(plan)["t1"] >= 6
    assert min(loss.kept for loss in plan.losses) == pytest.approx((fleet(plan)["t1"] - 4) / 4)
    assert check_tiny(plan).ok


def test_largest_share_of_a_host():
    """3 $/h: t1*2 serves 3 and t1 serves 1, 4 in all, three quarters of them on one host. With half at most, three t1
    serve 3. Tempting: the two, held to 1 each.
    """
    question = asked(CHEAP, risk=Risk(max_share={"machine": 0.5}), objective=Objective.THROUGHPUT, budget=3.0)
    plan = solve_tiny(question, {"t1": [1.0], "t1*2": [3.0]})
    assert fleet(plan) == {"t1": 3}
    assert plan.rate_req_per_s == pytest.approx(3.0)
    assert check_tiny(plan).ok


def test_largest_share_of_a_machine():
    """A machine of four with four t1 serves all: for half at most, the four are half of eight, in two machines.

    Tempting: one machine, where no replica serves more than a quarter.
    """
    machine = offer("t1", 4.0, 3, num_gpus=4, machine_gpus=4)
    plan = solve_tiny(asked(machine, risk=Risk(max_share={"machine": 0.5}), rate=4.0), RATES)
    assert plan.cost_usd_per_hour == pytest.approx(8.0)
    assert check_tiny(plan).ok


def test_largest_share_goes_by_the_gpus_of_a_machine():
    """Four t1 of a host of eight serve a quarter of 2 req/s at most, by their part of the half that is asked.

    So 1.5 come from eight t2: 12.0 with the four t1. Tempting: five t2 for 9.0, where the four alone on their host
    serve half; `check` refuses it, so what it accepts is never cheaper than the optimum.
    """
    offers = [offer("t1", 4.0, 1, num_gpus=4, machine_gpus=8), offer("t2", 1.0, 8)]
    rates = {"t1": [0.25], "t2": [0.2]}
    limited = asked(*offers, risk=Risk(max_share={"machine": 0.5}))
    plan = solve_tiny(limited, rates)
    assert plan.cost_usd_per_hour == pytest.approx(12.0)
    assert plan.termination is Termination.OPTIMAL
    assert check_tiny(plan).ok
    free = solve_tiny(replace(limited, risk=Risk()), rates)
    assert free.cost_usd_per_hour == pytest.approx(9.0)
    report = check_tiny(replace(free, inputs=replace(free.inputs, problem=limited)))
    assert any(line.startswith("risk: each replica of") for line in report.violations), report.summary()


@pytest.mark.parametrize("kind", ["machine", "zone"])
def test_a_loss_takes_the_head_room_first(kind):
    """2 req/s with head-room of a half take one t2, which serves 3 for 1 $/h; all of the demand is to stay without it.

    Two t1 at 1.5 $/h serve the 2 left: 4.0. Tempting: three, for the 3 that head-room makes of it.
    """
    offers = [*(offer("t1", 1.5, 1, zone=name) for name in "abc"), offer("t2", 1.0, 1, zone="d")]
    question = replace(asked(*offers, risk=Risk(keep_after_loss={kind: 1.0})), aim=Aim(headroom=0.5))
    plan = solve_tiny(question, {"t1": [1.0], "t2": [3.0]})
    assert plan.cost_usd_per_hour == pytest.approx(4.0)
    assert plan.rate_req_per_s == pytest.approx(5.0)  # what the fleet sustains is not held back by what a loss leaves
    assert check_tiny(plan).ok


@pytest.mark.parametrize(
    ("risk", "found"),
    [
        (Risk(keep_after_loss={"machine": 0.9}), "risk: without machine s t1:4 with 4 of g1 0.0000% are served"),
        (
            Risk(max_share={"machine": 0.5}),
            "risk: each replica of g1, by its part of a machine, serves 25.0000% of tiny, allowed is 12.5000%",
        ),
    ],
)
def test_check_takes_each_machine_away(risk, found):
    """A plan that claims to stand the loss of a machine, or to spread over machines, and stands in one."""
    machine = offer("t1", 4.0, 3, num_gpus=4, machine_gpus=4)
    plan = solve_tiny(asked(machine, risk=Risk(), rate=4.0), RATES)
    claimed = replace(plan, inputs=replace(plan.inputs, problem=replace(plan.inputs.problem, risk=risk)))
    report = check_tiny(replace(claimed, losses=losses_of(claimed)))
    assert [line for line in report.violations if line.startswith(found)], report.summary()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda plan: replace(plan, groups=(renamed_cell(plan.groups[0]), *plan.groups[1:])), "rates: "),
        (lambda plan: replace(plan, assignment=(replace(plan.assignment[0], model="other"),)), "assignment: "),
        (lambda plan: replace(plan, assignment=(replace(plan.assignment[0], shares={"g9": 1.0}),)), "assignment: "),
    ],
)
def test_a_plan_with_names_of_nothing_is_wrong(change, found):
    """Rates for a type, and shares of a model or to a group, that there are not: named, with no loss played."""
    plan = solve_tiny(asked(CHEAP, DEAR, risk=Risk(keep_after_loss={"zone": 0.5})), RATES)
    assert check_tiny(plan).ok
    report = check_tiny(change(plan))
    assert [line for line in report.violations if line.startswith(found)], report.summary()
    assert "risk" not in report.passed


def test_ctrl_c_while_losses_are_played_costs_no_plan(monkeypatch):
    """What each loss leaves is computed again, of the plan that is there."""
    played = iter((True, False))

    def once(plan):
        if next(played):
            raise KeyboardInterrupt
        return losses_of(plan)

    monkeypatch.setattr(planner, "losses_of", once)
    plan = solve_tiny(asked(CHEAP, DEAR, risk=Risk(keep_after_loss={"zone": 0.5})), RATES)
    assert len(plan.losses) == 2
    assert check_tiny(plan).ok


@pytest.mark.parametrize("change", [lambda losses: (replace(losses[0], kept=9.99), *losses), lambda losses: losses[1:]])
def test_check_reads_every_stated_loss(change):
    """A loss that stands twice, the first with another figure, and one that is missing."""
    plan = solve_tiny(asked(CHEAP, DEAR, risk=Risk(keep_after_loss={"zone": 0.5})), RATES)
    report = check_tiny(replace(plan, losses=change(plan.losses)))
    assert [line for line in report.violations if line.startswith("risk: losses of ")], report.summary()


@pytest.mark.parametrize("objective", Objective)
def test_check_of_a_plan_that_serves_nothing(objective):
    """A plan file edited to serve nothing is wrong, and told so."""
    question = asked(CHEAP, DEAR, risk=Risk(keep_after_loss={"zone": 0.5}), objective=objective, budget=2.5)
    plan = solve_tiny(question, RATES)
    idle = tuple(replace(row, shares={}) for row in plan.assignment)
    report = check_tiny(replace(plan, rate_req_per_s=0.0, assignment=idle))
    assert not report.ok


def renamed_cell(group):
    return replace(group, cells=tuple(replace(cell, workload="typo") for cell in group.cells))


def test_nothing_stands_the_loss():
    """With one zone on offer its loss leaves nothing: no plan, and the message says so. Tempting: to ease any limit."""
    plan = solve_tiny(asked(CHEAP, risk=Risk(keep_after_loss={"zone": 0.1})), RATES)
    assert plan.termination is Termination.INFEASIBLE
    assert "all that is on offer stands in one zone, whose loss leaves nothing" in plan.message
    assert "keep_after_loss" in plan.message


def test_domains():
    """Places are named by what is known of them; a domain nobody belongs to is not there."""
    offers = (
        offer("t1", 1.0, region="eu", zone="a"),
        offer("t2", 1.0, region="eu", zone="b"),
        offer("t1", 1.0, seller="r"),
    )
    found = {kind: {name: mask.tolist() for name, mask in domains(kind, offers).items()} for kind in Domain}
    assert found[Domain.SPOT] == {}
    assert found[Domain.SELLER] == {"s": [True, True, False], "r": [False, False, True]}
    assert found[Domain.REGION] == {"s eu": [True, True, False], "r": [False, False, True]}
    assert found[Domain.ZONE] == {
        "s eu a": [True, False, False],
        "s eu b": [False, True, False],
        "r": [False, False, True],
    }
    assert found[Domain.GPU] == {"t1": [True, False, True], "t2": [False, True, False]}


@pytest.mark.parametrize(
    "fields",
    [
        {"max_share": {"planet": 0.5}},
        {"max_share": {"zone": 1.5}},
        {"keep_after_loss": {"zone": -0.1}},
        {"spot_interruptions_per_hour": -1.0},
        {"recovery_minutes": float("inf")},
    ],
)
def test_bad_risk(fields: dict[str, Any]):
    """Unknown domains, shares outside [0, 1] and endless times are refused."""
    with pytest.raises(InputError):
        Risk(**fields)


def risky(seed):
    """A generated problem whose offers stand in two regions, some of them spot, with limits of risk."""
    question, rates = generate(seed)
    random = Random(seed)
    offers = tuple(
        replace(each, region=random.choice(("eu", "us")), spot=random.random() < 0.3) for each in question.offers.offers
    )
    kinds = ["gpu", "region", "spot", "seller"]
    risk = Risk(
        max_share={kind: random.choice((0.3, 0.5, 0.7)) for kind in random.sample(kinds[:3], k=random.choice((0, 1)))},
        keep_after_loss={kind: random.choice((0.2, 0.5)) for kind in random.sample(kinds[:3], k=random.choice((1, 2)))},
        spot_interruptions_per_hour=random.choice((0.0, 1.0)),
        recovery_minutes=30.0,
    )
    return replace(question, offers=OfferSet("tiny", offers, "", ""), risk=risk), rates


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in (0, 10, 20, 30)], ids=str)
def test_enumeration_agrees(seeds):
    """The optimum under share limits and losses is that of enumeration, with a linear program for each fleet."""
    for seed in seeds:
        question, rates = risky(seed)
        prepared = prepare_tiny(question, rates)
        plan = plan_prepared(prepared, explain=False)
        best = best_of_fleets(question, prepared.candidates)
        if best is None:
            assert not plan.has_plan, seed
            continue
        assert plan.termination is Termination.OPTIMAL, seed
        assert plan.objective == pytest.approx(best, rel=1e-5), seed
        assert check_tiny(plan).ok, (seed, check_tiny(plan).summary())


def machine_asked(seed):
    """A generated problem that limits what hangs on one machine; now and then a GPU type as well."""
    question, rates = generate(seed)
    random = Random(seed)
    share, keep = random.choice(((0.0, 0.4), (0.0, 0.7), (0.5, 0.0), (0.7, 0.0), (0.6, 0.3)))
    risk = Risk(
        max_share={"machine": share} if share else {},
        keep_after_loss={"machine": keep} if keep else {},
    )
    if random.random() < 0.2:
        risk = replace(risk, keep_after_loss={**risk.keep_after_loss, "gpu": 0.2})
    return replace(question, risk=risk), rates


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in (0, 10, 20, 30)], ids=str)
def test_enumeration_of_machines_agrees(seeds):
    """The optimum under limits on single machines is that of enumeration, which tries every set with room in one;
    the plan passes `check`, which takes away each machine as it is packed.
    """
    served = 0
    for seed in seeds:
        question, rates = machine_asked(seed)
        prepared = prepare_tiny(question, rates)
        plan = plan_prepared(prepared, explain=False)
        best = best_of_fleets(question, prepared.candidates)
        if best is None:
            assert not plan.has_plan, seed
            continue
        served += 1
        assert plan.termination is Termination.OPTIMAL, seed
        assert plan.objective == pytest.approx(best, rel=1e-5), seed
        assert check_tiny(plan).ok, (seed, check_tiny(plan).summary())
    assert served
