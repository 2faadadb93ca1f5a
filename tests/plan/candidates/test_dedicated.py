"""Pipelines that keep to short answers: which answers are short, which candidates double, what a plan gains."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cuvee.catalog import load_model, load_offers
from cuvee.plan.candidates.dedicated import short_answers
from cuvee.plan.check.check import check
from cuvee.plan.outcome.files import plan_of, plan_to_json
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import prepare
from cuvee.plan.question.problem import Limits, ModelDemand, PlanProblem
from cuvee.profile import AnalyticProvider
from cuvee.workload import Demand, load_mix
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

SHORT, LONG = workload(2455, 18), workload(496, 510)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((18, 253, 510), ["a0"]),  # 14 times, against 2
        ((10, 20, 100, 150), ["a0", "a1"]),  # the gap between 20 and 100
        ((253, 510), []),  # twice: no gap
        ((510, 18), ["a1"]),  # in any order
        ((18,), []),
    ],
)
def test_short_answers_are_those_below_the_widest_gap(answers, expected):
    """Types below the widest gap; none where the next longer answers are less than three times as long."""
    types = tuple(replace(workload(100, answer), name=f"a{index}") for index, answer in enumerate(answers))
    assert list(short_answers(Demand(types, (1,) * len(types)))) == expected


def test_a_pipeline_that_keeps_to_a_type_is_rated_as_beside_its_like():
    """It serves nothing else, and what it serves as in a mix of those types alone: five times as fast here."""
    mix = {SHORT.name: 0.5, LONG.name: 0.5}
    provider = AnalyticProvider(MODELS, GPUS, VLLM, mixes={"llama-3-70b": mix})
    any_company = even_config("llama-3-70b", "A40", 1, 8)
    dedicated = replace(any_company, keeps_to=(SHORT.name,))
    rates = provider.table([any_company, dedicated], [SHORT, LONG])
    alone = AnalyticProvider(MODELS, GPUS, VLLM).table([any_company], [SHORT]).rate_req_per_s[0, 0]
    assert rates.fits.tolist() == [[True, True], [True, False]]
    assert rates.rate_req_per_s[1, 0] == pytest.approx(alone, rel=0.02)
    assert rates.rate_req_per_s[1, 0] > 4 * rates.rate_req_per_s[0, 0]
    assert rates.rate_req_per_s[1, 1] == 0


@pytest.fixture(scope="module")
def prepared():
    """Llama-3 70B on A40 of which no machine has more than one, so that there is nothing but pipelines."""
    offers = load_offers("paper-avail-1")
    ones = tuple(replace(each, num_gpus=1, machine_gpus=1) for each in offers.offers if each.gpu == "A40")
    problem = PlanProblem(
        (ModelDemand(load_model("llama-3-70b"), load_mix("trace-2")),),
        replace(offers, offers=ones),
        Limits(budget_usd_per_hour=8.8),
    )
    return prepare(problem)


def test_a_plan_keeps_a_pipeline_for_short_answers(prepared):
    """Two pipelines of A40: one keeps to short answers. Tempting: both serve everything, a fifth less together."""
    candidates = prepared.candidates
    dedicated = np.array([bool(each.keeps_to) for each in candidates.tables[0].configs])[candidates.config]
    assert 0 < dedicated.sum() < len(dedicated)
    ours = plan_prepared(prepared, explain=False)
    mixed = plan_prepared(replace(prepared, candidates=candidates.select(~dedicated)), explain=False)
    kept = [group for group in ours.groups if group.keeps_to]
    assert kept
    assert ours.rate_req_per_s > 1.1 * mixed.rate_req_per_s
    for group in kept:
        taken = {row.workload for row in ours.assignment if row.share_of(group) > 0}
        assert taken <= {cell.workload for cell in group.cells} == set(group.keeps_to)


def test_such_a_plan_is_checked_and_read_back(prepared):
    """Rates are recomputed in the company a group keeps, and a file keeps what it keeps to."""
    ours = plan_prepared(prepared, explain=False)
    assert check(ours).ok
    again = plan_of(json.loads(plan_to_json(ours)), "plan.json")
    assert [group.keeps_to for group in again.groups] == [group.keeps_to for group in ours.groups]
    widened = replace(ours, groups=tuple(replace(group, keeps_to=()) for group in ours.groups))
    assert not check(widened).ok
