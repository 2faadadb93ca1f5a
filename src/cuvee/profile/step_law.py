"""The step-time law of one replica: how long an engine step takes, by what it carries, for whoever plays steps out.

It is the model of `cuvee.profile.step_time` with the lengths of requests taken out: attention by the tokens that are
attended to, everything else by the tokens of the step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.gpu import GpuType
from cuvee.catalog.model import ModelSpec
from cuvee.errors import DoesNotFitError
from cuvee.profile.analytic import NETWORK_GB_PER_S, step_limits
from cuvee.profile.engine import EngineSettings
from cuvee.profile.memory import kv_capacities, require_fit
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.stages import stage_arrays
from cuvee.profile.step_time import attention_s, mean_tokens_seen, terms_without_attention, token_transfer_s

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepLaw:
    """Times of one engine step on each pipeline stage, and what the engine admits to it.

    A step carries b decoding sequences that attend to k tokens in all, and c prompt tokens that attend to p in all:

        stage_s  =  token_s[b + c] + sequence_s b + cache_s k + pair_s p + max(head_s b, head_read_s)
        host_s   =  step_overhead_s + sequence_overhead_s b + scheduling_s running

    Attributes
        token_s              By the tokens of a step, shape (num_stages, max_num_tokens + 1) [s].
        sequence_s           Per decoding sequence, shape (num_stages,) [s].
        cache_s, pair_s      Per attended token, of decoding sequences and of prompts, same shape [s].
        head_s, head_read_s  Of the head: per decoding sequence, and at least, same shape [s].
        bubble               Factor on the time of a pipeline's cycle [-].
        held_up_share        How far prefill holds up the other micro-batches of a pipeline [-].
        max_num_seqs         Most sequences at once [-].
        max_num_tokens       Token budget of a step [tokens].
        cache_tokens         Room of the cache [tokens].
        reserves_answers     Whether the cache of an answer is set aside when its request is admitted.
        max_req_per_s        Requests that the engine's front end takes in [req/s].
        schedules_ahead      Whether a step is scheduled while the one before it is computed: who arrives then waits for
                             one step more.
        reuses_cache         Whether a sequence that was put back finds what nobody has taken of its cache.
    """

    token_s: Array
    sequence_s: Array
    cache_s: Array
    pair_s: Array
    head_s: Array
    head_read_s: Array
    step_overhead_s: float
    sequence_overhead_s: float
    scheduling_s: float
    bubble: float
    held_up_share: float
    max_num_seqs: int
    max_num_tokens: int
    cache_tokens: int
    reserves_answers: bool
    max_req_per_s: float
    schedules_ahead: bool = False
    reuses_cache: bool = False

    @property
    def num_stages(self) -> int:
        """Pipeline stages, S [-]."""
        return len(self.token_s)

    def slowed(self, factor: float) -> "StepLaw":
        """The same where every step takes `factor` times as long [-]."""
        times = {name: getattr(self, name) * factor for name in TIMES}
        return replace(self, **times)


TIMES = (
    "token_s", "sequence_s", "cache_s", "pair_s", "head_s", "head_read_s",
    "step_overhead_s", "sequence_overhead_s", "scheduling_s",
)  # fmt: skip
"""Fields of a law that are times [s]."""


def step_law(
    model: ModelSpec,
    config: ReplicaConfig,
    gpus: Mapping[str, GpuType],
    engine: EngineSettings,
    *,
    prompt_tokens: float,
    context_tokens: float,
    network_gb_per_s: float = NETWORK_GB_PER_S,
) -> StepLaw:
    """The law of one replica of `config`.

    Parameters
        prompt_tokens        Mean prompt [tokens]: where a model's windows slide, the share of it that a token sees.
        context_tokens       Mean prompt and half an answer [tokens], for the same reason.
        network_gb_per_s     Link between machines, one direction [GB/s].
    Raises                   DoesNotFitError: weights and one request exceed the memory.
    """
    arrays = ReplicaArrays.of([config])
    stages = stage_arrays(model, arrays, gpus, engine, network_gb_per_s)
    capacity = float(kv_capacities(model, arrays, gpus, engine)[0])
    if capacity < 1:
        require_fit(model, config, gpus, engine, context_tokens)
        raise DoesNotFitError(f"{model.name} on {config.gpu_label}", needed_gb=0.0, available_gb=0.0)
    num_seqs, num_tokens = step_limits(arrays, gpus, engine)[0]
    terms = terms_without_attention(model, stages, engine)
    cache_s, pair_s = attention_s(model, stages, engine)
    tokens, nothing = np.arange(int(num_tokens) + 1, dtype=float), np.zeros(int(num_tokens) + 1)
    of_tokens = replace(
        terms, decode_s_per_token=np.zeros_like(terms.decode_s_per_token), head_read_s=np.zeros_like(terms.head_read_s)
    )
    token_s = of_tokens.time_s(nothing[None, None], tokens[None, None])[0]
    token_s += np.outer(token_transfer_s(model, stages)[0], tokens)
    return StepLaw(
        token_s=token_s,
        sequence_s=(terms.decode_s_per_token - terms.prefill_s_per_token)[0, :, 0],
        cache_s=cache_s[0, :, 0] * model.attended_share(context_tokens),
        pair_s=pair_s[0, :, 0] * mean_tokens_seen(model, prompt_tokens) / (prompt_tokens / 2),
        head_s=terms.head_s_per_token[0, :, 0],
        head_read_s=terms.head_read_s[0, :, 0],
        step_overhead_s=engine.step_overhead_s,
        sequence_overhead_s=engine.sequence_overhead_s,
        scheduling_s=engine.scheduling_s,
        bubble=1 + engine.bubble_per_stage * (len(config.stages) - 1),
        held_up_share=engine.held_up_share,
        max_num_seqs=int(num_seqs),
        max_num_tokens=int(num_tokens),
        cache_tokens=int(capacity),
        reserves_answers=engine.output_reserved >= 1.0,
        max_req_per_s=engine.max_req_per_s,
        schedules_ahead=engine.schedules_ahead,
        reuses_cache=engine.reuses_cache,
    )
