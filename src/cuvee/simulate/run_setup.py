"""What served a run of a real engine: GPU, model, parallelism, limits and cache, from its meta.json."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.gpus import find_gpu
from cuvee.catalog.model import KV_BYTES, WEIGHT_BYTES, ModelSpec
from cuvee.catalog.models import catalogue_name, load_model, load_models
from cuvee.catalog.quantization import written_precision
from cuvee.catalog.records import Record
from cuvee.errors import InputError, UnknownNameError
from cuvee.profile.engine import EngineSettings, engine_of_version, unknown_version
from cuvee.profile.replica import ReplicaConfig, Stage, split_layers
from cuvee.profile.step_law import StepLaw, step_law
from cuvee.simulate.arrays import BLOCK_TOKENS

ENGINE = "vllm"
NO_FRONT_END_REQ_PER_S = 1e9
"""Requests that the engine takes in where no server stands before it [req/s]."""

MOST_SIZE = 1024
MOST_SEQUENCES = 100_000
MOST_TOKENS = 1_000_000
MOST_BLOCKS = 10**9
ROOMY = 8.0
"""Factor on the memory of a GPU whose cache the run states [-]: what fits is not the question then."""

NULL_BLOCKS = 1
"""Blocks that vLLM never gives to a sequence."""

STATE_GPU = "state it: --gpu NAME; cuvee gpus lists them"
STATE_MODEL = "state it: --model NAME, or the path of its config.json"


@dataclass(frozen=True)
class RunSetup:
    """What served a run.

    Attributes
        gpu_from          Where the GPU type was read.
        num_replicas      Replicas behind one queue: data-parallel ranks.
        engine            Settings of its version, with the limits of the run.
        cache_tokens      Room of one replica's cache; None where the run does not state it [tokens].
        notes             What was taken for granted.
    """

    gpu: GpuType
    gpu_from: str
    model: ModelSpec
    config: ReplicaConfig
    num_replicas: int
    engine: EngineSettings
    version: str
    cache_tokens: int | None
    notes: tuple[str, ...]

    def law(self, *, prompt_tokens: float, context_tokens: float) -> StepLaw:
        """Times of its steps by the throughput model, within the limits of the run; see `step_law`."""
        gpu = self.gpu
        if self.cache_tokens is not None:
            gpu = replace(gpu, usable_memory_gb=gpu.usable_memory_gb * ROOMY)
        law = step_law(
            self.model, self.config, {gpu.name: gpu}, self.engine, prompt_tokens=prompt_tokens,
            context_tokens=context_tokens,
        )  # fmt: skip
        return law if self.cache_tokens is None else replace(law, cache_tokens=self.cache_tokens)


def setup_of(
    meta: Record, folder: Path, *, gpu: str | None = None, model: str | None = None, precision: str | None = None
) -> RunSetup:
    """What served the run of `folder`; `gpu`, `model` and `precision` stand in place of what `meta` says."""
    notes: list[str] = []
    kind, gpu_from = _gpu(meta, folder, gpu)
    shape = _model(meta, model)
    tensor, depth, ranks = (
        _count(meta, f"{name}_parallel_size", ("engine_kwargs", "parallel_config"), 1, MOST_SIZE)
        for name in ("tensor", "pipeline", "data")
    )
    if depth > shape.num_layers:
        raise meta.error("pipeline_parallel_size", f"at most the {shape.num_layers} layers of {shape.name}")
    together = ranks if ranks > 1 and shape.moe is not None and _flag(meta, "enable_expert_parallel") else 1
    if together > 1:
        notes.append(f"{ranks} data-parallel ranks share the experts and step together: one replica of all their GPUs")
    stages = tuple(Stage(kind.name, tensor * together, layers) for layers in split_layers(shape.num_layers, depth))
    config = ReplicaConfig(shape.name, stages, *_precisions(meta, shape, precision))
    engine, version = _engine(meta, kind, together, notes)
    cache = _cache_tokens(meta, notes)
    if _found(meta, "speculative_config", ("resolved_config",)) is not None:
        notes.append("speculative decoding is not modelled")
    return RunSetup(
        kind, gpu_from, shape, config, ranks // together, engine, version,
        None if cache is None else cache * together, tuple(notes),
    )  # fmt: skip


def _gpu(meta: Record, folder: Path, stated: str | None) -> tuple[GpuType, str]:
    """GPU type and where it was read: stated, in the file, or in the names of folders."""
    if stated is not None:
        return find_gpu(stated), "as stated"
    name = _found(meta, "device_name", ("hardware",))
    if name is not None:
        try:
            return find_gpu(str(name)), "from the file"
        except UnknownNameError as error:
            raise InputError(error.arrived, expected=error.expected, remedy=STATE_GPU) from None
    for part in _name_parts(folder):
        try:
            return find_gpu(part), "from the name of the folder"
        except UnknownNameError:
            continue
    raise InputError(f"{meta.place}: no hardware.device_name", expected="the GPU type that served", remedy=STATE_GPU)


def _name_parts(folder: Path) -> list[str]:
    """Names of the folder and of those around it, the nearest first, whole and between underscores."""
    names = folder.resolve().parts[:0:-1][:3]
    return [part for name in names for part in (name, *name.split("_")) if part]


def _model(meta: Record, stated: str | None) -> ModelSpec:
    """Its shape: stated, or that of the catalogue. No file is opened, and nothing fetched, because a run names it."""
    if stated is not None:
        return load_model(stated)
    name = _found(meta, "model", ("", "engine_kwargs"))
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{meta.place}: no model", expected="the name of the model", remedy=STATE_MODEL)
    if catalogue_name(name) is None:
        unknown = UnknownNameError("model", name[:200], load_models())
        raise InputError(f"{meta.place}: {unknown.arrived}", expected=unknown.expected, remedy=STATE_MODEL)
    return load_model(name)


def _precisions(meta: Record, model: ModelSpec, stated: str | None) -> tuple[str, str]:
    """Precision of weights and of the cache."""
    weights = stated or _found(meta, "quantization", ("engine_kwargs", "model_config")) or model.released_precision
    cache = _found(meta, "kv_cache_dtype", ("engine_kwargs",)) or _found(meta, "cache_dtype", ("cache_config",))
    found = []
    for label, value, known, usual in (
        ("quantization", weights, WEIGHT_BYTES, model.released_precision),
        ("kv_cache_dtype", cache or "auto", KV_BYTES, "bf16"),
    ):
        name = written_precision(str(value)[:50])
        name = written_precision(usual) if name in ("", "auto") else name
        name = "fp8" if name.startswith("fp8") else name
        if name not in known:
            raise InputError(
                f"{meta.place}: {label} {name!r}", expected=f"one of {', '.join(known)}",
                remedy="state that of the weights: --precision NAME",
            )  # fmt: skip
        found.append(name)
    return found[0], found[1]


def _engine(meta: Record, gpu: GpuType, together: int, notes: list[str]) -> tuple[EngineSettings, str]:
    """Settings of the version that served, with the limits of the run, of `together` ranks as one."""
    version = str(_found(meta, "vllm_version", ("",)) or "")
    if not version:
        notes.append(f"no vllm_version: constants of {engine_of_version(ENGINE, '').name}")
    if unknown := unknown_version(ENGINE, version):
        notes.append(unknown)
    engine = engine_of_version(ENGINE, version)
    sequences, tokens = engine.limits_on(gpu)
    places = ("engine_kwargs", "scheduler_config")
    sequences = _count(meta, "max_num_seqs", places, sequences, MOST_SEQUENCES)
    tokens = _count(meta, "max_num_batched_tokens", places, tokens, MOST_TOKENS)
    if tokens < sequences:
        raise meta.error("max_num_batched_tokens", f"at least max_num_seqs, {sequences}: each decodes a token a step")
    ahead = _found(meta, "async_scheduling", ("engine_kwargs", "scheduler_config"))
    prefixes = _found(meta, "enable_prefix_caching", ("kv_cache", "cache_config"))
    share = _found(meta, "gpu_memory_utilization", ("kv_cache", "cache_config", "engine_kwargs"))
    if isinstance(share, float) and 0 < share <= 1:
        engine = replace(engine, memory_utilization=share)
    return replace(
        engine,
        max_num_seqs=sequences * together,
        max_num_tokens=tokens * together,
        large_gpu_limits=None,
        max_req_per_s=NO_FRONT_END_REQ_PER_S,
        schedules_ahead=ahead if isinstance(ahead, bool) else engine.schedules_ahead,
        reuses_cache=engine.reuses_cache and prefixes is not False,
    ), version


def _cache_tokens(meta: Record, notes: list[str]) -> int | None:
    """Room of the cache for sequences [tokens]; None where the run does not state its blocks."""
    places = ("kv_cache", "cache_config")
    size = _count(meta, "block_size", places, BLOCK_TOKENS, MOST_TOKENS)
    blocks = _count(meta, "num_gpu_blocks", places, 0, MOST_BLOCKS)
    if not blocks:
        notes.append("the run does not state its blocks of cache: room by the throughput model")
        return None
    if size != BLOCK_TOKENS:
        notes.append(f"blocks of {size} tokens are taken as ones of {BLOCK_TOKENS}")
    return max(blocks - NULL_BLOCKS, 1) * size


def _found(meta: Record, name: str, places: Sequence[str]) -> Any:  # noqa: ANN401 any JSON value
    """The first value of `name` in one of the objects `places`, of the file or of what it resolved; None of none."""
    resolved = meta.values.get("resolved_config")
    for place in places:
        for outer in (meta.values, resolved if isinstance(resolved, dict) else {}):
            inner = outer.get(place) if place else outer
            if place == "resolved_config":
                inner = resolved
            if isinstance(inner, dict) and inner.get(name) is not None:
                return inner[name]
    return None


def _count(meta: Record, name: str, places: Sequence[str], default: int, most: int) -> int:
    value = _found(meta, name, places)
    return Record(meta.place, {} if value is None else {name: value}).count(name, default=default, high=most)


def _flag(meta: Record, name: str) -> bool:
    return _found(meta, name, ("engine_kwargs", "parallel_config")) is True
