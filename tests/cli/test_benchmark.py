"""`cuvee benchmark`: tables, JSON, CSV, and what it refuses."""

import csv
import io
import json
import sys

import pytest

from cuvee.report import chart_page

SMALL = ("benchmark", "--model", "llama-3-8b", "--offers", "paper", "--workload", "2455x18", "--workload", "496x510")

OFFERS = "gpu,seller,price_usd_per_hour,as_of\nA40,s,0.5,2026-01-02\nH100-SXM,t,2.5,2026-01-02\n"


def test_tables(cuvee):
    """GPU types beside kinds of requests, who leads, and the observations, in 100 columns."""
    result = cuvee(*SMALL)
    assert (result.code, result.err) == (0, "")
    assert "llama-3-8b: req/s per $/h" in result.out
    assert "cheapest GPU type" in result.out
    assert "1. Which GPU type is cheapest" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_more_tables(cuvee):
    """Configurations and latencies come where they are asked for."""
    plain, more = cuvee(*SMALL), cuvee(*SMALL, "--configurations", "--latencies", "--load", "0.5")
    for title in ("best configuration", "latency at 50% load"):
        assert title in more.out
        assert title not in plain.out
    assert max(map(len, more.out.splitlines())) <= 100


def test_more_kinds_of_request_than_stand_side_by_side(cuvee):
    """They go on in a table below."""
    kinds = [argument for length in range(1, 12) for argument in ("--workload", f"{length}00x50")]
    result = cuvee("benchmark", "-m", "llama-3-8b", "--offers", "paper", "--configurations", *kinds)
    assert result.out.count("req/s per $/h") == 2
    assert result.out.count("best configuration") == 2
    assert max(map(len, result.out.splitlines())) <= 100


def test_without_arguments(cuvee):
    """The paper's prices and the market's, both models, all GPU types in full."""
    result = cuvee("benchmark")
    assert result.code == 0
    assert result.out.count("3. So it pays") == 2
    for gpu in ("RTX4090", "H200-SXM", "B200-SXM", "L40S", "RTXPRO6000-Server", "MI300X"):
        assert f" {gpu} " in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_latencies_over_load(cuvee):
    """TTFT, TPOT and end to end at five loads, each longer than at the load before; JSON and screen say the same."""
    asked = ("benchmark", "-m", "llama-3-8b", "--offers", "paper", "--gpu", "A40", "--workload", "496x510")
    text, record = cuvee(*asked, "--latencies"), json.loads(cuvee(*asked, "--latencies", "--json").out)
    points = record["studies"][0]["latency_over_load"]
    assert [point["load"] for point in points] == [0.3, 0.5, 0.7, 0.85, 0.95]
    for name in ("ttft_p90_s", "tpot_p90_s", "e2e_p90_s"):
        values = [point[name] for point in points]
        assert values == sorted(set(values))
    rows = [line.split() for line in text.out.splitlines()]
    shown = next(row for row in rows if row[:2] == ["TPOT", "[ms]"])[2:]
    assert [float(value) for value in shown] == pytest.approx([1e3 * p["tpot_p90_s"] for p in points], rel=5e-3)
    assert "latency_over_load" not in json.loads(cuvee(*asked, "--json").out)["studies"][0]


def test_requests_longer_than_the_context(cuvee):
    """The reason is the context limit, alone and beside a kind that fits. Tempting: that no machine holds the model."""
    alone = cuvee("benchmark", "-m", "llama-3-8b", "--offers", "paper", "--workload", "9000x300")
    assert alone.code == 2
    assert "in9000-out300 of 9300 tokens per request: its context limit is 8192" in " ".join(alone.err.split())
    assert "holds the model" not in alone.err
    both = cuvee("benchmark", "-m", "llama-3-8b", "--offers", "paper", "--workload", "9000x300", "--workload", "496x18")
    assert both.code == 0
    assert "in9000-out300 of 9300 tokens per request: its context limit is 8192" in " ".join(both.out.split())
    assert ["9000/300", "none"] in [line.split() for line in both.out.splitlines()]
    assert "no machine on offer" not in both.out


def test_json(cuvee):
    """Every figure with price, source and band; a band that is not known is null, never infinite."""
    record = json.loads(cuvee(*SMALL, "--json").out, parse_constant=pytest.fail)
    assert record["schema_version"] == 1
    (study,) = record["studies"]
    entries = {(each["gpu"], each["workload"]): each for each in study["entries"] if each["num_gpus"] == 1}
    a40 = entries["A40", "in2455-out18"]
    assert a40["relative_error"] is None
    assert a40["assumed_band"] == pytest.approx(0.7)
    assert a40["req_per_s_per_usd_per_hour"] == pytest.approx(a40["rate_req_per_s"] / 0.55)
    assert a40["rate_date"]
    assert {lead["workload"] for lead in study["leads"]} == {"in2455-out18", "in496-out510"}
    assert [each["paper_factor"] for each in study["observations"]] == [2.27, 2.61, 1.23]
    assert study["assignment"][0]["mix"] == "equal shares"


def test_csv(cuvee):
    """One row for each replica and kind of request, the same figures as in the JSON."""
    rows = list(csv.DictReader(io.StringIO(cuvee(*SMALL, "--csv").out)))
    entries = json.loads(cuvee(*SMALL, "--json").out)["studies"][0]["entries"]
    assert len(rows) == len(entries)
    assert float(rows[0]["rate_req_per_s"]) == pytest.approx(entries[0]["rate_req_per_s"], rel=1e-5)
    assert {row["offers"] for row in rows} == {"paper-avail-1"}


def test_own_offers_trace_and_rates(cuvee, tmp_path, monkeypatch):
    """Files of one's own: prices, a trace, and rates that were measured, which come first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "offers.csv").write_text(OFFERS)
    (tmp_path / "trace.csv").write_text("input_tokens,output_tokens\n" + "500,100\n" * 5 + "2000,20\n" * 5)
    (tmp_path / "rates.csv").write_text(
        "model,gpu,input_tokens,output_tokens,rate_req_per_s,source,date\n"
        "llama-3-8b,A40,500,100,9,my bench,2026-10-01\n"
    )
    result = cuvee(
        "benchmark", "-m", "llama-3-8b", "--offers", "offers.csv", "--trace", "trace.csv", "--types", "2",
        "--throughput", "rates.csv", "--json",
    )  # fmt: skip
    (study,) = json.loads(result.out)["studies"]
    measured = [each for each in study["entries"] if each["provenance"] == "measured"]
    assert [(each["gpu"], each["rate_req_per_s"], each["req_per_s_per_usd_per_hour"]) for each in measured] == [
        ("A40", 9.0, 18.0)
    ]


def test_names_that_would_be_markup(cuvee, tmp_path):
    """A name of a file is printed as it stands, whatever rich would make of it."""
    path = tmp_path / "mix.csv"
    path.write_text("name,input_tokens,output_tokens,share\n[bold]red[/bold],500,100,1\n")
    result = cuvee("benchmark", "-m", "llama-3-8b", "--offers", "paper", "--mix", path, "--json")
    assert "[bold]red[/bold]" in result.out
    assert cuvee("benchmark", "-m", "llama-3-8b", "--offers", "paper", "--mix", path).code == 0


def test_the_page(cuvee, tmp_path, monkeypatch):
    """--html writes one file beside the tables, and nothing else."""
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: "window.Plotly = {};")
    result = cuvee(*SMALL, "--html", tmp_path / "out" / "page.html")
    assert (result.code, result.err) == (0, "")
    assert "llama-3-8b: req/s per $/h" in result.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]
    assert (tmp_path / "out" / "page.html").read_text().startswith("<!doctype html>")


def test_pages_that_cannot_be_written(cuvee, tmp_path, monkeypatch):
    """A folder in the place of the file, and an empty name."""
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: "window.Plotly = {};")
    for target in (tmp_path, ""):
        result = cuvee(*SMALL, "--html", target)
        assert (result.code, result.out) == (2, "")
        assert "to do:" in result.err


@pytest.mark.parametrize("option", ["--html", "--svg"])
def test_a_file_that_is_there_stays(cuvee, tmp_path, monkeypatch, option):
    """But with --force."""
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: "window.Plotly = {};")
    file = tmp_path / "study"
    file.write_text("precious")
    refused = cuvee(*SMALL, option, file)
    assert (refused.code, refused.out, file.read_text()) == (2, "", "precious")
    assert f"{file}: is there already" in refused.err
    assert "--force" in refused.err
    assert cuvee(*SMALL, option, file, "--force").code == 0
    assert file.read_text() != "precious"


def test_two_files_of_one_name(cuvee, tmp_path):
    """Neither is written, however the name is spelled: the second would replace the first."""
    result = cuvee(*SMALL, "--html", tmp_path / "a" / ".." / "study", "--svg", tmp_path / "study", "--force")
    assert (result.code, result.out, list(tmp_path.iterdir())) == (2, "", [])
    assert "--html and --svg" in result.err


def test_a_page_without_plotly(cuvee, tmp_path, monkeypatch):
    """The message names the extra; no file is left behind."""
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    result = cuvee(*SMALL, "--html", tmp_path / "page.html")
    assert result.code == 2
    assert "cuvee[report]" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workload", "12"),
        ("--gpu", "H10"),
        ("--load", "1"),
        ("--load", "nan"),
        ("--mix", "trace-1", "--workload", "5x5"),
        ("--types", "3"),
        ("--offers", "nope"),
        ("--offers", ""),
        ("--model", ""),
        ("--model", "llama-3-8b=x"),
        ("--precision", "fp7"),
        ("--engine", "nope"),
        ("--throughput", "none.csv"),
        ("--json", "--csv"),
        ("--gpu", "T4", "--model", "llama-3-70b"),
    ],
)
def test_bad_input(cuvee, arguments):
    """Exit code 2 and three parts: what arrived, what was expected, what to do."""
    result = cuvee("benchmark", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "expected:" in result.err
    assert "to do:" in result.err
