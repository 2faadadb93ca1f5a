"""Our own files of rates as load points: tables of rates, and constants with the points they were fitted to."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from cuvee._version import __version__
from cuvee.catalog.tables import parse_csv
from cuvee.errors import InputError
from cuvee.files import read_text
from cuvee.profile.calibration import Calibration
from cuvee.profile.calibration_files import load_calibration
from cuvee.profile.engine import NOT_STATED as NO_ENGINE
from cuvee.profile.engine import is_version
from cuvee.profile.imports.formats import MAX_FILE_MB, read_load_points
from cuvee.profile.imports.load_point import Deployment, Latency, LoadPoint, StatedLoad
from cuvee.profile.measured import TableProvider
from cuvee.profile.measured_files import load_throughput_table
from cuvee.profile.replica import ReplicaConfig, split_layers
from cuvee.profile.table import NOT_STATED, RateSource, ThroughputTable

RATES, CONSTANTS, TABLE = "table of rates", "calibration", "throughput table"
TOOL = f"cuvee {__version__}"
ALL_AT_ONCE = StatedLoad(True)

MIXED = "stages that differ in GPU type, size or layers: a report has one accelerator for all of a replica"
NO_LENGTHS = "a workload type without lengths"


@dataclass(frozen=True)
class Rate:
    """One rate of a replica configuration on one kind of requests, with all that is said of it.

    Attributes
        name           What to call it, e.g. "g1 in496-out18"; "" leaves that to its file.
        stages         (GPU type, tensor parallel size) of each pipeline stage.
        is_even        Whether the layers are split evenly.
        engine         Name of the engine and, where it is known, its version; "" where nobody says.
        left_out       Why no load point stands for it, where its configuration does not say.
    """

    place: str
    name: str
    model: str
    stages: tuple[tuple[str, int], ...]
    is_even: bool
    weights: str
    kv: str | None
    engine: str
    input_tokens: float
    output_tokens: float
    rate_req_per_s: float
    tpot_s: float
    relative_error: float | None
    source: RateSource
    note: str = ""
    left_out: str = ""

    def reason_to_leave_out(self) -> str:
        """Why no load point stands for it; "" where one does."""
        if self.left_out:
            return self.left_out
        if len(set(self.stages)) > 1 or not self.is_even:
            return MIXED
        return "" if self.input_tokens > 0 and self.output_tokens > 0 else NO_LENGTHS

    def load_point(self, file_format: str) -> LoadPoint:
        """The load point: one replica, all requests at once."""
        engine, version = _parts(self.engine) if self.engine != NO_ENGINE.name else ("", "")
        gpu, size = self.stages[0]
        return LoadPoint(
            place=self.place,
            file_format=file_format,
            tool=TOOL,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            load=ALL_AT_ONCE,
            deployment=Deployment(
                gpu=gpu,
                model=self.model,
                engine=engine or None,
                engine_version=version or None,
                tp=size,
                pp=len(self.stages),
                replicas=1,
                weights=self.weights,
                kv=self.kv,
            ),
            rate_req_per_s=self.rate_req_per_s,
            tpot=Latency(self.tpot_s) if self.tpot_s > 0 else None,
            id=self.name,
            note=self.note,
            source=self.source.source,
            date="" if self.source.date == NOT_STATED else self.source.date,
            provider=self.source.provider,
            relative_error=self.relative_error,
        )


def _parts(engine: str) -> tuple[str, str]:
    """Name and version of "vllm-0.11"; a name without a version stays whole, as of "tensorrt-llm"."""
    name, _, version = engine.rpartition("-")
    return (name, version) if is_version(version) else (engine, "")


def points_of_rates(rates: Iterable[Rate], file_format: str) -> tuple[LoadPoint, ...]:
    """Load points of `rates`, but for those that none can stand for: they are told as a remark of the first.

    Raises      InputError: none is left.
    """
    points: list[LoadPoint] = []
    left_out: dict[str, int] = {}
    for rate in rates:
        if reason := rate.reason_to_leave_out():
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            points.append(rate.load_point(file_format))
    told = tuple(f"{count} rates left out: {reason}" for reason, count in left_out.items())
    if not points:
        raise InputError(
            f"no rate that a report can hold{': ' if told else ''}{'; '.join(told)}",
            expected="rates of replicas on one GPU type, of requests whose lengths are known",
            remedy="export a profile that has some",
        )
    if told:
        points[0] = replace(points[0], remarks=told)
    return tuple(points)


def rates_of_table(table: ThroughputTable, *, engine: str = "", name: str = TABLE) -> list[Rate]:
    """Every value of a table that fits."""
    found = []
    for row, config in enumerate(table.configs):
        for column, kind in enumerate(table.workloads):
            source = table.source_of(row, column)
            if not table.fits[row, column] or source is None:
                continue
            band = float(table.relative_error[row, column])
            found.append(
                Rate(
                    place=f"{name}: {config.gpu_label} {config.parallel_label} {kind.name}",
                    name=f"{config.gpu_label} {config.parallel_label} {kind.name}",
                    model=config.model,
                    stages=stages_of(config),
                    is_even=is_even(config),
                    weights=config.precision,
                    kv=config.kv_precision,
                    engine=engine,
                    input_tokens=kind.input_tokens,
                    output_tokens=kind.output_tokens,
                    rate_req_per_s=float(table.rate_req_per_s[row, column]),
                    tpot_s=float(table.tpot_s[row, column]),
                    relative_error=band if isfinite(band) else None,
                    source=source,
                )
            )
    return found


def stages_of(config: ReplicaConfig) -> tuple[tuple[str, int], ...]:
    """(GPU type, tensor parallel size) of each pipeline stage."""
    return tuple((stage.gpu, stage.tensor_parallel_size) for stage in config.stages)


def is_even(config: ReplicaConfig) -> bool:
    """Whether a pipeline splits its layers as an engine does by itself."""
    return tuple(stage.layers for stage in config.stages) == split_layers(config.num_layers, len(config.stages))


def read_own(path: str | Path) -> tuple[LoadPoint, ...]:
    """Load points of a file, read once: of our own kinds, or of those that `read_load_points` knows.

    Raises      InputError: a file that cannot be used.
    """
    text = read_text(path, max_mb=MAX_FILE_MB)
    if text.lstrip().startswith("{") and '"configurations"' in text:
        return _of_calibration(load_calibration(path, text=text), path)
    if _is_table(text, path):
        return _of_table(load_throughput_table(path, text=text), path)
    return read_load_points(path, text=text)


def _is_table(text: str, path: str | Path) -> bool:
    """Whether the text of a file has our own columns of rates."""
    if text.lstrip().startswith("["):
        return '"rate_req_per_s"' in text
    if text.lstrip().startswith("{") or not text.strip():
        return False
    return "rate_req_per_s" in parse_csv("\n".join(text.splitlines()[:1]), str(path))[0]


def _of_table(table: TableProvider, path: str | Path) -> tuple[LoadPoint, ...]:
    rates = [
        Rate(
            place=f"{path}: rate {number}",
            name="",
            model=rate.model,
            stages=rate.stages,
            is_even=rate.layers is None or rate.layers == split_layers(sum(rate.layers), len(rate.layers)),
            weights=rate.precision,
            kv=rate.kv_precision,
            engine=rate.engine,
            input_tokens=rate.input_tokens,
            output_tokens=rate.output_tokens,
            rate_req_per_s=rate.rate_req_per_s,
            tpot_s=rate.tpot_s,
            relative_error=rate.relative_error if isfinite(rate.relative_error) else None,
            source=table.source_of(rate),
        )
        for number, rate in enumerate(table.rates, start=1)
    ]
    return points_of_rates(rates, RATES)


def _of_calibration(calibration: Calibration, path: str | Path) -> tuple[LoadPoint, ...]:
    """The measured points that constants were fitted to: the constants are no load points."""
    found = []
    for each in calibration.configurations:
        replica = each.replica
        engine, _, version = replica.engine.rpartition("-")
        deployment = Deployment(
            gpu=replica.gpu,
            model=replica.model,
            engine=engine,
            engine_version=each.engine_version or version,
            tp=replica.tensor_parallel_size,
            pp=replica.pipeline_parallel_size,
            replicas=1,
            weights=replica.precision,
            kv=replica.kv_precision,
        )
        for point in each.points:
            measured = LoadPoint(
                place=f"{path}: {point.id}",
                file_format=CONSTANTS,
                input_tokens=point.input_tokens,
                output_tokens=point.output_tokens,
                load=StatedLoad(True, point.concurrency),
                deployment=deployment,
                rate_req_per_s=point.rate_req_per_s,
                id=point.id,
                source=point.source,
                date=point.date,
            )
            found.append(measured)
    return tuple(found)
