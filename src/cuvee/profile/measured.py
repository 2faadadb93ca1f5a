"""The measured provider: rates read from a table, for the cells that the table has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from cuvee.catalog.model_names import normalize_model_name
from cuvee.catalog.models import catalogue_name, name_of_path
from cuvee.errors import InputError
from cuvee.profile.replica import ReplicaConfig, split_layers
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.table import NO_SOURCE, NOT_STATED, Provenance, RateSource, ThroughputTable
from cuvee.workload.records import WorkloadType

NEAR_TIE = 0.01
"""Lengths as near as the nearest within this [-] count as equally near, and the best rate among them is taken:
repeated runs draw slightly different lengths, and those at low concurrency did not fill the replica."""

LENGTH_TOLERANCE = 0.05
"""Widest gap to the measured lengths at which a workload is the same one, where none is stated [-]."""

ROUNDING = 1e-9
"""Slack of that gap for what rounding takes [-]."""

UNNAMED = "a table of rates without a name"

StageKey = tuple[str, int]
CellKey = tuple[str, tuple[StageKey, ...], str]


@dataclass(frozen=True)
class MeasuredRate:
    """One line of a throughput table: what one replica served.

    Attributes
        model             Model key, see `model_key`.
        stages            (GPU type, tensor parallel size) of each pipeline stage.
        layers            Layers of each stage; None where the table leaves the split to the engine: then it is even.
        precision         Weights; "bf16" also stands for "fp16", which takes the same bytes and time.
        kv_precision      Cache; None where not stated: then any matches.
        spans_machines    Whether stages talk over the network; None where not stated: then either matches.
        input_tokens      Mean prompt length [tokens].
        output_tokens     Mean answer length [tokens].
        relative_error    Error band of the rate [-], see `cuvee.profile.bands`.
        workload          Name of the type it was measured on, where it was no pair of lengths: then lengths are 0.
        date              Of the measurement; "" where the table does not say.
        concurrency       Requests held under way [-], where nobody says whether they filled the replica; else None.
        engine            Engine and version that served, e.g. "vllm-0.11"; "" where the table does not say.
    """

    model: str
    stages: tuple[StageKey, ...]
    layers: tuple[int, ...] | None
    precision: str
    kv_precision: str | None
    spans_machines: bool | None
    input_tokens: float
    output_tokens: float
    rate_req_per_s: float
    relative_error: float
    ttft_s: float = 0.0
    tpot_s: float = 0.0
    provenance: Provenance = Provenance.MEASURED
    source: str = ""
    workload: str = ""
    date: str = ""
    concurrency: float | None = None
    engine: str = ""

    def serves(self, config: ReplicaConfig) -> bool:
        """Whether `config`, equal in model, stages and precision, is the same in layers, cache and network too."""
        layers = tuple(stage.layers for stage in config.stages)
        return (
            layers == (self.layers or split_layers(config.num_layers, len(layers)))
            and self.kv_precision in (None, same_precision(config.kv_precision))
            and self.spans_machines in (None, config.spans_machines)
        )

    def distance(self, workload: WorkloadType) -> float:
        """Larger of the relative gaps between the workload's mean lengths and those measured [-]."""
        return max(
            abs(workload.input_tokens / self.input_tokens - 1), abs(workload.output_tokens / self.output_tokens - 1)
        )


@dataclass(frozen=True)
class TableProvider:
    """Rates of a table; a cell it does not have is unknown: `fits` False, rate 0.

    Parameters
        rates               Lines of the table.
        length_tolerance    Widest gap to the measured lengths at which a workload is the same one [-].
        name                Where the table comes from.
        notes               What was left out on reading, one a line.
    """

    rates: tuple[MeasuredRate, ...]
    length_tolerance: float = LENGTH_TOLERANCE
    name: str = ""
    notes: tuple[str, ...] = ()
    _by_cell: dict[CellKey, list[MeasuredRate]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.length_tolerance < 1:
            raise InputError(
                f"length_tolerance = {self.length_tolerance!r}", expected="a share of the lengths in [0, 1)"
            )
        by_cell = defaultdict(list)
        for rate in self.rates:
            by_cell[rate.model, rate.stages, rate.precision].append(rate)
        object.__setattr__(self, "_by_cell", dict(by_cell))

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads` where the table has the cell."""
        table = unknown_table(configs, workloads)
        sources: dict[RateSource, int] = {}
        for row, config in self._spoken_of(configs):
            known = [rate for rate in self._by_cell[_cell_key(config)] if rate.serves(config)]
            named = {rate.workload: rate for rate in known if rate.workload}
            by_lengths = [rate for rate in known if not rate.workload]
            for column, workload in enumerate(workloads):
                found = named.get(workload.name) or self._nearest(by_lengths, workload)
                if found is not None:
                    _fill(table, (row, column), found)
                    table.source[row, column] = sources.setdefault(self.source_of(found), len(sources))
        return replace(table, sources=tuple(sources))

    def source_of(self, rate: MeasuredRate) -> RateSource:
        """Where a line comes from: what it says itself, else the table."""
        return RateSource(rate.provenance, rate.source or self.name or UNNAMED, rate.date or NOT_STATED)

    def rates_of(self, configs: Iterable[ReplicaConfig]) -> tuple[MeasuredRate, ...]:
        """The lines that speak of `configs`, whatever the lengths, each with its source."""
        return tuple(replace(rate, source=self.source_of(rate).source) for rate in self.lines_of(configs))

    def lines_of(self, configs: Iterable[ReplicaConfig]) -> Iterator[MeasuredRate]:
        """The same lines as they stand in the table."""
        for _, config in self._spoken_of(configs):
            yield from (rate for rate in self._by_cell[_cell_key(config)] if rate.serves(config))

    def _spoken_of(self, configs: Iterable[ReplicaConfig]) -> Iterator[tuple[int, ReplicaConfig]]:
        """Configurations whose model, stages and precision the table has, each with its row."""
        for row, config in candidates_of(configs, self._by_cell):
            if _cell_key(config) in self._by_cell:
                yield row, config

    def _nearest(self, known: Sequence[MeasuredRate], workload: WorkloadType) -> MeasuredRate | None:
        gaps = [rate.distance(workload) for rate in known]
        widest = min(self.length_tolerance + ROUNDING, min(gaps, default=np.inf) + NEAR_TIE)
        near = [rate for rate, gap in zip(known, gaps, strict=True) if gap <= widest]
        return max(near, key=lambda rate: rate.rate_req_per_s, default=None)


@cache
def model_key(name: str) -> str:
    """Name under which rates of a model are kept: the catalogue's, or else the name itself in lower case.

    Notes           What has the shape of a model of the catalogue has its rates, at the same precision. Tables that
                    were measured with a config.json name its path, plans the folder it stands in.
    """
    if name.strip().endswith(".json"):
        name = name_of_path(Path(name.strip()))
    return catalogue_name(name) or normalize_model_name(name).removesuffix("-instruct")


def same_precision(precision: str) -> str:
    """Precision by the bytes and rate it stands for: "fp16" is as "bf16"."""
    return "bf16" if precision == "fp16" else precision


def candidates_of(configs: Iterable[ReplicaConfig], keys: Iterable[CellKey]) -> Iterator[tuple[int, ReplicaConfig]]:
    """`configs` with their rows; of arrays those alone whose model, stages and precision are one of `keys`.

    Notes           Candidates are a hundred thousand and keys few: making a record of each would take longer than all
                    estimates.
    """
    if not isinstance(configs, ReplicaArrays):
        yield from enumerate(configs)
        return
    model, found = model_key(configs.model), np.zeros(len(configs), dtype=bool)
    precisions = [same_precision(each) for each in configs.precisions]
    for name, stages, precision in keys:
        if name == model and precision in precisions:
            of_precision = np.array([each == precision for each in precisions])
            found |= configs.staged_as(stages) & of_precision[configs.precision]
    for row in np.flatnonzero(found):
        yield int(row), configs[int(row)]


def _cell_key(config: ReplicaConfig) -> CellKey:
    stages = tuple((stage.gpu, stage.tensor_parallel_size) for stage in config.stages)
    return model_key(config.model), stages, same_precision(config.precision)


def unknown_table(configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
    """Table in which no cell is known."""
    shape = (len(configs), len(workloads))
    return ThroughputTable(
        configs if isinstance(configs, ReplicaArrays) else tuple(configs),
        tuple(workloads),
        rate_req_per_s=np.zeros(shape),
        fits=np.zeros(shape, dtype=bool),
        relative_error=np.full(shape, np.inf),
        ttft_s=np.zeros(shape),
        tpot_s=np.zeros(shape),
        num_sequences=np.zeros(shape),
        source=np.full(shape, NO_SOURCE),
        sources=(),
    )


def _fill(table: ThroughputTable, cell: tuple[int, int], found: MeasuredRate) -> None:
    table.rate_req_per_s[cell] = found.rate_req_per_s
    table.fits[cell] = True
    table.relative_error[cell] = found.relative_error
    table.ttft_s[cell] = found.ttft_s
    table.tpot_s[cell] = found.tpot_s
