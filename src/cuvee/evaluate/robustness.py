"""What is left of a plan when the world is another: wrong rates, stock that goes, another mix, bursts.

Each case is met in three ways: the gateway keeps the plan's shares, it re-balances over the same fleet, or the fleet is
planned anew. Rates are the planner's own; bursts are played.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cuvee.evaluate.compositions import even_composition, with_composition
from cuvee.evaluate.grid import MIXES, MODELS, EvaluationOptions, Setting
from cuvee.evaluate.playing import number_of_requests, prepared_setting
from cuvee.evaluate.requests import Requests
from cuvee.evaluate.results_file import KeptResults, header
from cuvee.plan.evaluation.draws import SIGMAS_PER_BAND, error_normals
from cuvee.plan.evaluation.evaluation import Fleet, evaluate, read_fleet
from cuvee.plan.explain import baselines
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare_again
from cuvee.profile.table import ThroughputTable
from cuvee.simulate.metrics import report
from cuvee.simulate.simulation import simulate

ERRORS = (0.1, 0.2, 0.3)
"""Bands of throughput errors [-]: four of five errors are within."""

NUM_DRAWS = 8
"""Draws of errors of each band [-]."""

LOST_GPU, NUM_LOST = "H100-SXM", 4
"""GPUs that stock loses, as in the paper [-]."""

BURSTINESS = (1.0, 2.0, 4.0)
"""Standard deviation over mean of the gaps between requests [-]; 1 is random (Poisson)."""

ONLY = "best single type, unlimited"
EVEN = "even composition"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Met:
    """A case as a fleet meets it.

    Attributes
        way               "plan", or one that it is put beside.
        foreseen_req_per_s    Rate without the case [req/s].
        kept_req_per_s    With the shares of the plan [req/s].
        rebalanced_req_per_s    With the best shares on the same fleet [req/s].
        anew_req_per_s    With the fleet that this way plans anew [req/s]; 0 where it finds none.
        replanned_req_per_s    The same, or re-balanced where that serves more [req/s]: who plans anew may keep what he
                          has. Of several draws the mean of what is best of each.
    """

    setting: str
    case: str
    way: str
    foreseen_req_per_s: float
    kept_req_per_s: float
    rebalanced_req_per_s: float
    anew_req_per_s: float
    replanned_req_per_s: float


@dataclass(frozen=True)
class Bursty:
    """End-to-end time at one rate of arrival, by how bursty requests come.

    Attributes
        burstiness    Standard deviation over mean of the gaps [-].
        p50_s, p90_s  End-to-end [s].
    """

    setting: str
    way: str
    burstiness: float
    p50_s: float
    p90_s: float


@dataclass(frozen=True)
class Robustness:
    """All cases of one setting."""

    met: tuple[Met, ...]
    bursts: tuple[Bursty, ...]


Chooser = Callable[[PreparedProblem], Plan]


def choosers() -> dict[str, Chooser]:
    """Ours, and those it is put beside."""
    return {"plan": _ours, ONLY: _best_single, EVEN: _even}


def _ours(prepared: PreparedProblem) -> Plan:
    return plan_prepared(prepared, explain=False)


def _best_single(prepared: PreparedProblem) -> Plan:
    types = baselines.gpu_types_on_offer(prepared.problem)
    plans = [baselines.single_type_unlimited(prepared, gpu).plan for gpu in types]
    return max(plans, key=_rate_of)


def _even(prepared: PreparedProblem) -> Plan:
    return plan_prepared(with_composition(prepared, even_composition(prepared.problem)), explain=False)


def robustness(
    settings: Sequence[Setting],
    requests: Mapping[str, Requests],
    options: EvaluationOptions,
    *,
    out: Path | None = None,
    progress: Callable[[str], None] = lambda _text: None,
) -> tuple[list[Met], list[Bursty]]:
    """All cases of `settings`.

    Parameters
        out         File of results, setting by setting; those it has already are not made again.
        progress    Told what is being done; it may raise KeyboardInterrupt.
    Raises          InputError: `out` has results of something else, or of other code, options or traces.
    """
    used = {setting.requests for setting in settings}
    played = {name: each for name, each in requests.items() if name in used}
    kept = KeptResults(out, header(options, played, evaluation="robustness"))
    found = [
        kept.once(each.name, Robustness, partial(_robustness, each, requests, options, progress)) for each in settings
    ]
    return [met for each in found for met in each.met], [bursty for each in found for bursty in each.bursts]


def _robustness(
    setting: Setting, requests: Mapping[str, Requests], options: EvaluationOptions, progress: Callable[[str], None]
) -> Robustness:
    """All cases of `setting`."""
    met: list[Met] = []
    prepared = prepared_setting(setting, requests[setting.requests], options)
    plans = {name: choose(prepared) for name, choose in choosers().items()}
    plans = {name: plan for name, plan in plans.items() if plan.has_plan}
    for cases in (wrong_rates, lost_stock):
        progress(f"{setting.name}: {cases.__name__.replace('_', ' ')}")
        met += cases(setting, prepared, plans)
    progress(f"{setting.name}: another mix")
    others = [requests[name] for name in MIXES if name != setting.requests]
    met += another_mix(setting, prepared, plans, others)
    progress(f"{setting.name}: bursts")
    bursts = tuple(bursty(setting, plans, requests[setting.requests], options))
    progress(f"{setting.name}: done")  # raises where it was interrupted: a plan that was stopped is not to be kept
    return Robustness(tuple(met), bursts)


def _rate(fleet: Fleet, copies: Array, factor: Array | None, *, keep_shares: bool) -> float:
    """Requests per second in the mix [req/s]."""
    cases = None if factor is None else factor[None]
    load_factor, _ = evaluate(fleet, copies[None], cases, arriving=0.0, keep_shares=keep_shares)
    return float(load_factor[0] * fleet.demand_req_per_s.sum())


def _rate_of(plan: Plan) -> float:
    """Requests per second of `plan` [req/s]; 0 where none was found."""
    return plan.rate_req_per_s if plan.has_plan else 0.0


def wrong_rates(setting: Setting, prepared: PreparedProblem, plans: Mapping[str, Plan]) -> Iterator[Met]:
    """Every configuration as fast as one draw says, the same luck for all fleets; the mean over draws. Only ours is
    planned anew.
    """
    for band in ERRORS:
        sigma = np.log1p(band) / SIGMAS_PER_BAND
        found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in plans}
        for draw in range(NUM_DRAWS):
            truth = _with_luck(prepared, sigma, draw)
            for name, plan in plans.items():
                fleet = read_fleet(plan)
                normals = error_normals([group.config for group in plan.groups], seed=draw, num_draws=1)[0]
                factor = np.broadcast_to(np.exp(sigma * normals)[:, None], fleet.rate.shape)
                kept = _rate(fleet, fleet.copies, factor, keep_shares=True)
                rebalanced = _rate(fleet, fleet.copies, factor, keep_shares=False)
                anew = _rate_of(plan_prepared(truth, explain=False)) if name == "plan" else rebalanced
                found[name].append((kept, rebalanced, anew, max(anew, rebalanced)))
        for name, values in found.items():
            means = np.mean(values, axis=0)
            yield Met(setting.name, f"rates off by {band:.0%}", name, plans[name].rate_req_per_s, *map(float, means))


def _with_luck(prepared: PreparedProblem, sigma: float, draw: int) -> PreparedProblem:
    """`prepared` with the rates that a draw says are true."""

    def true(table: ThroughputTable) -> ThroughputTable:
        normals = error_normals(list(table.configs), seed=draw, num_draws=1)[0]
        return replace(table, rate_req_per_s=table.rate_req_per_s * np.exp(sigma * normals)[:, None])

    candidates = replace(prepared.candidates, tables=tuple(true(table) for table in prepared.candidates.tables))
    return replace(prepared, candidates=candidates)


def lost_stock(setting: Setting, prepared: PreparedProblem, plans: Mapping[str, Plan]) -> Iterator[Met]:
    """Stock loses `NUM_LOST` GPUs, and each fleet the replicas that stand on as many of those it holds."""
    problem = prepared.problem
    offers = tuple(
        replace(offer, stock=max(offer.max_units - NUM_LOST, 0)) if offer.gpu == LOST_GPU else offer
        for offer in problem.offers.offers
    )
    after = prepare_again(prepared, replace(problem, offers=replace(problem.offers, offers=offers)))
    for name, plan in plans.items():
        if name == ONLY:  # of unlimited stock nothing is lost
            continue
        fleet, copies = read_fleet(plan), _copies_left(plan)
        kept = _rate(fleet, copies, None, keep_shares=True)
        rebalanced = _rate(fleet, copies, None, keep_shares=False)
        anew = _rate_of(choosers()[name](after))
        yield Met(
            setting.name, f"{NUM_LOST} {LOST_GPU} gone", name, plan.rate_req_per_s, kept, rebalanced, anew,
            max(anew, rebalanced),
        )  # fmt: skip


def _copies_left(plan: Plan) -> Array:
    """Copies of each group once the first that stand on `NUM_LOST` of the GPUs are gone."""
    left, missing = [], NUM_LOST
    for group in plan.groups:
        of_one = group.config.gpu_counts.get(LOST_GPU, 0)
        gone = min(group.copies, -(-missing // of_one)) if of_one and missing > 0 else 0
        missing -= gone * of_one
        left.append(float(group.copies - gone))
    return np.array(left)


def another_mix(
    setting: Setting, prepared: PreparedProblem, plans: Mapping[str, Plan], others: Sequence[Requests]
) -> Iterator[Met]:
    """The mix is another than was planned for."""
    for other in others:
        models = other.models(MODELS[setting.models])
        after = prepare_again(prepared, replace(prepared.problem, models=models))
        demand = {
            (entry.model.name, kind.name): rate
            for entry, rates in zip(models, after.problem.rates_req_per_s, strict=True)
            for kind, rate in zip(entry.demand.types, rates, strict=True)
        }
        for name, plan in plans.items():
            rows = [demand.get((row.model, row.workload), 0.0) for row in plan.assignment]
            fleet = replace(read_fleet(plan), demand_req_per_s=np.maximum(rows, 1e-9))
            kept = _rate(fleet, fleet.copies, None, keep_shares=True)
            rebalanced = _rate(fleet, fleet.copies, None, keep_shares=False)
            anew = _rate_of(choosers()[name](after))
            yield Met(
                setting.name, f"mix of {other.name}", name, plan.rate_req_per_s, kept, rebalanced, anew,
                max(anew, rebalanced),
            )  # fmt: skip


def bursty(
    setting: Setting, plans: Mapping[str, Plan], requests: Requests, options: EvaluationOptions
) -> Iterator[Bursty]:
    """Latencies at `options.load` of what our plan serves, by how bursty requests come, with the policy that spills."""
    rate_req_per_s = options.load * plans["plan"].rate_req_per_s
    number = number_of_requests(rate_req_per_s, options)
    for burstiness in BURSTINESS:
        trace = requests.arriving(MODELS[setting.models], number, rate_req_per_s, options.seed, burstiness=burstiness)
        for name, plan in plans.items():
            e2e = report(simulate(plan, trace, policy="plan-live", seed=options.seed)).all.e2e
            yield Bursty(setting.name, name, burstiness, e2e.at(50), e2e.at(90))
