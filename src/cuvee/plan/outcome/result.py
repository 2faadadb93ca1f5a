"""The plan: what to rent, how to deploy it, what goes where, and how good that is proven to be."""

from dataclasses import dataclass, field

from cuvee._version import __version__
from cuvee.catalog.gpu import GpuType
from cuvee.plan.candidates.exclusions import Exclusions
from cuvee.plan.outcome.cell import Cell
from cuvee.plan.outcome.moves import Moves
from cuvee.plan.outcome.rented_machines import RentedMachines
from cuvee.plan.question.caution import StressReport
from cuvee.plan.question.problem import Objective, PlanProblem
from cuvee.plan.solver.program import StopReason, Termination
from cuvee.profile.calibrated import CalibratedReplica
from cuvee.profile.engine import EngineSettings
from cuvee.profile.measured import LENGTH_TOLERANCE, MeasuredRate
from cuvee.profile.phases import Phase
from cuvee.profile.replica import ReplicaConfig, Stage
from cuvee.profile.table import RateSource
from cuvee.units import SECONDS_PER_HOUR, TOKENS_PER_PRICE_UNIT

SCHEMA_VERSION = 1
"""Of the plan file; raised when a field changes its meaning or goes."""

ROUNDING = 1e-6
"""Relative slack of what counts as served [-]: the solver's own feasibility tolerance."""

OUTPUT_TO_INPUT_PRICE = 4.0
"""What an answer token costs against a prompt token where one price is split into two [-]; the usual convention."""


@dataclass(frozen=True)
class RentedGpus:
    """GPUs that one replica takes from one offer.

    Attributes
        as_of    Date of the price, as the offer has it; "" where it has none.
    """

    offer: int
    label: str
    gpu: str
    seller: str
    region: str
    num_gpus: int
    spot: bool
    as_of: str = ""


@dataclass(frozen=True)
class Group:
    """Equal replicas of one model: a row of the decision table.

    Attributes
        id                    "g1", "g2", ... by falling cost.
        copies                Replicas; the data-parallel degree [-].
        price_usd_per_hour    o_c: price of one replica [$/h].
        cost_usd_per_hour     copies x price [$/h].
        rate_req_per_s        Requests the group serves under this plan [req/s].
        utilization           Share of its time it is busy at the plan's rate [-].
        rented                Offers that one replica's GPUs come from.
        cells                 One per workload type it can serve.
        phase                 Which part of its requests it does.
        keeps_to              Names of the workload types it is kept for; none: any.
    """

    id: str
    model: str
    stages: tuple[Stage, ...]
    precision: str
    kv_precision: str
    spans_machines: bool
    copies: int
    price_usd_per_hour: float
    cost_usd_per_hour: float
    rate_req_per_s: float
    utilization: float
    rented: tuple[RentedGpus, ...]
    cells: tuple[Cell, ...]
    phase: Phase = Phase.BOTH
    keeps_to: tuple[str, ...] = ()

    @property
    def config(self) -> ReplicaConfig:
        """The replica configuration of one copy."""
        return ReplicaConfig(
            self.model, self.stages, self.precision, self.kv_precision, self.spans_machines, self.keeps_to
        )


@dataclass(frozen=True)
class AssignmentRow:
    """Where the requests of one workload type of one model go.

    Attributes
        demand_req_per_s    lambda: demanded rate [req/s]; a share of one request per second where no rate is known.
        shares              x: share of these requests by group id [-], sums to 1: groups that do all of a request or
                            prefill it; empty where none are served.
        load_factor         theta: rate served over demanded [-]; None where all rows share the plan's.
        decode_shares       Share of these requests by id of the group that decodes them [-]; in each place they sum
                            to what is prefilled there.
    """

    model: str
    workload: str
    input_tokens: float
    output_tokens: float
    demand_req_per_s: float
    shares: dict[str, float] = field(hash=False)
    load_factor: float | None = None
    decode_shares: dict[str, float] = field(default_factory=dict, hash=False)

    def share_of(self, group: Group) -> float:
        """Share of these requests that `group` does its part of [-]."""
        return (self.decode_shares if group.phase is Phase.DECODE else self.shares).get(group.id, 0.0)


@dataclass(frozen=True)
class RunnerUp:
    """A replica the plan rejects.

    Attributes
        worth             What it earns at the plan's marginal values, per dollar and GPU it takes [-]: those chosen
                          reach 1; one at 0.93 would pay at a price 7 % lower. From the linear relaxation.
        best_workload     The type it is best at.
        req_per_s_per_usd_per_hour   Its rate on that type over its price [req/s per $/h].
        precision         Of its weights.
        relative_error    Error band of the rate [-] (`profile/bands.py`); None where no sound public figure covers it.
        source            As of `Cell`.
    """

    model: str
    stages: tuple[Stage, ...]
    price_usd_per_hour: float
    worth: float
    best_workload: str
    req_per_s_per_usd_per_hour: float
    precision: str = "bf16"
    relative_error: float | None = None
    source: int | None = None


@dataclass(frozen=True)
class Disaggregation:
    """What prefill and decode apart bring, where the problem allows it; in the unit of the objective.

    Attributes
        chosen                Whether the plan has them apart: only where that beats every plan of whole replicas.
        ordinary_objective    Of the best plan of whole replicas that was found; None where there is none.
        ordinary_bound        Proven: no plan of whole replicas is better; None where nothing is proven.
        objective             Of the best plan that was found with both allowed; None where that is the ordinary one.
        bound                 Proven: no plan with both allowed is better; None where nothing is proven.
        gain                  By how much of `ordinary_objective` the best plan is better [-]; None without either.
    """

    chosen: bool
    ordinary_objective: float | None
    ordinary_bound: float | None
    objective: float | None
    bound: float | None
    gain: float | None


@dataclass(frozen=True)
class PlanInputs:
    """Everything the plan was made from; `check` needs nothing else but the GPU catalogue.

    Attributes
        throughput_sources  Where rates of all candidates come from, a line for each, which begins with its provider.
        rate_sources        Where the rates come from that the plan states: provider, source and date.
        measured_rates      Lines of throughput tables that speak of the plan's replicas.
        length_tolerance    Widest gap to their mean lengths at which a workload is the same one [-].
        calibrated          Constants fitted to measured points that speak of the plan's replicas.
        gpus                GPU types on offer that are not those of the catalogue.
    """

    problem: PlanProblem
    engine: EngineSettings
    network_gb_per_s: float
    throughput_sources: tuple[str, ...] = ()
    scenario: str = ""
    measured_rates: tuple[MeasuredRate, ...] = ()
    length_tolerance: float = LENGTH_TOLERANCE
    calibrated: tuple[CalibratedReplica, ...] = ()
    gpus: tuple[GpuType, ...] = ()
    rate_sources: tuple[RateSource, ...] = ()

    def source_of(self, rate: "Cell | RunnerUp") -> RateSource | None:
        """Where a rate of the plan comes from; None in older files, and where its index is of no source."""
        index = rate.source
        return self.rate_sources[index] if index is not None and 0 <= index < len(self.rate_sources) else None


@dataclass(frozen=True)
class Loss:
    """What is left when one thing the plan must stand the loss of is gone.

    Attributes
        kind, name     E.g. "zone", "runpod EU-1"; see `cuvee.plan.question.risk.Domain`.
        kept           Share of what the plan serves [-], or of the demand where its rate is fixed; above 1 all of it.
        asked          Share that was asked for [-].
    """

    kind: str
    name: str
    kept: float
    asked: float


def makespan_s(problem: PlanProblem, load_factor: float) -> float:
    """T: seconds until the last model has served its requests at `load_factor` times the demanded rates [s]."""
    return max(
        entry.demand.total_requests / (load_factor * sum(rates))
        for entry, rates in zip(problem.models, problem.rates_req_per_s, strict=True)
    )


@dataclass(frozen=True)
class Plan:
    """Result of `plan`.

    Attributes
        termination           What the figures may claim; without a plan (infeasible, nothing_found) groups are empty.
        objective             Value of what was optimised: req/s for throughput; $/h for cost, with what the moves
                              from the current fleet cost, spread over their horizon.
        bound                 Proven: no plan is better than this, same unit; None where nothing is proven.
        gap                   |bound - objective| / |objective| [-]; None without a plan.
        rate_req_per_s        Requests a second the fleet sustains in the demand's mix.
        makespan_s            T: seconds to serve `num_requests` at that rate [s], of the slowest model where they state
                              rates of their own; None without a plan.
        cost_usd_per_hour     Money, idle GPUs of whole machines included [$/h].
        worst_draw_req_per_s  Rate sustained in the worst of the draws that the plan was asked to be robust to [req/s],
                              what throughput then optimises; None where it was asked for none.
        stress                What it serves under draws of errors and losses, where they were asked for.
        excluded              Pairs that miss a latency limit even when idle; None without limits.
        moves                 The way to it from what runs now; None where nothing does.
        losses                What each loss leaves that the plan must stand, of what it rents from.
        stopped_by            What ended the search early; None where it ended by itself.
        message               Why there is no plan and the smallest change that gives one; "" with a plan.
        disaggregation        What prefill and decode apart bring; None where the problem does not allow them.
    """

    termination: Termination
    objective_name: Objective
    objective: float
    bound: float | None
    gap: float | None
    rate_req_per_s: float
    num_requests: float
    makespan_s: float | None
    cost_usd_per_hour: float
    groups: tuple[Group, ...]
    assignment: tuple[AssignmentRow, ...]
    machines: tuple[RentedMachines, ...]
    runners_up: tuple[RunnerUp, ...]
    num_candidates_generated: int
    num_candidates: int
    solve_seconds: float
    inputs: PlanInputs
    message: str = ""
    losses: tuple[Loss, ...] = ()
    worst_draw_req_per_s: float | None = None
    stopped_by: StopReason | None = None
    stress: StressReport | None = None
    excluded: Exclusions | None = None
    disaggregation: Disaggregation | None = None
    moves: Moves | None = None
    schema_version: int = SCHEMA_VERSION
    cuvee_version: str = __version__

    @property
    def has_plan(self) -> bool:
        """Whether there is a fleet to rent."""
        return bool(self.groups)

    @property
    def misses_draws(self) -> bool:
        """Whether some draw that it was to withstand is not served: the search was stopped before there was a plan for
        all of them, and this one is by the estimates.
        """
        worst = self.worst_draw_req_per_s
        if worst is None or self.objective_name is not Objective.COST or not self.groups:
            return False
        return worst < self.served_req_per_s * (1 - ROUNDING)

    @property
    def gpu_counts(self) -> dict[str, int]:
        """GPUs of each type over all groups [-]."""
        counts: dict[str, int] = {}
        for group in self.groups:
            for gpu, count in group.config.gpu_counts.items():
                counts[gpu] = counts.get(gpu, 0) + count * group.copies
        return counts

    @property
    def served_req_per_s(self) -> float:
        """Requests a second the fleet is paid to serve [req/s]: the demand where it is known, else what it sustains."""
        if self.objective_name is Objective.COST:
            return sum(row.demand_req_per_s for row in self.assignment)
        return self.rate_req_per_s

    def load_factor_of(self, row: AssignmentRow) -> float:
        """theta of one row of the assignment [-]."""
        return self.load_factor if row.load_factor is None else row.load_factor

    @property
    def load_factor(self) -> float:
        """theta: sustained rate over demanded rate [-], over all requests; 0 without a plan."""
        demanded = sum(row.demand_req_per_s for row in self.assignment)
        return self.rate_req_per_s / demanded if demanded else 0.0

    @property
    def objective_unit(self) -> str:
        """Of the objective and the bound: requests as their models weigh, money with that of the moves."""
        problem = self.inputs.problem
        if self.objective_name is Objective.THROUGHPUT:
            return "weighted req/s" if any(weight != 1 for weight in problem.aim.weights.values()) else "req/s"
        return "$/h" if problem.current is None else "$/h with its moves"

    @property
    def usd_per_1000_requests(self) -> float:
        """Money per thousand requests served [$]."""
        return self.cost_usd_per_hour / SECONDS_PER_HOUR / self.served_req_per_s * 1000

    def tokens_per_request(self) -> tuple[float, float]:
        """Mean prompt and answer length over the demand [tokens]."""
        total = sum(row.demand_req_per_s for row in self.assignment) or 1.0
        inputs = sum(row.demand_req_per_s * row.input_tokens for row in self.assignment) / total
        outputs = sum(row.demand_req_per_s * row.output_tokens for row in self.assignment) / total
        return inputs, outputs

    def deployment_of(self, config: ReplicaConfig) -> str:
        """How a replica is split over its GPUs, e.g. "TP2 PP2", with its precision where the model may have several.

        Profiles of a model without a shape do not say.
        """
        entry = next(each for each in self.inputs.problem.models if each.model.name == config.model)
        split = config.parallel_label if entry.model.shape_known else "as profiled"
        return f"{split} {config.precision}" if len(entry.precisions) > 1 else split

    def deployed(self, group: Group) -> str:
        """Deployment of the replicas of `group`, and the phase where they do one alone, e.g. "TP2, decode"."""
        phase = "" if group.phase is Phase.BOTH else f", {group.phase}"
        return self.deployment_of(group.config) + phase

    @property
    def lengths_known(self) -> bool:
        """Whether every workload type says how long its requests are."""
        return all(row.input_tokens > 0 for row in self.assignment)

    def usd_per_million_tokens(self) -> tuple[float, float, float]:
        """Cost of a million prompt tokens, answer tokens and tokens of either kind [$], at the served rate.

        0 where the lengths of requests are not known.
        """
        if not self.lengths_known:
            return 0.0, 0.0, 0.0
        inputs, outputs = self.tokens_per_request()
        per_second = self.cost_usd_per_hour / SECONDS_PER_HOUR
        blended = per_second / (self.served_req_per_s * (inputs + outputs)) * TOKENS_PER_PRICE_UNIT
        weighted = self.served_req_per_s * (inputs + OUTPUT_TO_INPUT_PRICE * outputs)
        price_input = per_second / weighted * TOKENS_PER_PRICE_UNIT
        return price_input, OUTPUT_TO_INPUT_PRICE * price_input, blended

    def summary(self) -> str:
        """One line: what is rented, how fast it is, what it costs, how well that is proven."""
        if not self.has_plan:
            return f"{self.termination}: {self.message}"
        fleet = ", ".join(f"{count}x {gpu}" for gpu, count in self.gpu_counts.items())
        gap = "not proven" if self.gap is None else f"{self.gap:.1e}"
        return (
            f"{self.termination}: {fleet}; {self.rate_req_per_s:.4g} req/s for {self.cost_usd_per_hour:.2f} $/h, "
            f"gap {gap}"
        )
