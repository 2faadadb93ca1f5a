"""Plans written by hand, in the shapes that are hard to print; nothing is solved."""

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from cuvee.catalog import load_model
from cuvee.catalog.offer import Offer, OfferSet
from cuvee.plan.candidates.exclusions import ExcludedKind, ExcludedPair, Exclusions
from cuvee.plan.explain.baselines import Baseline
from cuvee.plan.outcome.cell import Cell, UnderLoad
from cuvee.plan.outcome.moves import (
    FreeMoves,
    Keeping,
    MovedReplicas,
    Moves,
    MoveStep,
    ShiftedType,
    StandingGroup,
    StepKind,
)
from cuvee.plan.outcome.rented_machines import RentedMachines
from cuvee.plan.outcome.result import (
    AssignmentRow,
    Disaggregation,
    Group,
    Plan,
    PlanInputs,
    RentedGpus,
    RunnerUp,
)
from cuvee.plan.question.current_fleet import CurrentFleet, RunningGroup
from cuvee.plan.question.problem import Limits, ModelDemand, Objective, PlanProblem
from cuvee.plan.solver.program import Termination
from cuvee.profile.engine import find_engine
from cuvee.profile.phases import Phase
from cuvee.profile.replica import Stage
from cuvee.profile.table import Provenance
from cuvee.workload import LatencyLimits, LatencyObjective
from cuvee.workload.records import Demand, WorkloadType

A40, H100 = "A40", "H100-SXM"
MARKUP = "[bold]x[/red]"


def make_plan(
    *,
    num_groups: int = 3,
    num_types: int = 4,
    models: tuple[str, ...] = ("llama-3-70b",),
    objective: Objective = Objective.THROUGHPUT,
    idle: bool = False,
    spot: bool = False,
    type_name: str = "in{0}-out{1}",
    offers_name: str = "by-hand",
    as_of: str = "2026-01-02",
    notes: tuple[str, ...] = (),
    **changes: Any,
) -> Plan:
    """A plan of `num_groups` groups and `num_types` workload types per model; groups take turns with the types."""
    demand = _demand(num_types, type_name)
    known = load_model("llama-3-70b")
    problem = PlanProblem(
        tuple(ModelDemand(replace(known, name=name), demand) for name in models),
        OfferSet(offers_name, tuple(_offer(spot, number) for number in range(2)), as_of, "by hand", notes),
        Limits(30.0),
        objective,
    )
    groups = tuple(_group(number, models, demand, spot) for number in range(num_groups))
    machine = RentedMachines(0, problem.offers.offers[0].label, 2, 8, 3, 16.0, 3.0)
    plan = Plan(
        termination=Termination.OPTIMAL,
        objective_name=objective,
        objective=12.5 if objective is Objective.THROUGHPUT else 24.0,
        bound=12.5 if objective is Objective.THROUGHPUT else 24.0,
        gap=0.0,
        rate_req_per_s=12.5,
        num_requests=1000.0,
        makespan_s=80.0,
        cost_usd_per_hour=24.0,
        groups=groups,
        assignment=_assignment(groups, models, demand),
        machines=(machine,) if idle else (),
        runners_up=(
            RunnerUp(models[0], (Stage(A40, 4, 80),), 2.2, 1.0, "w1", 0.5),
            RunnerUp(models[-1], (Stage(A40, 1, 9), Stage(H100, 2, 71)), 6.51, 0.978, "w1", 0.5),
        ),
        num_candidates_generated=3357,
        num_candidates=359,
        solve_seconds=1.25,
        inputs=PlanInputs(problem, find_engine("vllm"), 0.625),
    )
    return replace(plan, **changes)


def with_phases(plan: Plan, record: Disaggregation) -> Plan:
    """`plan` with what the phases apart bring; where they are, the last two groups do one each."""
    *others, first, second = plan.groups
    pools = (replace(first, phase=Phase.PREFILL), replace(second, phase=Phase.DECODE))
    return replace(plan, groups=(*others, *(pools if record.chosen else (first, second))), disaggregation=record)


def with_moves(plan: Plan, *, capacity: float | None = 1.0, steps: bool = True) -> Plan:
    """`plan` from what runs now: its first group with one replica less, and as many of a group that goes."""
    group, problem = plan.groups[0], plan.inputs.problem
    taken = tuple((part.offer, part.num_gpus) for part in group.rented)
    kept = RunningGroup(group.model, group.stages, "bf16", "bf16", False, group.copies, taken)
    gone = replace(kept, model=f"{MARKUP} other", copies=2)
    rates = {cell.workload: cell.rate_req_per_s for cell in group.cells}
    sent = {row.workload: {"o1": 0.996, group.id: 0.004} for row in plan.assignment}
    shifts = tuple(ShiftedType(row.model, row.workload, sent[row.workload], row.shares) for row in plan.assignment)
    moved = (MovedReplicas("o1", 2),)
    listed = (
        MoveStep(StepKind.ADD, 1, (MovedReplicas(group.id, 1),), (), 381.1, 12_345.6, capacity),
        MoveStep(StepKind.SHIFT, 1, (), shifts, 0.0, 38.62, capacity),
        MoveStep(StepKind.DRAIN, 1, moved, (), 120.0, 38.62, capacity),
        MoveStep(StepKind.REMOVE, 1, moved, (), 0.0, 29.89, capacity),
    )
    moves = Moves(
        standing=(
            StandingGroup(group.id, 0, group.copies, 2.0, rates),
            StandingGroup("o1", 1, 2, 12_345.67, {}),
        ),
        steps=listed if steps else (),
        start_usd=2.13 if steps else 0.0,
        drain_usd=0.69 if steps else 0.0,
        seconds=501.1,
        peak_usd_per_hour=12_345.6,
        over_budget_s=501.1,
        needed_req_per_s=12_650.0,
        capacity=capacity if steps else None,
        least_dip=False,
        keeping=Keeping(29.89, 0.0, 0.981),
        free=FreeMoves(13.8 if plan.objective_name is Objective.THROUGHPUT else 20.0, 29.96, 13.8, 1.22),
    )
    current = CurrentFleet((kept, gone), notes=(f"{MARKUP} is no longer on offer: " + "kept " * 30,))
    return replace(plan, moves=moves, inputs=replace(plan.inputs, problem=replace(problem, current=current)))


def with_latency_limits(plan: Plan, *, left_out: int = 3) -> Plan:
    """The plan with p95 limits, latency at the planned load, and so many kinds of pairs left out."""
    limits = LatencyObjective(LatencyLimits(0.5, 0.05, statistic="p95"))
    problem = plan.inputs.problem
    models = tuple(replace(entry, latency=limits) for entry in problem.models)
    load = UnderLoad(5.0, 2.4, 0.45, 0.02, 12345.6)
    groups = tuple(
        replace(group, cells=tuple(replace(cell, under_load=load) for cell in group.cells)) for group in plan.groups
    )
    pairs = [
        ExcludedPair(row.model, (Stage(gpu, 4, 80),), "bf16", False, row.workload, "ttft_s", 0.5, 0.75 + number)
        for row in plan.assignment
        for number, gpu in enumerate((A40, H100, "RTXPRO6000-Server")[:left_out])
    ]
    kinds = tuple(ExcludedKind(each.model, each.stages[0].gpu, each.workload, 5, 20, each) for each in pairs)
    excluded = Exclusions(5 * len(pairs), 20 * len(pairs) + 100, kinds, tuple(pairs))
    inputs = replace(plan.inputs, problem=replace(problem, models=models))
    return replace(plan, groups=groups, inputs=inputs, excluded=excluded)


def make_baselines(plan: Plan) -> list[Baseline]:
    """A single type within the stock that reaches 10 req/s for 20 $/h, and one beyond it that reaches 11."""
    return [
        Baseline(name, same_stock=same, plan=replace(plan, rate_req_per_s=rate, cost_usd_per_hour=30.0, objective=goal))
        for name, same, rate, goal in (
            ("only A40", True, 10.0, 10.0 if plan.objective_name is Objective.THROUGHPUT else 30.0),
            (
                "only H100-SXM, unlimited stock",
                False,
                13.0,
                13.0 if plan.objective_name is Objective.THROUGHPUT else 20,
            ),
        )
    ]


def console_of(encoding: str = "utf-8", width: int = 100) -> Console:
    """A console that keeps its text, as the command line makes it but for markup, which must not matter."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    return Console(file=file, width=width, highlight=False)


def text_of(console: Console) -> str:
    """What was printed; fails where a character is outside the console's encoding."""
    file = console.file
    assert isinstance(file, io.TextIOWrapper)
    buffer = file.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(file.encoding)


def _demand(num_types: int, type_name: str) -> Demand:
    types = [
        WorkloadType(type_name.format(100 * number, 10 * number), 100.0 * number, 10.0 * number)
        for number in range(1, num_types + 1)
    ]
    counts = tuple(float(number) for number in range(1, num_types + 1))
    return Demand(tuple(types), counts, rate_req_per_s=12.5, name="by-hand-trace")


def _offer(spot: bool, number: int) -> Offer:
    return Offer(H100, "seller", 16.0, region=f"region-{number}", num_gpus=8, spot=spot, stock=4, as_of="2026-01-01")


def _group(number: int, models: tuple[str, ...], demand: Demand, spot: bool) -> Group:
    stages = [
        (Stage(H100, 4, 80),),
        (Stage(A40, 1, 27), Stage(A40, 1, 27), Stage(A40, 1, 26)),
        (Stage("A100-80GB-SXM", 2, 40), Stage("RTXPRO6000-Server", 2, 40)),
    ][number % 3]
    rented = (RentedGpus(0, "seller H100", H100, "seller", "any", 4, spot),)
    kinds = [Provenance.MEASURED, Provenance.CALIBRATED, Provenance.ESTIMATED]
    cells = tuple(Cell(kind.name, 2.5, kinds[number % 3], 0.35 if number else None, 0.1, 0.02) for kind in demand.types)
    model = models[number % len(models)]
    return Group(
        f"g{number + 1}", model, stages, "bf16", "bf16", False, 12, 111.0, 1332.0, 1234.5, 0.996, rented, cells
    )


def _assignment(groups: tuple[Group, ...], models: tuple[str, ...], demand: Demand) -> tuple[AssignmentRow, ...]:
    rows = []
    for model in models:
        mine = [group for group in groups if group.model == model]
        for number, kind in enumerate(demand.types):
            first, second = mine[number % len(mine)].id, mine[(number + 1) % len(mine)].id
            shares = {first: 1.0} if first == second else {first: 0.999, second: 0.001}
            rows.append(
                AssignmentRow(model, kind.name, kind.input_tokens, kind.output_tokens, demand.shares[number], shares)
            )
    return tuple(rows)
