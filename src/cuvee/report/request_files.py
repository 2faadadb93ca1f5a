"""Every request of a simulation as a file: CSV, or Parquet where the name ends in .parquet."""

import importlib.util
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.tables import csv_text
from cuvee.errors import MissingExtraError
from cuvee.files import write_atomic
from cuvee.simulate.arrays import NONE
from cuvee.simulate.simulation import Simulation

PARQUET = ".parquet"

TIMES = ("arrival_s", "first_token_s", "finish_s")
"""Columns of times [s], to the microsecond in a CSV."""


def check_requests_file(path: Path) -> None:
    """Raise MissingExtraError where a file of this name cannot be written for lack of pyarrow."""
    if path.suffix == PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("a Parquet file (a .csv file does not)", "parquet")


def write_requests(path: Path, simulation: Simulation) -> None:
    """Write every request; raises MissingExtraError, and InputError where the file cannot be written."""
    check_requests_file(path)
    columns = request_columns(simulation)
    write_atomic(path, _parquet(columns) if path.suffix == PARQUET else _csv(columns))


def request_columns(simulation: Simulation) -> dict[str, NDArray[Any]]:
    """Columns of equal length by their names.

    Returns     Times [s], nan where there is none; lengths and prompt tokens found in the cache [tokens]; names of
                model, workload type, group, and of the group that prefilled it for another one, empty where there is
                none; replica of its group, -1 of none.
    """
    fleet, requests = simulation.fleet, simulation.requests
    ids = np.array([*(each.group.id for each in fleet.groups), ""])
    group_of = np.append(fleet.group_of, NONE)
    first_of = np.append(np.searchsorted(fleet.group_of, np.arange(len(fleet.groups))), 0)
    group = group_of[requests.replica]
    columns = {
        "arrival_s": requests.arrival_s,
        "input_tokens": requests.prompt,
        "output_tokens": requests.answer,
        "first_token_s": np.where(requests.first_s > 0, requests.first_s, np.nan),
        "finish_s": np.where(requests.finish_s >= 0, requests.finish_s, np.nan),
        "model": np.array([row.model for row in fleet.rows])[simulation.row],
        "workload": np.array([row.kind.name for row in fleet.rows])[simulation.row],
        "group": ids[group],
        "replica": np.where(group == NONE, NONE, requests.replica - first_of[group]),
    }
    if fleet.is_apart:
        columns["prefilled_by"] = ids[group_of[requests.sender]]
    if simulation.found is not None:
        columns["cached_tokens"] = np.maximum(simulation.found, 0)
    return columns


def _csv(columns: dict[str, NDArray[Any]]) -> str:
    texts = dict(columns)
    for name in TIMES:
        texts[name] = np.array(["" if np.isnan(value) else f"{value:.6f}" for value in columns[name].tolist()])
    texts["replica"] = np.where(columns["replica"] == NONE, "", columns["replica"].astype(str))
    return csv_text(tuple(columns), zip(*(texts[name].tolist() for name in columns), strict=True))


def _parquet(columns: dict[str, NDArray[Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    empty = {name: np.isnan(columns[name]) for name in TIMES}
    empty |= {name: values == "" for name, values in columns.items() if values.dtype.kind == "U"}
    empty["replica"] = columns["replica"] == NONE
    table = pyarrow.table({name: pyarrow.array(values, mask=empty.get(name)) for name, values in columns.items()})
    stream = BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()
