"""Time of one engine step on each pipeline stage, term by term; see docs/throughput-model.md."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.model import ModelSpec
from cuvee.profile.batch import Batch
from cuvee.profile.engine import EngineSettings
from cuvee.profile.stages import StageArrays

Array = NDArray[np.float64]

ACTIVATION_BYTES = 2.0
"""Activations travel in 16 bit, between tensor-parallel GPUs and between stages [B]."""


ONE_SHOT_SHARE = 0.5
"""Share of the link rate that data take in all-reduces in one shot [-]: half of each store is a flag."""


@dataclass(frozen=True)
class StepTerms:
    """What a step costs on each stage, by the tokens it carries; all 0 where there is no such stage.

    Arrays have shape (num_configs, max_stages, 1), those of decode and prefill tokens
    (num_configs, max_stages, num_workloads).

    Of arithmetic and reads, the engine's `unhidden_share` is paid in full; of the rest only the longer counts.

    Attributes
        matrix_s_per_token     Arithmetic of projections and feed-forwards that reads may hide [s].
        read_s                 Reads of the weights outside routed experts that arithmetic may hide, per step [s].
        expert_read_s          The same of all routed experts [s].
        expert_share           Share of the routed experts that one token uses [-]; None where there are none.
        unhidden_ratio         Reads that nothing hides over those that arithmetic may hide [-].
        start_s                Hops of ring all-reduces and unhidden reads, per step [s].
        saved_s                What all-reduces in one shot save of those hops, at no tokens [s]; None where no stage
                               has more than one GPU.
        saved_s_per_token      How much less they save with each token [s].
        decode_s_per_token     Attention, elements, data of ring all-reduces and unhidden arithmetic of a decode token
                               [s].
        prefill_s_per_token    The same of a prefill token [s].
        head_s_per_token       Arithmetic of the head that reads may hide, per decode token [s].
        head_read_s            Reads of the head that arithmetic may hide, per step [s].
    """

    matrix_s_per_token: Array
    read_s: Array
    expert_read_s: Array
    expert_share: float | None
    unhidden_ratio: float
    start_s: Array
    saved_s: Array | None
    saved_s_per_token: Array | None
    decode_s_per_token: Array
    prefill_s_per_token: Array
    head_s_per_token: Array
    head_read_s: Array

    def time_s(self, sequences: Array, prefill: Array) -> Array:
        """Time of a step with `sequences` decode and `prefill` prefill tokens on each stage [s].

        Parameters      of shape (num_configs, 1, num_workloads).
        Returns         shape (num_configs, max_stages, num_workloads).
        """
        tokens = sequences + prefill
        time_s: Array = self.matrix_s_per_token * tokens
        if self.expert_share is None:
            np.maximum(time_s, self.read_s, out=time_s)
        else:  # only experts that some token of the step uses are read
            experts_s = self.expert_read_s * (1 - (1 - self.expert_share) ** tokens)
            np.maximum(time_s, self.read_s + experts_s, out=time_s)
            time_s += experts_s * self.unhidden_ratio
        time_s += self.start_s
        if self.saved_s is not None and self.saved_s_per_token is not None:
            saved = self.saved_s_per_token * tokens
            time_s += np.minimum(np.subtract(saved, self.saved_s, out=saved), 0.0, out=saved)
        time_s += self.decode_s_per_token * sequences
        time_s += self.prefill_s_per_token * prefill
        time_s += np.maximum(self.head_s_per_token * sequences, self.head_read_s)
        return time_s


def step_terms(
    model: ModelSpec, stages: StageArrays, input_tokens: Array, output_tokens: Array, engine: EngineSettings
) -> StepTerms:
    """Terms of a step on `stages` for requests of mean prompts and answers [tokens] of shape (num_workloads,)."""
    terms = terms_without_attention(model, stages, engine)
    cache_s, pair_s = attention_s(model, stages, engine)
    context = input_tokens + output_tokens / 2
    attended = context * np.array([model.attended_share(length) for length in context])
    seen = np.array([mean_tokens_seen(model, length) for length in input_tokens])
    here = stages.present.astype(float)
    return replace(
        terms,
        decode_s_per_token=terms.decode_s_per_token + cache_s * attended * here,
        prefill_s_per_token=terms.prefill_s_per_token + pair_s * seen * here,
    )


def terms_without_attention(model: ModelSpec, stages: StageArrays, engine: EngineSettings) -> StepTerms:
    """Terms of a step on `stages` that do not hang on how much its tokens attend to; each with one workload."""
    token_s, start_s = _ring_s(model, stages, engine)
    several = bool((stages.size > 1).any())
    saved_token_s, saved_s = _one_shot_savings_s(model, stages, engine) if several else (None, None)
    here = stages.present.astype(float)
    arithmetic_s, head_s = _arithmetic_s(model, stages), _head_arithmetic_s(model, stages, engine)
    reads_s = 1 / (stages.bandwidth_bytes_per_s * engine.memory_efficiency)  # per byte
    read_s, head_read_s = stages.fixed_weight_bytes * reads_s, stages.head_bytes * reads_s * stages.last
    unhidden, hidden = engine.unhidden_share, 1 - engine.unhidden_share
    token_s = token_s + _elements_s(model, stages, engine) + arithmetic_s * unhidden
    return StepTerms(
        matrix_s_per_token=arithmetic_s * hidden * here,
        read_s=read_s * hidden * here,
        expert_read_s=stages.expert_weight_bytes * reads_s * hidden * here,
        expert_share=model.expert_share_per_token if model.moe is not None else None,
        unhidden_ratio=unhidden / hidden,
        start_s=(start_s + (read_s + head_read_s) * unhidden) * here,
        saved_s=saved_s,
        saved_s_per_token=saved_token_s,
        decode_s_per_token=(token_s + head_s * unhidden) * here,
        prefill_s_per_token=token_s * here,
        head_s_per_token=head_s * hidden * here,
        head_read_s=head_read_s * hidden * here,
    )


def attention_s(model: ModelSpec, stages: StageArrays, engine: EngineSettings) -> tuple[Array, Array]:
    """Time per attended token, of a decode token and of a prefill token [s].

    Notes           Decode takes the larger of cache reads and arithmetic; only latent attention meets the latter.
    """
    reads_s = stages.layers * stages.entry_bytes / (stages.cache_bandwidth_bytes_per_s * engine.cache_efficiency)
    flops = stages.half_flops * engine.attention_efficiency
    decode_s = np.maximum(reads_s, 2 * decode_attention_width(model) * stages.layers / flops)
    return decode_s, 2 * stages.layers * model.attention_width / flops


def step_time_s(model: ModelSpec, stages: StageArrays, batch: Batch, prefill: Array, engine: EngineSettings) -> Array:
    """Time of a step with `prefill` prefill tokens on each stage [s]; see `StepTerms.time_s`."""
    return step_terms(model, stages, batch.input_tokens, batch.output_tokens, engine).time_s(batch.sequences, prefill)


def _arithmetic_s(model: ModelSpec, stages: StageArrays) -> Array:
    """Projections and feed-forwards of one token [s]."""
    active = (model.layer_params - model.expert_params * (1 - model.expert_share_per_token)) / model.num_layers
    return 2 * active * stages.layers / stages.matrix_flops


def _head_arithmetic_s(model: ModelSpec, stages: StageArrays, engine: EngineSettings) -> Array:
    """Head of one decode token [s]; 0 but on the last stage."""
    return 2 * model.embedding_params / (stages.half_flops * engine.compute_efficiency) * stages.last


def decode_attention_width(model: ModelSpec) -> float:
    """Multiply-adds of one decode token, attended token and layer [-].

    Notes           Latent attention decodes on the latent vector itself: every head multiplies with all of it.
    """
    if model.mla is None:
        return model.attention_width
    return float(model.num_heads * (2 * model.mla.kv_lora_rank + model.mla.qk_rope_head_dim))


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


def _elements_s(model: ModelSpec, stages: StageArrays, engine: EngineSettings) -> Array:
    """Traffic of norms, activations and cache writes of one token [s]."""
    moved_bytes = stages.layers * model.hidden_size * engine.element_bytes
    return moved_bytes / (stages.bandwidth_bytes_per_s * engine.memory_efficiency)


def _ring_s(model: ModelSpec, stages: StageArrays, engine: EngineSettings) -> tuple[Array, Array]:
    """Two ring all-reduces per layer: their time per token and the latency of their hops [s]; 0 on one GPU."""
    hops = 2 * (stages.size - 1)
    token_s = hops / stages.size * model.hidden_size * ACTIVATION_BYTES / stages.link_bytes_per_s
    return 2 * stages.layers * token_s, 2 * stages.layers * hops * engine.hop_latency_s


def _one_shot_savings_s(model: ModelSpec, stages: StageArrays, engine: EngineSettings) -> tuple[Array, Array]:
    """What all-reduces in one shot lose on rings per token, and save at no tokens [s]; 0 on one GPU.

    Notes           In one shot every GPU reads all the others at once: one latency, (t - 1) times the data, and a flag
                    beside each word, which halves the rate. Engines take the faster of the two, by the message.
    """
    ring_token_s, ring_start_s = _ring_s(model, stages, engine)
    sent_bytes = (stages.size - 1) * model.hidden_size * ACTIVATION_BYTES / ONE_SHOT_SHARE
    several = stages.size > 1
    token_s = 2 * stages.layers * sent_bytes / stages.link_bytes_per_s - ring_token_s
    start_s = 2 * stages.layers * engine.collective_latency_s
    return np.where(several, token_s, 0.0), np.where(several, np.maximum(ring_start_s - start_s, 0.0), 0.0)


def token_transfer_s(model: ModelSpec, stages: StageArrays) -> Array:
    """Time to send the activations of one token to the next stage [s]; 0 from the last."""
    return np.where(stages.present, model.hidden_size * ACTIVATION_BYTES / stages.next_link_bytes_per_s, 0.0)
