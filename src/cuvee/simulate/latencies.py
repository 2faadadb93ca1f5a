"""Means and percentiles of latencies, and what tokens cost that came within each percentile."""

from dataclasses import dataclass

import numpy as np

from cuvee.simulate.arrays import GAPS_PER_OCTAVE, SHORTEST_GAP_S, Floats, Ints
from cuvee.units import TOKENS_PER_PRICE_UNIT

PERCENTILES = (*range(5, 100, 5), 99, 100)
"""Percentiles of every latency."""

RANKS = np.array(PERCENTILES) / 100
"""The same as shares [-]."""


@dataclass(frozen=True)
class Latencies:
    """Mean and percentiles of one latency [s]; nan where no request has one.

    Attributes
        percentiles_s    By `PERCENTILES`.
    """

    mean_s: float
    percentiles_s: tuple[float, ...]

    def at(self, percentile: int) -> float:
        """One of `PERCENTILES` [s]."""
        return self.percentiles_s[PERCENTILES.index(percentile)]

    def usd_per_million_within(self, values_s: Floats, tokens: Ints, cost_usd: float) -> tuple[float, ...]:
        """`cost_usd` over the tokens of requests that took no longer than each percentile [$/1M tokens]."""
        place = np.searchsorted(self.percentiles_s, values_s)
        within = np.bincount(place, weights=tokens, minlength=len(PERCENTILES) + 1).cumsum()[: len(PERCENTILES)]
        usd = np.divide(cost_usd * TOKENS_PER_PRICE_UNIT, within, out=np.full(len(within), np.nan), where=within > 0)
        return tuple(map(float, usd))

    @staticmethod
    def of(values_s: Floats) -> "Latencies":
        """Of values without nan [s]."""
        if not len(values_s):
            return Latencies(float("nan"), (float("nan"),) * len(PERCENTILES))
        ordered = np.sort(values_s)  # as np.percentile has it, which takes twice as long for so many
        place = RANKS * (len(ordered) - 1)
        below = place.astype(np.int64)
        above = np.minimum(below + 1, len(ordered) - 1)
        percentiles = ordered[below] + (ordered[above] - ordered[below]) * (place - below)
        return Latencies(float(values_s.mean()), tuple(percentiles.tolist()))


def gap_latencies(counts: Ints) -> Latencies:
    """Mean and percentiles of a histogram of times between tokens [s], each bin at its middle."""
    if not counts.sum():
        return Latencies.of(np.zeros(0))
    place = np.arange(len(counts))
    middle_s = (
        SHORTEST_GAP_S * 2.0 ** (place // GAPS_PER_OCTAVE) * (1 + (place % GAPS_PER_OCTAVE + 0.5) / GAPS_PER_OCTAVE)
    )
    upto = np.cumsum(counts)
    ranks = np.maximum(np.ceil(np.array(PERCENTILES) / 100 * upto[-1]), 1)
    percentiles = middle_s[np.searchsorted(upto, ranks)]
    return Latencies(float(middle_s @ counts / upto[-1]), tuple(map(float, percentiles)))
