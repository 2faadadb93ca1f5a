"""The steady batch: how many sequences a replica runs, and how prefill is spread over its steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.model import ModelSpec
from cuvee.profile.engine import EngineSettings
from cuvee.profile.pacing import Company, paced_prefill
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

ALMOST_FULL = 0.9
"""Share of the cache that sequences hold on average where they begin to be too many now and then [-]."""


@dataclass(frozen=True)
class Batch:
    """What one step of a micro-batch carries; shape (num_configs, 1, num_workloads) unless said otherwise.

    Attributes
        input_tokens     isl, of shape (num_workloads,) [tokens].
        output_tokens    osl, of shape (num_workloads,) [tokens].
        company          Prompts of other types beside its own.
        fits             Whether the cache holds one request, and the model its length.
        in_flight        m: micro-batches under way [-].
        sequences        b: decoding sequences of a micro-batch [-].
        steps            n: steps that a prompt takes [-].
        chunk            c: prefill tokens of a mixed step [tokens]; of a pipeline the step that sets the pace.
        mixed_share      p: such steps in each step, or in each round of a pipeline [-]; see `cuvee.profile.pacing`.
        recomputed       a: tokens lost and computed anew per token of the answers [-].
    """

    input_tokens: Array
    output_tokens: Array
    company: Company
    fits: NDArray[np.bool_]
    in_flight: Array
    sequences: Array
    steps: Array
    chunk: Array
    mixed_share: Array
    recomputed: Array


def steady_batch(
    model: ModelSpec,
    capacity: Array,
    num_stages: Array,
    workloads: Sequence[WorkloadType],
    limits: Array,
    engine: EngineSettings,
    *,
    computes_prompts: bool = True,
    shares: Array | None = None,
    serves: NDArray[np.bool_] | None = None,
) -> Batch:
    """Largest steady batch that cache, sequence limit and token budget allow.

    Parameters
        capacity            Cache of each replica [tokens], shape (num_configs,).
        num_stages          Shape (num_configs, 1) [-].
        limits              Most sequences [-] and tokens per step [tokens], shape (num_configs, 2).
        computes_prompts    Whether prompts are computed here; they arrive with their cache else.
        shares              Of the workloads in all requests of a replica [-], shape (num_workloads,); None: each is
                            served alone.
        serves              Whether a replica takes the type, shape (num_configs, num_workloads); None: all do.
    """
    inputs, outputs = mean_lengths(workloads)
    fits, total = room_for_sequences(model, capacity, workloads, limits, engine)
    fits = fits if serves is None else fits & serves
    in_flight = np.minimum(num_stages, total)
    owed = inputs / outputs if computes_prompts else np.zeros_like(inputs)
    without_cache_limit = np.minimum(limits[:, :1], in_flight * limits[:, 1:] / (1 + owed))
    recomputed = recomputed_share(model, capacity, workloads, without_cache_limit, total, engine)
    # A step's budget is shared by decode and prefill: with long prompts it, not the cache, bounds the batch.
    sequences = np.minimum(total / in_flight, limits[:, 1:] / (1 + owed + recomputed))
    room, prompts = limits[:, 1:] - sequences, in_flight * sequences / outputs
    company = Company.alone(prompts.shape)
    if shares is not None:
        company = Company.of(inputs, outputs, total, prompts, room, fits, shares, in_flight)
    begun = prompts if computes_prompts else np.zeros_like(prompts)
    chunk, share = paced_prefill(inputs, begun, sequences * recomputed, in_flight, room, company, engine)
    steps = np.ceil(inputs / np.maximum(np.minimum(inputs, room), sequences * (owed + recomputed)) - 1e-9)
    arrays = (in_flight, sequences, steps, chunk, share, recomputed)
    return Batch(inputs, outputs, company, fits[:, None, :], *(array[:, None, :] for array in arrays))


def room_for_sequences(
    model: ModelSpec, capacity: Array, workloads: Sequence[WorkloadType], limits: Array, engine: EngineSettings
) -> tuple[NDArray[np.bool_], Array]:
    """Whether one request fits, and how many cache and sequence limit admit at once [-], at least 1.

    Parameters      as of `steady_batch`.
    Returns         both of shape (num_configs, num_workloads).
    """
    inputs, outputs = mean_lengths(workloads)
    longest = inputs + outputs
    kept_share = np.array([model.attended_share(length) for length in longest])
    tokens = capacity[:, None]
    fits = (tokens >= longest * kept_share) & (longest <= model.max_context)
    held = (inputs + engine.output_reserved * outputs) * kept_share
    return fits, np.clip(tokens / held, 1.0, limits[:, :1])


def recomputed_share(
    model: ModelSpec,
    capacity: Array,
    workloads: Sequence[WorkloadType],
    without_cache_limit: Array,
    sequences: Array,
    engine: EngineSettings,
) -> Array:
    """Tokens computed anew per token of the answers [-], shape (num_configs, num_workloads).

    Parameters
        capacity               As of `steady_batch`.
        without_cache_limit    Sequences that would run at once if the cache were endless [-], shape as returned.
        sequences              That run at once [-], the same shape.
    Notes                      An engine that fills its cache with prompts leaves no room for answers to grow: each
                               token takes the place of one of the sequence that came last, which is put back and
                               computed anew. Those that end in the same round leave each other room:
                               1 / (1 + N / osl) is lost. Where other limits keep the cache from being full, nothing is.
                               In a sliding window's layers the cache does not grow.
    """
    inputs, outputs = mean_lengths(workloads)
    longest = inputs + outputs
    kept = np.array([length * model.attended_share(length) for length in (*inputs, *longest)]).reshape(2, -1)
    growth = (kept[1] - kept[0]) / outputs * (longest / kept[1])
    held = kept.mean(axis=0)
    filled = without_cache_limit * held / np.maximum(capacity[:, None], 1.0)
    full = np.clip((filled - ALMOST_FULL) / (2 * (1 - ALMOST_FULL)), 0.0, 1.0)
    lost: Array = engine.recomputed_share * full * growth / (1 + sequences / outputs)
    return lost


def mean_lengths(workloads: Sequence[WorkloadType]) -> tuple[Array, Array]:
    """Mean prompt and answer lengths [tokens]; a request has at least one token of each."""
    inputs = np.array([max(workload.input_tokens, 1.0) for workload in workloads])
    outputs = np.array([max(workload.output_tokens, 1.0) for workload in workloads])
    return inputs, outputs
