"""Losses of machines that a fleet does not stand: found without trying every set, told once, and never without end."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from cuvee.plan import planner
from cuvee.plan.evaluation.evaluation import load_factors
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.problem import Objective
from cuvee.plan.question.risk import Risk
from cuvee.plan.search import losses
from cuvee.plan.search.losses import broken_by, demanded
from cuvee.plan.search.search import search
from cuvee.plan.solver.program import StopReason, Termination
from tests.plan.brute_force import World
from tests.plan.instances import demand, offer, prepare_tiny, problem, solve_tiny
from tests.plan.risk_brute_force import machine_sets

KEEP = 0.8
RATES = {"t1": [1.0, 0.4], "t1*2": [2.3, 1.1], "t1+t1": [1.9, 1.3], "t1*4": [5.0, 3.0], "t1*2+t1*2": [4.5, 2.9]}


def question(num_models, keep=KEEP):
    """Models that share machines of eight t1 each at one of two sellers."""
    offers = [offer("t1", 8.0, 40, num_gpus=8, machine_gpus=8, seller=name) for name in "ab"]
    each = demand(1.0, 1.0, rate_req_per_s=8.0)
    asked = problem(offers, [each] * num_models, objective=Objective.COST)
    return replace(asked, risk=Risk(keep_after_loss={"machine": keep}))


def prepared_with(num_models, keep=KEEP):
    prepared = prepare_tiny(question(num_models, keep), RATES)
    return prepared.problem, prepared.candidates


def some_fleet(candidates, seed, most=3):
    random = Random(seed)
    return np.array([random.choice((0, 1, most)) for _ in range(len(candidates))])


def left_at_worst(asked, candidates, copies):
    """Share of the demand that the worst set of replicas in one machine leaves, of any model, all sets tried."""
    world = World(asked, candidates)
    used = np.flatnonzero(copies).tolist()
    served, worst = demanded(asked), np.inf
    for lost in machine_sets(world, used, copies):
        kept = np.array([copies[row] - lost.get(row, 0) for row in used], dtype=float)
        for model in range(len(asked.models)):
            mine = candidates.model_index[used] == model
            rate, types = world.rate[used][mine], slice(2 * model, 2 * model + 2)
            theta, _ = load_factors(rate[:, types], served[types], kept[mine], np.ones((1, mine.sum(), 2)))
            worst = min(worst, theta[0])
    return worst


@pytest.mark.parametrize("seed", range(12))
def test_every_set_counts(seed):
    """A fleet stands its losses exactly where the worst of all sets in one machine leaves enough."""
    _, candidates = prepared_with(2)
    copies = some_fleet(candidates, seed)
    worst = left_at_worst(question(2), candidates, copies)
    for keep, stands in ((min(worst * 0.999, 1.0), True), (worst * 1.001, False)):
        if 0 < keep <= 1:
            broken = broken_by(question(2, keep), candidates, copies, demanded(question(2)), ())
            assert broken.nothing == stands
            assert bool(broken.losses) != stands


def test_sets_that_are_stood_together_are_not_tried_one_by_one(monkeypatch):
    """Eight models with two dozen groups on each offer: some hundred programs. Tempting: millions, for all sets."""
    tried = []

    def counted(rate, served, copies, factor):
        tried.append(len(copies))
        return load_factors(rate, served, copies, factor)

    monkeypatch.setattr(losses, "load_factors", counted)
    asked, candidates = prepared_with(8)
    copies = np.full(len(candidates), 40)
    assert broken_by(asked, candidates, copies, demanded(asked), ()).nothing
    assert sum(tried) <= 500


def test_time_that_is_over_ends_the_search_for_sets(monkeypatch):
    """No more sets are tried then; the fleet is not known to stand them all, which is no plan."""
    monkeypatch.setattr(losses, "ALWAYS_TRIED", 0)
    asked, candidates = prepared_with(1)
    copies = np.full(len(candidates), 40)
    assert broken_by(asked, candidates, copies, demanded(asked), ()).nothing
    late = broken_by(asked, candidates, copies, demanded(asked), (), deadline=0.0)
    assert (late.losses, late.doubt, late.nothing) == ((), StopReason.TIME_LIMIT, False)
    plan = solve_tiny(replace(asked, search=replace(asked.search, time_limit_s=1e-6)), RATES)
    assert not plan.has_plan
    assert plan.stopped_by is StopReason.TIME_LIMIT


def test_a_cut_that_is_there_is_not_found_again(monkeypatch):
    """A solver that breaks the cuts it was given ends the search, as numerical trouble. Tempting: again and again."""
    asked, candidates = prepared_with(1)
    copies = np.where(np.arange(len(candidates)) == 0, 2, 0)
    known = broken_by(asked, candidates, copies, demanded(asked), ())
    assert known.losses
    while known.losses:  # the worst few at a time
        again = broken_by(asked, candidates, copies, demanded(asked), known.losses)
        assert not {each.name for each in again.losses} & {each.name for each in known.losses}
        if not again.losses:
            break
        known = replace(known, losses=(*known.losses, *again.losses))
    assert again.doubt is StopReason.NUMERICAL_TROUBLE

    monkeypatch.setattr(planner, "search", lambda problem, rows, cuts=(), **more: search(problem, rows, (), **more))
    plan = plan_prepared(prepare_tiny(question(1), RATES), explain=False)
    assert (plan.termination, plan.stopped_by) == (Termination.NOTHING_FOUND, StopReason.NUMERICAL_TROUBLE)
