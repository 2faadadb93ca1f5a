"""`cuvee score`: the table, the record, and the exit code."""

import json

import pytest

POINTS = """\
id,group,gpu,model,engine,engine_version,isl,osl,tp,req_s,doubtful
a,mine,H100-SXM,llama-3.1-8b,vllm,0.11,1000,500,1,12,False
b,mine,H100-SXM,llama-3.1-8b,vllm,0.11,1000,500,2,20,False
c,mine,H100-SXM,no-such-model,vllm,0.11,1000,500,2,20,False
d,mine,H100-SXM,llama-3.1-8b,vllm,0.11,1000,500,4,1,True
"""


def test_a_table_and_a_record(cuvee, tmp_path):
    """Both name the group, the row that cannot be modelled and the one that is left out."""
    path = tmp_path / "points.csv"
    path.write_text(POINTS)
    table, record = cuvee("score", path), cuvee("score", path, "--json")
    assert (table.code, table.err, record.code, record.err) == (0, "", 0, "")
    assert "mine" in table.out
    assert "unknown model 'no-such-model': c" in table.out
    assert "as the file doubts them: 1" in table.out
    assert max(map(len, table.out.splitlines())) <= 100
    found = json.loads(record.out)
    assert found["schema_version"] == 1
    assert found["groups"]["mine"]["rate"]["count"] == 2
    assert found["overall"]["pair_order"]["pairs"] == 1
    assert [row["id"] for row in found["comparisons"]] == ["a", "b"]
    assert [row["id"] for row in found["not_modelled"]] == ["c"]
    assert found["doubtful"] == ["d"]


def test_screen_and_record_agree(cuvee, tmp_path):
    """Every figure of the table stands in the record: errors and their bias for each group and all, shares of pairs."""
    path = tmp_path / "points.csv"
    rows = POINTS.splitlines()
    again = [f"{row.replace('mine', 'other')}" for row in rows[1:3]]
    path.write_text(
        "\n".join([*rows, again[0].replace("a,", "e,", 1), again[1].replace("b,", "f,", 1).replace("20", "9")])
    )
    table, record = cuvee("score", path), json.loads(cuvee("score", path, "--json").out)
    assert f"{record['num_points']} measured points" in table.out
    lines = table.out.splitlines()
    for label, found in {**record["groups"], "all": record["overall"]}.items():
        errors, order = found["rate"], found["pair_order"]
        shown = next(line for line in lines if f" {label} " in f" {line}" and "req/s" in line)
        for name in ("median", "mean", "p90"):
            assert f"{errors[name]:.1%}" in shown
        assert f"{errors['bias']:.2f}" in shown
        assert f"{order['right_share']:.1%}" in shown
    order = record["overall"]["pair_order"]
    said = " ".join(table.out.split())
    assert f"right in {order['right_share']:.1%} of {order['pairs']} pairs" in said
    assert f"a fifth or more, {order['clear_right_share']:.1%} of {order['clear_pairs']}" in said


def test_latencies_left_out_are_counted(cuvee, tmp_path):
    """One of two paced points is beyond what the model sustains: its latency, the worst, is in no error. It is told."""
    path = tmp_path / "points.csv"
    header, row = "id,gpu,model,engine,engine_version,isl,osl,tp", "H100-SXM,llama-3.1-8b,vllm,0.11,1000,500,1"
    path.write_text(f"{header},request_rate,ttft_ms,req_s\na,{row},1,100,\nb,{row},600,9000,\nc,{row},,,9\n")
    table, record = cuvee("score", path), cuvee("score", path, "--json")
    said = " ".join(table.out.split())
    assert "TTFT and TPOT: 1 of 2 paced points left out because the model says they are not sustained" in said
    assert json.loads(record.out)["paced_points"] == {"not_sustained": 1, "all": 2}


def test_nothing_to_compare(cuvee, tmp_path):
    """A file of which no row can be modelled ends with 1, and says why."""
    path = tmp_path / "points.csv"
    path.write_text("\n".join(POINTS.splitlines()[:1] + POINTS.splitlines()[3:4]) + "\n")
    result = cuvee("score", path)
    assert result.code == 1
    assert "unknown model" in result.out


def test_files_that_cannot_be_used(cuvee, tmp_path):
    """A missing file and one of other columns end with 2."""
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    for path in (tmp_path / "none.csv", other):
        result = cuvee("score", path)
        assert result.code == 2
        assert "to do:" in result.err


@pytest.mark.parametrize("command", ["score", "calibrate", "import"])
def test_an_unknown_version_is_told(cuvee, tmp_path, command):
    """A version that is none is compared with the engine's usual settings, and that is said."""
    path = tmp_path / "points.csv"
    path.write_text("gpu,model,engine,engine_version,isl,osl,req_s\nA40,llama-3-8b,vllm,banana,500,500,3\n")
    result = cuvee(command, path)
    assert result.code == 0
    assert "version 'banana' of vllm" in " ".join(result.out.split())
    assert "1 measured points" not in result.out
    assert "1 load points" not in result.out
