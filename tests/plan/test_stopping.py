"""A search that ends early: what ended it is told apart, and the best plan so far is not lost."""

import sys
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cuvee.errors import SolverError
from cuvee.plan import planner
from cuvee.plan.check.check import check
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.formulation import rough_load_factor
from cuvee.plan.question.current_fleet import MoveOptions
from cuvee.plan.question.problem import Objective, SearchOptions
from cuvee.plan.question.risk import Risk
from cuvee.plan.reading import read_plan
from cuvee.plan.scenario.resolve import prepare_scenario
from cuvee.plan.scenario.scenario import parse_scenario
from cuvee.plan.search import pairs, pricing, projection, search
from cuvee.plan.search.best_so_far import rough_bound
from cuvee.plan.search.pricing import Pricing, price
from cuvee.plan.solver import program
from cuvee.plan.solver.program import Program, StopReason, Termination, solve
from cuvee.report.plan_console import print_plan
from tests.plan.brute_force import best_value
from tests.plan.generated import generate
from tests.plan.instances import (
    WORKED_RATES,
    check_tiny,
    demand,
    offer,
    prepare_tiny,
    problem,
    solve_tiny,
    worked_problem,
)
from tests.plan.moving import running

SOLVING = ("search", "pricing", "projection", "best_so_far", "targets")
"""Modules whose calls of the solver make up a search."""


def knapsack(num_columns=60, *, upper=1.0):
    """Of many similar things those that fit: the solver needs a while for the proof."""
    rng = np.random.default_rng(0)
    weight = rng.integers(10_000, 20_000, num_columns).astype(float)
    hard = Program.of_size(num_columns)
    hard.maximize = True
    hard.whole[:] = True
    hard.upper[:] = upper
    hard.cost = weight + rng.integers(0, 3, num_columns)
    hard.add_row("weight", "", np.arange(num_columns), weight, upper=float(weight.sum() // 2) + 0.5)
    hard.add_row("other", "", np.arange(num_columns), weight[::-1].copy(), upper=float(weight.sum() // 2) + 0.5)
    return hard


def test_a_time_limit_is_told():
    """With a bound that still holds, and what was found by then."""
    answer = solve(knapsack(), SearchOptions(relative_gap=0.0, time_limit_s=0.2))
    assert answer.termination in (Termination.FEASIBLE, Termination.NOTHING_FOUND)
    assert answer.stopped_by is StopReason.TIME_LIMIT
    assert not len(answer.x) or answer.objective <= answer.bound + 1e-6


def test_a_program_without_end_is_numerical_trouble():
    """Ours always have an end; one that has none was built of numbers that went wrong."""
    endless = Program.of_size(1)
    endless.maximize = True
    endless.cost[:] = 1.0
    answer = solve(endless, SearchOptions())
    assert answer.stopped_by is StopReason.NUMERICAL_TROUBLE
    assert answer.termination is not Termination.OPTIMAL
    assert answer.bound == np.inf


def test_what_ended_by_itself_was_not_stopped():
    """Neither an optimum nor the proof that there is none."""
    easy = knapsack(3)
    assert solve(easy, SearchOptions()).stopped_by is None
    easy.add_row("never", "", [0, 1, 2], 1.0, lower=9.0)
    answer = solve(easy, SearchOptions())
    assert (answer.termination, answer.stopped_by, answer.bound) == (Termination.INFEASIBLE, None, -np.inf)


@pytest.mark.parametrize(
    ("status", "termination", "reason"),
    [
        ("kOptimal", Termination.OPTIMAL, None),
        ("kTimeLimit", Termination.FEASIBLE, StopReason.TIME_LIMIT),
        ("kInterrupt", Termination.FEASIBLE, StopReason.INTERRUPTED),
        ("kMemoryLimit", Termination.FEASIBLE, StopReason.OUT_OF_MEMORY),
        ("kUnknown", Termination.FEASIBLE, StopReason.NUMERICAL_TROUBLE),
        ("kSolveError", Termination.FEASIBLE, StopReason.NUMERICAL_TROUBLE),
        ("kUnbounded", Termination.FEASIBLE, StopReason.NUMERICAL_TROUBLE),
        ("kInfeasible", Termination.INFEASIBLE, None),
    ],
)
@pytest.mark.parametrize("found", [True, False])
def test_every_status_of_the_solver(status, termination, reason, found):
    """With values that keep the rows there is a plan; without them there is none, and an "optimum" is trouble."""
    highs = SimpleNamespace(
        getInfo=lambda: SimpleNamespace(
            primal_solution_status=2 if found else 1, mip_dual_bound=9.0, objective_function_value=7.0
        ),
        getModelStatus=lambda: getattr(highspy.HighsModelStatus, status),
        getRunTime=lambda: 0.5,
        getSolution=lambda: SimpleNamespace(col_value=[1.0] * 3, row_dual=[0.0]),
    )
    answer = program._answer(highspy, highs, knapsack(3))
    if termination is Termination.INFEASIBLE or found:
        assert (answer.termination, answer.stopped_by) == (termination, reason)
    else:
        expected = reason or StopReason.NUMERICAL_TROUBLE
        assert (answer.termination, answer.stopped_by) == (Termination.NOTHING_FOUND, expected)
    assert len(answer.x) == (3 if found and termination is not Termination.INFEASIBLE else 0)


def test_memory_that_runs_out_is_told(monkeypatch):
    """Not an error of the program."""
    monkeypatch.setattr(program, "_to_highs", lambda *_: (_ for _ in ()).throw(MemoryError))
    answer = solve(knapsack(3), SearchOptions())
    assert (answer.termination, answer.stopped_by) == (Termination.NOTHING_FOUND, StopReason.OUT_OF_MEMORY)


@pytest.fixture
def slow(monkeypatch):
    """A clock by which each step of the planner takes 30 s, and the time limits that its searches begin with."""
    now, limits = [0.0], []
    search_standing = planner._search_standing

    def tick():
        now[0] += 30.0
        return now[0]

    def spied(prepared, known):
        limits.append(prepared.problem.search.time_limit_s)
        return search_standing(prepared, known)

    monkeypatch.setattr(planner, "perf_counter", tick)
    monkeypatch.setattr(planner, "_search_standing", spied)
    return limits


def moving(time_limit_s):
    """One t1 that runs, where a t2 would be cheaper if moves cost nothing."""
    asked = problem(
        [offer("t1", 4.0), offer("t2", 3.0)],
        [demand(1.0, rate_req_per_s=1.0)],
        objective=Objective.COST,
        search=SearchOptions(time_limit_s=time_limit_s),
    )
    return solve_tiny(running(asked, {"t1": 1}, MoveOptions(horizon_h=2.0)), {"t1": [1.0], "t2": [1.0]})


@pytest.mark.parametrize(("limit_s", "limits"), [(None, [None, None]), (100.0, [100.0, 40.0]), (50.0, [50.0])])
def test_free_moves_take_what_is_left_of_the_time(slow, limit_s, limits):
    """Of 100 s the plan takes 60, by this clock; of 50 s nothing is left, and the plan says so."""
    plan = moving(limit_s)
    assert slow == limits
    assert plan.moves is not None
    assert (plan.moves.free is None) == (len(limits) == 1)
    written = StringIO()
    print_plan(plan, [], Console(width=300, file=written))
    assert ("if moves cost nothing: not found out" in written.getvalue()) == (len(limits) == 1)
    if len(limits) == 1:
        assert plan.moves.free_stopped_by is StopReason.TIME_LIMIT


@pytest.mark.parametrize(("limit_s", "limits"), [(None, [None, None]), (200.0, [200.0, 80.0]), (100.0, [100.0])])
def test_whether_risk_rules_out_is_tried_in_what_is_left(slow, limit_s, limits):
    """One zone, whose loss leaves nothing: four steps by this clock, then what is left, or the message says so."""
    asked = problem(
        [offer("t1", 1.0)],
        [demand(1.0, rate_req_per_s=1.0)],
        objective=Objective.COST,
        search=SearchOptions(time_limit_s=limit_s),
    )
    plan = solve_tiny(replace(asked, risk=Risk(keep_after_loss={"zone": 0.5})), {"t1": [1.0]})
    assert slow == limits
    assert plan.termination is Termination.INFEASIBLE
    said = "was not found out before the search was stopped" if len(limits) == 1 else "whose loss leaves nothing"
    assert said in plan.message


def test_repairs_end_in_time():
    """Copies are added to what serves too little until the deadline, not beyond it."""
    asked = problem([offer("t1", 1.0, 9)], [demand(1.0, rate_req_per_s=3.0)], objective=Objective.COST)
    prepared = prepare_tiny(asked, {"t1": [1.0]})
    fleet = projection.Fleet(asked, prepared.candidates, 1.0)
    answer = solve(fleet.program.relaxed(), SearchOptions())
    assert projection._repaired(fleet, np.zeros(1), answer, np.inf).objective == pytest.approx(3.0)
    assert projection._repaired(fleet, np.zeros(1), answer, -np.inf).objective == np.inf


def nan_in_the_objective(broken):
    broken.cost[0] = np.nan


def nan_in_a_row(broken):
    broken.add_row("broken", "", [0, 1], [np.nan, 1.0], upper=1.0)


def nan_in_a_side(broken):
    broken.row_upper[0] = np.nan


def column_that_is_not_there(broken):
    broken.add_row("broken", "", [0, 7], 1.0, upper=1.0)


@pytest.mark.parametrize("spoil", [nan_in_the_objective, nan_in_a_row, nan_in_a_side, column_that_is_not_there])
def test_a_program_that_is_none_is_a_bug(spoil):
    """Refused with its size; never solved as if the number were 0."""
    broken = knapsack(3)
    spoil(broken)
    with pytest.raises(SolverError, match="refuses a program of 3 columns"):
        solve(broken, SearchOptions())


def test_no_solver_says_what_to_install(monkeypatch, worked):
    """In three parts, wherever it is needed first."""
    monkeypatch.setitem(sys.modules, "highspy", None)
    for need in (lambda: solve(knapsack(3), SearchOptions()), lambda: plan_prepared(worked)):
        with pytest.raises(SolverError) as error:
            need()
        assert "there is no solver: highspy cannot be imported" in str(error.value)
        assert "to do: pip install --force-reinstall highspy" in str(error.value)


class Stopper:
    """A solver that lets a number of calls through; the next is interrupted, or it and all after it fail.

    Interrupted `late`, a program of whole copies still gives what it has, as the true one does.
    """

    def __init__(self, monkeypatch, calls, *, trouble=False, late=False):
        self.left, self.trouble, self.late, self.stopped = calls, trouble, late, False
        for name in SOLVING:
            monkeypatch.setattr(f"cuvee.plan.search.{name}.solve", self.solve)

    def solve(self, asked, options, **keywords):
        """As `cuvee.plan.solver.program.solve`."""
        self.left -= 1
        if self.left == -1:
            self.stopped = True
            if self.late and asked.whole.any():
                answer = solve(asked, options, **keywords)
                if len(answer.x):
                    return replace(answer, termination=Termination.FEASIBLE, stopped_by=StopReason.INTERRUPTED)
            if not self.trouble:
                raise KeyboardInterrupt
        if self.left < 0 and self.trouble and asked.whole.any():
            return program._no_answer(asked, StopReason.NUMERICAL_TROUBLE, 0.0)
        return solve(asked, options, **keywords)


SMALL = {"search": {"max_pipeline_stages": 2, "max_mixed_stages": 0}, "offers": "paper-avail-2", "mix": "trace-1"}
QUESTIONS = {
    "throughput": {**SMALL, "budget_usd_per_hour": 20.0},
    "cost": {**SMALL, "objective": "cost", "rate_req_per_s": 6.0},
    "two models": {**SMALL, "budget_usd_per_hour": 9.0, "models": ["llama-3-70b", "llama-3-8b"]},
    "cost of two models": {
        **SMALL,
        "objective": "cost",
        "rate_req_per_s": 3.0,
        "models": ["llama-3-70b", "llama-3-8b"],
    },
}
"""Of some fifty candidates, solved in a blink."""


@pytest.fixture
def small_core(monkeypatch):
    """A core so small that every step of the search has something to do."""
    monkeypatch.setattr(search, "CORE_SIZE", 6)


@pytest.fixture(scope="module")
def questions():
    return {name: prepare_scenario(parse_scenario(record, where="test")) for name, record in QUESTIONS.items()}


def stopped_at_some_calls(prepared, monkeypatch, **how):
    """Plans of searches stopped at the first, second, third, fifth, ... call of the solver, until one ends itself."""
    plans: list[Plan] = []
    calls, following = 0, 1
    while True:
        with monkeypatch.context() as patched:
            stopper = Stopper(patched, calls, **how)
            plan = plan_prepared(prepared)
        if not stopper.stopped:
            return plans
        plans.append(plan)
        calls, following = following, calls + following + 1


def assert_no_better_than_proven(plan, best):
    sign = 1 if plan.objective_name is Objective.THROUGHPUT else -1
    assert plan.bound is not None
    assert sign * (plan.bound - best) >= -2e-6 * best
    assert sign * (best - plan.objective) >= -2e-4 * best
    assert plan.gap == pytest.approx(abs(plan.bound - plan.objective) / plan.objective)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("name", "way"), [*((name, "pairs") for name in QUESTIONS), ("throughput", "copies"), ("cost", "copies"),
                      ("cost of two models", "kinds")]
)  # fmt: skip
def test_ctrl_c_at_any_call_of_the_solver_leaves_a_plan(small_core, questions, monkeypatch, name, way, late):
    """From the first on: it keeps every limit, and its bound holds for the optimum."""
    prepared = questions[name]
    best = plan_prepared(prepared).objective
    if way == "copies":
        monkeypatch.setattr(search, "MOST_PAIRS", 0)
    if way == "kinds":
        monkeypatch.setattr(search, "MOST_TOLD_APART", 0)
        monkeypatch.setattr(search, "LEAST_ALIKE", 0)
    plans = stopped_at_some_calls(prepared, monkeypatch, late=late)
    assert len(plans) >= 3
    for plan in plans:
        assert plan.has_plan
        assert plan.termination in (Termination.FEASIBLE, Termination.OPTIMAL)
        assert (plan.stopped_by is StopReason.INTERRUPTED) is (plan.termination is Termination.FEASIBLE)
        assert check(plan).ok
        assert_no_better_than_proven(plan, best)
    gaps = [plan.gap for plan in plans]
    assert gaps[-1] <= gaps[0]


def test_numerical_trouble_leaves_the_plan_before_it(small_core, questions, monkeypatch):
    """Or a greedy one, where the solver never found any."""
    best = plan_prepared(questions["throughput"]).objective
    plans = stopped_at_some_calls(questions["throughput"], monkeypatch, trouble=True)
    assert {plan.stopped_by for plan in plans} == {StopReason.NUMERICAL_TROUBLE}
    for plan in plans:
        assert plan.termination is Termination.FEASIBLE
        assert check(plan).ok
        assert_no_better_than_proven(plan, best)


@pytest.mark.parametrize(
    "place",
    ["search._Search._possible", "search._Search._core", "search._Search._proven", "search._priced",
     "pricing._Relaxation.joining"],
)  # fmt: skip
def test_ctrl_c_between_two_programs(small_core, questions, monkeypatch, place):
    """While arrays are computed, no solver is there to take it."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"cuvee.plan.search.{place}", interrupted)
    plan = plan_prepared(questions["throughput"])
    assert plan.has_plan
    assert plan.stopped_by is StopReason.INTERRUPTED
    assert check(plan).ok


def test_a_second_ctrl_c_goes_on(questions, monkeypatch):
    """While the greedy plan is made, nothing holds it up."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cuvee.plan.search.search._priced", interrupted)
    monkeypatch.setattr("cuvee.plan.search.best_so_far.greedy_copies", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plan_prepared(questions["throughput"])


def test_ctrl_c_while_the_plan_is_read_loses_nothing(worked, monkeypatch):
    """It is read again, and is as optimal as it was."""
    calls = []

    def once_interrupted(*arguments):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return read_plan(*arguments)

    monkeypatch.setattr(planner, "read_plan", once_interrupted)
    plan = plan_prepared(worked)
    assert (plan.termination, plan.stopped_by) == (Termination.OPTIMAL, None)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_time_limit_that_leaves_no_time(small_core, questions, name):
    """A plan all the same, with a bound from prices or from the relaxation."""
    prepared = questions[name]
    best = plan_prepared(prepared).objective
    hurried = replace(prepared.problem, search=replace(prepared.problem.search, time_limit_s=1e-6))
    plan = plan_prepared(replace(prepared, problem=hurried))
    assert (plan.termination, plan.stopped_by) == (Termination.FEASIBLE, StopReason.TIME_LIMIT)
    assert check(plan).ok
    assert_no_better_than_proven(plan, best)


def test_nothing_found_says_why():
    """No replica serves both types, so greedy has none either: the reason and the remedy are in the message."""
    asked = problem(
        [offer("t1", 1.0, 1), offer("t2", 1.0, 1)], [demand(1.0, 1.0)], budget=2.0,
        search=SearchOptions(time_limit_s=1e-6),
    )  # fmt: skip
    prepared = prepare_tiny(asked, {"t1": [1.0, 0.0], "t2": [0.0, 1.0]})

    def message(reason):
        return planner._without_plan(prepared, Termination.NOTHING_FOUND, 1.5, explain=True, reason=reason)

    assert "the time limit of 1e-06 s ended the search" in message(StopReason.TIME_LIMIT).message
    assert "--time-limit" in message(StopReason.TIME_LIMIT).message
    assert "interrupted after 1.5 s" in message(StopReason.INTERRUPTED).message
    assert "numerical trouble" in message(StopReason.NUMERICAL_TROUBLE).message
    assert "memory" in message(StopReason.OUT_OF_MEMORY).message
    assert message(StopReason.INTERRUPTED).stopped_by is StopReason.INTERRUPTED


def test_the_rough_bound_by_hand(worked):
    """Per dollar, TP over t2 serves 0.6 of w1, t2 0.45 of w2: 0.8 / 0.6 + 0.2 / 0.45 $/h for a req/s of the mix."""
    unit = rough_load_factor(worked.problem, worked.candidates)
    assert rough_bound(worked.problem, worked.candidates, unit) == pytest.approx(1.0)
    assert unit == pytest.approx(8.0 / (0.8 / 0.6 + 0.2 / 0.45))
    cheapest = worked_problem(None, objective=Objective.COST, demand=demand(80.0, 20.0, rate_req_per_s=2.0))
    prepared = prepare_tiny(cheapest, WORKED_RATES)
    assert rough_bound(cheapest, prepared.candidates, 1.0) == pytest.approx(2 * (0.8 / 0.6 + 0.2 / 0.45))


@settings(max_examples=30, deadline=None)
@given(st.integers(10**6, 10**9), st.integers(0, 3))
def test_a_stopped_plan_keeps_its_word(seed, calls):
    """Whatever is returned passes `check`, and enumeration finds nothing beyond its bound."""
    asked, rates = generate(seed)
    prepared = prepare_tiny(asked, rates)
    best = best_value(asked, prepared.candidates)
    with pytest.MonkeyPatch.context() as patched:
        Stopper(patched, calls)
        plan = plan_prepared(prepared, explain=False)
    if not plan.has_plan:
        assert plan.termination is Termination.NOTHING_FOUND or best is None
        return
    assert check_tiny(plan).ok
    assert best is not None
    assert_no_better_than_proven(plan, best)


def test_prices_of_a_stopped_round_hold(questions, monkeypatch):
    """Stretched until no candidate is underpaid, they bound what the whole relaxation reaches."""
    asked, candidates = questions["throughput"].problem, questions["throughput"].candidates
    unit, first = rough_load_factor(asked, candidates), pairs.first_pairs(candidates)
    fewest = first[0] == first[0][0]
    monkeypatch.setattr(pricing, "ALL_AT_ONCE", 0)
    monkeypatch.setattr(pricing, "JOIN_PER_WORKLOAD", 1)
    monkeypatch.setattr(pricing, "first_pairs", lambda _: (first[0][fewest], first[1][fewest]))
    kept: list[Pricing] = []
    whole = price(asked, candidates, unit, keep=kept.append, by_offer=True)
    assert isinstance(whole, Pricing)
    assert len(kept) > 2
    assert kept[0].objective > whole.objective * 1.01
    assert all(each.objective >= whole.objective * (1 - 1e-9) for each in kept)
    assert whole.objective == pytest.approx(kept[-1].objective)
