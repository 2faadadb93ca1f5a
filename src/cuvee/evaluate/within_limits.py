"""Least cost for a known rate within latency limits: planned with them and without, and played at that rate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cuvee.catalog.offer import OfferSet
from cuvee.evaluate.grid import EvaluationOptions
from cuvee.evaluate.market import on_demand
from cuvee.evaluate.playing import fleet_label, number_of_requests
from cuvee.evaluate.requests import Requests
from cuvee.plan.explain import baselines
from cuvee.plan.outcome.result import Plan
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.problem import ModelDemand, Objective, PlanProblem
from cuvee.simulate.metrics import report
from cuvee.simulate.simulation import simulate
from cuvee.workload.latency_limits import LatencyLimits, LatencyObjective
from cuvee.workload.mixes import load_mix

LIMITS = LatencyLimits(ttft_s=2.0, tpot_s=0.1, statistic="p95")
"""What the plans are held to, type by type."""

MIX = "trace-1"


@dataclass(frozen=True)
class LimitedQuestion:
    """A model, what it may be served on, and how many requests come."""

    model: str
    offers: str
    rate_req_per_s: float


LIMITED_QUESTIONS = (
    LimitedQuestion("llama-3-70b", "paper-avail-1", 6.0),
    LimitedQuestion("llama-3-8b", "paper-avail-1", 40.0),
    LimitedQuestion("llama-3-70b", "market", 30.0),
    LimitedQuestion("llama-3-8b", "market", 200.0),
)


@dataclass(frozen=True)
class LimitedOutcome:
    """A way of choosing a fleet, played at the rate asked for.

    Attributes
        way                  What was planned, and how.
        fleet                In words; "" where nothing serves that rate within its limits, and nothing below counts.
        attainment           Share of the requests within all limits [-].
        ttft_p95_s, tpot_p95_s    Over all requests [s].
    """

    way: str
    fleet: str
    cost_usd_per_hour: float = 0.0
    attainment: float = 0.0
    ttft_p95_s: float = 0.0
    tpot_p95_s: float = 0.0

    @property
    def serves(self) -> bool:
        """Whether there is a fleet at all."""
        return bool(self.fleet)


@dataclass(frozen=True)
class LimitedResult:
    """A question and its ways, our plan within the limits first."""

    question: LimitedQuestion
    outcomes: tuple[LimitedOutcome, ...]


def limited_questions(*, quick: bool) -> tuple[LimitedQuestion, ...]:
    """What is asked."""
    return LIMITED_QUESTIONS[:1] if quick else LIMITED_QUESTIONS


def within_limits(
    question: LimitedQuestion, options: EvaluationOptions, *, progress: Callable[[str], None]
) -> LimitedResult:
    """Plan and play one question."""
    requests, shares = Requests(MIX, load_mix(MIX)), {question.model: 1.0}
    number = number_of_requests(question.rate_req_per_s, options)
    trace = requests.arriving(shares, number, question.rate_req_per_s, options.seed)
    found = []
    for way, plan in limited_ways(question, on_demand(question.offers), options, progress=progress):
        if not plan.has_plan:
            found.append(LimitedOutcome(way, ""))
            continue
        progress(f"limits: {question.model} on {question.offers}: playing {way}")
        done = simulate(plan, trace, policy="plan-live", seed=options.seed)
        everything = report(done, limits=[LIMITS] * len(plan.assignment)).all
        found.append(
            LimitedOutcome(
                way, fleet_label(plan), plan.cost_usd_per_hour, everything.attainment or 0.0,
                everything.ttft.at(95), everything.tpot.at(95),
            )
        )  # fmt: skip
    return LimitedResult(question, tuple(found))


def limited_ways(
    question: LimitedQuestion, offers: OfferSet, options: EvaluationOptions, *, progress: Callable[[str], None]
) -> Iterator[tuple[str, Plan]]:
    """Ways by name: ours and the best GPU types alone within the limits, ours without limits."""
    about = f"limits: {question.model} on {question.offers}"
    progress(f"{about}: candidates within the limits")
    held = _prepared(question, offers, options, LatencyObjective(LIMITS))
    progress(f"{about}: plan within the limits")
    yield "plan within the limits", plan_prepared(held, explain=False)
    types = baselines.gpu_types_on_offer(held.problem)
    progress(f"{about}: single types")
    alone = [baselines.single_type(held, gpu) for gpu in types]
    yield from _cheapest("best single type within the limits", alone)
    if question.offers.startswith("paper"):  # the market has as many as such a rate takes
        progress(f"{about}: single types, unlimited stock")
        unlimited = [baselines.single_type_unlimited(held, gpu) for gpu in types]
        yield from _cheapest("best single type within the limits, unlimited stock", unlimited)
    progress(f"{about}: plan without limits")
    yield "plan without limits", plan_prepared(_prepared(question, offers, options, None), explain=False)


def _cheapest(name: str, found: list[baselines.Baseline]) -> Iterator[tuple[str, Plan]]:
    able = [each.plan for each in found if each.plan.has_plan]
    if able or found:
        yield name, min(able, key=lambda plan: plan.cost_usd_per_hour, default=found[0].plan)


def _prepared(
    question: LimitedQuestion, offers: OfferSet, options: EvaluationOptions, latency: LatencyObjective | None
) -> PreparedProblem:
    (entry,) = Requests(MIX, load_mix(MIX)).models({question.model: 1.0})
    demand = replace(entry.demand, rate_req_per_s=question.rate_req_per_s)
    return prepare(
        PlanProblem(
            (ModelDemand(entry.model, demand, latency=latency),),
            offers,
            objective=Objective.COST,
            search=options.search,
        )
    )
