"""The requests of a run of a real engine, played on its replicas under a step-time law."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.profile.step_law import StepLaw
from cuvee.simulate.arrays import EVENT
from cuvee.simulate.engine_runs import EngineRun
from cuvee.simulate.packing import packed_engines, packed_requests, packed_split
from cuvee.simulate.play import play
from cuvee.simulate.policy import Policy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUANTITIES = ("ttft", "tpot", "e2e")
"""Time to the first token, per further token, and to the last."""

STATISTICS = ("mean", "p50", "p90", "p99")


PLAYS = 8
REQUESTS_PLAYED = 20_000
"""Plays of a run that differ in when, within a step, requests come; fewer where that many requests are played [-]."""


@dataclass(frozen=True, eq=False)
class RunLatencies:
    """Times of each request by `QUANTITIES` [s], shape (num_plays, num_requests); TPOT is nan for single tokens."""

    ttft_s: Floats
    tpot_s: Floats
    e2e_s: Floats

    def of(self, quantity: str) -> Floats:
        """Times of one of `QUANTITIES`, the mean over plays [s], shape (num_requests,)."""
        values: Floats = getattr(self, f"{quantity}_s").mean(axis=0)
        return values

    def statistics_s(self, chosen: NDArray[np.bool_]) -> Floats:
        """`STATISTICS` of each of `QUANTITIES` over the `chosen` requests, the mean over plays [s], shape (3, 4)."""
        rows = []
        for quantity in QUANTITIES:
            values = getattr(self, f"{quantity}_s")[:, chosen]
            values = values[:, ~np.isnan(values[0])]
            if values.size:
                rows.append([values.mean(), *np.percentile(values, [50, 90, 99], axis=1).mean(axis=1)])
            else:
                rows.append([np.nan] * len(STATISTICS))
        return np.array(rows)


@dataclass(frozen=True)
class Played:
    """Simulated latencies of a run, and what its cache did in the mean of the plays."""

    latencies: RunLatencies
    preemptions: float
    recomputed_tokens: float


def measured_latencies(run: EngineRun) -> RunLatencies:
    """What the clients of the real engine saw, from their arrival."""
    return _latencies(run, run.arrival_s, run.first_s, run.last_s)


def usual_law(run: EngineRun) -> StepLaw:
    """The law of the run's replicas by the throughput model, nothing fitted; raises DoesNotFitError."""
    prompt, answer = float(run.prompt.mean()), float(run.answer.mean())
    return run.setup.law(prompt_tokens=prompt, context_tokens=prompt + answer / 2)


def arrivals_within_a_step(run: EngineRun, step_s: float) -> Floats:
    """Arrivals of the run, each moved by up to half of `step_s` [s], shape (plays, num_requests); of one play as it is.

    Notes       Whether a request comes just before a step begins or just after is chance, and decides on a whole step
                of its waiting.
    """
    plays = min(PLAYS, REQUESTS_PLAYED // run.num_requests)
    if plays <= 1:
        return run.arrival_s[None]
    moves_s = np.random.default_rng(0).uniform(-0.5, 0.5, (plays, run.num_requests)) * step_s
    return np.maximum.accumulate(np.maximum(run.arrival_s + moves_s, 0.0), axis=1)


def play_run(run: EngineRun, law: StepLaw, arrivals_s: Floats, *, cold_start_s: float = 0.0) -> Played:
    """The run's requests under `law`, once for each row of `arrivals_s` [s]; each goes to the replica with fewest.

    Parameters
        cold_start_s    How much longer the very first step takes [s].
    Raises              InputError: a request that the cache never holds.
    """
    none, one = np.zeros(run.setup.num_replicas, np.int64), np.ones((1, 1))
    no_events = np.zeros(0, EVENT).view(np.recarray)
    first_s, last_s = np.empty_like(arrivals_s), np.empty_like(arrivals_s)
    preemptions = recomputed = 0
    for row, arrival_s in enumerate(arrivals_s):
        requests = packed_requests(arrival_s, run.prompt, run.answer)
        engines = packed_engines([law], none, none)
        engines.replicas["front_s"] = cold_start_s
        split = packed_split(one, one, none, np.ones((1, 1), bool))
        play(requests, engines, split, no_events, int(Policy.SHORTEST_QUEUE), True)
        first_s[row], last_s[row] = requests.first_s, requests.finish_s
        preemptions += int(engines.replicas.preemptions.sum())
        recomputed += int(engines.replicas.recomputed.sum())
    if np.isnan(last_s).any():
        longest = int((run.prompt + run.answer).max())
        raise InputError(
            f"{run.folder}: a request of {longest:,} tokens, and a cache of {law.cache_tokens:,}",
            expected="a cache that holds every request",
            remedy="correct its num_gpu_blocks, or state another GPU: --gpu NAME",
        )
    return Played(
        _latencies(run, arrivals_s, first_s, last_s), preemptions / len(arrivals_s), recomputed / len(arrivals_s)
    )


def _latencies(run: EngineRun, arrival_s: Floats, first_s: Floats, last_s: Floats) -> RunLatencies:
    arrival_s, first_s, last_s = (np.atleast_2d(each) for each in (arrival_s, first_s, last_s))
    further = np.where(run.answer > 1, run.answer - 1, 1)
    tpot_s = np.where(run.answer > 1, (last_s - first_s) / further, np.nan)
    return RunLatencies(first_s - arrival_s, tpot_s, last_s - arrival_s)
