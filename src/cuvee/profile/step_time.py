"""Time of one engine step on each pipeline stage, term by term; see docs/throughput-model.md."""

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.model import ModelSpec
from cuvee.profile.batch import Batch
from cuvee.profile.engine import EngineSettings
from cuvee.profile.stages import StageArrays

Array = NDArray[np.float64]

ACTIVATION_BYTES = 2.0
"""Activations travel in 16 bit, between tensor-parallel GPUs and between stages [B]."""


def step_time_s(model: ModelSpec, stages: StageArrays, batch: Batch, prefill: Array, engine: EngineSettings) -> Array:
    """Time of a step with `prefill` prefill tokens on each stage [s].

    Returns         shape (num_configs, max_stages, num_workloads), 0 where there is no such stage.
    """
    tokens = batch.sequences + prefill
    time_s = (
        _matrices_s(model, stages, tokens, engine)
        + _decode_attention_s(model, stages, batch, engine)
        + _prefill_attention_s(model, stages, batch, prefill, engine)
        + _elements_s(model, stages, tokens, engine)
        + _head_s(model, stages, batch, engine)
        + _collectives_s(model, stages, tokens, engine)
    )
    return np.where(stages.present, time_s, 0.0)


def _matrices_s(model: ModelSpec, stages: StageArrays, tokens: Array, engine: EngineSettings) -> Array:
    """Projections and feed-forwards [s]: the larger of arithmetic and weight reads."""
    active = (model.layer_params - model.expert_params * (1 - model.expert_share_per_token)) / model.num_layers
    touched = 1 - (1 - model.expert_share_per_token) ** tokens  # share of experts that some token of the step uses
    weight_bytes = stages.fixed_weight_bytes + stages.expert_weight_bytes * touched
    arithmetic_s = 2 * active * stages.layers * tokens / stages.matrix_flops
    reads_s = weight_bytes / (stages.bandwidth * engine.memory_efficiency)
    time_s: Array = np.maximum(arithmetic_s, reads_s)
    return time_s


def _decode_attention_s(model: ModelSpec, stages: StageArrays, batch: Batch, engine: EngineSettings) -> Array:
    """Attention of decode tokens [s]: the larger of cache reads and arithmetic, which only latent attention meets."""
    context = batch.input_tokens + batch.output_tokens / 2
    attended = context * np.array([model.attended_share(length) for length in context])
    pairs = stages.layers * batch.sequences * attended
    reads_s = pairs * stages.entry_bytes / (stages.cache_bandwidth * engine.cache_efficiency)
    arithmetic_s = 2 * decode_attention_width(model) * pairs / (stages.half_flops * engine.attention_efficiency)
    time_s: Array = np.maximum(reads_s, arithmetic_s)
    return time_s


def decode_attention_width(model: ModelSpec) -> float:
    """Multiply-adds of one decode token, attended token and layer [-].

    Notes           Latent attention decodes on the latent vector itself: every head multiplies with all of it.
    """
    if model.mla is None:
        return model.attention_width
    return float(model.num_heads * (2 * model.mla.kv_lora_rank + model.mla.qk_rope_head_dim))


def _prefill_attention_s(
    model: ModelSpec, stages: StageArrays, batch: Batch, prefill: Array, engine: EngineSettings
) -> Array:
    """Attention of prefill tokens [s]: each sees half of its prompt on average, less in a sliding window."""
    seen = np.array([mean_tokens_seen(model, length) for length in batch.input_tokens])
    score_flops = 2 * stages.layers * model.attention_width * prefill * seen
    time_s: Array = score_flops / (stages.half_flops * engine.attention_efficiency)
    return time_s


def mean_tokens_seen(model: ModelSpec, prompt_tokens: float) -> float:
    """Tokens a prompt token attends to [tokens], averaged over the prompt and over layers.

    Notes           full layer: n / 2;  sliding layer: w - w**2 / (2 n) with w = min(window, n).
    """
    full = prompt_tokens / 2
    if model.sliding_window is None:
        return full
    kinds = model.sliding_window
    reach = min(float(kinds.window), prompt_tokens)
    sliding = reach - reach * reach / (2 * prompt_tokens)
    return (kinds.full_layers * full + kinds.sliding_layers * sliding) / (kinds.full_layers + kinds.sliding_layers)


def _elements_s(model: ModelSpec, stages: StageArrays, tokens: Array, engine: EngineSettings) -> Array:
    """Traffic of norms, activations and cache writes [s]."""
    moved_bytes = stages.layers * model.hidden_size * engine.element_bytes * tokens
    return moved_bytes / (stages.bandwidth * engine.memory_efficiency)


def _head_s(model: ModelSpec, stages: StageArrays, batch: Batch, engine: EngineSettings) -> Array:
    """Head on the last stage [s], for decode tokens only."""
    arithmetic_s = 2 * model.embedding_params * batch.sequences / (stages.half_flops * engine.compute_efficiency)
    reads_s = stages.head_bytes / (stages.bandwidth * engine.memory_efficiency)
    return np.maximum(arithmetic_s, reads_s) * np.where(stages.last, 1.0, 0.0)


def _collectives_s(model: ModelSpec, stages: StageArrays, tokens: Array, engine: EngineSettings) -> Array:
    """Two ring all-reduces per layer [s]; none on one GPU."""
    activation_bytes = tokens * model.hidden_size * ACTIVATION_BYTES
    ring_s = 2 * (stages.size - 1) / stages.size * activation_bytes / stages.link
    return np.where(stages.size > 1, 2 * stages.layers * (engine.collective_latency_s + ring_s), 0.0)


def transfer_time_s(model: ModelSpec, stages: StageArrays, batch: Batch) -> Array:
    """Mean time to send a step's activations to the next stage [s]; 0 from the last."""
    sent_bytes = (batch.sequences + batch.mixed_share * batch.chunk) * model.hidden_size * ACTIVATION_BYTES
    return np.where(stages.present, sent_bytes / stages.next_link, 0.0)
