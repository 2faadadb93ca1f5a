"""Memory of a replica: what weights leave for the cache, stage by stage."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import KV_BYTES, UNQUANTIZED_BYTES, ModelSpec, check_precision
from cuvee.errors import DoesNotFitError
from cuvee.profile.engine import EngineSettings
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.units import BYTES_PER_GB


def stage_weight_bytes(model: ModelSpec, configs: ReplicaArrays) -> NDArray[np.float64]:
    """Weight bytes of each stage over all its GPUs [B], shape (num_configs, max_stages); padding has those of a layer.

    Notes           Its share of the layers; the embedding is on the first stage and the head on the last, which are one
                    where the model ties them and there is one stage.
    """
    layer_bytes = np.array([model.layer_weight_bytes(name) for name in configs.precisions]) / model.num_layers
    weights: NDArray[np.float64] = np.maximum(configs.layers, 1) * layer_bytes[configs.precision][:, None]
    vocabulary = model.embedding_params * UNQUANTIZED_BYTES
    last = configs.num_stages - 1
    weights[:, 0] += vocabulary
    holds_head = np.flatnonzero((last > 0) | (not model.tied_embeddings))
    weights[holds_head, last[holds_head]] += vocabulary
    return weights


def kv_capacity_tokens(
    model: ModelSpec, config: ReplicaConfig, gpus: Mapping[str, GpuType], engine: EngineSettings
) -> float:
    """Tokens of cache a replica can hold [tokens]; see `kv_capacities`."""
    return float(kv_capacities(model, ReplicaArrays.of([config]), gpus, engine)[0])


def kv_capacities(
    model: ModelSpec, configs: ReplicaArrays, gpus: Mapping[str, GpuType], engine: EngineSettings
) -> NDArray[np.float64]:
    """Tokens of cache each replica can hold [tokens], shape (num_configs,); negative where weights do not fit.

    Notes           tokens = min_s (memory * utilization - reserved - activations - weights_s / t) * share
                                   * shards_s / (layers_s * bytes)
                    shards_s = min(t, KV heads): beyond that heads are copied; 1 for latent attention.
    """
    entry_bytes = model.kv_values_per_token_layer * KV_BYTES[check_precision(configs.kv_precision, KV_BYTES)]
    kinds = [gpus[name] for name in configs.gpu_names]
    free = np.array([free_bytes_per_gpu(kind, engine) for kind in kinds])[configs.gpu]
    fixed, split = np.array([activation_bytes(model, kind, engine) for kind in kinds])[configs.gpu].transpose(2, 0, 1)
    size, layers = np.maximum(configs.size, 1), np.maximum(configs.layers, 1)
    shards = np.ones_like(size) if model.mla is not None else np.minimum(size, model.num_kv_heads)
    left = (free - fixed - (split + stage_weight_bytes(model, configs)) / size) * engine.free_memory_share
    capacity = left * shards / (layers * entry_bytes)
    smallest: NDArray[np.float64] = np.where(configs.present, capacity, np.inf).min(axis=1)
    return smallest


def free_bytes_per_gpu(gpu: GpuType, engine: EngineSettings) -> float:
    """Memory of one GPU that weights, activations and cache may take [B]."""
    return (gpu.usable_memory_gb * engine.memory_utilization - engine.reserved_gb) * BYTES_PER_GB


def activation_bytes(model: ModelSpec, gpu: GpuType, engine: EngineSettings) -> tuple[float, float]:
    """Activations of the largest step on each GPU, and what tensor parallelism splits over its GPUs [B].

    Notes           Live at the widest point of a layer: its input before and after the norm, and gate, up and product
                    of the feed-forward, which is split; beside them 32-bit scores over the vocabulary.
    """
    sequences, tokens = engine.limits_on(gpu)
    values = engine.activation_copies * tokens * UNQUANTIZED_BYTES
    scores = 4.0 * sequences * model.vocab_size
    return values * 2 * model.hidden_size + scores, values * 3 * model.widest_ffn


def require_fit(
    model: ModelSpec,
    config: ReplicaConfig,
    gpus: Mapping[str, GpuType],
    engine: EngineSettings,
    context_tokens: float,
) -> None:
    """Raise DoesNotFitError unless weights and one sequence of `context_tokens` fit every stage of `config`."""
    entry_bytes = model.kv_values_per_token_layer * KV_BYTES[check_precision(config.kv_precision, KV_BYTES)]
    kept = context_tokens * model.attended_share(context_tokens)
    weights_bytes = stage_weight_bytes(model, ReplicaArrays.of([config]))[0]
    for stage, weight_bytes in zip(config.stages, weights_bytes.tolist(), strict=True):
        size = stage.tensor_parallel_size
        cache_bytes = kept * stage.layers * entry_bytes / model.kv_shards(size)
        fixed, split = activation_bytes(model, gpus[stage.gpu], engine)
        needed = fixed + (split + weight_bytes) / size + cache_bytes / engine.free_memory_share
        available = free_bytes_per_gpu(gpus[stage.gpu], engine)
        if needed > available:
            raise DoesNotFitError(
                f"{model.name} in {config.precision} on {config.gpu_label} ({config.parallel_label}): one {stage.gpu}",
                needed_gb=needed / BYTES_PER_GB,
                available_gb=available / BYTES_PER_GB,
            )
