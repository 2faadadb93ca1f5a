"""Plan files: what is written reads back equal, and nothing else is read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cuvee.errors import InputError
from cuvee.plan.outcome.files import load_plan, plan_schema, plan_to_json
from cuvee.plan.question.problem import Objective
from tests.plan.instances import check_tiny, demand, offer, problem, solve_tiny

TOP_LEVEL = {
    "schema_version", "termination", "objective", "bound", "gap", "rate_req_per_s", "makespan_s", "cost_usd_per_hour",
    "groups", "assignment", "inputs",
}  # fmt: skip


@pytest.fixture
def written(worked_plan, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(worked_plan))
    return path


def infeasible():
    return solve_tiny(problem([offer("t1", 4.0)], [demand(1.0)], budget=1.0), {"t1": [1.0]})


def machines():
    asked = problem(
        [offer("t1", 4.0, 1, num_gpus=4, machine_gpus=4, spot=True)],
        [demand(1.0, rate_req_per_s=1.0), demand(2.0, 1.0, rate_req_per_s=0.5)],
        objective=Objective.COST, max_gpus={"t1": 4},
    )  # fmt: skip
    return solve_tiny(asked, {"tiny:t1*2": [1.0], "tiny-2:t1": [1.0, 1.0]})


def test_round_trip(worked_plan, written):
    """A plan read back equals the plan written, passes `check`, and is written as the same bytes."""
    again = load_plan(written)
    assert again == worked_plan
    assert check_tiny(again).ok
    assert plan_to_json(again) == written.read_text()


@pytest.mark.parametrize("make", [infeasible, machines])
def test_round_trip_of_other_plans(make, tmp_path):
    """So do an answer without a plan and a plan on machines for two models."""
    plan = make()
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(plan))
    assert load_plan(path) == plan


def test_every_rate_of_the_file_says_where_it_comes_from(written):
    """Of each rate, of rejected replicas too: provider, source, date and band; of each price seller and date."""
    record = json.loads(written.read_text())
    rates = [cell for group in record["groups"] for cell in group["cells"]] + record["runners_up"]
    assert record["runners_up"]
    for rate in rates:
        assert "relative_error" in rate
        source = record["inputs"]["rate_sources"][rate["source"]]
        assert rate.get("provenance", "measured") == source["provider"] == "measured"
        assert (source["source"], source["date"]) == ("by hand", "2026")
    offers = record["inputs"]["problem"]["offers"]["offers"]
    parts = [part for group in record["groups"] for part in group["rented"]]
    assert all((part["seller"], part["as_of"]) == ("s", offers[part["offer"]]["as_of"]) for part in parts)


def test_a_file_from_before_rates_had_sources_loads(written):
    """Its rates have a provider and a band, and `check` holds them to what it says; what it lacks stays unknown."""
    record = json.loads(written.read_text())
    del record["inputs"]["rate_sources"], record["inputs"]["engine"]["date"]
    for rate in [cell for group in record["groups"] for cell in group["cells"]] + record["runners_up"]:
        del rate["source"]
    for part in [part for group in record["groups"] for part in group["rented"]]:
        del part["as_of"]
    for rejected in record["runners_up"]:
        del rejected["relative_error"]
    written.write_text(json.dumps(record))
    older = load_plan(written)
    report = check_tiny(older)
    assert report.ok
    assert "rates" in report.passed
    assert "sources" not in report.passed
    assert older.inputs.source_of(older.groups[0].cells[0]) is None


def test_form(written):
    """schema_version comes first; the fields that readers rely on are there; no NaN or Infinity."""
    text = written.read_text()
    record = json.loads(text, parse_constant=pytest.fail)
    assert next(iter(record)) == "schema_version"
    assert record["schema_version"] == 1
    assert set(record) >= TOP_LEVEL
    assert record["groups"]
    for group in record["groups"]:
        assert set(group) >= {"model", "stages", "copies", "price_usd_per_hour"}
        for stage in group["stages"]:
            assert set(stage) == {"gpu", "tensor_parallel_size", "layers"}
    for row in record["assignment"]:
        assert set(row["shares"]) <= {group["id"] for group in record["groups"]}


def test_infinity_is_written_as_text(worked_plan, tmp_path):
    """A box of lengths without an upper end is written as "inf", since JSON has no infinity, and reads back."""
    from cuvee.workload.records import LengthBox

    asked = worked_plan.inputs.problem
    kind = replace(asked.models[0].demand.types[0], box=LengthBox(1.0, float("inf"), 1.0, 2.0))
    types = (kind, *asked.models[0].demand.types[1:])
    changed = replace(asked.models[0], demand=replace(asked.models[0].demand, types=types))
    plan = replace(worked_plan, inputs=replace(worked_plan.inputs, problem=replace(asked, models=(changed,))))
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(plan))
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert load_plan(path) == plan


def test_schema(written):
    """The schema names every field that is written, at the top and in groups."""
    schema, record = plan_schema(), json.loads(written.read_text())
    assert set(schema["properties"]) == set(record)
    assert set(schema["$defs"]["Group"]["properties"]) == set(record["groups"][0])
    assert set(schema["$defs"]["Stage"]["properties"]) == {"gpu", "tensor_parallel_size", "layers"}


def without(record, name):
    return {key: value for key, value in record.items() if key != name}


def with_price(record, price):
    offers = record["inputs"]["problem"]["offers"]
    changed = {**offers, "offers": [{**offers["offers"][0], "price_usd_per_hour": price}, *offers["offers"][1:]]}
    return {**record, "inputs": {**record["inputs"], "problem": {**record["inputs"]["problem"], "offers": changed}}}


RECORDS = {
    "unknown version": (lambda r: {**r, "schema_version": 2}, "schema_version 2"),
    "version as text": (lambda r: {**r, "schema_version": "1"}, "schema_version '1'"),
    "no version": (lambda r: without(r, "schema_version"), "schema_version None"),
    "no groups": (lambda r: without(r, "groups"), "groups"),
    "groups as a number": (lambda r: {**r, "groups": 3}, "groups"),
    "rate as words": (lambda r: {**r, "rate_req_per_s": "fast"}, "rate_req_per_s"),
    "a termination of its own": (lambda r: {**r, "termination": "perfect"}, "termination"),
    "no stages": (lambda r: {**r, "groups": [{**r["groups"][0], "stages": "t1"}]}, "groups.0.stages"),
    "half a copy": (lambda r: {**r, "groups": [{**r["groups"][0], "copies": 1.5}]}, "groups.0.copies"),
    "TP 0": (
        lambda r: {**r, "groups": [
            {**r["groups"][0], "stages": [{"gpu": "t1", "tensor_parallel_size": 0, "layers": 2}]}]},
        "tensor_parallel_size 0",
    ),
    "a field of nobody's": (lambda r: {**r, "speed": 3}, "speed: no such field"),
    "a field of nobody's, deep inside": (
        lambda r: {**r, "groups": [{**r["groups"][0], "speed": 3}]}, "groups.0.speed: no such field",
    ),
    "a price below 0": (lambda r: with_price(r, -1.0), "price_usd_per_hour"),
    "a price of NaN": (lambda r: with_price(r, float("nan")), "price_usd_per_hour"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_changed_records(name, written):
    """A file with one thing wrong is refused with its name and the field."""
    change, found = RECORDS[name]
    written.write_text(json.dumps(change(json.loads(written.read_text()))))
    with pytest.raises(InputError) as caught:
        load_plan(written)
    assert str(written) in str(caught.value)
    assert found in str(caught.value)


TEXTS = {
    "empty": "",
    "a list": "[1, 2]",
    "a number": "3",
    "words": "once upon a time",
    "null": "null",
    "deep nesting": '{"schema_version": ' + "[" * 200_000,
    "a number of 5000 digits": '{"schema_version": ' + "1" * 5000 + "}",
    "deep in a field": '{"schema_version": 1, "groups": ' + "[" * 900 + "]" * 900 + "}",
    "a lone surrogate": '{"schema_version": 1, "message": "\\ud800"}',
}


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_texts(name, tmp_path):
    """What is no plan file is refused as InputError, whatever it is."""
    path = tmp_path / "plan.json"
    path.write_text(TEXTS[name])
    with pytest.raises(InputError):
        load_plan(path)


def test_a_field_twice(written):
    """Which of the two is meant is not known: refused with its name. Tempting: the second, in silence."""
    text = written.read_text()
    written.write_text(text.replace('"objective": ', '"objective": 99.0, "objective": ', 1))
    with pytest.raises(InputError, match="'objective' is there twice"):
        load_plan(written)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated(share, written):
    """A file cut short anywhere is refused."""
    text = written.read_text()
    written.write_text(text[: int(share * len(text))])
    with pytest.raises(InputError):
        load_plan(written)


def test_no_file(tmp_path):
    """A missing file is refused with its path."""
    with pytest.raises(InputError, match="no such file"):
        load_plan(tmp_path / "none.json")
