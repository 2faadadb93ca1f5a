"""What all settings together say: gains over each way, what each freedom is worth, and where our plan does not win."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.evaluate.records import Outcome, SettingResult
from cuvee.evaluate.ways import OURS, Family

PAPER_GPUS = ("H100-SXM", "A6000", "RTX4090")
"""GPU types of the paper's homogeneous fleets."""

LEVEL = 0.005
"""Gains of less than this are none [-]: the gap to which plans are proven."""

WIDE_ERROR = 0.1
"""Error of a makespan from which it is looked into [-]."""

Pick = Callable[[SettingResult], Outcome | None]


@dataclass(frozen=True)
class Gain:
    """By how much more our plan serves than another way, over settings where both serve; 0.1 is 10 % more.

    Attributes
        planned                Mean by the plans' own rates [-].
        values                 Of each setting, as played [-].
        not_won                Settings in which the other serves as much or more as played.
        e2e, ttft              Share of time saved at equal rate of arrival, by the geometric mean of ratios over
                               `PERCENTILES` and settings where both keep up [-]; nan where they never do.
        e2e_most               The most saved at any percentile [-].
        num_overloaded         Settings in which the other cannot keep up with that rate [-].
    """

    name: str
    planned: float
    values: tuple[float, ...]
    not_won: tuple[str, ...]
    e2e: float
    ttft: float
    e2e_most: float
    num_overloaded: int

    @property
    def played(self) -> float:
        """Mean as played [-]."""
        return float(np.mean(self.values))

    @property
    def losses(self) -> tuple[float, ...]:
        """What the other loses of ours [-]: a gain of 1 is a loss of 0.5."""
        return tuple(value / (1 + value) for value in self.values)


def gain(name: str, results: Iterable[SettingResult], pick: Pick) -> Gain | None:
    """The gain over what `pick` finds in each setting; None where it finds nothing."""
    pairs = [(each, other) for each in results if each.ours.serves and (other := pick(each)) is not None]
    if not pairs:
        return None
    planned = [each.ours.planned_req_per_s / other.planned_req_per_s - 1 for each, other in pairs]
    played = [each.ours.played_req_per_s / other.played_req_per_s - 1 for each, other in pairs]
    fair = [(each.ours, other) for each, other in pairs if other.keeps_up]
    e2e = np.array([np.array(ours.e2e_s) / np.array(other.e2e_s) for ours, other in fair])
    ttft = np.array([np.array(ours.ttft_s) / np.array(other.ttft_s) for ours, other in fair])
    return Gain(
        name,
        float(np.mean(planned)),
        tuple(played),
        tuple(each.setting.name for (each, _), value in zip(pairs, played, strict=True) if value <= LEVEL),
        _saved(e2e),
        _saved(ttft),
        float(1 - e2e.min()) if fair else float("nan"),
        len(pairs) - len(fair),
    )


def _saved(ratios: NDArray[np.float64]) -> float:
    """Share of time saved by the geometric mean of ratios [-]: twice as long weighs as much as half as long."""
    return float(1 - np.exp(np.log(ratios).mean())) if ratios.size else float("nan")


def gains(results: Sequence[SettingResult]) -> list[Gain]:
    """Over every way, and over the best of several."""
    names = list(dict.fromkeys(each.name for result in results for each in result.outcomes if each.name != OURS))
    picks: list[tuple[str, Pick]] = [
        ("best of H100, A6000, 4090, unlimited", _best(Family.SINGLE_UNLIMITED, PAPER_GPUS)),
        ("best single type, unlimited", _best(Family.SINGLE_UNLIMITED)),
        ("best of H100, A6000, 4090, same stock", _best(Family.SINGLE, PAPER_GPUS)),
        ("best single type, same stock", _best(Family.SINGLE)),
        ("best one TP degree", _best(Family.DEPLOYMENT)),
        *((name, _named(name)) for name in names),
    ]
    found = (gain(name, results, pick) for name, pick in picks)
    return [each for each in found if each is not None]


def three_of_the_paper(results: Sequence[SettingResult], family: Family = Family.SINGLE_UNLIMITED) -> list[float]:
    """Gains as played over each of the paper's three homogeneous fleets, in every setting [-]."""
    return [
        each.ours.played_req_per_s / other.played_req_per_s - 1
        for each in results
        if each.ours.serves
        for other in each.of_family(family)
        if _gpu_of(other) in PAPER_GPUS
    ]


def _named(name: str) -> Pick:
    return lambda result: result.named(name)


def _best(family: Family, gpus: Sequence[str] = ()) -> Pick:
    """The way of a family that serves most as played."""

    def pick(result: SettingResult) -> Outcome | None:
        able = [each for each in result.of_family(family) if not gpus or _gpu_of(each) in gpus]
        return max(able, key=lambda each: each.played_req_per_s, default=None)

    return pick


def _gpu_of(outcome: Outcome) -> str:
    return outcome.name.removeprefix("only ").removesuffix(", unlimited stock")


@dataclass(frozen=True)
class Prediction:
    """How well plans foretell the makespan, over fleets.

    Attributes
        num_fleets         Fleets that were played [-].
        mean, absolute     Mean error, and mean of its size [-]; above 0 the simulation takes longer.
        p90                Of the sizes [-].
        share_wide         Share of fleets off by more than `WIDE_ERROR` [-].
    """

    name: str
    num_fleets: int
    mean: float
    absolute: float
    p90: float
    share_wide: float


def predictions(results: Sequence[SettingResult]) -> list[Prediction]:
    """Of our plans, of fleets that know no request types, of single GPU types, and of all."""
    kinds: list[tuple[str, Callable[[Outcome], bool]]] = [
        ("all fleets", lambda _each: True),
        ("our plans", lambda each: each.name == OURS),
        ("request types spread alike", lambda each: each.name == "request types unknown" or "HexGen" in each.name),
        ("one GPU type", lambda each: each.family in (Family.SINGLE, Family.SINGLE_UNLIMITED)),
    ]
    found = []
    for name, belongs in kinds:
        errors = np.array(
            [each.error for result in results for each in result.outcomes if each.serves and belongs(each)]
        )
        if len(errors):
            size = np.abs(errors)
            wide = float((size > WIDE_ERROR).mean())
            p90 = float(np.percentile(size, 90))
            found.append(Prediction(name, len(errors), float(errors.mean()), float(size.mean()), p90, wide))
    return found


def latency_rows(results: Sequence[SettingResult]) -> list[tuple[str, tuple[float, ...]]]:
    """Share of end-to-end time saved at each of `PERCENTILES`, by way, over settings where both keep up [-]."""
    names = list(dict.fromkeys(each.name for result in results for each in result.outcomes if each.name != OURS))
    rows = []
    for name in names:
        ratios = [
            np.array(result.ours.e2e_s) / np.array(other.e2e_s)
            for result in results
            if result.ours.serves and (other := result.named(name)) is not None and other.keeps_up
        ]
        if ratios:
            saved = 1 - np.exp(np.log(ratios).mean(axis=0))
            rows.append((name, tuple(map(float, saved))))
    return rows
