"""compare, explain, check, workload, schema and the catalogue."""

import json

import pytest


@pytest.mark.parametrize("command", ["gpus", "models", "offers", "engines"])
def test_the_catalogue_is_listed(cuvee, command):
    """As a table within 100 columns, and as JSON with a name in each record."""
    table, record = cuvee(command), cuvee(command, "--json")
    assert (table.code, table.err, record.code, record.err) == (0, "", 0, "")
    assert max(map(len, table.out.splitlines())) <= 100
    assert "…" not in table.out
    assert all(entry["name"] for entry in json.loads(record.out))


def test_an_offer_set_says_the_date_of_its_prices(cuvee, small):
    """Each offer and the whole set do."""
    result = cuvee("offers", "offers.csv")
    assert result.code == 0
    assert "prices of 2026-01-02" in result.out
    (small / "undated.csv").write_text("gpu,price_usd_per_hour\nA40,1\n")
    assert "prices without a date" in cuvee("offers", "undated.csv").out
    assert {"offers", "as_of", "source"} <= set(json.loads(cuvee("offers", "offers.csv", "--json").out))


def test_the_market_fits_the_columns(cuvee):
    """The widest table of the catalogue loses nothing."""
    out = cuvee("offers", "market").out
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out


def test_compare_sets_the_plan_beside_simpler_ways(cuvee, small):
    """Single types, even budget, one parallel degree, round robin and greedy; the same as data."""
    result = cuvee("compare", "scenario.yaml")
    record = json.loads(cuvee("compare", "scenario.yaml", "--json").out)
    assert (result.code, result.err) == (0, "")
    names = {each["name"] for each in record["baselines"]}
    assert {"only A40", "only H100-SXM, unlimited stock", "even budget over types", "round-robin assignment"} <= names
    assert all(name.split(",")[0] in result.out for name in names)
    assert record["plan"]["termination"] == "optimal"


def test_explain_says_what_binds(cuvee, small):
    """Limits, gains and the single type; the same as data."""
    result = cuvee("explain", "scenario.yaml")
    record = json.loads(cuvee("explain", "scenario.yaml", "--json").out)
    assert (result.code, result.err) == (0, "")
    assert "Limits" in result.out
    assert "budget +1 $/h" in result.out
    assert {"limits", "gains", "best_single_type", "type_costs"} == set(record)


@pytest.mark.parametrize("command", ["compare", "explain"])
def test_without_a_plan_every_command_exits_with_1(cuvee, small, command):
    """And says why."""
    result = cuvee(command, "scenario.yaml", "--budget", "0.1")
    assert result.code == 1
    assert "the budget of 0.1 $/h is too small" in " ".join(result.out.split())


def test_check_finds_what_was_changed(cuvee, small):
    """A plan file with a wrong cost is refused with exit code 1."""
    record = json.loads(cuvee("plan", "scenario.yaml", "--json").out)
    record["cost_usd_per_hour"] *= 2
    (small / "p.json").write_text(json.dumps(record))
    result, data = cuvee("check", "p.json"), cuvee("check", "p.json", "--json")
    assert (result.code, data.code) == (1, 1)
    assert "violated: money" in result.out
    assert json.loads(data.out)["ok"] is False


def test_workload_shows_a_trace(cuvee, small):
    """Rate, lengths and types; the same as data."""
    rows = [f"{100 + 7 * number % 900},{10 + 3 * number % 90},{number}" for number in range(50)]
    (small / "t.csv").write_text("\n".join(["input_tokens,output_tokens,arrival_s", *rows]))
    result = cuvee("workload", "t.csv", "--types", "3")
    record = json.loads(cuvee("workload", "t.csv", "--types", "3", "--json").out)
    assert (result.code, result.err) == (0, "")
    assert "t: 50 requests" in result.out
    assert len(record["types"]) == 3
    assert record["num_requests"] == 50


@pytest.mark.parametrize("name", ["plan", "scenario"])
def test_the_schema_is_json(cuvee, name):
    """Of the plan file and of the scenario."""
    assert json.loads(cuvee("schema", name).out)["type"] == "object"


def test_the_plan_is_what_its_schema_says(cuvee, small):
    """Every required field of the schema is in the file."""
    schema = json.loads(cuvee("schema", "plan").out)
    assert set(schema["required"]) <= set(json.loads(cuvee("plan", "scenario.yaml", "--json").out))


def test_help_names_every_command(cuvee):
    """So does the command without arguments."""
    for arguments in ([], ["--help"], ["-h"]):
        result = cuvee(*arguments)
        assert (result.code, result.err) == (0, "")
        for command in ("plan", "compare", "explain", "check", "workload", "gpus", "models", "offers", "schema"):
            assert f"\n  {command}" in result.out


def test_the_version_is_printed(cuvee):
    """With --version."""
    from cuvee import __version__

    assert cuvee("--version").out == f"cuvee {__version__}\n"


def test_what_if_is_one_command(cuvee, small):
    """Two changes together, as tables and as data; the fleet moves."""
    changes = ("--what-if", "stock.A40*2", "--what-if", "budget+5")
    result = cuvee("explain", "scenario.yaml", *changes)
    answer = json.loads(cuvee("explain", "scenario.yaml", *changes, "--json").out)["what_if"]
    assert (result.code, result.err) == (0, "")
    assert "What if stock.A40*2, budget+5" in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert [effect["after"] for effect in answer["effects"]] == [6, 8.0]
    assert answer["difference"]["loss"] < 0
    assert answer["plan"]["gpus"]["A40"] == 6


def test_what_if_of_what_is_not_there(cuvee, small):
    """Refused with exit code 2 before anything is solved; without a plan on either side the exit code is 1."""
    result = cuvee("explain", "scenario.yaml", "--what-if", "stock.L4*2")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: unknown GPU type on offer 'L4'\n  expected: one of A40, H100-SXM\n")
    assert cuvee("explain", "scenario.yaml", "--what-if", "stock.*=0").code == 1
    assert cuvee("explain", "scenario.yaml", "--budget", "0.1", "--what-if", "budget=3").code == 0


def test_alternatives_are_one_command(cuvee, small):
    """Each with its loss and gap, as a table and as data; an unknown kind of difference is refused."""
    result = cuvee("explain", "scenario.yaml", "--alternatives", "2")
    record = json.loads(cuvee("explain", "scenario.yaml", "--alternatives", "2", "--json").out)["alternatives"]
    assert (result.code, result.err) == (0, "")
    assert "against the plan" in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert record["differ_by"] == "gpus"
    losses = [each["difference"]["loss"] for each in record["plans"]]
    assert losses == sorted(losses)
    assert len(losses) == 2
    assert all(each["plan"]["gap"] <= 1e-4 for each in record["plans"])
    refused = cuvee("explain", "scenario.yaml", "--alternatives", "2", "--differ-by", "price")
    assert (refused.code, "one of gpus, types, offers" in refused.err) == (2, True)


def test_why_not_only_is_one_command(cuvee, small):
    """In sentences, as a table and as data; several types and aliases; a type that is not on offer is refused."""
    result = cuvee("explain", "scenario.yaml", "--only", "H100")
    answer = json.loads(cuvee("explain", "scenario.yaml", "--only", "H100", "--json").out)["why_not_only"]
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Why not only H100-SXM?\n  With H100-SXM alone the best plan serves ")
    assert max(map(len, result.out.splitlines())) <= 100
    assert answer["gpus"] == ["H100-SXM"]
    assert answer["difference"]["loss"] > 0
    assert answer["sentences"]
    assert "rents nothing but" in cuvee("explain", "scenario.yaml", "--only", "A40, H*").out
    assert cuvee("explain", "scenario.yaml", "--only", "L4").code == 2
    assert cuvee("explain", "scenario.yaml", "--only", ",").code == 2


def test_shadow_prices_are_one_command(cuvee, small):
    """Under two headings, and as data with the origin of each."""
    result = cuvee("explain", "scenario.yaml", "--shadow-prices")
    record = json.loads(cuvee("explain", "scenario.yaml", "--shadow-prices", "--json").out)["shadow_prices"]
    assert (result.code, result.err) == (0, "")
    assert "Shadow prices, fleet fixed" in result.out
    assert "Shadow prices, relaxation" in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert len(record["fleet_fixed"]["demand"]) == 2
    assert any(each["of"] == "budget" for each in record["relaxation"]["prices"])
