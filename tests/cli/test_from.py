"""`cuvee plan --from`: what runs now as a plan or a list, moves in print and in the file."""

import json

import pytest

from tests.cli.test_bad_input import check_refused

FLEET = "gpu,copies\nA40,3\n"


@pytest.fixture
def today(small):
    """The small scenario's folder, with a fleet that runs."""
    (small / "fleet.csv").write_text(FLEET)
    return small


def test_moves_are_planned_printed_and_checked(cuvee, today):
    """From three A40 the plan has its moves in print and in its file, which passes."""
    shown = cuvee("plan", "scenario.yaml", "--from", "fleet.csv", "--horizon", "100")
    assert (shown.code, shown.err) == (0, "")
    for words in ("What runs now", "Moves, one after the other", "doing nothing: ", "if moves cost nothing",
                  "the stock on offer is taken to be what can be rented besides"):  # fmt: skip
        assert words in shown.out
    saved = cuvee("plan", "scenario.yaml", "--from", "fleet.csv", "--horizon", "100", "--json")
    (today / "plan.json").write_text(saved.out)
    assert json.loads(saved.out)["moves"]["steps"]
    checked = cuvee("check", "plan.json")
    assert checked.code == 0
    assert checked.out.strip().endswith("moves")


def test_a_plan_from_itself_moves_nothing(cuvee, today):
    """What a plan file rents is best again, from itself: nothing to move."""
    (today / "plan.json").write_text(cuvee("plan", "scenario.yaml", "--json").out)
    again = cuvee("plan", "scenario.yaml", "--from", "plan.json", "--set", "limits.max_gpus.A40=3")
    assert again.code == 0
    assert "Nothing to move" in again.out


def test_a_scenario_names_its_fleet_beside_itself(cuvee, today, monkeypatch):
    """current_fleet is relative to the scenario file; --save-dir writes one that can be planned from anywhere."""
    text = (today / "scenario.yaml").read_text()
    (today / "from.yaml").write_text(text + "current_fleet: fleet.csv\nmoves: {horizon_h: 100}\n")
    (today / "elsewhere").mkdir()
    monkeypatch.chdir(today / "elsewhere")
    here = cuvee("plan", "../from.yaml", "--save-dir", "out")
    assert here.code == 0
    assert "Moves, one after the other" in here.out
    again = cuvee("plan", "out/scenario.yaml", "--json")
    assert json.loads(again.out)["moves"] is not None


def test_an_overlap_without_money_is_told(cuvee, today):
    """--overlap 0: at no step more than the budget is paid, or what runs now where that is more."""
    planned = cuvee("plan", "scenario.yaml", "--from", "fleet.csv", "--horizon", "100", "--overlap", "0", "--json")
    moves = json.loads(planned.out)["moves"]
    assert max(step["usd_per_hour"] for step in moves["steps"]) <= 3.0 + 1e-9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "scenario.yaml", "--horizon", "3"], "without a fleet to move from"),
        (["plan", "scenario.yaml", "--overlap", "3"], "without a fleet to move from"),
        (["plan", "scenario.yaml", "--from", "fleet.csv", "--horizon", "0"], "moves.horizon_h"),
        (["plan", "scenario.yaml", "--from", "fleet.csv", "--overlap", "-1"], "moves.overlap_usd_per_hour"),
        (["plan", "scenario.yaml", "--from", "fleet.csv", "--set", "moves.drain=3"], "moves.drain"),
        (["plan", "scenario.yaml", "--from", ""], "empty"),
        (["plan", "scenario.yaml", "--from", "scenario.yaml"], "no field 'fleet'"),
        (["periods", "scenario.yaml", "--from", "fleet.csv"], "from a fleet that runs now"),
        (["plan", "scenario.yaml", "--from", "fleet.csv", "--disaggregate"], "apart"),
        (["plan", "--melange", "melange.json", "--from", "fleet.csv"], "melange and current_fleet"),
    ],
)
def test_what_cannot_be_is_refused(cuvee, today, arguments, said):
    """Exit code 2 and a message in three parts."""
    check_refused(cuvee(*arguments), said)


def test_a_plan_without_a_fleet_is_no_fleet(cuvee, today):
    """An infeasible plan's file has no groups that could run."""
    (today / "none.json").write_text(cuvee("plan", "scenario.yaml", "--budget", "0.01", "--json").out)
    check_refused(cuvee("plan", "scenario.yaml", "--from", "none.json"), "a plan that is infeasible")
