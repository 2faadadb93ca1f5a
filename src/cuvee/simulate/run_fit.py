"""Few coefficients of a step-time law, fitted to some requests of a run of a real engine."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.step_law import StepLaw
from cuvee.simulate.engine_runs import EngineRun
from cuvee.simulate.run_play import QUANTITIES, RunLatencies, arrivals_within_a_step, measured_latencies, play_run

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

STARTS = 2
STARTS_FULL = 16
"""Searches begun, and those where the cache is full: which sequence is put back then hangs on little."""

TRIALS = 250
"""Points tried in each search."""

SPREAD = 0.1
STEP = 0.12
ROOM_STEP = 0.005
ROOM_STARTS = (0.01, 0.0, 0.02, 0.005)
"""Logarithms: how far starts lie apart and how far each search first steps, and the same of the room, by turns."""

STATISTICS_WEIGHT = 3.0
"""Weight of what statistics are off, beside what requests are off [-]."""

PRIOR = 0.02
"""Weight of the squared logarithms [-]: what the run does not tell stays what the model says."""

FACTOR_AT_MOST = 20.0
SETTLED = 1e-5
"""Largest multiplier or its inverse [-]; and the difference of losses at which a search ends."""


@dataclass(frozen=True)
class Coefficients:
    """Multipliers on what the throughput model says of a step [-].

    Attributes
        fixed        What a step takes whatever it carries: reads of weights, hops, host.
        token        Each prompt token, its attention included.
        sequence     Each decoding sequence, without what it attends to.
        attended     Each token that a decoding sequence attends to.
        room         Tokens of the cache: prompts that begin alike share blocks.
        cold_start_s How much longer the very first step takes [s]: kernels are loaded when they are first used.
    """

    fixed: float = 1.0
    token: float = 1.0
    sequence: float = 1.0
    attended: float = 1.0
    room: float = 1.0
    cold_start_s: float = 0.0

    def applied(self, law: StepLaw) -> StepLaw:
        """`law` with these multipliers."""
        nothing = law.token_s[:, :1]
        mean_token_s = (law.token_s[:, -1] - law.token_s[:, 0]) / law.max_num_tokens
        host_s = law.sequence_overhead_s + law.scheduling_s
        return replace(
            law,
            token_s=nothing * self.fixed + (law.token_s - nothing) * self.token,
            # The table holds a decoding sequence's own token as well, so only the difference is added here.
            sequence_s=law.sequence_s * self.token + (self.sequence - self.token) * (mean_token_s + host_s),
            cache_s=law.cache_s * self.attended,
            pair_s=law.pair_s * self.token,
            head_s=law.head_s * self.token,
            head_read_s=law.head_read_s * self.fixed,
            step_overhead_s=law.step_overhead_s * self.fixed,
            cache_tokens=int(law.cache_tokens * self.room),
        )


@dataclass(frozen=True)
class StepCosts:
    """A law in plain figures, summed over its stages: of a step with nothing, and what each thing adds to one."""

    fixed_s: float
    prompt_token_s: float
    sequence_s: float
    attended_token_s: float

    @staticmethod
    def of(law: StepLaw, sequences: int) -> "StepCosts":
        """Of prompt tokens in a full step, and of one more sequence beside `sequences`."""
        at, most = min(max(sequences, 1), law.max_num_tokens - 1), law.max_num_tokens
        rising = law.token_s[:, at + 1] - law.token_s[:, at - 1]
        host_s = law.sequence_overhead_s + law.scheduling_s
        return StepCosts(
            float((law.token_s[:, 0] + law.head_read_s).sum()) + law.step_overhead_s,
            float((law.token_s[:, most] - law.token_s[:, most // 2]).sum()) / (most - most // 2),
            float((rising / 2 + law.sequence_s).sum()) + host_s,
            float(law.cache_s.sum()),
        )


def fit_law(run: EngineRun, law: StepLaw, chosen: Bools) -> Coefficients:
    """Coefficients under which played latencies of the `chosen` requests are nearest to the measured ones.

    Notes       Minimises what requests and statistics are off (`distance`), by simplex searches from a few starts. The
                room is fitted where sequences are put back: then one play has many details of the real run, and more
                starts help. Else the mean of plays that differ in when, within a step, requests come is a smoother
                function. The cold start is what the first request, where chosen, waits longer than without.
    """
    measured = measured_latencies(run)
    usual = play_run(run, law, run.arrival_s[None])
    with_room = usual.preemptions > 0
    arrivals_s = run.arrival_s[None] if with_room else arrivals_within_a_step(run, StepCosts.of(law, 1).fixed_s)
    cold_start_s = max(0.0, float(measured.ttft_s[0, 0] - usual.latencies.ttft_s[0, 0])) if chosen[0] else 0.0

    def loss(point: Floats) -> float:
        found = _coefficients(point)
        limit = np.log(FACTOR_AT_MOST)
        if (np.abs(point) > limit).any():
            return float("inf")
        tried = found.applied(law)
        sequences = np.arange(1, law.max_num_seqs + 1)
        if (tried.token_s[:, sequences] + tried.sequence_s[:, None] * sequences <= 0).any():
            return float("inf")
        off = distance(measured, play_run(run, tried, arrivals_s, cold_start_s=cold_start_s).latencies, chosen)
        return off + PRIOR * float(np.mean(point[:4] ** 2))

    best, least = np.zeros(4), float("inf")
    for number in range(STARTS_FULL if with_room else STARTS):
        start = np.random.default_rng(number).normal(0, SPREAD, 4) if number else np.zeros(4)
        steps = np.full(4, STEP)
        if with_room:
            start, steps = np.append(start, ROOM_STARTS[number % len(ROOM_STARTS)]), np.append(steps, ROOM_STEP)
        point, value = lowest(loss, start, steps)
        if value < least:
            best, least = point, value
    return replace(_coefficients(best), cold_start_s=cold_start_s)


def distance(measured: RunLatencies, played: RunLatencies, chosen: Bools) -> float:
    """How far `played` latencies of the `chosen` requests are from the measured ones [-], the sum of

    TPOT          the mean |log ratio| of a request
    TTFT, E2E     the mean difference over the mean
    all           the mean |ratio - 1| of the statistics, `STATISTICS_WEIGHT` times
    """
    total = 0.0
    for quantity in QUANTITIES:
        real, made = measured.of(quantity)[chosen], played.of(quantity)[chosen]
        real, made = real[~np.isnan(real)], made[~np.isnan(real)]
        if not len(real):
            continue
        if quantity == "tpot":
            total += float(np.abs(np.log(np.maximum(made, 1e-9) / np.maximum(real, 1e-9))).mean())
        else:
            total += float(np.abs(made - real).mean() / real.mean())
    ratios = played.statistics_s(chosen) / measured.statistics_s(chosen)
    return total + STATISTICS_WEIGHT * float(np.nanmean(np.abs(ratios - 1)))


def _coefficients(point: Floats) -> Coefficients:
    return Coefficients(*map(float, np.exp(point)))


def lowest(function: Callable[[Floats], float], start: Floats, steps: Floats) -> tuple[Floats, float]:
    """A point at which `function` is low, and its value there: a simplex search (Nelder and Mead) from `start`.

    Parameters
        steps    How far the first simplex reaches from the start along each axis; same shape.
    """
    simplex = [start, *(start + np.diag(steps))]
    values = [function(point) for point in simplex]
    trials = len(values)
    while trials < TRIALS:
        order = np.argsort(values, kind="stable")
        simplex, values = [simplex[i] for i in order], [values[i] for i in order]
        if values[-1] - values[0] < SETTLED:
            break
        centre = np.mean(simplex[:-1], axis=0)
        away = centre - simplex[-1]
        point, value = centre + away, function(centre + away)
        trials += 1
        if value < values[0] or value >= values[-2]:
            further = centre + (2.0 if value < values[0] else 0.5 if value < values[-1] else -0.5) * away
            other = function(further)
            trials += 1
            if other < min(value, values[-1]):
                point, value = further, other
        if value < values[-1]:
            simplex[-1], values[-1] = point, value
        else:
            simplex = [simplex[0], *((each + simplex[0]) / 2 for each in simplex[1:])]
            values = [values[0], *map(function, simplex[1:])]
            trials += len(values) - 1
    best = int(np.argmin(values))
    return simplex[best], values[best]
