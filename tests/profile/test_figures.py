"""Figures that nobody can have measured: one range for each unit, wherever the figure stands."""

import json

import pytest

from cuvee.cli.terminal import print_json
from cuvee.errors import InputError
from cuvee.profile.imports.formats import read_load_points
from cuvee.profile.measured_files import load_throughput_table
from cuvee.profile.measurements import load_measurements

ROW = {
    "gpu": "a100-80gb", "model": "llama3-8b", "engine": "vllm", "isl": "100", "osl": "100", "req_s": "2",
    "out_tok_s": "200", "ttft_ms": "50", "tpot_ms": "10", "concurrency": "8", "tp": "1",
}  # fmt: skip
READERS = (load_measurements, read_load_points, load_throughput_table)
IN_ALL = ("isl", "osl", "req_s", "ttft_ms", "tpot_ms", "concurrency")


def table(tmp_path, **cells):
    """A CSV of one row."""
    row = ROW | cells
    path = tmp_path / "points.csv"
    path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("column", IN_ALL)
@pytest.mark.parametrize("text", ["1e-320", "1e-12", "1e16", "1e308"])
def test_absurd_figures_are_refused_with_the_range_of_their_unit(tmp_path, reader, column, text):
    """1e-320 reached infinity as a quotient, and 1e308 was refused as "above 0", which it is."""
    with pytest.raises(InputError, match=rf"{column} = '{text}'\n +expected: a number from [\d.]+ to [\d,]+ \["):
        reader(table(tmp_path, **{column: text}))


@pytest.mark.parametrize("reader", READERS)
def test_ordinary_figures_pass(tmp_path, reader):
    """The same row with figures of a benchmark is read."""
    assert reader(table(tmp_path))


@pytest.mark.parametrize("reader", READERS[:2])
def test_the_quotient_of_two_figures_has_a_range_too(tmp_path, reader):
    """A rate of tokens over a length is a rate of requests: each of them can be, and one in 300 years cannot."""
    with pytest.raises(InputError, match=r"expected: a number from 0\.000001 to 1,000,000 \[req/s\]"):
        reader(table(tmp_path, req_s="", out_tok_s="0.001", osl="1e7"))


def test_a_rate_of_tokens_has_a_range(tmp_path):
    """Beside a rate of requests, which tables of rates and of points to score take instead."""
    with pytest.raises(InputError, match=r"expected: a number from 0\.000001 to 1,000,000,000 \[tokens/s\]"):
        read_load_points(table(tmp_path, out_tok_s="1e10"))


def test_json_holds_no_number_that_json_has_not(capsys):
    """NaN and infinities are null, at any depth, and other numbers as they are."""
    print_json({"a": [float("nan"), {"b": float("inf")}], "c": (-float("inf"), 1.5, 2, True, "NaN", None)})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "a": [None, {"b": None}], "c": [None, 1.5, 2, True, "NaN", None],
    }  # fmt: skip
