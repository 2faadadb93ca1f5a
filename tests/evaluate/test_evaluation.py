"""Runs that can be interrupted and continued, and one setting played for real."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import cuvee
from cuvee.errors import InputError
from cuvee.evaluate import evaluation, playing
from cuvee.evaluate.grid import EvaluationOptions, Setting, paper_grid
from cuvee.evaluate.playing import played_burst, run_setting
from cuvee.evaluate.records import SettingResult
from cuvee.evaluate.requests import Requests
from cuvee.evaluate.ways import OURS, Family, Way
from cuvee.plan.explain.baselines import round_robin
from cuvee.plan.planner import plan_prepared
from cuvee.report.evaluation_console import print_evaluation
from cuvee.workload.mixes import load_mix
from cuvee.workload.records import Trace
from tests.evaluate.made_up import outcome, result

SETTINGS = paper_grid()[:3]
REQUESTS = {"trace-1": Requests("trace-1", load_mix("trace-1"))}
OPTIONS = EvaluationOptions()


@pytest.fixture
def made(monkeypatch):
    """Settings that were run, in order: each by a stub."""
    names = []

    def stub(setting, _requests, _options, *, progress):
        progress(setting.name)
        names.append(setting)
        return result(outcome("plan", 4.0), outcome("greedy", 2.0), setting=setting)

    monkeypatch.setattr(evaluation, "run_setting", stub)
    return names


def test_a_finished_file_is_only_read(made, tmp_path):
    """The second time nothing is run, and the results are the same, to the last field."""
    out = tmp_path / "results.jsonl"
    first = evaluation.evaluate(SETTINGS, REQUESTS, OPTIONS, out=out)
    assert made == list(SETTINGS)
    assert evaluation.evaluate(SETTINGS, REQUESTS, OPTIONS, out=out) == first
    assert len(made) == 3


def test_an_interrupted_run_goes_on(made, tmp_path):
    """Ctrl-C while the second runs: the first is kept, the second is made again, and the order is that asked for."""
    out = tmp_path / "results.jsonl"
    answers = iter([False, True])
    partial = evaluation.evaluate(SETTINGS, REQUESTS, OPTIONS, out=out, interrupted=lambda: next(answers))
    assert [each.setting for each in partial] == [SETTINGS[0]]
    evaluation.evaluate(SETTINGS[::-1], REQUESTS, OPTIONS, out=out)
    assert made == [SETTINGS[0], SETTINGS[1], SETTINGS[2], SETTINGS[1]]


def test_traces_may_be_added(made, tmp_path):
    """A file of the mixes goes on with a trace; another trace of that name is not the same requests.

    Nor are those lengths at other times: latencies are of the arrivals that are played.
    """
    out = tmp_path / "results.jsonl"
    evaluation.evaluate(SETTINGS[:1], REQUESTS, OPTIONS, out=out)
    traced = Setting("8b", "mine", 1, 15.0)

    def run(*lengths, arrival_s=None):
        tokens = np.array(lengths)
        trace = Trace("mine", tokens, tokens, None if arrival_s is None else np.array(arrival_s))
        requests = {**REQUESTS, "mine": Requests("mine", load_mix("trace-1"), trace)}
        return evaluation.evaluate([traced, SETTINGS[0]], requests, OPTIONS, out=out)

    assert [each.setting for each in run(10, 20)] == [traced, SETTINGS[0]]
    assert made == [SETTINGS[0], traced]
    with pytest.raises(InputError, match="trace mine"):
        run(10, 30)
    out.unlink()
    run(10, 20, arrival_s=[0.0, 1.0])
    assert len(run(10, 20, arrival_s=[0.0, 1.0])) == 2
    with pytest.raises(InputError, match="trace mine"):
        run(10, 20, arrival_s=[0.0, 2.0])


def test_long_requests_of_a_trace_are_cut():
    """To 8,192 tokens of Llama-3, the answer first: or no fleet would serve the type they make."""
    tokens = np.array([100, 8000, 20_000])
    cut = evaluation.within_context(Trace("t", tokens, np.array([100, 1000, 10])))
    assert cut.input_tokens.tolist() == [100, 8000, 8191]
    assert cut.output_tokens.tolist() == [100, 192, 1]
    assert cut.notes == ("requests cut to 8,192 tokens: 2",)


def test_interrupted_before_a_plan(made, tmp_path):
    """A KeyboardInterrupt of the progress ends the run with what it has; one that nobody asked for goes on."""

    def interrupt(_text):
        raise KeyboardInterrupt

    assert evaluation.evaluate(SETTINGS, REQUESTS, OPTIONS, progress=interrupt, interrupted=lambda: True) == []
    with pytest.raises(KeyboardInterrupt):
        evaluation.evaluate(SETTINGS, REQUESTS, OPTIONS, progress=interrupt)


def test_time_left_is_told(made):
    """10 s a setting: 20 s are left after the first of three."""
    ticks, lines = iter(range(0, 100, 10)), list[str]()
    evaluation.evaluate(SETTINGS, REQUESTS, OPTIONS, keep=lines.append, clock=lambda: next(ticks))
    assert [line.split("; ")[1] for line in lines] == ["20 s left", "10 s left", "0 s left"]


@pytest.mark.parametrize("change", ["options", "code", "not json", "not ours", "cut short"])
def test_results_of_something_else_are_refused(made, tmp_path, change):
    """Other options or code cannot be compared; a file that is not one of results is not written over."""
    out = tmp_path / "results.jsonl"
    evaluation.evaluate(SETTINGS[:1], REQUESTS, OPTIONS, out=out)
    options = replace(OPTIONS, seed=1) if change == "options" else OPTIONS
    lines = out.read_text().splitlines()
    if change == "code":
        lines[0] = json.dumps({**json.loads(lines[0]), "code": "other"})
    elif change == "not json":
        lines = ["hello"]
    elif change == "not ours":
        lines = ["[]"]
    elif change == "cut short":
        lines[1] = lines[1][:-20]
    out.write_text("\n".join(lines))
    before = out.read_text()
    with pytest.raises(InputError):
        evaluation.evaluate(SETTINGS, REQUESTS, options, out=out)
    assert out.read_text() == before


def test_records_survive_json():
    """What is written is read back equal."""
    first = result(outcome("plan", 4.0), outcome("greedy", 0.0, planned=0.0))
    assert SettingResult.of(json.loads(json.dumps(first.record()))) == first


def test_requests_that_no_replica_holds_are_counted():
    """An RTX 4090 holds 26,000 tokens: of 1,000 requests those of 100,000 are counted, and the rate is of the others.

    Tempting: to give them to the last replica, whose index -1 is; then the group never ends, and serves nothing.
    """
    mix = cuvee.Demand((cuvee.WorkloadType("brief", 1000, 50),), (1.0,))
    limits = cuvee.Limits(0.54, max_gpus={"A40": 0, "A6000": 0})
    problem = cuvee.PlanProblem(
        (cuvee.ModelDemand(cuvee.load_model("llama-3.1-8b"), mix),), cuvee.load_offers("paper-avail-1"), limits
    )
    plan, shares = cuvee.plan(problem), {"llama-3.1-8b": 1.0}
    way, options = Way(OURS, Family.OURS, plan), EvaluationOptions(most_requests=1000)
    prompt = np.array([1000] * 9 + [100_000])
    found = played_burst(way, Requests("t", mix, Trace("t", prompt, np.full(10, 50))), shares, options)
    assert 50 < found.num_unserved < 150
    alone = played_burst(way, Requests("t", mix, Trace("t", prompt[:1], np.full(1, 50))), shares, options)
    assert alone.num_unserved == 0
    assert found.serves
    assert found.played_req_per_s == pytest.approx(alone.played_req_per_s, rel=0.05)
    none = played_burst(way, Requests("t", mix, Trace("t", prompt[9:], np.full(1, 50))), shares, options)
    assert (none.serves, none.num_unserved) == (False, 1000)
    printed = io.StringIO()
    print_evaluation([result(found)], 1, Console(width=200, file=printed))
    assert f"{found.num_unserved} requests that no replica holds" in printed.getvalue()


def test_one_setting_for_real(monkeypatch):
    """Our plan and its fleet in turn, on the same burst and the same arrivals: ours keeps up with 70 % of its rate."""

    def two(prepared):
        ours = plan_prepared(prepared, explain=False)
        yield Way(OURS, Family.OURS, ours)
        yield Way("round-robin", Family.ASSIGNMENT, round_robin(prepared, ours).plan)

    monkeypatch.setattr(playing, "ways", two)
    setting = Setting("8b", "trace-1", 1, 15.0)
    options = EvaluationOptions(horizon_s=300.0, most_requests=20_000)
    found = run_setting(setting, REQUESTS["trace-1"], options)
    ours, turns = found.outcomes
    assert ours.keeps_up
    assert ours.offered_req_per_s == turns.offered_req_per_s == pytest.approx(0.7 * ours.played_req_per_s)
    assert list(ours.e2e_s) == sorted(ours.e2e_s)
    assert ours.played_makespan_s == pytest.approx(max(g.share_of_plan for g in ours.groups) * ours.planned_makespan_s)
    assert ours.planned_req_per_s > turns.planned_req_per_s
    assert abs(ours.error) < 0.5
    assert run_setting(setting, REQUESTS["trace-1"], options).outcomes == found.outcomes
