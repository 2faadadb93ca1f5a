"""`cuvee score-run`: the table, the record, and what it says of folders it cannot use."""

import json

import pytest

META = {
    "model": "meta-llama/Llama-3.1-8B",
    "vllm_version": "0.19.0",
    "engine_kwargs": {"max_num_seqs": 16, "max_num_batched_tokens": 512},
    "kv_cache": {"num_gpu_blocks": 500, "block_size": 16},
}


@pytest.fixture
def run_folder(tmp_path):
    """Twenty-four requests on an L4, a second apart, each answered in half a second."""
    folder = tmp_path / "L4_[bold]" / "vllm"
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(META))
    rows = [
        {
            "input_toks": 300, "output_toks": 5, "arrival_time": 1e9 + second, "queued_ts": 7.0 + second,
            "scheduled_ts": 7.0 + second, "first_token_ts": 7.3 + second, "last_token_ts": 7.5 + second,
        }
        for second in range(24)
    ]  # fmt: skip
    (folder / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_table_and_a_record(cuvee, run_folder):
    """Statistics of three latencies; the GPU type is that of the folder around, as the file states none."""
    table, record = cuvee("score-run", run_folder), cuvee("score-run", run_folder, "--json")
    assert (table.code, table.err, record.code, record.err) == (0, "", 0, "")
    assert max(map(len, table.out.splitlines())) <= 100
    for words in ("llama-3.1-8b on 1x L4 TP1", "nothing fitted", "TTFT measured", "300.0 ms", "largest error"):
        assert words in table.out
    found = json.loads(record.out)
    (run,) = found["runs"]
    assert (found["schema_version"], run["gpu"], run["gpu_from"]) == (1, "L4", "from the name of the folder")
    assert (run["cache_tokens"], run["max_num_seqs"], run["requests"], run["coefficients"]) == (7984, 16, 24, None)
    assert len(run["statistics"]) == 12
    ttft = run["statistics"][0]
    assert (ttft["quantity"], ttft["statistic"]) == ("ttft", "mean")
    assert ttft["measured_s"] == pytest.approx(0.3)
    assert ttft["error"] == pytest.approx(ttft["simulated_s"] / 0.3 - 1)
    assert found["worst_error"] == max(abs(each["error"]) for each in run["statistics"])


def test_what_is_fitted_is_printed(cuvee, run_folder):
    """Half of the requests are scored, with multipliers and what a step costs with them."""
    result = cuvee("score-run", run_folder, "--fit", "half", "--gpu", "A10")
    assert result.code == 0
    for words in ("12 of 24 requests", "fitted multipliers", "us a prompt token", "GPU type as stated"):
        assert words in result.out


def test_several_runs(cuvee, run_folder):
    """Each run is printed, and which of them is furthest off."""
    other = run_folder.parent / "again"
    other.mkdir()
    for name in ("meta.json", "requests.jsonl"):
        (other / name).write_text((run_folder / name).read_text())
    result = cuvee("score-run", run_folder.parent)
    assert result.code == 0
    assert "largest error of 2 runs" in result.out


def test_a_run_that_cannot_be_used_does_not_drop_the_others(cuvee, run_folder):
    """It is told and left out; where it is the only one, or all are like it, the command ends with 2."""
    other = run_folder.parent / "bad"
    other.mkdir()
    (other / "requests.jsonl").write_text((run_folder / "requests.jsonl").read_text())
    (other / "meta.json").write_text(json.dumps({**META, "model": "nobody/knows"}))
    result = cuvee("score-run", run_folder.parent)
    assert result.code == 0
    assert "left out" in result.err
    assert "nobody/knows" in result.err
    assert "llama-3.1-8b on 1x L4" in result.out
    assert cuvee("score-run", other).code == 2


def test_a_version_that_says_nothing_is_told(cuvee, run_folder):
    """Settings of another version stand in, and the screen says so."""
    (run_folder / "meta.json").write_text(json.dumps({**META, "vllm_version": "banana"}))
    assert "version 'banana' of vllm is unknown" in " ".join(cuvee("score-run", run_folder).out.split())


def test_a_file_is_no_missing_folder(cuvee, run_folder):
    """It is there, and not what was asked for."""
    result = cuvee("score-run", run_folder / "meta.json")
    assert (result.code, "a file, and no folder" in result.err) == (2, True)


def test_folders_that_cannot_be_used(cuvee, run_folder, tmp_path):
    """Three parts and exit code 2, whatever is wrong."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for words in ((tmp_path / "none",), (empty,), (run_folder, "--fit", "all"), (run_folder, "--gpu", "no-such")):
        result = cuvee("score-run", *words)
        assert (result.code, result.out) == (2, "")
        assert "expected:" in result.err
        assert "to do:" in result.err
