"""`cuvee calibrate`: the table, the record, the profile file, and plans that take it."""

import json
from pathlib import Path

import pytest

HEADER = "id,gpu,model,engine,engine_version,isl,osl,tp,req_s,source\n"
ROWS = (
    "long,A40,llama-3-8b,vllm,0.11.0,2000,20,1,3.0,our own\n",
    "even,A40,llama-3-8b,vllm,0.11.0,500,500,1,3.5,our own\n",
    "answers,A40,llama-3-8b,vllm,0.11.0,128,2048,1,0.9,our own\n",
)
OTHERS = "alone,H100-SXM,llama-3-8b,sglang,0.5.5,1000,500,1,9,our own\npoor,A40,no-such-model,vllm,0.11,1000,500,1,2,\n"


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """Three points of one configuration, one of another, and one that cannot be modelled."""
    path = tmp_path / "points.csv"
    path.write_text(HEADER + "".join(ROWS) + OTHERS)
    return path


def test_a_table_and_a_record(cuvee, points):
    """Both have the errors before and after, and say what was set aside."""
    table, record = cuvee("calibrate", points), cuvee("calibrate", points, "--json")
    assert (table.code, table.err, record.code, record.err) == (0, "", 0, "")
    assert "4 measured points of 2 configurations" in table.out
    assert "unknown model 'no-such-model': poor" in table.out
    assert "--save calibration.json" in table.out
    assert max(map(len, table.out.splitlines())) <= 100
    found = json.loads(record.out)
    assert (found["schema_version"], len(found["configurations"])) == (1, 2)
    three, one = found["configurations"]
    assert three["replica"]["constants"]
    assert three["replica"]["relative_error"] is None  # three errors do not tell where four of five lie
    assert [point["source"] for point in three["points"]] == ["our own"] * 3
    assert (one["replica"]["constants"], one["replica"]["relative_error"]) == ({}, None)


def test_screen_and_record_agree(cuvee, points):
    """Every error of the table stands in the record, of each configuration and of all."""
    table, found = cuvee("calibrate", points), json.loads(cuvee("calibrate", points, "--json").out)
    lines = [line for line in table.out.splitlines() if "llama-3-8b" in line]
    of_three, of_one = found["errors"]["configurations"]
    for line, errors in zip(lines, (of_three, of_one), strict=True):
        assert f"{errors['uncalibrated']['median']:.1%}" in line
    assert f"{of_three['left_out']['median']:.1%}" in lines[0]
    assert of_one["left_out"] is None  # one kind of requests: nothing can be left out
    overall = found["errors"]["overall"]
    assert overall == of_three
    assert overall["left_out"]["count"] == 3
    said = " ".join(table.out.split())
    assert f"median {overall['uncalibrated']['median']:.1%} uncalibrated" in said
    assert f"{overall['left_out']['median']:.1%} with each predicted from the others" in said
    apart = [
        abs(point["left_out_req_per_s"] / point["rate_req_per_s"] - 1) for point in found["configurations"][0]["points"]
    ]
    assert overall["left_out"]["mean"] == pytest.approx(sum(apart) / 3)  # not the median, nor of the fit to all
    assert overall["left_out"]["median"] == pytest.approx(sorted(apart)[1])


def test_nothing_to_fit(cuvee, tmp_path):
    """A file of which no point can be used ends with 1, says why, and leaves no file."""
    path, file = tmp_path / "points.csv", tmp_path / "calibration.json"
    path.write_text(HEADER + OTHERS.splitlines()[1] + "\n")
    result = cuvee("calibrate", path, "--save", file)
    assert result.code == 1
    assert "unknown model" in result.out
    assert not file.exists()


def test_a_file_that_is_there_is_kept_unless_forced(cuvee, points, tmp_path):
    """As with every other command: 2 before any work, and the old file as it was."""
    file = tmp_path / "fit.json"
    file.write_text("mine")
    refused = cuvee("calibrate", points, "--save", file)
    assert (refused.code, refused.out, file.read_text()) == (2, "", "mine")
    assert f"{file}: is there already" in refused.err
    assert cuvee("calibrate", points, "--save", file, "--force").code == 0
    assert json.loads(file.read_text())["schema_version"] == 1


def test_a_file_in_no_folder_is_refused_before_the_work(cuvee, points):
    """A path through a file cannot be written, which is told before the fit, not after it."""
    refused = cuvee("calibrate", points, "--save", points / "fit.json")
    assert (refused.code, refused.out) == (2, "")
    assert "cannot be written" in refused.err


def test_a_plan_takes_the_file_and_check_recomputes_its_rates(cuvee, small, points):
    """Cells of the calibrated configuration say so, with file, date and band; others stay estimated; a touched constant
    is found out.
    """
    assert cuvee("calibrate", points, "--save", small / "fit.json").code == 0
    asked = ("plan", "scenario.yaml", "--throughput", "fit.json")
    printed, found = cuvee(*asked), cuvee(*asked, "--json")
    assert (printed.code, found.code) == (0, 0)
    plan = json.loads(found.out)
    by_gpu = {
        (stage["gpu"], cell["provenance"])
        for group in plan["groups"]
        for stage in group["stages"]
        for cell in group["cells"]
    }
    assert ("A40", "calibrated") in by_gpu
    assert not {kind for gpu, kind in by_gpu if gpu != "A40"} & {"calibrated", "measured"}
    fitted = json.loads((small / "fit.json").read_text())
    band = fitted["configurations"][0]["replica"]["relative_error"]
    cells = [cell for group in plan["groups"] for cell in group["cells"]]
    errors = {cell["relative_error"] for cell in cells if cell["provenance"] == "calibrated"}
    assert errors == {band}
    source = "fit.json: constants fitted to 3 measured points"
    said = {"provider": "calibrated", "source": source, "date": fitted["date"]}
    used = {cell["source"] for cell in cells if cell["provenance"] == "calibrated"}
    assert [plan["inputs"]["rate_sources"][index] for index in used] == [said]
    assert f"calibrated, fit of {fitted['date']}: {source}" in printed.out
    (small / "plan.json").write_text(found.out)
    assert cuvee("check", small / "plan.json").code == 0
    plan["inputs"]["calibrated"][0]["constants"]["compute"] *= 1.1
    (small / "plan.json").write_text(json.dumps(plan))
    touched = cuvee("check", small / "plan.json")
    assert touched.code == 1
    assert "recomputed it is" in touched.out


def test_measured_rates_come_before_fitted_constants(cuvee, small, points):
    """With a table beside the constants, its cell is measured, the others of that configuration calibrated; the order
    of the options says nothing; and check recomputes both.
    """
    cuvee("calibrate", points, "--save", small / "fit.json")
    (small / "rates.csv").write_text(
        "model,gpu,input_tokens,output_tokens,rate_req_per_s,engine\nllama-3-8b,A40,200,200,9,vllm\n"
    )
    found = cuvee("plan", "scenario.yaml", "--throughput", "fit.json", "--throughput", "rates.csv", "--json")
    plan = json.loads(found.out)
    kinds = {
        (cell["workload"], cell["provenance"])
        for group in plan["groups"]
        for cell in group["cells"]
        if [(stage["gpu"], stage["tensor_parallel_size"]) for stage in group["stages"]] == [("A40", 1)]
    }
    assert kinds == {("long", "calibrated"), ("short", "measured")}
    (small / "plan.json").write_text(found.out)
    assert cuvee("check", small / "plan.json").code == 0
    twice = cuvee("plan", "scenario.yaml", "--throughput", "fit.json", "--throughput", "fit.json")
    assert twice.code == 2
    assert "2 files of fitted constants" in twice.err


def test_latency_limits_hold_on_calibrated_rates_too(cuvee, small, points):
    """The highest load at which limits hold is found for a calibrated replica, and check agrees."""
    cuvee("calibrate", points, "--save", small / "fit.json")
    found = cuvee("plan", "scenario.yaml", "--throughput", "fit.json", "--slo", "ttft=5,p95", "--json")
    assert found.code == 0
    assert "calibrated" in {cell["provenance"] for group in json.loads(found.out)["groups"] for cell in group["cells"]}
    (small / "plan.json").write_text(found.out)
    assert cuvee("check", small / "plan.json").code == 0


def test_constants_of_another_engine_are_refused(cuvee, small, points):
    """Exit code 2, and what to do."""
    cuvee("calibrate", points, "--save", small / "fit.json")
    result = cuvee("plan", "scenario.yaml", "--throughput", "fit.json", "--engine", "tensorrt-llm")
    assert result.code == 2
    assert "constants of vllm-0.11" in result.err
