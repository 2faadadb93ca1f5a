"""Pipeline stages as arrays: what each holds, and how fast its GPUs are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import KV_BYTES, UNQUANTIZED_BYTES, WEIGHT_BYTES, ModelSpec
from cuvee.profile.engine import EngineSettings
from cuvee.profile.hardware import link_bytes_per_s, sustained_efficiency
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.units import BYTES_PER_GB, FLOPS_PER_TFLOPS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StageArrays:
    """Figures of every stage, padded to the deepest pipeline; shape (num_configs, max_stages, 1).

    Attributes
        num_stages                      S, of shape (num_configs, 1) [-].
        present, last                   Whether the stage exists, and whether it holds the head.
        size                            t: GPUs of the stage [-].
        layers                          l: layers of the stage [-].
        matrix_flops                    Matrix rate of the layers over all GPUs of the stage, derated [FLOP/s].
        half_flops                      16-bit matrix rate over all GPUs of the stage, at data sheet [FLOP/s].
        bandwidth_bytes_per_s           Memory bandwidth over all GPUs of the stage [B/s].
        cache_bandwidth_bytes_per_s     The same over the GPUs that hold distinct cache [B/s].
        link_bytes_per_s                Between GPUs of the stage [B/s].
        next_link_bytes_per_s           To the next stage [B/s]; inf on the last.
        fixed_weight_bytes              Weights read in every step: all but routed experts [B].
        expert_weight_bytes             Routed experts [B].
        head_bytes                      Head [B]; 0 but on the last.
        entry_bytes                     Cache of one token and layer [B].
    """

    num_stages: Array
    present: NDArray[np.bool_]
    last: NDArray[np.bool_]
    size: Array
    layers: Array
    matrix_flops: Array
    half_flops: Array
    bandwidth_bytes_per_s: Array
    cache_bandwidth_bytes_per_s: Array
    link_bytes_per_s: Array
    next_link_bytes_per_s: Array
    fixed_weight_bytes: Array
    expert_weight_bytes: Array
    head_bytes: Array
    entry_bytes: Array


def stage_arrays(
    model: ModelSpec,
    configs: ReplicaArrays,
    gpus: Mapping[str, GpuType],
    engine: EngineSettings,
    network_gb_per_s: float,
) -> StageArrays:
    """Stages of `configs`, all of `model`; stages of one that spans machines talk over `network_gb_per_s` [GB/s]."""
    kinds = [gpus[name] for name in configs.gpu_names]
    bandwidth = _of_stages(configs, [kind.bandwidth_gb_per_s * BYTES_PER_GB for kind in kinds])
    inside = _of_stages(configs, [link_bytes_per_s(kind, engine) for kind in kinds])
    half_flops = _of_stages(configs, [kind.compute_tflops("bf16") * FLOPS_PER_TFLOPS for kind in kinds])
    size, layers = np.where(configs.present, configs.size, 1), np.where(configs.present, configs.layers, 1)
    shards = np.ones_like(size) if model.mla is not None else np.minimum(size, model.num_kv_heads)
    last = np.arange(size.shape[1]) == configs.num_stages[:, None] - 1
    onward = np.where(configs.spans_machines[:, None], network_gb_per_s * BYTES_PER_GB, inside)
    fixed_bytes, expert_bytes = _weight_bytes(model, configs, layers)
    entry_bytes = model.kv_values_per_token_layer * KV_BYTES[configs.kv_precision]
    fields = (
        size,
        layers,
        size * _matrix_flops(configs, kinds, engine),
        size * half_flops,
        size * bandwidth,
        shards * bandwidth,
        inside,
        np.where(last, np.inf, onward),
        fixed_bytes,
        expert_bytes,
        np.where(last, model.embedding_params * UNQUANTIZED_BYTES, 0.0),
        np.full(size.shape, entry_bytes),
    )
    num_stages = configs.num_stages[:, None].astype(float)
    # Padding must not divide by zero; it is masked afterwards.
    padded = (np.where(configs.present, field, 1.0)[:, :, None] for field in fields)
    return StageArrays(num_stages, configs.present[:, :, None], last[:, :, None], *padded)


def _of_stages(configs: ReplicaArrays, of_gpu: list[float]) -> Array:
    """Values by GPU type, taken for each stage, shape (num_configs, max_stages)."""
    return np.array(of_gpu)[configs.gpu]


def _matrix_flops(configs: ReplicaArrays, kinds: list[GpuType], engine: EngineSettings) -> Array:
    """Derated matrix rate of one GPU of each stage [FLOP/s]."""
    by_precision = [
        [kind.compute_tflops(name) * FLOPS_PER_TFLOPS * sustained_efficiency(kind, name, engine) for kind in kinds]
        for name in configs.precisions
    ]
    flops: Array = np.array(by_precision)[configs.precision[:, None], configs.gpu]
    return flops


def _weight_bytes(model: ModelSpec, configs: ReplicaArrays, layers: NDArray[np.int64]) -> tuple[Array, Array]:
    """Bytes of each stage's weights outside routed experts, and of its routed experts [B]."""
    experts = np.array([model.expert_params * WEIGHT_BYTES[name] for name in configs.precisions])
    others = np.array([model.layer_weight_bytes(name) for name in configs.precisions]) - experts
    share = layers / model.num_layers
    return others[configs.precision, None] * share, experts[configs.precision, None] * share
