"""Latency under load: time to first token, per output token and end to end, as a mean or as a percentile.

    TTFT = own prefill + waits for the server process, for a place in the batch, for the prompts ahead, for a step's end
    TPOT = round of a decode step, and what prompts that come in bunches add to it
    E2E  = TTFT + (osl - 1) TPOT

A wait is 0 with probability 1 - P and else exponential with mean tau; the wait for a step's end is uniform. What TPOT
has above its idle value is gamma-distributed. Percentiles of parts are added as if they came together, which is the
worst they can do in the middle of a tail. docs/latency.md derives and checks the formulas.

Assumptions
    Requests arrive as a Poisson process, and their lengths spread about their means as exponentials do:
    `WAIT_VARIABILITY`. Fixed lengths would halve the waits, bursts lengthen them.
    A percentile is over moments of arrival, for a request of the type's mean lengths.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.load import LoadableReplicas, LoadedReplicas

Array = NDArray[np.float64]

WAIT_VARIABILITY = 1.0
"""(ca^2 + cs^2) / 2 of the waits [-]: squared coefficients of variation of arrivals and of service."""

TINY = 1e-12
"""Keeps quotients of two vanishing figures finite."""


@dataclass(frozen=True, eq=False)
class Latency:
    """Latency of each replica on each workload type [s], shape (num_configs, num_workloads); inf without a bound."""

    ttft_s: Array
    tpot_s: Array
    e2e_s: Array


@dataclass(frozen=True, eq=False)
class Statistic:
    """Means and percentiles, one of them for each workload type.

    Attributes
        tail      Share of the requests that may be above [-], shape (num_workloads,); nan for the mean.
        normal    The same as a quantile of the normal distribution [-]; 0 for the mean.
    """

    tail: Array
    normal: Array

    @classmethod
    def of(cls, percentiles: list[float | None]) -> "Statistic":
        """Statistic of each workload type: a percentile [%], or None for the mean."""
        tail = [np.nan if each is None else 1 - each / 100 for each in percentiles]
        normal = [0.0 if each is None else NormalDist().inv_cdf(each / 100) for each in percentiles]
        return cls(np.array(tail), np.array(normal))

    def select(self, which: NDArray[np.int64]) -> "Statistic":
        """The statistic of some workload types."""
        return Statistic(self.tail[which], self.normal[which])

    def of_wait(self, probability: Array, mean_s: Array) -> Array:
        """Of a wait that is exponential with `mean_s`, and with `probability` at all [s]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            above = np.log(np.maximum(probability, TINY) / self.tail)
        factor = np.where(np.isnan(self.tail), probability, np.maximum(above, 0.0))
        with np.errstate(invalid="ignore"):
            return np.where(factor > 0, factor * mean_s, 0.0)

    def of_residual(self, probability: Array, longest_s: Array) -> Array:
        """Of a wait that is uniform up to `longest_s`, and with `probability` at all [s]."""
        above = np.maximum(1 - self.tail / np.maximum(probability, TINY), 0.0)
        return longest_s * np.where(np.isnan(self.tail), probability / 2, above)

    def of_excess(self, mean_s: Array, variance_s2: Array) -> Array:
        """Of a gamma-distributed time no more skewed than an exponential [s], never below its mean.

        Source      Wilson and Hilferty's approximation.
        """
        ninth = np.minimum(variance_s2 / np.maximum(mean_s, TINY) ** 2, 1.0) / 9
        cube = np.maximum(1 - ninth + self.normal * np.sqrt(ninth), 1.0) ** 3
        return mean_s * np.where(np.isnan(self.tail), 1.0, cube)


def latency(
    replicas: LoadableReplicas, load: LoadedReplicas, idle: LoadedReplicas, full: LoadedReplicas, statistic: Statistic
) -> Latency:
    """Latency of `replicas` under `load`, given the same replicas `idle` and `full`, that is saturated."""
    tpot_s = _tpot_s(replicas, load, idle, full, statistic)
    slowdown = load.round_s / idle.round_s
    ttft_s = (
        load.prompt_s
        + statistic.of_wait(*_server_wait(replicas, load))
        + statistic.of_wait(*_slot_wait(replicas, load, slowdown))
        + statistic.of_wait(*_prefill_wait(replicas, load))
        + statistic.of_residual(1 - np.exp(-load.running), load.start_s)
    )
    return Latency(ttft_s, tpot_s, ttft_s + (replicas.output_tokens - 1) * tpot_s)


def _server_wait(replicas: LoadableReplicas, load: LoadedReplicas) -> tuple[Array, Array]:
    """Probability and mean [s] of the wait for the server process: one server of `max_req_per_s`."""
    most = replicas.engine.max_req_per_s
    return np.minimum(load.rate_req_per_s / most, 1.0), _over(WAIT_VARIABILITY, most - load.rate_req_per_s)


def _slot_wait(replicas: LoadableReplicas, load: LoadedReplicas, slowdown: Array) -> tuple[Array, Array]:
    """Probability and mean [s] of the wait for a place in the batch: many servers that slow each other down.

    Notes           Sakasegawa's probability of waiting, rho**(sqrt(2 (c + 1)) - 1). Sequences that slow each other
                    down make their number vary `slowdown` times as much as that of independent ones: so many fewer
                    servers are they worth.
    """
    places = replicas.most_admitted
    servers = np.maximum(places / slowdown, 1.0)
    probability = (load.running / places) ** (np.sqrt(2 * (servers + 1)) - 1)
    held_s = replicas.output_tokens * load.round_s
    return probability, _over(WAIT_VARIABILITY * held_s * slowdown, places - load.running)


def _prefill_wait(replicas: LoadableReplicas, load: LoadedReplicas) -> tuple[Array, Array]:
    """Probability and mean [s] of the wait for the prompts ahead: one server that does full steps."""
    service_s = replicas.input_tokens / load.prefill_room * load.full_start_s
    busy = np.minimum(load.rate_req_per_s * service_s, 1.0)
    return busy, _over(WAIT_VARIABILITY * service_s, 1 - busy)


def _tpot_s(
    replicas: LoadableReplicas, load: LoadedReplicas, idle: LoadedReplicas, full: LoadedReplicas, statistic: Statistic
) -> Array:
    """Time per output token [s].

    Notes           A round with prompts is longer, so more prompts arrive in it, and the next is longer too:
                    T' = D + a Poisson(lambda T), with a the time a prompt adds, and rho = lambda a. A sequence starts
                    right after such a round, a / (1 - rho**2) above the mean, and the excess falls by rho per round.
                    Over the rounds of an answer the variance a**2 lambda T / (1 - rho**2) averages out; that of the
                    number of sequences does not.
    """
    answer, rate = replicas.output_tokens, load.rate_req_per_s
    rho = np.clip(1 - load.decode_round_s / load.round_s, 0.0, 1 - 1e-9)
    added_s = replicas.input_tokens / load.prefill_room * (load.full_round_s - load.decode_round_s)
    bunched_s = added_s * rho * (1 - rho**answer) / ((1 - rho**2) * (1 - rho) * answer)
    mean_s = np.minimum(load.round_s + bunched_s, np.maximum(load.full_round_s, load.round_s))
    averaged = np.minimum((1 + rho) / ((1 - rho) * answer), 1.0)
    bunching_s2 = added_s**2 * rate * load.round_s / (1 - rho**2) * averaged
    per_sequence_s = (load.round_s - idle.round_s) / np.maximum(load.running, TINY)
    crowding_s2 = per_sequence_s**2 * load.running * load.round_s / idle.round_s
    above_idle_s = np.maximum(mean_s - idle.round_s, 0.0)
    value_s = idle.round_s + statistic.of_excess(above_idle_s, bunching_s2 + crowding_s2)
    return np.minimum(value_s, np.maximum(full.round_s, np.maximum(load.full_round_s, mean_s)))


def _over(dividend: float | Array, divisor: Array) -> Array:
    """Quotient; inf where the divisor is not above 0."""
    with np.errstate(divide="ignore"):
        return np.where(divisor > 0, dividend / np.maximum(divisor, 0.0), np.inf)
