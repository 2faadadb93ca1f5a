"""Measured points with their names looked up: which replica, GPU type, model and engine settings each speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.model import KV_BYTES, WEIGHT_BYTES, ModelSpec
from cuvee.catalog.models import load_model
from cuvee.catalog.quantization import written_precision
from cuvee.profile.engine import EngineSettings, engine_of_version
from cuvee.profile.imports.hardware_bounds import Hardware, impossible_rate
from cuvee.profile.imports.load_point import Deployment
from cuvee.profile.measurements import Measurement
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers
from cuvee.workload.records import WorkloadType

ANY_CONTEXT = 2**30
"""Longest context of a model that was measured [tokens]: benchmarks run past what it was trained for."""

CACHE_PRECISION = "bf16"
"""Precision of the cache where nobody says it; that of the weights is then the one they are released in."""


class CannotModelError(Exception):
    """Why a point cannot be modelled."""


@dataclass(frozen=True)
class KnownPoint:
    """A measured point with its names looked up; of a fixed number of requests under way, `engine` runs no more."""

    measurement: Measurement
    config: ReplicaConfig
    models: Mapping[str, ModelSpec]
    gpus: Mapping[str, GpuType]
    engine: EngineSettings

    @property
    def workload(self) -> WorkloadType:
        """The kind of requests it was measured on."""
        row = self.measurement
        return WorkloadType(row.workload, row.input_tokens, row.output_tokens)

    @staticmethod
    def of(row: Measurement) -> "KnownPoint":
        """The point of `row`; raises CannotModelError, or CuveeError for a name that is not known."""
        size, depth = row.tensor_parallel_size, row.pipeline_parallel_size
        if row.num_gpus is not None and row.num_gpus != size * depth * row.replicas:
            raise CannotModelError(f"{row.num_gpus} GPUs, but {row.replicas} replicas of TP{size} PP{depth}")
        if not row.engine:
            raise CannotModelError("no engine named")
        gpu = find_gpu(row.gpu)
        model = replace(load_model(row.model), max_context=ANY_CONTEXT)
        if depth > model.num_layers:
            raise CannotModelError(f"{depth} stages of {model.num_layers} layers")
        stages = tuple(Stage(gpu.name, size, layers) for layers in split_layers(model.num_layers, depth))
        precision = _precision(row.weights, WEIGHT_BYTES, model.released_precision)
        config = ReplicaConfig(model.name, stages, precision, _precision(row.kv, KV_BYTES, CACHE_PRECISION))
        engine = engine_of_version(row.engine, row.engine_version)
        if row.concurrency is not None:
            engine = held_to(row.concurrency / row.replicas, engine, gpu)
        return KnownPoint(row, config, {model.name: model}, {gpu.name: gpu}, engine)

    def require_possible(self) -> None:
        """Raises CannotModelError where the data sheet does not allow the rate."""
        row, config = self.measurement, self.config
        gpu, model = next(iter(self.gpus.values())), next(iter(self.models.values()))
        served = Deployment(tp=row.tensor_parallel_size, pp=row.pipeline_parallel_size, replicas=row.replicas)
        lengths = (row.input_tokens, row.output_tokens)
        hardware = Hardware(gpu, model, config.precision, config.kv_precision)
        if broken := impossible_rate(row.rate_req_per_s, lengths, served, row.concurrency, hardware):
            raise CannotModelError(f"impossible: {broken}")


def held_to(concurrency: float, engine: EngineSettings, gpu: GpuType) -> EngineSettings:
    """`engine` where a replica on `gpu` has no more than `concurrency` requests under way [-]."""
    most, (sequences, tokens) = max(1, round(concurrency)), engine.limits_on(gpu)
    return replace(engine, max_num_seqs=min(most, sequences), max_num_tokens=tokens, large_gpu_limits=None)


def _precision(text: str, known: Mapping[str, float], default: str) -> str:
    """A precision as the model knows it."""
    name = written_precision(text)
    if name in ("", "auto"):
        return written_precision(default)
    if name not in known:
        raise CannotModelError(f"precision {text!r}, expected one of {', '.join(known)}")
    return name
