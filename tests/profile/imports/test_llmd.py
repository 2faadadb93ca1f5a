"""Benchmark Reports of llm-d: read, written, and read back."""

import copy
from typing import Any

import pytest
import yaml

from cuvee.errors import InputError
from cuvee.profile.imports.formats import read_load_points
from cuvee.profile.imports.importing import import_files
from cuvee.profile.imports.llmd_export import file_names, report_text, to_report
from cuvee.profile.imports.points_table import points_to_csv
from cuvee.profile.imports.setup import make_setup
from tests.profile.imports.samples import POINT, read_one, report, vllm, write


def engine_of(content):
    return content["scenario"]["stack"][1]["standardized"]


def test_fields_by_hand(tmp_path):
    """Answered are those that did not fail; TPOT by its own unit, and not the inter-token latency."""
    point = read_one(write(tmp_path, "br.yaml", yaml.safe_dump(report(rate_qps=10.5))))
    assert (point.file_format, point.tool) == ("llm-d report", "inference-perf 0.3.0")
    assert (point.input_tokens, point.output_tokens) == (1000.0, 200.0)  # not the 999 and 199 that were asked for
    assert (point.completed, point.failed, point.duration_s) == (400, 8, 40.8)
    assert (point.rate_req_per_s, point.output_tokens_per_s) == (10.0, 2000.0)
    assert point.ttft.mean_s == pytest.approx(0.05)
    assert point.ttft.percentiles_s == pytest.approx({50: 0.04, 99: 0.2})
    assert point.tpot.mean_s == pytest.approx(0.010)
    assert point.tpot.percentiles_s == pytest.approx({90: 0.012})
    assert point.end_to_end is None
    served = point.deployment
    assert (served.gpu, served.model) == ("NVIDIA-H100-80GB-HBM3", "meta-llama/Llama-3.1-8B-Instruct")
    assert (served.tp, served.pp, served.replicas, served.engine, served.engine_version) == (4, 1, 2, "vllm", "0.11.0")
    assert point.remarks == ()


def test_inter_token_latency_where_there_is_no_tpot(tmp_path):
    """As in reports that were made of GuideLLM's results: 9 ms."""
    content = report(rate_qps=1)
    del content["results"]["request_performance"]["aggregate"]["latency"]["time_per_output_token"]
    assert read_one(write(tmp_path, "br.json", content)).tpot.mean_s == pytest.approx(0.009)


def test_json_and_comments(tmp_path):
    """A report is told by its content in JSON as in YAML, and a float version is the same."""
    assert read_one(write(tmp_path, "br.json", report(rate_qps=1))).completed == 400
    text = "# a report\n\n---\n" + yaml.safe_dump({**report(rate_qps=1), "version": 0.2})
    assert read_one(write(tmp_path, "br", text)).completed == 400


@pytest.mark.parametrize(
    ("load", "known", "concurrency", "paced"),
    [
        ({"concurrency": 32}, True, 32.0, None),
        ({"concurrency": float("inf")}, True, None, None),
        ({"concurrency": float("inf"), "rate_qps": 3.0}, True, None, 3.0),
        ({}, False, None, None),
    ],
)
def test_how_requests_came(tmp_path, load, known, concurrency, paced):
    """An infinite concurrency without a rate is all at once."""
    found = read_one(write(tmp_path, "br.yaml", yaml.safe_dump(report(**load)))).load
    assert (found.is_known, found.concurrency, found.request_rate_req_per_s) == (known, concurrency, paced)


def test_data_parallel_ranks_are_replicas(tmp_path):
    """2 engines of DP4 TP1 are 8 replicas; a count that fits no reading is told."""
    content = report(rate_qps=1)
    engine_of(content)["accelerator"] = {"model": "H100", "count": 7, "parallelism": {"tp": 1, "dp": 4}}
    point = read_one(write(tmp_path, "br.json", content))
    assert (point.deployment.tp, point.deployment.replicas) == (1, 8)
    assert "7 accelerators" in point.remarks[0]


def test_an_engine_that_nobody_knows(tmp_path):
    """An image is no engine: it is told, and --engine names it."""
    content = report(rate_qps=1)
    engine_of(content).update(tool="llm-d", tool_version="ghcr.io/llm-d/llm-d-cuda:0.3.1")
    path = write(tmp_path, "br.json", content)
    assert read_one(path).deployment.engine is None
    (point,) = import_files([path], make_setup({"engine": "vllm"}, "here")).points
    assert point.point.deployment.engine == "vllm"
    assert any("llm-d-cuda" in remark for remark in point.remarks)


def changed(path, value):
    content = copy.deepcopy(report(rate_qps=1))
    inside: Any = content
    *folders, name = path.split(".")
    for folder in folders:
        inside = inside[int(folder) if folder.isdigit() else folder]
    inside[name] = value
    return content


AGGREGATE = "results.request_performance.aggregate"


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("version", "0.1", "version = '0.1'"),
        ("version", "0.3", "version = '0.3'"),
        ("results", {}, "request_performance"),
        (f"{AGGREGATE}.latency.time_to_first_token.units", "s/token", "units"),
        (f"{AGGREGATE}.latency.time_per_output_token.units", "s", "units"),
        (f"{AGGREGATE}.throughput.request_rate.units", "tokens/s", "units"),
        (f"{AGGREGATE}.throughput.request_rate.mean", float("inf"), "mean"),
        (f"{AGGREGATE}.requests.input_length.mean", 0, "mean"),
        (f"{AGGREGATE}.requests.failures", 409, "409 failures of 408"),
        ("scenario.stack.1.standardized.role", "prefill", "prefill"),
        ("scenario.stack.1.standardized.replicas", 0, "replicas"),
        ("scenario.stack.1.standardized.accelerator", None, "accelerator"),
        ("scenario.load.standardized.concurrency", "many", "concurrency"),
    ],
)
def test_what_cannot_be_used(tmp_path, path, value, told):
    """Each is refused with its place."""
    with pytest.raises(InputError, match=told):
        read_load_points(write(tmp_path, "br.yaml", yaml.safe_dump(changed(path, value))))


def exported(tmp_path, content, **setup):
    run = write(tmp_path, "run.json", content)
    (point,) = import_files([run], make_setup({**POINT, **setup}, "here")).points
    return point


@pytest.mark.parametrize(
    "load",
    [
        {"max_concurrency": 16},
        {"request_rate": 4.0, "max_concurrency": None},
        {"max_concurrency": None},
        {"max_concurrency": 15.5},
    ],
)
def test_there_and_back(tmp_path, load):
    """A point, written as a report and read again, is the same table: lengths, load, figures, names, notes."""
    point = exported(tmp_path, vllm(**load, duration=9.0), tp=2, pp=2, replicas=3, weights="fp8", kv="fp8")
    path = write(tmp_path, "report.yaml", report_text(point))
    again = import_files([path])
    assert again.points[0].point.deployment == point.point.deployment
    assert again.points[0].point.load == point.point.load
    assert again.points[0].doubts == point.doubts
    before, after = (write(tmp_path, name, "") for name in ("before.csv", "after.csv"))
    before.write_text(
        points_to_csv(
            import_files(
                [tmp_path / "run.json"],
                make_setup({**POINT, "tp": 2, "pp": 2, "replicas": 3, "weights": "fp8", "kv": "fp8"}, "here"),
            )
        )
    )
    after.write_text(points_to_csv(again))
    assert after.read_text() == before.read_text()


def test_the_shape_of_a_report(tmp_path):
    """The fields that the schema requires, and no others than it knows, in its units."""
    found = to_report(exported(tmp_path, vllm(duration=5.0), tp=2))
    assert list(found) == ["version", "run", "scenario", "results"]
    assert found["version"] == "0.2.1"
    assert set(found["run"]) == {"uid", "time", "description", "keywords"}
    assert found["run"]["time"] == {"duration": "PT5S"}
    assert found["run"]["keywords"] == ["cuvee", "measured", "doubtful"]
    (component,) = found["scenario"]["stack"]
    assert set(component) == {"metadata", "standardized", "native"}
    assert set(component["metadata"]) == {"schema_version", "label", "cfg_id"}
    assert component["standardized"] == {
        "kind": "inference_engine", "tool": "vllm", "tool_version": "0.11", "role": "replica", "replicas": 1,
        "model": {"name": "llama-3.1-8b"},
        "accelerator": {"model": "H100-SXM", "count": 2, "parallelism": {"tp": 2, "pp": 1}},
    }  # fmt: skip
    load = found["scenario"]["load"]
    assert load["standardized"] == {
        "tool": "vllm bench serve", "tool_version": "unknown", "source": "unknown", "concurrency": 16,
        "input_seq_len": {"distribution": "other", "value": 1000.0},
        "output_seq_len": {"distribution": "other", "value": 200.0},
    }  # fmt: skip
    aggregate = found["results"]["request_performance"]["aggregate"]
    assert aggregate["requests"]["total"] == 400
    units = {name: stated["units"] for name, stated in (aggregate["latency"] | aggregate["throughput"]).items()}
    assert units == {
        "time_to_first_token": "s", "time_per_output_token": "s/token", "request_latency": "s",
        "output_token_rate": "tokens/s", "request_rate": "queries/s",
    }  # fmt: skip
    assert to_report(exported(tmp_path, vllm(duration=5.0), tp=2)) == found  # the identifier too


def test_little_is_known(tmp_path):
    """A row with a rate alone makes a report without counts, latencies or an engine, and is read back."""
    row = write(tmp_path, "points.csv", "gpu,model,isl,osl,req_s\nL40S,ours,10,20,3\n")
    (point,) = import_files([row]).points
    found = to_report(point)
    assert "requests" not in found["results"]["request_performance"]["aggregate"]
    (again,) = import_files([write(tmp_path, "report.yaml", report_text(point))]).points
    assert again.point.rate_req_per_s == 3.0
    assert (again.point.deployment.engine, again.point.deployment.tp) == (None, 1)
    assert (again.point.input_tokens, again.point.output_tokens) == (10.0, 20.0)


def test_names_of_files(tmp_path):
    """Ids become names that no folder is left by; several points do not go into one file."""
    rows = "id,gpu,model,isl,osl,req_s\n../../up,L40S,ours,10,20,3\n..  up,L40S,ours,11,20,3\nup,L40S,ours,12,20,3\n"
    points = import_files([write(tmp_path, "points.csv", rows)]).points
    names = [path.relative_to(tmp_path).as_posix() for path in file_names(points, tmp_path)]
    assert names == ["up.yaml", "up-2.yaml", "up-3.yaml"]
    assert file_names(points[:1], tmp_path / "one.yaml") == [tmp_path / "one.yaml"]
    with pytest.raises(InputError, match="one file for 3 points"):
        file_names(points, tmp_path / "one.yaml")
