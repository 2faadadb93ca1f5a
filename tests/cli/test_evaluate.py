"""`cuvee evaluate` on the command line."""

import json
import re

import pytest

from cuvee.evaluate import beyond, evaluation
from cuvee.evaluate.beyond import Beyond
from cuvee.report import chart_page
from cuvee.simulate import simulation
from tests.evaluate.made_up import outcome, result
from tests.evaluate.test_beyond import DAYS, LIMITED, MARKET


@pytest.fixture
def stubbed(monkeypatch):
    """Every setting has the same made-up result."""

    def stub(setting, _requests, _options, *, progress):
        return result(outcome("plan", 4.0), outcome("even composition", 3.0), setting=setting)

    monkeypatch.setattr(evaluation, "run_setting", stub)
    monkeypatch.setattr(simulation, "warm_up", lambda: None)


def test_the_screen_has_gains_the_paper_and_makespans(cuvee, stubbed):
    """Progress goes to stderr; 100 columns are enough."""
    ended = cuvee("evaluate", "paper", "--cells", "70b/trace-1/*")
    assert ended.code == 0
    for text in ("12 of 12 settings", "+33.3%", "25.0%", "15 to 27 %", "+5 points", "our plans", "not won"):
        assert text in ended.out
    assert "[12/12] 70b/trace-1/stock-4/60" in ended.err
    assert max(map(len, ended.out.splitlines())) <= 100


def test_json_has_every_setting(cuvee, stubbed, tmp_path):
    """And is plain JSON, also where nothing kept up; a second run reads the file of the first."""
    arguments = ("evaluate", "paper", "--quick", "--out", tmp_path / "out.jsonl", "--json")
    record = json.loads(cuvee(*arguments).out, parse_constant=pytest.fail)
    assert len(record["settings"]) == 9
    again = cuvee(*arguments)
    assert json.loads(again.out) == record
    assert "[" not in again.err


def test_the_page_is_complete_and_self_contained(cuvee, stubbed, tmp_path, monkeypatch):
    """Every chart has its figure for each part of the results, and nothing is loaded from elsewhere."""
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: "window.Plotly = {};")
    page = tmp_path / "page.html"
    assert cuvee("evaluate", "paper", "--quick", "--html", page).code == 0
    text = page.read_text()
    figures = json.loads(text.split('id="figures">')[1].split("</script>")[0])
    charts = re.findall(r'data-figures="(\w+)" data-key="(\w+)"', text)
    assert {kind for kind, _ in charts} == set(figures)
    assert all(set(each) == {"0", "1", "2"} for each in figures.values())
    assert figures["gains"]["0"]["data"][0]["x"] == [1.333] * 3
    assert not re.search(r"(src|href)=.http", text)
    assert "default-src 'none'" in text


def test_a_trace_that_no_setting_plays_is_refused(cuvee, stubbed, tmp_path):
    """Patterns that leave a trace out say so. Tempting: settings of the paper alone, in silence."""
    trace = tmp_path / "conv.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{each},900,90\n" for each in range(40)))
    refused = cuvee("evaluate", "paper", "--cells", "8b/trace-1/stock-1/30", "--trace", trace)
    assert refused.code == 2
    assert "--trace, named 'conv'" in refused.err
    assert "8b/conv/stock-1/30" in refused.err
    refused = cuvee("evaluate", "robustness", "--trace", trace)
    assert (refused.code, "--cells '*/conv/*'" in refused.err) == (2, True)
    played = cuvee("evaluate", "paper", "--cells", "8b/conv/stock-1/30", "--trace", trace)
    assert "1 of 1 setting\n" in played.out
    assert "1 settings" not in played.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("everything",), "one of paper"),
        (("robustness", "--html", "x.html"), "error: --html for robustness\n"),
        (
            ("beyond", "--cells", "70b/*"),
            "beyond\n  expected: of beyond only --out, --html, --quick, --json",
        ),
        (("beyond", "--cells", "8b/*", "--trace", "x.csv"), "error: --cells and --trace for beyond\n"),
        (("paper", "--cells", "x"), "70b/trace-1/stock-1/15"),
        (("paper", "--trace", "missing.csv"), "missing.csv"),
    ],
)
def test_bad_input_is_told(cuvee, stubbed, arguments, message):
    """Exit code 2, and what was expected."""
    ended = cuvee("evaluate", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_page_that_is_there_is_kept_unless_forced(cuvee, stubbed, tmp_path, monkeypatch):
    """As with every other command: 2 before any work, and the old page as it was."""
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: "window.Plotly = {};")
    page = tmp_path / "page.html"
    page.write_text("mine")
    refused = cuvee("evaluate", "paper", "--quick", "--html", page)
    assert (refused.code, refused.out, page.read_text()) == (2, "", "mine")
    assert f"{page}: is there already" in refused.err
    assert cuvee("evaluate", "paper", "--quick", "--html", page, "--force").code == 0
    assert page.read_text() != "mine"


def test_beyond_on_screen_as_json_and_as_a_page(cuvee, monkeypatch, tmp_path):
    """The same results three times, and a note where Ctrl-C left something out."""
    found = Beyond((MARKET,), (LIMITED,), DAYS)
    monkeypatch.setattr(beyond, "beyond", lambda **_options: found)
    monkeypatch.setattr(simulation, "warm_up", lambda: None)
    monkeypatch.setattr(chart_page, "plotly_js", lambda _what: "window.Plotly = {};")
    ended = cuvee("evaluate", "beyond")
    assert ended.code == 0
    for text in ("+100.0%", "none serves this", "25.00%", "busiest"):
        assert text in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100
    assert json.loads(cuvee("evaluate", "beyond", "--json").out)["fortnight"]["held"][1]["saving"] == 0.25
    page = tmp_path / "page.html"
    assert cuvee("evaluate", "beyond", "--html", page).code == 0
    figures = json.loads(page.read_text().split('id="figures">')[1].split("</script>")[0])
    assert {kind: set(each) for kind, each in figures.items()} == {"market": {"0"}, "days": {"0", "1"}}
    monkeypatch.setattr(beyond, "beyond", lambda **_options: Beyond((MARKET,), (), None))
    assert "interrupted" in cuvee("evaluate", "beyond").out
