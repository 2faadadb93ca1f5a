"""How far the simulator is from runs of real engines, with coefficients fitted on half of the requests or none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.errors import InputError
from cuvee.simulate.engine_runs import EngineRun
from cuvee.simulate.run_fit import Coefficients, StepCosts, fit_law
from cuvee.simulate.run_play import (
    QUANTITIES,
    STATISTICS,
    arrivals_within_a_step,
    measured_latencies,
    play_run,
    usual_law,
)

FITS = ("none", "half")
"""Nothing is fitted, or few coefficients are to every other request."""

FEWEST_REQUESTS = 20
"""Fewest requests to fit on half of [-]."""


@dataclass(frozen=True)
class RunStatistic:
    """One statistic of one latency over the scored requests, measured and simulated [s]."""

    quantity: str
    statistic: str
    measured_s: float
    simulated_s: float

    @property
    def error(self) -> float:
        """Simulated over measured, less 1 [-]."""
        return self.simulated_s / self.measured_s - 1


@dataclass(frozen=True)
class RunScore:
    """How far the simulator is from one run.

    Attributes
        fit                     One of `FITS`.
        coefficients            Fitted multipliers; None where nothing is fitted.
        costs                   The law that was played, in plain figures.
        num_scored              Requests that the statistics are over: those nothing was fitted on [-].
        statistics              By `QUANTITIES` and `STATISTICS`; without those of which nothing was measured.
        per_request             Mean |simulated / measured - 1| of a request, by quantity [-].
        preemptions             Sequences that were put back as the cache was full, in the mean of the plays [-].
        recomputed_tokens       Tokens computed anew for that reason, likewise.
    """

    run: EngineRun
    fit: str
    coefficients: Coefficients | None
    costs: StepCosts
    num_scored: int
    statistics: tuple[RunStatistic, ...]
    per_request: dict[str, float]
    preemptions: float
    recomputed_tokens: float

    @property
    def worst(self) -> RunStatistic:
        """The statistic that is furthest off."""
        return max(self.statistics, key=lambda each: abs(each.error))

    @property
    def mean_error(self) -> float:
        """Mean |error| of the statistics [-]."""
        return float(np.mean([abs(each.error) for each in self.statistics]))


def score_runs(
    runs: Sequence[EngineRun], fit: str = "none", *, progress: Callable[[str], None] = lambda _: None
) -> list[RunScore]:
    """Play each run and compare.

    Parameters
        fit       "none": the throughput model's own step times. "half": coefficients fitted on every other request,
                  by arrival, and errors of the rest.
    Raises        InputError: no such fit, or too few requests to fit; DoesNotFitError: weights exceed the memory.
    """
    if fit not in FITS:
        raise InputError(f"fit {fit!r}", expected=f"one of {', '.join(FITS)}")
    scores = []
    for run in runs:
        progress(f"{'fitting' if fit == 'half' else 'playing'} {run.folder.name}")
        scores.append(_score(run, fit))
    return scores


def _score(run: EngineRun, fit: str) -> RunScore:
    law, coefficients = usual_law(run), None
    scored = np.ones(run.num_requests, bool)
    if fit == "half":
        if run.num_requests < FEWEST_REQUESTS:
            raise InputError(
                f"{run.folder}: {run.num_requests} requests",
                expected=f"at least {FEWEST_REQUESTS} to fit on half of them",
                remedy="score it with --fit none",
            )
        scored[::2] = False
        coefficients = fit_law(run, law, ~scored)
        law = coefficients.applied(law)
    cold_start_s = coefficients.cold_start_s if coefficients else 0.0
    arrivals_s = arrivals_within_a_step(run, StepCosts.of(law, 1).fixed_s)
    played, measured = play_run(run, law, arrivals_s, cold_start_s=cold_start_s), measured_latencies(run)
    real_s, made_s = measured.statistics_s(scored), played.latencies.statistics_s(scored)
    statistics = tuple(
        RunStatistic(quantity, statistic, float(real_s[row, column]), float(made_s[row, column]))
        for row, quantity in enumerate(QUANTITIES)
        for column, statistic in enumerate(STATISTICS)
        if real_s[row, column] > 0
    )
    per_request = {}
    for quantity in QUANTITIES:
        real, made = measured.of(quantity)[scored], played.latencies.of(quantity)[scored]
        known = real > 0
        if known.any():
            per_request[quantity] = float(np.abs(made[known] / real[known] - 1).mean())
    running = round(float((run.last_s - run.first_s).sum() / run.last_s.max()) / run.setup.num_replicas)
    return RunScore(
        run, fit, coefficients, StepCosts.of(law, running), int(scored.sum()), statistics, per_request,
        played.preemptions,
        played.recomputed_tokens,
    )  # fmt: skip
