"""A planner in the manner of HexGen: given GPUs, asymmetric tensor and pipeline parallelism, no eye for request types.

HexGen (Jiang et al., ICML 2024, arXiv 2311.11514) cuts a fixed set of GPUs into replicas whose pipeline stages may
differ in GPU type and tensor-parallel degree, by a genetic search over a cost model of one request length. This is our
re-implementation of the idea, and generous to it: the search is exact, and requests go to replicas in proportion to
what each really serves of the mix, so that all are busy to the same degree.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cuvee.evaluate.compositions import with_composition
from cuvee.plan.explain.baselines import copies_of, selected, spread
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.plan.search.greedy import mix_rates
from cuvee.workload.records import Demand, WorkloadType


def hexgen_like(prepared: PreparedProblem, counts: Mapping[str, int] | None = None) -> Plan:
    """The best replicas for requests of mean length; all types spread over them alike.

    Parameters
        counts    GPUs of each type that are given [-]; None: as many as budget and stock allow, best for that length.
    """
    serves = mix_rates(prepared.problem, prepared.candidates)
    blind = _blind(selected(prepared, serves > 0))
    fleet = plan_prepared(blind if counts is None else with_composition(blind, counts), explain=False)
    if not fleet.has_plan:
        return fleet
    return spread(prepared, copies_of(fleet, prepared.candidates), serves)


def spread_by_capacity(prepared: PreparedProblem, plan: Plan) -> Plan:
    """The fleet of `plan` with all request types spread alike, in proportion to what each replica serves of the mix."""
    copies = copies_of(plan, prepared.candidates)
    return spread(prepared, copies, mix_rates(prepared.problem, prepared.candidates))


def _blind(prepared: PreparedProblem) -> PreparedProblem:
    """The same candidates, rated for requests of mean length alone."""
    models = tuple(replace(entry, demand=mean_demand(entry.demand)) for entry in prepared.problem.models)
    tables = tuple(
        prepared.provider.table(table.configs, entry.demand.types)
        for table, entry in zip(prepared.candidates.tables, models, strict=True)
    )
    candidates = replace(prepared.candidates, tables=tables)
    return replace(prepared, problem=replace(prepared.problem, models=models), candidates=candidates)


def mean_demand(demand: Demand) -> Demand:
    """As many requests, all of mean length."""
    lengths = np.array([(kind.input_tokens, kind.output_tokens) for kind in demand.types])
    prompt, answer = np.array(demand.shares) @ lengths
    return replace(
        demand, types=(WorkloadType("mean", float(prompt), float(answer)),), num_requests=(demand.total_requests,)
    )
