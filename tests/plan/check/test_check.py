"""`check` recomputes every promise of a plan: each can be broken, and each breach is named."""

from dataclasses import replace

import pytest

from cuvee.plan.check.check import check
from cuvee.plan.outcome.result import Group, Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.question.problem import Objective
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from cuvee.plan.solver.program import Termination
from cuvee.profile.table import Provenance, RateSource
from tests.plan.instances import BY_HAND, MODEL, check_tiny, demand, gpu, label, offer, problem, solve_tiny

RATES = {"t1": [1.0, 1.2], "t2*2": [2.4, 1.5], "t2": [0.2, 0.2], "t3*2": [6.0, 6.0], "t1+t3": [2.5, 2.5]}
CHECKS = (
    "names", "money", "stock", "caps", "replicas", "memory", "rates", "assignment", "load", "proof", "sources",
    "machines",
)  # fmt: skip


@pytest.fixture(scope="module")
def valid() -> Plan:
    """A plan with single GPUs, TP2 and a machine of six t3 of which two are idle, at 17 $/h."""
    offers = [
        offer("t1", 4.0, 1),
        offer("t2", 2.0, 2),
        offer("t3", 9.0, 1, num_gpus=6, machine_gpus=6),
        offer("t2", 2.5, 4, region="elsewhere"),
        offer("t2", 2.5, 4, spot=True),
    ]
    rates = {**RATES, "t3*2": [1.2, 1.2]}
    asked = problem(
        offers, [demand(80.0, 20.0)], budget=17.0, max_gpus={"t1": 1, "t2": 2}, max_usd_per_hour_per_seller={"s": 17.0}
    )
    return solve_tiny(asked, {name: rates[name] for name in ("t1", "t2*2", "t3*2")})


def test_the_valid_plan(valid):
    """The plan that the cases below break passes every check."""
    assert valid.cost_usd_per_hour == 17.0
    assert {label(group.config) for group in valid.groups} == {"t1", "t2*2", "t3*2"}
    report = check_tiny(valid)
    assert report.passed == CHECKS
    assert report.ok
    assert report.summary().startswith("ok: names, money")


def group_of(plan: Plan, name: str) -> int:
    return next(index for index, group in enumerate(plan.groups) if label(group.config) == name)


def with_group(plan: Plan, name: str, **changes) -> Plan:
    groups = list(plan.groups)
    index = group_of(plan, name)
    groups[index] = replace(groups[index], **changes)
    return replace(plan, groups=tuple(groups))


def with_rented(plan: Plan, name: str, **changes) -> Plan:
    group = plan.groups[group_of(plan, name)]
    return with_group(plan, name, rented=tuple(replace(part, **changes) for part in group.rented))


def with_stage(plan: Plan, name: str, **changes) -> Plan:
    group = plan.groups[group_of(plan, name)]
    return with_group(plan, name, stages=tuple(replace(stage, **changes) for stage in group.stages))


def with_row(plan: Plan, **changes) -> Plan:
    return replace(plan, assignment=(replace(plan.assignment[0], **changes), *plan.assignment[1:]))


def with_machine(plan: Plan, **changes) -> Plan:
    return replace(plan, machines=tuple(replace(machine, **changes) for machine in plan.machines))


def with_limits(plan: Plan, **changes) -> Plan:
    asked = plan.inputs.problem
    return replace(plan, inputs=replace(plan.inputs, problem=replace(asked, limits=replace(asked.limits, **changes))))


def with_offer(plan: Plan, index: int, **changes) -> Plan:
    asked = plan.inputs.problem
    offers = list(asked.offers.offers)
    offers[index] = replace(offers[index], **changes)
    changed = replace(asked, offers=replace(asked.offers, offers=tuple(offers)))
    return replace(plan, inputs=replace(plan.inputs, problem=changed))


def with_cells(plan: Plan, **changes) -> Plan:
    groups = (replace(group, cells=tuple(replace(cell, **changes) for cell in group.cells)) for group in plan.groups)
    return replace(plan, groups=tuple(groups))


def with_rate_sources(plan: Plan, *sources: RateSource) -> Plan:
    return replace(plan, inputs=replace(plan.inputs, rate_sources=sources))


def with_sources(plan: Plan, *sources: str) -> Plan:
    return replace(plan, inputs=replace(plan.inputs, throughput_sources=sources))


def scaled_shares(plan: Plan, factor: float) -> dict[str, float]:
    return {name: share * factor for name, share in plan.assignment[0].shares.items()}


BREACHES = {
    "model nobody asked for": ("names", lambda p: with_group(p, "t1", model="other")),
    "GPU nobody knows": ("names", lambda p: with_stage(p, "t1", gpu="t9")),
    "offer that is not there": ("names", lambda p: with_rented(p, "t1", offer=99)),
    "offer before the first": ("names", lambda p: with_rented(p, "t1", offer=-1)),
    "machines of an offer that is not there": ("names", lambda p: with_machine(p, offer=99)),
    "another precision": ("names", lambda p: with_group(p, "t1", precision="fp8")),
    "a precision nobody knows": ("names", lambda p: with_group(p, "t1", precision="fp3")),
    "another precision of the cache": ("names", lambda p: with_group(p, "t1", kv_precision="fp8")),
    "one name for two groups": ("names", lambda p: with_group(p, "t1", id=p.groups[group_of(p, "t3*2")].id)),
    "price": ("money", lambda p: with_group(p, "t1", price_usd_per_hour=3.0)),
    "cost of a group": ("money", lambda p: with_group(p, "t1", cost_usd_per_hour=3.0)),
    "cost": ("money", lambda p: replace(p, cost_usd_per_hour=p.cost_usd_per_hour - 1)),
    "idle GPUs not paid": (
        "money",
        lambda p: with_machine(
            replace(p, cost_usd_per_hour=14.0), idle_gpus=0, idle_cost_usd_per_hour=0.0, cost_usd_per_hour=6.0
        ),
    ),
    "no machines": ("money", lambda p: replace(p, machines=())),
    "price of the offer": ("money", lambda p: with_offer(p, 0, price_usd_per_hour=5.0)),
    "budget": ("money", lambda p: with_limits(p, budget_usd_per_hour=16.99)),
    "stock": ("stock", lambda p: with_offer(p, 0, stock=0)),
    "copies": ("stock", lambda p: with_group(p, "t1", copies=2)),
    "more machines than in stock": ("stock", lambda p: with_machine(p, units=2)),
    "groups without machines": ("stock", lambda p: with_machine(p, units=0)),
    "GPUs that no group can use": ("stock", lambda p: with_group(p, "t3*2", copies=3)),
    "machines of other size": ("stock", lambda p: with_machine(p, num_gpus=1)),
    "machines below 0": ("stock", lambda p: with_machine(p, units=-1)),
    "cap on GPUs": ("caps", lambda p: with_limits(p, max_gpus={"t2": 1})),
    "cap on machines' GPUs": ("caps", lambda p: with_limits(p, max_gpus={"t3": 5})),
    "cap on a seller's GPUs": ("caps", lambda p: with_limits(p, max_gpus_per_seller={"s": 8})),
    "cap on a type's money": ("caps", lambda p: with_limits(p, max_usd_per_hour_per_gpu={"t3": 8.9})),
    "cap on a seller's money": ("caps", lambda p: with_limits(p, max_usd_per_hour_per_seller={"s": 16.9})),
    "no replicas": ("replicas", lambda p: with_group(p, "t1", copies=0)),
    "a pipeline said to span": ("replicas", lambda p: with_group(p, "t2*2", spans_machines=True)),
    "another seller": ("replicas", lambda p: with_rented(p, "t1", seller="other")),
    "spot said to be on-demand": ("replicas", lambda p: with_rented(p, "t1", spot=True)),
    "layers": ("replicas", lambda p: with_stage(p, "t1", layers=1)),
    "TP beyond the machine": ("replicas", lambda p: with_stage(p, "t2*2", tensor_parallel_size=4)),
    "TP beside the heads": ("replicas", lambda p: with_stage(p, "t3*2", tensor_parallel_size=3)),
    "GPUs of another type": ("replicas", lambda p: with_stage(p, "t1", gpu="t2")),
    "fewer GPUs than deployed": ("replicas", lambda p: with_rented(p, "t2*2", num_gpus=1)),
    "two regions": (
        "replicas",
        lambda p: with_group(p, "t2*2", rented=tuple(
            replace(p.groups[group_of(p, "t2*2")].rented[0], offer=index, num_gpus=1) for index in (1, 3))),
    ),
    "spot beside on-demand": (
        "replicas",
        lambda p: with_group(p, "t2*2", rented=tuple(
            replace(p.groups[group_of(p, "t2*2")].rented[0], offer=index, num_gpus=1) for index in (1, 4))),
    ),
    "longer requests than the context": ("memory", lambda p: with_row(p, input_tokens=10_000.0)),
    "measured without a source": ("rates", with_sources),
    "measured, the source estimates": ("rates", lambda p: with_sources(p, "estimated: roofline")),
    "a rate from nowhere": ("sources", lambda p: with_cells(p, source=7)),
    "one rate without a source": ("sources", lambda p: with_first_cell(p, source=None)),
    "a source without a use": ("sources", lambda p: with_rate_sources(p, BY_HAND, replace(BY_HAND, source="else"))),
    "a source of another date": ("sources", lambda p: with_rate_sources(p, replace(BY_HAND, date="last week"))),
    "calibrated by another source": ("sources", lambda p: with_cells(p, provenance=Provenance.CALIBRATED)),
    "a negative band": ("sources", lambda p: with_cells(p, relative_error=-0.1)),
    "a price of another day": ("replicas", lambda p: with_rented(p, "t1", as_of="2020-01-01")),
    "calibrated without a source": ("rates", lambda p: with_cells(p, provenance=Provenance.CALIBRATED)),
    "estimated by hand": (
        "rates", lambda p: with_sources(with_cells(p, provenance=Provenance.ESTIMATED), "estimated: by hand")),
    "a rate of 0": ("rates", lambda p: with_cells(p, rate_req_per_s=0.0)),
    "an infinite rate": ("rates", lambda p: with_cells(p, rate_req_per_s=float("inf"))),
    "two rates for a type": (
        "rates", lambda p: with_group(p, "t1", cells=p.groups[group_of(p, "t1")].cells * 2)),
    "shares below 1": ("assignment", lambda p: with_row(p, shares=scaled_shares(p, 0.9))),
    "shares above 1": ("assignment", lambda p: with_row(p, shares=scaled_shares(p, 1.1))),
    "share to nobody": ("assignment", lambda p: with_row(p, shares={"g9": 1.0})),
    "negative share": ("assignment", lambda p: with_row(p, shares={"g1": 1.5, "g2": -0.5})),
    "share that is no number": ("assignment", lambda p: with_row(p, shares={"g1": float("nan")})),
    "prompt length": ("assignment", lambda p: with_row(p, input_tokens=50.0)),
    "answer length": ("assignment", lambda p: with_row(p, output_tokens=5.0)),
    "demand": ("assignment", lambda p: with_row(p, demand_req_per_s=0.1)),
    "a type left out": ("assignment", lambda p: replace(p, assignment=p.assignment[1:])),
    "another type": ("assignment", lambda p: with_row(p, workload="w9")),
    "another model": ("assignment", lambda p: with_row(p, model="other")),
    "all on one group": ("load", lambda p: with_row(p, shares={"g1": 1.0})),
    "rate": ("load", lambda p: replace(p, rate_req_per_s=p.rate_req_per_s * 1.01)),
    "rate of a group": ("load", lambda p: with_group(p, "t1", rate_req_per_s=9.0)),
    "no rate for a type": ("load", lambda p: with_group(p, "t1", cells=())),
    "utilization": ("load", lambda p: with_group(p, "t1", utilization=0.5)),
    "objective of 0": ("proof", lambda p: replace(p, objective=0.0)),
    "rate of 0": ("proof", lambda p: replace(p, rate_req_per_s=0.0)),
    "objective of NaN": ("proof", lambda p: replace(p, objective=float("nan"))),
    "another objective": ("proof", lambda p: replace(p, objective_name=Objective.COST)),
    "number of requests": ("proof", lambda p: replace(p, num_requests=1.0)),
    "machines under another name": ("stock", lambda p: with_machine(p, label="other")),
    "a draw nobody asked for": ("proof", lambda p: replace(p, worst_draw_req_per_s=1.0)),
    "makespan": ("proof", lambda p: replace(p, makespan_s=1.0)),
    "no makespan": ("proof", lambda p: replace(p, makespan_s=None)),
    "objective": ("proof", lambda p: replace(p, objective=p.objective * 1.1)),
    "bound far away": ("proof", lambda p: replace(p, bound=p.objective * 1.5, gap=0.5)),
    "bound below the objective": ("proof", lambda p: replace(p, bound=p.objective * 0.5, gap=0.5)),
    "gap": ("proof", lambda p: replace(p, gap=0.5)),
    "gap without a bound": ("proof", lambda p: replace(p, termination=Termination.FEASIBLE, bound=None, gap=0.0)),
    "machines with nothing in them": ("machines", lambda p: with_machine(p, packing=())),
    "optimal without a bound": ("proof", lambda p: replace(p, bound=None, gap=None)),
}  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES)
def test_breaches(valid, breach):
    """A plan changed in one place violates the check of that place."""
    name, change = BREACHES[breach]
    report = check_tiny(change(valid))
    assert name in {line.split(":")[0] for line in report.violations}
    assert name not in report.passed
    assert not report.ok
    assert "violated: " in report.summary()


def test_every_check_is_breached():
    """The cases above cover every check there is."""
    assert {name for name, _ in BREACHES.values()} == set(CHECKS)


def test_memory_of_the_replica(valid):
    """A GPU with less memory than the weights violates memory."""
    gpus = {name: gpu(name, memory_gb=2.0) for name in ("t1", "t2", "t3")}
    large = replace(MODEL, num_layers=2, hidden_size=20_000, ffn_size=80_000)
    asked = valid.inputs.problem
    changed = replace(asked, models=(replace(asked.models[0], model=large),))
    report = check(replace(valid, inputs=replace(valid.inputs, problem=changed)), gpus=gpus)
    assert any(line.startswith("memory: g1: tiny") for line in report.violations)


def test_kv_heads(valid):
    """TP2 over 3 KV heads does not map: violated, though 2 divides the 6 heads."""
    asked = valid.inputs.problem
    model = replace(MODEL, num_heads=6, num_kv_heads=3)
    changed = replace(asked, models=(replace(asked.models[0], model=model),))
    report = check_tiny(replace(valid, inputs=replace(valid.inputs, problem=changed)))
    assert any("KV heads" in line for line in report.violations)


def test_cost_objective():
    """Under the cost objective the fleet must sustain the whole demand and stay at its price."""
    asked = problem([offer("t1", 4.0)], [demand(4.0, 1.0, rate_req_per_s=1.0)], objective=Objective.COST)
    plan = solve_tiny(asked, RATES)
    assert check_tiny(plan).ok
    busy = plan.groups[0].utilization * 0.9 / plan.rate_req_per_s
    groups = (replace(plan.groups[0], rate_req_per_s=0.9, utilization=busy),)
    slower = replace(plan, rate_req_per_s=0.9, makespan_s=5 / 0.9, groups=groups)
    assert [line.split(":")[0] for line in check_tiny(slower).violations] == ["load"]
    assert not check_tiny(replace(plan, bound=plan.objective + 1)).ok


def test_no_plan_breaks_nothing():
    """An infeasible answer promises nothing, so nothing is violated."""
    assert check_tiny(solve_tiny(problem([offer("t1", 4.0)], [demand(1.0)], budget=1.0), {"t1": [1.0]})).ok


@pytest.fixture(scope="module")
def estimated() -> Plan:
    """A plan whose rates are all of the analytic model."""
    record = {"models": ["llama-3-8b"], "budget_usd_per_hour": 4.0, "search": {"max_pipeline_stages": 2}}
    return plan_prepared(prepare_scenario(parse_scenario(record, where="test")))


def tenfold(plan: Plan) -> Plan:
    """Every rate, objective and bound ten times what it is, consistently."""
    assert plan.bound is not None
    assert plan.makespan_s is not None
    groups = tuple(
        replace(
            group,
            rate_req_per_s=group.rate_req_per_s * 10,
            cells=tuple(replace(cell, rate_req_per_s=cell.rate_req_per_s * 10) for cell in group.cells),
        )
        for group in plan.groups
    )
    return replace(
        plan, groups=groups, rate_req_per_s=plan.rate_req_per_s * 10, objective=plan.objective * 10,
        bound=plan.bound * 10, makespan_s=plan.makespan_s / 10,
    )  # fmt: skip


def with_first_cell(plan: Plan, **changes) -> Plan:
    first = plan.groups[0]
    cells = (replace(first.cells[0], **changes), *first.cells[1:])
    return replace(plan, groups=(replace(first, cells=cells), *plan.groups[1:]))


ESTIMATES = {
    "everything tenfold": tenfold,
    "cell rates tenfold": lambda p: replace(p, groups=tenfold(p).groups),
    "one rate a little off": lambda p: with_first_cell(p, rate_req_per_s=p.groups[0].cells[0].rate_req_per_s * 1.0001),
    "time to first token": lambda p: with_first_cell(p, ttft_s=0.001),
    "time per token": lambda p: with_first_cell(p, tpot_s=0.001),
    "error band": lambda p: with_first_cell(p, relative_error=0.01),
    "date of the constants": lambda p: with_rate_sources(
        p, *(replace(source, date="2020-01-01") for source in p.inputs.rate_sources)
    ),
    "all called measured": lambda p: with_cells(p, provenance=Provenance.MEASURED),
    "a type nobody asked for": lambda p: with_first_cell(p, workload="w9"),
    "a shape that is not the model's": lambda p: replace(p, groups=(one_layer(p.groups[0]), *p.groups[1:])),
}


def one_layer(group: Group) -> Group:
    return replace(group, stages=tuple(replace(stage, layers=1) for stage in group.stages))


def test_estimates_stand(estimated):
    """A plan of the analytic model passes every check with the catalogue; it rents no machines."""
    assert check(estimated).passed == tuple(name for name in CHECKS if name != "machines")
    assert all(cell.provenance is Provenance.ESTIMATED for group in estimated.groups for cell in group.cells)


@pytest.mark.parametrize("name", ESTIMATES)
def test_estimates_are_recomputed(estimated, name):
    """Rates that the analytic model does not give are found, though the plan is consistent in itself."""
    report = check(ESTIMATES[name](estimated))
    assert "rates" in {line.split(":")[0] for line in report.violations}


def test_the_given_gpus_count(estimated):
    """Estimates are recomputed with the GPU types given, not with the catalogue's; none at all means none."""
    from cuvee.catalog.gpus import load_gpu_types

    slower = {
        name: replace(each, bandwidth_gb_per_s=each.bandwidth_gb_per_s / 2) for name, each in load_gpu_types().items()
    }
    assert not check(estimated, gpus=slower).ok
    assert any("unknown" in line for line in check(estimated, gpus={}).violations)


def test_a_pipeline_over_the_network_said_to_be_inside():
    """Stages of t1 and t2 talk over the network, and a plan that denies it is refused."""
    asked = problem([offer("t1", 1.0, 4), offer("t2", 1.0, 4)], [demand(1.0)], budget=2.0)
    plan = solve_tiny(asked, {"t1+t2": [3.0]})
    assert plan.groups[0].spans_machines
    assert check_tiny(plan).ok
    inside = replace(plan, groups=(replace(plan.groups[0], spans_machines=False),))
    assert [line.split(":")[0] for line in check_tiny(inside).violations] == ["replicas"]


def test_makespan_of_the_slowest_model():
    """Two models with rates of their own: T is that of the one that takes longest. Tempting: all over the sum."""
    asked = problem(
        [offer("t1", 1.0, 2)],
        [demand(10.0, rate_req_per_s=1.0), demand(90.0, rate_req_per_s=1.0)],
        budget=2.0,
    )
    plan = solve_tiny(asked, {"t1": [1.0]})
    assert plan.makespan_s == pytest.approx(90.0)
    assert check_tiny(plan).ok
    assert not check_tiny(replace(plan, makespan_s=50.0)).ok
