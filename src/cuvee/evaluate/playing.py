"""One setting: every way planned, and played on the same requests."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter

import numpy as np

from cuvee.catalog.offers import load_offers
from cuvee.evaluate.grid import MODELS, EvaluationOptions, Setting
from cuvee.evaluate.records import PERCENTILES, GroupOutcome, Outcome, SettingResult
from cuvee.evaluate.requests import Requests
from cuvee.evaluate.ways import OURS, Way, ways
from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.problem import Limits, PlanProblem
from cuvee.plan.solver.program import Termination
from cuvee.simulate.arrays import NONE
from cuvee.simulate.latencies import Latencies
from cuvee.simulate.metrics import report
from cuvee.simulate.simulation import Simulation, simulate

FEWEST_REQUESTS = 500
"""Of one simulation [-], however slow the fleet."""


def prepared_setting(setting: Setting, requests: Requests, options: EvaluationOptions) -> PreparedProblem:
    """The question of `setting`."""
    return prepare(
        PlanProblem(
            requests.models(MODELS[setting.models]),
            load_offers(f"paper-avail-{setting.stock}"),
            Limits(budget_usd_per_hour=setting.budget_usd_per_hour),
            search=options.search,
        )
    )


def run_setting(
    setting: Setting,
    requests: Requests,
    options: EvaluationOptions,
    *,
    progress: Callable[[str], None] = lambda _text: None,
) -> SettingResult:
    """Plan and play every way of `setting`."""
    began_s = perf_counter()
    shares = MODELS[setting.models]
    found: list[Outcome] = []
    offered_req_per_s = 0.0
    for way in ways(prepared_setting(setting, requests, options)):
        progress(f"{setting.name}: {way.name}")
        outcome = played_burst(way, requests, shares, options)
        if way.name == OURS:
            offered_req_per_s = options.load * outcome.played_req_per_s
        if outcome.serves:
            outcome = _arriving(outcome, way.plan, requests, shares, offered_req_per_s, options)
        found.append(outcome)
    return SettingResult(setting, tuple(found), perf_counter() - began_s)


def played_burst(way: Way, requests: Requests, shares: Mapping[str, float], options: EvaluationOptions) -> Outcome:
    """The way with what it makes of many requests at once."""
    plan = way.plan
    outcome = Outcome(
        way.name, way.family, plan.cost_usd_per_hour, plan.gpu_counts,
        planned_req_per_s=plan.rate_req_per_s if plan.has_plan else 0.0,
        proven=plan.termination is Termination.OPTIMAL,
    )  # fmt: skip
    if not plan.has_plan:
        return outcome
    trace = requests.burst(shares, number_of_requests(plan.rate_req_per_s, options), options.seed)
    planned_s = trace.num_requests / plan.rate_req_per_s
    played = simulate(plan, trace, seed=options.seed)
    groups, unserved = _groups(plan, played, planned_s), num_unserved(played)
    if unserved == trace.num_requests:
        return replace(outcome, num_unserved=unserved)
    longest = max(group.share_of_plan for group in groups)
    return replace(
        outcome,
        played_req_per_s=(1 - unserved / trace.num_requests) * plan.rate_req_per_s / longest,
        planned_makespan_s=planned_s,
        played_makespan_s=planned_s * longest,
        groups=groups,
        num_unserved=unserved,
    )


def num_unserved(played: Simulation) -> int:
    """Requests without a last token [-]: what no replica of the fleet has the cache for."""
    return int(np.isnan(played.requests.finish_s).sum())


def _groups(plan: Plan, played: Simulation, planned_s: float) -> tuple[GroupOutcome, ...]:
    requests, group_of = played.requests, played.fleet.group_of
    group_of_request = np.append(group_of, NONE)[requests.replica]
    found = []
    for index, group in enumerate(plan.groups):
        mine = (group_of_request == index) & np.isfinite(requests.finish_s)
        preemptions = int(played.replicas.preemptions[group_of == index].sum())
        shares = [row.share_of(group) for row in plan.assignment if row.model == group.model]
        found.append(
            GroupOutcome(
                _label(group),
                float(np.max(requests.finish_s[mine], initial=0.0)) / planned_s,
                sum(share > 0 for share in shares),
                preemptions / max(int(mine.sum()), 1),
            )
        )
    return tuple(found)


def fleet_label(plan: Plan) -> str:
    """The fleet in words: "2x 4x A40 TP4, 1x 2x H100-SXM TP2"; "" without one."""
    return ", ".join(map(_label, plan.groups))


def _label(group: Group) -> str:
    return f"{group.copies}x {group.config.gpu_label} {group.config.parallel_label}"


def _arriving(
    outcome: Outcome,
    plan: Plan,
    requests: Requests,
    shares: Mapping[str, float],
    offered_req_per_s: float,
    options: EvaluationOptions,
) -> Outcome:
    """`outcome` with latencies at a given rate of arrival."""
    trace = requests.arriving(
        shares, number_of_requests(offered_req_per_s, options), offered_req_per_s, options.seed + 1
    )
    played = simulate(plan, trace, seed=options.seed)
    everything = report(played).all
    return replace(
        outcome,
        num_unserved=outcome.num_unserved + num_unserved(played),
        offered_req_per_s=offered_req_per_s,
        e2e_s=_percentiles(everything.e2e),
        ttft_s=_percentiles(everything.ttft),
    )


def _percentiles(latencies: Latencies) -> tuple[float, ...]:
    return tuple(latencies.at(percentile) for percentile in PERCENTILES)


def number_of_requests(rate_req_per_s: float, options: EvaluationOptions) -> int:
    """Requests that take `horizon_s` at that rate, within what a simulation may have."""
    return int(np.clip(rate_req_per_s * options.horizon_s, FEWEST_REQUESTS, options.most_requests))
