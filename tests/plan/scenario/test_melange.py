"""Files of Mélange and AIBrix: the least cost, proven, with every request served and every figure in the plan."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.errors import InputError
from cuvee.plain_yaml import load_yaml
from cuvee.plan.check.check import check
from cuvee.plan.outcome.files import load_plan, plan_to_json
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.problem import Objective
from cuvee.plan.scenario.grid_files import read_grid_files
from cuvee.plan.scenario.melange import demand_in_cells, edges_between
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import load_scenario, parse_scenario, scenario_to_yaml
from cuvee.plan.solver.program import Termination
from cuvee.workload.records import Demand, WorkloadType
from tests.plan.grids import EXAMPLE, EXAMPLE_OPTIMUM, best_of_shares, best_of_two, grid_case, solve_grid

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data" / "melange_cases"


def planned(*files: Path, **fields) -> Plan:
    record = {"melange": [str(file) for file in files], **fields}
    return plan_prepared(prepare_scenario(parse_scenario(record, where="test")))


def served(plan: Plan) -> None:
    """It passes its own check, serves all that is asked, and is proven."""
    report = check(plan)
    assert report.ok, report.summary()
    assert plan.termination is Termination.OPTIMAL
    assert plan.gap is not None
    assert plan.gap <= 1e-6
    assert plan.load_factor >= 1 - 1e-6


# -- optima -------------------------------------------------------------------------------------


def test_the_example_by_hand():
    """One small GPU takes 4 of the 6 short requests a second, the large one 2 of them beside the long ones.

    Tempting: the relaxation, 4.06 $/h for 1.5 small and 0.8 large; those rounded up, 5.2 $/h, which is also what cells
    that may not be split give; small alone, 1.5 + 4 and so 6 $/h; large alone, 0.6 + 0.8 and so 6.4 $/h.
    """
    path = ROOT / "examples" / "melange.json"
    assert json.loads(path.read_text()) == EXAMPLE
    plan = planned(path)
    assert plan.cost_usd_per_hour == pytest.approx(EXAMPLE_OPTIMUM)
    assert plan.gpu_counts == {"large": 1, "small": 1}
    assert plan.assignment[0].shares == pytest.approx({"g1": 1 / 3, "g2": 2 / 3})
    served(plan)


@pytest.mark.parametrize(("name", "optimum"), [("small", 3.55), ("medium", 17.59)])
def test_known_optima(name, optimum):
    """The optimum of shares; slices of a quarter of a cell cost 17.67 in the second."""
    path = SHARED / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{name}.json is not in ../shared/data/melange_cases")
    plan = planned(path)
    assert plan.cost_usd_per_hour == pytest.approx(optimum, abs=1e-9)
    served(plan)


@st.composite
def cases(draw, num_gpus: int):
    """Small grids with cells nobody asks for and cells that some GPUs cannot serve, but each asked for by some."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    tputs = rng.uniform(0.2, 9.0, (num_gpus, rows, columns)).round(3)
    tputs[rng.random(tputs.shape) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
    weights = rng.integers(0, 4, (rows, columns)).astype(float)
    weights[~(tputs > 0).any(axis=0)] = 0.0
    weights[0, 0], tputs[0, 0, 0] = 1.0, 3.0
    prices = rng.uniform(0.5, 4.0, num_gpus).round(2)
    return grid_case(prices.tolist(), tputs, weights / weights.sum(), draw(st.sampled_from([0.01, 1.0, 7.0, 40.0])))


@settings(max_examples=40)
@given(case=cases(2))
def test_two_gpus_against_enumeration(case, tmp_path_factory):
    """Every number of copies of the first type, the rest to the second: no solver involved."""
    plan = solve_grid(case, tmp_path_factory.mktemp("two"))
    assert plan.cost_usd_per_hour == pytest.approx(best_of_two(case), rel=1e-5)
    served(plan)


@settings(max_examples=25)
@given(case=st.integers(1, 5).flatmap(cases))
def test_several_gpus_against_another_program(case, tmp_path_factory):
    """Whole GPUs and shares of cells, written down anew."""
    plan = solve_grid(case, tmp_path_factory.mktemp("several"))
    assert plan.cost_usd_per_hour == pytest.approx(best_of_shares(case), rel=1e-5)
    served(plan)


@pytest.mark.parametrize("share", [1e-4, 1e-7, 1e-10])
def test_a_trickle_gets_a_gpu(share, tmp_path):
    """A cell so rare that a millionth of a GPU serves it still needs one that can: 1 + 2 $/h, not 1.

    A solver takes a number within 1e-6 of 0 for 0; the demand would then be served by nothing.
    """
    case = grid_case([1.0, 2.0], [[[10.0, 0.0]], [[0.0, 400.0]]], [[1 - share, share]], 5.0)
    plan = solve_grid(case, tmp_path)
    assert plan.cost_usd_per_hour == pytest.approx(3.0)
    served(plan)


def test_a_gpu_that_is_hardly_used_is_paid(tmp_path):
    """The large GPU could serve all in 1e-7 of its time, and the cell is served by nothing less than one copy of it.

    Tempting: one small GPU, 1 $/h, and none of the large ones, 1e-7 of which the solver takes for 0.
    """
    case = grid_case([1.0, 3.0], [[[1.0]], [[1e9]]], [[1.0]], 100.0)
    plan = solve_grid(case, tmp_path)
    assert plan.gpu_counts == {"g1": 1}
    assert plan.cost_usd_per_hour == pytest.approx(3.0)
    served(plan)


def test_rates_of_very_different_size(tmp_path):
    """One g1 serves all of it in a tenth of its time, 16.894 $/h.

    Tempting, and once answered as proven: 87.245 $/h. Shares of 1e-12 and rates from 1e-3 to 1e9 req/s took the solver
    beyond its tolerances.
    """
    tputs = [
        [[42800.0, 64100.0, 876000.0]],
        [[2840000.0, 0.0142, 27.6]],
        [[0.0, 852000000.0, 1580.0]],
        [[0.00107, 439000000.0, 4000.0]],
        [[0.00603, 13.8, 321000000.0]],
    ]
    case = grid_case([87.245, 16.894, 7.245, 0.019, 13.197], tputs, [[0.4, 3.29e-12, 0.6]], 4.65)
    plan = solve_grid(case, tmp_path)
    assert plan.cost_usd_per_hour == pytest.approx(16.894)
    served(plan)


def test_a_full_fleet_is_full(tmp_path):
    """Three GPUs that are busy all the time are enough: rounding must not ask for a fourth."""
    case = grid_case([1.7], [[[10.0, 0.3]]], [[0.99, 0.01]], 30.0)  # 29.7 / 10 + 0.3 / 0.3 = 3.97
    assert solve_grid(case, tmp_path).gpu_counts == {"g0": 4}
    case = grid_case([1.7], [[[10.0]]], [[1.0]], 30.0)
    plan = solve_grid(case, tmp_path)
    assert plan.gpu_counts == {"g0": 3}
    served(plan)


# -- what the plan says -------------------------------------------------------------------------


def test_nothing_is_made_up(tmp_path):
    """Neither lengths nor token prices nor figures of GPUs are stated; the rates are measured, from this file."""
    plan = solve_grid(EXAMPLE, tmp_path)
    assert {(row.input_tokens, row.output_tokens) for row in plan.assignment} == {(0.0, 0.0)}
    assert plan.usd_per_million_tokens() == (0.0, 0.0, 0.0)
    assert {(gpu.memory_gb, gpu.bandwidth_gb_per_s, len(gpu.tflops)) for gpu in plan.inputs.gpus} == {(0.0, 0.0, 0)}
    assert [row.workload for row in plan.assignment] == ["[0][0]", "[1][0]"]
    assert all(source.startswith("measured: ") for source in plan.inputs.throughput_sources)
    assert "case.json" in plan.inputs.throughput_sources[0]


def test_names_of_the_catalogue_mean_nothing(tmp_path):
    """A GPU called A40 is what the file says it is, in the plan's file as well; "H100:8" is one item."""
    case = grid_case([0.55, 20.0], [[[3.0]], [[80.0]]], [[1.0]], 82.0)
    case["gpu_info"] = dict(zip(("A40", "H100:8"), case["gpu_info"].values(), strict=True))
    plan = solve_grid(case, tmp_path)
    assert plan.gpu_counts == {"A40": 28}  # 15.40 $/h; one machine and one card take 20.55
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(plan))
    served(load_plan(path))
    assert load_plan(path) == plan


def test_a_rate_changed_in_the_plan_is_found(tmp_path):
    """`check` recomputes load from the lines that the plan holds."""
    plan = solve_grid(EXAMPLE, tmp_path)
    text = plan_to_json(plan).replace('"rate_req_per_s": 5.0', '"rate_req_per_s": 50.0', 1)
    (tmp_path / "plan.json").write_text(text)
    assert not check(load_plan(tmp_path / "plan.json")).ok


# -- what is asked beside the file ---------------------------------------------------------------


def test_another_rate(tmp_path):
    """The rate of the question comes before the file's."""
    assert solve_grid(EXAMPLE, tmp_path, rate_req_per_s=20.0).cost_usd_per_hour == pytest.approx(8.4)


def test_a_budget_below_the_optimum_is_named(tmp_path):
    """With the amount that is enough."""
    plan = solve_grid(EXAMPLE, tmp_path, budget_usd_per_hour=4.0)
    assert plan.termination is Termination.INFEASIBLE
    assert "4.20 $/h is enough" in plan.message


def test_most_requests_within_a_budget(tmp_path):
    """Under the other objective the shares count and the rate does not: 8.40 $/h sustain 20 req/s."""
    plan = solve_grid(EXAMPLE, tmp_path, objective="throughput", budget_usd_per_hour=8.4)
    assert plan.objective_name is Objective.THROUGHPUT
    assert plan.rate_req_per_s == pytest.approx(20.0, rel=1e-5)
    assert check(plan).ok


def test_caps_go_by_the_names_of_the_file(tmp_path):
    """Without the large one small GPUs serve all: 1.5 + 4 copies, 6 $/h."""
    plan = solve_grid(EXAMPLE, tmp_path, limits={"max_gpus": {"large": 0}})
    assert plan.gpu_counts == {"small": 6}
    served(plan)


def test_stock_never_binds(tmp_path):
    """A million requests a second take as many GPUs as they take."""
    plan = solve_grid(grid_case([1.0], [[[0.5]]], [[1.0]], 1e5), tmp_path)
    assert plan.gpu_counts == {"g0": 200_000}
    served(plan)


def test_the_question_can_be_kept(tmp_path):
    """The scenario written of it asks the same, with the tight gap and nothing of models or offers."""
    scenario = parse_scenario({"melange": str(ROOT / "examples" / "melange.json")}, where="test")
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario_to_yaml(scenario))
    assert "models" not in path.read_text()
    again = load_scenario(path)
    assert again.melange == scenario.melange
    assert (again.objective, again.search.relative_gap) == (Objective.COST, 1e-6)
    assert plan_prepared(prepare_scenario(again)).cost_usd_per_hour == pytest.approx(EXAMPLE_OPTIMUM)


@pytest.mark.parametrize(
    "field",
    [
        {"models": ["llama-3-8b"]},
        {"offers": "market"},
        {"engine": "vllm"},
        {"spot": True},
        {"throughput_table": "rates.csv"},
        {"network_gbit_per_s": 10.0},
    ],
    ids=lambda field: next(iter(field)),
)
def test_fields_that_mean_nothing_are_refused(field):
    """What the files hold cannot be given beside them."""
    with pytest.raises(InputError, match=f"melange and {next(iter(field))}"):
        parse_scenario({"melange": ["a.json"], **field}, where="test")


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ({"aim": {"serve": "models"}}, r"melange and aim.serve \(--serve\)"),
        ({"aim": {"headroom": 0.2, "weights": {"x": 2.0}}}, "melange and aim.weights;?"),
        ({"risk": {"keep_after_loss": {"zone": 0.5}}}, r"risk.keep_after_loss \(--keep\)"),
        ({"slo": {"ttft_s": 1.0}}, r"melange and slo \(--slo\)"),
    ],
)
def test_refusals_name_the_options(field, found):
    """What was typed, not the part of the scenario that it belongs to."""
    with pytest.raises(InputError, match=found):
        parse_scenario({"melange": ["a.json"], **field}, where="test")


def test_headroom_beside_the_files(tmp_path):
    """A quarter more of the demand is served, for no less money, and the scenario reads back."""
    (tmp_path / "case.json").write_text(json.dumps(EXAMPLE))
    asked = {"melange": [str(tmp_path / "case.json")]}
    plans = [
        plan_prepared(prepare_scenario(parse_scenario({**asked, "aim": {"headroom": share}}, where="test")))
        for share in (0.0, 0.25)
    ]
    assert plans[0].cost_usd_per_hour == pytest.approx(EXAMPLE_OPTIMUM)
    assert plans[1].load_factor >= 1.25
    assert plans[1].cost_usd_per_hour > plans[0].cost_usd_per_hour
    assert check(plans[1]).ok
    scenario = parse_scenario({**asked, "aim": {"headroom": 0.25}}, where="test")
    again = parse_scenario(load_yaml(scenario_to_yaml(scenario)), where="test")
    assert again.aim.headroom == 0.25


def test_two_demands_are_refused(tmp_path):
    """A mix beside a workload_distribution."""
    with pytest.raises(InputError, match="workload_distribution, and 'trace-2'"):
        solve_grid(EXAMPLE, tmp_path, mix="trace-2")


# -- cells nobody serves -------------------------------------------------------------------------


def test_a_cell_that_no_gpu_serves_is_named(tmp_path):
    """By row, column, share and rate; cells without requests need nobody."""
    case = {**EXAMPLE, "workload_distribution": [[0.6, 0.0], [0.3, 0.1]]}
    with pytest.raises(InputError, match=r"no GPU serves cell \[1\]\[1\] of tputs with a share of 0\.1, 1 req/s"):
        solve_grid(case, tmp_path)


def test_rates_that_stand_for_none_are_none(tmp_path):
    """Ten million GPUs are no answer: a rate of 1e-7 req/s is as none."""
    case = grid_case([1.0], [[[5.0, 1e-7]]], [[0.9, 0.1]], 10.0)
    with pytest.raises(InputError, match=r"no GPU serves cell \[0\]\[1\]"):
        solve_grid(case, tmp_path)


def test_a_gpu_that_serves_nothing_is_left_out(tmp_path):
    """It is said so, and the others are planned."""
    case = grid_case([0.1, 1.0], [[[0.0]], [[5.0]]], [[1.0]], 10.0)
    plan = solve_grid(case, tmp_path)
    assert plan.gpu_counts == {"g1": 2}
    assert any("serve no cell that has requests: g0" in note for note in plan.inputs.problem.offers.notes)


# -- AIBrix --------------------------------------------------------------------------------------

AIBRIX = ROOT / "examples" / "aibrix.jsonl"


def transposed(case: Mapping[str, Any], inputs: list[float], outputs: list[float]) -> list[dict[str, Any]]:
    """Profiles of AIBrix with the rates of a file of Mélange."""
    return [
        {"gpu": name, "cost": gpu["cost"], "tputs": np.transpose(gpu["tputs"]).tolist(), "indexes": [outputs, inputs]}
        for name, gpu in case["gpu_info"].items()
    ]


@pytest.mark.parametrize("form", ["list", "lines", "files"])
def test_profiles_with_a_demand_beside_them(form, tmp_path):
    """As a list, on lines or in files of their own; the demand in a third file, rows being prompts."""
    profiles = transposed(EXAMPLE, [128.0, 1024.0], [16.0, 512.0])
    (tmp_path / "demand.json").write_text(json.dumps({key: EXAMPLE[key] for key in EXAMPLE if key != "gpu_info"}))
    files = [tmp_path / "a.json"]
    if form == "list":
        files[0].write_text(json.dumps(profiles))
    elif form == "lines":
        files[0].write_text("\n".join(json.dumps(profile) for profile in profiles))
    else:
        files.append(tmp_path / "b.json")
        for file, profile in zip(files, profiles, strict=True):
            file.write_text(json.dumps({**profile, "created": 1.0, "e2e": [[0.1]], "slos": {"e2e": 5.0}}))
    plan = planned(*files, tmp_path / "demand.json")
    assert plan.cost_usd_per_hour == pytest.approx(EXAMPLE_OPTIMUM)
    assert [row.workload for row in plan.assignment] == ["in128-out16", "in1024-out16"]
    assert plan.usd_per_million_tokens()[2] > 0
    served(plan)


def test_profiles_inside_a_file_of_melange_keep_their_rows(tmp_path):
    """With indexes, rows are answers, and so are those of the demand in the same file."""
    profiles = transposed(EXAMPLE, [128.0, 1024.0], [16.0, 512.0])
    case = {**EXAMPLE, "gpu_info": profiles, "workload_distribution": [[0.6, 0.4], [0.0, 0.0]]}
    assert solve_grid(case, tmp_path).cost_usd_per_hour == pytest.approx(EXAMPLE_OPTIMUM)


def test_a_mix_goes_to_the_nearest_cells():
    """By ratio of lengths; the example answers a mix at a rate."""
    case = read_grid_files([str(AIBRIX)])
    means = ((500.0, 16.0), (520.0, 16.0), (2455.0, 18.0), (100.0, 250.0), (9000.0, 900.0))
    kinds = tuple(WorkloadType(f"w{index}", *mean) for index, mean in enumerate(means))
    asked = demand_in_cells(case, Demand(kinds, (1.0, 1.0, 1.0, 1.0, 1.0)))
    # 512 is the geometric mean of 256 and 1024; 256 tokens out is that of 128 and 512.
    assert asked.cells == ((0, 0), (1, 0), (2, 0), (0, 1), (2, 2))
    assert any("20.0% of the requests are longer" in note for note in asked.demand.notes)
    plan = planned(AIBRIX, mix="trace-2", rate_req_per_s=10.0)
    served(plan)
    assert plan.usd_per_million_tokens()[2] > 0


def test_a_trace_is_cut_at_the_cells(tmp_path):
    """Each type lies in one cell, and carries the mean lengths of its requests."""
    (tmp_path / "trace.csv").write_text("input_tokens,output_tokens\n200,10\n300,10\n700,400\n700,90\n200,10\n")
    plan = planned(AIBRIX, trace=str(tmp_path / "trace.csv"), rate_req_per_s=10.0)
    assert [(row.workload, row.input_tokens) for row in plan.assignment] == [
        ("in233-out10", pytest.approx(700 / 3)),
        ("in700-out90", 700.0),
        ("in700-out400", 700.0),
    ]
    ticks = read_grid_files([str(AIBRIX)]).ticks
    assert ticks is not None
    edges = edges_between(ticks)
    assert edges.input_tokens == (512.0, 2048.0)
    assert edges.output_tokens == pytest.approx((math.sqrt(2048), 256.0))
    served(plan)


def test_profiles_without_a_demand_say_what_is_missing():
    """A mix, a trace or a distribution; and a rate."""
    with pytest.raises(InputError, match="profiles without a demand"):
        planned(AIBRIX)
    with pytest.raises(InputError, match="without an arrival rate"):
        planned(AIBRIX, mix="trace-2")


def test_an_unserved_cell_of_aibrix_is_named_with_its_lengths(tmp_path):
    """As the file indexes it, answers first."""
    profiles = [json.loads(line) for line in AIBRIX.read_text().splitlines()]
    for profile in profiles:
        profile["tputs"][2][0] = 0
    (tmp_path / "p.json").write_text(json.dumps(profiles))
    (tmp_path / "mix.csv").write_text("input_tokens,output_tokens,share\n250,500,0.25\n250,16,0.75\n")
    expected = r"cell \[2\]\[0\] of tputs \(256 tokens in, 512 out\) with a share of 0\.25, 2 req/s"
    with pytest.raises(InputError, match=expected):
        planned(tmp_path / "p.json", mix=str(tmp_path / "mix.csv"), rate_req_per_s=8.0)
