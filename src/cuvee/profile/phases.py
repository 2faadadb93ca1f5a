"""Rates of replicas that only prefill or only decode, with the cache sent from one to the other.

The step is that of `cuvee.profile.step_time`. A prefill replica runs steps full of prompt tokens and holds each
prompt's cache until it is sent; a decode replica holds prompt and answer and runs steps without prefill, but for what
it loses where answers outgrow its cache, which it computes anew by itself.

Assumptions
    Requests of a type have its mean lengths; every request of a batch is of one type; prefix caching is off.
    The last token of a prompt reads the prompt's cache and passes the head, as a decode token does.
    A decode replica still runs one step per answer token, as in the mixed replica.
    The cache is sent once the prompt is done, over the link between machines, also where both replicas share one. Over
    time a replica has the share of its machines' links that it has of their GPUs, in either direction; one transfer
    alone runs at the full rate of the link. Transfers take no time of the GPU; both ends hold the cache meanwhile.

Source          docs/throughput-model.md, "Prefill and decode apart". No public figure covers these rates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.model import ModelSpec
from cuvee.profile.analytic import AnalyticProvider, alike, pipeline_cycle_s, steady_cycle_s, step_limits
from cuvee.profile.batch import Batch, mean_lengths, room_for_sequences, steady_batch
from cuvee.profile.engine import EngineSettings
from cuvee.profile.memory import kv_capacities
from cuvee.profile.pacing import Company
from cuvee.profile.replica import ReplicaConfig
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.stages import StageArrays, stage_arrays
from cuvee.profile.step_time import step_time_s, token_transfer_s
from cuvee.profile.table import ThroughputTable
from cuvee.units import BYTES_PER_GB
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]


class Phase(StrEnum):
    """Which part of a request a replica does."""

    BOTH = "both"
    """The whole request: the replica of `AnalyticProvider`."""
    PREFILL = "prefill"
    """The prompt; its cache then goes to a replica that decodes."""
    DECODE = "decode"
    """The answer, from a cache that a prefill replica sent."""


class PhaseProvider(Protocol):
    """Anything that can fill throughput tables of replicas that do one phase."""

    def phase_table(
        self, phase: Phase, configs: Sequence[ReplicaConfig], links: Sequence[float], workloads: Sequence[WorkloadType]
    ) -> ThroughputTable:
        """Rates of `configs` in `phase`, each with so many links between machines [-]; 0 where it does not fit."""
        ...


@dataclass(frozen=True)
class PhaseRates:
    """Rates of one phase as a `ThroughputProvider` gives them.

    Parameters
        links    Links of the configurations that will be asked for, in their order, or one number for all [-].
    """

    phases: PhaseProvider
    phase: Phase
    links: Sequence[float]

    def table(self, configs: Sequence[ReplicaConfig], workloads: Sequence[WorkloadType]) -> ThroughputTable:
        """Rates of `configs` on `workloads`."""
        links = self.links if len(self.links) != 1 else [self.links[0]] * len(configs)
        return self.phases.phase_table(self.phase, configs, links, workloads)


def links_of(config: ReplicaConfig, machine_gpus: Mapping[str, int]) -> float:
    """Links between machines that a replica has for its cache [-]: 0.25 of one for 2 GPUs in a machine of 8.

    Parameters
        machine_gpus    GPUs of one machine that replicas can fill, by GPU type [-].
    Notes               min_s (t_s / machine_gpus_s) / (l_s / L): each stage sends the cache of its own layers.
    """
    return min(
        stage.tensor_parallel_size / machine_gpus[stage.gpu] * config.num_layers / stage.layers
        for stage in config.stages
    )


@dataclass(frozen=True)
class AnalyticPhases:
    """Estimates of separate phases from the data sheets, engine and link of `provider`."""

    provider: AnalyticProvider

    def phase_table(
        self, phase: Phase, configs: Sequence[ReplicaConfig], links: Sequence[float], workloads: Sequence[WorkloadType]
    ) -> ThroughputTable:
        """Rates of `configs` in `phase`, each with so many links between machines [-]; 0 where it does not fit.

        Returns     ttft_s: of a prefill replica prompt and transfer, of a decode replica its first step; a request's
                    time to first token is the sum. relative_error: inf.
        Raises      As `AnalyticProvider.table`.
        """
        shape = (len(configs), len(workloads))
        merged = {name: np.zeros(shape) for name in ("rate", "ttft", "tpot", "sequences")}
        shares = np.array(links, dtype=float)
        for rows, arrays in alike(configs):
            block = self._block(phase, self.provider.checked(arrays), arrays, shares[rows], workloads)
            for key, values in merged.items():
                values[rows] = block[key]
        return ThroughputTable(
            configs if isinstance(configs, ReplicaArrays) else tuple(configs),
            tuple(workloads),
            merged["rate"],
            merged["rate"] > 0,
            np.full(shape, np.inf),
            merged["ttft"],
            merged["tpot"],
            merged["sequences"],
            np.broadcast_to(np.int64(0), shape),
            (self.provider.source,),
        )

    def _block(
        self,
        phase: Phase,
        model: ModelSpec,
        configs: ReplicaArrays,
        links: Array,
        workloads: Sequence[WorkloadType],
    ) -> dict[str, Array]:
        """Rates of configurations of one model, shape (len(configs), num_workloads)."""
        gpus, engine = self.provider.gpus, self.provider.engine
        capacity = kv_capacities(model, configs, gpus, engine)
        limits = step_limits(configs, gpus, engine)
        stages = stage_arrays(model, configs, gpus, engine, self.provider.network_gb_per_s)
        inputs, _ = mean_lengths(workloads)
        sent_bytes = np.array([model.kv_bytes(tokens, configs.kv_precision) for tokens in inputs])
        transfer_s = sent_bytes / (self.provider.network_gb_per_s * BYTES_PER_GB)
        run = _prefill if phase is Phase.PREFILL else _decode
        values, fits = run(model, stages, capacity, limits, workloads, transfer_s, engine)
        values["rate"] = np.minimum(values["rate"], links[:, None] / transfer_s)
        return {name: np.where(fits, value, 0.0) for name, value in values.items()}


def _prefill(
    model: ModelSpec,
    stages: StageArrays,
    capacity: Array,
    limits: Array,
    workloads: Sequence[WorkloadType],
    transfer_s: Array,
    engine: EngineSettings,
) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Rate, latencies and prompts held of replicas that only prefill, and whether they fit; see `_block`."""
    inputs, outputs = mean_lengths(workloads)
    kept = inputs * np.array([model.attended_share(length) for length in inputs])
    room = capacity[:, None] / kept
    fits = (room >= 1) & (inputs + outputs <= model.max_context)
    room = np.maximum(room, 1.0)
    prompts = np.minimum(room, limits[:, :1])
    in_flight = np.minimum(stages.num_stages, prompts)
    tokens = np.minimum(prompts / in_flight * inputs, limits[:, 1:])
    ends = tokens / inputs  # prompts that end in a step
    spread = (np.ceil(inputs / tokens), tokens - ends, np.ones_like(ends), np.zeros_like(ends))
    shaped = (array[:, None, :] for array in (fits, in_flight, ends, *spread))
    batch = Batch(inputs, np.zeros_like(inputs), Company.alone(ends.shape), *shaped)
    sent_s = (batch.sequences + batch.chunk) * token_transfer_s(model, stages)
    stage_s = step_time_s(model, stages, batch, batch.chunk, engine) + sent_s
    under_way = np.maximum(ends, 1.0)
    host_s = engine.host_s(under_way, in_flight * under_way)
    cycle_s = pipeline_cycle_s(stages.num_stages, stage_s, batch.in_flight, engine) + host_s
    prompt_s = np.ceil(inputs / tokens) * in_flight * cycle_s
    rate = _within_room(ends / cycle_s, room, prompt_s + transfer_s, engine)
    held = rate * (prompt_s + transfer_s)
    return {"rate": rate, "ttft": prompt_s + transfer_s, "tpot": np.zeros_like(rate), "sequences": held}, fits


def _decode(
    model: ModelSpec,
    stages: StageArrays,
    capacity: Array,
    limits: Array,
    workloads: Sequence[WorkloadType],
    transfer_s: Array,
    engine: EngineSettings,
) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Rate, latencies and sequences of replicas that only decode, and whether they fit; see `_block`."""
    batch = steady_batch(model, capacity, stages.num_stages, workloads, limits, engine, computes_prompts=False)
    outputs = batch.output_tokens
    endless = np.full_like(limits, np.inf)
    _, room = room_for_sequences(model, capacity, workloads, endless, engine)
    in_flight, sequences = batch.in_flight[:, 0], batch.sequences[:, 0]
    cycle_s, _ = steady_cycle_s(model, stages, batch, engine)
    step_s = in_flight * cycle_s
    answer_s = outputs * step_s
    rate = _within_room(in_flight * sequences / answer_s, room, answer_s + transfer_s, engine)
    return {"rate": rate, "ttft": step_s, "tpot": step_s, "sequences": in_flight * sequences}, batch.fits[:, 0]


def _within_room(rate: Array, room: Array, held_s: Array, engine: EngineSettings) -> Array:
    """`rate` [req/s], or what the server process and the cache for `room` requests [-] of `held_s` each allow."""
    return np.minimum(np.minimum(rate, room / held_s), engine.max_req_per_s)
