"""Runs of real engines: a folder with what served (meta.json) and what became of each request (requests.jsonl)."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.models import parse_json_object
from cuvee.catalog.records import Record
from cuvee.errors import InputError
from cuvee.files import open_text, read_text
from cuvee.simulate.run_setup import RunSetup, setup_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

META = "meta.json"
REQUESTS = ("requests.jsonl", "requests.jsonl.gz")
COLUMNS = (
    "input_toks", "output_toks", "arrival_time", "queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts",
)  # fmt: skip
IN_ORDER = ("queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts")

FORM = f"a folder with {META} and {REQUESTS[0]}, plain or .gz, or a folder of such folders"
COLUMNS_EXPECTED = f"objects with {', '.join(COLUMNS)}"

DEEPEST = 4
MOST_FOLDERS = 1000
"""How far down folders are looked through, and how many."""

MOST_REQUESTS = 1_000_000
MOST_TOKENS = 10_000_000
SAME_TIME_S = 1e-6
LATEST_S = 1e11
"""Latest time on any clock, counted from any day [s]."""

LONGEST_DELAY_S = 3600.0
"""Longest delay between arrival and queue that is believed [s]: above it, the clocks do not belong together."""


@dataclass(frozen=True, eq=False)
class EngineRun:
    """One run, its requests by arrival; times from the first arrival [s].

    Attributes
        arrival_s           On the engine's clock: the request that the engine knew soonest after it arrived, it knew at
                            once.
        queued_s            When the engine knew of it; it looks once a step.
        first_s, last_s     First and last token.
        prompt, answer      Lengths [tokens].
        left_out            Requests without an answer.
    """

    folder: Path
    setup: RunSetup
    arrival_s: Floats
    queued_s: Floats
    first_s: Floats
    last_s: Floats
    prompt: Ints
    answer: Ints
    left_out: int = 0

    @property
    def num_requests(self) -> int:
        """Requests with an answer [-]."""
        return len(self.prompt)


def read_runs(
    folder: str | Path,
    *,
    gpu: str | None = None,
    model: str | None = None,
    precision: str | None = None,
    leave_out: Callable[[InputError], None] | None = None,
) -> list[EngineRun]:
    """The runs of a folder, by name: one of its own, or those of the folders in it.

    Parameters
        gpu, model, precision    In place of what the files say.
        leave_out                Told of each run that cannot be used where others can; None: such a run is an error.
    Raises                       InputError: no run, or files that cannot be used; UnknownNameError.
    """
    root = Path(folder)
    if not root.is_dir():
        found = "a file, and no folder" if root.exists() else "no such folder"
        raise InputError(f"{folder}: {found}", expected=FORM, remedy="name the folder that it is in, or check the path")
    folders = list(_folders_of_runs(root))
    if not folders:
        raise InputError(f"{folder}: no {REQUESTS[0]} in it", expected=FORM, remedy="name the folder of the run")
    runs, errors = [], []
    for each in folders:
        try:
            runs.append(_read_run(each, gpu=gpu, model=model, precision=precision))
        except InputError as error:
            if leave_out is None:
                raise
            errors.append(error)
    if not runs:
        raise errors[0]
    if leave_out is not None:
        for reason in errors:
            leave_out(reason)
    return runs


def _folders_of_runs(root: Path) -> Iterator[Path]:
    """Folders that hold requests, `root` or below it."""
    for seen, (place, folders, files) in enumerate(os.walk(root)):
        if seen >= MOST_FOLDERS:
            raise InputError(
                f"{root}: more than {MOST_FOLDERS} folders", expected=FORM, remedy="name the folder of the runs"
            )
        here = Path(place)
        folders[:] = sorted(folders) if len(here.relative_to(root).parts) < DEEPEST else []
        if any(name in files for name in REQUESTS):
            yield here


def _read_run(folder: Path, *, gpu: str | None, model: str | None, precision: str | None) -> EngineRun:
    path = folder / META
    if not path.is_file():
        raise InputError(f"{folder}: no {META}", expected=FORM, remedy=f"add its {META}: what served, and how")
    meta = Record(str(path), parse_json_object(read_text(path), str(path)))
    setup = setup_of(meta, folder, gpu=gpu, model=model, precision=precision)
    return _with_requests(folder, next(folder / name for name in REQUESTS if (folder / name).is_file()), setup)


def _with_requests(folder: Path, path: Path, setup: RunSetup) -> EngineRun:
    rows, left_out = [], 0
    with open_text(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.isspace():
                continue
            row = _row(line, f"{path}:{number}")
            left_out += row is None
            if row is not None:
                rows.append(row)
            if len(rows) > MOST_REQUESTS:
                raise InputError(f"{path}: more than {MOST_REQUESTS:,} requests", expected="a run of fewer")
    if not rows:
        found = f"{left_out} requests, none with an answer" if left_out else "no requests"
        raise InputError(f"{path}: {found}", expected="at least one request with its times")
    columns = dict(zip(COLUMNS, np.array(rows).T, strict=True))
    delay_s = columns["queued_ts"] - columns["arrival_time"]
    if delay_s.max() - delay_s.min() > LONGEST_DELAY_S:
        raise InputError(
            f"{path}: queued_ts less arrival_time differs by {delay_s.max() - delay_s.min():,.0f} s among requests",
            expected=f"one clock for arrivals and one for the engine, and delays of at most {LONGEST_DELAY_S:,.0f} s",
            remedy="correct or remove the lines that are off",
        )
    arrival_s = columns["arrival_time"] + delay_s.min()
    order = np.argsort(arrival_s, kind="stable")
    first_arrival_s = arrival_s[order[0]]
    columns["arrival_time"] = arrival_s
    times = {name: columns[name][order] - first_arrival_s for name in COLUMNS[2:]}
    return EngineRun(
        folder,
        setup,
        times["arrival_time"],
        times["queued_ts"],
        times["first_token_ts"],
        times["last_token_ts"],
        columns["input_toks"][order].astype(np.int64),
        columns["output_toks"][order].astype(np.int64),
        left_out,
    )


def _row(line: str, place: str) -> list[float] | None:
    """The `COLUMNS` of one request; None of one that has no answer."""
    record = Record(place, parse_json_object(line, place))
    missing = [name for name in COLUMNS if name not in record.values]
    if missing:
        raise InputError(f"{place}: no {', '.join(missing)}", expected=COLUMNS_EXPECTED, remedy="correct the file")
    if record.is_empty("last_token_ts") or record.is_empty("first_token_ts") or record.values["output_toks"] == 0:
        return None
    for name in COLUMNS[:2]:
        record.count(name, default=0, low=1, high=MOST_TOKENS)
    row = [record.number(name, "a number of seconds, or of tokens") for name in COLUMNS]
    times = dict(zip(COLUMNS, row, strict=True))
    for name in COLUMNS[2:]:
        if abs(times[name]) > LATEST_S:
            raise record.error(name, f"a time within {LATEST_S:g} s", "correct or remove the line")
    for before, after in pairwise(IN_ORDER):
        if times[after] < times[before] - SAME_TIME_S:
            raise InputError(
                f"{place}: {after} = {times[after]:.6f} before {before} = {times[before]:.6f}",
                expected=f"times in the order {', '.join(IN_ORDER)}, on one clock",
                remedy="correct or remove the line",
            )
    return row
