"""`cuvee plan --melange`: printed, kept, checked and asked about like any other plan."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
CASE = EXAMPLES / "melange.json"


def test_the_plan_is_printed(cuvee):
    """Fleet, cells and verdict; nothing of tokens, tensor parallelism or an engine, which the file does not say."""
    result = cuvee("plan", "--melange", CASE)
    assert result.code == 0
    assert "4.20 $/h" in result.out
    assert "only small: 6.00 $/h" in result.out
    assert "as profiled" in result.out
    assert "[1][0]" in result.out
    for unknown in ("TP1", "1M tokens", "vllm", "unlimited stock"):
        assert unknown not in result.out


def test_what_is_saved_is_checked_and_planned_again(cuvee, tmp_path, monkeypatch):
    """From another folder, with relative paths made whole."""
    monkeypatch.chdir(EXAMPLES)
    assert cuvee("plan", "--melange", "melange.json", "--save-dir", tmp_path).code == 0
    monkeypatch.chdir(tmp_path)
    assert cuvee("check", "plan.json").out.startswith("ok: ")
    again = json.loads(cuvee("plan", "scenario.yaml", "--json").out)
    assert again["cost_usd_per_hour"] == pytest.approx(4.2)
    assert again["inputs"]["problem"]["search"]["relative_gap"] == 1e-6


@pytest.mark.parametrize(
    "arguments", [["compare"], ["explain"], ["explain", "--what-if", "rate*2"], ["explain", "--alternatives", "1"]]
)
def test_other_commands_answer_too(cuvee, arguments):
    """Baselines, limits, changes and alternatives of profiled GPUs."""
    result = cuvee(*arguments, "--melange", CASE)
    assert result.code == 0
    assert "small" in result.out
    for unknown in ("TP1", "stock of"):
        assert unknown not in result.out


def test_profiles_of_aibrix_with_a_mix(cuvee):
    """The example of the documentation; its lengths are known, so tokens have a price."""
    result = cuvee("plan", "--melange", EXAMPLES / "aibrix.jsonl", "--mix", "trace-2", "--rate", "10")
    assert result.code == 0
    assert "per 1M tokens" in result.out


def test_many_cells_are_cut_short(cuvee, tmp_path):
    """A grid of 144 cells lists a hundred, and says where the others are."""
    case = {
        "gpu_info": {"a": {"cost": 1.0, "tputs": [[9.0] * 12] * 12}},
        "workload_distribution": [[1 / 144] * 12] * 12,
        "total_request_rate": 20.0,
    }
    (tmp_path / "case.json").write_text(json.dumps(case))
    result = cuvee("plan", "--melange", tmp_path / "case.json")
    assert result.code == 0
    assert "w100" in result.out
    assert "w101" not in result.out
    assert "and 44 more types" in result.out


def test_a_cell_that_no_gpu_serves_is_an_error(cuvee, tmp_path):
    """Exit code 2, the cell by name."""
    case = json.loads(CASE.read_text())
    case["workload_distribution"] = [[0.6, 0.0], [0.3, 0.1]]
    (tmp_path / "case.json").write_text(json.dumps(case))
    result = cuvee("plan", "--melange", tmp_path / "case.json")
    assert result.code == 2
    assert "no GPU serves cell [1][1] of tputs" in result.err


def test_names_from_the_file_are_text(cuvee, tmp_path):
    """A GPU may be called anything that can be printed; what looks like markup is shown."""
    case = json.loads(CASE.read_text())
    case["gpu_info"] = {"[bold]a": case["gpu_info"]["small"], "模型": case["gpu_info"]["large"]}
    (tmp_path / "case.json").write_text(json.dumps(case))
    for command in ("plan", "compare", "explain"):
        result = cuvee(command, "--melange", tmp_path / "case.json")
        assert result.code == 0
        assert "[bold]a" in result.out
