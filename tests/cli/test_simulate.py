"""`cuvee simulate` on the command line."""

import csv
import importlib.util
import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory):
    """A small plan in a file."""
    from cuvee.plan.outcome.files import plan_to_json
    from tests.simulate.test_simulation import planned

    path = tmp_path_factory.mktemp("plan") / "plan.json"
    path.write_text(plan_to_json(planned()))
    return str(path)


def test_the_screen_names_rate_latencies_groups_and_shares(cuvee, plan_file):
    """What somebody who has a plan wants to know first."""
    out = cuvee("simulate", plan_file, "--requests", "500", "--load", "0.5", "--ttft", "5").out
    for text in ("500 requests from the plan's mix", "(5", "$ per million output tokens", "within the latency limits",
                 "TTFT p50", "brief", "g1", "every share is within 1%", "simulated per CPU second"):  # fmt: skip
        assert text in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100


def test_json_has_every_percentile_and_no_nan(cuvee, plan_file):
    """The record is plain JSON, also where nothing was served."""
    out = cuvee("simulate", plan_file, "--requests", "50", "--fail", "g1@0", "--drain", "g2@0", "--json").out
    record = json.loads(out, parse_constant=pytest.fail)
    assert record["percentiles"][-2:] == [99, 100]
    assert len(record["scopes"][0]["ttft"]["percentiles_s"]) == len(record["percentiles"])
    assert record["requests_per_cpu_s"] > 0
    assert [event["kind"] for event in record["events"]] == ["fail", "drain"]


def test_every_request_as_csv(cuvee, plan_file, tmp_path):
    """One line a request, with model, type, group and replica."""
    out = tmp_path / "requests.csv"
    cuvee("simulate", plan_file, "--requests", "40", "--out", str(out))
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 40
    assert {row["workload"] for row in rows} == {"brief", "wordy"}
    assert all(float(row["finish_s"]) >= float(row["first_token_s"]) > float(row["arrival_s"]) for row in rows)


def test_every_request_as_parquet(cuvee, plan_file, tmp_path):
    """The same columns; what a request has not got is empty."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, of the extra [parquet], is not installed")
    out = tmp_path / "requests.parquet"
    assert cuvee("simulate", plan_file, "--requests", "40", "--fail", "g1@2", "--out", str(out)).code == 0
    assert cuvee("simulate", plan_file, "--requests", "40", "--fail", "g1@2", "--out", str(out) + ".csv").code == 0
    rows = list(csv.DictReader((tmp_path / "requests.parquet.csv").read_text().splitlines()))
    table = parquet.read_table(out)
    assert table.column_names == list(rows[0])
    assert table["input_tokens"].to_pylist() == [int(row["input_tokens"]) for row in rows]
    assert table["group"].to_pylist() == [row["group"] or None for row in rows]
    assert table["finish_s"].null_count == sum(not row["finish_s"] for row in rows) > 0


def test_parquet_without_pyarrow(cuvee, plan_file, tmp_path, monkeypatch):
    """Before anything is played: which extra brings it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    done = cuvee("simulate", plan_file, "--out", str(tmp_path / "requests.parquet"))
    assert (done.code, "cuvee[parquet]" in done.err) == (2, True)


def test_prefixes_of_a_trace(cuvee, plan_file, tmp_path):
    """The second prompt is found but for its last block, which the screen, the JSON and the file say."""
    trace, out = tmp_path / "trace.jsonl", tmp_path / "requests.csv"
    row = '{{"timestamp": {}, "input_length": 1024, "output_length": 50, "hash_ids": [0, 1]}}\n'
    trace.write_text("".join(row.format(1000 * each) for each in range(9)))
    asked = ("simulate", plan_file, "--trace", str(trace), "--prefix-cache", "--fail", "g1@0")
    assert "found in the prefix cache: 87.5% of prompt tokens" in cuvee(*asked).out  # 8 x 1008 of 9 x 1024
    record = json.loads(cuvee(*asked, "--json", "--out", str(out)).out)
    assert record["prefix_cache"] is True
    assert record["scopes"][0]["found_share"] == 0.875
    found = [row["cached_tokens"] for row in csv.DictReader(out.read_text().splitlines())]
    assert found == ["0", *["1008"] * 8]


def test_no_file_is_overwritten_unasked(cuvee, plan_file, tmp_path):
    """Neither the plan itself nor any other; with --force another one is."""
    kept = tmp_path / "kept.csv"
    kept.write_text("mine")
    for path, message in ((plan_file, "is what the command reads"), (str(kept), "is there already")):
        done = cuvee("simulate", plan_file, "--requests", "10", "--out", path)
        assert (done.code, message in done.err) == (2, True)
    assert kept.read_text() == "mine"
    assert cuvee("simulate", plan_file, "--requests", "10", "--out", str(kept), "--force").code == 0
    assert kept.read_text() != "mine"


def test_what_is_read_is_never_overwritten(cuvee, plan_file, tmp_path):
    """Not even with --force, nor under another name of the same file: the plan and the trace stay."""
    trace, link = tmp_path / "trace.csv", tmp_path / "link.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{each},1000,50\n" for each in range(200)))
    link.symlink_to(trace)
    asked = ("simulate", plan_file, "--trace", str(trace), "--force", "--out")
    for path in (Path(plan_file), trace, link):
        kept = path.read_text()
        done = cuvee(*asked, str(path))
        assert (done.code, "is what the command reads" in done.err, path.read_text()) == (2, True, kept)


def test_requests_of_another_mix_name_the_file_to_plan_for(cuvee, plan_file, tmp_path):
    """The command that is told can be typed as it stands."""
    trace = tmp_path / "a trace.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "".join(f"{each},1000,50\n" for each in range(200)))
    out = " ".join(cuvee("simulate", plan_file, "--trace", str(trace)).out.split())
    assert "not of the plan's mix" in out
    assert f"cuvee plan --trace '{trace}'".replace(" ", "") in out.replace(" ", "")


def test_an_event_after_the_end_is_told(cuvee, plan_file):
    """On the screen and in the notes of the JSON; an event in time is not."""
    asked = ("simulate", plan_file, "--requests", "20", "--fail", "g1@1000000000", "--drain", "g2@1")
    assert "without effect: fail g1 at 1e+09 s" in " ".join(cuvee(*asked).out.split())
    (note,) = json.loads(cuvee(*asked, "--json").out)["notes"]
    assert "drain" not in note


def test_shares_of_types_without_requests_are_unknown(cuvee, plan_file):
    """One request is of one type: the other has no achieved share. Tempting: 0, off the plan by all of it."""
    shares = json.loads(cuvee("simulate", plan_file, "--requests", "1", "--json").out)["shares"]
    known = {each["workload"]: each["achieved"] for each in shares if each["achieved"]}
    (absent,) = {each["workload"] for each in shares} - set(known)
    assert list(known.values()) == [1.0]
    assert {each["achieved"] for each in shares if each["workload"] == absent} == {None}
    out = cuvee("simulate", plan_file, "--requests", "1").out
    assert f"{absent} to" not in out


def test_a_draw_of_the_plans_own_mix_is_of_its_mix(cuvee, plan_file):
    """Few requests differ from the mix by chance: that is not said of the plan's own."""
    assert "not of the plan's mix" not in cuvee("simulate", plan_file, "--requests", "5").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail", "g1"], "GROUP[.REPLICA]@SECONDS"),
        (["--fail", "g1@1e3"], "plain digits"),
        (["--load", "1e-300"], "a number from 0.000001 to 1000"),
        (["--fail", "g1.0@-5"], "GROUP[.REPLICA]@SECONDS"),
        (["--fail", "g1@5+5"], "GROUP[.REPLICA]@SECONDS"),
        (["--fail", "g1.9@5"], "its 2 replicas"),
        (["--drain", "g7@5"], "g1, g2"),
        (["--interrupt", "g1@5"], "SECONDS+DELAY"),
        (["--interrupt", "g1@5+0"], "a delay above 0 s"),
        (["--prefix-cache"], "hash_ids"),
        (["--answers", "oracle"], "oracle"),
        (["--trace", "no-such-file.csv"], "no-such-file.csv"),
        (["--policy", "best"], "plan-live"),
        (["--ttft", "-1"], "ttft_s"),
    ],
)
def test_bad_input_is_told(cuvee, plan_file, arguments, message):
    """Exit code 2 and what was expected."""
    done = cuvee("simulate", plan_file, "--requests", "10", *arguments)
    assert done.code == 2
    assert message in done.err
