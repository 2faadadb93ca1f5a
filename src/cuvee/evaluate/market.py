"""This year's GPUs and prices: our plan beside the best GPU type alone and greedy, planned and played."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cuvee.catalog.gpus import load_gpu_types
from cuvee.catalog.offer import OfferSet
from cuvee.catalog.offers import load_offers
from cuvee.evaluate.grid import MIXES, EvaluationOptions
from cuvee.evaluate.playing import played_burst
from cuvee.evaluate.records import Outcome
from cuvee.evaluate.requests import Requests
from cuvee.evaluate.ways import OURS, Family, Way
from cuvee.plan.explain import baselines
from cuvee.plan.planner import plan_prepared
from cuvee.plan.program.preparation import PreparedProblem, prepare
from cuvee.plan.question.problem import Limits, PlanProblem
from cuvee.workload.mixes import load_mix

MARKET_MODELS = ("llama-3-8b", "llama-3-70b", "glm-4.5-air")
"""The paper's, and one of 2025 with experts."""

MAKERS = ("all", "NVIDIA")
"""Whose GPUs are rented: rates of other makers' are extrapolated, and nothing measured stands behind them."""

BUDGET_USD_PER_HOUR = 30.0

NUM_PLAYED = 3
"""GPU types that are played alone [-]: those that serve most by the plan; the best of them as played counts."""

BEST_SINGLE = "best single type"


@dataclass(frozen=True)
class MarketResult:
    """One model and mix on the market: ours, the best GPU type alone, greedy.

    Attributes
        maker    Whose GPUs are on offer: one of `MAKERS`.
    """

    model: str
    mix: str
    maker: str
    budget_usd_per_hour: float
    outcomes: tuple[Outcome, ...]

    @property
    def ours(self) -> Outcome:
        """Our plan."""
        return self.outcomes[0]

    def gain(self, other: Outcome) -> float | None:
        """By how much more ours serves than `other`, as played [-]; None where one of them serves nothing."""
        if not (self.ours.serves and other.serves):
            return None
        return self.ours.played_req_per_s / other.played_req_per_s - 1


def market_questions(*, quick: bool) -> tuple[tuple[str, str, str], ...]:
    """Models, mixes and makers."""
    if quick:
        return (("llama-3-70b", "trace-1", "NVIDIA"),)
    return tuple((model, mix, maker) for maker in MAKERS for model in MARKET_MODELS for mix in MIXES)


def on_demand(name: str) -> OfferSet:
    """Offers of a set that the seller does not take back."""
    offers = load_offers(name)
    return replace(offers, offers=tuple(offer for offer in offers.offers if not offer.spot))


def made_by(offers: OfferSet, maker: str) -> OfferSet:
    """Those of `offers` for GPUs of one maker."""
    gpus = load_gpu_types()
    kept = tuple(offer for offer in offers.offers if maker in ("all", gpus[offer.gpu].vendor))
    return replace(offers, offers=kept)


def on_the_market(
    model: str, mix: str, maker: str, options: EvaluationOptions, *, progress: Callable[[str], None]
) -> MarketResult:
    """Plan and play one question; its candidates are generated once."""
    about = f"market: {model}, {mix}, {maker}"
    progress(f"{about}: candidates")
    requests, shares = Requests(mix, load_mix(mix)), {model: 1.0}
    prepared = prepare(
        PlanProblem(
            requests.models(shares),
            made_by(on_demand("market"), maker),
            Limits(budget_usd_per_hour=BUDGET_USD_PER_HOUR),
            search=options.search,
        )
    )

    def played(way: Way) -> Outcome:
        progress(f"{about}: {way.name}")
        return played_burst(way, requests, shares, options)

    progress(f"{about}: {OURS}")
    ours = played(Way(OURS, Family.OURS, plan_prepared(prepared, explain=False)))
    alone = [played(way) for way in best_alone(prepared, progress=progress)]
    greedy = played(Way("greedy", Family.SYSTEM, baselines.greedy(prepared).plan))
    best = max(alone, key=lambda each: each.played_req_per_s, default=None)
    found = (ours, greedy) if best is None else (ours, best, greedy)
    return MarketResult(model, mix, maker, BUDGET_USD_PER_HOUR, found)


def best_alone(prepared: PreparedProblem, *, progress: Callable[[str], None]) -> list[Way]:
    """The `NUM_PLAYED` GPU types that serve most alone, by their plans."""
    return sorted(_alone(prepared, progress), key=lambda way: -way.plan.rate_req_per_s)[:NUM_PLAYED]


def _alone(prepared: PreparedProblem, progress: Callable[[str], None]) -> Iterator[Way]:
    for gpu in baselines.gpu_types_on_offer(prepared.problem):
        progress(f"market: only {gpu}")
        found = baselines.single_type(prepared, gpu)
        if found.plan.has_plan:
            yield Way(found.name, Family.SINGLE, found.plan)
