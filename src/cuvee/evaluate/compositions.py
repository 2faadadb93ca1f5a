"""Given numbers of GPUs, and what can be planned on them."""

from collections.abc import Mapping
from dataclasses import replace

from cuvee.plan.explain.baselines import gpu_types_on_offer
from cuvee.plan.program.preparation import PreparedProblem
from cuvee.plan.question.problem import PlanProblem


def even_composition(problem: PlanProblem) -> dict[str, int]:
    """GPUs of each type [-] for about the same money each, as far as stock goes; what is left buys the type spent
    least on, again and again.

    Notes       GPU types offered one by one, as in the paper's stocks.
    """
    budget_usd_per_hour = problem.limits.budget_usd_per_hour or 0.0
    price = {offer.gpu: offer.price_usd_per_gpu_hour for offer in problem.offers.offers}
    stock = {offer.gpu: offer.max_units * offer.num_gpus for offer in problem.offers.offers}
    counts = dict.fromkeys(gpu_types_on_offer(problem), 0)
    left = budget_usd_per_hour
    while True:
        buyable = [gpu for gpu, count in counts.items() if count < stock[gpu] and price[gpu] <= left * (1 + 1e-9)]
        if not buyable:
            return counts
        gpu = min(buyable, key=lambda name: (counts[name] + 1) * price[name])
        counts[gpu] += 1
        left -= price[gpu]


def with_composition(prepared: PreparedProblem, counts: Mapping[str, int]) -> PreparedProblem:
    """`prepared` with at most `counts` GPUs of each type, none of types that are not named."""
    problem = prepared.problem
    most = {gpu: counts.get(gpu, 0) for gpu in gpu_types_on_offer(problem)}
    return replace(prepared, problem=replace(problem, limits=replace(problem.limits, max_gpus=most)))
