"""Plan files that no plan can be are refused on reading, whatever then reads them; wrong figures are for `check`."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from cuvee.errors import InputError
from cuvee.plan.outcome.files import plan_of, plan_to_json
from cuvee.plan.outcome.result import Plan
from tests.plan.instances import check_tiny

NAN, INF = float("nan"), float("inf")

REFUSED = [
    ("groups.0.copies", -1, "a whole number from 1 to 1,000,000"),
    ("groups.0.copies", 0, "a whole number from 1 to 1,000,000"),
    ("groups.0.copies", 1_000_000_000, "a whole number from 1 to 1,000,000"),
    ("rate_req_per_s", 0, "a rate from 1e-12 to 1e+12 req/s"),
    ("rate_req_per_s", -2, "a rate from 1e-12 to 1e+12 req/s"),
    ("rate_req_per_s", NAN, "a rate from 1e-12 to 1e+12 req/s"),
    ("rate_req_per_s", 1e-300, "a rate from 1e-12 to 1e+12 req/s"),
    ("objective", INF, "a finite number above 0"),
    ("bound", NAN, "a finite number, or null"),
    ("num_requests", 0, "a finite number above 0"),
    ("makespan_s", 0, "a finite number above 0"),
    ("cost_usd_per_hour", INF, "a finite number of at least 0"),
    ("cost_usd_per_hour", "inf", "a finite number of at least 0"),
    ("termination", "infeasible", "infeasible or nothing_found without groups"),
    ("groups", [], "infeasible or nothing_found without groups"),
    ("groups.0.model", "gpt", "one of the models of the inputs: tiny"),
    ("groups.0.precision", "fp3", "one of the precisions of the inputs: bf16"),
    ("groups.0.kv_precision", "fp8", "one of the cache precisions of the inputs: bf16"),
    ("groups.0.stages", [], "at least one stage"),
    ("groups.0.stages.0.gpu", "t99", "one of the GPU types on offer: t1, t2"),
    ("groups.0.rented.0.offer", 99, "one of the offers of the inputs: 0 to"),
    ("groups.0.rented.0.offer", -1, "one of the offers of the inputs: 0 to"),
    ("groups.0.rented.0.num_gpus", 0, "a whole number from 1"),
    ("groups.0.price_usd_per_hour", NAN, "a finite number of at least 0"),
    ("groups.0.cost_usd_per_hour", -5, "a finite number of at least 0"),
    ("groups.0.cost_usd_per_hour", NAN, "a finite number of at least 0"),
    ("groups.0.rate_req_per_s", -1, "a finite number of at least 0"),
    ("groups.0.utilization", NAN, "a finite number of at least 0"),
    ("groups.0.phase", "prefill", "both"),
    ("groups.0.keeps_to", ["w9"], "one of the workload types of tiny"),
    ("groups.0.cells", [], "the rate of at least one workload type"),
    ("groups.0.cells.0.workload", "foo", "one of the workload types of tiny"),
    ("groups.0.cells.0.rate_req_per_s", 0, "a rate from 1e-12 to 1e+12 req/s"),
    ("groups.0.cells.0.rate_req_per_s", INF, "a rate from 1e-12 to 1e+12 req/s"),
    ("groups.0.cells.0.ttft_s", -1, "a number of at least 0"),
    ("groups.0.cells.0.tpot_s", NAN, "a number of at least 0"),
    ("groups.0.cells.0.relative_error", -0.1, "a finite number of at least 0"),
    ("assignment", [], "a row for each workload type of the inputs"),
    ("assignment.0.model", "foo", "one of the models of the inputs: tiny"),
    ("assignment.0.workload", "foo", "one of the workload types of tiny"),
    ("assignment.0.demand_req_per_s", -1, "a number above 0, 1e+12 at most"),
    ("assignment.0.demand_req_per_s", 0, "a number above 0, 1e+12 at most"),
    ("assignment.0.load_factor", NAN, "a number of at least 0, 1e+12 at most"),
    ("assignment.0.input_tokens", 0, "a number above 0, 100,000,000 at most"),
    ("assignment.0.input_tokens", 1e12, "a number above 0, 100,000,000 at most"),
    ("assignment.0.output_tokens", NAN, "a number above 0, 100,000,000 at most"),
    ("inputs.problem.models.0.demand.types.0.input_tokens", 1e12, "a number above 0, 100,000,000 at most"),
    ("assignment.0.shares", {}, "1, all requests of the type"),
    ("assignment.0.shares", {"g99": 1}, "one of the groups of the plan: g1"),
    ("assignment.0.shares", {"g1": 5}, "a number of at least 0, 1.001 at most"),
    ("assignment.0.shares", {"g1": -0.3, "g2": 1.3}, "a number of at least 0, 1.001 at most"),
    ("assignment.0.shares", {"g1": NAN}, "a number of at least 0, 1.001 at most"),
    ("assignment.0.shares", {"g1": 0.9}, "1, all requests of the type"),
    ("assignment.0.decode_shares", {"g1": 1.0}, "groups of phase decode in decode_shares, and only there"),
]
"""Field, what a hand wrote there, and what the message says was expected."""


def changed(plan: Plan, field: str, value: object) -> dict[str, Any]:
    """The plan file with one field changed."""
    record: dict[str, Any] = json.loads(plan_to_json(plan))
    *path, last = field.split(".")
    at: Any = record
    for step in path:
        at = at[int(step) if isinstance(at, list) else step]
    at[int(last) if isinstance(at, list) else last] = value
    return record


@pytest.mark.parametrize(("field", "value", "expected"), REFUSED)
def test_what_no_plan_can_be_is_refused(worked_plan, field, value, expected):
    """The message names file, field, what arrived and what was expected: nothing is left to crash on later."""
    with pytest.raises(InputError) as caught:
        plan_of(changed(worked_plan, field, value), "plan.json")
    name = {"groups": "termination"}.get(field, field.removeprefix("inputs.problem.models.0.demand.types.0."))
    assert caught.value.arrived.startswith("plan.json: ")
    assert name in caught.value.arrived
    assert expected in caught.value.expected
    assert "cuvee plan --json" in caught.value.remedy


def test_names_twice_are_refused(worked_plan):
    """Two groups of one name, two rows or two rates of one workload type: which is meant nobody knows."""
    group = {**json.loads(plan_to_json(worked_plan))["groups"][0], "id": "g2"}
    with pytest.raises(InputError, match=r"groups.1.id = g2 a second time|groups.2.id = g2 a second time"):
        plan_of(changed(worked_plan, "groups.0", group), "plan.json")
    record = changed(worked_plan, "schema_version", 1)
    record["assignment"][1] = deepcopy(record["assignment"][0])
    with pytest.raises(InputError, match=r"assignment.1.workload = .* a second time"):
        plan_of(record, "plan.json")
    record = changed(worked_plan, "schema_version", 1)
    record["groups"][0]["cells"] *= 2
    with pytest.raises(InputError, match=r"groups.0.cells = .* several times"):
        plan_of(record, "plan.json")


def test_a_share_needs_a_rate(worked_plan):
    """Requests of a type for a group that has no rate for it cannot be served."""
    record = changed(worked_plan, "schema_version", 1)
    row = record["assignment"][0]
    name = max(row["shares"], key=row["shares"].get)
    group = next(each for each in record["groups"] if each["id"] == name)
    group["cells"] = [cell for cell in group["cells"] if cell["workload"] != row["workload"]]
    with pytest.raises(InputError, match=rf"shares.{name} = .* for which {name} has no rate"):
        plan_of(record, "plan.json")


@pytest.mark.parametrize(
    ("field", "value", "check"),
    [
        ("groups.0.copies", 7, "stock"),
        ("cost_usd_per_hour", 1.0, "money"),
        ("groups.0.utilization", 3.0, "load"),
        ("assignment.0.input_tokens", 77.0, "assignment"),
        ("assignment.0.demand_req_per_s", 0.001, "assignment"),
        ("groups.0.cells.0.source", 7, "sources"),
        ("objective", 1e3, "proof"),
    ],
)
def test_wrong_figures_are_for_check(worked_plan, field, value, check):
    """A figure that could be, and is not that of the rest, is read; `check` says so. Tempting: to refuse it all."""
    report = check_tiny(plan_of(changed(worked_plan, field, value), "plan.json"))
    assert check in {line.split(":")[0] for line in report.violations}


def test_shares_by_hand_may_be_rounded(worked_plan):
    """Three digits of each share are a whole to the reader; `check` is stricter."""
    row = worked_plan.assignment[0]
    rounded = {name: round(share * 0.9995, 4) for name, share in row.shares.items()}
    plan = replace(worked_plan, assignment=(replace(row, shares=rounded), *worked_plan.assignment[1:]))
    read = plan_of(json.loads(plan_to_json(plan)), "plan.json")
    assert any(line.startswith("assignment: ") for line in check_tiny(read).violations)
