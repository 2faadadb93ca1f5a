"""Why there is no plan, and the smallest change that gives one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cuvee.catalog.gpu import GpuType
from cuvee.plan.candidates import CandidateSet
from cuvee.plan.formulation import Layout, build_program, gpu_prices
from cuvee.plan.placement import list_placements
from cuvee.plan.problem import ModelDemand, Objective, PlanProblem
from cuvee.plan.program import Program, Termination, solve
from cuvee.profile.engine import EngineSettings
from cuvee.profile.memory import free_bytes_per_gpu
from cuvee.units import BYTES_PER_GB
from cuvee.workload.records import WorkloadType

CHEAP_GAP = 1e-3
"""Gap of the helper programs [-]: their answer is rounded up for people."""


def explain_infeasible(
    problem: PlanProblem,
    candidates: CandidateSet,
    *,
    gpus: Mapping[str, GpuType] | None = None,
    engine: EngineSettings | None = None,
) -> str:
    """The limits that bind and the least that must be added to them, money first, then GPUs and caps.

    Parameters
        candidates      All that fit in the stock, whatever they cost.
        gpus, engine    Memory of the GPUs and what the engine keeps of it; without them messages on requests that no
                        replica holds state no GB.
    Notes               An elastic program: slack is allowed on the budget alone, then on every limit but the budget,
                        then on all; the first that has an answer is the smallest change, since its slack is minimised.
    """
    unserved = list(_unserved_types(problem, candidates, gpus, engine))
    if unserved:
        return "; ".join(unserved)
    program, layout = build_program(problem, candidates)
    _demand_only(program, layout, candidates, problem)
    budget_rows = [row for row, name in enumerate(program.row_names) if name == "budget"]
    other_rows = [row for row, name in enumerate(program.row_names) if re.match("stock|max_", name)]
    for rows in (budget_rows, other_rows, budget_rows + other_rows):
        slack = _least_slack(program, rows, problem)
        if slack.termination in (Termination.OPTIMAL, Termination.FEASIBLE):
            return _describe_slack(slack, program, problem)
    if slack.termination is Termination.INFEASIBLE:  # of the widest of the three: no slack on any limit helps
        return "no change of the limits alone gives a plan"
    return "no plan was found, nor in time the limit that stands in the way; give the search longer with --time-limit"


def _unserved_types(
    problem: PlanProblem,
    candidates: CandidateSet,
    gpus: Mapping[str, GpuType] | None,
    engine: EngineSettings | None,
) -> Iterator[str]:
    """For each model the workload types that no replica serves, whatever the money: why, and what to do."""
    for index, (entry, table) in enumerate(zip(problem.models, candidates.tables, strict=True)):
        present = bool((candidates.model_index == index).any())
        unserved = [
            kind for column, kind in enumerate(entry.demand.types) if not (present and table.fits[:, column].any())
        ]
        too_long = [kind for kind in unserved if _tokens(kind) > entry.model.max_context]
        if too_long:
            named = ", ".join(f"{kind.name} of {_tokens(kind):.0f} tokens per request" for kind in too_long)
            yield (
                f"{entry.model.name} cannot serve {named}: its context limit is {entry.model.max_context}; choose a "
                "model with a longer context, or cut or drop such requests"
            )
        others = [kind for kind in unserved if kind not in too_long]
        if others:
            yield _no_replica(entry, others, problem, gpus, engine)


def _tokens(kind: WorkloadType) -> float:
    return kind.input_tokens + kind.output_tokens


def _no_replica(
    entry: ModelDemand,
    kinds: Sequence[WorkloadType],
    problem: PlanProblem,
    gpus: Mapping[str, GpuType] | None,
    engine: EngineSettings | None,
) -> str:
    """Why no replica serves `kinds`, in GB where the memory of the largest one is too small for each of them."""
    lead = f"no replica in stock serves {entry.model.name} {', '.join(kind.name for kind in kinds)}"
    remedy = "offer more or larger GPUs in one place, or take a smaller precision (--precision fp8)"
    tokens = min(_tokens(kind) for kind in kinds)
    needed = entry.model.weight_bytes(entry.precision) + entry.model.kv_bytes(tokens, entry.kv_precision)
    largest = _largest_bytes(entry, problem, gpus, engine) if gpus is not None and engine is not None else needed
    if largest >= needed:
        return f"{lead}: each stage needs the memory for {tokens:.0f} tokens, and the replica a known rate; {remedy}"
    has = f"the largest has {largest / BYTES_PER_GB:.1f} GB" if largest > 0 else "none even holds the weights"
    what = f"weights and one request of {tokens:.0f} tokens need {needed / BYTES_PER_GB:.1f} GB"
    return f"{lead}: {what}, {has}; {remedy}"


def _largest_bytes(
    entry: ModelDemand, problem: PlanProblem, gpus: Mapping[str, GpuType], engine: EngineSettings
) -> float:
    """Most memory that a replica in stock has for weights and cache [B]; 0 where none holds the weights."""
    sizes = (
        sum(count * free_bytes_per_gpu(gpus[gpu], engine) for gpu, count in placement.config.gpu_counts.items())
        for placement in list_placements(entry, problem, gpus)
    )
    return max(sizes, default=0.0)


def _demand_only(program: Program, layout: Layout, candidates: CandidateSet, problem: PlanProblem) -> None:
    """Turn `program` into: any fleet that serves the demand (cost), or that can serve every type (throughput)."""
    program.maximize = False
    program.cost[:] = 0.0
    program.upper[: layout.num_candidates] = np.inf
    if problem.objective is Objective.COST:
        return
    program.upper[layout.load_factor] = 0.0
    for workload in range(layout.rate.shape[1]):
        able = np.flatnonzero(layout.rate[:, workload])
        program.add_row(f"cover[{workload}]", able, np.ones(len(able)), lower=1.0)


@dataclass(frozen=True)
class _Slack:
    """Answer of an elastic program.

    Attributes
        termination    INFEASIBLE: proven that no slack on these rows helps; NOTHING_FOUND: stopped before any answer;
                       OPTIMAL: the least slack; FEASIBLE: slack that is enough, less may be.
        changes        Rows and the slack each needs; empty where none is needed.
    """

    termination: Termination
    changes: tuple[tuple[int, float], ...] = ()


def _least_slack(program: Program, rows: list[int], problem: PlanProblem) -> _Slack:
    """The slack on `rows` that costs least and gives a plan.

    Notes           Slack on the stock of whole machines is more machines, which cost what machines cost: it stands in
                    every row where they do. Slack on any other row is more of its upper side.
    """
    size = len(program.cost)
    slack_of = {row: size + position for position, row in enumerate(rows)}
    machines = {
        int(program.columns[row][-1]): slack  # define_stock adds u_o last
        for row, slack in slack_of.items()
        if _rents_machines(program.row_names[row], problem)
    }
    weights = [_weight_usd(program.row_names[row], problem) for row in rows]
    elastic = Program(
        np.append(program.cost, weights),
        np.append(program.lower, np.zeros(len(rows))),
        np.append(program.upper, np.full(len(rows), np.inf)),
        np.append(program.whole, [slack in machines.values() for slack in slack_of.values()]),
        maximize=False,
    )
    for row, name in enumerate(program.row_names):
        columns, values = program.columns[row], program.values[row]
        if row in slack_of and slack_of[row] not in machines.values():
            columns, values = np.append(columns, slack_of[row]), np.append(values, -1.0)
        for unit in set(columns.tolist()) & machines.keys():
            columns, values = np.append(columns, machines[unit]), np.append(values, values[columns == unit])
        elastic.add_row(name, columns, values, lower=program.row_lower[row], upper=program.row_upper[row])
    answer = solve(elastic, replace(problem.search, relative_gap=CHEAP_GAP))
    if not len(answer.x):
        return _Slack(answer.termination)
    slack = answer.x[size:]
    changes = tuple((row, float(amount)) for row, amount in zip(rows, slack, strict=True) if amount > 1e-6)
    return _Slack(answer.termination, changes)


def _rents_machines(name: str, problem: PlanProblem) -> bool:
    match = re.fullmatch(r"stock\[(\d+)\]", name)
    return match is not None and problem.offers.offers[int(match[1])].num_gpus > 1


def _weight_usd(name: str, problem: PlanProblem) -> float:
    """What a unit of slack on a limit is taken to cost [$/h]: money is money, a GPU or machine its price."""
    offers = problem.offers.offers
    match = re.fullmatch(r"(\w+)\[(.*)\]", name)
    if match is None or match[1].startswith("max_usd"):
        return 1.0
    if match[1] == "stock":
        return offers[int(match[2])].price_usd_per_hour
    return float(np.mean(gpu_prices(offers)))


def _describe_slack(slack: _Slack, program: Program, problem: PlanProblem) -> str:
    if not slack.changes:
        return "no plan was found, though no limit rules one out beyond the solver's tolerance; widen one a little"
    needed = "; ".join(_describe(program.row_names[row], amount, problem) for row, amount in slack.changes)
    less = "" if slack.termination is Termination.OPTIMAL else " (stopped early: less may do, see --time-limit)"
    together = "all of these together are needed: " if "; " in needed else ""
    return f"the limits bind: {together}{needed}{less}"


def _describe(name: str, slack: float, problem: PlanProblem) -> str:
    match = re.fullmatch(r"(\w+)\[(.*)\]", name)
    if match is None:
        budget = problem.limits.budget_usd_per_hour or 0.0
        needed = np.ceil((budget + slack) * 100 - 1e-4) / 100
        return f"the budget of {budget:g} $/h is too small, {needed:.2f} $/h is enough (--budget {needed:.2f})"
    family, key = match[1], match[2]
    if family.startswith("max_usd"):
        return f"{family} of {key} needs {np.ceil(slack * 100 - 1e-4) / 100:.2f} $/h more"
    count = int(np.ceil(slack - 1e-6))
    if family == "stock":
        what = "machine" if _rents_machines(name, problem) else "GPU"
        label = problem.offers.offers[int(key)].label
        return f"{count} more {what}s of {label} are needed" if count > 1 else f"1 more {what} of {label} is needed"
    return f"{family} of {key} needs {count} GPU{'s' if count > 1 else ''} more"
