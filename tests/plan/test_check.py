"""`check` recomputes every promise of a plan: each can be broken, and each breach is named."""

from dataclasses import replace

import pytest

from cuvee.plan.problem import Objective
from cuvee.plan.program import Termination
from cuvee.plan.result import Plan
from tests.plan.instances import MODEL, check_tiny, demand, gpu, label, offer, problem, solve_tiny

RATES = {"t1": [1.0, 1.2], "t2*2": [2.4, 1.5], "t2": [0.2, 0.2], "t3*2": [6.0, 6.0], "t1+t3": [2.5, 2.5]}
CHECKS = ("names", "money", "stock", "caps", "replicas", "memory", "assignment", "load", "proof")


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


def scaled_shares(plan: Plan, factor: float) -> dict[str, float]:
    return {name: share * factor for name, share in plan.assignment[0].shares.items()}


BREACHES = {
    "model nobody asked for": ("names", lambda p: with_group(p, "t1", model="other")),
    "GPU nobody knows": ("names", lambda p: with_stage(p, "t1", gpu="t9")),
    "offer that is not there": ("names", lambda p: with_rented(p, "t1", offer=99)),
    "offer before the first": ("names", lambda p: with_rented(p, "t1", offer=-1)),
    "machines of an offer that is not there": ("names", lambda p: with_machine(p, offer=99)),
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
    "cap on GPUs": ("caps", lambda p: with_limits(p, max_gpus={"t2": 1})),
    "cap on machines' GPUs": ("caps", lambda p: with_limits(p, max_gpus={"t3": 5})),
    "cap on a seller's GPUs": ("caps", lambda p: with_limits(p, max_gpus_per_seller={"s": 8})),
    "cap on a type's money": ("caps", lambda p: with_limits(p, max_usd_per_hour_per_gpu={"t3": 8.9})),
    "cap on a seller's money": ("caps", lambda p: with_limits(p, max_usd_per_hour_per_seller={"s": 16.9})),
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
    "shares below 1": ("assignment", lambda p: with_row(p, shares=scaled_shares(p, 0.9))),
    "shares above 1": ("assignment", lambda p: with_row(p, shares=scaled_shares(p, 1.1))),
    "share to nobody": ("assignment", lambda p: with_row(p, shares={"g9": 1.0})),
    "negative share": ("assignment", lambda p: with_row(p, shares={"g1": 1.5, "g2": -0.5})),
    "share that is no number": ("assignment", lambda p: with_row(p, shares={"g1": float("nan")})),
    "demand": ("assignment", lambda p: with_row(p, demand_req_per_s=0.1)),
    "a type left out": ("assignment", lambda p: replace(p, assignment=p.assignment[1:])),
    "another type": ("assignment", lambda p: with_row(p, workload="w9")),
    "another model": ("assignment", lambda p: with_row(p, model="other")),
    "all on one group": ("load", lambda p: with_row(p, shares={"g1": 1.0})),
    "rate": ("load", lambda p: replace(p, rate_req_per_s=p.rate_req_per_s * 1.01)),
    "rate of a group": ("load", lambda p: with_group(p, "t1", rate_req_per_s=9.0)),
    "no rate for a type": ("load", lambda p: with_group(p, "t1", cells=())),
    "makespan": ("proof", lambda p: replace(p, makespan_s=1.0)),
    "no makespan": ("proof", lambda p: replace(p, makespan_s=None)),
    "objective": ("proof", lambda p: replace(p, objective=p.objective * 1.1)),
    "bound far away": ("proof", lambda p: replace(p, bound=p.objective * 1.5, gap=0.5)),
    "bound below the objective": ("proof", lambda p: replace(p, bound=p.objective * 0.5, gap=0.5)),
    "gap": ("proof", lambda p: replace(p, gap=0.5)),
    "gap without a bound": ("proof", lambda p: replace(p, termination=Termination.FEASIBLE, bound=None, gap=0.0)),
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
    from cuvee.plan.check import check

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
    slower = replace(
        plan, rate_req_per_s=0.9, makespan_s=5 / 0.9, groups=(replace(plan.groups[0], rate_req_per_s=0.9),)
    )
    assert [line.split(":")[0] for line in check_tiny(slower).violations] == ["load"]
    assert not check_tiny(replace(plan, bound=plan.objective + 1)).ok


def test_no_plan_breaks_nothing():
    """An infeasible answer promises nothing, so nothing is violated."""
    assert check_tiny(solve_tiny(problem([offer("t1", 4.0)], [demand(1.0)], budget=1.0), {"t1": [1.0]})).ok
