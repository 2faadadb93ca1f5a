"""`cuvee periods`: what it prints, what --json prints, what it saves, and what it refuses."""

import json
from pathlib import Path

import pytest

from cuvee.plan.any_file import load_any
from cuvee.plan.periods.result import PeriodPlan

EXAMPLES = Path(__file__).parents[2] / "examples"

DAY = "time,requests_per_s\n" + "".join(
    f"{hour:02d}:00,{9.0 if 8 <= hour < 20 else 3.0}\n" for _ in range(2) for hour in range(24)
)
ASK = ("periods", "scenario.yaml", "--demand", "day.csv", "--periods", "2", "--budget", "10")


@pytest.fixture
def day(small):
    """The small scenario, and two days of twelve hours at 3 req/s and twelve at 9."""
    (small / "day.csv").write_text(DAY)
    return small


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--peak", "0"], "peak_req_per_s = 0.0"),
        (["--peak", "-1"], "peak_req_per_s = -1"),
        (["--periods", "0"], "periods = 0"),
        (["--set", "time_of_day.periods=99"], "periods = 99"),
    ],
)
def test_a_day_of_nothing_is_refused(cuvee, small, options, found):
    """With the embedded series too: a peak of 0 is no wish for the default."""
    result = cuvee("periods", *options)
    assert result.code == 2
    assert found in result.err


def test_the_day_is_printed_within_100_columns(cuvee, day):
    """Chart, replicas, fleets, timetable and verdict; nothing on stderr."""
    result = cuvee(*ASK)
    assert (result.code, result.err) == (0, "")
    for words in ("cuvee periods", "p90 of day", "What is rented", "08:00-20:00", "20:00-08:00", "Timetable",
                  "$/day", "than", "are starts", "no plan costs less than", "0 of the 48 steps"):  # fmt: skip
        assert words in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_json_is_the_file_and_check_knows_it(cuvee, day):
    """It parses, says its version first, holds a whole plan for each period, and passes `cuvee check`."""
    result = cuvee(*ASK, "--json")
    record = json.loads(result.out)
    assert next(iter(record)) == "schema_version"
    assert [each["period"]["hours"] for each in record["periods"]] == [12.0, 12.0]
    assert record["cost_usd_per_day"] < record["constant_usd_per_day"]
    (day / "periods.json").write_text(result.out)
    checked = cuvee("check", "periods.json")
    assert (checked.code, checked.out) == (
        0, "ok: plans, replicas, periods, demand, timetable, handover, totals\n",
    )  # fmt: skip
    record["saving"] = 0.9
    (day / "periods.json").write_text(json.dumps(record))
    broken = cuvee("check", "periods.json")
    assert broken.code == 1
    assert broken.out.startswith("violated: totals: a saving of 90")


def test_what_is_saved_gives_the_same_day_from_anywhere(cuvee, day, monkeypatch):
    """Scenario, table and file; the series is found again from another folder."""
    first = cuvee(*ASK, "--headroom", "0.2", "--set", "time_of_day.start_fee_usd=0.5", "--save-dir", "out")
    assert first.err == "written to out: periods.json, scenario.yaml, periods.txt\n"
    assert (day / "out" / "periods.txt").read_text() == first.out
    (day / "elsewhere").mkdir()
    monkeypatch.chdir(day / "elsewhere")
    again = cuvee("periods", "../out/scenario.yaml", "--json")
    assert again.code == 0, again.err
    saved = load_any(day / "out" / "periods.json")
    assert isinstance(saved, PeriodPlan)
    assert json.loads(again.out)["cost_usd_per_day"] == saved.cost_usd_per_day
    assert (saved.constant.inputs.problem.aim.headroom, saved.start_up.fee_usd) == (0.2, 0.5)
    assert saved.start_up.seconds is None


def test_a_series_named_in_a_scenario_stands_beside_it(cuvee, day, monkeypatch):
    """Its path is relative to the scenario file, and its settings are fields."""
    text = (day / "scenario.yaml").read_text().replace("budget_usd_per_hour: 3", "budget_usd_per_hour: 10")
    (day / "scenario.yaml").write_text(f"{text}time_of_day: {{demand: day.csv, periods: 1, statistic: max}}\n")
    (day / "elsewhere").mkdir()
    monkeypatch.chdir(day / "elsewhere")
    record = json.loads(cuvee("periods", "../scenario.yaml", "--json").out)
    assert len(record["periods"]) == 1
    assert (record["saving"], record["demand"]["statistic"]) == (0.0, "max")


def test_the_peak_scales_the_series(cuvee, day):
    """Half the peak, half of every rate."""
    record = json.loads(cuvee(*ASK, "--peak", "1.5", "--json").out)
    assert sorted(each["period"]["rate_req_per_s"] for each in record["periods"]) == [0.5, 1.5]


def test_the_scenario_needs_no_rate_and_no_objective(cuvee, day):
    """Those of the scenario are replaced by the series and the least cost."""
    (day / "scenario.yaml").write_text((day / "scenario.yaml").read_text() + "rate_req_per_s: 500\n")
    record = json.loads(cuvee(*ASK, "--json").out)
    assert sum(row["demand_req_per_s"] for row in record["constant"]["assignment"]) == pytest.approx(9.0)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_peak_that_nothing_serves_says_what_binds_and_exits_with_1(cuvee, day, as_json):
    """As `cuvee plan` does."""
    result = cuvee(*ASK, "--peak", "1e6", *(["--json"] if as_json else []))
    assert (result.code, result.err) == (1, "")
    assert "the limits bind" in (json.loads(result.out)["constant"]["message"] if as_json else result.out)


BAD_OPTIONS = [
    ["--periods", "0"], ["--periods", "25"], ["--periods", "x"], ["--peak", "0"], ["--peak", "-1"], ["--peak", "nan"],
    ["--peak", "inf"], ["--headroom", "-1"], ["--headroom", "nan"], ["--demand", ""],
    ["--demand", "servegen"], ["--rate", "5"], ["--objective", "throughput"], ["--objective", "[bold]"],
    ["--set", "time_of_day.statistic=median"], ["--set", "time_of_day.foo=1"],
    ["--set", "time_of_day=3"], ["--set", "time_of_day.startup_s=-1"], ["--set", "time_of_day.start_fee_usd=.nan"],
]  # fmt: skip


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=" ".join)
def test_an_option_that_cannot_be_used_is_refused(cuvee, day, options):
    """In three parts, with exit code 2 and nothing on stdout."""
    result = cuvee(*ASK, *options)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert "\n  expected: " in result.err
    assert "\n  to do: " in result.err
    assert "bug in cuvee" not in result.err


def test_the_schema_is_printed(cuvee):
    """`cuvee schema periods`."""
    assert "timetable" in json.loads(cuvee("schema", "periods").out)["properties"]


def test_the_worked_example_of_the_docs(cuvee, monkeypatch):
    """92.00 $: one large GPU is kept over noon. Tempting: each period at its best, 91.20 $ and starts of 0.95 $."""
    monkeypatch.chdir(EXAMPLES)
    record = json.loads(cuvee("periods", "time_of_day.yaml", "--json").out)
    assert record["termination"] == "optimal"
    assert record["cost_usd_per_day"] == pytest.approx(92.0)
    assert record["elastic_usd_per_day"] == pytest.approx(91.2)
    assert record["constant_usd_per_day"] == pytest.approx(172.8)
    fee = json.loads(cuvee("periods", "time_of_day.yaml", "--set", "time_of_day.start_fee_usd=2", "--json").out)
    assert fee["cost_usd_per_day"] == pytest.approx(99.55)
    monkeypatch.chdir(EXAMPLES.parent)
    page = Path("docs", "time-of-day.md").read_text(encoding="utf-8")
    printed = cuvee("periods", "examples/time_of_day.yaml").out
    assert all(line.rstrip() in page for line in printed.splitlines() if "solved in" not in line)


def test_what_a_command_leaves_aside_is_told(cuvee, monkeypatch):
    """A day in a scenario that is planned for one rate, and draws in one that is planned by the day."""
    monkeypatch.chdir(EXAMPLES)
    one = cuvee("plan", "time_of_day.yaml", "--json")
    assert (one.code, one.err) == (
        0,
        "note: time_of_day is left aside, as this is for one rate; for the day: cuvee periods\n",
    )
    drawn = cuvee("periods", "time_of_day.yaml", "--set", "caution.stress_draws=10", "--json")
    assert drawn.code == 0
    assert drawn.err.endswith("what draws do to one plan is told by: cuvee plan --stress 10\n")
    for command in ("compare", "explain"):
        told = cuvee(command, "time_of_day.yaml", "--set", "caution.stress_draws=10").err
        assert ("for the day: cuvee periods" in told, "cuvee plan --stress 10" in told) == (True, True), command
    assert cuvee("plan", "time_of_day.yaml", "--stress", "10", "--json").err.count("note") == 1
    assert cuvee("periods", "time_of_day.yaml", "--json").err == ""
