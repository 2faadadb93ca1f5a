"""What is left of plans when the world is another, as means over settings."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.evaluate.robustness import Bursty, Met

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeanMet:
    """A case as a way meets it, over settings.

    Attributes
        num_settings    Settings that have the case [-].
        kept, rebalanced, replanned    Rate over what was foreseen [-], the mean over settings.
        lead            Rate of our plan over this way's, less one, where each keeps its shares, re-balances, and plans
                        anew [-]: the means over settings. For our own plan 0.
    """

    case: str
    way: str
    num_settings: int
    kept: float
    rebalanced: float
    replanned: float
    lead: tuple[float, float, float]


@dataclass(frozen=True)
class MeanBursty:
    """End-to-end time over that of our plan at the same burstiness, geometric means over settings [-]."""

    way: str
    burstiness: float
    p50: float
    p90: float


def mean_met(met: Iterable[Met]) -> list[MeanMet]:
    """Means over settings, case by case and way by way, in the order they come."""
    found: dict[tuple[str, str], list[Met]] = {}
    for each in met:
        found.setdefault((_common(each.case), each.way), []).append(each)
    ours = {(each.setting, each.case): each for group in found.values() for each in group if each.way == "plan"}
    means = []
    for (case, way), group in found.items():
        left = _mean(np.divide(_rates(each), each.foreseen_req_per_s) for each in group)
        lead = _mean(
            np.divide(_rates(ours[each.setting, each.case]), _rates(each)) - 1
            for each in group
            if (each.setting, each.case) in ours and min(_rates(each)) > 0
        )
        means.append(MeanMet(case, way, len(group), *left, lead))
    return means


def mean_bursty(bursts: Iterable[Bursty]) -> list[MeanBursty]:
    """Means over settings, way by way."""
    every = list(bursts)
    ours = {(each.setting, each.burstiness): each for each in every if each.way == "plan"}
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for each in every:
        base = ours[each.setting, each.burstiness]
        found.setdefault((each.way, each.burstiness), []).append((each.p50_s / base.p50_s, each.p90_s / base.p90_s))
    return [
        MeanBursty(way, burstiness, *map(float, np.exp(np.log(ratios).mean(axis=0))))
        for (way, burstiness), ratios in found.items()
    ]


def _mean(values: Iterable[Array]) -> tuple[float, float, float]:
    """Of kept, re-balanced and planned anew; zeros of nothing."""
    every = list(values)
    kept, rebalanced, replanned = np.mean(every, axis=0).tolist() if every else (0.0, 0.0, 0.0)
    return kept, rebalanced, replanned


def _rates(each: Met) -> tuple[float, float, float]:
    return each.kept_req_per_s, each.rebalanced_req_per_s, each.replanned_req_per_s


def _common(case: str) -> str:
    """Mixes are others in each setting: one case."""
    return "another mix" if case.startswith("mix of ") else case
