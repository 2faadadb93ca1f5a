"""Replicas below saturation: running sequences, step times and queues at any load, in the step-time model.

A replica is as busy as its occupancy u in [0, 1] says: of the B sequences of its steady batch u B run on average. The
rate follows from Little's law. Requests of a type have its mean lengths, as everywhere in this package.

    running   N = u B               seen by one of them   n = 1 + u (B - 1), at least 1
    micro-batches  m = min(S, n)    sequences of one  b = n / m     prefill tokens owed per step  o = N r / m
                   with max(B, min(S, admitted)) for B in the n of m
    stage_s = decode + c p k        c p: prefill of the step that sets the pace, `cuvee.profile.pacing`
    cycle, round = m cycle          from stage_s as in `cuvee.profile.analytic`
    rate      lambda = N / (osl round)                        Little's law

Where answers outgrow the cache, o = N (r + a) / m at u = 1, with a tokens lost and computed anew per answer token; up
to `FREE_OF_LOSS` none are, from there they grow with u. No rate is then above that at u = 1.

A prefill token costs k, as in a step filled to the token budget M, or as in a step with the prompt alone where that is
more: prompts come in bunches, and no way to spread them takes longer. docs/latency.md derives every formula.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.analytic import AnalyticProvider, cycle_s, step_limits
from cuvee.profile.batch import mean_lengths, room_for_sequences, steady_batch
from cuvee.profile.engine import EngineSettings
from cuvee.profile.memory import kv_capacities
from cuvee.profile.pacing import Company, paced_prefill
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.profile.stages import stage_arrays
from cuvee.profile.step_time import StepTerms, step_terms, token_transfer_s
from cuvee.workload.records import WorkloadType

Array = NDArray[np.float64]

FREE_OF_LOSS = 0.5
"""Occupancy up to which no cache is lost; from there what is computed anew grows to that of a full cache [-]."""


@dataclass(frozen=True, eq=False)
class LoadedReplicas:
    """Replicas at one occupancy each; shape (num_configs, num_workloads).

    Attributes
        rate_req_per_s    lambda: requests that arrive and are served [req/s].
        running           N: mean decoding sequences [-].
        round_s           Mean time of a decode step of a sequence, prefill of others included [s].
        decode_round_s    The same without any prefill [s].
        full_round_s      The same when every step is filled with prefill to the token budget [s].
        start_s           Mean time from one start of a step to the next, on a pipeline without gaps [s].
        full_start_s      The same when every step is full [s].
        prefill_room      M - b: prefill tokens of a full step [tokens].
        prompt_s          Time a prompt's own prefill takes, one full trip through the stages per chunk [s].
    """

    rate_req_per_s: Array
    running: Array
    round_s: Array
    decode_round_s: Array
    full_round_s: Array
    start_s: Array
    full_start_s: Array
    prefill_room: Array
    prompt_s: Array

    def select(self, columns: NDArray[np.int64]) -> "LoadedReplicas":
        """The workload types at `columns`, in that order."""
        return LoadedReplicas(*(value[:, columns] for value in vars(self).values()))


@dataclass(frozen=True, eq=False)
class LoadableReplicas:
    """What `at` needs to know of replicas of one model and of the requests they get.

    Attributes
        input_tokens, output_tokens    Mean lengths [tokens], shape (num_workloads,).
        fits                           Whether a request fits, shape (num_configs, num_workloads).
        most_running                   B: sequences of the steady batch [-], the same shape.
        recomputed                     a: tokens computed anew per answer token when saturated [-], the same shape.
        most_req_per_s                 Rate when saturated, where a > 0; inf elsewhere [req/s], the same shape.
        most_admitted                  Sequences that cache and sequence limit admit [-], the same shape: B or more.
        longer_company, all_company    Prompts of other types beside its own, as of `Company` [-], the same shape.
        num_stages                     S [-], shape (num_configs, 1).
        step_tokens                    M: token budget of a step [tokens], shape (num_configs, 1).
        transfer_s                     To send a token's activations to the next stage [s].
    """

    input_tokens: Array
    output_tokens: Array
    fits: NDArray[np.bool_]
    most_running: Array
    recomputed: Array
    most_req_per_s: Array
    most_admitted: Array
    longer_company: Array
    all_company: Array
    num_stages: Array
    step_tokens: Array
    terms: StepTerms
    transfer_s: Array
    engine: EngineSettings

    def at(self, occupancy: Array) -> LoadedReplicas:
        """The replicas at `occupancy` [-], of shape (num_configs, num_workloads), each in [0, 1]."""
        running = occupancy * self.most_running
        seen = 1 + occupancy * np.maximum(self.most_running - 1, 0.0)  # a steady batch may be less than one sequence
        most_in_flight = np.minimum(self.num_stages, self.most_admitted)
        # A token budget may leave less than one sequence to each micro-batch: there are as many of them all the same.
        spread = 1 + occupancy * (np.maximum(self.most_running, most_in_flight) - 1)
        in_flight = np.minimum(self.num_stages, spread)
        sequences = seen / in_flight
        room = self.step_tokens - sequences
        lost = self.recomputed * np.clip((occupancy - FREE_OF_LOSS) / (1 - FREE_OF_LOSS), 0.0, 1.0)
        chunks = np.ceil(self.input_tokens / room - 1e-9)
        own = self.input_tokens / chunks
        decode, full, alone = (self._stage_s(sequences, prefill) for prefill in (np.zeros_like(room), room, own))
        token_s = np.maximum((full - decode) / room[:, None], (alone - decode) / own[:, None])
        prompts, anew = running / self.output_tokens, running / in_flight * lost
        company = Company(self.longer_company, self.all_company)
        chunk, share = paced_prefill(self.input_tokens, prompts, anew, in_flight, room, company, self.engine)
        if self.num_stages.max(initial=1) > 1:  # prompts of a pipeline may come several in a step
            np.maximum(token_s, (self._stage_s(sequences, chunk) - decode) / chunk[:, None], out=token_s)
        host_s = self.engine.host_s(sequences, seen)
        sent = self.transfer_s * sequences[:, None]
        prefill = (chunk * share)[:, None]
        mean_s = decode + prefill * (token_s + self.transfer_s) + sent
        full_s = full + sent + self.transfer_s * room[:, None]

        def rounds_s(stage_s: Array) -> tuple[Array, Array]:
            """Time of a round [s], and from start to start of a step in a pipeline without gaps [s]."""
            slowest_s, trip_s = stage_s.max(axis=1), stage_s.sum(axis=1)
            own_s = cycle_s(self.num_stages, slowest_s, trip_s, in_flight, self.engine)
            # Prompts fill the places that decodes leave empty.
            dense_s = cycle_s(self.num_stages, slowest_s, trip_s, most_in_flight, self.engine)
            return in_flight * (own_s + host_s), dense_s + host_s

        round_s, start_s = rounds_s(mean_s)
        # A burst that overfills the cache keeps it full: no rate above the saturated one lasts.
        round_s = np.maximum(round_s, running / (self.output_tokens * self.most_req_per_s))
        full_round_s, full_start_s = rounds_s(full_s)
        trip = alone + sent + self.transfer_s * own[:, None]
        return LoadedReplicas(
            running / (self.output_tokens * round_s),
            running,
            round_s,
            rounds_s(decode + sent)[0],
            full_round_s,
            start_s,
            full_start_s,
            room,
            chunks * (trip.sum(axis=1) + host_s),
        )

    def cells(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> "LoadableReplicas":
        """Some pairs of configuration and workload type, side by side: as many workloads of one configuration."""
        shape = self.fits.shape

        def picked(array: Array) -> Array:
            """Of shape (1, num_cells); of arrays by stage (1, max_stages, num_cells)."""
            if array.ndim == 3:
                whole = np.broadcast_to(array, (shape[0], array.shape[1], shape[1]))
                return np.ascontiguousarray(whole[rows, :, columns].T)[None]
            return np.broadcast_to(array, shape)[rows, columns][None]

        return self._mapped(picked)

    def select(self, columns: NDArray[np.int64]) -> "LoadableReplicas":
        """The workload types at `columns`, in that order, of replicas that `cells` made."""
        return self._mapped(lambda array: array[..., columns])

    def _mapped(self, change: Callable[[Array], Array]) -> "LoadableReplicas":
        """All arrays changed in the same way."""

        def changed(record: object) -> dict[str, Any]:
            return {name: change(value) for name, value in vars(record).items() if isinstance(value, np.ndarray)}

        return replace(self, terms=replace(self.terms, **changed(self.terms)), **changed(self))

    def _stage_s(self, sequences: Array, prefill: Array) -> Array:
        """Time of a step on each stage [s], shape (num_configs, max_stages, num_workloads)."""
        return self.terms.time_s(sequences[:, None], prefill[:, None])


def loadable(provider: AnalyticProvider, configs: ReplicaArrays, workloads: Sequence[WorkloadType]) -> LoadableReplicas:
    """Replicas of one model, rated by `provider`, ready to be put under load."""
    model, engine = provider.checked(configs), provider.engine
    capacity = kv_capacities(model, configs, provider.gpus, engine)
    limits = step_limits(configs, provider.gpus, engine)
    stages = stage_arrays(model, configs, provider.gpus, engine, provider.network_gb_per_s)
    shares = provider.shares_of(model, workloads)
    serves = configs.serves([each.name for each in workloads])
    batch = steady_batch(model, capacity, stages.num_stages, workloads, limits, engine, shares=shares, serves=serves)
    _, admitted = room_for_sequences(model, capacity, workloads, limits, engine)
    inputs, outputs = mean_lengths(workloads)
    recomputed = batch.recomputed[:, 0]
    replicas = LoadableReplicas(
        inputs,
        outputs,
        batch.fits[:, 0],
        (batch.in_flight * batch.sequences)[:, 0],
        recomputed,
        np.full_like(recomputed, np.inf),
        admitted,
        batch.company.longer,
        batch.company.all,
        stages.num_stages,
        limits[:, 1:],
        step_terms(model, stages, inputs, outputs, engine),
        token_transfer_s(model, stages),
        engine,
    )
    saturated = replicas.at(np.ones_like(recomputed)).rate_req_per_s
    return replace(replicas, most_req_per_s=np.where(recomputed > 0, saturated, np.inf))
