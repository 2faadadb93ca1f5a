"""Input that cannot be used: exit code 2, three parts on stderr, nothing on stdout, nothing written."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

FAST = ("--gap", "0.1")


def check_refused(result, *words: str) -> None:
    """What arrived, what was expected and what to do; never a traceback."""
    assert result.code == 2, result
    assert result.out == ""
    lines = result.err.splitlines()
    assert lines[0].startswith("error: ")
    assert any(line.startswith("  expected: ") for line in lines)
    assert "Traceback" not in result.err
    assert "bug in cuvee" not in result.err
    for word in words:
        assert word in result.err


HOSTILE_FILES: dict[str, Callable[[Path], object]] = {
    "missing.csv": lambda path: None,
    "empty.csv": lambda path: path.write_bytes(b""),
    "blank.csv": lambda path: path.write_text("\n\n  \n"),
    "binary.csv": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "latin.csv": lambda path: path.write_bytes("gpu,é\n".encode("latin-1")),
    "cut.csv.gz": lambda path: path.write_bytes(gzip.compress(b"gpu,price_usd_per_hour\n" * 999)[:40]),
    "folder.csv": lambda path: path.mkdir(),
    "other.csv": lambda path: path.write_text("a,b\n1,2\n"),
    "quote.csv": lambda path: path.write_text('gpu,"price\n1,2\n'),
    "deep.json": lambda path: path.write_text("[" * 600),
    "list.yaml": lambda path: path.write_text("[]"),
    "text.yaml": lambda path: path.write_text("hello"),
    "broken.yaml": lambda path: path.write_text("a: [1"),
    "tag.yaml": lambda path: path.write_text("models: !!python/object/apply:os.system [ls]"),
    "[bold]x[/].csv": lambda path: path.mkdir(),
    "long" * 100 + ".csv": lambda path: None,
    "new\nline.csv": lambda path: None,
}
FILE_ARGUMENTS = {
    "scenario": ["plan", "{}"],
    "trace": ["plan", "--trace", "{}"],
    "mix": ["plan", "--mix", "{}"],
    "offers": ["plan", "--offers", "{}"],
    "model": ["plan", "-m", "./{}"],
    "throughput": ["plan", "--throughput", "{}"],
    "melange": ["plan", "--melange", "{}"],
    "current fleet": ["plan", "--from", "{}"],
    "check": ["check", "{}"],
    "workload": ["workload", "{}"],
    "list offers": ["offers", "{}"],
    "demand": ["periods", "--demand", "./{}"],
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
@pytest.mark.parametrize("arguments", FILE_ARGUMENTS.values(), ids=FILE_ARGUMENTS)
def test_a_file_that_cannot_be_used_is_refused(cuvee, small, name, arguments):
    """Whatever is wrong with it and whichever argument names it."""
    if "/" in name:
        (small / name).parent.mkdir(parents=True)
    try:
        HOSTILE_FILES[name](small / name)
    except OSError:
        pytest.skip("the file system refuses the name")
    check_refused(cuvee(*(argument.format(name) for argument in arguments)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("arguments", FILE_ARGUMENTS.values(), ids=FILE_ARGUMENTS)
def test_a_file_that_may_not_be_read_is_refused(cuvee, small, arguments):
    """Permissions are a message too."""
    (small / "secret.csv").write_text("x")
    (small / "secret.csv").chmod(0)
    check_refused(cuvee(*(argument.format("secret.csv") for argument in arguments)))


BAD_OPTIONS = [
    *([option, value] for option in ("--budget", "--rate") for value in ("0", "-1", "nan", "inf", "abc", "", "1e999")),
    *(["--types", value] for value in ("0", "-1", "401", "2.5", "9" * 400)),
    *(["--gap", value] for value in ("-1", "1", "nan", "x")),
    *(["--time-limit", value] for value in ("0", "-1", "nan")),
    ["--objective", "fast"],
    ["--objective", "cost"],
    ["--precision", "fp9"],
    ["--precision", "bf16,"],
    ["--precision", "fp8,fp8"],
    ["--engine", "[bold]"],
    ["--engine", ""],
    ["--offers", ""],
    ["--mix", ""],
    ["--trace", ""],
    ["--throughput", ""],
    ["--melange", ""],
    ["--melange", "case.json", "-m", "llama-3-8b"],
    ["--disaggregate", "--melange", "case.json"],
    ["--disaggregate", "--slo", "ttft=1"],
    ["--disaggregate", "--set", "caution.stress_draws=10"],
    ["--offers", "[/]"],
    ["--mix", "trace-9"],
    ["-m", ""],
    ["-m", "=1"],
    ["-m", "[/bold]"],
    ["-m", "lama-3-8b"],
    ["-m", "llama-3-8b="],
    ["-m", "llama-3-8b=nan"],
    ["-m", "llama-3-8b=0"],
    ["-m", "llama-3-8b=1.5"],
    ["-m", "llama-3-8b=0.5", "-m", "llama-3-70b=0.4"],
    ["-m", "llama-3-8b=0.5", "-m", "llama-3-70b"],
    ["-m", "llama-3-8b", "-m", "llama-3-8b"],
    ["-m", "x" * 5000],
    ["-m", "\udcff"],
    ["-m", "模型"],
    ["--types", "5"],
    ["--trace", "t.csv", "--mix", "mix.csv"],
    ["--nonsense"],
    ["one.yaml", "two.yaml"],
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=lambda options: ascii(" ".join(options))[:40])
def test_an_option_that_cannot_be_used_is_refused(cuvee, small, options):
    """Numbers out of range, unknown names, wrong shares, empty and endless texts."""
    check_refused(cuvee("plan", *options))


BAD_SETTINGS = [
    "", "x", "=1", "a.b=1", ".=1", "a..b=1", "limits=3", "limits=null", "limits.max_gpus=3", "limits.max_gpus.A40=-1",
    "limits.max_gpus.A40=x", "limits.max_gpus.A40=[", "models=[]", "models=null", "models.0.model=llama-3-8b",
    "models=[{model: llama-3-8b, foo: 1}]", "budget_usd_per_hour=.nan", "search.max_pipeline_stages=0",
    "search.relative_gap=.nan", "schema_version=2", "network_gbit_per_s=0", "[bold]=1", "spot=maybe",
    "trace_columns={}", "models=!!python/object/apply:os.system [ls]", "limits.max_usd_per_hour_per_gpu.A40=.inf",
    "search.seed=2024-13-45", "search.seed=" + "9" * 5000, "x=" + "[" * 600, "offers.foo=1", "x=\x07",
]  # fmt: skip


@pytest.mark.parametrize("setting", BAD_SETTINGS, ids=lambda setting: repr(setting)[:30])
def test_a_setting_that_cannot_be_used_is_refused(cuvee, small, setting):
    """--set with nonsense on either side."""
    check_refused(cuvee("plan", "scenario.yaml", "--set", setting))


BAD_OFFERS = ["A40,nan", "A40,-1", "A40,0", "A40,inf", "A40,1e9", "A40,", "A40,x", "NoSuchGpu,1", ",1"]


@pytest.mark.parametrize("row", BAD_OFFERS)
@pytest.mark.parametrize("arguments", [["offers", "o.csv"], ["plan", "--offers", "o.csv"]])
def test_prices_that_cannot_be_are_refused(cuvee, small, row, arguments):
    """With file and line."""
    (small / "o.csv").write_text(f"gpu,price_usd_per_hour\n{row}\n")
    check_refused(cuvee(*arguments), "o.csv")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"hidden_size": "x"},
        {"hidden_size": -1, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 9, "intermediate_size": 4},
        {"hidden_size": 1e400, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 9},
        {"model_type": ["[bold]"], "text_config": []},
        [],
        "x",
        None,
    ],
)
def test_a_config_that_is_no_model_is_refused(cuvee, small, config):
    """Whatever its JSON holds."""
    (small / "config.json").write_text(json.dumps(config))
    check_refused(cuvee("plan", "-m", "config.json"), "config.json")


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"schema_version": 2}', '{"schema_version": 1}', '{"schema_version": NaN}']
)
def test_a_plan_file_that_is_none_is_refused(cuvee, small, text):
    """Wrong version, missing fields."""
    (small / "p.json").write_text(text)
    check_refused(cuvee("check", "p.json"), "p.json", "cuvee")


@pytest.mark.parametrize("edges", ["x", "1;2", "nan", "-1", "5,5", "9,3"])
def test_edges_that_part_nothing_are_refused(cuvee, small, edges):
    """For workload --input-edges."""
    (small / "t.csv").write_text("input_tokens,output_tokens\n5,5\n")
    check_refused(cuvee("workload", "t.csv", "--input-edges", edges))


@pytest.mark.parametrize(
    "options", [["--input-column", "a"], ["--output-column", "b"], ["--model-column", "c"], ["--arrival-column", "d"]]
)
def test_half_of_the_columns_is_refused(cuvee, small, options):
    """Both lengths must be named."""
    (small / "t.csv").write_text("a,b\n5,5\n")
    check_refused(cuvee("workload", "t.csv", *options))


@pytest.mark.parametrize(
    "arguments", [["plna"], ["--nonsense"], ["check"], ["schema"], ["schema", "[/]"], ["check", "a", "b"]]
)
def test_a_command_line_that_is_none_is_refused(cuvee, small, arguments):
    """Unknown commands and missing arguments have the same three parts."""
    check_refused(cuvee(*arguments), "  to do: ")


@pytest.mark.parametrize("folder", ["", " ", "offers.csv", "offers.csv/below", "a\0b", "x" * 300, "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_solved(cuvee, small, monkeypatch, folder):
    """No minutes are spent on a plan that cannot be saved."""
    monkeypatch.setattr("cuvee.plan.planner.plan_prepared", lambda _: pytest.fail("solved"))
    before = sorted(small.rglob("*"))
    check_refused(cuvee("plan", "scenario.yaml", "--save-dir", folder), "--save-dir")
    assert sorted(small.rglob("*")) == before


def test_a_folder_with_nothing_in_it_is_not_left(cuvee, small, monkeypatch):
    """Ctrl-C before there was a plan: what --save-dir made to see whether it can be written is gone again."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cuvee.plan.planner.plan_prepared", interrupted)
    before = sorted(small.rglob("*"))
    result = cuvee("plan", "scenario.yaml", "--save-dir", "a/b")
    assert (result.code, result.out) == (130, "")
    assert result.err == "interrupted before there was a result: nothing is shown or written\n"
    assert sorted(small.rglob("*")) == before


def test_a_result_in_place_of_a_scenario_is_told(cuvee, small):
    """A plan file given where a scenario belongs: what it is, and which commands read it."""
    (small / "plan.json").write_text(cuvee("plan", "scenario.yaml", "--json").out)
    check_refused(cuvee("plan", "plan.json"), "a result that cuvee wrote", "cuvee check FILE", "cuvee plan --from FILE")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["plan", "--slo", "p95"], "no limit"),
        (["plan", "--slo", "short:mean"], "no limit"),
        (["plan", "--set", "aim.weights.llama-3-8b=0"], "a weight of 0 for every model"),
        (["plan", "--set", "models=null"], "models = nothing\n  expected: a list"),
        (["plan", "--set", "limits=3"], "a mapping of fields"),
        (["periods", "--serve", "requests"], "for a day"),
    ],
)
def test_questions_that_mean_nothing_say_why(cuvee, small, arguments, found):
    """A statistic of no limit, weights of nothing, no list where one belongs, requests left out of a day."""
    check_refused(cuvee(arguments[0], "scenario.yaml", *arguments[1:]), found)


def test_options_that_would_change_nothing_are_refused(cuvee, small):
    """--mix for models that each state their own demand."""
    (small / "own.yaml").write_text("models: [{model: llama-3-8b, mix: mix.csv}]\noffers: offers.csv\n")
    check_refused(cuvee("plan", "own.yaml", "--mix", "trace-1"), "demand of their own")


def test_names_that_look_like_markup_are_printed_as_they_are(cuvee, small):
    """In tables, headings and messages: models, workload types, sellers, regions and files."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
        "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
    }  # fmt: skip
    (small / "[bold]").mkdir()
    (small / "[bold]" / "config.json").write_text(json.dumps(config))
    (small / "[x].csv").write_text("name,input_tokens,output_tokens,share\n[i]long[/],2000,20,1\n:smile:,9,9,1\n")
    offers = "gpu,seller,region,price_usd_per_hour,stock,num_gpus\nH100-SXM,[/red],[u]r,2.5,1,2\n"
    (small / "[o].csv").write_text(offers)
    asked = ("-m", "[bold]=0.5", "-m", "llama-3-8b=0.5", "--mix", "[x].csv", "--offers", "[o].csv", *FAST)
    printed = {command: cuvee(command, *asked) for command in ("plan", "compare", "explain")}
    listed = cuvee("offers", "[o].csv")
    assert [result.code for result in (*printed.values(), listed)] == [0, 0, 0, 0]
    for words in ("[bold] +", "[bold] [i]long[/]", ":smile:", "[o].csv (prices without a date)"):
        assert words in printed["plan"].out
    assert "[/red] [u]r" in printed["explain"].out
    assert "[/red]" in listed.out


def test_names_cannot_move_the_cursor(cuvee, small):
    """Escape sequences of a file reach neither stdout nor stderr."""
    (small / "o.csv").write_text('gpu,seller,price_usd_per_hour,stock\nA40,"a\x1b[2Jb\nc",0.5,9\n')
    result, message = cuvee("offers", "o.csv"), cuvee("plan", "--offers", "\x1b[2J/x")
    assert "a?[2Jb?c" in result.out
    assert "\x1b" not in result.out + message.err


PLANNED = ("plan", "--budget", "5", "--throughput")
SPREADSHEET = "gpu;model;engine;isl;osl;req_s\nA40;llama-3-8b;vllm;100;100;2,5\n"


@pytest.mark.parametrize("command", [("score",), ("import",), ("calibrate",), PLANNED])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (SPREADSHEET.encode(), "semicolons between the columns"),
        (SPREADSHEET.replace(";", "\t").encode(), "tabs between the columns"),
        (SPREADSHEET.encode("utf-16"), "text in UTF-16, not UTF-8"),
    ],
    ids=["semicolons", "tabs", "utf-16"],
)
def test_tables_of_spreadsheets_are_told_apart(cuvee, tmp_path, command, content, told):
    """What a spreadsheet wrote is told as what it is. Tempting: that a column is missing, or that it is no text."""
    file = tmp_path / "points.csv"
    file.write_bytes(content)
    check_refused(cuvee(*command, file), told, "export the file again")


def test_a_trace_of_a_spreadsheet(cuvee, tmp_path):
    """The same for traces."""
    (tmp_path / "trace.csv").write_text("input_tokens;output_tokens\n100;200\n")
    check_refused(cuvee("workload", tmp_path / "trace.csv"), "semicolons between the columns")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("score",), "make a table of it: cuvee import"),
        (("calibrate",), "make a table of it: cuvee import"),
        (("import",), "not JSON (expecting value)"),
        (PLANNED, "not JSON (expecting value at line 2, column 13)"),
    ],
)
def test_json_that_was_cut_off(cuvee, tmp_path, command, told):
    """Where it ends is told, and what to do; not in the words of a library."""
    file = tmp_path / "run.json"
    file.write_text('{"completed": 3,\n"duration": ')
    result = cuvee(*command, file)
    check_refused(result, told)
    assert "char" not in result.err
