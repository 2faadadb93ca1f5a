"""Runs of real engines beside the simulator: reading them, fitting on half of one, and how far off the rest is."""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cuvee.errors import InputError
from cuvee.simulate.engine_runs import COLUMNS, read_runs
from cuvee.simulate.run_fit import Coefficients, StepCosts, fit_law, lowest
from cuvee.simulate.run_play import arrivals_within_a_step, measured_latencies, play_run, usual_law
from cuvee.simulate.run_score import score_runs
from tests.simulate.worlds import played_plainly

RUNS = Path(__file__).parents[3] / "shared" / "data" / "engine_runs"
NAMES = ("RTX4090_Llama-3.1-8B", "RTXPRO6000_Qwen3-32B")

META = {
    "model": "meta-llama/Llama-3.1-8B",
    "vllm_version": "0.19.0",
    "engine_kwargs": {"tensor_parallel_size": 1, "max_num_seqs": 64, "max_num_batched_tokens": 1024},
    "kv_cache": {"num_gpu_blocks": 3001, "block_size": 16, "enable_prefix_caching": True},
    "hardware": {"device_name": "NVIDIA GeForce RTX 4090"},
}
ROW = dict(zip(COLUMNS, (100, 10, 5e8, 20.0, 20.0, 20.1, 20.5), strict=True))


PAGE = Path(__file__).parents[2] / "docs" / "simulator-accuracy.md"
LABELS = {"TTFT": "ttft", "TPOT": "tpot", "end to end": "e2e"}

with_real_runs = pytest.mark.skipif(not RUNS.is_dir(), reason="real runs are not in ../shared/data/engine_runs")


@cache
def real_score(name, fit):
    """How far the simulator is from a real run."""
    (score,) = score_runs(read_runs(RUNS / name), fit)
    return score


def written(folder, meta=META, rows=(ROW,)):
    """A folder with a run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    (folder / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def changed(**others):
    """`META` with other fields; None takes one away."""
    return {name: value for name, value in {**META, **others}.items() if value is not None}


def plain_rows(law, arrival_s, prompt, answer, cold_start_s=0.0):
    """Requests as an engine of `law` answers them, by the plain twin, on a wall clock and an engine's clock."""
    requests, _ = played_plainly([law], arrival_s + cold_start_s, prompt, answer, [0], lambda _index, _request: 0)
    return [
        dict(
            zip(
                COLUMNS,
                (int(p), int(a), 1.7e9 + t, 50.0 + t, 50.0 + t, 50.0 + each.first_s, 50.0 + each.finish_s),
                strict=True,
            )
        )
        for each, t, p, a in zip(requests, arrival_s, prompt, answer, strict=True)
    ]


@with_real_runs
@pytest.mark.parametrize("name", NAMES)
def test_half_of_a_real_run_tells_the_other_half_within_3_percent(name):
    """Mean, p50, p90 and p99 of TTFT, TPOT and end to end of requests that nothing was fitted on."""
    score = real_score(name, "half")
    assert score.num_scored == 150
    assert len(score.statistics) == 12
    assert abs(score.worst.error) <= 0.03, score.worst
    assert score.mean_error <= 0.01


@with_real_runs
@pytest.mark.parametrize("name", NAMES)
def test_nothing_fitted(name):
    """Step times of the throughput model, whose constants of vLLM 0.19 were read off these very runs: within 6 and 3 %.

    Before the constants, scheduling ahead and cache that is found again: 28 and 9 %.
    """
    score = real_score(name, "none")
    assert score.num_scored == 300
    assert abs(score.worst.error) <= (0.06 if name == NAMES[0] else 0.03), score.worst
    assert score.mean_error <= 0.03


@with_real_runs
@pytest.mark.parametrize("fit", ["half", "none"])
def test_the_page_states_these_errors(fit):
    """Every figure of the tables of docs/simulator-accuracy.md, to half a percent point."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index({"half": "Five coefficients fitted", "none": "Nothing fitted, all"}[fit]) :]
    rows = re.findall(r"^\| (RTX\w+) \| ([\w ]+) \| (.*) \|$", table, re.MULTILINE)[:6]
    assert len(rows) == 6
    for run, label, cells in rows:
        score = real_score(next(name for name in NAMES if name.startswith(f"{run}_")), fit)
        *stated, request = (float(cell.split()[0]) for cell in cells.split(" | "))
        errors = [each.error * 100 for each in score.statistics if each.quantity == LABELS[label]]
        assert errors == pytest.approx(stated, abs=0.5)
        assert score.per_request[LABELS[label]] * 100 == pytest.approx(request, abs=0.5)


@with_real_runs
def test_what_a_run_says_of_itself():
    """The RTX 4090 states its blocks, one of which no sequence gets; the RTX PRO 6000 states neither GPU nor cache."""
    first, second = read_runs(RUNS)
    assert (first.setup.gpu.name, first.setup.gpu_from, first.setup.cache_tokens) == (
        "RTX4090", "from the file", 2587 * 16,
    )  # fmt: skip
    assert (second.setup.gpu.name, second.setup.cache_tokens) == ("RTXPRO6000-Server", None)
    assert second.setup.gpu_from == "from the name of the folder"
    assert second.setup.config.parallel_label == "TP2"
    assert [run.setup.engine.max_num_seqs for run in (first, second)] == [256, 128]
    assert first.setup.engine.schedules_ahead
    assert first.setup.engine.reuses_cache


@pytest.mark.parametrize(
    ("number", "gap_s", "blocks"), [(60, 0.02, 401), (300, 0.15, 3001)], ids=["the cache fills", "light load"]
)
def test_known_coefficients_are_found_again(tmp_path, number, gap_s, blocks):
    """A run that the plain twin made with other step times than the model's: the fit finds what those amount to.

    Single coefficients are told apart only as far as the run does: what a step costs is, within 6 %.
    """
    rng = np.random.default_rng(5)
    arrival_s = np.cumsum(rng.exponential(gap_s, number))
    prompt, answer = rng.integers(50, 900, number), rng.integers(20, 90, number)
    meta = changed(kv_cache={"num_gpu_blocks": blocks, "block_size": 16})
    bare = read_runs(written(tmp_path / "bare", meta, plain_rows_of_nothing(arrival_s, prompt, answer)))[0]
    law = Coefficients(fixed=1.2, token=0.8, sequence=1.3, attended=1.5).applied(usual_law(bare))
    run = read_runs(written(tmp_path / "made", meta, plain_rows(law, arrival_s, prompt, answer)))[0]
    same = play_run(run, law, run.arrival_s[None])
    assert same.latencies.of("e2e") == pytest.approx(measured_latencies(run).of("e2e"), abs=1e-5)
    assert (same.preemptions > 0) == (blocks == 401)
    (score,) = score_runs([run], "half")
    assert abs(score.worst.error) <= 0.03, score.worst
    (unfitted,) = score_runs([run])
    assert abs(unfitted.worst.error) > 0.05, "tempting: a run on which nothing needs to be fitted"
    assert score.coefficients is not None
    costs, expected = StepCosts.of(score.coefficients.applied(usual_law(run)), 20), StepCosts.of(law, 20)
    for prompt_tokens in (0, 800):
        found_s, true_s = (
            each.fixed_s + each.prompt_token_s * prompt_tokens + each.sequence_s * 20 + each.attended_token_s * 10_000
            for each in (costs, expected)
        )
        assert found_s == pytest.approx(true_s, rel=0.06)


def plain_rows_of_nothing(arrival_s, prompt, answer):
    """Requests that took no time: only their lengths and arrivals count."""
    return [
        dict(zip(COLUMNS, (int(p), int(a), t, t, t, t, t), strict=True))
        for t, p, a in zip(arrival_s, prompt, answer, strict=True)
    ]


def test_a_cold_start_is_found(tmp_path):
    """An engine whose first step takes half a second longer: the first request tells, and the others are not fitted."""
    arrival_s = np.arange(40) * 3.0
    lengths = np.full(40, 200), np.full(40, 20)
    bare = read_runs(written(tmp_path / "bare", rows=plain_rows_of_nothing(arrival_s, *lengths)))[0]
    rows = plain_rows(usual_law(bare), arrival_s, *lengths)
    for name in COLUMNS[5:]:
        rows[0][name] += 0.5
    run = read_runs(written(tmp_path / "made", rows=rows))[0]
    found = fit_law(run, usual_law(run), np.arange(40) % 2 == 0)
    assert found.cold_start_s == pytest.approx(0.5, abs=1e-3)
    assert found.fixed == pytest.approx(1.0, abs=0.02)


def test_the_same_run_is_scored_the_same(tmp_path):
    """Nothing is drawn at random: two scores are equal to the last bit."""
    rng = np.random.default_rng(0)
    arrival_s = np.cumsum(rng.exponential(0.1, 20))
    lengths = rng.integers(50, 300, 20), rng.integers(5, 20, 20)
    bare = read_runs(written(tmp_path / "bare", rows=plain_rows_of_nothing(arrival_s, *lengths)))[0]
    run = read_runs(written(tmp_path / "made", rows=plain_rows(usual_law(bare), arrival_s, *lengths)))[0]
    one, two = (score_runs([run], "half")[0] for _ in range(2))
    assert (one.statistics, one.coefficients) == (two.statistics, two.coefficients)


def test_a_simplex_finds_the_lowest_point():
    """A bowl whose axes are not those of the search, from a start far away."""
    point, value = lowest(lambda at: float((at[0] - 1) ** 2 + 3 * (at[1] + at[0]) ** 2), np.zeros(2), np.full(2, 0.1))
    assert point == pytest.approx([1, -1], abs=0.01)
    assert value < 1e-4


def test_requests_in_any_order_and_without_answers(tmp_path):
    """Lines are sorted by arrival; a request without an answer is left out and counted."""
    late = {**ROW, **{name: ROW[name] + 2 for name in COLUMNS[2:]}}
    run = read_runs(written(tmp_path, rows=(late, {**ROW, "last_token_ts": None}, ROW)))[0]
    assert run.arrival_s.tolist() == [0.0, 2.0]
    assert (run.num_requests, run.left_out) == (2, 1)
    assert run.last_s[0] == pytest.approx(0.5)


def test_arrival_is_on_the_engines_clock(tmp_path):
    """Two clocks: who the engine knew soonest, it knew at once; the other waited 0.3 s until the step ended."""
    second = {**ROW, "arrival_time": 5e8 + 1, "queued_ts": 21.3, "scheduled_ts": 21.3, "first_token_ts": 22.0,
              "last_token_ts": 23.0}  # fmt: skip
    run = read_runs(written(tmp_path, rows=(ROW, second)))[0]
    assert run.arrival_s == pytest.approx([0.0, 1.0])
    assert measured_latencies(run).of("ttft") == pytest.approx([0.1, 1.0])


def test_arrivals_are_moved_within_a_step(tmp_path):
    """By less than half a step, in order, never before the first; a long run is played once, as it is."""
    rows = plain_rows_of_nothing(np.arange(20) * 0.004, np.full(20, 5), np.full(20, 5))
    run = read_runs(written(tmp_path / "short", rows=rows))[0]
    moved = arrivals_within_a_step(run, 0.01)
    assert moved.shape == (8, 20)
    assert (abs(moved - run.arrival_s) <= 0.005).all()
    assert (np.diff(moved, axis=1) >= 0).all()
    assert len(np.unique(moved[:, 10])) == 8
    long = read_runs(written(tmp_path / "long", rows=rows * 600))[0]
    assert (arrivals_within_a_step(long, 0.01) == long.arrival_s).all()


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"engine_kwargs": {"data_parallel_size": 2, "max_num_seqs": 64}}, ("TP1", 2, 64)),
        (
            {"model": "Qwen/Qwen3-30B-A3B", "engine_kwargs": {
                "data_parallel_size": 2, "enable_expert_parallel": True, "max_num_seqs": 64,
            }},
            ("TP2", 1, 128),
        ),
    ],
    ids=["ranks of their own", "ranks that share experts"],
)  # fmt: skip
def test_data_parallel_ranks(tmp_path, meta, expected):
    """Ranks of a dense model are replicas behind one queue; those that share experts step together, as one."""
    setup = read_runs(written(tmp_path, changed(**meta)))[0].setup
    assert (setup.config.parallel_label, setup.num_replicas, setup.engine.max_num_seqs) == expected
    assert setup.cache_tokens == 3000 * 16 * (2 // setup.num_replicas)


def test_what_is_stated_goes_before_the_file(tmp_path):
    """GPU, model and precision of the command line."""
    setup = read_runs(written(tmp_path), gpu="H100", model="qwen3-8b", precision="fp8")[0].setup
    assert (setup.gpu.name, setup.gpu_from, setup.model.name) == ("H100-SXM", "as stated", "qwen3-8b")
    assert setup.config.precision == "fp8"


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (changed(hardware={"device_name": "Abacus 3000"}), ("Abacus 3000", "--gpu")),
        (changed(hardware=None), ("no hardware.device_name", "--gpu")),
        (changed(model="nobody/knows-this"), ("nobody/knows-this", "--model")),
        (changed(model=None), ("no model", "--model")),
        (changed(model="/etc/passwd"), ("/etc/passwd", "--model")),
        (changed(model=["a"]), ("no model", "--model")),
        (changed(engine_kwargs={"tensor_parallel_size": 0}), ("tensor_parallel_size", "1 to")),
        (changed(engine_kwargs={"max_num_seqs": "many"}), ("max_num_seqs", "whole number")),
        (changed(engine_kwargs={"max_num_seqs": 64, "max_num_batched_tokens": 32}), ("max_num_batched_tokens", "64")),
        (changed(engine_kwargs={"pipeline_parallel_size": 99}), ("pipeline_parallel_size", "32 layers")),
        (changed(engine_kwargs={"quantization": "magic"}), ("magic", "--precision")),
        (changed(kv_cache={"num_gpu_blocks": -4}), ("num_gpu_blocks", "whole number")),
        ([1, 2], ("a list", "JSON object")),
    ],
)
def test_a_meta_file_that_cannot_be_used(tmp_path, meta, words):
    """Three parts: what arrived, what was expected, and which option states it."""
    with pytest.raises(InputError) as error:
        read_runs(written(tmp_path / "run", meta))
    assert all(word in str(error.value) for word in (*words, "to do:")), error.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("no requests",)),
        ("\n\n", ("no requests",)),
        ("{", ("jsonl:1", "not JSON")),
        ("[" * 100_000, ("jsonl:1", "nested too deeply")),
        ("7\n", ("jsonl:1", "a number")),
        (json.dumps({"input_toks": 1}), ("jsonl:1", "output_toks", "last_token_ts")),
        (json.dumps({**ROW, "input_toks": 1.5}), ("input_toks", "whole number")),
        (json.dumps({**ROW, "output_toks": -1}), ("output_toks", "whole number")),
        (json.dumps({**ROW, "input_toks": 10**12}), ("input_toks", "whole number")),
        (json.dumps({**ROW, "queued_ts": "NaN"}), ("queued_ts", "a number")),
        (json.dumps({**ROW, "arrival_time": float("inf")}), ("arrival_time", "a number")),
        (json.dumps({**ROW, "arrival_time": 1e300}), ("arrival_time", "within")),
        (json.dumps(ROW) + "\n" + json.dumps({**ROW, "arrival_time": 1e6}), ("differs by 499,000,000 s", "one clock")),
        (json.dumps({**ROW, "first_token_ts": 19.0}), ("first_token_ts", "before scheduled_ts")),
        (json.dumps({**ROW, "last_token_ts": None}), ("none with an answer",)),
        ('{"input_toks": 1' + "0" * 5000 + "}", ("jsonl:1", "digits")),
    ],
)
def test_requests_that_cannot_be_used(tmp_path, text, words):
    """The message names the line."""
    folder = written(tmp_path / "run")
    (folder / "requests.jsonl").write_text(text)
    with pytest.raises(InputError) as error:
        read_runs(folder)
    assert all(word in str(error.value) for word in (*words, "to do:")), error.value


def test_folders_that_hold_no_run(tmp_path):
    """No such folder, an empty one, and one with requests alone."""
    (tmp_path / "empty").mkdir()
    only = written(tmp_path / "only")
    (only / "meta.json").unlink()
    for folder, word in ((tmp_path / "none", "no such folder"), (tmp_path / "empty", "requests.jsonl"),
                         (only, "no meta.json")):  # fmt: skip
        with pytest.raises(InputError, match=word):
            read_runs(folder)


def test_runs_that_cannot_be_played(tmp_path):
    """A request larger than the cache; too few requests to fit on half; a fit that nobody knows."""
    run = read_runs(written(tmp_path / "run", changed(kv_cache={"num_gpu_blocks": 5, "block_size": 16})))[0]
    with pytest.raises(InputError, match="a cache of 64"):
        score_runs([run])
    run = read_runs(written(tmp_path / "run"))[0]
    with pytest.raises(InputError, match="at least 20"):
        score_runs([run], "half")
    with pytest.raises(InputError, match="one of none, half"):
        score_runs([run], "all")
