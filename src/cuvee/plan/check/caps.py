"""Caps per GPU type and seller, held against what is rented."""

from collections.abc import Iterator, Mapping, Sequence

from cuvee.catalog.offer import Offer
from cuvee.plan.check.rates import TOLERANCE
from cuvee.plan.question.problem import Limits


def over_caps(
    limits: Limits, offers: Sequence[Offer], gpus: Mapping[int, int], price_usd_per_hour: Mapping[int, float]
) -> Iterator[str]:
    """One line for each cap that is exceeded by `gpus` and `price_usd_per_hour` [$/h] rented on each offer."""
    for label, caps, key, amounts in (
        ("max_gpus", limits.max_gpus, "gpu", gpus),
        ("max_gpus_per_seller", limits.max_gpus_per_seller, "seller", gpus),
        ("max_usd_per_hour_per_gpu", limits.max_usd_per_hour_per_gpu, "gpu", price_usd_per_hour),
        ("max_usd_per_hour_per_seller", limits.max_usd_per_hour_per_seller, "seller", price_usd_per_hour),
    ):
        for name, cap in caps.items():
            amount = sum(amounts[index] for index in amounts if getattr(offers[index], key) == name)
            if amount > cap * (1 + TOLERANCE):
                yield f"{label} of {name} is {cap:g}, taken are {amount:g}"
