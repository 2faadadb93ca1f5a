"""What it is worth to send each workload type to the GPU type that suits it, instead of all to one.

A mix costs sum_w s_w / v_w dollars a request, s_w the shares and v_w the requests per dollar of who serves w. Stock
does not bind here, and replicas are divisible: this is the bound that a large enough fleet comes near.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.plan.evaluation.draws import SHARED_VARIANCE, SIGMAS_PER_BAND
from cuvee.study.comparison import Comparison
from cuvee.study.entry import Entry
from cuvee.study.study import Study
from cuvee.workload.records import Demand

Array = NDArray[np.float64]

NUM_DRAWS = 4000
SEED = 0
BAND = (10.0, 90.0)
"""Percentiles of the draws between which the band lies [%]: four draws of five, as the bands of rates."""

EXACT = 1e-9
"""Relative distance within which two costs are one [-]."""

Kind = tuple[str, str]
"""A model and a workload type."""


@dataclass(frozen=True)
class AssignmentGain:
    """A mix served by the GPU types that suit each type, and by one GPU type.

    Attributes
        model           The model; empty for several together.
        mix             Name of the mix.
        single_gpu      The best single GPU type.
        over_single     Requests per dollar over those of that GPU type alone.
        over_blind      Over the same fleet with each replica given the mix as it is [-]; None where one cannot take it.
        gpus            GPU types that serve some type, in the order of their share of the money.
    """

    model: str
    mix: str
    single_gpu: str
    over_single: Comparison
    over_blind: float | None
    gpus: tuple[str, ...]


def assignment_gain(study: Study, demand: Demand, shares: Mapping[str, float]) -> AssignmentGain | None:
    """What assignment brings to a mix; None where no GPU type serves all of it.

    Parameters
        shares    Of the models in all requests [-], those that count.
    """
    wanted = {
        (model, kind.name): share * part
        for model, share in shares.items()
        for kind, part in zip(demand.types, demand.shares, strict=True)
    }
    assigned = {kind: ranking[0] for kind in wanted if (ranking := study.ranking(*kind))}
    alone = {gpu.name: _all_on(study, gpu.name, wanted) for gpu in study.gpus}
    whole = {gpu: served for gpu, served in alone.items() if served is not None}
    if len(assigned) < len(wanted) or not whole:
        return None
    single_gpu = min(whole, key=lambda gpu: _cost(wanted, whole[gpu]))
    single = whole[single_gpu]
    factor = _cost(wanted, single) / _cost(wanted, assigned)
    ratios = _drawn_costs(wanted, single, assigned)
    low, high = np.percentile(ratios, BAND) if factor > 1 + EXACT else (1.0, 1.0)
    chance = float((ratios > 1).mean()) if factor > 1 + EXACT else 0.5
    spent: dict[str, float] = {}
    for kind, entry in assigned.items():
        spent[entry.gpu] = spent.get(entry.gpu, 0.0) + wanted[kind] / entry.efficiency
    comparison = Comparison(factor, float(low), float(high), chance)
    gpus = tuple(sorted(spent, key=lambda gpu: -spent[gpu]))
    model = next(iter(shares)) if len(shares) == 1 else ""
    return AssignmentGain(model, demand.name, single_gpu, comparison, _over_blind(study, wanted, assigned), gpus)


def _all_on(study: Study, gpu: str, wanted: Mapping[Kind, float]) -> dict[Kind, Entry] | None:
    served = {kind: entry for kind in wanted if (entry := study.best(kind[0], gpu, kind[1])) is not None}
    return served if len(served) == len(wanted) else None


def _cost(wanted: Mapping[Kind, float], served: Mapping[Kind, Entry]) -> float:
    """Of the mix, at one request a second in all [$/h]."""
    return sum(share / served[kind].efficiency for kind, share in wanted.items())


def _drawn_costs(wanted: Mapping[Kind, float], single: Mapping[Kind, Entry], assigned: Mapping[Kind, Entry]) -> Array:
    """Cost of `single` over that of `assigned` under each draw of rate errors [-]."""
    random = np.random.default_rng(SEED)
    entries = [*single.values(), *assigned.values()]
    of_gpu = {gpu: random.standard_normal(NUM_DRAWS) for gpu in sorted({entry.gpu for entry in entries})}
    configs = sorted({entry.config for entry in entries}, key=repr)
    of_config = {config: random.standard_normal(NUM_DRAWS) for config in configs}

    def cost(served: Mapping[Kind, Entry]) -> Array:
        total = np.zeros(NUM_DRAWS)
        for kind, share in wanted.items():
            entry = served[kind]
            sigma = math.log1p(entry.band) / SIGMAS_PER_BAND
            luck = math.sqrt(SHARED_VARIANCE) * of_gpu[entry.gpu]
            luck = luck + math.sqrt(1 - SHARED_VARIANCE) * of_config[entry.config]
            total += share / (entry.efficiency * np.exp(sigma * luck))
        return total

    ratios: Array = cost(single) / cost(assigned)
    return ratios


def _over_blind(study: Study, wanted: Mapping[Kind, float], assigned: Mapping[Kind, Entry]) -> float | None:
    """Rate of the fleet that `assigned` rents, over what it serves when each replica takes its model's mix as it is."""
    blind = []
    for model in dict.fromkeys(model for model, _ in wanted):
        kinds = [kind for kind in wanted if kind[0] == model]
        copies: dict[Entry, float] = {}
        for kind in kinds:
            copies[assigned[kind]] = copies.get(assigned[kind], 0.0) + wanted[kind] / assigned[kind].rate_req_per_s
        rate = sum(number * _mixed_rate(study, entry, kinds, wanted) for entry, number in copies.items())
        blind.append(rate / sum(wanted[kind] for kind in kinds))
    return 1 / min(blind) if min(blind) > 0 else None


def _mixed_rate(study: Study, entry: Entry, kinds: Sequence[Kind], wanted: Mapping[Kind, float]) -> float:
    """Rate of a replica that takes every type of its model in the shares of the mix [req/s]; 0 where it cannot."""
    total, busy_s = 0.0, 0.0
    for kind in kinds:
        found = [other for other in study.configurations(kind[0], entry.gpu, kind[1]) if other.config == entry.config]
        if not found:
            return 0.0
        total += wanted[kind]
        busy_s += wanted[kind] / found[0].rate_req_per_s
    return total / busy_s
