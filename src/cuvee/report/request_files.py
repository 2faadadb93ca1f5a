"""Every request of a simulation as a file: CSV, or Parquet where the name ends in .parquet."""

import importlib.util
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.tables import csv_lines, csv_text
from cuvee.errors import MissingExtraError
from cuvee.files import write_atomic
from cuvee.simulate.arrays import NONE, Records
from cuvee.simulate.simulation import Simulation

if TYPE_CHECKING:
    from typing_extensions import Buffer

PARQUET = ".parquet"

PIECE = 50_000
"""Requests that are made ready at a time, so that a file of millions takes no more memory [-]."""

TIMES = ("arrival_s", "first_token_s", "finish_s")
"""Columns of times [s], to the microsecond in a CSV."""


def check_requests_file(path: Path) -> None:
    """Raise MissingExtraError where a file of this name cannot be written for lack of pyarrow."""
    if path.suffix == PARQUET and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("a Parquet file (a .csv file does not)", "parquet")


def write_requests(path: Path, simulation: Simulation) -> None:
    """Write every request; raises MissingExtraError, and InputError where the file cannot be written."""
    check_requests_file(path)
    number = len(simulation.requests)
    pieces = (request_columns(simulation, slice(start, start + PIECE)) for start in range(0, number, PIECE))
    write_atomic(path, _parquet(pieces) if path.suffix == PARQUET else _csv(pieces))


def request_columns(simulation: Simulation, piece: slice = slice(None)) -> dict[str, NDArray[Any]]:
    """Columns of equal length by their names, of all requests or of a `piece` of them.

    Returns     Times [s], nan where there is none; lengths and prompt tokens found in the cache [tokens]; names of
                model, workload type, group, and of the group that prefilled it for another one, empty where there is
                none; replica of its group, -1 of none.
    """
    fleet, row = simulation.fleet, simulation.row[piece]
    requests: Records = simulation.requests[piece].view(np.recarray)
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
        "model": np.array([each.model for each in fleet.rows])[row],
        "workload": np.array([each.kind.name for each in fleet.rows])[row],
        "group": ids[group],
        "replica": np.where(group == NONE, NONE, requests.replica - first_of[group]),
    }
    if fleet.is_apart:
        columns["prefilled_by"] = ids[group_of[requests.sender]]
    if simulation.found is not None:
        columns["cached_tokens"] = np.maximum(simulation.found[piece], 0)
    return columns


def _csv(pieces: Iterator[dict[str, NDArray[Any]]]) -> Iterator[str]:
    for number, columns in enumerate(pieces):
        if number == 0:
            yield csv_text(tuple(columns), ())
        texts = {name: values.tolist() for name, values in columns.items()}
        for name in TIMES:
            texts[name] = ["" if value != value else f"{value:.6f}" for value in texts[name]]  # noqa: PLR0124  nan
        texts["replica"] = ["" if value == NONE else value for value in texts["replica"]]
        yield csv_lines(zip(*texts.values(), strict=True))


class _Sink(RawIOBase):
    """What pyarrow writes, to be taken away piece by piece."""

    def __init__(self) -> None:
        self._position = 0
        self._written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: "Buffer", /) -> int:
        self._written.append(bytes(data))
        self._position += len(self._written[-1])
        return len(self._written[-1])

    def taken(self) -> bytes:
        """What was written since the last time."""
        written, self._written = self._written, []
        return b"".join(written)


def _parquet(pieces: Iterator[dict[str, NDArray[Any]]]) -> Iterator[bytes]:
    """A row group for each piece."""
    import pyarrow
    from pyarrow import parquet

    sink, writer = _Sink(), None
    for columns in pieces:
        empty = {name: np.isnan(columns[name]) for name in TIMES}
        empty |= {name: values == "" for name, values in columns.items() if values.dtype.kind == "U"}
        empty["replica"] = columns["replica"] == NONE
        table = pyarrow.table({name: pyarrow.array(values, mask=empty.get(name)) for name, values in columns.items()})
        writer = writer or parquet.ParquetWriter(sink, table.schema)
        writer.write_table(table)
        yield sink.taken()
    if writer is not None:
        writer.close()
    yield sink.taken()
