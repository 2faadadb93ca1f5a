"""What the planner is asked: models and their demand, offers, limits and the objective."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Real
from types import MappingProxyType

from cuvee.catalog.gpus import find_gpu, load_gpu_types
from cuvee.catalog.model import KV_BYTES, WEIGHT_BYTES, ModelSpec, check_precision
from cuvee.catalog.offer import OfferSet
from cuvee.errors import InputError, UnknownNameError
from cuvee.plan.question.aim import Aim, Serve
from cuvee.plan.question.caution import Caution
from cuvee.plan.question.current_fleet import CurrentFleet
from cuvee.plan.question.read_only import GpuCaps, MoneyCaps
from cuvee.plan.question.risk import Risk
from cuvee.workload.latency_limits import LatencyObjective
from cuvee.workload.records import Demand

SET_BUDGET = "give a budget in $/h, e.g. --budget 30"
PRECISIONS = "name them once each, e.g. --precision bf16,fp8"
WITHOUT_PHASES = "leave out --disaggregate"
LIST_OFFERS = "list the offers with: cuvee offers"


class Objective(StrEnum):
    """What is optimised."""

    THROUGHPUT = "throughput"
    """Most requests a second, in the demand's mix, within the budget."""
    COST = "cost"
    """Least $/h that serves the demand's arrival rate."""


@dataclass(frozen=True)
class ModelDemand:
    """One model to serve, at which precision, and what is asked of it.

    Attributes
        precision       Weights; several where each replica may take any of them: all answer equally well, as far as
                        the planner knows. A tuple of one stands for itself.
        kv_precision    Cache, of every replica.
        latency         How long its requests may take; None: as long as it does.
    """

    model: ModelSpec
    demand: Demand
    precision: str | tuple[str, ...] = "bf16"
    kv_precision: str = "bf16"
    latency: LatencyObjective | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, ModelSpec) or not isinstance(self.demand, Demand):
            raise InputError(
                f"ModelDemand of {self.model!r:.60} and {self.demand!r:.60}",
                expected="a ModelSpec and a Demand",
                remedy="make them with cuvee.load_model and cuvee.load_mix or cuvee.classify",
            )
        self._check_precisions()
        check_precision(self.kv_precision, KV_BYTES)
        self._check_latency()

    def _check_latency(self) -> None:
        """Limits under the name of a type that nobody asks for would silently do nothing."""
        if self.latency is None:
            return
        if not isinstance(self.latency, LatencyObjective):
            raise InputError(
                f"latency = {self.latency!r:.80}",
                expected="a record of LatencyObjective",
                remedy="make it with cuvee.workload.LatencyObjective",
            )
        types = [kind.name for kind in self.demand.types]
        for name in sorted(set(self.latency.by_type) - set(types)):
            raise UnknownNameError(
                f"workload type in the latency limits of {self.model.name}", name, types, remedy="name one of its types"
            )

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that the weights of a replica may have, at least one."""
        return (self.precision,) if isinstance(self.precision, str) else self.precision

    def _check_precisions(self) -> None:
        if not isinstance(self.precision, str):
            several = tuple(self.precision)
            if not several or len(set(several)) < len(several):
                raise InputError(
                    f"precision = {self.precision!r:.80}",
                    expected="one or more precisions, each once",
                    remedy=PRECISIONS,
                )
            object.__setattr__(self, "precision", several if len(several) > 1 else several[0])
        for precision in self.precisions:
            check_precision(precision, WEIGHT_BYTES)
            if precision == "mxfp4" and self.model.moe is None:
                raise InputError(
                    f"precision 'mxfp4' for {self.model.name!r}, which has no experts",
                    expected="a model with experts: mxfp4 holds those alone",
                    remedy="choose fp8 or int4",
                )


@dataclass(frozen=True)
class Limits:
    """Caps beside the stock; a name not listed is not capped. The mappings are copied and cannot be changed.

    Attributes
        budget_usd_per_hour            B: most money [$/h]; None: no cap (least-cost plans only).
        max_gpus                       Most GPUs by GPU type [-].
        max_gpus_per_seller            Most GPUs by seller [-].
        max_usd_per_hour_per_gpu       Most money by GPU type [$/h].
        max_usd_per_hour_per_seller    Most money by seller [$/h].
    """

    budget_usd_per_hour: float | None = None
    max_gpus: GpuCaps = field(default_factory=dict)
    max_gpus_per_seller: GpuCaps = field(default_factory=dict)
    max_usd_per_hour_per_gpu: MoneyCaps = field(default_factory=dict)
    max_usd_per_hour_per_seller: MoneyCaps = field(default_factory=dict)

    def __post_init__(self) -> None:
        budget = self.budget_usd_per_hour
        if budget is not None and not (_is_finite(budget) and budget > 0):
            raise InputError(
                f"budget_usd_per_hour = {budget!r}", expected="a finite amount above 0 $/h", remedy=SET_BUDGET
            )
        for label in ("max_gpus", "max_gpus_per_seller", "max_usd_per_hour_per_gpu", "max_usd_per_hour_per_seller"):
            caps = dict(getattr(self, label))
            counted = label.startswith("max_gpus")
            for name, cap in caps.items():
                if not (_is_finite(cap) and cap >= 0 and (not counted or cap == int(cap))):
                    raise InputError(
                        f"{label}[{name!r}] = {cap!r}",
                        expected=f"a {'whole' if counted else 'finite'} number, 0 or more",
                    )
            object.__setattr__(self, label, MappingProxyType(caps))


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


@dataclass(frozen=True)
class SearchOptions:
    """How far the candidate search and the solver go.

    Attributes
        max_pipeline_stages    Deepest pipeline on one GPU type [-].
        max_mixed_stages       Deepest pipeline over two GPU types [-]; below 2 switches mixed pipelines off.
        relative_gap           Proven gap at which the solver stops: "optimal" means at most this [-].
        time_limit_s           Solver time at which it stops with what it has [s]; None: no limit.
        seed                   Seed of the solver's tie-breaking.
        threads                Solver threads [-]; 0: the solver's own default.
    """

    max_pipeline_stages: int = 8
    max_mixed_stages: int = 4
    relative_gap: float = 1e-4
    time_limit_s: float | None = 120.0
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.max_pipeline_stages <= 64:
            raise InputError(f"max_pipeline_stages = {self.max_pipeline_stages!r}", expected="1 to 64")
        if not 0 <= self.max_mixed_stages <= 16:
            raise InputError(f"max_mixed_stages = {self.max_mixed_stages!r}", expected="0 to 16")
        if not 0 <= self.relative_gap < 1:
            raise InputError(f"relative_gap = {self.relative_gap!r}", expected="a share in [0, 1)")
        if self.time_limit_s is not None and not self.time_limit_s > 0:
            raise InputError(f"time_limit_s = {self.time_limit_s!r}", expected="seconds above 0")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"seed = {self.seed!r}", expected="a whole number from 0 to 2147483647")
        if not 0 <= self.threads <= 1024:
            raise InputError(f"threads = {self.threads!r}", expected="0 to 1024")


@dataclass(frozen=True)
class PlanProblem:
    """Everything a plan depends on.

    Attributes
        models     One entry per model.
        offers     What can be rented.
        caution    What the plan is to withstand beyond its own estimates.
        risk       What may hang on one thing, and what its loss must leave.
        aim        What counts as served.
        current    What runs now, on offers whose stock counts what it holds; None where nothing does.
        disaggregate    Whether replicas may do prefill or decode alone, where that wins.
    """

    models: tuple[ModelDemand, ...]
    offers: OfferSet
    limits: Limits = field(default_factory=Limits)
    objective: Objective = Objective.THROUGHPUT
    search: SearchOptions = field(default_factory=SearchOptions)
    caution: Caution = field(default_factory=Caution)
    risk: Risk = field(default_factory=Risk)
    aim: Aim = field(default_factory=Aim)
    current: CurrentFleet | None = None
    disaggregate: bool = False

    def __post_init__(self) -> None:
        self._require_types()
        if not self.models:
            raise InputError("a problem without models", expected="at least one model", remedy="name one with --model")
        names = [entry.model.name for entry in self.models]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(
                f"model {repeated[0]!r} more than once", expected="each model once", remedy="leave one out"
            )
        if self.objective is Objective.THROUGHPUT and self.limits.budget_usd_per_hour is None:
            raise InputError("objective 'throughput' without a budget", expected="a budget", remedy=SET_BUDGET)
        if self.objective is Objective.COST and any(entry.demand.rate_req_per_s is None for entry in self.models):
            raise InputError(
                "objective 'cost' for a demand without an arrival rate",
                expected="requests per second to serve",
                remedy="give it with --rate, or use a trace with arrival times",
            )
        self._check_aim()
        if self.disaggregate:
            self._require_phases()
        # A cap under a name that nobody has would silently do nothing.
        offers = self.offers.offers
        _require_gpus({*self.limits.max_gpus, *self.limits.max_usd_per_hour_per_gpu}, {offer.gpu for offer in offers})
        sellers = {offer.seller for offer in offers}
        for name in sorted({*self.limits.max_gpus_per_seller, *self.limits.max_usd_per_hour_per_seller} - sellers):
            raise UnknownNameError("seller in limits", name, sellers, remedy=LIST_OFFERS)
        for group in self.current.groups if self.current else ():
            taken: dict[str, int] = {}
            for index, count in group.gpus_per_offer:
                gpu = offers[index].gpu if 0 <= index < len(offers) else f"offer {index}"
                taken[gpu] = taken.get(gpu, 0) + count
            if taken != group.config.gpu_counts:
                raise InputError(
                    f"replicas of {group.model} on {group.config.gpu_counts} that run on {taken}",
                    expected="offers of the problem with these GPUs",
                    remedy="make the current fleet with cuvee.plan.outcome.fleet_files.with_current",
                )

    @property
    def mixes(self) -> dict[str, dict[str, float]]:
        """Share of each workload type in the requests of each model [-], by their names."""
        each = ((entry.model.name, entry.demand) for entry in self.models)
        return {name: {kind.name: s for kind, s in zip(asked.types, asked.shares, strict=True)} for name, asked in each}

    def _check_aim(self) -> None:
        aim = self.aim
        names = [entry.model.name for entry in self.models]
        for name in sorted({*aim.weights, *aim.floors} - set(names)):
            raise UnknownNameError("model in the aim", name, names, remedy="name one of the models to serve")
        if all(aim.weights.get(name, 1.0) == 0 for name in names):
            raise InputError(
                "a weight of 0 for every model, so that nothing counts",
                expected="a weight above 0 for one of them",
                remedy="leave the weights out, or weigh one above the others",
            )
        known = all(entry.demand.rate_req_per_s is not None for entry in self.models)
        if (aim.floors or aim.serve is Serve.REQUESTS) and not known:
            raise InputError(
                "floors, or requests served by themselves, for a demand without an arrival rate",
                expected="requests per second to serve",
                remedy="give it with --rate, or use a trace with arrival times",
            )
        if self.objective is Objective.COST and aim.serve is not Serve.MIX:
            raise InputError(
                f"aim.serve = {aim.serve} for the objective 'cost', which serves the whole demand",
                expected="the objective 'throughput'",
                remedy="leave weights, floors and serve out, or choose --objective throughput",
            )
        if self.objective is Objective.THROUGHPUT and aim.headroom:
            raise InputError(
                "aim.headroom for the objective 'throughput', which serves as much as it can",
                expected="the objective 'cost'",
                remedy="leave --headroom out, or choose --objective cost",
            )
        limited = self.risk.max_share or self.risk.keep_after_loss or aim.serve is not Serve.MIX
        if self.caution.robust_draws and (limited or self.current is not None):
            raise InputError(
                f"robust_draws = {self.caution.robust_draws} with a current fleet, limits of risk, or aim.serve",
                expected="a fleet for the whole mix from nothing, held to no other limits of risk",
                remedy="leave out --robust, or the others",
            )

    def _require_phases(self) -> None:
        """What replicas of one phase are estimated from, and no limits that only whole ones are measured by."""
        shapeless = next((entry.model.name for entry in self.models if not entry.model.shape_known), None)
        if shapeless is not None:
            raise InputError(
                f"prefill and decode apart for {shapeless!r}, of which only measured rates are known",
                expected="models whose shape is known: rates of one phase are estimated from it",
                remedy=WITHOUT_PHASES,
            )
        if any(entry.latency is not None for entry in self.models):
            raise InputError(
                "latency limits with prefill and decode apart",
                expected="one of them: latency under load is estimated for whole replicas",
                remedy=f"leave out --slo, or {WITHOUT_PHASES}",
            )
        if self.aim.serve is not Serve.MIX or self.risk.max_share or self.risk.keep_after_loss:
            raise InputError(
                "models or types served apart, or limits of risk, with prefill and decode apart",
                expected="one of them: what is served apart, and what a loss leaves, is known of whole replicas",
                remedy=WITHOUT_PHASES,
            )
        if self.caution.robust_draws:
            raise InputError(
                "robust draws with prefill and decode apart",
                expected="one of them: draws are of whole replicas",
                remedy=f"leave out --robust, or {WITHOUT_PHASES}",
            )
        if self.current is not None:
            raise InputError(
                "a fleet that runs now, with prefill and decode apart",
                expected="one of them: what runs now is kept or drained as whole replicas",
                remedy=f"leave out --from, or {WITHOUT_PHASES}",
            )

    def require_whole_replicas(self, what: str) -> None:
        """Raise InputError where replicas may do one phase, which `what` does not reckon with."""
        if self.disaggregate:
            raise InputError(
                f"{what} with prefill and decode apart", expected="a question of whole replicas", remedy=WITHOUT_PHASES
            )

    def _require_types(self) -> None:
        """Records where records belong: a name in their place would fail far from here."""
        try:
            object.__setattr__(self, "objective", Objective(self.objective))
        except ValueError:
            raise InputError(
                f"objective = {self.objective!r}",
                expected=f"one of {', '.join(Objective)}",
                remedy="choose one of them",
            ) from None
        if not isinstance(self.models, (list, tuple)):
            raise InputError(
                f"models = {self.models!r:.80}", expected="a tuple of ModelDemand", remedy="write (demand,)"
            )
        object.__setattr__(self, "models", tuple(self.models))
        for name, kind, verb in (
            ("offers", OfferSet, "cuvee.load_offers"),
            ("limits", Limits, "cuvee.Limits"),
            ("search", SearchOptions, "cuvee.SearchOptions"),
            ("caution", Caution, "cuvee.plan.question.caution.Caution"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kind):
                remedy = f"make it with {verb}"
                raise InputError(f"{name} = {value!r:.80}", expected=f"a record of {kind.__name__}", remedy=remedy)

    @property
    def rates_req_per_s(self) -> tuple[tuple[float, ...], ...]:
        """lambda_mw: demanded rate of each model and type [req/s].

        Where some arrival rate is not known only the mix counts: all rates are then in proportion to the request
        counts and sum to 1.
        """
        known = [entry.demand.rate_req_per_s for entry in self.models if entry.demand.rate_req_per_s is not None]
        totals = known if len(known) == len(self.models) else self._shares()
        return tuple(
            tuple(total * share for share in entry.demand.shares)
            for total, entry in zip(totals, self.models, strict=True)
        )

    @property
    def ends_at_the_demand(self) -> bool:
        """Whether nothing is served beyond what arrives: models or requests apart, at known arrival rates."""
        known = all(entry.demand.rate_req_per_s is not None for entry in self.models)
        return known and self.aim.serve is not Serve.MIX

    def _shares(self) -> list[float]:
        return [entry.demand.total_requests / self.num_requests for entry in self.models]

    @property
    def weights(self) -> tuple[tuple[float, ...], ...]:
        """What a request of each model and type counts [-]; 1 unless the aim says otherwise."""
        return tuple((self.aim.weights.get(entry.model.name, 1.0),) * len(entry.demand.types) for entry in self.models)

    @property
    def num_requests(self) -> float:
        """Requests over all models whose makespan a plan states [-]."""
        return sum(entry.demand.total_requests for entry in self.models)


def _require_gpus(names: Iterable[str], on_offer: set[str]) -> None:
    """Raise UnknownNameError for a name that is neither on offer nor canonical; for an alias it says what it means."""
    known = on_offer | load_gpu_types().keys()
    for name in sorted(set(names) - known):
        try:
            remedy = f"write it {find_gpu(name).name!r}"
        except UnknownNameError:
            remedy = LIST_OFFERS
        raise UnknownNameError("GPU type in limits", name, known, remedy=remedy)
