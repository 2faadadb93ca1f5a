"""Plans under latency limits: optima by hand, against enumeration, and through `check`."""

import re
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuvee.catalog.offer import OfferSet
from cuvee.errors import InputError, UnknownNameError
from cuvee.plan.candidates.candidate_set import CandidateSet, generate_candidates
from cuvee.plan.candidates.exclusions import without_limits
from cuvee.plan.check.check import check
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.files import load_plan, plan_to_json
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan, plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.problem import Limits, ModelDemand, Objective, PlanProblem, SearchOptions
from cuvee.plan.solver.program import Termination
from cuvee.profile import AnalyticProvider, Provenance
from cuvee.profile.latency import Statistic, latency
from cuvee.profile.load import loadable
from cuvee.profile.replica_arrays import ReplicaArrays
from cuvee.workload import Demand, LatencyLimits, LatencyObjective, WorkloadType
from tests.plan.brute_force import best_value
from tests.plan.generated import generate
from tests.plan.instances import GPUS, HandProvider, check_tiny, fleet, offer, prepare_tiny
from tests.profile.test_analytic import TOY_ENGINE, TOY_GPU, TOY_MODEL
from tests.profile.test_latency import FULL_S, IDLE_S, OWN_S, round_s

# One sequence at a time, on 100 prompt and 50 answer tokens: the curve that tests/profile/test_latency.py has by hand.
SERIAL = replace(TOY_ENGINE, max_num_seqs=1)
TOYS = {name: replace(TOY_GPU, name=name) for name in ("fast", "cheap")}
TYPE = WorkloadType("w1", 100.0, 50.0)
SATURATED = 1 / (50 * (83.106 + 0.02 * (152.062 - 83.106) + 1012) * 1e-6)
"""Estimated rate of a saturated toy [req/s]: steps of 83.106 us, 2 % of them with a prompt, 152.062 us; host 1012."""


def e2e_s(occupancy: float) -> float:
    """End to end of the toy as estimated, mean, by hand [s]."""
    around_s, rate = round_s(occupancy), occupancy / (50 * round_s(occupancy))
    service_s = 100 / 999 * FULL_S
    waits_s = (
        occupancy * 50 * around_s * (around_s / IDLE_S) / (1 - occupancy),
        rate * service_s**2 / (1 - rate * service_s),
        rate / 1000 / (1000 - rate),
        (1 - np.exp(-occupancy)) * around_s / 2,
    )
    rho, added_s = 1 - IDLE_S / around_s, 100 / 999 * (FULL_S - IDLE_S)
    tpot_s = around_s + added_s * rho * (1 - rho**50) / ((1 - rho**2) * (1 - rho) * 50)
    return float(OWN_S + sum(waits_s) + 49 * tpot_s)


def toys(limits: LatencyLimits | None, **changes) -> Plan:
    """Fast toys of 1 req/s at 4 $/h, two in stock, and cheap ones of 0.45 req/s at 1.5 $/h, five in stock; 8 $/h."""
    latency_limits = None if limits is None else LatencyObjective(limits)
    demand = Demand((TYPE,), (100.0,), changes.pop("rate", None))
    entry = ModelDemand(TOY_MODEL, demand, latency=latency_limits)
    offers = OfferSet("toys", (offer("fast", 4.0, 2), offer("cheap", 1.5, 5)), "", "")
    search = SearchOptions(max_pipeline_stages=1, max_mixed_stages=0)
    budget = changes.pop("budget", 8.0)
    problem = PlanProblem((entry,), offers, Limits(budget), search=search, **changes)
    return plan(problem, engine=SERIAL, provider=HandProvider({"fast": (1.0,), "cheap": (0.45,)}), gpus=TOYS)


def test_the_optimum_within_a_limit_by_hand():
    """Half occupancy is the highest load of a fast toy; a cheap one, idle, cannot even answer in time."""
    without = toys(None)
    # Five cheap ones for 7.50 $/h: 2.25 req/s, the tempting answer of who looks at rates alone.
    assert fleet(without) == {"cheap": 5}
    assert without.rate_req_per_s == pytest.approx(2.25)
    # A fast toy takes SATURATED / 1.0 times as long as the estimate. Another tempting answer is 2 x 1.0 req/s: two fast
    # ones within the limit by their service time alone, with no queue.
    limit_s = e2e_s(0.5) * SATURATED
    assert e2e_s(0.0) / 0.45 > e2e_s(0.5), "a cheap toy, idle, takes longer than a fast one half occupied"
    limited = toys(LatencyLimits(e2e_s=limit_s))
    assert fleet(limited) == {"fast": 2}
    assert limited.rate_req_per_s == pytest.approx(2 * 0.5 / (50 * round_s(0.5)) / SATURATED, rel=1e-6)
    assert limited.excluded is not None
    (pair,) = limited.excluded.pairs
    assert (pair.stages[0].gpu, pair.workload, pair.limit) == ("cheap", "w1", "e2e_s")
    assert pair.idle_s == pytest.approx(e2e_s(0.0) * SATURATED / 0.45)
    assert check(limited, gpus=TOYS).ok


def test_the_cheapest_fleet_within_a_limit_by_hand():
    """0.9 requests a second need two fast toys for 8 $/h, not two cheap ones for 3 $/h, nor one fast one for 4 $/h."""
    asked = {"objective": Objective.COST, "rate": 0.9, "budget": None}
    assert toys(None, **asked).cost_usd_per_hour == pytest.approx(3.0)
    limited = toys(LatencyLimits(e2e_s=e2e_s(0.5) * SATURATED), **asked)
    assert fleet(limited) == {"fast": 2}
    assert limited.cost_usd_per_hour == pytest.approx(8.0)
    (cell,) = limited.groups[0].cells
    assert cell.under_load is not None
    # Each serves 0.45 req/s, at which a toy is a little less than half occupied.
    assert cell.under_load.rate_req_per_s == pytest.approx(0.45)
    assert e2e_s(0.44) < cell.under_load.e2e_s / SATURATED < e2e_s(0.5)
    assert cell.under_load.saturated_req_per_s == 1.0
    assert cell.provenance is Provenance.CALIBRATED


def random_limits(random: Random) -> LatencyLimits:
    """Limits near what tiny replicas of about one request a second take, now and then out of reach."""
    scale = random.choice((0.4, 1.0, 2.0, 4.0))
    limits = {"ttft_s": 0.4 * scale, "tpot_s": 0.08 * scale, "e2e_s": 4.0 * scale}
    kept = random.sample(sorted(limits), k=random.choice((1, 1, 2, 3)))
    return LatencyLimits(**{name: limits[name] for name in kept}, statistic=random.choice(("mean", "p95")))


def generated(seed: int) -> PreparedProblem:
    """A generated instance with limits on every model, some of them on one type alone."""
    random = Random(seed)
    asked, rates = generate(seed)
    models = []
    for entry in asked.models:
        by_type = {entry.demand.types[0].name: random_limits(random)} if random.random() < 0.3 else {}
        usual = LatencyLimits() if by_type and random.random() < 0.5 else random_limits(random)
        models.append(replace(entry, latency=LatencyObjective(usual, by_type)))
    return prepare_tiny(replace(asked, models=tuple(models)), rates)


def limited_by_hand(prepared: PreparedProblem) -> CandidateSet:
    """All candidates with their saturated rates, brought within the limits by plain halving, one pair at a time."""
    everything = generate_candidates(prepared.problem, without_limits(prepared.provider), GPUS)
    tables = []
    for entry, table in zip(prepared.problem.models, everything.tables, strict=True):
        rate = table.rate_req_per_s.copy()
        for row, config in enumerate(table.configs):
            for column, kind in enumerate(entry.demand.types):
                limits = entry.latency.of(kind.name) if entry.latency else LatencyLimits()
                if rate[row, column] > 0 and limits.as_dict():
                    rate[row, column] = highest_rate(prepared, config, kind, limits, rate[row, column])
        tables.append(replace(table, rate_req_per_s=rate, fits=rate > 0))
    return replace(everything, tables=tuple(tables))


def highest_rate(prepared: PreparedProblem, config, kind, limits: LatencyLimits, saturated: float) -> float:
    models = {entry.model.name: entry.model for entry in prepared.problem.models}
    estimates = AnalyticProvider(models, GPUS, prepared.inputs.engine, prepared.inputs.network_gb_per_s)
    replica = loadable(estimates, ReplicaArrays.of([config]), [kind])
    stretch = estimates.table([config], [kind]).rate_req_per_s[0, 0] / saturated
    idle, full = replica.at(np.zeros((1, 1))), replica.at(np.ones((1, 1)))
    statistic = Statistic.of([limits.percentile])

    def holds(occupancy: float) -> bool:
        load = replica.at(np.full((1, 1), occupancy))
        if load.rate_req_per_s[0, 0] >= saturated * stretch and set(limits.as_dict()) != {"tpot_s"}:
            return False
        found = latency(replica, load, idle, full, statistic)
        return all(getattr(found, name)[0, 0] * stretch <= limit for name, limit in limits.as_dict().items())

    if not holds(0.0):
        return 0.0
    if holds(1.0):
        return saturated
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return float(min(replica.at(np.full((1, 1), low)).rate_req_per_s[0, 0] / stretch, saturated))


@pytest.mark.parametrize("seed", range(12))
def test_enumeration_agrees_within_limits(seed):
    """Objective and feasibility are those of enumeration over rates that plain halving brought within the limits."""
    prepared = generated(seed)
    found = plan_prepared(prepared, explain=False)
    best = best_value(prepared.problem, limited_by_hand(prepared))
    if best is None:
        assert found.termination is Termination.INFEASIBLE
        return
    assert found.termination is Termination.OPTIMAL
    assert found.objective == pytest.approx(best, rel=1e-5)
    assert check_tiny(found).ok, check_tiny(found).summary()


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_every_plan_keeps_its_limits(seed):
    """`check` finds each share on a pair within its limits at the planned load, and each pair left out beyond them."""
    found = plan_prepared(generated(seed), explain=False)
    report = check_tiny(found)
    assert report.ok, report.summary()
    if not found.has_plan:
        return
    assert "latency" in report.passed
    entries = {entry.model.name: entry for entry in found.inputs.problem.models}
    for group in found.groups:
        objective = entries[group.model].latency
        for cell in group.cells:
            limits = objective.of(cell.workload).as_dict() if objective else {}
            assert (cell.under_load is not None) == bool(limits)
            for name, limit_s in limits.items():
                assert getattr(cell.under_load, name) <= limit_s * (1 + 1e-6)


@pytest.fixture(scope="module")
def limited() -> Plan:
    """Estimates alone: Llama-3 8B on two GPU types, p95 limits that bind."""
    return plan_prepared(small_prepared(LatencyLimits(0.5, 0.02, statistic="p95")))


def small_prepared(limits: LatencyLimits | None, **changes) -> PreparedProblem:
    from cuvee.catalog import load_model

    types = (WorkloadType("long", 2000.0, 100.0), WorkloadType("short", 200.0, 200.0))
    demand = Demand(types, (50.0, 50.0), changes.pop("rate", None))
    entry = ModelDemand(load_model("llama-3-8b"), demand, latency=None if limits is None else LatencyObjective(limits))
    offers = OfferSet("two", (offer("A40", 0.5, 4), offer("H100-SXM", 2.5, 2)), "", "")
    search = SearchOptions(max_pipeline_stages=2, max_mixed_stages=2)
    return prepare(PlanProblem((entry,), offers, Limits(changes.pop("budget", 5.0)), search=search, **changes))


def with_cells(found: Plan, change) -> Plan:
    """The plan with each cell of its first group changed."""
    first, *others = found.groups
    return replace(found, groups=(replace(first, cells=tuple(map(change, first.cells))), *others))


def faster(cell: Cell) -> Cell:
    return replace(cell, rate_req_per_s=cell.rate_req_per_s * 1.01)


def quicker(cell: Cell) -> Cell:
    assert cell.under_load is not None
    return replace(cell, under_load=replace(cell.under_load, ttft_s=cell.under_load.ttft_s * 0.9))


def late(cell: Cell) -> Cell:
    assert cell.under_load is not None
    return replace(cell, under_load=replace(cell.under_load, tpot_s=0.021))


def unsaturated(cell: Cell) -> Cell:
    assert cell.under_load is not None
    return replace(cell, under_load=replace(cell.under_load, saturated_req_per_s=9.9))


def silent(cell: Cell) -> Cell:
    return replace(cell, under_load=None)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (faster, "the limits hold up to"),
        (quicker, r"ttft_s .*, recomputed it is"),
        (late, "tpot_s 0.021 at the planned load, limit 0.02"),
        (unsaturated, r"saturated_req_per_s .*, recomputed it is"),
        (silent, "no latency at the planned load"),
    ],
)
def test_check_finds_cells_beyond_their_limits(limited, change, found):
    """A rate above the highest load, a latency made shorter, one beyond its limit, none at all."""
    assert check(limited).ok
    report = check(with_cells(limited, change))
    assert any(re.search(f"latency: .*{found}", line) for line in report.violations), report.summary()


def test_check_finds_limits_that_were_tightened(limited):
    """The same plan for half the limit: every share is beyond it."""
    (entry,) = limited.inputs.problem.models
    tighter = replace(entry, latency=LatencyObjective(LatencyLimits(0.5, 0.012, statistic="p95")))
    problem = replace(limited.inputs.problem, models=(tighter,))
    report = check(replace(limited, inputs=replace(limited.inputs, problem=problem)))
    assert any("the limits hold up to" in line for line in report.violations)


def test_check_finds_what_was_left_out_without_reason(limited):
    """A pair within the limit, one under a limit that nobody asked for, one of a type that nobody asked for."""
    assert limited.excluded is not None
    first = limited.excluded.pairs[0]
    for changed, found in (
        (replace(first, idle_s=first.limit_s / 2), "is within the limit"),
        (replace(first, idle_s=(first.idle_s or 0.0) * 1.01), "when idle, recomputed it is"),
        (replace(first, limit_s=first.limit_s / 2), "asked for is"),
        (replace(first, workload="other"), "not asked for"),
    ):
        excluded = replace(limited.excluded, pairs=(changed,))
        report = check(replace(limited, excluded=excluded))
        assert any(found in line for line in report.violations), found
    kind, *others = limited.excluded.kinds
    for changed_kind, found in (
        (replace(kind, gpu="other"), "the nearest is"),
        (replace(kind, workload="other"), "the nearest is"),
        (replace(kind, num_pairs=kind.num_fitting + 1), "are listed"),
        (replace(kind, nearest=replace(kind.nearest, idle_s=99.0)), "when idle, recomputed it is"),
        (replace(kind, num_fitting=9999), "pairs fit, by type it is"),
    ):
        excluded = replace(limited.excluded, kinds=(changed_kind, *others))
        report = check(replace(limited, excluded=excluded))
        assert any(found in line for line in report.violations), (found, report.summary())
    assert any("not counted" in line for line in check(without_kinds(limited)).violations)
    assert not check(replace(limited, excluded=None)).ok
    assert not check(replace(limited, excluded=replace(limited.excluded, num_pairs=99))).ok


def without_kinds(plan: Plan) -> Plan:
    assert plan.excluded is not None
    return replace(plan, excluded=replace(plan.excluded, kinds=()))


def test_a_plan_within_limits_reads_back(limited, tmp_path):
    """Limits, latency at the planned load and the pairs left out survive the file."""
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(limited))
    assert load_plan(path) == limited


def test_without_limits_nothing_changes():
    """No objective, and one without limits: the same plan, and no word on latency."""
    plain = plan_prepared(small_prepared(None))
    empty = plan_prepared(small_prepared(LatencyLimits()))
    assert plain.excluded is None
    assert empty.excluded is None
    assert (plain.objective, plain.groups, plain.assignment) == (empty.objective, empty.groups, empty.assignment)
    assert all(cell.under_load is None for group in plain.groups for cell in group.cells)
    assert "latency" not in check(plain).passed


def test_a_limit_out_of_reach_names_the_nearest_replica_and_a_limit_that_works():
    """The message's own limit gives a plan, and one a hundredth below it does not."""
    nothing = plan_prepared(small_prepared(LatencyLimits(ttft_s=0.02)))
    assert nothing.termination is Termination.INFEASIBLE
    assert "llama-3-8b" in nothing.message
    assert "H100-SXM" in nothing.message
    least = [float(text) for text in re.findall(r"--slo \w+:ttft=([\d.]+)", nothing.message)]
    assert least == [pytest.approx(max(least))]  # short prompts are answered in time
    assert max(least) > 0.02
    assert plan_prepared(small_prepared(LatencyLimits(ttft_s=max(least)))).has_plan
    assert not plan_prepared(small_prepared(LatencyLimits(ttft_s=max(least) * 0.98))).has_plan


def test_a_demand_beyond_the_stock_is_still_explained_by_the_stock():
    """Where the limits leave replicas for every type, the binding limit is that of money or GPUs."""
    asked = {"objective": Objective.COST, "rate": 500.0, "budget": None}
    nothing = plan_prepared(small_prepared(LatencyLimits(0.5, 0.02), **asked))
    assert nothing.termination is Termination.INFEASIBLE
    assert "the limits bind" in nothing.message
    assert "--slo" not in nothing.message


def test_preparing_again_takes_the_new_limits():
    """What was limited before starts from the saturated rates."""
    from cuvee.plan.program.preparation import prepare_again

    tight = small_prepared(LatencyLimits(0.5, 0.015))
    (entry,) = tight.problem.models
    loose = replace(entry, latency=LatencyObjective(LatencyLimits(0.5, 0.02)))
    again = plan_prepared(prepare_again(tight, replace(tight.problem, models=(loose,))), explain=False)
    assert again.objective == plan_prepared(small_prepared(LatencyLimits(0.5, 0.02)), explain=False).objective
    free = replace(entry, latency=None)
    without = plan_prepared(prepare_again(tight, replace(tight.problem, models=(free,))), explain=False)
    assert without.objective == plan_prepared(small_prepared(None), explain=False).objective


def test_limits_of_a_type_that_nobody_asks_for_are_refused():
    """They would silently do nothing."""
    demand = Demand((TYPE,), (1.0,))
    with pytest.raises(UnknownNameError, match="w9"):
        ModelDemand(TOY_MODEL, demand, latency=LatencyObjective(by_type={"w9": LatencyLimits(1.0)}))
    with pytest.raises(InputError, match="LatencyObjective"):
        ModelDemand(TOY_MODEL, demand, latency=LatencyLimits(1.0))  # type: ignore[arg-type]
