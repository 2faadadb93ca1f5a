"""The requests of an evaluation: demand to plan for, bursts and arrivals to play."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cuvee.catalog.models import load_model
from cuvee.plan.question.problem import ModelDemand
from cuvee.workload.records import Demand, Trace

Ints = NDArray[np.int64]

SPREAD = 0.2
"""Lengths are drawn evenly from this much below to this much above the mean of their type [-]: so each stays nearest
to its own type."""


@dataclass(frozen=True, eq=False)
class Requests:
    """What is asked of every fleet of a setting.

    Attributes
        demand    Its types, to plan for.
        trace     Real requests; None: lengths are drawn around the means of the types, and arrive at random (Poisson).
    """

    name: str
    demand: Demand
    trace: Trace | None = None

    def models(self, shares: Mapping[str, float]) -> tuple[ModelDemand, ...]:
        """Each model with its share of these requests; only the mix counts, so none states a rate."""
        total = self.demand.total_requests
        return tuple(ModelDemand(load_model(name), self._scaled(total * share)) for name, share in shares.items())

    def _scaled(self, number: float) -> Demand:
        factor = number / self.demand.total_requests
        counts = tuple(count * factor for count in self.demand.num_requests)
        return replace(self.demand, num_requests=counts, rate_req_per_s=None)

    def burst(self, shares: Mapping[str, float], number: int, seed: int) -> Trace:
        """About `number` requests in the mix, all at once, in random order."""
        rng = np.random.default_rng(seed)
        prompt, answer, model = self._drawn(shares, number, rng)
        return Trace(f"{self.name}, at once", prompt, answer, np.zeros(len(prompt)), model, tuple(shares))

    def arriving(
        self, shares: Mapping[str, float], number: int, rate_req_per_s: float, seed: int, *, burstiness: float = 1.0
    ) -> Trace:
        """About `number` requests at a mean rate of arrival [req/s].

        Parameters
            burstiness    Standard deviation over mean of the gaps, of the Gamma law [-]; 1 is random. Not of traces.
        Notes       Of a trace it is a stretch from the middle of its times of arrival, sped up to that rate; random
                    where all of that is one moment.
        """
        rng = np.random.default_rng(seed)
        prompt, answer, model = self._drawn(shares, number, rng)
        gaps_s = rng.gamma(burstiness**-2, burstiness**2, len(prompt))
        if self.trace is not None and self.trace.arrival_s is not None:
            length = min(len(prompt), len(self.trace.arrival_s))
            start = (len(self.trace.arrival_s) - length) // 2
            stretch_s = self.trace.arrival_s[start : start + length]
            prompt, answer, model, gaps_s = prompt[:length], answer[:length], model[:length], gaps_s[:length]
            if stretch_s[-1] > stretch_s[0]:
                gaps_s = np.diff(stretch_s, prepend=stretch_s[0])
        arrival_s = np.cumsum(gaps_s)
        arrival_s *= len(prompt) / rate_req_per_s / arrival_s[-1]
        return Trace(f"{self.name}, arriving", prompt, answer, arrival_s, model, tuple(shares))

    def _drawn(self, shares: Mapping[str, float], number: int, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
        """Prompts and answers [tokens], and models, of requests in random order."""
        if self.trace is not None:
            model = _in_proportion(np.array(list(shares.values())), number, rng)
            picked = rng.integers(0, self.trace.num_requests, len(model))
            return self.trace.input_tokens[picked], self.trace.output_tokens[picked], model
        mix = np.outer(list(shares.values()), self.demand.shares)
        model, kind = np.divmod(_in_proportion(mix.ravel(), number, rng), len(self.demand.types))
        means = np.array([(each.input_tokens, each.output_tokens) for each in self.demand.types])[kind]
        drawn = np.maximum(np.rint(means * rng.uniform(1 - SPREAD, 1 + SPREAD, means.shape)), 1).astype(np.int64)
        return drawn[:, 0], drawn[:, 1], model


def _in_proportion(shares: NDArray[np.float64], number: int, rng: np.random.Generator) -> Ints:
    """Indices in random order, each as often as its share says: the mix is that of the plan, not a draw of it."""
    counts = np.maximum(np.rint(shares * number), 1).astype(np.int64)
    return rng.permutation(np.repeat(np.arange(len(shares)), counts))
