"""The ways of choosing a fleet that an evaluation puts beside our plan."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cuvee.evaluate.compositions import even_composition, with_composition
from cuvee.evaluate.hexgen import hexgen_like, spread_by_capacity
from cuvee.evaluate.melange import melange_like
from cuvee.plan.explain import baselines
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem

OURS = "plan"


class Family(StrEnum):
    """What a way gives up."""

    OURS = "ours"
    SINGLE = "one GPU type, same stock"
    SINGLE_UNLIMITED = "one GPU type, unlimited stock"
    COMPOSITION = "composition"
    DEPLOYMENT = "deployment"
    ASSIGNMENT = "assignment"
    SYSTEM = "another planner's idea"


@dataclass(frozen=True)
class Way:
    """A way of choosing a fleet, and what it chooses."""

    name: str
    family: Family
    plan: Plan


def ways(prepared: PreparedProblem) -> Iterator[Way]:
    """Our plan, then every other way."""
    ours = plan_prepared(prepared, explain=False)
    yield Way(OURS, Family.OURS, ours)
    if not ours.has_plan:
        return
    for gpu in baselines.gpu_types_on_offer(prepared.problem):
        yield Way(f"only {gpu}", Family.SINGLE, baselines.single_type(prepared, gpu).plan)
        unlimited = baselines.single_type_unlimited(prepared, gpu)
        yield Way(unlimited.name, Family.SINGLE_UNLIMITED, unlimited.plan)
    even = even_composition(prepared.problem)
    yield Way("even composition", Family.COMPOSITION, plan_prepared(with_composition(prepared, even), explain=False))
    for each in baselines.one_tensor_parallel_size(prepared):
        yield Way(each.name, Family.DEPLOYMENT, each.plan)
    yield Way("one TP degree, our composition", Family.DEPLOYMENT, _one_degree(prepared, ours))
    yield Way("round-robin assignment", Family.ASSIGNMENT, baselines.round_robin(prepared, ours).plan)
    yield Way("spread by capacity", Family.ASSIGNMENT, spread_by_capacity(prepared, ours))
    yield Way("request types unknown", Family.ASSIGNMENT, hexgen_like(prepared))
    yield Way("HexGen-like, even composition", Family.SYSTEM, hexgen_like(prepared, even))
    yield Way("HexGen-like, our composition", Family.SYSTEM, hexgen_like(prepared, ours.gpu_counts))
    yield Way("Mélange-like", Family.SYSTEM, melange_like(prepared))
    yield Way("greedy", Family.SYSTEM, baselines.greedy(prepared).plan)


def _one_degree(prepared: PreparedProblem, ours: Plan) -> Plan:
    """The best plan of one tensor-parallel degree on the GPUs of ours."""
    same = with_composition(prepared, ours.gpu_counts)
    plans = [each.plan for each in baselines.one_tensor_parallel_size(same)]
    return max(plans, key=lambda plan: plan.rate_req_per_s if plan.has_plan else 0.0)
