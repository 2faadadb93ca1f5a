"""What of a table of rates is left out, and what of it speaks of nothing that is asked, is told on stderr."""

import json

import pytest

HEADER = "gpu,model,engine,engine_version,isl,osl,tp,req_s,doubtful\n"
ROWS = (
    "A40,llama-3-8b,vllm,0.11,2000,20,1,3,no\n"  # taken
    "A40,llama-3-8b,vllm,0.11,2000,20,1,9,yes\n"  # left out on reading
    "A40,llama-3-8b,vllm,0.11,700,20,1,3,no\n"  # other lengths
    "A40,llama-3-70b,vllm,0.11,2000,20,1,0.3,no\n"  # another model
    "L40,llama-3-8b,vllm,0.11,2000,20,1,3,no\n"  # nobody offers it
    "A40,llama-3-8b,vllm,0.11,2000,20,64,3,no\n"  # larger than what there is
)
TOLD = (
    "note: table.csv: 1 row left out: marked doubtful",
    "note: table.csv: 1 row of nothing that is asked: lengths more than 5% from those of every workload type",
    "note: table.csv: 1 row of nothing that is asked: model llama-3-70b",
    "note: table.csv: 1 row of nothing that is asked: L40 not on offer",
    "note: table.csv: 1 row of nothing that is asked: no candidate is bf16 on TP64 A40",
)


@pytest.mark.parametrize("command", ["plan", "compare", "explain", "frontier", "periods"])
def test_rows_that_are_not_used_are_told(cuvee, small, command):
    """Each reason once, with its count. Tempting: silence, and an estimate in the place of the rates."""
    (small / "table.csv").write_text(HEADER + ROWS)
    found = cuvee(command, "scenario.yaml", "--throughput", "table.csv")
    assert found.code == 0, found
    assert [line for line in found.err.splitlines() if line.startswith("note: table.csv")] == list(TOLD)
    assert "rows of nothing" not in found.out


def test_a_table_that_is_used_whole_is_not_spoken_of(cuvee, small):
    """No note where every row is taken; JSON is nothing but JSON."""
    (small / "table.csv").write_text(HEADER + ROWS.splitlines()[0] + "\n")
    found = cuvee("plan", "scenario.yaml", "--throughput", "table.csv", "--json")
    assert (found.code, found.err) == (0, "")
    assert json.loads(found.out)["termination"] == "optimal"


def test_the_study_tells_as_well(cuvee, small):
    """Of a benchmark: lengths that no kind of request has."""
    (small / "table.csv").write_text(HEADER + "A40,llama-3-8b,vllm,0.11,700,20,1,3,no\n")
    asked = ("--model", "llama-3-8b", "--offers", "offers.csv", "--workload", "2000x20", "--throughput", "table.csv")
    found = cuvee("benchmark", *asked)
    assert found.code == 0
    assert "note: table.csv: 1 row of nothing that is asked: lengths more than 5%" in found.err
