"""The mixed-integer program, and the solver behind a door of one function.

The rest of the planner never sees the solver: a `Program` of plain arrays goes in, an `Answer` comes out.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import SolverError
from cuvee.plan.problem import SearchOptions

Array = NDArray[np.float64]


class Termination(StrEnum):
    """Why the solver stopped; what a plan may claim follows from it."""

    OPTIMAL = "optimal"
    """A plan, proven within the asked gap."""
    FEASIBLE = "feasible"
    """A plan and a bound; stopped before the gap closed."""
    INFEASIBLE = "infeasible"
    """Proven: no plan meets the limits."""
    NOTHING_FOUND = "nothing_found"
    """Stopped before any plan was found; there may be one."""


@dataclass
class Program:
    """min or max c x subject to row_lower <= A x <= row_upper, lower <= x <= upper, some x whole.

    Attributes
        cost, lower, upper    Shape (num_columns,).
        whole                 Which columns are integer, shape (num_columns,).
        maximize              Sense of the objective.
        row_names             One per row, e.g. "stock[A40]"; explanations and LP files speak in them.
    """

    cost: Array
    lower: Array
    upper: Array
    whole: NDArray[np.bool_]
    maximize: bool
    row_names: list[str] = field(default_factory=list)
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)
    row_starts: list[int] = field(default_factory=lambda: [0])
    columns: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)

    def add_row(
        self,
        name: str,
        columns: NDArray[np.int64],
        values: Array | float,
        *,
        lower: float = -np.inf,
        upper: float = np.inf,
    ) -> None:
        """Add lower <= sum_j values_j x_columns_j <= upper."""
        self.row_names.append(name)
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        self.columns.append(columns)
        self.values.append(np.broadcast_to(np.asarray(values, dtype=float), columns.shape))
        self.row_starts.append(self.row_starts[-1] + len(columns))

    def relaxed(self) -> "Program":
        """The linear relaxation; shares the rows."""
        return Program(
            self.cost, self.lower, self.upper, np.zeros_like(self.whole), self.maximize,
            self.row_names, self.row_lower, self.row_upper, self.row_starts, self.columns, self.values,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Answer:
    """What the solver says.

    Attributes
        termination    See Termination.
        x              Column values, shape (num_columns,); empty without a plan.
        objective      c x [-]; NaN-free: 0 without a plan.
        bound          Proven bound on the objective; +-inf where there is none.
        row_dual       Shadow price of each row, linear programs only; empty otherwise.
        seconds        Solver wall time [s].
    """

    termination: Termination
    x: Array
    objective: float
    bound: float
    row_dual: Array
    seconds: float

    @property
    def gap(self) -> float:
        """|bound - objective| / |objective| [-]; inf without a plan."""
        return abs(self.bound - self.objective) / max(abs(self.objective), 1e-12) if len(self.x) else np.inf


def solve(program: Program, options: SearchOptions, *, start: Array | None = None) -> Answer:
    """Solve `program` with HiGHS.

    Parameters
        options    Gap, time limit, seed and threads.
        start      Values of the first columns, the whole ones, of a known plan to start from.
    Raises         SolverError: the solver failed for a reason that is not the program's.
                   KeyboardInterrupt: Ctrl-C before there was a plan. With one it is returned, as `feasible`.
    """
    import highspy  # the solver costs 0.1 s to import: only those who solve pay

    highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.silent()
    _set_options(highs, options)
    highs.passModel(_to_highs(highspy, program))
    if start is not None:
        highs.setSolution(len(start), np.arange(len(start), dtype=np.int32), start)
    status, interrupted = _run_interruptibly(highs)
    if status == highspy.HighsStatus.kError:
        raise SolverError(
            f"the solver reported an error on {len(program.cost)} columns and {len(program.row_names)} rows\n"
            "  expected: an answer\n  to do: report it, with the scenario that caused it"
        )
    answer = _answer(highspy, highs, program)
    if interrupted and answer.termination is not Termination.OPTIMAL and not (program.whole.any() and len(answer.x)):
        raise KeyboardInterrupt
    return answer


def _run_interruptibly(highs: Any) -> tuple[Any, bool]:
    """Run in the solver's own thread, so that Ctrl-C reaches it as a request to stop with what it has.

    Returns         the solver's status, and whether it was asked to stop.
    """
    highs.HandleUserInterrupt = True
    highs.startSolve()
    interrupted = False
    while True:
        try:
            finished, status = highs.wait(0.1)
        except KeyboardInterrupt:
            highs.cancelSolve()
            interrupted = True
            continue
        if finished:
            return status, interrupted


def _set_options(highs: Any, options: SearchOptions) -> None:
    settings: dict[str, object] = {
        "mip_rel_gap": options.relative_gap,
        "mip_abs_gap": 0.0,
        # Starting over after the root costs half the time of these small programs and rarely pays.
        "mip_allow_restart": False,
        "random_seed": options.seed,
        "threads": options.threads,
    }
    if options.time_limit_s is not None:
        settings["time_limit"] = float(options.time_limit_s)
    for name, value in settings.items():
        highs.setOptionValue(name, value)
    if options.threads:
        # All solves of a process share one pool, which refuses another number of threads than it was made with.
        highs.resetGlobalScheduler(True)


def _to_highs(highspy: Any, program: Program) -> Any:
    model = highspy.HighsLp()
    model.num_col_ = len(program.cost)
    model.num_row_ = len(program.row_names)
    model.sense_ = highspy.ObjSense.kMaximize if program.maximize else highspy.ObjSense.kMinimize
    model.col_cost_ = program.cost
    model.col_lower_ = program.lower
    model.col_upper_ = program.upper
    model.row_lower_ = np.array(program.row_lower)
    model.row_upper_ = np.array(program.row_upper)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.array(program.row_starts)
    model.a_matrix_.index_ = np.concatenate(program.columns)
    model.a_matrix_.value_ = np.concatenate(program.values)
    kinds = highspy.HighsVarType
    model.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in program.whole]
    return model


def _answer(highspy: Any, highs: Any, program: Program) -> Answer:
    info = highs.getInfo()
    status = highs.getModelStatus()
    statuses = highspy.HighsModelStatus
    seconds = float(highs.getRunTime())
    empty = np.zeros(0)
    unbounded = np.inf if program.maximize else -np.inf
    if status in (statuses.kInfeasible, statuses.kUnboundedOrInfeasible):
        return Answer(Termination.INFEASIBLE, empty, 0.0, -unbounded, empty, seconds)
    has_plan = info.primal_solution_status == 2  # kSolutionStatusFeasible
    mixed = bool(program.whole.any())
    if not has_plan:
        bound = float(info.mip_dual_bound) if mixed else unbounded
        return Answer(Termination.NOTHING_FOUND, empty, 0.0, bound, empty, seconds)
    solution = highs.getSolution()
    objective = float(info.objective_function_value)
    bound = float(info.mip_dual_bound) if mixed else objective
    proven = status == statuses.kOptimal
    return Answer(
        Termination.OPTIMAL if proven else Termination.FEASIBLE,
        np.array(solution.col_value),
        objective,
        bound,
        empty if mixed else np.array(solution.row_dual),
        seconds,
    )
