"""The latency curve of many replicas on workload types, and the highest load at which limits hold on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.profile.latency import Latency, Statistic, latency
from cuvee.profile.load import LoadableReplicas, LoadedReplicas
from cuvee.profile.roots import last_that_holds
from cuvee.workload.latency_limits import LABELS, LatencyLimits

Array = NDArray[np.float64]

SATURATED_WITHIN = 1e-9
"""A rate this near that of the saturated replica saturates it [-]."""


@dataclass(frozen=True, eq=False)
class LatencyCurve:
    """Latency of pairs of configuration and workload type by their occupancy; arrays of shape (num_pairs,).

    Attributes
        replicas        The pairs side by side, as estimated: see `LoadableReplicas.cells`.
        idle, full      The same without load, and saturated.
        statistic       Of which the latencies are.
        limits_s        Limits by name [s]; inf where there is none.
        stretch         Time a replica takes over that of the estimated one [-]: one measured at half the estimated
                        rate is the estimated one in slow motion.
        tpot_stretch    The same of the time per output token, where that is known to be longer still [-].
        saturated       Rate beyond which no replica goes, whatever the curve says [req/s].
    """

    replicas: LoadableReplicas
    idle: LoadedReplicas
    full: LoadedReplicas
    statistic: Statistic
    limits_s: Mapping[str, Array]
    stretch: Array
    tpot_stretch: Array
    saturated: Array

    @classmethod
    def of(
        cls,
        replicas: LoadableReplicas,
        limits: Sequence[LatencyLimits],
        of_pair: NDArray[np.int64],
        stretch: Array,
        tpot_stretch: Array,
        saturated: Array,
    ) -> "LatencyCurve":
        """The curve of `replicas`, in the statistic that the limits name; `of_pair` says which limits each pair has."""
        nothing = np.zeros((1, len(stretch)))
        limits_s = {
            name: np.array([each.as_dict().get(name, np.inf) for each in limits])[of_pair]
            for name in LABELS
            if any(name in each.as_dict() for each in limits)
        }
        statistic = Statistic.of([each.percentile for each in limits]).select(of_pair)
        idle, full = replicas.at(nothing), replicas.at(nothing + 1)
        return cls(replicas, idle, full, statistic, limits_s, stretch, tpot_stretch, saturated)

    def select(self, which: NDArray[np.int64]) -> "LatencyCurve":
        """The curves of some pairs."""
        return LatencyCurve(
            self.replicas.select(which),
            self.idle.select(which),
            self.full.select(which),
            self.statistic.select(which),
            {name: limit[which] for name, limit in self.limits_s.items()},
            self.stretch[which],
            self.tpot_stretch[which],
            self.saturated[which],
        )

    def highest_occupancy(self) -> Array:
        """Highest occupancy at which every limit holds [-]; nan where an idle replica misses one."""

        def slack(root: Array, which: NDArray[np.int64]) -> Array:
            some = self.select(which)
            return some.slack(some.latency(some.at(root**2)))

        # Over the square root of the occupancy latency bends less, and fewer steps lead to the limit.
        ends = [self.slack(self.latency(load)) for load in (self.idle, self.full)]
        occupancy: Array = last_that_holds(slack, *ends) ** 2
        return occupancy

    def occupancy_at(self, rate_req_per_s: Array, highest: Array) -> Array:
        """An occupancy of at most `highest` at which the replicas serve a rate [-]."""

        def slack(share: Array, which: NDArray[np.int64]) -> Array:
            some = self.select(which)
            load = some.at(share * highest[which])
            return 1 - some.rate_req_per_s(load) / rate_req_per_s[which]

        at_highest = 1 - self.rate_req_per_s(self.at(highest)) / rate_req_per_s
        occupancy: Array = highest * last_that_holds(slack, np.ones_like(highest), at_highest)
        return occupancy

    def at(self, occupancy: Array) -> LoadedReplicas:
        """The replicas at `occupancy` in [0, 1]."""
        return self.replicas.at(occupancy[None])

    def excess(self) -> Array:
        """Latency of an idle replica over its limit, where that is most [-]; above 1 where no load is within it."""
        return 1 / np.maximum(self._tightest(self.latency(self.idle)), 1e-300)

    def rate_req_per_s(self, load: LoadedReplicas) -> Array:
        """Rate under `load` [req/s]."""
        rate: Array = np.minimum(load.rate_req_per_s[0] / self.stretch, self.saturated)
        return rate

    def latency(self, load: LoadedReplicas) -> Latency:
        """Latency under `load` [s]; nothing bounds the queue of a saturated replica."""
        found = latency(self.replicas, load, self.idle, self.full, self.statistic)
        saturated = self.rate_req_per_s(load) >= self.saturated * (1 - SATURATED_WITHIN)
        ttft_s = np.where(saturated, np.inf, found.ttft_s[0] * self.stretch)
        tpot_s = found.tpot_s[0] * self.tpot_stretch
        return Latency(ttft_s, tpot_s, ttft_s + (self.replicas.output_tokens[0] - 1) * tpot_s)

    def slack(self, found: Latency) -> Array:
        """How far below its limit the tightest latency stays, over that latency [-]; below 0 where it is missed."""
        return self._tightest(found) - 1

    def _tightest(self, found: Latency) -> Array:
        """Limit over latency, where that is least [-]."""
        tightest = np.full_like(self.stretch, np.inf)
        for name, limit_s in self.limits_s.items():
            limited = np.isfinite(limit_s)
            tightest[limited] = np.minimum(tightest[limited], limit_s[limited] / getattr(found, name)[limited])
        return tightest
