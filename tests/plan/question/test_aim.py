"""What counts as served: head-room, weights, floors and requests by themselves; by hand, enumerated, and checked."""

from dataclasses import replace
from random import Random
from typing import Any

import highspy
import numpy as np
import pytest

from cuvee.errors import InputError, UnknownNameError
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.aim import Aim, Serve
from cuvee.plan.question.problem import Objective
from cuvee.plan.question.risk import Risk, domains
from cuvee.plan.solver.program import Termination
from cuvee.report.plan_console import print_plan
from tests.plan.brute_force import World
from tests.plan.generated import generate
from tests.plan.instances import check_tiny, demand, fleet, offer, prepare_tiny, problem, solve_tiny
from tests.plan.risk_brute_force import machine_sets
from tests.report.plans import console_of, text_of


def served(plan):
    """Share of the demand served, by model and type."""
    return {f"{row.model} {row.workload}": plan.load_factor_of(row) for row in plan.assignment}


def test_headroom():
    """A quarter above 2 req/s takes a third replica of one req/s. Tempting: two, which serve the demand exactly."""
    asked = problem([offer("t1", 1.0, 4)], [demand(1.0, rate_req_per_s=2.0)], objective=Objective.COST)
    assert solve_tiny(asked, {"t1": [1.0]}).cost_usd_per_hour == pytest.approx(2.0)
    plan = solve_tiny(replace(asked, aim=Aim(headroom=0.25)), {"t1": [1.0]})
    assert plan.cost_usd_per_hour == pytest.approx(3.0)
    assert check_tiny(plan).ok


def two_models(aim, budget=2.0, rate_req_per_s=2.0):
    """Two models that each ask for 2 req/s; a GPU serves 1 req/s of the first, 3 of the second."""
    asked = problem([offer("t1", 1.0, 4)], [demand(1.0, rate_req_per_s=rate_req_per_s)] * 2, budget=budget)
    return solve_tiny(replace(asked, aim=aim), {"tiny:t1": [1.0], "tiny-2:t1": [3.0]})


@pytest.mark.parametrize(
    ("aim", "copies"),
    [
        (Aim(), {"tiny": 1, "tiny-2": 1}),
        # Models apart end at the demand: a second GPU of tiny-2 has only 2 - 3 < 0 left to serve. Tempting: two of
        # the model that is easier, for 6 req/s of which 2 arrive.
        (Aim(serve=Serve.MODELS), {"tiny": 1, "tiny-2": 1}),
        # A request of the first counts four times: both GPUs serve it, 8 against 4 + 2.
        (Aim(weights={"tiny": 4.0}), {"tiny": 2}),
        # One of each serves one and two a second; at twice as much that is a tie with two of the first.
        (Aim(weights={"tiny": 1.9}), {"tiny": 1, "tiny-2": 1}),
        (Aim(floors={"tiny": 0.6}), {"tiny": 2}),
        # Half of the first at least: one GPU, and the other for the easier one.
        (Aim(floors={"tiny": 0.5}), {"tiny": 1, "tiny-2": 1}),
        (Aim(serve=Serve.REQUESTS), {"tiny": 1, "tiny-2": 1}),
    ],
)
def test_two_models(aim, copies):
    """Which model gets the two GPUs; nothing is served beyond what arrives."""
    plan = two_models(aim)
    assert {group.model: group.copies for group in plan.groups} == copies
    assert max(served(plan).values()) <= 1 + 1e-9
    assert check_tiny(plan).ok


@pytest.mark.parametrize(
    ("aim", "copies"),
    [
        # Both GPUs serve the model that is easier. Tempting: one each, as the mix needs.
        (Aim(serve=Serve.MODELS), {"tiny-2": 2}),
        (Aim(weights={"tiny": 4.0}), {"tiny": 2}),
        # Three times is a tie with the second; 2.9 times is not enough.
        (Aim(weights={"tiny": 2.9}), {"tiny-2": 2}),
    ],
)
def test_two_models_without_arrival_rates(aim, copies):
    """Where only the mix of the demand is known, no model ends at its share of it."""
    plan = two_models(aim, rate_req_per_s=None)
    assert {group.model: group.copies for group in plan.groups} == copies
    assert check_tiny(plan).ok


def test_more_of_a_model_than_arrives_is_a_violation():
    """A plan that claims 6 req/s of a model of which 2 arrive is not what was asked; without a rate it is."""
    apart = two_models(Aim(serve=Serve.MODELS), rate_req_per_s=None)
    assert check_tiny(apart).ok
    asked = apart.inputs.problem
    models = tuple(replace(entry, demand=replace(entry.demand, rate_req_per_s=0.5)) for entry in asked.models)
    arriving = replace(apart.inputs, problem=replace(asked, models=models))
    assert "which is more than arrives" in check_tiny(replace(apart, inputs=arriving)).summary()


def test_what_is_served_of_what_arrives_is_said():
    """With models apart: the share of all that is served, then that of each model; nothing is beyond what arrives.

    Tempting: the demand as a share of what the fleet sustains, which is no share of any model's.
    """
    console = console_of()
    print_plan(two_models(Aim(serve=Serve.MODELS)), [], console)
    words = text_of(console)
    assert "the demand arrives at 4 req/s: 75% of it is served" in words
    assert "serves 1 req/s of tiny, 50% of its demand" in words
    assert "serves 2 req/s of tiny-2, 100% of its demand" in words
    assert "everything that arrives is served" not in words
    console = console_of()
    print_plan(two_models(Aim(serve=Serve.MODELS), budget=4.0), [], console)
    assert "everything that arrives is served; --objective cost finds the least money" in text_of(console)


def test_weighted_requests_are_said_to_be():
    """A bound of 8 where 2 req/s of weight 4 are served is no rate; without weights it is."""
    for aim, words in ((Aim(weights={"tiny": 4.0}), "8.0000 weighted req/s"), (Aim(), "no plan beats 2.0000 req/s")):
        console, plan = console_of(), two_models(aim)
        print_plan(plan, [], console)
        assert words in text_of(console), text_of(console)


def test_most_requests():
    """2 $/h for 4 req/s: the cheap type is served whole, the dear one not at all. Tempting: both in the mix."""
    asked = problem([offer("t1", 1.0, 4)], [demand(3.0, 1.0, rate_req_per_s=4.0)], budget=2.0)
    rates = {"t1": [1.5, 0.2]}
    mixed = solve_tiny(asked, rates)
    # In the mix: theta (3/1.5 + 1/0.2) = 2.
    assert mixed.rate_req_per_s == pytest.approx(4 * 2 / 7)
    plan = solve_tiny(replace(asked, aim=Aim(serve=Serve.REQUESTS)), rates)
    assert plan.rate_req_per_s == pytest.approx(3.0)
    assert served(plan) == pytest.approx({"tiny w1": 1.0, "tiny w2": 0.0})
    assert plan.assignment[1].shares == {}
    assert check_tiny(plan).ok
    # A floor of a tenth on each type: 0.1 req/s of the dear one takes half a GPU, 1.5 GPUs serve 2.25 of the cheap one.
    floored = solve_tiny(replace(asked, aim=Aim(serve=Serve.REQUESTS, floors={"tiny": 0.1})), rates)
    assert floored.rate_req_per_s == pytest.approx(2.35)
    assert fleet(floored) == {"t1": 2}


def test_floors_nobody_can_keep():
    """A floor above what the money buys leaves no plan."""
    assert two_models(Aim(floors={"tiny": 1.0, "tiny-2": 1.0})).termination is Termination.INFEASIBLE


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"aim": Aim(weights={"nobody": 2.0})}, UnknownNameError),
        ({"aim": Aim(headroom=0.1)}, InputError),
        ({"aim": Aim(serve=Serve.MODELS), "objective": Objective.COST}, InputError),
    ],
)
def test_aims_that_mean_nothing(changes, error):
    """Names of no model, head-room without a demand to exceed, and models apart where all are served."""
    asked = problem([offer("t1", 1.0)], [demand(1.0, rate_req_per_s=1.0)], budget=2.0)
    with pytest.raises(error):
        replace(asked, **changes)


@pytest.mark.parametrize(
    "fields",
    [
        {"serve": "all"},
        {"weights": {"m": -1.0}},
        {"weights": {"m": float("inf")}},
        {"floors": {"m": 1.1}},
        {"headroom": -0.1},
    ],
)
def test_bad_aims(fields: dict[str, Any]):
    """Unknown ways to serve, weights below 0 or endless, floors above the demand, head-room below 0."""
    with pytest.raises(InputError):
        Aim(**fields)


def aimed(seed):
    """A generated throughput problem with an aim of its own."""
    random = Random(seed)
    number = 10_000 + seed * 97
    while generate(number)[0].objective is Objective.COST:
        number += 1
    asked, rates = generate(number)
    names = [entry.model.name for entry in asked.models]
    aim = Aim(
        serve=random.choice((Serve.MODELS, Serve.REQUESTS)),
        weights={name: random.choice((0.5, 1.0, 3.0)) for name in names if random.random() < 0.7},
        floors={name: random.choice((0.1, 0.3)) for name in names if random.random() < 0.4},
    )
    if aim.serve is Serve.MODELS and not aim.floors and random.random() < 0.5:
        asked = replace(asked, models=tuple(map(without_rate, asked.models)))
    return replace(asked, aim=aim), rates


def without_rate(entry):
    return replace(entry, demand=replace(entry.demand, rate_req_per_s=None))


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in (0, 10, 20, 30)], ids=str)
def test_enumeration_agrees(seeds):
    """The optimum is that of enumeration, with a linear program for each fleet."""
    for seed in seeds:
        asked, rates = aimed(seed)
        prepared = prepare_tiny(asked, rates)
        plan = plan_prepared(prepared, explain=False)
        world = World(asked, prepared.candidates)
        values = [most_served(world, asked, copies) for copies in world.fleets()]
        best = max((value for value in values if value is not None), default=None)
        if best is None or best < 1e-6:
            assert not plan.has_plan, seed
            continue
        assert plan.termination is Termination.OPTIMAL, seed
        assert plan.objective == pytest.approx(best, rel=1e-5), seed
        assert check_tiny(plan).ok, (seed, check_tiny(plan).summary())


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in (0, 10, 20, 30)], ids=str)
def test_enumeration_agrees_with_losses(seeds):
    """The same where the loss of any GPU type or any machine must leave a share of each model as it is served."""
    served = 0
    for seed in seeds:
        asked, rates = aimed(seed)
        random = Random(seed)
        kinds = random.choice((["gpu"], ["machine"], ["gpu", "machine"]))
        asked = replace(asked, risk=Risk(keep_after_loss={kind: random.choice((0.2, 0.5)) for kind in kinds}))
        prepared = prepare_tiny(asked, rates)
        plan = plan_prepared(prepared, explain=False)
        world = World(asked, prepared.candidates)
        values = [most_served(world, asked, copies) for copies in world.fleets()]
        best = max((value for value in values if value is not None), default=None)
        if best is None or best < 1e-6:
            assert not plan.has_plan, seed
            continue
        served += 1
        assert plan.termination is Termination.OPTIMAL, seed
        assert plan.objective == pytest.approx(best, rel=1e-5), seed
        assert check_tiny(plan).ok, (seed, check_tiny(plan).summary())
    assert served


@pytest.mark.parametrize("kind", ["gpu", "machine"])
def test_most_requests_and_losses(kind):
    """2 $/h: t1 serves 2 of the cheap type a second, t2 1; half of what is served must stay.

    Tempting: 3 a second on both, of which a third is left without t1.
    """
    offers = [offer("t1", 1.0, 1), offer("t2", 1.0, 2)]
    asked = problem(offers, [demand(4.0, 1.0, rate_req_per_s=5.0)], budget=2.0)
    asked = replace(asked, aim=Aim(serve=Serve.REQUESTS), risk=Risk(keep_after_loss={kind: 0.5}))
    plan = solve_tiny(asked, {"t1": [2.0, 0.5], "t2": [1.0, 0.5]})
    # t1 and t2: without t1 one a second is left, so two are served at most, without the dear type.
    assert plan.rate_req_per_s == pytest.approx(2.0)
    assert served(plan) == pytest.approx({"tiny w1": 0.5, "tiny w2": 0.0})
    assert min(loss.kept for loss in plan.losses) == pytest.approx(0.5)
    assert check_tiny(plan).ok


def most_served(world, asked, copies):
    """Weighted requests a second that one fleet serves at most and stands its losses; None where it cannot."""
    used = [row for row, count in enumerate(copies) if count]
    model_of = [model for model, entry in enumerate(asked.models) for _ in entry.demand.types]
    names = [entry.model.name for entry in asked.models]
    apart = asked.aim.serve is Serve.REQUESTS
    arriving = all(entry.demand.rate_req_per_s is not None for entry in asked.models)
    highs: Any = highspy.Highs()
    highs.silent()
    thetas: dict[int, Any] = {}
    for w, model in enumerate(model_of):
        key = w if apart else model
        floor = asked.aim.floors.get(names[model], 0.0)
        thetas.setdefault(key, highs.addVariable(lb=floor, ub=1.0 if arriving else highspy.kHighsInf))
    total = 0.0
    for w, model in enumerate(model_of):
        total += thetas[w if apart else model] * float(world.demand[w] * asked.aim.weights.get(names[model], 1.0))

    def serve(left, level):
        rows = [row for row in used if left[row]]
        busy = {(row, w): highs.addVariable(lb=0.0) for row in rows for w in np.flatnonzero(world.rate[row]).tolist()}
        for w, model in enumerate(model_of):
            mine = [busy[row, w] * float(world.rate[row, w]) for row in rows if (row, w) in busy]
            highs.addConstr(sum(mine) - thetas[w if apart else model] * float(level * world.demand[w]) >= 0.0)
        for row in rows:
            highs.addConstr(sum(each for (at, _), each in busy.items() if at == row) <= float(left[row]))

    serve(copies, 1.0)
    for kind, level in asked.risk.keep_after_loss.items():
        for mask in domains(kind, world.offers).values():
            gone = [any(mask[i] for i, _ in placement.gpus_per_offer) for placement in world.placements]
            serve([0 if lost else count for lost, count in zip(gone, copies, strict=True)], level)
    for lost in machine_sets(world, used, copies) if "machine" in asked.risk.keep_after_loss else ():
        left = [count - lost.get(row, 0) for row, count in enumerate(copies)]
        serve(left, asked.risk.keep_after_loss["machine"])
    highs.maximize(total)
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    return float(highs.getInfo().objective_function_value)
