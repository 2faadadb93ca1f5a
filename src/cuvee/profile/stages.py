"""Pipeline stages as arrays: what each holds, and how fast its GPUs are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import KV_BYTES, UNQUANTIZED_BYTES, WEIGHT_BYTES, ModelSpec
from cuvee.profile.engine import EngineSettings
from cuvee.profile.hardware import link_bytes_per_s, sustained_efficiency
from cuvee.profile.replica import ReplicaConfig, Stage
from cuvee.units import BYTES_PER_GB, FLOPS_PER_TFLOPS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StageArrays:
    """Figures of every stage, padded to the deepest pipeline; shape (num_configs, max_stages, 1).

    Attributes
        num_stages             S, of shape (num_configs, 1) [-].
        present, last          Whether the stage exists, and whether it holds the head.
        size                   t: GPUs of the stage [-].
        layers                 l: layers of the stage [-].
        matrix_flops           Matrix rate of the layers over all GPUs of the stage, derated [FLOP/s].
        half_flops             16-bit matrix rate over all GPUs of the stage, at data sheet [FLOP/s].
        bandwidth              Memory bandwidth over all GPUs of the stage [B/s].
        cache_bandwidth        The same over the GPUs that hold distinct cache [B/s].
        link                   Between GPUs of the stage [B/s].
        next_link              To the next stage [B/s]; inf on the last.
        fixed_weight_bytes     Weights read in every step: all but routed experts [B].
        expert_weight_bytes    Routed experts [B].
        head_bytes             Head [B]; 0 but on the last.
        entry_bytes            Cache of one token and layer [B].
    """

    num_stages: Array
    present: NDArray[np.bool_]
    last: NDArray[np.bool_]
    size: Array
    layers: Array
    matrix_flops: Array
    half_flops: Array
    bandwidth: Array
    cache_bandwidth: Array
    link: Array
    next_link: Array
    fixed_weight_bytes: Array
    expert_weight_bytes: Array
    head_bytes: Array
    entry_bytes: Array


def stage_arrays(
    model: ModelSpec,
    configs: Sequence[ReplicaConfig],
    gpus: Mapping[str, GpuType],
    engine: EngineSettings,
    network_gb_per_s: float,
) -> StageArrays:
    """Stages of `configs`, all of `model`; stages of one that spans machines talk over `network_gb_per_s` [GB/s]."""
    depth = max(len(config.stages) for config in configs)
    # Padding must not divide by zero; it is masked afterwards.
    fields = np.ones((12, len(configs), depth, 1))
    for row, config in enumerate(configs):
        for column, stage in enumerate(config.stages):
            gpu = gpus[stage.gpu]
            inside = link_bytes_per_s(gpu, engine)
            onward = network_gb_per_s * BYTES_PER_GB if config.spans_machines else inside
            last = column == len(config.stages) - 1
            fields[:, row, column, 0] = (
                stage.tensor_parallel_size,
                stage.layers,
                *_rates(model, config, stage, gpu, engine),
                inside,
                np.inf if last else onward,
                *_bytes(model, config, stage),
                model.embedding_params * UNQUANTIZED_BYTES if last else 0.0,
                model.kv_values_per_token_layer * KV_BYTES[config.kv_precision],
            )
    num_stages = np.array([[len(config.stages)] for config in configs], dtype=float)
    position = np.arange(depth)[None, :, None]
    depths = num_stages[:, :, None]
    return StageArrays(num_stages, position < depths, position == depths - 1, *fields)


def _rates(
    model: ModelSpec, config: ReplicaConfig, stage: Stage, gpu: GpuType, engine: EngineSettings
) -> tuple[float, ...]:
    """Matrix rate, 16-bit matrix rate [FLOP/s], bandwidth and cache bandwidth [B/s] of a stage."""
    size = stage.tensor_parallel_size
    bandwidth = gpu.bandwidth_gb_per_s * BYTES_PER_GB
    matrix_flops = gpu.compute_tflops(config.precision) * FLOPS_PER_TFLOPS
    return (
        size * matrix_flops * sustained_efficiency(gpu, config.precision, engine),
        size * gpu.compute_tflops("bf16") * FLOPS_PER_TFLOPS,
        size * bandwidth,
        model.kv_shards(size) * bandwidth,
    )


def _bytes(model: ModelSpec, config: ReplicaConfig, stage: Stage) -> tuple[float, float]:
    """Bytes of a stage's weights outside routed experts, and of its routed experts [B]."""
    experts = model.expert_params * WEIGHT_BYTES[config.precision]
    others = model.layer_weight_bytes(config.precision) - experts
    share = stage.layers / model.num_layers
    return others * share, experts * share
