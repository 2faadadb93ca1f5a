"""`cuvee plan`: what it prints, what --json prints, what it saves."""

import json
import re
from pathlib import Path

import pytest

from cuvee.plan.outcome.files import load_plan
from cuvee.plan.scenario.scenario import load_scenario

FAST = ("--gap", "0.1")


def decisions(text: str) -> dict[str, object]:
    """What a Plan file decides, without the time it took and where it came from."""
    plan = json.loads(text)
    return {key: plan[key] for key in ("groups", "assignment", "objective", "cost_usd_per_hour", "rate_req_per_s")}


def test_no_arguments_plan_on_embedded_data(cuvee):
    """Llama-3 70B, trace 2's mix, stock "Avail 1" and 30 $/h; all five parts are printed.

    It takes seconds, and yet nothing is on stderr, which is no terminal.
    """
    result = cuvee("plan", *FAST)
    assert (result.code, result.err) == (0, "")
    for words in ("llama-3-70b", "paper-trace-2", "paper-avail-1 (prices of 2024)", "$/h of 30.00", "✓", "w9",
                  "against the best of one GPU type", "no plan beats", "rates: "):  # fmt: skip
        assert words in result.out


@pytest.mark.parametrize("as_json", [False, True])
def test_the_scenario_file_is_planned_from_any_folder(cuvee, small, monkeypatch, as_json):
    """Its paths are relative to where it stands, not to the working folder."""
    here = cuvee("plan", "scenario.yaml", "--json")
    (small / "elsewhere").mkdir()
    monkeypatch.chdir(small / "elsewhere")
    there = cuvee("plan", "../scenario.yaml", *(["--json"] if as_json else []))
    assert there.code == 0
    if as_json:
        assert decisions(there.out) == decisions(here.out)


def test_flags_alone_plan_anything(cuvee, small):
    """Model, mix, offers, budget and objective without a file."""
    result = cuvee(
        "plan", "-m", "llama-3-8b", "--mix", "mix.csv", "--offers", "offers.csv", "--budget", "5",
        "--objective", "cost", "--rate", "1", "--json",
    )  # fmt: skip
    plan = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert plan["objective_name"] == "cost"
    assert plan["cost_usd_per_hour"] <= 5


def test_flags_change_single_fields_of_a_scenario(cuvee, small):
    """The file's other fields stay."""
    plan = json.loads(cuvee("plan", "scenario.yaml", "--budget", "1.2", "--set", "limits.max_gpus.A40=1", "--json").out)
    assert plan["cost_usd_per_hour"] <= 1.2
    assert [entry["model"]["name"] for entry in plan["inputs"]["problem"]["models"]] == ["llama-3-8b"]
    assert sum(group["copies"] for group in plan["groups"]) == 1


def test_several_models_share_the_requests(cuvee, small):
    """--model NAME=SHARE, once per model."""
    result = cuvee(
        "plan", "-m", "llama-3-8b=0.8", "-m", "qwen3-8b=0.2", "--mix", "mix.csv", "--offers", "offers.csv", "--json"
    )
    rows = json.loads(result.out)["assignment"]
    total = {name: sum(row["demand_req_per_s"] for row in rows if row["model"] == name) for name in
             ("llama-3-8b", "qwen3-8b")}  # fmt: skip
    assert result.code == 0
    assert total["llama-3-8b"] == pytest.approx(4 * total["qwen3-8b"])


@pytest.mark.parametrize("models", [(), ("-m", "llama-3-8b")])
def test_precision_holds_with_and_without_a_model(cuvee, small, models):
    """--precision changes the scenario's models where no --model names others."""
    plan = json.loads(cuvee("plan", "scenario.yaml", *models, "--precision", "fp8", "--json").out)
    assert {group["precision"] for group in plan["groups"]} == {"fp8"}


def test_several_precisions_are_a_choice(cuvee, small):
    """Each group says which it runs, and the table says whose judgement quality is."""
    asked = ("plan", "scenario.yaml", "--precision", "bf16,fp8")
    record = json.loads(cuvee(*asked, "--json").out)
    assert {group["precision"] for group in record["groups"]} <= {"bf16", "fp8"}
    assert record["inputs"]["problem"]["models"][0]["precision"] == ["bf16", "fp8"]
    alone = json.loads(cuvee("plan", "scenario.yaml", "--precision", "bf16", "--json").out)
    assert record["rate_req_per_s"] > alone["rate_req_per_s"]
    out = cuvee(*asked).out
    assert "TP1 fp8" in out
    assert "precision of the weights; that all answer well enough is for you to judge" in out


def test_json_is_the_plan_file(cuvee, small):
    """It parses, says its version first, holds the plan, and reads back."""
    result = cuvee("plan", "scenario.yaml", "--json")
    record = json.loads(result.out)
    assert next(iter(record)) == "schema_version"
    promised = {"termination", "bound", "gap", "rate_req_per_s", "cost_usd_per_hour", "groups", "assignment",
                "machines", "runners_up", "inputs", "cuvee_version"}  # fmt: skip
    assert promised <= set(record)
    (small / "plan.json").write_text(result.out)
    assert load_plan(small / "plan.json").has_plan
    checked = cuvee("check", "plan.json")
    assert checked.code == 0
    assert checked.out.startswith("ok: ")


def test_json_stays_json_beside_save_dir(cuvee, small):
    """What was written where is said on stderr, so that stdout can be piped."""
    result = cuvee("plan", "scenario.yaml", "--json", "--save-dir", "out")
    assert json.loads(result.out)
    assert result.err == "written to out: plan.json, scenario.yaml, plan.txt\n"


def test_save_dir_holds_plan_scenario_and_table(cuvee, small):
    """The table is what was printed, and the Plan file is a plan."""
    result = cuvee("plan", "scenario.yaml", "--save-dir", "a/b")
    saved = small / "a" / "b"
    assert {path.name for path in saved.iterdir()} == {"plan.json", "scenario.yaml", "plan.txt"}
    assert (saved / "plan.txt").read_text() == result.out
    assert load_plan(saved / "plan.json").has_plan


def test_a_saved_table_has_no_colour(cuvee, small, monkeypatch):
    """Even where colour is forced on the terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    cuvee("plan", "scenario.yaml", "--save-dir", "out")
    assert "\x1b" not in (small / "out" / "plan.txt").read_text()


ASKED = {
    "scenario file": ["scenario.yaml"],
    "flags with paths": ["-m", "[red]m", "--trace", "t.csv", "--types", "2", "--offers", "offers.csv"],
    "mix by name": ["-m", "llama-3-8b", "--mix", "trace-1", "--offers", "./offers.csv", "--budget", "2"],
    "settings": ["scenario.yaml", "--set", "limits.max_gpus.A40=1", "--set", "engine=sglang"],
    "shares": ["-m", "llama-3-8b=0.25", "-m", "qwen3-8b=0.75", "--mix", "mix.csv", "--offers", "offers.csv"],
    "cost": ["scenario.yaml", "--objective", "cost", "--rate", "0.5"],
    "catalogue names beside folders of the same name": ["-m", "qwen3-8b", "--offers", "paper-avail-2"],
}


@pytest.fixture
def crowded(small: Path) -> Path:
    """`small` with a trace, a model of one's own, and folders named like things of the catalogue."""
    rows = [f"{100 + 7 * number % 900},{10 + 3 * number % 90},{number}" for number in range(50)]
    (small / "t.csv").write_text("\n".join(["input_tokens,output_tokens,arrival_s", *rows]))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
        "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
    }  # fmt: skip
    for name in ("[red]m", "qwen3-8b", "paper-avail-2", "trace-1"):
        (small / name).mkdir()
        (small / name / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 30}))
    return small


@pytest.mark.parametrize("arguments", ASKED.values(), ids=ASKED)
def test_the_saved_scenario_gives_the_same_plan_from_anywhere(cuvee, crowded, monkeypatch, tmp_path, arguments):
    """Files named on the command line relative to the working folder are found again, from another folder."""
    common = ("--gap", "0", "--set", "search.max_pipeline_stages=1", "--set", "search.max_mixed_stages=0", "--json")
    first = cuvee("plan", *arguments, *common, "--save-dir", "deep/out")
    assert first.code == 0, first.err
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    again = cuvee("plan", "../deep/out/scenario.yaml", "--json")
    assert again.code == 0, again.err
    assert decisions(again.out) == decisions(first.out)


def test_a_missing_trace_of_a_scenario_is_named_where_it_should_stand(cuvee, small):
    """Not where the command happened to run."""
    (small / "sub").mkdir()
    (small / "sub" / "s.yaml").write_text("trace: gone.csv\n")
    result = cuvee("plan", "sub/s.yaml")
    assert result.code == 2
    assert "error: sub/gone.csv: no such file" in result.err


@pytest.mark.parametrize("options", [["--budget", "0.1"], ["--objective", "cost", "--rate", "1e6"]])
@pytest.mark.parametrize("as_json", [False, True])
def test_an_infeasible_plan_says_what_binds_and_helps_and_exits_with_1(cuvee, small, options, as_json):
    """The answer stands on stdout; nothing is on stderr."""
    result = cuvee("plan", "scenario.yaml", *options, *(["--json"] if as_json else []))
    assert (result.code, result.err) == (1, "")
    if as_json:
        record = json.loads(result.out)
        assert record["termination"] == "infeasible"
        assert record["message"]
    else:
        assert "infeasible: the limits bind" in result.out


def test_the_change_that_an_infeasible_plan_names_does_help(cuvee, small):
    """The budget in its message gives a plan."""
    message = json.loads(cuvee("plan", "scenario.yaml", "--budget", "0.1", "--json").out)["message"]
    enough = message.split("--budget ")[1].rstrip(")")
    assert cuvee("plan", "scenario.yaml", "--budget", enough).code == 0


def test_a_scenario_is_saved_with_every_default(cuvee, small):
    """The file that is written says everything the plan depends on, and is a scenario."""
    cuvee("plan", "scenario.yaml", "--save-dir", "out")
    text = (small / "out" / "scenario.yaml").read_text()
    assert "relative_gap" in text
    assert "engine: vllm" in text
    assert load_scenario(small / "out" / "scenario.yaml").budget_usd_per_hour == 3


def test_pessimism_alone_is_the_whole_band(cuvee, small):
    """`--pessimism` is `--pessimism 1`, also before the scenario's name; both promise less than half of the band."""

    def rate(*arguments: str) -> float:
        result = cuvee("plan", *arguments, "--json")
        assert result.code == 0, result.err
        return float(json.loads(result.out)["rate_req_per_s"])

    whole = rate("scenario.yaml", "--pessimism", "1")
    assert whole == rate("--pessimism", "scenario.yaml") == rate("scenario.yaml", "--pessimism")
    assert whole < rate("scenario.yaml", "--pessimism", "0.5") < rate("scenario.yaml")


def test_the_printed_plan_says_that_rates_are_lowered(cuvee, small):
    """By how much, and how many by a stand-in: no public figure covers an A40."""
    assert "pessimism" not in cuvee("plan", "scenario.yaml").out
    printed = cuvee("plan", "scenario.yaml", "--pessimism", "0.5").out
    assert "pessimism: each rate is lowered by 50% of its error band" in printed


def test_stress_is_printed_kept_and_saved(cuvee, small):
    """--stress N prints a panel, puts its figures into the plan's file and its number into the saved scenario."""
    result = cuvee("plan", "scenario.yaml", "--stress", "50", "--save-dir", "kept")
    assert result.code == 0
    assert "Under 50 draws of errors and losses (seed 0)" in result.out
    plan = load_plan("kept/plan.json")
    assert plan.stress is not None
    assert plan.stress.num_draws == 50
    assert load_scenario("kept/scenario.yaml").caution.stress_draws == 50
    again = json.loads(cuvee("plan", "kept/scenario.yaml", "--json").out)
    assert again["stress"]["rebalanced"]["whole_chance"] == plan.stress.rebalanced.whole_chance
    assert "proof, sources, draws" in cuvee("check", "kept/plan.json").out


def test_no_stress_unless_asked(cuvee, small):
    """Without the option nothing is drawn, and --stress 0 takes back what a scenario asks for."""
    assert json.loads(cuvee("plan", "scenario.yaml", "--json").out)["stress"] is None
    asked = ("plan", "scenario.yaml", "--set", "caution.stress_draws=20", "--json")
    assert json.loads(cuvee(*asked).out)["stress"]["num_draws"] == 20
    assert json.loads(cuvee(*asked, "--stress", "0").out)["stress"] is None


def test_a_robust_plan_says_what_its_worst_draw_sustains(cuvee, small):
    """--robust N: the worst of N draws is printed, is what the proof is about, and `check` draws it again."""
    result = cuvee("plan", "scenario.yaml", "--robust", "4", "--save-dir", "kept")
    plan = load_plan("kept/plan.json")
    assert result.code == 0
    assert plan.worst_draw_req_per_s == plan.objective < plan.rate_req_per_s
    assert f"in the worst of 4 draws it sustains {plan.objective:.2f} req/s, by which it is compared here" in result.out
    assert "in its worst draw" in result.out
    assert "robust: best in the worst of 4 draws" in result.out
    assert load_scenario("kept/scenario.yaml").caution.robust_draws == 4
    assert "proof, sources, draws" in cuvee("check", "kept/plan.json").out


def test_what_reckons_with_estimates_alone_says_so(cuvee, small):
    """A frontier of robust plans is refused, with what to do; a comparison leaves out ways that ignore the draws."""
    refused = cuvee("frontier", "scenario.yaml", "--robust", "4")
    assert refused.code == 2
    assert "leave out --robust" in refused.err
    compared = cuvee("compare", "scenario.yaml", "--robust", "4").out
    assert "in the worst of 4 draws" in compared
    assert "greedy" not in compared
    assert "greedy" in cuvee("compare", "scenario.yaml").out


def test_phases_apart_are_allowed_by_a_flag(cuvee, small):
    """With a fast link RTX 4090 prefill for A40 that decode; the gain is printed, and the file passes `check`."""
    (small / "scenario.yaml").write_text(
        "models: [llama-3-8b]\nmix: trace-3\nbudget_usd_per_hour: 3\nnetwork_gbit_per_s: 400\n"
        "limits: {max_gpus: {H100-SXM: 0, A100-80GB-SXM: 0, A6000: 0, L40: 0}}\n"
        "search: {max_pipeline_stages: 1, max_mixed_stages: 0}\n"
    )
    result = cuvee("plan", "scenario.yaml", "--disaggregate", "--save-dir", "out")
    assert (result.code, result.err[:10]) == (0, "written to")
    assert "prefill and decode apart: +" in result.out
    assert re.search(r"RTX4090 +TP1, prefill", result.out)
    assert re.search(r"A40 +TP1, decode", result.out)
    assert "phases" in cuvee("check", "out/plan.json").out
    assert load_scenario(small / "out" / "scenario.yaml").disaggregate


@pytest.mark.parametrize(
    "arguments", [("frontier",), ("periods",), ("explain", "--shadow-prices"), ("explain", "--only", "A40")]
)
def test_commands_that_know_no_phases_say_so(cuvee, small, arguments):
    """What reckons with whole replicas alone refuses, before anything is solved."""
    result = cuvee(*arguments[:1], "scenario.yaml", *arguments[1:], "--disaggregate")
    assert result.code == 2
    assert "prefill and decode apart" in result.err
    assert "--disaggregate" in result.err


def test_ctrl_c_before_the_solver_has_anything(cuvee, small, monkeypatch):
    """The greedy plan is printed, with the bound that prices prove; the exit code says that it was interrupted."""
    import signal

    # To this thread: a signal to the process may reach another one first, and the solver would go on meanwhile.
    monkeypatch.setattr("cuvee.plan.search.search.price", lambda *_, **__: signal.raise_signal(signal.SIGINT))
    result = cuvee("plan", "scenario.yaml")
    assert (result.code, result.err) == (130, "interrupted\n")
    assert "feasible, stopped by Ctrl-C before it was proven optimal: no plan beats" in " ".join(result.out.split())


def test_a_time_limit_is_named(cuvee, small, monkeypatch):
    """In print and as data; there is a plan all the same."""
    monkeypatch.setattr("cuvee.plan.solver.program.LEAST_S", 1e-9)
    result = cuvee("plan", "scenario.yaml", "--time-limit", "1e-6")
    record = json.loads(cuvee("plan", "scenario.yaml", "--time-limit", "1e-6", "--json").out)
    assert (result.code, result.err) == (0, "")
    assert "feasible, stopped by the time limit of 1e-06 s before it was proven" in " ".join(result.out.split())
    assert (record["termination"], record["stopped_by"]) == ("feasible", "time_limit")
    assert record["gap"] >= 0


def test_without_a_solver_the_remedy_is_named(cuvee, small, monkeypatch):
    """As any error: exit code 2, no traceback."""
    import sys

    monkeypatch.setitem(sys.modules, "highspy", None)
    result = cuvee("plan", "scenario.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: there is no solver: highspy cannot be imported")
    assert "to do: pip install --force-reinstall highspy" in result.err
