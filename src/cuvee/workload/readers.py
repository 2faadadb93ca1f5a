"""Trace files in."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.files import open_text
from cuvee.units import plural
from cuvee.workload.cells import MISSING_TOKENS, Column, parse_arrivals, parse_blocks, parse_tokens
from cuvee.workload.columns import ColumnNames
from cuvee.workload.prefixes import Prefixes
from cuvee.workload.records import Trace
from cuvee.workload.rows import Batch, read_batches

_SUFFIXES = (".gz", ".csv", ".jsonl", ".json", ".txt")


def load_trace(path: str | Path, *, columns: ColumnNames | None = None, name: str | None = None) -> Trace:
    """Requests of a trace file, read in one pass.

    Parameters
        path       CSV with a header or JSONL, plain or gzip. Recognised by its columns: Azure, BurstGPT,
                   Mooncake (with prefixes), ServeGen samples, input_tokens, output_tokens with or without
                   arrival_s.
        columns    Columns to read from a file of any other form.
        name       Name of the trace; the file's own without one.
    Returns      trace with arrivals ascending, in seconds from the first request kept.
    Raises       InputError: unreadable, unknown columns, a cell that is no number, or no usable row.
    Notes        Rows whose tokens are zero, missing or negative, or whose arrival is missing, are left out
                 and counted in `num_skipped`; BurstGPT writes a failed request as zero answer tokens.
    """
    gathered = _Gathered()
    with open_text(path) as stream:
        for batch in read_batches(stream, str(path), columns):
            gathered.add(batch)
    if gathered.num_kept == 0:
        raise InputError(
            f"{path}: no usable request ({_counts(gathered.num_skipped) or 'no row after the header'})",
            expected="at least one row with prompt and answer tokens above 0",
            remedy="check which columns hold the lengths",
        )
    return gathered.to_trace(name or _stem(path), str(path))


@dataclass
class _Gathered:
    """Columns gathered batch by batch: arrays, since lists of Python numbers take four times the memory."""

    input_tokens: list[NDArray[np.int64]] = field(default_factory=list)
    output_tokens: list[NDArray[np.int64]] = field(default_factory=list)
    arrival_s: list[NDArray[np.float64]] = field(default_factory=list)
    model: list[NDArray[np.int64]] = field(default_factory=list)
    num_blocks: list[NDArray[np.int64]] = field(default_factory=list)
    blocks: list[NDArray[np.int64]] = field(default_factory=list)
    model_index: dict[str, int] = field(default_factory=dict)
    num_skipped: Counter[str] = field(default_factory=Counter)
    num_kept: int = 0

    def add(self, batch: Batch) -> None:
        """Parse a batch and keep its usable rows."""
        inputs = _add_up([parse_tokens(column) for column in batch.inputs])
        outputs = parse_tokens(batch.output)
        unit = batch.columns.arrival_unit
        arrivals = None if batch.arrival is None else parse_arrivals(batch.arrival, unit)
        keep = self._usable(inputs, outputs, arrivals)
        self.num_kept += int(keep.sum())
        self.input_tokens.append(inputs[keep])
        self.output_tokens.append(outputs[keep])
        if arrivals is not None:
            self.arrival_s.append(arrivals[keep])
        if batch.model is not None:
            self.model.append(self._model_codes(batch.model, keep))
        if batch.blocks is not None:
            kept = [each for each, is_kept in zip(parse_blocks(batch.blocks), keep, strict=True) if is_kept]
            self.num_blocks.append(np.array([len(each) for each in kept], dtype=np.int64))
            self.blocks.append(np.array([number for each in kept for number in each], dtype=np.int64))

    def _usable(
        self, inputs: NDArray[np.int64], outputs: NDArray[np.int64], arrivals: NDArray[np.float64] | None
    ) -> NDArray[np.bool_]:
        """Rows to keep; the others are counted under the first reason that holds."""
        faults = {}
        for label, tokens in (("input", inputs), ("output", outputs)):
            faults[f"missing {label} tokens"] = tokens == MISSING_TOKENS
            faults[f"negative {label} tokens"] = tokens < 0
            faults[f"zero {label} tokens"] = tokens == 0
        if arrivals is not None:
            faults["missing arrival"] = np.isnan(arrivals)
        keep = np.ones(len(inputs), dtype=np.bool_)
        for reason, found in faults.items():
            if num_found := int((found & keep).sum()):
                self.num_skipped[reason] += num_found
            keep &= ~found
        return keep

    def _model_codes(self, column: Column, keep: NDArray[np.bool_]) -> NDArray[np.int64]:
        names = (column.cells[row].strip() or "unnamed" for row in np.flatnonzero(keep).tolist())
        codes = [self.model_index.setdefault(name, len(self.model_index)) for name in names]
        return np.array(codes, dtype=np.int64)

    def to_trace(self, name: str, source: str) -> Trace:
        """Trace of everything gathered, sorted by arrival."""
        columns = [np.concatenate(self.input_tokens), np.concatenate(self.output_tokens)]
        model = np.concatenate(self.model) if self.model else None
        arrivals = np.concatenate(self.arrival_s) if self.arrival_s else None
        prefixes, notes = self._prefixes(columns[0])
        if arrivals is None:
            notes += ("the file gives no arrival times: lengths only",)
        else:
            num_early = int((np.diff(arrivals) < 0).sum())
            if num_early:
                order = np.argsort(arrivals, kind="stable")
                columns, arrivals = [column[order] for column in columns], arrivals[order]
                model = None if model is None else model[order]
                prefixes = None if prefixes is None else prefixes.of(order)
                notes += (f"{plural(num_early, 'row')} stood after a later arrival: sorted by arrival",)
            arrivals = arrivals - arrivals[0]
        return Trace(
            name=name,
            input_tokens=columns[0],
            output_tokens=columns[1],
            arrival_s=arrivals,
            model=model,
            model_names=tuple(self.model_index),
            num_skipped=dict(self.num_skipped),
            source=source,
            notes=notes,
            prefixes=prefixes,
        )

    def _prefixes(self, prompts: NDArray[np.int64]) -> tuple[Prefixes | None, tuple[str, ...]]:
        """Blocks of all prompts, and what is to be said of them."""
        counts = np.concatenate(self.num_blocks) if self.num_blocks else np.zeros(0, np.int64)
        if not counts.any():
            return None, ()
        prefixes = Prefixes.joined(counts, np.concatenate(self.blocks), prompts)
        if prefixes is None:
            return None, ("its blocks of prompts are of no one size, so nothing is known of prefixes",)
        return prefixes, ()


def _add_up(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Sum over columns [tokens]; the lowest part where one is missing or negative."""
    if len(parts) == 1:
        return parts[0]
    stacked = np.array(parts)
    lowest = stacked.min(axis=0)
    total: NDArray[np.int64] = np.where(lowest < 0, lowest, stacked.sum(axis=0))
    return total


def _counts(num_by_reason: dict[str, int]) -> str:
    return ", ".join(f"{count:,} with {reason}" for reason, count in num_by_reason.items())


def _stem(path: str | Path) -> str:
    stem = Path(path).name
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem or str(path)
