"""What resources cost at the shadow prices of a relaxation: a GPU of each offer, and a dollar an hour."""

import numpy as np

from cuvee.catalog.offer import Offer
from cuvee.plan.formulation import FLEET_FAMILIES, gpu_prices
from cuvee.plan.placement import usable_gpus
from cuvee.plan.program import Answer, Array, Program


def charge_per_gpu(program: Program, relaxed: Answer, offers: tuple[Offer, ...]) -> Array:
    """What a replica is charged for one GPU of each offer, shape (num_offers,).

    Notes           Single GPUs: shadow price of the stock, plus what renting one costs at those of budget and caps. Of
                    whole machines, whose unit column rents, the stock row's price, or the most that keeps the unit
                    column from being profitable: the solver's own price of an offer nobody rents may be anything
                    below it, just enough to keep replicas away.
    """
    dual = {
        (block.family, key): abs(float(relaxed.row_dual[block.first + position]))
        for block in program.blocks
        if block.family in FLEET_FAMILIES
        for position, key in enumerate(block.keys)
    }
    charges = np.zeros(len(offers))
    money = price_of_a_dollar(program, relaxed)
    for index, (offer, price_per_gpu) in enumerate(zip(offers, gpu_prices(offers), strict=True)):
        dollar = money
        dollar += dual.get(("max_usd_per_hour_per_gpu", offer.gpu), 0.0)
        dollar += dual.get(("max_usd_per_hour_per_seller", offer.seller), 0.0)
        counted = dual.get(("max_gpus", offer.gpu), 0.0) + dual.get(("max_gpus_per_seller", offer.seller), 0.0)
        renting = dollar * price_per_gpu + counted
        stock = dual.get(("stock", index), 0.0)
        if offer.num_gpus == 1:
            charges[index] = renting + stock
        else:
            charges[index] = max(stock, renting * offer.num_gpus / usable_gpus(offer))
    return charges


def price_of_a_dollar(program: Program, relaxed: Answer) -> float:
    """What spending a dollar an hour costs: the budget's shadow price, and the weight of money in the objective."""
    row = program.row_of("budget", "")
    assert row is not None
    columns, prices = program.entries_of(row)
    weight = float(abs(program.cost[columns[0]]) / prices[0]) if len(columns) else 0.0
    return abs(float(relaxed.row_dual[row])) + weight
