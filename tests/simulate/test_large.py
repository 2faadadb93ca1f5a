"""Simulations of many requests: what figures and files take in memory, and files that are written in pieces."""

import tracemalloc

import pytest

import cuvee
from cuvee.report import request_files
from cuvee.report.request_files import write_requests
from cuvee.simulate.metrics import report
from cuvee.simulate.simulation import Simulation, simulate

NUMBER = 200_000
"""Requests [-]."""


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    """Many requests on a small fleet."""
    demand = cuvee.Demand((cuvee.WorkloadType("brief", 100, 3),), (1.0,))
    entry = cuvee.ModelDemand(cuvee.load_model("llama-3-8b"), demand)
    problem = cuvee.PlanProblem((entry,), cuvee.load_offers("paper-avail-1"), cuvee.Limits(1.0))
    return simulate(cuvee.plan(problem), num_requests=NUMBER, load=0.5)


def peak_bytes(function, *given) -> int:
    """Most memory that a call takes at one time [bytes]."""
    tracemalloc.start()
    try:
        function(*given)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_figures_take_less_than_the_requests(simulation):
    """Less at a time than the records of the requests do. Tempting: a copy of all of them, and latencies beside it."""
    assert peak_bytes(report, simulation) < simulation.requests.nbytes


def test_a_file_of_many_requests_takes_no_more_memory(simulation, tmp_path, monkeypatch):
    """With pieces of 1 % of the requests less than 60 bytes a request; as one piece it takes ten times as much."""
    monkeypatch.setattr(request_files, "PIECE", NUMBER // 100)
    assert peak_bytes(write_requests, tmp_path / "r.csv", simulation) < 60 * NUMBER


def test_pieces_make_up_the_whole(simulation, tmp_path, monkeypatch):
    """Three pieces, the last one short: the same CSV."""
    for piece in (NUMBER, NUMBER * 2 // 5):
        monkeypatch.setattr(request_files, "PIECE", piece)
        write_requests(tmp_path / f"{piece}.csv", simulation)
    whole = (tmp_path / f"{NUMBER}.csv").read_bytes()
    assert whole.count(b"\n") == NUMBER + 1
    assert (tmp_path / f"{piece}.csv").read_bytes() == whole


def test_pieces_are_row_groups(simulation, tmp_path, monkeypatch):
    """The same three pieces as Parquet: the same table in three row groups."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow, of the extra [parquet], is not installed")
    pieces = (NUMBER, NUMBER * 2 // 5)
    for piece in pieces:
        monkeypatch.setattr(request_files, "PIECE", piece)
        write_requests(tmp_path / f"{piece}.parquet", simulation)
    whole, parts = (parquet.ParquetFile(tmp_path / f"{piece}.parquet") for piece in pieces)
    assert [whole.num_row_groups, parts.num_row_groups] == [1, 3]
    assert whole.read().equals(parts.read())
