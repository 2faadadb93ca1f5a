"""`check` recomputes prefill and decode apart: every breach is named, and a plan written by hand can pass."""

from dataclasses import replace

import pytest

from cuvee.errors import InputError
from cuvee.plan.check.check import check
from cuvee.plan.evaluation.evaluation import read_fleet
from cuvee.plan.outcome.files import load_plan, plan_to_json
from cuvee.plan.outcome.result import AssignmentRow, Group, Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from cuvee.profile.phases import Phase

ASKED = {
    "models": ["llama-3-8b"],
    "mix": "trace-3",
    "budget_usd_per_hour": 6.0,
    "network_gbit_per_s": 400.0,
    "search": {"max_mixed_stages": 0, "max_pipeline_stages": 2},
    "disaggregate": True,
}


@pytest.fixture(scope="module")
def apart() -> Plan:
    """Llama-3 8B for 6 $/h over 400 Gb/s: RTX 4090 that prefill for A40 that decode."""
    return plan_prepared(prepare_scenario(parse_scenario(ASKED, where="test")), explain=False)


def group_of(plan: Plan, phase: Phase) -> Group:
    return next(group for group in plan.groups if group.phase is phase)


def with_group(plan: Plan, of: Phase, /, **changes) -> Plan:
    changed = replace(group_of(plan, of), **changes)
    return replace(plan, groups=tuple(changed if group.id == changed.id else group for group in plan.groups))


def with_row(plan: Plan, changed: AssignmentRow) -> Plan:
    rows = (changed if row.workload == changed.workload else row for row in plan.assignment)
    return replace(plan, assignment=tuple(rows))


def row_apart(plan: Plan) -> AssignmentRow:
    return next(row for row in plan.assignment if row.decode_shares)


def with_record(plan: Plan, **changes) -> Plan:
    assert plan.disaggregation is not None
    return replace(plan, disaggregation=replace(plan.disaggregation, **changes))


def renamed(plan: Plan) -> Plan:
    first = group_of(plan, Phase.PREFILL)
    return replace(plan, groups=tuple(replace(g, id="g99") if g is first else g for g in plan.groups))


def with_ordinary(plan: Plan, factor: float) -> Plan:
    """The plan with the bound on whole replicas at `factor` times what they reach."""
    assert plan.disaggregation is not None
    assert plan.disaggregation.ordinary_objective is not None
    return with_record(plan, ordinary_bound=factor * plan.disaggregation.ordinary_objective)


def with_network(plan: Plan, gbit_per_s: float) -> Plan:
    return replace(plan, inputs=replace(plan.inputs, network_gb_per_s=gbit_per_s / 8))


def with_cells(plan: Plan, phase: Phase, factor: float) -> Plan:
    cells = (replace(cell, rate_req_per_s=cell.rate_req_per_s * factor) for cell in group_of(plan, phase).cells)
    return with_group(plan, phase, cells=tuple(cells))


def decoded_less(plan: Plan) -> Plan:
    row = row_apart(plan)
    return with_row(plan, replace(row, decode_shares={name: 0.9 * x for name, x in row.decode_shares.items()}))


def decoded_by_whom(plan: Plan, phase: Phase) -> Plan:
    row = row_apart(plan)
    total = sum(row.decode_shares.values())
    return with_row(plan, replace(row, decode_shares={group_of(plan, phase).id: total}))


def prefilled_by_decoders(plan: Plan) -> Plan:
    row, decoder = row_apart(plan), group_of(plan, Phase.DECODE).id
    return with_row(plan, replace(row, shares={decoder: 1.0}))


def elsewhere(plan: Plan, phase: Phase) -> Plan:
    """The same plan where what one phase rents stands in another region."""
    indices = {part.offer for group in plan.groups if group.phase is phase for part in group.rented}
    problem = plan.inputs.problem
    offers = tuple(
        replace(offer, region="elsewhere") if index in indices else offer
        for index, offer in enumerate(problem.offers.offers)
    )
    problem = replace(problem, offers=replace(problem.offers, offers=offers))
    groups = tuple(
        replace(
            group,
            rented=tuple(
                replace(part, region=offers[part.offer].region, label=offers[part.offer].label) for part in group.rented
            ),
        )
        for group in plan.groups
    )
    return replace(plan, groups=groups, inputs=replace(plan.inputs, problem=problem))


BREACHES = {
    "less decoded than prefilled": ("phases", decoded_less),
    "decoded by what prefills": ("phases", lambda plan: decoded_by_whom(plan, Phase.PREFILL)),
    "decoded by whole replicas": ("phases", lambda plan: decoded_by_whom(plan, Phase.BOTH)),
    "a share for a group under another name": ("phases", renamed),
    "prefilled by what decodes": ("phases", prefilled_by_decoders),
    "pools that cannot reach each other": ("phases", lambda plan: elsewhere(plan, Phase.PREFILL)),
    "a link too slow for its load": ("phases", lambda plan: with_network(plan, 5.0)),
    "prefill faster than it is": ("rates", lambda plan: with_cells(plan, Phase.PREFILL, 1.1)),
    "decode faster than it is": ("rates", lambda plan: with_cells(plan, Phase.DECODE, 1.1)),
    "a pool that does the whole": ("rates", lambda plan: with_group(plan, Phase.DECODE, phase=Phase.BOTH)),
    "fewer copies than the load takes": ("load", lambda plan: with_group(plan, Phase.DECODE, copies=1)),
    "another gain": ("phases", lambda plan: with_record(plan, gain=0.5)),
    "a gain over a worse plan than the bound": ("phases", lambda plan: with_record(plan, ordinary_bound=40.0)),
    "whole replicas beyond their bound": ("phases", lambda plan: with_ordinary(plan, 0.99)),
    "another objective": ("phases", lambda plan: with_record(plan, objective=50.0)),
    "phases nobody chose": ("phases", lambda plan: with_record(plan, chosen=False)),
    "no word of the phases": ("phases", lambda plan: replace(plan, disaggregation=None)),
    "phases nobody allowed": (
        "phases",
        lambda plan: replace(
            plan, inputs=replace(plan.inputs, problem=replace(plan.inputs.problem, disaggregate=False))
        ),
    ),
}


def test_the_plan_has_the_phases_apart(apart):
    """It beats whole replicas by more than a twentieth; prefill stands on other GPUs than decode, and it is correct."""
    assert apart.disaggregation is not None
    assert apart.disaggregation.chosen
    assert apart.disaggregation.gain is not None
    assert apart.disaggregation.gain > 0.05
    assert group_of(apart, Phase.PREFILL).stages[0].gpu == "RTX4090"
    assert group_of(apart, Phase.DECODE).stages[0].gpu == "A40"
    report = check(apart)
    assert report.ok
    assert "phases" in report.passed


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_named(apart, name):
    """Each change of a correct plan is found, by the check that is about it."""
    expected, breach = BREACHES[name]
    violations = check(breach(apart)).violations
    assert expected in {line.split(":")[0] for line in violations}, violations


def test_a_plan_file_keeps_the_phases(apart, tmp_path):
    """What is written is read back the same; files from before the phases are read as whole replicas."""
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(apart), encoding="utf-8")
    assert load_plan(path) == apart


def test_what_evaluates_whole_replicas_refuses(apart):
    """Evaluation under other copies and rates knows no flows between pools."""
    with pytest.raises(InputError, match="prefill and decode apart"):
        read_fleet(apart)


def test_over_a_slow_link_it_does_not_pay():
    """At the 5 Gb/s of the reference setting whole replicas serve the same question best, and the plan says so."""
    slow = {**ASKED, "network_gbit_per_s": 5.0}
    plan = plan_prepared(prepare_scenario(parse_scenario(slow, where="test")), explain=False)
    record = plan.disaggregation
    assert record is not None
    assert (record.chosen, record.objective) == (False, None)
    assert record.bound == pytest.approx(plan.objective, rel=1e-3)
    assert {group.phase for group in plan.groups} == {Phase.BOTH}
    assert check(plan).ok


def test_pessimism_lowers_rates_of_one_phase_too(apart):
    """No public figure covers them, so the whole band is 70 %, which divides by 1.7; `check` lowers them again."""
    asked = {**ASKED, "caution": {"pessimism": 1.0}}
    plan = plan_prepared(prepare_scenario(parse_scenario(asked, where="test")), explain=False)
    assert check(plan).ok
    assert plan.disaggregation is not None
    assert plan.disaggregation.bound < 0.65 * apart.objective
