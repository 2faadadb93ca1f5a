"""Rates from a throughput table travel with the plan: `check` recomputes them, and finds what does not fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from cuvee.plan.check.check import check
from cuvee.plan.outcome.files import load_plan, plan_to_json
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from cuvee.profile.table import Provenance
from tests.plan.instances import WORKED_RATES, solve_tiny, worked_problem

TABLE = """\
model,gpu,tensor_parallel_size,input_tokens,output_tokens,rate_req_per_s,ttft_s,relative_error
llama-3-8b,A40,1,2000,20,3.5,0.4,0.05
llama-3-8b,A40,1,2004,20,3.6,0.4,0.05
llama-3-8b,A40,1,9000,20,0.7,0.9,0.05
llama-3-8b,A40,2,2000,20,6.5,0.3,0.05
llama-3-8b,L4,1,2000,20,9.9,0.3,0.05
"""
OFFERS = "gpu,seller,price_usd_per_hour,stock,as_of\nA40,s,0.5,3,2026-01-02\n"
MIX = "name,input_tokens,output_tokens,share\nlong,2000,20,0.5\nshort,200,200,0.5\n"


def planned(folder: Path, **changes) -> Plan:
    """One A40, with a measured rate for the long requests and an estimate for the short ones."""
    for name, text in (("rates.csv", TABLE), ("offers.csv", OFFERS), ("mix.csv", MIX)):
        (folder / name).write_text(text)
    record = {
        "models": ["llama-3-8b"],
        "mix": str(folder / "mix.csv"),
        "offers": str(folder / "offers.csv"),
        "throughput_table": str(folder / "rates.csv"),
        "budget_usd_per_hour": 0.6,
        "search": {"max_pipeline_stages": 1, "max_mixed_stages": 0},
        **changes,
    }
    return plan_prepared(prepare_scenario(parse_scenario(record, where="test")))


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Plan:
    return planned(tmp_path_factory.mktemp("measured"))


def with_rates(plan: Plan, rates) -> Plan:
    return replace(plan, inputs=replace(plan.inputs, measured_rates=tuple(rates)))


def test_a_plan_holds_the_lines_it_stands_on(measured):
    """Those of its own replicas, at all lengths: neither TP2 nor the GPU it does not rent."""
    assert [rate.input_tokens for rate in measured.inputs.measured_rates] == [2000, 2004, 9000]
    assert {rate.stages for rate in measured.inputs.measured_rates} == {(("A40", 1),)}
    kinds = {cell.workload: (cell.provenance, cell.rate_req_per_s) for cell in measured.groups[0].cells}
    assert kinds["long"] == (Provenance.MEASURED, 3.6)  # of two equally near lines the better one
    assert kinds["short"][0] is Provenance.ESTIMATED


def test_the_rates_are_recomputed(measured):
    """From the plan alone, after a round through its file."""
    assert check(measured).ok
    assert "rates" in check(measured).passed


def test_lowered_measured_rates_are_recomputed(tmp_path):
    """Pessimism lowers measured rates by their own band."""
    plan = planned(tmp_path, caution={"pessimism": 1.0})
    assert plan.groups[0].cells[0].rate_req_per_s == pytest.approx(3.6 / 1.05)
    assert check(plan).ok


@pytest.mark.parametrize("kept", [0, 1])
def test_a_line_changed_or_gone_is_found(measured, kept):
    """Another rate in the line, or no line for the lengths, contradicts the cell."""
    rates = measured.inputs.measured_rates
    changed = [replace(rates[1], rate_req_per_s=7.2), rates[2]]
    report = check(with_rates(measured, changed[1 - kept :]))
    assert [line for line in report.violations if line.startswith("rates: g1 long")]


def test_the_file_holds_all_that_check_needs(measured, tmp_path):
    """Lines and GPU types of one's own are read back as they were."""
    own = solve_tiny(worked_problem(), WORKED_RATES)
    assert {gpu.name for gpu in own.inputs.gpus} == {"t1", "t2", "t3"}
    assert check(own).ok  # without being given the GPU types
    for plan in (measured, own):
        path = tmp_path / "plan.json"
        path.write_text(plan_to_json(plan))
        assert load_plan(path) == plan
        assert check(load_plan(path)).ok


def test_no_gpu_of_the_catalogue_is_held(measured):
    """The catalogue is at hand wherever a plan is checked."""
    assert measured.inputs.gpus == ()
