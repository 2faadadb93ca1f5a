"""Our own profiles in the schema of llm-d: tables, constants and values of the model, each saying what it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from cuvee.errors import InputError
from cuvee.profile import AnalyticProvider
from cuvee.profile.calibration import calibrate
from cuvee.profile.calibration_files import save_calibration
from cuvee.profile.imports.importing import Imported, import_files, import_points
from cuvee.profile.imports.llmd_export import report_text, to_report
from cuvee.profile.imports.own_files import RATES, points_of_rates, rates_of_table, read_own
from cuvee.profile.imports.setup import Setup, completed, make_setup
from cuvee.profile.measurements import load_measurements
from tests.profile.imports.samples import POINT, vllm, write
from tests.profile.setups import GPUS, MODELS, VLLM, even_config, workload

OWN = "model,gpu,tensor_parallel_size,input_tokens,output_tokens,rate_req_per_s,provenance,relative_error,source,date\n"


def exported(path: Path, setup: Setup | None = None, *, on_clash: str = "error") -> Imported:
    """Points of a file, as `cuvee export-profile` takes them."""
    return import_points([completed(point, setup or Setup()) for point in read_own(path)], on_clash=on_clash)


def test_a_table_of_rates(tmp_path):
    """Rate, lengths, deployment, source, date, provider and band stand in the report and come back."""
    row = "llama-3-8b,L40S,2,500,100,9.5,calibrated,0.1,our fit,2026-09-30\n"
    (point,) = exported(write(tmp_path, "table.csv", OWN + row)).points
    found = to_report(point)
    assert found["run"]["keywords"] == ["cuvee", "calibrated", "doubtful"]
    assert found["run"]["description"] == "calibrated, not measured"
    (again,) = import_files([write(tmp_path, "report.yaml", report_text(point))]).points
    for name in ("rate_req_per_s", "deployment", "load", "source", "date", "provider", "relative_error"):
        assert getattr(again.point, name) == getattr(point.point, name), name
    assert (again.point.date, again.point.relative_error, again.point.deployment.tp) == ("2026-09-30", 0.1, 2)


@pytest.mark.parametrize(
    ("engine", "version", "found"),
    [
        ("vLLM", "0.11.2", ("vllm", "0.11.2")),
        ("vllm-0.11", "", ("vllm", "0.11")),
        ("tensorrt-llm", "", ("tensorrt-llm", None)),
        ("", "", (None, None)),
    ],
)
def test_a_table_keeps_its_engines(tmp_path, engine, version, found):
    """What the rates were measured on goes into the report: without it nobody could plan with them."""
    header = OWN.replace("model,", "model,engine,engine_version,", 1)
    row = f"llama-3-8b,{engine},{version},L40S,2,500,100,9.5,measured,,,\n"
    (point,) = exported(write(tmp_path, "table.csv", header + row)).points
    assert (point.point.deployment.engine, point.point.deployment.engine_version) == found


def test_only_what_was_measured_counts_as_measured(tmp_path):
    """Imported again, a measured row is sound; one that a model gave is doubtful, so that nothing is fitted to it."""
    rows = [f"llama-3-8b,L40S,{size},500,100,9,{kind},,,\n" for size, kind in ((1, "measured"), (2, "estimated"))]
    points = exported(write(tmp_path, "table.csv", OWN + "".join(rows))).points
    paths = [write(tmp_path, f"{each.id}.yaml", report_text(each)) for each in points]
    assert [each.doubts for each in import_files(paths).points] == [(), ("estimated, not measured",)]


def test_constants_stand_for_the_points_they_were_fitted_to(tmp_path):
    """The measured rates come out, with concurrency and date; not those that the constants give."""
    rows = [f"H100-SXM,llama-3.1-8b,vllm,0.11,1000,{osl},1,{rate},64,2026-09-30" for osl, rate in ((200, 9), (500, 4))]
    header = "gpu,model,engine,engine_version,isl,osl,tp,req_s,concurrency,date"
    measured = load_measurements(write(tmp_path, "points.csv", "\n".join([header, *rows])))
    path = tmp_path / "fit.json"
    save_calibration(calibrate(measured, date="2026-11-22"), path)
    points = exported(path).points
    assert [each.point.rate_req_per_s for each in points] == [9.0, 4.0]
    assert {each.point.load.concurrency for each in points} == {64.0}
    assert {each.point.date for each in points} == {"2026-09-30"}
    assert not any(each.is_doubtful for each in points)


def test_values_of_a_provider(tmp_path):
    """Every value that fits: labelled as estimated, with source and date of the model, and its band where known."""
    configs = [
        even_config("llama-3-8b", "H100-SXM"),
        even_config("llama-3-8b", "A40"),
        even_config("llama-3-70b", "L4"),
    ]
    table = AnalyticProvider(MODELS, GPUS, VLLM).table(configs, [workload(500, 100)])
    points = points_of_rates(rates_of_table(table, engine=VLLM.name), "table")
    assert [point.deployment.gpu for point in points] == ["H100-SXM", "A40"]  # 70B does not fit an L4
    assert {point.date for point in points} == {VLLM.date}
    assert points[1].relative_error is None
    (first, _) = import_points([completed(point, Setup()) for point in points]).points
    report = to_report(first)
    assert "estimated" in report["run"]["keywords"]
    assert report["scenario"]["stack"][0]["standardized"]["tool_version"] == VLLM.name.rpartition("-")[2]


def test_what_no_report_can_hold_is_told(tmp_path):
    """A pipeline over two GPU types is left out with the reason; where nothing is left it is an error."""
    mixed = "model,stages,input_tokens,output_tokens,rate_req_per_s\nllama-3-70b,A40:TP2x20|L40:TP1x60,500,100,1\n"
    with pytest.raises(InputError, match="1 rates left out: stages that differ in GPU type"):
        read_own(write(tmp_path, "mixed.csv", mixed))
    rates = [
        replace(rate, is_even=even)
        for even in (True, False)
        for rate in rates_of_table(
            AnalyticProvider(MODELS, GPUS, VLLM).table([even_config("llama-3-8b", "L40S")], [workload(500, 100)])
        )
    ]
    (point,) = points_of_rates(rates, RATES)
    assert "1 rates left out" in point.remarks[0]


def test_setup_and_clashes_as_on_import(tmp_path):
    """Results that do not say what served are completed; a load point twice is refused, or settled as asked for."""
    path = write(tmp_path, "run.json", vllm())
    (point,) = exported(path, make_setup(POINT, "here")).points
    assert point.point.date == "2026-01-02"
    rows = "".join(f"llama-3-8b,L40S,1,500,100,{rate},measured,,,\n" for rate in (9, 11))
    table = write(tmp_path, "table.csv", OWN + rows)
    with pytest.raises(InputError, match="the same load point with different figures"):
        exported(table)
    (settled,) = exported(table, on_clash="mean").points
    assert settled.point.rate_req_per_s == 10.0


@pytest.mark.parametrize(
    ("written", "date"),
    [("20260102-030405", "2026-01-02"), ("2026-09-30T12:00:00", "2026-09-30"), ("yesterday", ""), (None, "")],
)
def test_the_day_of_a_run(tmp_path, written, date):
    """As tools write it; where they do not, the date is not known and nothing is made up."""
    (point,) = exported(write(tmp_path, "run.json", vllm(date=written)), make_setup(POINT, "here")).points
    assert point.point.date == date


@pytest.mark.parametrize(
    "content",
    ["model,gpu,tensor_parallel_size,input_tokens,output_tokens,rate_req_per_s\nllama-3-8b,A40,1,100,100,3\n",
     "isl,osl,req_s,gpu,model\n100,100,3,A40,llama-3-8b\n"],
    ids=["rates", "points"],
)  # fmt: skip
def test_a_file_is_read_once(tmp_path, monkeypatch, content):
    """Whatever its kind. Tempting: to read it anew for each question about it."""
    path, opened, really = write(tmp_path, "file.csv", content), list[Path](), Path.open

    def noted(self, *rest):
        opened.append(self)
        return really(self, *rest)

    monkeypatch.setattr(Path, "open", noted)
    (point,) = read_own(path)
    assert (point.rate_req_per_s, opened.count(path)) == (3, 1)
