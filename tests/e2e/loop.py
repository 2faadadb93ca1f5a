"""The loop: measure, fit, plan, run, replay, compare."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from cuvee.plan.outcome.result import Plan
from cuvee.profile.step_law import StepLaw
from cuvee.simulate.metrics import WARM_UP
from cuvee.simulate.simulation import Simulation, simulate
from cuvee.workload.records import Trace
from tests.e2e import commands
from tests.e2e.laws import first_guess, fitted
from tests.e2e.replay import Replayed, replay
from tests.e2e.setting import KINDS, MODEL_NAME, Setting
from tests.engines.llama_server import running

PLAN, ROUND_ROBIN, ALIKE = "plan", "round-robin", "one-type"


@dataclass(frozen=True)
class Length:
    """How long each part takes.

    Attributes
        num_types    Workload types that are measured [-].
        within       Half-width of the interval to which rates are measured [-].
        fit_s        Requests that a law is fitted to [s].
        replay_s     Each replay [s].
    """

    num_types: int
    within: float
    fit_s: float
    replay_s: float


SHORT = Length(num_types=2, within=0.2, fit_s=10, replay_s=12)
FULL = Length(num_types=3, within=0.15, fit_s=30, replay_s=30)

GAUGES, GAUGE_PROMPT, GAUGE_ANSWER = 13, 200, 8

FIT_LOAD = 0.8
OVERLOAD = 1.25
LATENCY_LOAD = 0.7
"""Loads of fitting runs, of runs that ask for the most a fleet serves, and of those whose latency is compared, over the
rate that is planned [-]."""


@dataclass(frozen=True, eq=False)
class Run:
    """One replay on one fleet, and the same requests played by the simulator."""

    fleet: str
    load: float
    plan: Plan
    measured: Replayed
    simulated: Simulation


@dataclass(frozen=True, eq=False)
class Loop:
    """All that was found.

    Attributes
        laws       By GPU type, and how the runs they were fitted to look under them.
        gauge_s    Median time of a lone request: before measuring, before and after the replays [s]. Engines did the
                   same work, so what differs is what else the machine did.
    """

    plans: Mapping[str, Plan]
    runs: tuple[Run, ...]
    laws: Mapping[str, "FittedLaw"]
    gauge_s: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class FittedLaw:
    """A law, and the run of one engine that it was fitted to."""

    law: StepLaw
    run: Replayed


def closed(setting: Setting, length: Length, say: Callable[[str], None]) -> Loop:
    """Go through the loop once."""
    began_s = time.monotonic()
    setting.engines_file.write_text(commands.engines_yaml(setting))
    say(f"measuring {len(KINDS)} kinds of engines, and fitting step times")
    gauges = [gauge_s(setting)]
    laws = measured_laws(setting, length)
    gauges.append(gauge_s(setting))
    plans = made_plans(setting)
    for name, plan in plans.items():
        rented = " + ".join(f"{each.copies} {each.config.gpu_label}" for each in plan.groups)
        say(f"{name}: {rented} for {plan.cost_usd_per_hour:.2f} $/h, {plan.rate_req_per_s:.2f} req/s by the plan")
    runs = []
    rate = plans[PLAN].rate_req_per_s
    for name, plan in plans.items():
        with commands.up(setting, name) as fleet:
            for load in (LATENCY_LOAD, OVERLOAD):
                runs.append(one_run(setting, name, plan, fleet.url, laws, load, rate, length.replay_s))
                say(f"{name} at {load:.0%}: {runs[-1].measured.rate_req_per_s():.2f} req/s served")
    gauges.append(gauge_s(setting))
    return Loop(plans, tuple(runs), laws, tuple(gauges), time.monotonic() - began_s)


def gauge_s(setting: Setting) -> float:
    """Median time of lone requests to one engine [s]."""
    kind = KINDS[-1]
    with running(setting.weights_of(kind), commands.settings_of(kind), setting.folder / "gauge.log") as url:
        one = np.zeros(1), np.full(1, GAUGE_PROMPT), np.full(1, GAUGE_ANSWER)
        times_s = [float(replay(url, MODEL_NAME, *one, seed=each).e2e_s[0]) for each in range(GAUGES)]
    return float(np.median(times_s[1:]))


def measured_laws(setting: Setting, length: Length) -> dict[str, FittedLaw]:
    """Step laws by GPU type; the tables of rates are files afterwards. All kinds at once: none takes from another."""
    laws: dict[str, FittedLaw] = {}
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        urls = {
            kind.gpu: stack.enter_context(
                running(setting.weights_of(kind), commands.settings_of(kind), setting.folder / f"{kind.gpu}.log")
            )
            for kind in KINDS
        }
        done = [threads.submit(commands.profile, setting, kind, urls[kind.gpu], length.within) for kind in KINDS]
        for each in done:
            each.result()
        guesses = {kind.gpu: first_guess(urls[kind.gpu], MODEL_NAME, kind.parallel) for kind in KINDS}
        alone = {kind.gpu: commands.plan(setting, f"only-{kind.gpu}", kind.gpu) for kind in KINDS}
        runs = {
            gpu: threads.submit(_fitting_run, setting, urls[gpu], plan, length.fit_s) for gpu, plan in alone.items()
        }
        for gpu, run in runs.items():
            laws[gpu] = FittedLaw(fitted(run.result(), guesses[gpu]), run.result())
    return laws


def _fitting_run(setting: Setting, url: str, plan: Plan, seconds: float) -> Replayed:
    rate = FIT_LOAD * plan.rate_req_per_s / sum(group.copies for group in plan.groups)
    trace = part_of(setting.trace, rate, seconds, skip=1200)
    return _replayed(url, trace)


def made_plans(setting: Setting) -> dict[str, Plan]:
    """The plan, the same fleet with requests in turn, and the best fleet of one GPU type for the same money."""
    best = commands.plan(setting, PLAN)
    replicas = sum(group.copies for group in best.groups)
    even = {group.id: group.copies / replicas for group in best.groups}
    in_turn = replace(best, assignment=tuple(replace(row, shares=even) for row in best.assignment))
    commands.keep_plan(setting, ROUND_ROBIN, in_turn)
    alike = [commands.plan(setting, f"only-{kind.gpu}", kind.gpu) for kind in KINDS]
    one = max(alike, key=lambda plan: plan.rate_req_per_s)
    commands.keep_plan(setting, ALIKE, one)
    return {PLAN: best, ROUND_ROBIN: in_turn, ALIKE: one}


def one_run(
    setting: Setting, name: str, plan: Plan, url: str, laws: Mapping[str, FittedLaw], load: float, rate: float,
    seconds: float,
) -> Run:  # fmt: skip
    """Replay the trace at `load` times `rate` [req/s], and play the same requests."""
    trace = part_of(setting.trace, load * rate, seconds)
    measured = _replayed(url, trace)
    of_group = {group.id: laws[next(iter(group.config.gpu_counts))].law for group in plan.groups}
    return Run(name, load, plan, measured, simulate(plan, trace, laws=of_group))


def part_of(trace: Trace, rate_req_per_s: float, seconds: float, *, skip: int = 0) -> Trace:
    """Requests of the trace at another rate, for so long, from the `skip`-th on."""
    assert trace.arrival_s is not None
    number = max(round(rate_req_per_s * seconds), 20)
    if skip + number > trace.num_requests:
        skip, number = max(trace.num_requests - number, 0), min(number, trace.num_requests)
    chosen = slice(skip, skip + number)
    arrival_s = trace.arrival_s[chosen] - trace.arrival_s[skip]
    arrival_s = arrival_s * (number / rate_req_per_s / float(arrival_s[-1]))
    return Trace(trace.name, trace.input_tokens[chosen], trace.output_tokens[chosen], arrival_s)


def _replayed(url: str, trace: Trace) -> Replayed:
    assert trace.arrival_s is not None
    return replay(url, MODEL_NAME, trace.arrival_s, trace.input_tokens, trace.output_tokens)


def simulated_rate(simulation: Simulation) -> float:
    """Requests that end per second, counted as those of a replay [req/s]."""
    span_s = float(simulation.arrivals.arrival_s[-1])
    ended = np.asarray(simulation.requests.finish_s)
    return float(((ended > span_s * WARM_UP) & (ended <= span_s)).sum()) / (span_s * (1 - WARM_UP))
